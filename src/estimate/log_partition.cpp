#include "tempera/estimate/log_partition.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"

namespace tempera {

bool is_refuted(const LogPartition& z, double lower_bound) {
  constexpr double kErrors = 5.0;
  constexpr double kRounding = 1e-3;
  return z.value + kErrors * z.standard_error + kRounding < lower_bound;
}

LogPartition log_partition_from_weights(double reference_log_partition, std::span<const double> log_weights) {
  const double largest = *std::max_element(log_weights.begin(), log_weights.end());
  double sum = 0.0;
  double sum_of_squares = 0.0;
  for (const double log_weight : log_weights) {
    if (!std::isfinite(log_weight))
      throw NumericalError("annealed importance sampling: a log-weight is not finite");
    const double w = std::exp(log_weight - largest);
    sum += w;
    sum_of_squares += w * w;
  }
  const auto n = static_cast<double>(log_weights.size());
  const double mean = sum / n;
  // Unbiased variance over the squared mean.
  const double relative_variance = std::max(0.0, sum_of_squares / n / (mean * mean) - 1.0) * n / (n - 1.0);
  return {reference_log_partition + largest + std::log(mean), std::sqrt(relative_variance / n),
          sum * sum / sum_of_squares / n};
}

LogPartition log_partition_from_chunks(Index chunks, const std::function<double(Index)>& log_sum_of_chunk,
                                       const Executor& executor, const Progress& progress) {
  constexpr Index kStride = 64;  // chunks between reports of progress
  LogSumExp total;
  std::vector<double> part;
  for (Index first = 0; first < chunks; first += kStride) {
    const Index count = std::min(kStride, chunks - first);
    part.resize(static_cast<std::size_t>(count));
    executor.for_each_owned(
        count, [&](Index i) { part[static_cast<std::size_t>(i)] = log_sum_of_chunk(first + i); });
    executor.share(part);
    for (const double sum : part) total.add(sum);
    if (progress &&
        progress(static_cast<double>(first + count) / static_cast<double>(chunks)) == Control::kStop) {
      return {std::numeric_limits<double>::quiet_NaN(), 0.0, 1.0};
    }
  }
  return {total.value(), 0.0, 1.0};
}

}  // namespace tempera
