#include "tempera/models/units/gaussian_visibles.hpp"

#include <algorithm>
#include <vector>

#include "real_layer.hpp"
#include "tempera/core/truncated_normal.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

/// Variance of a column that does not vary, in the median one of the others: what its likelihood means is
/// this floor alone.
constexpr double kConstantVariance = 1e-4;

/// A box around the mean of a normal law, in its standard deviations.
struct Bounds {
  double low;
  double high;
  double deviation;
};
Bounds bounds_of(double box, double mean, double precision) {
  const double root = std::sqrt(precision);
  return {(-box - mean) * root, (box - mean) * root, 1.0 / root};
}

/// Normal draws of unit d that fell outside of the box are drawn from the law inside of it: all draws then
/// have that law. Their uniforms come from the words that settle ties of bits (core/random.hpp), of which
/// real visibles need none.
void draw_again_outside(float box, const Lanes& mean, const Lanes& precision, Index d, Index lanes,
                        const LaneStream& stream, LaneMatrix& v) {
  if ((v.row(d).array().abs() <= box).all()) return;
  QuadDraws words;
  draw_quad(stream, kTieDraws | static_cast<std::uint32_t>(d / 4), words);
  for (Index c = 0; c < lanes; ++c) {
    if (std::abs(v(d, c)) <= box) continue;
    const Bounds bounds = bounds_of(box, mean[c], precision[c]);
    const double u = (words[static_cast<std::size_t>(d % 4)][static_cast<std::size_t>(c)] + 0.5) * 0x1p-32;
    const double z = truncated_normal_quantile(bounds.low, bounds.high, u);
    v(d, c) = std::clamp(static_cast<float>(static_cast<double>(mean[c]) + bounds.deviation * z), -box, box);
  }
}

/// Variances of which none is 0.
Eigen::VectorXd floored(const Eigen::VectorXd& variances) {
  std::vector<double> varying;
  for (const double variance : variances) {
    if (variance > 0.0) varying.push_back(variance);
  }
  if (varying.empty()) return Eigen::VectorXd::Ones(variances.size());
  const auto middle = varying.begin() + static_cast<std::ptrdiff_t>(varying.size() / 2);
  std::nth_element(varying.begin(), middle, varying.end());
  return (variances.array() > 0.0).select(variances, kConstantVariance * *middle);
}

}  // namespace

GaussianVisibles::Reference GaussianVisibles::fit_reference(const RealData& data) {
  const Eigen::VectorXd variance = floored(data.variances());
  Reference reference;
  reference.visible_precision = variance.cwiseInverse().cast<float>();
  reference.visible_bias = data.means().cwiseQuotient(variance).cast<float>();
  return reference;
}

GaussianVisibles::Params GaussianVisibles::initial(const Reference& reference, const InitialValues& values) {
  Params own = reference;
  if (values.visible_precision) {
    // Within the bounds: a bias that was made for another precision would be another mean.
    for (Index d = 0; d < own.visible_precision.size(); ++d)
      own.visible_precision[d] =
          bounded_precision(static_cast<float>(*values.visible_precision), reference.visible_precision[d]);
    own.visible_bias =
        reference.visible_bias.cwiseQuotient(reference.visible_precision).cwiseProduct(own.visible_precision);
  }
  return own;
}

void GaussianVisibles::load(const RealData& data, std::span<const Index> cases, LaneMatrix& v) {
  load_real(data, cases, v);
}

Eigen::VectorXd GaussianVisibles::case_values(std::span<const float> row, Index n) {
  return real_case(row, n);
}

void GaussianVisibles::add_noise(double standard_deviation, const LaneStream& stream, Index lanes,
                                 LaneMatrix& v) {
  LaneMatrix noise(v.rows(), kLanes);
  sample_normals({0, v.rows()}, stream, 0, noise.data());
  v.leftCols(lanes) += static_cast<float>(standard_deviation) * noise.leftCols(lanes);
}

void GaussianVisibles::filter_input(const Matrix& weights, const LaneMatrix& v, Index, UnitRange filters,
                                    UnitScratch&, LaneMatrix& input) {
  real_filter_input(weights, v, filters, input);
}

