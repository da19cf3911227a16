// What can be said of a training run at its end, in one line.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "tempera/estimate/likelihood.hpp"

namespace tempera {

/// NaN and nothing where it is not known. Likelihoods are in nats a case.
struct TrainingVerdict {
  bool of_validation = false;           // of which cases the baselines are: else of training cases
  double likelihood = kUnknown;         // of the model that is offered
  double likelihood_error = kUnknown;   // of log Z alone, since all are compared on the same cases
  double independent = kUnknown;        // of independent units
  std::optional<double> gaussian;       // of a full Gaussian, for real values
  std::optional<bool> trusted;          // log Z
  double r_hat = kUnknown;              // of the chains of the gradient, since the last report
  double effective_draws = kUnknown;    // of these chains
  double cluster_variation = kUnknown;  // between the masses of clusters that these chains and the data have
  std::optional<double> overfitting;    // what validation has lost since its best
  std::uint64_t best_update = 0;        // of the best validation
  std::optional<double> rising;         // what the last quarter of the updates has gained
  bool watched = false;                 // by validation cases
  std::optional<std::uint64_t> offered_update;  // of the model that is offered where it is not the last one

  /// "32.1 nats above independent units (validation), log Z trusted, chains mixed, still rising (0.3 nats
  /// ...)".
  [[nodiscard]] std::string words() const;

 private:
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
};

/// A row of metrics.csv, as far as a verdict reads it.
struct CurvePoint {
  std::uint64_t update = 0;
  double train = std::numeric_limits<double>::quiet_NaN();
  double validation = std::numeric_limits<double>::quiet_NaN();
  double log_partition_error = std::numeric_limits<double>::quiet_NaN();
};

/// Fills in what the curves of a run tell: overfitting and whether the likelihood still rises.
void read_curves(const std::vector<CurvePoint>& curve, TrainingVerdict& verdict);

}  // namespace tempera
