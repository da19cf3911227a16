// log Z along training: a Kalman filter on the (time x temperature) lattice (Desjardins, Courville, Bengio
// 2011; docs/mathematics/log-partition.md 3.10 to 3.15).
//
// Between updates, importance sampling tells how log Z of every rung moved; at one time, Bennett's ratio
// tells how log Z of neighbouring rungs differ. Alone, increments drift, and ratios are noisy; the filter
// weighs both. The belief is a Gaussian over log Z of every rung, the one at beta = 0 known exactly. It sees
// log-weights, never a model.
//
// Draws come from chains that follow a moving machine and lag behind it. Every chain carries the sum of its
// log-weights of late, which to first order tells how much more or less likely it should be; means over draws
// are weighted by it (Jarzynski 1997; Neal 2001, with a memory that fades).
//
// The filter weighs measurements as if their errors were independent. They are not: the same chains give all
// of them, again and again. So its own covariance decides the weights and nothing else. The error bar comes
// from the influence of every ensemble of chains on log Z, which is followed through every step of the
// (linear) filter: ensembles never meet, so their influences are independent, and the infinitesimal jackknife
// (Jaeckel 1972; Efron 1982) gives the variance, whatever is correlated within an ensemble.
#pragma once

#include <Eigen/Core>
#include <span>
#include <vector>

#include "tempera/core/types.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/estimate/path.hpp"

namespace tempera {

/// Gaussian belief over log Z of n rungs, from beta = 0 up, in nats; where chains are shared with the
/// gradient, also over the bias of the increments at beta = 1, as the last entry.
struct LatticeBelief {
  using Square = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  Eigen::VectorXd mean;
  Square covariance;  // of the filter: what measurements are weighed by
  Square influences;  // entry x ensemble: the ensemble's influence on the mean, times the number of ensembles
  Square rest;        // covariance of the errors that no ensemble is to blame for
  Eigen::VectorXd lag;  // by how much what chains carry has moved the mean

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("mean", s.mean...);
    f("covariance", s.covariance...);
    f("influences", s.influences...);
    f("rest", s.rest...);
    f("lag", s.lag...);
  }

  /// log Z of rung k with its true error.
  [[nodiscard]] LogPartition at(Index k) const;
};

/// What is known exactly, of draws from n_ensembles ensembles to come; a bias, where there is one, begins at
/// 0.
LatticeBelief exact_belief(const Eigen::VectorXd& log_partition, Index n_ensembles, bool has_bias = false);

/// A measurement: its variance by which it is weighed, the part of it that no ensemble is to blame for, and
/// the influence of every ensemble, times their number.
struct LatticeMeasurement {
  double value = 0.0;
  double variance = 0.0;
  double rest = 0.0;
  double lag = 0.0;  // of the value, what is due to what chains carry
  std::vector<double> influences;
};

/// Time passes: log Z of rung k moves by increments[k]. The control form of the filter, to which the paper's
/// joint form tends as its prior widens. With a bias, the increment of the last rung is too large by it, and
/// it wanders by bias_step.
void advance_belief(std::span<const LatticeMeasurement> increments, double bias_step, LatticeBelief& belief);

/// log Z of rung k + 1 minus that of rung k was measured. Joseph form.
void measure_ratio(Index k, const LatticeMeasurement& ratio, LatticeBelief& belief);

/// log Z of rung k is known exactly.
void pin(Index k, double value, LatticeBelief& belief);

/// A rung k that repeats what is now rung k: the same machine twice. Or rung k goes.
void insert_rung(Index k, LatticeBelief& belief);
void remove_rung(Index k, LatticeBelief& belief);

/// A mean over draws, as a logarithm, with what it takes to judge it.
struct LogMean {
  double value = 0.0;
  double variance = 0.0;          // of independent draws
  double fraction = 1.0;          // of the draws that count, were all chains alike
  double carried_fraction = 1.0;  // of the chains that count
  double spread = 0.0;            // variance of the log-weights themselves
  double carried_spread = 0.0;    // and of what their chains carry
  double covariance = 0.0;  // of the draws' terms with what their chains carry, on the scale of `variance`
  double lag = 0.0;         // of the value, what is due to what chains carry
  std::vector<double> influences;  // of every draw on `value`, times their number
};

/// Fraction of n weights exp(log_weights) that count: (sum w)^2 / (n sum w^2).
double effective_fraction(std::span<const double> log_weights);

/// Bias of the logarithm of a mean of this relative variance, to second order; beyond a variance of 1 that
/// order says nothing, and the bias of 1 stands for all.
double log_mean_bias(double relative_variance);

/// log of the mean of exp(log_weights) over draws that count in proportion to exp(carried). `carried` may be
/// empty: all alike. Expects at least two draws. Throws NumericalError where one is not finite.
LogMean log_mean(std::span<const double> log_weights, std::span<const double> carried);

/// One temperature measurement: log Z_1 - log Z_0 by bridge sampling with the bridge that is best where it is
/// `expected` (Bennett 1976; Meng & Wong 1996). Unbiased to second order whatever is expected.
struct BridgeRatio {
  double value = 0.0;
  double variance = 0.0;           // of independent draws
  double lag = 0.0;                // of the value, what is due to what chains carry
  std::vector<double> influences;  // of each pair of draws on `value`, times their number
};
BridgeRatio bridge_ratio(const LogWeightPair& pair, std::span<const double> carried_0,
                         std::span<const double> carried_1, double expected);

}  // namespace tempera
