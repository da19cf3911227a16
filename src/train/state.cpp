#include "tempera/train/state.hpp"

#include <numeric>

namespace tempera {

std::vector<std::uint64_t> gradient_chains(const NoLadder&, std::uint64_t n_chains) {
  std::vector<std::uint64_t> all(static_cast<std::size_t>(n_chains));
  std::iota(all.begin(), all.end(), std::uint64_t{0});
  return all;
}

std::vector<std::uint64_t> gradient_chains(const TemperatureLadder& ladder, std::uint64_t) {
  return ladder.free_chains;
}

}  // namespace tempera
