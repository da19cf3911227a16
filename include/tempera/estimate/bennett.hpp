// Bennett's acceptance ratio: log Z from draws of both machines of every pair along a path.
#pragma once

#include "tempera/estimate/log_partition.hpp"

namespace tempera {

/// Log-weights between two machines: F_0 - F_1 at draws of machine 0, and F_1 - F_0 at draws of machine 1;
/// draw after draw of n_ensembles independent chains each.
struct BennettPair {
  std::span<const double> forward;
  std::span<const double> reverse;
};

/// log Z_1 - log Z_0: the c for which as many draws of 0 look like draws of 1 as the other way round,
///   sum_0 sigmoid(w + m - c) = sum_1 sigmoid(w' - m + c),   m = log(n_1 / n_0)
/// for forward log-weights w and reverse ones w' (Bennett 1976; Shirts et al. 2003): the maximum-likelihood
/// estimate. Expects finite log-weights, at least one on either side. Throws NumericalError where one is not
/// finite.
double bennett_log_ratio(const BennettPair& pair);

/// log Z at the end of a path that begins at a machine of known log Z. The standard error is that of a
/// jackknife over groups of ensembles, so it holds where draws are autocorrelated and where replicas travel
/// along the path, as long as ensembles are independent. Expects at least two ensembles.
LogPartition bennett_log_partition(double reference_log_partition, std::span<const BennettPair> path,
                                   std::size_t n_ensembles);

}  // namespace tempera
