// Sums whose order of additions is fixed by the number of terms, so that whoever makes the terms, in whatever
// order, the result has the same bytes.
//
// See docs/mathematics/randomness.md 6.5.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// sum of leaf(0) ... leaf(count - 1) along a fixed binary tree over the index: pairs, pairs of pairs, and so
/// on; the incomplete right edge is added last. Leaves are made in order, and about log2(count) partial sums
/// are alive at a time. count must be at least 1.
///
/// leaf(i) returns a value; add(into, from) adds in place.
template <class Leaf, class Add>
auto sum_tree(Index count, Leaf&& leaf, Add&& add) {
  using Value = std::invoke_result_t<Leaf&, Index>;
  std::vector<Value> partial;
  for (Index i = 0; i < count; ++i) {
    partial.push_back(leaf(i));
    for (Index done = i + 1; done % 2 == 0; done /= 2) {
      add(partial[partial.size() - 2], partial.back());
      partial.pop_back();
    }
  }
  while (partial.size() > 1) {
    add(partial[partial.size() - 2], partial.back());
    partial.pop_back();
  }
  return std::move(partial.front());
}

/// A complete node of the tree: the sum of leaves first ... first + 2^level - 1, where first is a multiple of
/// 2^level.
struct TreeNode {
  Index first = 0;
  int level = 0;

  [[nodiscard]] Index leaves() const { return Index{1} << level; }
  bool operator==(const TreeNode&) const = default;
};

/// The complete nodes that leaves first ... last - 1 are made of, in order, each as large as can be: what
/// whoever has these leaves alone can give to the sum of all.
std::vector<TreeNode> complete_nodes(Index first, Index last);

/// Joins the nodes at the end of the last range that nothing but each other is added to before they are added
/// to what is left of them: of the leaves up to `count`, the right edge. The node that comes of it stands for
/// more leaves than its level says.
template <class Value, class Add>
void join_right_edge(Index count, std::vector<std::pair<TreeNode, Value>>& nodes, Add&& add) {
  // The nodes that are left when all complete ones are made have the sizes of the bits of count.
  const auto is_left = [count](const TreeNode& node) {
    return (count >> node.level & 1) != 0 && node.first == (count >> (node.level + 1)) << (node.level + 1);
  };
  while (nodes.size() > 1 && is_left(nodes[nodes.size() - 2].first) && is_left(nodes.back().first)) {
    add(nodes[nodes.size() - 2].second, nodes.back().second);
    nodes.pop_back();
  }
}

/// The sum of all leaves from the complete nodes of consecutive ranges, whose values are given in order: the
/// same additions as sum_tree of all leaves, however these were dealt out. There must be at least one node.
/// The last nodes may be those of an incomplete right edge.
template <class Value, class Add>
Value combine_nodes(std::vector<std::pair<TreeNode, Value>> nodes, Add&& add) {
  std::vector<std::pair<TreeNode, Value>> partial;
  const auto join = [&] {
    add(partial[partial.size() - 2].second, partial.back().second);
    partial.pop_back();
  };
  for (auto& node : nodes) {
    partial.push_back(std::move(node));
    while (partial.size() > 1) {
      TreeNode& left = partial[partial.size() - 2].first;
      if (left.level != partial.back().first.level || left.first % (2 * left.leaves()) != 0) break;
      join();
      ++partial.back().first.level;
    }
  }
  while (partial.size() > 1) join();
  return std::move(partial.front().second);
}

/// sum_tree of numbers.
template <class Leaf>
double sum_doubles(Index count, Leaf&& leaf) {
  return count == 0
             ? 0.0
             : sum_tree(count, std::forward<Leaf>(leaf), [](double& into, double from) { into += from; });
}

}  // namespace tempera
