#include "visible_units.hpp"

#include <cmath>
#include <numbers>

#include "bernoulli_units.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/truncated_normal.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
/// Variances of a reference machine are at least this part of the largest one.
constexpr double kLeastVariance = 1e-8;

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
  const double largest = variances.maxCoeff();
  return largest > 0 ? Eigen::VectorXd(variances.cwiseMax(kLeastVariance * largest))
                     : Eigen::VectorXd::Ones(variances.size());
}

}  // namespace

void add_energies(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  using Doubles = Eigen::Array<double, 1, kLanes>;
  Doubles at_reference = Doubles::Zero();
  Doubles at_own = Doubles::Zero();
  for (Index d = 0; d < v.rows(); ++d) {
    const Doubles x = v.row(d).array().cast<double>();
    const auto energy = [&](const GaussianVisibles::Params& p) {
      return x *
             (0.5 * static_cast<double>(p.visible_precision[d]) * x - static_cast<double>(p.visible_bias[d]));
    };
    at_reference += energy(reference);
    at_own += energy(own);
  }
  const Doubles beta = lanes_of(betas).cast<double>();
  add_to(out, at_reference + beta * (at_own - at_reference), lanes);
}

void add_energies(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
                  const LaneFloats& betas, const BitLayer& v, Index lanes, LaneDoubles& out) {
  LaneDoubles at_reference{};
  LaneDoubles at_own{};
  add_dots({v, lanes}, reference.visible_bias, at_reference);
  add_dots({v, lanes}, own.visible_bias, at_own);
  for (std::size_t c = 0; c < static_cast<std::size_t>(lanes); ++c)
    out[c] -= at_reference[c] + static_cast<double>(betas[c]) * (at_own[c] - at_reference[c]);
}

double sparse_energy(const SlabTerms<double>& terms, double v) {
  return v == 0.0 ? -0.5 * std::log(kTwoPi / terms.precision)
                  : 0.5 * terms.precision * v * v - terms.linear * v + terms.cost;
}

void add_energies(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  for (Index d = 0; d < v.rows(); ++d) {
    for (Index c = 0; c < lanes; ++c) {
      const auto k = static_cast<std::size_t>(c);
      out[k] += sparse_energy(sparse_terms(reference, own, d, static_cast<double>(betas[k])),
                              static_cast<double>(v(d, c)));
    }
  }
}

double energy_of(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum += v[d] * (0.5 * mixed(reference.visible_precision[d], own.visible_precision[d], beta) * v[d] -
                   mixed(reference.visible_bias[d], own.visible_bias[d], beta));
  return sum;
}

double energy_of(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum -= v[d] * mixed(reference.visible_bias[d], own.visible_bias[d], beta);
  return sum;
}

double energy_of(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d) sum += sparse_energy(sparse_terms(reference, own, d, beta), v[d]);
  return sum;
}

void draw_part(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer&, LaneMatrix& v) {
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
    if (input.box > 0) draw_again_outside(input.box, mean, precision, d, lanes, stream, v);
  }
}

void draw_part(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer&, BitLayer& v) {
  Part logits;
  for (Index k = 0; k < input.part.size(); ++k)
    logits.row(k) = own.visible_bias[input.part.first + k] + ConstLanesMap(input.drive + k * kLanes);
  sample_units(logits.data(), input.part, betas, view(reference.visible_bias), lanes, stream, 0, v);
}