void GaussianVisibles::sample(const Reference& reference, const Params& own, const VisibleInput& input,
                              const LaneFloats& betas, Index lanes, const LaneStream& stream, UnitScratch&,
                              LaneMatrix& v) {
  Part noise;
  sample_normals(input.part, stream, 0, noise.data());
  const Lanes beta = lanes_of(betas);
  const Lanes mask = lane_mask(lanes);
  for (Index k = 0; k < input.part.size(); ++k) {
    const Index d = input.part.first + k;
    Lanes precision = mixed(reference.visible_precision[d], own.visible_precision[d], beta);
    if (input.precision != nullptr) precision += beta * ConstLanesMap(input.precision + k * kLanes);
    const Lanes drive = mixed(reference.visible_bias[d], own.visible_bias[d], beta) +
                        beta * ConstLanesMap(input.drive + k * kLanes);
    const Lanes mean = drive / precision;
    v.row(d) = (mask * (mean + noise.row(k) * precision.rsqrt())).matrix();
    if (input.box != nullptr) draw_again_outside(input.box[d], mean, precision, d, lanes, stream, v);
  }
}

Lanes GaussianVisibles::mean(const Params& own, Index d, const VisibleInput& input) {
  const Lanes precision = own.visible_precision[d] + ConstLanesMap(input.precision);
  const Lanes mean = (own.visible_bias[d] + ConstLanesMap(input.drive)) / precision;
  if (input.box == nullptr) return mean;
  Lanes inside;
  for (Index c = 0; c < kLanes; ++c) {
    const Bounds bounds = bounds_of(input.box[d], mean[c], precision[c]);
    inside[c] = static_cast<float>(static_cast<double>(mean[c]) +
                                   bounds.deviation * truncated_normal_mean(bounds.low, bounds.high));
  }
  return inside;
}

void GaussianVisibles::add_energies(const Reference& reference, const Params& own, const LaneFloats& betas,
                                    const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  using Doubles = Eigen::Array<double, 1, kLanes>;
  Doubles at_reference = Doubles::Zero();
  Doubles at_own = Doubles::Zero();
  for (Index d = 0; d < v.rows(); ++d) {
    const Doubles x = v.row(d).array().cast<double>();
    const auto energy = [&](const Params& p) {
      return x *
             (0.5 * static_cast<double>(p.visible_precision[d]) * x - static_cast<double>(p.visible_bias[d]));
    };
    at_reference += energy(reference);
    at_own += energy(own);
  }
  const Doubles beta = lanes_of(betas).cast<double>();
  add_to(out, at_reference + beta * (at_own - at_reference), lanes);
}

double GaussianVisibles::energy(const Reference& reference, const Params& own, double beta,
                                const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum += v[d] * (0.5 * mixed(reference.visible_precision[d], own.visible_precision[d], beta) * v[d] -
                   mixed(reference.visible_bias[d], own.visible_bias[d], beta));
  return sum;
}

double GaussianVisibles::log_partition(const Reference& r, const float* box) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_bias.size(); ++d) {
    const double p = r.visible_precision[d];
    const double a = r.visible_bias[d];
    sum += 0.5 * std::log(kTwoPi / p) + 0.5 * a * a / p;
    if (box != nullptr) {
      const Bounds bounds = bounds_of(box[d], a / p, p);
      sum += log_normal_mass(bounds.low, bounds.high);
    }
  }
  return sum;
}

void GaussianVisibles::mixture_terms(const Reference& reference, const Params& own, double beta,
                                     std::span<const Word>, Eigen::VectorXd& precision,
                                     Eigen::VectorXd& linear, Eigen::VectorXd& seen, double&) {
  seen.setOnes();
  for (Index d = 0; d < precision.size(); ++d) {
    precision[d] = mixed(reference.visible_precision[d], own.visible_precision[d], beta);
    linear[d] = mixed(reference.visible_bias[d], own.visible_bias[d], beta);
  }
}

double GaussianVisibles::move_origin(const Eigen::VectorXd& centre, DoubleFields& fields) {
  DoubleArray& bias = fields.at("visible_bias");
  const DoubleArray& precision = fields.at("visible_precision");
  double constant = 0.0;
  for (Index d = 0; d < centre.size(); ++d) {
    constant += centre[d] * (0.5 * precision(d) * centre[d] - bias(d));
    bias(d) -= precision(d) * centre[d];
  }
  return constant;
}

void GaussianVisibles::change_scale(const Eigen::VectorXd& scale, DoubleFields& fields) {
  fields.at("visible_bias").colwise() *= scale.array();
  fields.at("visible_precision").colwise() *= scale.array().square();
}

GaussianVisibles::Params GaussianVisibles::sums(const Params&, const LaneMatrix& v,
                                                const Eigen::Ref<const Vector>& weight) {
  const auto x = v.leftCols(weight.size());
  return {x * weight, -0.5F * (x.array().square().matrix() * weight)};
}

void GaussianVisibles::fill_squares(const Reference& reference, const LaneMatrix& v, LaneMatrix& out) {
  for (Index d = 0; d < v.rows(); ++d)
    out.row(d) = (-0.5F * reference.visible_precision[d] * v.row(d).array().square()).matrix();
}

}  // namespace tempera
