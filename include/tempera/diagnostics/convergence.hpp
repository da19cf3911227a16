// Whether samples mix: effective sample size, autocorrelation time and R-hat of several chains
// (docs/mathematics/tempering.md 2.13).
#pragma once

#include <vector>

namespace tempera {

/// One quantity followed along several chains.
struct Convergence {
  double effective_sample_size = 0.0;  // of all chains together, in draws
  double autocorrelation_time = 0.0;   // draws / effective_sample_size, at least 1
  double r_hat = 0.0;                  // 1 where the chains agree; NaN for a constant quantity
};

/// Rank-normalised split R-hat (the larger of the bulk's and the folded one) and bulk effective sample size
/// of Vehtari, Gelman, Simpson, Carpenter, Buerkner (2021), sections 3 and 4; correlations are summed as in
/// Geyer's initial monotone sequence. series[chain][draw]: at least one chain, all of the same length of at
/// least 4. A constant quantity has as many effective draws as draws and R-hat NaN. Cost: draws x correlation
/// time, and a sort.
Convergence convergence(const std::vector<std::vector<double>>& series);

/// R-hat of the above alone. Cost: a sort.
double r_hat(const std::vector<std::vector<double>>& series);

}  // namespace tempera
