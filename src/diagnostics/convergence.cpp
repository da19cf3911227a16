#include "tempera/diagnostics/convergence.hpp"

#include <algorithm>
#include <boost/math/special_functions/erf.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "tempera/core/math.hpp"

namespace tempera {
namespace {

using Series = std::vector<std::vector<double>>;

/// Each chain as two; an odd draw in the middle is left out.
Series split(const Series& series) {
  Series halves;
  for (const auto& chain : series) {
    const auto half = static_cast<std::ptrdiff_t>(chain.size() / 2);
    halves.emplace_back(chain.begin(), chain.begin() + half);
    halves.emplace_back(chain.end() - half, chain.end());
  }
  return halves;
}

/// Normal scores of the average ranks, (r - 3/8) / (S + 1/4) (Blom 1958).
Series rank_normalised(const Series& series) {
  const std::size_t length = series.front().size();
  std::vector<double> all;
  for (const auto& chain : series) all.insert(all.end(), chain.begin(), chain.end());
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return all[a] < all[b]; });
  Series scores(series.size(), std::vector<double>(length));
  const auto total = static_cast<double>(all.size());
  for (std::size_t first = 0; first < order.size();) {
    std::size_t last = first;
    while (last < order.size() && all[order[last]] == all[order[first]]) ++last;
    const double rank = 0.5 * static_cast<double>(first + last + 1);
    const double p = (rank - 0.375) / (total + 0.25);
    const double score = -std::sqrt(2.0) * boost::math::erfc_inv(2.0 * p);
    for (; first < last; ++first) scores[order[first] / length][order[first] % length] = score;
  }
  return scores;
}

/// Variance within chains, and the estimate of the whole variance from within and between.
struct Variances {
  double within = 0.0;
  double whole = 0.0;
};

Variances variances(const Series& series) {
  const auto length = static_cast<double>(series.front().size());
  MeanVariance means;
  double within = 0.0;
  for (const auto& chain : series) {
    MeanVariance along;
    for (const double x : chain) along.add(x);
    means.add(along.mean());
    within += along.variance() / static_cast<double>(series.size());
  }
  return {within, within * (length - 1.0) / length + means.variance()};
}

double r_hat_of(const Series& series) {
  const auto [within, whole] = variances(series);
  if (whole == 0.0) return std::numeric_limits<double>::quiet_NaN();
  return std::sqrt(whole / within);  // infinity where every chain stands still at a place of its own
}

Series folded(const Series& series) {
  std::vector<double> all;
  for (const auto& chain : series) all.insert(all.end(), chain.begin(), chain.end());
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  const double median = all[all.size() / 2];
  Series result = series;
  for (auto& chain : result) {
    for (double& x : chain) x = std::abs(x - median);
  }
  return result;
}

/// Of the bulk, whose normal scores are given, and of what is folded about the median.
double larger_r_hat(const Series& halves, const Series& scores) {
  return std::max(r_hat_of(scores), r_hat_of(rank_normalised(folded(halves))));
}

bool all_finite(const Series& series) {
  return std::all_of(series.begin(), series.end(), [](const std::vector<double>& chain) {
    return std::all_of(chain.begin(), chain.end(), [](double x) { return std::isfinite(x); });
  });
}

/// Mean over chains of the autocovariance at one lag, divided by the length of a chain.
double autocovariance(const Series& centred, std::size_t lag) {
  double sum = 0.0;
  for (const auto& chain : centred) {
    for (std::size_t t = lag; t < chain.size(); ++t) sum += chain[t] * chain[t - lag];
  }
  return sum / static_cast<double>(centred.size() * centred.front().size());
}

/// 1 + 2 sum of the autocorrelations, at least 1: Geyer's initial monotone sequence over several chains.
double correlation_time(const Series& series) {
  const auto [within, whole] = variances(series);
  if (whole == 0.0) return 1.0;
  Series centred = series;
  for (auto& chain : centred) {
    const double mean = std::accumulate(chain.begin(), chain.end(), 0.0) / static_cast<double>(chain.size());
    for (double& x : chain) x -= mean;
  }
  const std::size_t length = series.front().size();
  const auto n = static_cast<double>(length);
  // Unbiased at lag 0, so that the chains' common part is seen against the whole variance.
  const auto correlation = [&, w = within, v = whole](std::size_t lag) {
    return 1.0 - (w - autocovariance(centred, lag) * n / (n - 1.0)) / v;
  };
  double sum = 0.0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t lag = 0; lag + 1 < length; lag += 2) {
    const double pair = (lag == 0 ? 1.0 : correlation(lag)) + correlation(lag + 1);
    if (pair <= 0.0) break;
    least = std::min(least, pair);
    sum += least;
  }
  return std::max(1.0, 2.0 * sum - 1.0);
}

}  // namespace

double r_hat(const Series& series) {
  if (!all_finite(series)) return std::numeric_limits<double>::infinity();
  const Series halves = split(series);
  return larger_r_hat(halves, rank_normalised(halves));
}

Convergence convergence(const Series& series) {
  // Ranks and means of what is no number say nothing: as bad as can be.
  if (!all_finite(series))
    return {0.0, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  const Series halves = split(series);
  const Series scores = rank_normalised(halves);
  Convergence result;
  result.r_hat = larger_r_hat(halves, scores);
  result.autocorrelation_time = correlation_time(scores);
  result.effective_sample_size =
      static_cast<double>(halves.size() * halves.front().size()) / result.autocorrelation_time;
  return result;
}

}  // namespace tempera
