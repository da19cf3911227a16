// The normal law between bounds against quadrature, far in the tails.
#include "tempera/core/truncated_normal.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>

namespace tempera {
namespace {

struct Moments {
  double log_mass;
  double mean;
  double variance;
};

/// Simpson's rule on exp(-(z^2 - a^2) / 2), a the point of the interval that is next to 0.
Moments integrated(double low, double high) {
  const double nearest = low > 0 ? low : high < 0 ? high : 0.0;
  const double reach = 12.0 / std::max(1.0, std::abs(nearest));
  const double from = nearest == high ? std::max(low, high - 4 * reach) : std::max(low, nearest - 12.0);
  const double to = nearest == high ? high : std::min(high, nearest + (nearest == low ? 4 * reach : 12.0));
  constexpr int kSteps = 20000;
  const double h = (to - from) / kSteps;
  double sum = 0.0;
  double first = 0.0;
  double second = 0.0;
  for (int k = 0; k <= kSteps; ++k) {
    const double z = from + h * k;
    const double d = z - nearest;
    const double weight = (k == 0 || k == kSteps ? 1.0
                           : k % 2 == 1          ? 4.0
                                                 : 2.0) *
                          h / 3.0 * std::exp(-d * (nearest + 0.5 * d));
    sum += weight;
    first += weight * d;
    second += weight * d * d;
  }
  const double mean = first / sum;
  return {std::log(sum) - 0.5 * nearest * nearest - 0.5 * std::log(2 * std::numbers::pi), nearest + mean,
          second / sum - mean * mean};
}

constexpr double kIntervals[][2] = {{-1, 1},  {0, 3},     {-0.2, 5}, {5, 9},  {10, 20},    {40, 60},
                                    {-9, -5}, {-60, -40}, {29, 31},  {-8, 8}, {39, 39.01}, {0.3, 0.4}};

TEST(TruncatedNormal, MassAndMeanEqualQuadrature) {
  for (const auto& [low, high] : kIntervals) {
    const Moments exact = integrated(low, high);
    EXPECT_NEAR(log_normal_mass(low, high), exact.log_mass, 1e-9 * (1 + std::abs(exact.log_mass)))
        << low << " " << high;
    EXPECT_NEAR(truncated_normal_mean(low, high), exact.mean, 1e-8) << low << " " << high;
  }
}

TEST(TruncatedNormal, TheTailIsSmoothWhereTheSeriesBegins) {
  EXPECT_NEAR(log_normal_tail(30.0 - 1e-9), log_normal_tail(30.0 + 1e-9), 1e-7);
  EXPECT_NEAR(log_normal_tail(0.0), -std::numbers::ln2, 1e-15);
  EXPECT_NEAR(log_normal_tail(-3.0), std::log1p(-std::exp(log_normal_tail(3.0))), 1e-14);
}

/// Largest error of mean and standard deviation, in standard deviations, of what evenly spaced uniforms give.
double worst_error(const std::function<double(double, double, double)>& quantile, double low, double high) {
  const Moments exact = integrated(low, high);
  constexpr int kDraws = 100000;
  double first = 0.0;
  double second = 0.0;
  for (int k = 0; k < kDraws; ++k) {
    const double d = quantile(low, high, (k + 0.5) / kDraws) - exact.mean;
    first += d / kDraws;
    second += d * d / kDraws;
  }
  const double deviation = std::sqrt(exact.variance);
  const double error = std::max(std::abs(first) / deviation, std::abs(std::sqrt(second) / deviation - 1.0));
  return std::isfinite(error) ? error : 1e300;
}

TEST(TruncatedNormal, DrawsHaveTheMomentsAtAnyDistance) {
  for (const auto& [low, high] : kIntervals)
    EXPECT_LT(worst_error(truncated_normal_quantile, low, high), 2e-4) << low << " " << high;
  for (const double u : {1e-9, 0.3, 1 - 1e-9}) {
    const double x = truncated_normal_quantile(40.0, 60.0, u);
    EXPECT_GT(x, 40.0);
    EXPECT_LT(x, 41.0);
  }
}

TEST(TruncatedNormal, ADistributionFunctionThatIsInvertedByItselfIsCaught) {
  const auto phi = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  const auto naive = [&](double low, double high, double u) {
    const double p = phi(low) + u * (phi(high) - phi(low));
    double from = low;
    double to = high;
    for (int k = 0; k < 60; ++k) {
      const double middle = 0.5 * (from + to);
      (phi(middle) < p ? from : to) = middle;
    }
    return from;
  };
  EXPECT_LT(worst_error(naive, 0, 3), 2e-4);
  EXPECT_GT(worst_error(naive, 10, 20), 0.1) << "planted: it collapses onto the bound";
}

}  // namespace
}  // namespace tempera
