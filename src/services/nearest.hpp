// How far cases are from the nearest ones of another data set.
#pragma once

#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// For each of the cases `which` of `cases`: the part of the columns (sites of letters) in which it differs
/// from the nearest of `others`, itself left out where both are the same data. Cost: a comparison of bits for
/// every pair.
[[nodiscard]] std::vector<double> nearest_distances(const BinaryData& cases, const std::vector<Index>& which,
                                                    const BinaryData& others, const Executor& executor);
[[nodiscard]] std::vector<double> nearest_distances(const CategoricalData& cases,
                                                    const std::vector<Index>& which,
                                                    const CategoricalData& others, const Executor& executor);

}  // namespace tempera