void draw_part(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer& spikes, LaneMatrix& v) {
  Part noise;
  Part logits;
  sample_normals(input.part, stream, 0, noise.data());
  const Lanes beta = lanes_of(betas);
  for (Index k = 0; k < input.part.size(); ++k) {
    const Index d = input.part.first + k;
    const auto terms = sparse_terms(reference, own, d, beta);
    const Lanes linear = terms.linear + beta * ConstLanesMap(input.drive + k * kLanes);
    logits.row(k) = 0.5F * linear.square() / terms.precision - terms.cost;
    v.row(d) = (linear / terms.precision + noise.row(k) * terms.precision.rsqrt()).matrix();
  }
  if (spikes.size() < static_cast<std::size_t>(v.rows())) spikes.resize(static_cast<std::size_t>(v.rows()));
  sample_units(logits.data(), input.part, ones(), {}, lanes, stream, 0, spikes);
  for (Index d = input.part.first; d < input.part.last; ++d) {
    const Word on = spikes[static_cast<std::size_t>(d)];
    for (Index c = 0; c < kLanes; ++c) v(d, c) = (on >> c & 1) != 0 ? v(d, c) : 0.0F;
  }
}

Lanes mean_row(const GaussianVisibles::Params& own, Index d, const VisibleInput& input) {
  const Lanes precision = own.visible_precision[d] + ConstLanesMap(input.precision);
  const Lanes mean = (own.visible_bias[d] + ConstLanesMap(input.drive)) / precision;
  if (input.box == 0) return mean;
  Lanes inside;
  for (Index c = 0; c < kLanes; ++c) {
    const Bounds bounds = bounds_of(input.box, mean[c], precision[c]);
    inside[c] = static_cast<float>(static_cast<double>(mean[c]) +
                                   bounds.deviation * truncated_normal_mean(bounds.low, bounds.high));
  }
  return inside;
}
Lanes mean_row(const BinaryVisibles::Params& own, Index d, const VisibleInput& input) {
  return sigmoid_lanes(own.visible_bias[d] + ConstLanesMap(input.drive));
}
Lanes mean_row(const SparseVisibles::Params& own, Index d, const VisibleInput& input) {
  const float p = own.visible_slab_precision[d];
  const float mu = own.visible_slab_mean[d];
  const Lanes linear = p * mu + ConstLanesMap(input.drive);
  return sigmoid_lanes(own.visible_spike_bias[d] - 0.5F * p * mu * mu + 0.5F * linear.square() / p) * linear /
         p;
}

double total_weight(const Eigen::Ref<const Vector>& weight) {
  double sum = 0.0;
  for (const float w : weight) sum += static_cast<double>(w);
  return sum;
}

GaussianVisibles::Params visible_sums(const GaussianVisibles::Params&, const LaneMatrix& v,
                                      const Eigen::Ref<const Vector>& weight) {
  const auto x = v.leftCols(weight.size());
  return {x * weight, -0.5F * (x.array().square().matrix() * weight)};
}

BinaryVisibles::Params visible_sums(const BinaryVisibles::Params&, const BitLayer& v,
                                    const Eigen::Ref<const Vector>& weight) {
  LaneFloats weights{};
  std::copy_n(weight.data(), weight.size(), weights.begin());
  Vector sum = Vector::Zero(static_cast<Index>(v.size()));
  add_bits(v, weights, sum);
  return {sum};
}

SparseVisibles::Params visible_sums(const SparseVisibles::Params& own, const LaneMatrix& v,
                                    const Eigen::Ref<const Vector>& weight) {
  const Eigen::ArrayXXf x = v.leftCols(weight.size()).array();
  const Vector on = (x != 0.0F).cast<float>().matrix() * weight;
  const Vector linear = x.matrix() * weight;
  const Vector squares = x.square().matrix() * weight;
  const auto p = own.visible_slab_precision.array();
  const auto mu = own.visible_slab_mean.array();
  SparseVisibles::Params sums;
  sums.visible_spike_bias = on;
  sums.visible_slab_mean = (p * (linear.array() - mu * on.array())).matrix();
  // A slab that is not seen has the variance 1 / precision.
  sums.visible_slab_precision =
      (-0.5F * squares.array() + mu * linear.array() - 0.5F * mu.square() * on.array() -
       0.5F * (static_cast<float>(total_weight(weight)) - on.array()) / p)
          .matrix();
  return sums;
}

