// Mean log-likelihood of a data set, from free energies and an estimate of log Z.
//
// Formulas: docs/mathematics/log-partition.md 3.18.
#pragma once

#include <span>

#include "tempera/core/case_weights.hpp"
#include "tempera/estimate/log_partition.hpp"

namespace tempera {

/// Nats per case.
struct Likelihood {
  double log_likelihood = 0.0;
  /// Both sources of error combined: log Z, and the finite number of cases.
  double standard_error = 0.0;
  std::uint64_t n_cases = 0;
};

/// Mean of -F(v_n) - log Z over the weighted cases.
Likelihood mean_log_likelihood(std::span<const double> free_energies, const LogPartition& log_partition,
                               const CaseWeights& weights = {});

/// log of the total probability that the estimate gives to distinct cases. Above 0 it contradicts itself.
double log_total_probability(std::span<const double> free_energies_of_distinct_cases,
                             const LogPartition& log_partition);

/// Throws NumericalError where the total probability of distinct cases exceeds 1 by more than the error bar
/// of log Z allows (3 standard errors): log Z is then far too low, and the likelihood is nonsense.
void require_possible(std::span<const double> free_energies_of_distinct_cases,
                      const LogPartition& log_partition);

}  // namespace tempera
