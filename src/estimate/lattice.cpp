#include "tempera/estimate/lattice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Conditions on h'x = measured (docs/mathematics/log-partition.md 3.13).
void condition(const Eigen::VectorXd& h, const LatticeMeasurement& measured, LatticeBelief& belief) {
  const Eigen::VectorXd ph = belief.covariance * h;
  const double total = h.dot(ph) + measured.variance;
  if (!(total > 0.0)) return;  // known already
  const Eigen::VectorXd gain = ph / total;
  belief.mean += gain * (measured.value - h.dot(belief.mean));
  // (I - g h') P (I - g h')' + variance g g', multiplied out: symmetric whatever the rounding of g.
  const auto joseph = [&](LatticeBelief::Square& p, double variance) {
    const Eigen::VectorXd product = p * h;
    const double scale = h.dot(product) + variance;
    p += scale * gain * gain.transpose() - gain * product.transpose() - product * gain.transpose();
  };
  joseph(belief.covariance, measured.variance);
  joseph(belief.rest, measured.rest);
  Eigen::RowVectorXd change = -h.transpose() * belief.influences;
  for (std::size_t e = 0; e < measured.influences.size(); ++e)
    change[static_cast<Index>(e)] += measured.influences[e];
  belief.influences += gain * change;
  belief.lag += gain * (measured.lag - h.dot(belief.lag));
}

/// Weights in proportion to exp(carried), of sum 1.
std::vector<double> weights_of(std::span<const double> carried, std::size_t n) {
  std::vector<double> weights(n, 1.0 / static_cast<double>(n));
  if (carried.empty()) return weights;
  const double largest = *std::max_element(carried.begin(), carried.end());
  for (std::size_t i = 0; i < n; ++i) weights[i] = std::exp(carried[i] - largest);
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& w : weights) w /= sum;
  return weights;
}

/// Variance of a weighted mean over that of its terms, from the sum of the squared weights; as if of two
/// draws at least where hardly more than one counts, of which no spread can be told.
double of_mean(double squares) { return squares / std::max(0.5, 1.0 - squares); }

/// log of a weighted mean of exp(log_terms) and the relative deviation of every term
/// (docs/mathematics/log-partition.md 3.11).
struct Mean {
  double value = 0.0;
  double relative_variance = 0.0;
  std::vector<double> deviations;

  Mean(std::span<const double> log_terms, std::span<const double> weights) : deviations(log_terms.size()) {
    const double largest = *std::max_element(log_terms.begin(), log_terms.end());
    double sum = 0.0;
    for (std::size_t i = 0; i < log_terms.size(); ++i) {
      if (!std::isfinite(log_terms[i])) throw NumericalError("log Z tracking: a log-weight is not finite");
      deviations[i] = std::exp(log_terms[i] - largest);
      sum += weights[i] * deviations[i];
    }
    value = largest + std::log(sum);
    double squares = 0.0;  // of the weights: they say how many draws count
    for (std::size_t i = 0; i < log_terms.size(); ++i) {
      deviations[i] = deviations[i] / sum - 1.0;
      relative_variance += weights[i] * deviations[i] * deviations[i];
      squares += weights[i] * weights[i];
    }
    relative_variance *= of_mean(squares);
  }
};

}  // namespace

LogPartition LatticeBelief::at(Index k) const {
  const auto n = static_cast<double>(influences.cols());
  const double jackknife = n > 1 ? influences.row(k).squaredNorm() / (n * (n - 1.0)) : 0.0;
  return {mean[k], std::sqrt(jackknife + std::max(0.0, rest(k, k)) + lag[k] * lag[k]), 1.0};
}

