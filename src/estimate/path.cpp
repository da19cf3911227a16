#include "tempera/estimate/path.hpp"

#include <Eigen/Dense>
#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

constexpr std::size_t kJackknifeGroups = 64;

/// A sum that vanishes at the estimate, and its derivative.
struct Score {
  double value = 0.0;
  double slope = 0.0;

  void add(double x, double sign) {
    const double p = sigmoid(x);
    value += sign * p;
    slope -= p * (1.0 - p);
  }
};

/// Estimate with its jackknife error, from the estimates without each group
/// (docs/mathematics/log-partition.md 3.9).
LogPartition with_error(double value, const std::vector<double>& without) {
  MeanVariance jackknife;
  for (const double v : without) jackknife.add(v);
  const auto g = static_cast<double>(without.size());
  const double error = std::sqrt((g - 1.0) * (g - 1.0) / g * jackknife.variance());
  return {value, std::isfinite(error) ? error : std::numeric_limits<double>::infinity(), 1.0};
}

std::size_t groups_of(std::size_t n_ensembles) { return std::min(kJackknifeGroups, n_ensembles); }

/// log mean exp of all draws, and without the draws of each group.
struct LogMeanExp {
  double all = 0.0;
  std::vector<double> without;

  LogMeanExp(std::span<const double> log_weights, std::size_t n_ensembles) : without(groups_of(n_ensembles)) {
    const double largest = *std::max_element(log_weights.begin(), log_weights.end());
    if (!std::isfinite(largest)) throw NumericalError("stepping stones: a log-weight is not finite");
    std::vector<double> sums(without.size());
    std::vector<double> counts(without.size());
    for (std::size_t i = 0; i < log_weights.size(); ++i) {
      const std::size_t g = i % n_ensembles % sums.size();
      sums[g] += std::exp(log_weights[i] - largest);
      counts[g] += 1.0;
    }
    double sum = 0.0;
    for (const double s : sums) sum += s;
    const auto n = static_cast<double>(log_weights.size());
    all = largest + std::log(sum / n);
    for (std::size_t g = 0; g < sums.size(); ++g)
      without[g] = largest + std::log((sum - sums[g]) / (n - counts[g]));
  }
};

/// log(n_1 / n_0).
double log_ratio_of_numbers(const LogWeightPair& pair) {
  return std::log(static_cast<double>(pair.reverse.size()) / static_cast<double>(pair.forward.size()));
}

}  // namespace

double bennett_log_ratio(const LogWeightPair& pair) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  MeanVariance forward;
  MeanVariance reverse;
  const auto see = [&](double x, MeanVariance& side) {
    if (!std::isfinite(x)) throw NumericalError("Bennett's ratio: a log-weight is not finite");
    low = std::min(low, x);
    high = std::max(high, x);
    side.add(x);
  };
  for (const double w : pair.forward) see(w, forward);
  for (const double w : pair.reverse) see(-w, reverse);
  const double m = log_ratio_of_numbers(pair);
  const auto score = [&](double c) {
    Score sum;
    for (const double w : pair.forward) sum.add(w + m - c, 1.0);
    for (const double w : pair.reverse) sum.add(w - m + c, -1.0);
    return std::pair(sum.value, sum.slope);
  };
  // Beyond these one side has vanished against the other.
  const double margin = 50.0 + std::abs(m);
  std::uintmax_t iterations = 200;
  constexpr int kBits = 40;
  return boost::math::tools::newton_raphson_iterate(score, 0.5 * (forward.mean() + reverse.mean()),
                                                    low - margin, high + margin, kBits, iterations);
}

LogPartition bennett_log_partition(double reference_log_partition, std::span<const LogWeightPair> path,
                                   std::size_t n_ensembles) {
  const std::size_t groups = groups_of(n_ensembles);
  double value = 0.0;
  std::vector<double> without(groups, 0.0);
  for (const LogWeightPair& pair : path) {
    const double c = bennett_log_ratio(pair);
    value += c;
    const double m = log_ratio_of_numbers(pair);
    std::vector<Score> scores(groups);
    for (std::size_t i = 0; i < pair.forward.size(); ++i)
      scores[i % n_ensembles % groups].add(pair.forward[i] + m - c, 1.0);
    for (std::size_t i = 0; i < pair.reverse.size(); ++i)
      scores[i % n_ensembles % groups].add(pair.reverse[i] - m + c, -1.0);
    Score all;
    for (const Score& score : scores) {
      all.value += score.value;
      all.slope += score.slope;
    }
    // Where no draw could have come from the other machine the sums are flat, and c says nothing.
    if (!(all.slope < -1e-9 * static_cast<double>(pair.forward.size())))
      return {reference_log_partition + value, std::numeric_limits<double>::infinity(), 1.0};
    // One step of Newton from the estimate with all groups to the one without a group.
    for (std::size_t g = 0; g < groups; ++g)
      without[g] += c - (all.value - scores[g].value) / (all.slope - scores[g].slope);
  }
  return with_error(reference_log_partition + value, without);
}

