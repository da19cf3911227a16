#include "tempera/estimate/likelihood.hpp"

#include <cmath>
#include <cstdio>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"

namespace tempera {

Likelihood mean_log_likelihood(std::span<const double> free_energies, const LogPartition& log_partition,
                               const CaseWeights& weights) {
  MeanVariance cases;
  for (std::size_t n = 0; n < free_energies.size(); ++n)
    cases.add(-free_energies[n], weights[static_cast<Index>(n)]);
  return {cases.mean() - log_partition.value,
          std::hypot(cases.standard_error(), log_partition.standard_error), free_energies.size()};
}

double log_total_probability(std::span<const double> free_energies_of_distinct_cases,
                             const LogPartition& log_partition) {
  LogSumExp total;
  for (const double f : free_energies_of_distinct_cases) total.add(-f);
  return total.value() - log_partition.value;
}

void require_possible(std::span<const double> free_energies_of_distinct_cases,
                      const LogPartition& log_partition) {
  const double log_total = log_total_probability(free_energies_of_distinct_cases, log_partition);
  // Exact values are allowed the rounding of the float parameters' sums.
  if (log_total <= 3.0 * log_partition.standard_error + 1e-6) return;
  char message[256];
  std::snprintf(
      message, sizeof message,
      "log Z = %.4f (standard error %.4f) is impossible: the distinct cases would have total probability "
      "exp(%.2f) > 1; use more betas or chains, or --method exact",
      log_partition.value, log_partition.standard_error, log_total);
  throw NumericalError(message);
}

}  // namespace tempera