LatticeBelief exact_belief(const Eigen::VectorXd& log_partition, Index n_ensembles, bool has_bias) {
  const Index n = log_partition.size() + (has_bias ? 1 : 0);
  const LatticeBelief::Square zero = LatticeBelief::Square::Zero(n, n);
  LatticeBelief belief{Eigen::VectorXd::Zero(n), zero, LatticeBelief::Square::Zero(n, n_ensembles), zero,
                       Eigen::VectorXd::Zero(n)};
  belief.mean.head(log_partition.size()) = log_partition;
  return belief;
}

void advance_belief(std::span<const LatticeMeasurement> increments, double bias_step, LatticeBelief& belief) {
  const auto n = static_cast<Index>(increments.size());
  const bool has_bias = belief.mean.size() > n;
  if (has_bias) {
    // z <- z + increment - bias, before which the bias wanders: F = [I, -e; 0, 1] for the last rung e.
    belief.mean[n - 1] -= belief.mean[n];
    belief.influences.row(n - 1) -= belief.influences.row(n);
    belief.lag[n - 1] -= belief.lag[n];
    const double q = bias_step * bias_step;
    for (LatticeBelief::Square* p : {&belief.covariance, &belief.rest}) {
      p->row(n - 1) -= p->row(n).eval();
      p->col(n - 1) -= p->col(n).eval();
      (*p)(n - 1, n - 1) += q;
      (*p)(n, n) += q;
      (*p)(n - 1, n) -= q;
      (*p)(n, n - 1) -= q;
    }
  }
  for (Index k = 0; k < n; ++k) {
    const LatticeMeasurement& moved = increments[static_cast<std::size_t>(k)];
    belief.mean[k] += moved.value;
    belief.covariance(k, k) += moved.variance;
    belief.rest(k, k) += moved.rest;
    belief.lag[k] += moved.lag;
    for (std::size_t e = 0; e < moved.influences.size(); ++e)
      belief.influences(k, static_cast<Index>(e)) += moved.influences[e];
  }
}

void measure_ratio(Index k, const LatticeMeasurement& ratio, LatticeBelief& belief) {
  Eigen::VectorXd h = Eigen::VectorXd::Zero(belief.mean.size());
  h[k] = -1.0;
  h[k + 1] = 1.0;
  condition(h, ratio, belief);
}

void pin(Index k, double value, LatticeBelief& belief) {
  condition(Eigen::VectorXd::Unit(belief.mean.size(), k), {value, 0.0, 0.0, 0.0, {}}, belief);
  belief.mean[k] = value;
  belief.influences.row(k).setZero();
  belief.lag[k] = 0.0;
  for (LatticeBelief::Square* p : {&belief.covariance, &belief.rest}) {
    p->row(k).setZero();
    p->col(k).setZero();
  }
}

namespace {

/// The belief over these entries, which may repeat.
LatticeBelief select(const LatticeBelief& belief, const std::vector<Index>& entries) {
  const auto n = static_cast<Index>(entries.size());
  LatticeBelief selected{Eigen::VectorXd(n), LatticeBelief::Square(n, n),
                         LatticeBelief::Square(n, belief.influences.cols()), LatticeBelief::Square(n, n),
                         Eigen::VectorXd(n)};
  for (Index i = 0; i < n; ++i) {
    const Index from = entries[static_cast<std::size_t>(i)];
    selected.mean[i] = belief.mean[from];
    selected.lag[i] = belief.lag[from];
    selected.influences.row(i) = belief.influences.row(from);
    for (Index j = 0; j < n; ++j) {
      const Index other = entries[static_cast<std::size_t>(j)];
      selected.covariance(i, j) = belief.covariance(from, other);
      selected.rest(i, j) = belief.rest(from, other);
    }
  }
  return selected;
}

std::vector<Index> all_entries(const LatticeBelief& belief) {
  std::vector<Index> entries(static_cast<std::size_t>(belief.mean.size()));
  std::iota(entries.begin(), entries.end(), Index{0});
  return entries;
}

}  // namespace

void insert_rung(Index k, LatticeBelief& belief) {
  std::vector<Index> entries = all_entries(belief);
  entries.insert(entries.begin() + k, k);
  belief = select(belief, entries);
}