LogPartition stepping_stone_log_partition(double reference_log_partition, std::span<const LogWeightPair> path,
                                          std::size_t n_ensembles) {
  double value = 0.0;
  std::vector<double> without(groups_of(n_ensembles), 0.0);
  for (const LogWeightPair& pair : path) {
    const LogMeanExp forward(pair.forward, n_ensembles);
    const LogMeanExp reverse(pair.reverse, n_ensembles);
    value += 0.5 * (forward.all - reverse.all);
    for (std::size_t g = 0; g < without.size(); ++g)
      without[g] += 0.5 * (forward.without[g] - reverse.without[g]);
  }
  return with_error(reference_log_partition + value, without);
}

Eigen::VectorXd bennett_path(double reference_log_partition, std::span<const LogWeightPair> path) {
  Eigen::VectorXd values(static_cast<Index>(path.size()) + 1);
  values[0] = reference_log_partition;
  for (std::size_t k = 0; k < path.size(); ++k) {
    const auto i = static_cast<Index>(k);
    values[i + 1] = values[i] + bennett_log_ratio(path[k]);
  }
  return values;
}

namespace {

/// Gradient and Hessian of -log likelihood of the rungs of some draws in the log Z of rungs 1, 2, ...
struct RungLikelihood {
  double value = 0.0;
  Eigen::VectorXd gradient;
  Eigen::MatrixXd hessian;

  explicit RungLikelihood(Index n_rungs)
      : gradient(Eigen::VectorXd::Zero(n_rungs - 1)),
        hessian(Eigen::MatrixXd::Zero(n_rungs - 1, n_rungs - 1)) {}

  RungLikelihood& operator+=(const RungLikelihood& other) {
    value += other.value;
    gradient += other.gradient;
    hessian += other.hessian;
    return *this;
  }
};

/// Of every group of ensembles. With as many draws of every rung, draw x is of rung k with probability
/// proportional to exp(-F_k(x) - log Z_k) (docs/mathematics/log-partition.md 3.8).
std::vector<RungLikelihood> rung_likelihoods(const Eigen::Ref<const Eigen::MatrixXd>& energies,
                                             const Eigen::VectorXd& log_z, std::size_t n_ensembles) {
  const Index n_rungs = energies.cols();
  std::vector<RungLikelihood> groups(groups_of(n_ensembles), RungLikelihood(n_rungs));
  for (Index n = 0; n < energies.rows(); ++n) {
    RungLikelihood& group = groups[static_cast<std::size_t>(n / n_rungs) % n_ensembles % groups.size()];
    Eigen::VectorXd p = -(energies.row(n).transpose() + log_z);
    const double largest = p.maxCoeff();
    const double own = p[n % n_rungs];
    p = (p.array() - largest).exp();
    const double sum = p.sum();
    p /= sum;
    group.value += largest + std::log(sum) - own;
    const auto others = p.tail(n_rungs - 1);
    group.gradient -= others;
    if (n % n_rungs > 0) group.gradient[n % n_rungs - 1] += 1.0;
    group.hessian.diagonal() += others;
    group.hessian.selfadjointView<Eigen::Lower>().rankUpdate(others, -1.0);
  }
  return groups;
}

}  // namespace

LogPartition mbar_log_partition(const Eigen::Ref<const Eigen::MatrixXd>& energies, Eigen::VectorXd path,
                                std::size_t n_ensembles) {
  constexpr int kIterations = 50;
  constexpr double kConverged = 1e-9;
  if (!energies.allFinite()) throw NumericalError("MBAR: a free energy is not finite");
  const Index n_rungs = energies.cols();
  const auto total = [&](const std::vector<RungLikelihood>& groups) {
    RungLikelihood sum(n_rungs);
    for (const RungLikelihood& group : groups) sum += group;
    return sum;
  };
  const auto step_of = [](const RungLikelihood& likelihood) -> Eigen::VectorXd {
    return -likelihood.hessian.selfadjointView<Eigen::Lower>().ldlt().solve(likelihood.gradient);
  };
  std::vector<RungLikelihood> groups = rung_likelihoods(energies, path, n_ensembles);
  RungLikelihood now = total(groups);
  for (int t = 0; t < kIterations; ++t) {
    Eigen::VectorXd step = step_of(now);
    if (step.cwiseAbs().maxCoeff() < kConverged) break;
    // The likelihood is concave: a step that goes too far is halved.
    for (int halvings = 0; halvings < 30; ++halvings, step *= 0.5) {
      Eigen::VectorXd next = path;
      next.tail(n_rungs - 1) += step;
      groups = rung_likelihoods(energies, next, n_ensembles);
      const RungLikelihood there = total(groups);
      if (there.value > now.value + 1e-12 * std::abs(now.value)) continue;
      path = next;
      now = there;
      break;
    }
  }
  // Rungs whose draws no other rung could have made do not bind their log Z.
  const double least = now.hessian.diagonal().minCoeff() / static_cast<double>(energies.rows());
  if (!(least > 1e-12)) return {path[n_rungs - 1], std::numeric_limits<double>::infinity(), 1.0};
  std::vector<double> without;
  for (const RungLikelihood& group : groups) {
    RungLikelihood rest = now;
    rest.value -= group.value;
    rest.gradient -= group.gradient;
    rest.hessian -= group.hessian;
    without.push_back(path[n_rungs - 1] + step_of(rest)[n_rungs - 2]);
  }
  return with_error(path[n_rungs - 1], without);
}

}  // namespace tempera
