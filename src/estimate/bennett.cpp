#include "tempera/estimate/bennett.hpp"

#include <algorithm>
#include <boost/math/tools/roots.hpp>
#include <cmath>
#include <utility>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

constexpr std::size_t kJackknifeGroups = 16;

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

/// log(n_1 / n_0).
double log_ratio_of_numbers(const BennettPair& pair) {
  return std::log(static_cast<double>(pair.reverse.size()) / static_cast<double>(pair.forward.size()));
}

}  // namespace

double bennett_log_ratio(const BennettPair& pair) {
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

LogPartition bennett_log_partition(double reference_log_partition, std::span<const BennettPair> path,
                                   std::size_t n_ensembles) {
  const std::size_t groups = std::min(kJackknifeGroups, n_ensembles);
  double value = 0.0;
  std::vector<double> without(groups, 0.0);
  for (const BennettPair& pair : path) {
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
    // One step of Newton from the estimate with all groups to the one without a group.
    for (std::size_t g = 0; g < groups; ++g)
      without[g] += c - (all.value - scores[g].value) / (all.slope - scores[g].slope);
  }
  MeanVariance jackknife;
  for (const double v : without) jackknife.add(v);
  const auto g = static_cast<double>(groups);
  return {reference_log_partition + value, std::sqrt((g - 1.0) * (g - 1.0) / g * jackknife.variance()), 1.0};
}

}  // namespace tempera
