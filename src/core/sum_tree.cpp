#include "tempera/core/sum_tree.hpp"

namespace tempera {

std::vector<TreeNode> complete_nodes(Index first, Index last) {
  std::vector<TreeNode> nodes;
  while (first < last) {
    TreeNode node{first, 0};
    while (first % (2 * node.leaves()) == 0 && first + 2 * node.leaves() <= last) ++node.level;
    nodes.push_back(node);
    first += node.leaves();
  }
  return nodes;
}

}  // namespace tempera
