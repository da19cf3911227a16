#include "nearest.hpp"

#include <algorithm>

#include "tempera/diagnostics/quality.hpp"

namespace tempera {
namespace {

/// In bits, of which so many make cases that differ everywhere.
std::vector<double> nearest(const BinaryData& cases, const std::vector<Index>& which,
                            const BinaryData& others, Index bits, const Executor& executor) {
  std::vector<double> distances(which.size());
  executor.for_each_owned(static_cast<Index>(which.size()), [&](Index k) {
    const Index n = which[static_cast<std::size_t>(k)];
    const Index found = bits_to_nearest(cases.row(n), others, &cases == &others ? n : -1);
    distances[static_cast<std::size_t>(k)] =
        static_cast<double>(std::min(found, bits)) / static_cast<double>(bits);
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
