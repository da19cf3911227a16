// What is followed along chains to judge how they mix.
#pragma once

#include <limits>
#include <string>
#include <vector>

#include "tempera/diagnostics/clusters.hpp"
#include "tempera/diagnostics/convergence.hpp"

namespace tempera {

/// Quantities of some chains, or of the coldest replicas of some ensembles, draw after draw.
struct Trace {
  std::vector<std::vector<double>> free_energy;   // [chain][draw], at beta = 1, nats
  std::vector<std::vector<double>> mean_visible;  // fraction of the visibles that are 1
  std::vector<std::vector<Index>> cluster;        // of the data, that is nearest; empty without clusters
  Index n_clusters = 0;

  [[nodiscard]] std::size_t draws() const { return free_energy.empty() ? 0 : free_energy.front().size(); }
};

/// What a trace says. Chains that started at data ("warm") and at the reference machine ("cold") must agree:
/// rejections, round trips and likelihoods can all look well on chains that have never seen a mode.
struct MixingReport {
  Convergence free_energy;
  Convergence mean_visible;
  double autocorrelation_time = 1.0;                        // of the slowest quantity, in draws
  double effective_sample_size = 0.0;                       // of the slowest quantity
  double r_hat = std::numeric_limits<double>::quiet_NaN();  // the larger one; NaN without draws
  double starts_disagree = 0.0;  // largest |warm - cold| in standard errors of the means; 0 without warm ones
  bool starts_compared = false;
  Eigen::VectorXd occupancy;  // of the clusters of the data, over all draws; empty without them
  bool mixed = false;
  std::string
      verdict;  // "mixed" (and, without a comparison of starts, that it is none), or "not mixed: " and why
};

/// The quantities are the free energy, the mean visible, and for every cluster whether a chain is there. The
/// first n_warm chains of the trace started at data; 0 or all of them: no comparison of starts. Mixed
/// means R-hat below 1.05, at least 50 effective draws, and starts within 5 standard errors.
MixingReport assess_mixing(const Trace& trace, std::size_t n_warm);

}  // namespace tempera
