// What one update did, for observers.
#pragma once

#include <limits>
#include <vector>

#include "tempera/core/observer.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/train/metrics/all_metrics.hpp"
#include "tempera/train/step.hpp"

namespace tempera {

inline constexpr double kNotKnown = std::numeric_limits<double>::quiet_NaN();

struct UpdateReport {
  std::uint64_t update = 0;  // updates made so far
  std::uint64_t total = 0;
  std::uint64_t epoch = 0;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;  // of the mean log-likelihood, centred coordinates, before clipping
  double step_norm = 0.0;
  // Of a metric's step, in reported updates (train/step.hpp).
  StepReport natural{kNotKnown, kNotKnown, kNotKnown};
  SolveReport solve;
  double projections = kNotKnown;  // updates so far after which one acted
  // Of reported updates: hidden units of each layer whose expectation varies over the batch.
  std::vector<Index> live_units;
  // Means over the batch and over the negative chains, before the update; of reported updates only.
  double data_free_energy = kNotKnown;
  double chain_free_energy = kNotKnown;
  // How up to 64 of the persistent chains mixed since the last report, from about 32 looks at them: of their
  // free energy, fraction of ones and cluster of the data. The parameters move meanwhile. Not known for cd
  // and for fewer than eight looks; times in updates.
  double r_hat = kNotKnown;
  double autocorrelation_time = kNotKnown;
  double effective_sample_size = kNotKnown;
  double cluster_variation = kNotKnown;  // total variation from the data's
  // Of the model that training offers, after reported updates, where it is tracked.
  LogPartition log_partition{kNotKnown, kNotKnown, 1.0};
};

}  // namespace tempera
