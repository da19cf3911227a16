#include "tempera/core/permutation.hpp"

#include <boost/random/uniform_int_distribution.hpp>
#include <numeric>
#include <utility>

namespace tempera {

std::vector<Index> permutation(Index n, StreamEngine random) {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const boost::random::uniform_int_distribution<std::size_t> below(0, i - 1);
    std::swap(order[i - 1], order[below(random)]);
  }
  return order;
}

}  // namespace tempera
