#include "tempera/core/standardisation.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tempera {
namespace {

/// A deviation below this part of the mean is rounding.
constexpr double kRounding = 1e-7;

/// Mean and deviation of a column; of its values other than 0 where these have a probability of their own.
struct Moments {
  double mean = 0.0;
  double deviation = 0.0;  // 0 where the column does not vary
};

Moments moments_of(const Matrix& rows, const CaseWeights& weights, Index column, bool exact_zeros) {
  double n = 0.0;
  double sum = 0.0;
  for (Index i = 0; i < rows.rows(); ++i) {
    const double x = rows(i, column);
    if (exact_zeros && x == 0.0) continue;
    sum += weights[i] * x;
    n += weights[i];
  }
  if (n == 0.0) return {};
  const double mean = sum / n;
  double squares = 0.0;
  for (Index i = 0; i < rows.rows(); ++i) {
    const double x = rows(i, column);
    if (exact_zeros && x == 0.0) continue;
    squares += weights[i] * ((x - mean) * (x - mean));
  }
  const double deviation = std::sqrt(squares / n);
  return {mean, deviation > kRounding * std::abs(mean) ? deviation : 0.0};
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 1.0;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Standardisation Standardisation::inverse() const {
  return {-centre.cwiseQuotient(scale), scale.cwiseInverse()};
}

Matrix Standardisation::standardised(Matrix rows) const {
  if (empty()) return rows;
  for (Index i = 0; i < rows.rows(); ++i) {
    for (Index d = 0; d < rows.cols(); ++d)
      rows(i, d) = static_cast<float>((static_cast<double>(rows(i, d)) - centre[d]) / scale[d]);
  }
  return rows;
}

Matrix Standardisation::raw(Matrix rows) const {
  if (empty()) return rows;
  for (Index i = 0; i < rows.rows(); ++i) {
    for (Index d = 0; d < rows.cols(); ++d)
      rows(i, d) = static_cast<float>(centre[d] + scale[d] * static_cast<double>(rows(i, d)));
  }
  return rows;
}

double Standardisation::log_volume() const {
  double sum = 0.0;
  for (Index d = 0; d < scale.size(); ++d) sum += std::log(scale[d]);
  return sum;
}

double Standardisation::log_volume_of_others(std::span<const float> u) const {
  double sum = 0.0;
  for (Index d = 0; d < scale.size(); ++d) {
    if (u[static_cast<std::size_t>(d)] != 0.0F) sum += std::log(scale[d]);
  }
  return sum;
}

Standardisation fit_standardisation(const Matrix& rows, UnitFreedom freedom, bool exact_zeros,
                                    const CaseWeights& weights) {
  if (freedom == UnitFreedom::kNone) return {};
  Standardisation units{Eigen::VectorXd::Zero(rows.cols()), Eigen::VectorXd::Zero(rows.cols())};
  std::vector<double> varying;
  for (Index d = 0; d < rows.cols(); ++d) {
    const Moments moments = moments_of(rows, weights, d, exact_zeros);
    if (freedom == UnitFreedom::kAffine) units.centre[d] = moments.mean;
    units.scale[d] = moments.deviation;
    if (moments.deviation > 0.0) varying.push_back(moments.deviation);
  }
  const double usual = median_of(std::move(varying));
  units.scale = (units.scale.array() > 0.0).select(units.scale, usual);
  return units;
}

}  // namespace tempera
