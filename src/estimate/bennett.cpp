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

/// Without the draws of one group of ensembles.
std::vector<double> leave_out(std::span<const double> values, std::size_t n_ensembles, std::size_t group,
                              std::size_t n_groups) {
  std::vector<double> kept;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % n_ensembles % n_groups != group) kept.push_back(values[i]);
  }
  return kept;
}

double solve(const BennettPair& pair, double guess) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  const auto see = [&](double x) {
    if (!std::isfinite(x)) throw NumericalError("Bennett's ratio: a log-weight is not finite");
    low = std::min(low, x);
    high = std::max(high, x);
  };
  for (const double w : pair.forward) see(w);
  for (const double w : pair.reverse) see(-w);
  const double m = std::log(static_cast<double>(pair.reverse.size()) /
                            static_cast<double>(pair.forward.size()));
  // The sums change sign between these: all terms of one side vanish against the other's.
  const double margin = 50.0 + std::abs(m);
  const auto difference = [&](double c) {
    double value = 0.0;
    double slope = 0.0;
    const auto add = [&](double x, double sign) {
      const double p = sigmoid(x);
      value += sign * p;
      slope -= p * (1.0 - p);
    };
    for (const double w : pair.forward) add(w + m - c, 1.0);
    for (const double w : pair.reverse) add(w - m + c, -1.0);
    return std::pair(value, slope);
  };
  low -= margin;
  high += margin;
  std::uintmax_t iterations = 200;
  constexpr int kBits = 40;
  return boost::math::tools::newton_raphson_iterate(difference, std::clamp(guess, low, high), low, high, kBits,
                                                    iterations);
}

/// Middle of what the two sides say.
double guess_of(const BennettPair& pair) {
  MeanVariance forward;
  MeanVariance reverse;
  for (const double w : pair.forward) forward.add(w);
  for (const double w : pair.reverse) reverse.add(-w);
  return 0.5 * (forward.mean() + reverse.mean());
}

}  // namespace

double bennett_log_ratio(const BennettPair& pair) { return solve(pair, guess_of(pair)); }

LogPartition bennett_log_partition(double reference_log_partition, std::span<const BennettPair> path,
                                   std::size_t n_ensembles) {
  const std::size_t groups = std::min(kJackknifeGroups, n_ensembles);
  double value = 0.0;
  std::vector<double> without(groups, 0.0);
  for (const BennettPair& pair : path) {
    const double ratio = bennett_log_ratio(pair);
    value += ratio;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::vector<double> forward = leave_out(pair.forward, n_ensembles, g, groups);
      const std::vector<double> reverse = leave_out(pair.reverse, n_ensembles, g, groups);
      without[g] += solve({forward, reverse}, ratio);
    }
  }
  MeanVariance jackknife;
  for (const double v : without) jackknife.add(v);
  const double g = static_cast<double>(groups);
  return {reference_log_partition + value, std::sqrt((g - 1.0) * (g - 1.0) / g * jackknife.variance()), 1.0};
}

}  // namespace tempera
