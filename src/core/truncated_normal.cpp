#include "tempera/core/truncated_normal.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tempera {
namespace {

/// Beyond this the tail's asymptotic series is exact to rounding, and erfc comes near to underflow.
constexpr double kFar = 30.0;
constexpr int kMostSteps = 50;

double log_density(double z) { return -0.5 * z * z - 0.5 * std::log(2.0 * std::numbers::pi); }

/// log(exp(a) - exp(b)), a > b.
double log_difference(double a, double b) { return a + std::log1p(-std::exp(b - a)); }

/// The x >= 0 with log P(z > x) = value, value <= log(1/2).
double inverse_log_tail(double value) {
  double x = std::sqrt(std::max(0.0, -2.0 * (value + std::numbers::ln2)));
  for (int step = 0; step < kMostSteps; ++step) {
    const double tail = log_normal_tail(x);
    const double change = (tail - value) * std::exp(tail - log_density(x));
    x += change;
    if (std::abs(change) <= 1e-14 * (1.0 + std::abs(x))) break;
  }
  return x;
}

}  // namespace

double log_normal_tail(double x) {
  if (x <= kFar) return std::log(0.5 * std::erfc(x / std::numbers::sqrt2));
  const double q = 1.0 / (x * x);
  return log_density(x) - std::log(x) + std::log1p(-q * (1.0 - 3.0 * q * (1.0 - 5.0 * q * (1.0 - 7.0 * q))));
}

double log_normal_mass(double low, double high) {
  if (low >= 0) return log_difference(log_normal_tail(low), log_normal_tail(high));
  if (high <= 0) return log_normal_mass(-high, -low);
  return std::log(0.5 * (std::erf(high / std::numbers::sqrt2) - std::erf(low / std::numbers::sqrt2)));
}

double truncated_normal_quantile(double low, double high, double u) {
  // In the lower half of the law the lower tail is the one that is known to full precision.
  if (high <= 0) return -truncated_normal_quantile(-high, -low, 1.0 - u);
  double x = 0.0;
  if (low >= 0) {
    const double from = log_normal_tail(low);
    const double share = -std::expm1(log_normal_tail(high) - from);  // of the tail beyond `low`
    x = inverse_log_tail(from + std::log1p(-u * share));
  } else {
    const double below = std::exp(log_normal_tail(-low));
    const double p = below + u * std::exp(log_normal_mass(low, high));
    x = p < 0.5 ? -inverse_log_tail(std::log(p)) : inverse_log_tail(std::log1p(-p));
  }
  return std::clamp(x, low, high);
}

double truncated_normal_mean(double low, double high) {
  if (high <= 0) return -truncated_normal_mean(-high, -low);
  const double mass = log_normal_mass(low, high);
  return std::clamp(std::exp(log_density(low) - mass) - std::exp(log_density(high) - mass), low, high);
}

}  // namespace tempera
