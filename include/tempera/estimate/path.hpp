// log Z from draws of every machine along a path that begins at one of known log Z.
//
// Draws come from n_ensembles independent ensembles, each with one draw of every machine (rung) in a round.
// They may be autocorrelated, and replicas may travel along the path: every standard error is that of a
// jackknife over groups of ensembles, infinite where draws of neighbours do not overlap at all.
//
// Formulas: docs/mathematics/log-partition.md 3.6 to 3.9.
#pragma once

#include <Eigen/Core>

#include "tempera/estimate/log_partition.hpp"

namespace tempera {

/// Log-weights between two machines: F_0 - F_1 at draws of machine 0, and F_1 - F_0 at draws of machine 1;
/// [round * n_ensembles + ensemble].
struct LogWeightPair {
  std::span<const double> forward;
  std::span<const double> reverse;
};

/// log Z_1 - log Z_0: the c for which as many draws of 0 look like draws of 1 as the other way round,
///   sum_0 sigmoid(w + m - c) = sum_1 sigmoid(w' - m + c),   m = log(n_1 / n_0)
/// for forward log-weights w and reverse ones w' (Bennett 1976; Shirts et al. 2003): the maximum-likelihood
/// estimate. Expects at least one log-weight on either side. Throws NumericalError where one is not finite.
double bennett_log_ratio(const LogWeightPair& pair);

/// Sum of Bennett's ratios of neighbours. Expects at least two ensembles. Cost: about ten exponentials for
/// every log-weight.
LogPartition bennett_log_partition(double reference_log_partition, std::span<const LogWeightPair> path,
                                   std::size_t n_ensembles);

/// Stepping stones: mean of the two one-sided estimates log mean exp(w) and -log mean exp(w') of every pair
/// (Xie et al. 2011; both directions as in Surjanovic et al. 2023). Its bias has either sign; Bennett's ratio
/// has less variance.
LogPartition stepping_stone_log_partition(double reference_log_partition, std::span<const LogWeightPair> path,
                                          std::size_t n_ensembles);

/// All rungs at once (MBAR: Shirts & Chodera 2008): the log Z that maximise the likelihood of which rung each
/// draw came from. energies(n, k) = F_k of draw n, which comes from rung n mod K of ensemble n / K mod
/// n_ensembles. `path` are log Z of every rung to begin with, the first one known, as bennett_log_ratios
/// gives them. Cost: about five times draws x K^2 multiply-adds.
LogPartition mbar_log_partition(const Eigen::Ref<const Eigen::MatrixXd>& energies, Eigen::VectorXd path,
                                std::size_t n_ensembles);

/// log Z of every rung by Bennett's ratios, the first one known.
Eigen::VectorXd bennett_path(double reference_log_partition, std::span<const LogWeightPair> path);

}  // namespace tempera
