// Estimates of log Z. These functions see log-weights and partial sums, never a model.
//
// Formulas: docs/mathematics/log-partition.md 3.1.
#pragma once

#include <functional>
#include <span>

#include "tempera/core/observer.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// log Z in nats with its standard error.
struct LogPartition {
  double value = 0.0;
  double standard_error = 0.0;
  /// Effective sample size of the weights over their number, 1 where nothing was sampled.
  double effective_fraction = 1.0;
};

/// The same estimate of a machine whose log Z is larger by this.
[[nodiscard]] inline LogPartition moved(LogPartition z, double by) {
  z.value += by;
  return z;
}

/// Below this fraction of effective samples an AIS estimate is dominated by few chains and flatters the
/// model.
inline constexpr double kLowEffectiveFraction = 0.05;

/// Whether a certain lower bound contradicts an estimate: it is above it by more than five standard errors,
/// and by what free energies in float may have rounded. A tight bound is the true value, so that fewer errors
/// would refute good estimates now and then.
[[nodiscard]] bool is_refuted(const LogPartition& z, double lower_bound);

/// log Z(0) + log mean exp(log_weights). Standard error by the delta method, sqrt(relvar(w) / n); effective
/// sample size (sum w)^2 / sum w^2 (Neal 2001). Expects at least two finite log-weights.
LogPartition log_partition_from_weights(double reference_log_partition, std::span<const double> log_weights);

/// log Z as the sum of `chunks` partial sums given as logarithms, computed in parallel, added in order.
/// `progress` may stop; NaN is then returned.
LogPartition log_partition_from_chunks(Index chunks, const std::function<double(Index)>& log_sum_of_chunk,
                                       const Executor& executor, const Progress& progress = {});

}  // namespace tempera