double reference_log_z(const GaussianVisibles::Params& r, double box) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_bias.size(); ++d) {
    const double p = r.visible_precision[d];
    const double a = r.visible_bias[d];
    sum += 0.5 * std::log(kTwoPi / p) + 0.5 * a * a / p;
    if (box > 0) {
      const Bounds bounds = bounds_of(box, a / p, p);
      sum += log_normal_mass(bounds.low, bounds.high);
    }
  }
  return sum;
}
double reference_log_z(const BinaryVisibles::Params& r, double) {
  double sum = 0.0;
  for (const float a : r.visible_bias) sum += softplus(a);
  return sum;
}
double reference_log_z(const SparseVisibles::Params& r, double) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_spike_bias.size(); ++d)
    sum += softplus(r.visible_spike_bias[d]) +
           0.5 * std::log(kTwoPi / static_cast<double>(r.visible_slab_precision[d]));
  return sum;
}

GaussianVisibles::Params initial_visibles(const GaussianVisibles::Params& reference,
                                          const InitialValues& values) {
  GaussianVisibles::Params own = reference;
  if (values.visible_precision > 0) {
    // Within the bounds: a bias that was made for another precision would be another mean.
    for (Index d = 0; d < own.visible_precision.size(); ++d)
      own.visible_precision[d] =
          bounded_precision(static_cast<float>(values.visible_precision), reference.visible_precision[d]);
    own.visible_bias =
        reference.visible_bias.cwiseQuotient(reference.visible_precision).cwiseProduct(own.visible_precision);
  }
  return own;
}
BinaryVisibles::Params initial_visibles(const BinaryVisibles::Params& reference, const InitialValues&) {
  return reference;
}
SparseVisibles::Params initial_visibles(const SparseVisibles::Params& reference, const InitialValues&) {
  return reference;
}

void load_layer(const RealData& data, std::span<const Index> cases, LaneMatrix& v) {
  v.setZero();
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const auto row = data.row(cases[c]);
    v.col(static_cast<Index>(c)) = Eigen::Map<const Vector>(row.data(), v.rows());
  }
}
void load_layer(const BinaryData& data, std::span<const Index> cases, BitLayer& v) {
  load_cases(data, cases, v);
}

Eigen::VectorXd case_values(std::span<const float> row, Index n) {
  return Eigen::Map<const Vector>(row.data(), n).cast<double>();
}
Eigen::VectorXd case_values(std::span<const Word> row, Index n) {
  Eigen::VectorXd v(n);
  for (Index d = 0; d < n; ++d)
    v[d] = static_cast<double>(row[static_cast<std::size_t>(d / 64)] >> (d % 64) & 1);
  return v;
}

GaussianVisibles::Reference GaussianVisibles::fit_reference(const RealData& data) {
  const Eigen::VectorXd variance = floored(data.variances());
  Reference reference;
  reference.visible_precision = variance.cwiseInverse().cast<float>();
  reference.visible_bias = data.means().cwiseQuotient(variance).cast<float>();
  return reference;
}

BinaryVisibles::Reference BinaryVisibles::fit_reference(const BinaryData& data) {
  return {smoothed_logits(data.means(), data.n_cases())};
}

SparseVisibles::Reference SparseVisibles::fit_reference(const RealData& data) {
  Reference reference = standard_reference(data.n_visible());
  Eigen::VectorXd frequency(data.n_visible());
  for (Index d = 0; d < data.n_visible(); ++d) {
    MeanVariance seen;
    for (Index n = 0; n < data.n_cases(); ++n) {
      if (data.value(n, d) != 0.0F) seen.add(static_cast<double>(data.value(n, d)));
    }
    frequency[d] = seen.count() / static_cast<double>(data.n_cases());
    if (seen.count() == 0) continue;
    reference.visible_slab_mean[d] = static_cast<float>(seen.mean());
    reference.visible_slab_precision[d] =
        static_cast<float>(seen.count() > 1 ? 1.0 / std::max(1e-4, seen.variance()) : 1.0);
  }
  reference.visible_spike_bias = smoothed_logits(frequency, data.n_cases());
  return reference;
}

}  // namespace tempera
