// Scalar functions in log space and small accumulators. All in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

namespace tempera {

/// log(1 + exp(x)) without overflow.
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

/// 1 / (1 + exp(-x)).
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x >= 0 ? 1.0 : e) / (1.0 + e);
}

/// log(p / (1 - p)).
inline double logit(double p) { return std::log(p) - std::log1p(-p); }

/// log sum_i exp(x_i), built one term at a time; the order of the terms fixes the bytes of the result.
class LogSumExp {
 public:
  void add(double x) {
    if (x <= max_) {
      if (x > -std::numeric_limits<double>::infinity()) sum_ += std::exp(x - max_);
    } else {
      sum_ = sum_ * std::exp(max_ - x) + 1.0;
      max_ = x;
    }
  }
  [[nodiscard]] double value() const { return max_ + std::log(sum_); }

 private:
  double max_ = -std::numeric_limits<double>::infinity();
  double sum_ = 0.0;
};

/// Running mean and variance (Welford 1962).
class MeanVariance {
 public:
  /// A value of weight 2 counts as two that are alike.
  void add(double x, double weight = 1.0) {
    count_ += weight;
    weight_squares_ += weight * weight;
    const double delta = x - mean_;
    mean_ += weight * delta / count_;
    squares_ += weight * delta * (x - mean_);
  }
  /// Sum of the weights.
  [[nodiscard]] double count() const { return count_; }
  [[nodiscard]] double mean() const { return mean_; }
  /// Unbiased; 0 where no more than one value was added. Weights of at least 1 are copies; smaller ones are
  /// of the accuracy of values.
  [[nodiscard]] double variance() const {
    if (!(count_ > 0)) return 0.0;
    const double free = count_ - std::min(1.0, weight_squares_ / count_);
    return free > 1e-12 * count_ ? squares_ / free : 0.0;
  }
  /// Of the mean of values that were drawn independently, whatever their weights (Kish 1965): copies are not
  /// further draws. 0 for fewer than two values.
  [[nodiscard]] double standard_error() const {
    if (!(count_ > 0)) return 0.0;
    const double free = count_ - weight_squares_ / count_;
    const double draws = count_ * count_ / weight_squares_;
    return free > 1e-12 * count_ ? std::sqrt(squares_ / free / draws) : 0.0;
  }

 private:
  double count_ = 0;
  double weight_squares_ = 0;
  double mean_ = 0;
  double squares_ = 0;
};

}  // namespace tempera