void remove_rung(Index k, LatticeBelief& belief) {
  std::vector<Index> entries = all_entries(belief);
  entries.erase(entries.begin() + k);
  belief = select(belief, entries);
}

double effective_fraction(std::span<const double> log_weights) {
  const double largest = *std::max_element(log_weights.begin(), log_weights.end());
  double sum = 0.0;
  double squares = 0.0;
  for (const double x : log_weights) {
    const double w = std::exp(x - largest);
    sum += w;
    squares += w * w;
  }
  const double fraction = sum * sum / (squares * static_cast<double>(log_weights.size()));
  return std::isfinite(fraction) ? fraction : 0.0;
}

double log_mean_bias(double relative_variance) { return -0.5 * std::min(relative_variance, 1.0); }

LogMean log_mean(std::span<const double> log_weights, std::span<const double> carried) {
  const std::vector<double> weights = weights_of(carried, log_weights.size());
  const Mean mean(log_weights, weights);
  LogMean result;
  result.value = mean.value;
  result.variance = mean.relative_variance;
  result.fraction = effective_fraction(log_weights);
  if (!carried.empty()) {
    result.carried_fraction = effective_fraction(carried);
    result.lag = mean.value - Mean(log_weights, weights_of({}, log_weights.size())).value;
  }
  const auto n = static_cast<double>(weights.size());
  const auto mean_of = [&](std::span<const double> values) {
    double sum = 0.0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += weights[i] * values[i];
    return sum;
  };
  const double centre = mean_of(log_weights);
  const double carried_centre = mean_of(carried);
  double squares = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    result.influences.push_back(n * weights[i] * mean.deviations[i]);
    result.spread += weights[i] * (log_weights[i] - centre) * (log_weights[i] - centre);
    squares += weights[i] * weights[i];
  }
  for (std::size_t i = 0; i < carried.size(); ++i) {
    const double deviation = carried[i] - carried_centre;
    result.carried_spread += weights[i] * deviation * deviation;
    result.covariance += weights[i] * mean.deviations[i] * deviation;
  }
  result.covariance *= of_mean(squares);
  return result;
}

BridgeRatio bridge_ratio(const LogWeightPair& pair, std::span<const double> carried_0,
                         std::span<const double> carried_1, double expected) {
  const auto log_bridge = [](std::span<const double> log_weights, double shift) {
    std::vector<double> terms;
    for (const double w : log_weights) terms.push_back(-softplus(shift - w));  // log sigmoid(w - shift)
    return terms;
  };
  const std::vector<double> weights_0 = weights_of(carried_0, pair.forward.size());
  const std::vector<double> weights_1 = weights_of(carried_1, pair.reverse.size());
  const Mean mean_0(log_bridge(pair.forward, expected), weights_0);
  const Mean mean_1(log_bridge(pair.reverse, -expected), weights_1);
  BridgeRatio ratio;
  ratio.value = expected + (mean_0.value - log_mean_bias(mean_0.relative_variance)) -
                (mean_1.value - log_mean_bias(mean_1.relative_variance));
  ratio.variance = mean_0.relative_variance + mean_1.relative_variance;
  const auto unweighted = [&](std::span<const double> log_weights, double shift) {
    return Mean(log_bridge(log_weights, shift), weights_of({}, log_weights.size())).value;
  };
  ratio.lag = mean_0.value - mean_1.value -
              (unweighted(pair.forward, expected) - unweighted(pair.reverse, -expected));
  const auto n = static_cast<double>(pair.forward.size());
  for (std::size_t i = 0; i < pair.forward.size(); ++i) {
    ratio.influences.push_back(n *
                               (weights_0[i] * mean_0.deviations[i] - weights_1[i] * mean_1.deviations[i]));
  }
  return ratio;
}

}  // namespace tempera
