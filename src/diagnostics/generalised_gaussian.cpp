#include "tempera/diagnostics/generalised_gaussian.hpp"

#include <algorithm>
#include <boost/math/special_functions/digamma.hpp>
#include <boost/math/special_functions/gamma.hpp>
#include <boost/math/special_functions/trigamma.hpp>
#include <cmath>

#include "tempera/core/math.hpp"

namespace tempera {
namespace {

constexpr double kLeastShape = 0.1;
constexpr double kLargestShape = 20.0;
/// Values that the first steps count as having been seen already, so that none of them is long.
constexpr double kSeen = 100.0;
/// Largest step in a logarithm.
constexpr double kLongest = 0.2;

/// E|x - m|^2 / (E|x - m|)^2 falls with the shape: bisection.
double shape_of_ratio(double ratio) {
  const auto ratio_at = [](double shape) {
    return std::exp(std::lgamma(3.0 / shape) + std::lgamma(1.0 / shape) - 2.0 * std::lgamma(2.0 / shape));
  };
  double low = kLeastShape;
  double high = kLargestShape;
  for (int k = 0; k < 60; ++k) {
    const double middle = 0.5 * (low + high);
    (ratio_at(middle) > ratio ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

}  // namespace

double GeneralisedGaussian::log_density(double x) const {
  return std::log(shape / (2.0 * scale)) - std::lgamma(1.0 / shape) -
         std::pow(std::abs(x - mean) / scale, shape);
}

GeneralisedGaussianInformation information(const GeneralisedGaussian& law) {
  const double k = 1.0 / law.shape;
  const double psi = boost::math::digamma(1.0 + k);
  return {law.shape / (law.scale * law.scale), -(1.0 + psi) / (law.scale * law.shape),
          ((1.0 + k) * boost::math::trigamma(1.0 + k) + psi * psi + 2.0 * psi) /
              (law.shape * law.shape * law.shape)};
}

GeneralisedGaussian fit_generalised_gaussian(std::span<const float> values, const CaseWeights& weights) {
  MeanVariance moments;
  for (std::size_t n = 0; n < values.size(); ++n)
    moments.add(static_cast<double>(values[n]), weights[static_cast<Index>(n)]);
  GeneralisedGaussian law{moments.mean(), std::sqrt(2.0 * moments.variance()), 2.0};
  if (values.size() < 16 || moments.variance() == 0.0) return law;
  double absolute = 0.0;
  for (std::size_t n = 0; n < values.size(); ++n) {
    absolute += weights[static_cast<Index>(n)] * std::abs(static_cast<double>(values[n]) - law.mean) /
                moments.count();
  }
  law.shape = shape_of_ratio(moments.variance() / (absolute * absolute));
  law.scale = absolute * std::exp(std::lgamma(1.0 / law.shape) - std::lgamma(2.0 / law.shape));
  double t = kSeen;
  // A mean weight of 1: what has been seen before counts alike in any unit of the weights.
  const double mean_weight = weights.mean(static_cast<Index>(values.size()));
  for (std::size_t n = 0; n < values.size(); ++n) {
    const double weight = weights[static_cast<Index>(n)] / mean_weight;
    const double distance = std::abs(static_cast<double>(values[n]) - law.mean) / law.scale;
    const double log_distance = std::log(std::max(distance, 1e-300));
    const double power = std::exp(law.shape * log_distance);
    // Scores and information with respect to the logarithms.
    const double k = 1.0 / law.shape;
    const double score_scale = law.shape * power - 1.0;
    const double score_shape = 1.0 + boost::math::digamma(k) * k - law.shape * power * log_distance;
    const GeneralisedGaussianInformation plain = information(law);
    const double a = plain.scale_scale * law.scale * law.scale;
    const double b = plain.scale_shape * law.scale * law.shape;
    const double c = plain.shape_shape * law.shape * law.shape;
    const double determinant = a * c - b * b;
    const auto step = [&](double x) {
      return std::clamp(weight * x / (determinant * t), -kLongest, kLongest);
    };
    law.scale *= std::exp(step(c * score_scale - b * score_shape));
    law.shape =
        std::clamp(law.shape * std::exp(step(a * score_shape - b * score_scale)), kLeastShape, kLargestShape);
    t += weight;
  }
  return law;
}

}  // namespace tempera
