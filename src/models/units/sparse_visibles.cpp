#include "tempera/models/units/sparse_visibles.hpp"

#include "real_layer.hpp"
#include "tempera/core/math.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/units/binary_visibles.hpp"

namespace tempera {
namespace {

/// Coefficients of a visible's slab: t has precision P, linear term B, and a present one costs K.
template <class Number>
struct SlabTerms {
  Number precision;
  Number linear;
  Number cost;
};

template <class Beta>
auto slab_terms(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, Index d,
                const Beta& beta) {
  const float r = reference.visible_slab_precision[d];
  const float p = own.visible_slab_precision[d];
  const float mr = reference.visible_slab_mean[d];
  const float mp = own.visible_slab_mean[d];
  using Number = decltype(mixed(r, p, beta));
  return SlabTerms<Number>{mixed(r, p, beta), mixed(r * mr, p * mp, beta),
                           mixed(0.5F * r * mr * mr - reference.visible_spike_bias[d],
                                 0.5F * p * mp * mp - own.visible_spike_bias[d], beta)};
}

double energy_of(const SlabTerms<double>& terms, double v) {
  return v == 0.0 ? -0.5 * std::log(kTwoPi / terms.precision)
                  : 0.5 * terms.precision * v * v - terms.linear * v + terms.cost;
}

}  // namespace

SparseVisibles::Reference SparseVisibles::fit_reference(const RealData& data) {
  Reference reference = standard_reference(data.n_visible());
  const double n_cases = data.weights().total(data.n_cases());
  Eigen::VectorXd frequency(data.n_visible());
  for (Index d = 0; d < data.n_visible(); ++d) {
    MeanVariance seen;
    Index values = 0;
    for (Index n = 0; n < data.n_cases(); ++n) {
      if (data.value(n, d) == 0.0F) continue;
      seen.add(static_cast<double>(data.value(n, d)), data.weights()[n]);
      ++values;
    }
    frequency[d] = seen.count() / n_cases;
    if (seen.count() == 0) continue;
    reference.visible_slab_mean[d] = static_cast<float>(seen.mean());
    reference.visible_slab_precision[d] =
        static_cast<float>(values > 1 ? 1.0 / std::max(1e-4, seen.variance()) : 1.0);
  }
  reference.visible_spike_bias = smoothed_logits(frequency, n_cases);
  return reference;
}

void SparseVisibles::load(const RealData& data, std::span<const Index> cases, LaneMatrix& v) {
  load_real(data, cases, v);
}

Eigen::VectorXd SparseVisibles::case_values(std::span<const float> row, Index n) { return real_case(row, n); }

void SparseVisibles::filter_input(const Matrix& weights, const LaneMatrix& v, Index, UnitRange filters,
                                  UnitScratch&, LaneMatrix& input) {
  real_filter_input(weights, v, filters, input);
}

void SparseVisibles::sample(const Reference& reference, const Params& own, const VisibleInput& input,
                            const LaneFloats& betas, Index lanes, const LaneStream& stream,
                            UnitScratch& scratch, LaneMatrix& v) {
  BitLayer& spikes = scratch.bits;
  Part noise;
  Part logits;
  sample_normals(input.part, stream, 0, noise.data());
  const Lanes beta = lanes_of(betas);
  for (Index k = 0; k < input.part.size(); ++k) {
    const Index d = input.part.first + k;
    const auto terms = slab_terms(reference, own, d, beta);
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

Lanes SparseVisibles::mean(const Params& own, Index d, const VisibleInput& input) {
  const float p = own.visible_slab_precision[d];
  const float mu = own.visible_slab_mean[d];
  const Lanes linear = p * mu + ConstLanesMap(input.drive);
  return sigmoid_lanes(own.visible_spike_bias[d] - 0.5F * p * mu * mu + 0.5F * linear.square() / p) * linear /
         p;
}

void SparseVisibles::add_energies(const Reference& reference, const Params& own, const LaneFloats& betas,
                                  const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  for (Index d = 0; d < v.rows(); ++d) {
    for (Index c = 0; c < lanes; ++c) {
      const auto k = static_cast<std::size_t>(c);
      out[k] += energy_of(slab_terms(reference, own, d, static_cast<double>(betas[k])),
                          static_cast<double>(v(d, c)));
    }
  }
}

double SparseVisibles::energy(const Reference& reference, const Params& own, double beta,
                              const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d) sum += energy_of(slab_terms(reference, own, d, beta), v[d]);
  return sum;
}

double SparseVisibles::log_partition(const Reference& r, const float*) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_spike_bias.size(); ++d)
    sum += softplus(r.visible_spike_bias[d]) +
           0.5 * std::log(kTwoPi / static_cast<double>(r.visible_slab_precision[d]));
  return sum;
}

void SparseVisibles::mixture_terms(const Reference& reference, const Params& own, double beta,
                                   std::span<const Word> state, Eigen::VectorXd& precision,
                                   Eigen::VectorXd& linear, Eigen::VectorXd& seen, double& log_weight) {
  for (Index d = 0; d < precision.size(); ++d) {
    const auto terms = slab_terms(reference, own, d, beta);
    precision[d] = terms.precision;
    linear[d] = terms.linear;
    seen[d] = is_on(state, d) ? 1.0 : 0.0;
    log_weight -= seen[d] * terms.cost;
    linear[d] *= seen[d];
  }
}

void SparseVisibles::change_scale(const Eigen::VectorXd& scale, DoubleFields& fields) {
  fields.at("visible_slab_mean").colwise() /= scale.array();
  fields.at("visible_slab_precision").colwise() *= scale.array().square();
}

SparseVisibles::Params SparseVisibles::sums(const Params& own, const LaneMatrix& v,
                                            const Eigen::Ref<const Vector>& weight) {
  const Eigen::ArrayXXf x = v.leftCols(weight.size()).array();
  const Vector on = (x != 0.0F).cast<float>().matrix() * weight;
  const Vector linear = x.matrix() * weight;
  const Vector squares = x.square().matrix() * weight;
  const auto p = own.visible_slab_precision.array();
  const auto mu = own.visible_slab_mean.array();
  Params sums;
  sums.visible_spike_bias = on;
  sums.visible_slab_mean = (p * (linear.array() - mu * on.array())).matrix();
  // A slab that is not seen has the variance 1 / precision.
  sums.visible_slab_precision =
      (-0.5F * squares.array() + mu * linear.array() - 0.5F * mu.square() * on.array() -
       0.5F * (static_cast<float>(total_weight(weight)) - on.array()) / p)
          .matrix();
  return sums;
}

void SparseVisibles::fill_own_statistics(const Reference& reference, const Params& own, const LaneMatrix& x,
                                         LaneMatrix& out) {
  const Index n = x.rows();
  for (Index d = 0; d < n; ++d) {
    const Lanes v = x.row(d).array();
    const Lanes on = (v != 0.0F).cast<float>();
    const float p = own.visible_slab_precision[d];
    const float mu = own.visible_slab_mean[d];
    const float unit = scale(reference, d);
    out.row(d) = on.matrix();
    out.row(n + d) = ((p / unit) * (v - mu * on)).matrix();
    out.row(2 * n + d) =
        (unit * unit * (-0.5F * v.square() + mu * v - 0.5F * mu * mu * on - (0.5F / p) * (1.0F - on)))
            .matrix();
  }
}

}  // namespace tempera
