// The generalised Gaussian law, p(x) = beta / (2 alpha Gamma(1 / beta)) exp(-(|x - m| / alpha)^beta), fitted
// to responses: of filters to natural images the shape beta is well below 2, the Gaussian's.
#pragma once

#include <span>

#include "tempera/core/case_weights.hpp"

namespace tempera {

struct GeneralisedGaussian {
  double mean = 0.0;
  double scale = 1.0;  // alpha
  double shape = 2.0;  // beta

  [[nodiscard]] double log_density(double x) const;
};

/// Fisher information of (scale, shape) of one draw.
struct GeneralisedGaussianInformation {
  double scale_scale;
  double scale_shape;
  double shape_shape;
};
[[nodiscard]] GeneralisedGaussianInformation information(const GeneralisedGaussian& law);

/// Fit by natural gradient, one pass over the weighted values in the order given: theta += (1 / t) I^-1 score
/// in the logarithms of scale and shape, from the moments of the values. Asymptotically efficient: variance
/// I^-1 / n. Mean: that of the values. Shapes stay in [0.1, 20]. At least 16 values that are not all equal;
/// else the result is a Gaussian of their deviation. Source: docs/mathematics/metrics.md 4.17; steps of 1 /
/// t, Amari 1998.
[[nodiscard]] GeneralisedGaussian fit_generalised_gaussian(std::span<const float> values,
                                                           const CaseWeights& weights = {});

}  // namespace tempera
