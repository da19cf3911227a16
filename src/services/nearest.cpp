#include "nearest.hpp"

#include <algorithm>
#include <bit>

namespace tempera {
namespace {

Index differing_bits(std::span<const Word> a, std::span<const Word> b) {
  Index count = 0;
  for (std::size_t w = 0; w < a.size(); ++w) count += std::popcount(a[w] ^ b[w]);
  return count;
}

/// In bits, of which so many make a whole difference.
std::vector<double> nearest(const BinaryData& cases, const std::vector<Index>& which,
                            const BinaryData& others, Index bits, const Executor& executor) {
  std::vector<double> distances(which.size());
  executor.for_each_owned(static_cast<Index>(which.size()), [&](Index k) {
    const Index n = which[static_cast<std::size_t>(k)];
    Index least = bits;
    for (Index m = 0; m < others.n_cases(); ++m) {
      if (&cases == &others && m == n) continue;
      least = std::min(least, differing_bits(cases.row(n), others.row(m)));
    }
    distances[static_cast<std::size_t>(k)] = static_cast<double>(least) / static_cast<double>(bits);
  });
  executor.share(distances);
  return distances;
}

}  // namespace

std::vector<double> nearest_distances(const BinaryData& cases, const std::vector<Index>& which,
                                      const BinaryData& others, const Executor& executor) {
  return nearest(cases, which, others, cases.n_visible(), executor);
}

std::vector<double> nearest_distances(const CategoricalData& cases, const std::vector<Index>& which,
                                      const CategoricalData& others, const Executor& executor) {
  // Two letters differ in two bits.
  return nearest(cases, which, others, 2 * cases.letters().sites(), executor);
}

}  // namespace tempera
