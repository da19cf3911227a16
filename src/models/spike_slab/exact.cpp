// One case, exactly, and log Z by enumeration.
#include <cmath>
#include <limits>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"
#include "units/bernoulli_units.hpp"
#include "units/lanes.hpp"

namespace tempera {

template <VisibleUnits V, LatentUnits L>
Index SpikeSlab<V, L>::enumerated_units() const {
  if constexpr (V::kEnumerable) return V::enumerated_bits(n_visible());
  // Gaussians that a box cuts off have no closed form.
  if (shape_.box > 0) return kNotEnumerable;
  Index units = V::enumerated_bits(n_visible());
  for (const Index n : L::layers(shape_.latents)) units += n;
  return units;
}

template <VisibleUnits V, LatentUnits L>
std::string SpikeSlab<V, L>::why_not_enumerable() const {
  if (shape_.box > 0) return "there is none for visibles in a box";
  return why_too_many_units(enumerated_units(), kMaxEnumeratedUnits);
}

template <VisibleUnits V, LatentUnits L>
Index SpikeSlab<V, L>::exact_chunks() const {
  return enumeration_chunks(enumerated_units());
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::log_component(const Params& theta, double beta, std::span<const Word> visible_bits,
                                      const Configuration& latent) const requires(!V::kEnumerable) {
  double sum = latent.log_weight + beta * L::log_constant(theta.latent);
  Eigen::VectorXd precision(n_visible());
  Eigen::VectorXd linear(n_visible());
  Eigen::VectorXd seen(n_visible());
  V::mixture_terms(reference_, theta.visible, beta, visible_bits, precision, linear, seen, sum);
  if constexpr (kSpikePrecision) {
    for (const Index i : latent.spikes)
      precision += beta * theta.latent.spike_precision.col(i).template cast<double>();
  }
  const auto filter = [&](Index m) {
    return theta.weights.col(m).template cast<double>().cwiseProduct(seen).eval();
  };
  if constexpr (!L::kSlabs) {
    for (const Index m : latent.active) linear += beta * filter(m);
  }
  // The visibles, given the slabs, then the active slabs.
  sum += 0.5 * (kTwoPi / precision.array()).log().sum() +
         0.5 * (linear.array().square() / precision.array()).sum();
  if constexpr (L::kSlabs) {
    const auto r = static_cast<Index>(latent.active.size());
    if (r == 0) return sum;
    Eigen::MatrixXd filters(n_visible(), r);
    for (Index k = 0; k < r; ++k) filters.col(k) = filter(latent.active[static_cast<std::size_t>(k)]);
    Eigen::VectorXd alpha(r);
    Eigen::VectorXd mean(r);
    for (Index k = 0; k < r; ++k) {
      alpha[k] = theta.latent.slab_precision.data()[latent.active[static_cast<std::size_t>(k)]];
      mean[k] = theta.latent.slab_mean.data()[latent.active[static_cast<std::size_t>(k)]];
    }
    const Eigen::MatrixXd scaled = precision.cwiseInverse().asDiagonal() * filters;
    const Eigen::VectorXd drive = beta * (alpha.cwiseProduct(mean) + scaled.transpose() * linear);
    const Eigen::MatrixXd joint =
        Eigen::MatrixXd(alpha.asDiagonal()) - beta * beta * filters.transpose() * scaled;
    const Cholesky<double> factor(joint);
    if (!factor.succeeded()) return std::numeric_limits<double>::infinity();
    sum += 0.5 * alpha.array().log().sum() - factor.half_log_determinant() +
           0.5 * drive.dot(factor.solve(drive)) - 0.5 * beta * (alpha.array() * mean.array().square()).sum();
  }
  return sum;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x,
                                         Index lanes, Scratch&,
                                         LaneDoubles& out) const requires kLatentMarginal {
  const BitLayer& bits = L::bits(x.latent);
  const auto units = static_cast<Index>(bits.size());
  out.fill(0.0);
  for (Index c = 0; c < lanes; ++c) {
    PackedState state(static_cast<std::size_t>(words_for(units)), Word{0});
    for (Index i = 0; i < units; ++i) {
      if ((bits[static_cast<std::size_t>(i)] >> c & 1) != 0) flip_bit(state, i);
    }
    const auto cold = static_cast<double>(beta[static_cast<std::size_t>(c)]);
    out[static_cast<std::size_t>(c)] = -log_state_weight(theta, cold, state);
  }
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::log_state_weight(const Params& theta, double beta, std::span<const Word> bits) const {
  if constexpr (V::kEnumerable) {
    const Eigen::VectorXd v = V::case_values(bits, n_visible());
    return log_latent_weight(theta, beta, v) - V::energy(reference_, theta.visible, beta, v);
  } else {
    return log_component(
        theta, beta, bits,
        L::configuration(shape_.latents, theta.latent, beta, bits, V::enumerated_bits(n_visible())));
  }
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  const Word states = Word{1} << std::min(enumerated_units(), kChunkBits);
  LogSumExp sum;
  for (Word state = static_cast<Word>(chunk) * states; state < static_cast<Word>(chunk + 1) * states;
       ++state) {
    const double term = log_state_weight(theta, beta, {&state, 1});
    if (term == std::numeric_limits<double>::infinity()) return term;
    sum.add(term);
  }
  return sum.value();
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::log_latent_weight(const Params& theta, double beta, const Eigen::VectorXd& v) const {
  const Eigen::VectorXd input = theta.weights.template cast<double>().transpose() * v;
  Eigen::VectorXd quadratic = Eigen::VectorXd::Zero(latents());
  if constexpr (kSpikePrecision)
    quadratic = 0.5 * theta.latent.spike_precision.template cast<double>().transpose() * v.cwiseAbs2();
  return L::log_weight(shape_.latents, theta.latent, beta, input, quadratic) +
         beta * L::log_constant(theta.latent);
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::free_energy(const Params& theta, std::span<const typename V::Value> row) const {
  const Eigen::VectorXd v = V::case_values(row, n_visible());
  return V::energy(reference_, theta.visible, 1.0, v) - log_latent_weight(theta, 1.0, v);
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::mean_visible(const Params& theta, const State& x, Scratch& scratch,
                                   LaneMatrix& mean) const {
  typename L::State natural = x.latent;
  L::unstandardise(theta.latent, natural);
  scratch.drive.resize(filters(), kLanes);
  for (Index m = 0; m < filters(); ++m)
    scratch.drive.row(m) = L::natural_amplitude(shape_.latents, natural, m).matrix();
  LaneMatrix precision = LaneMatrix::Zero(n_visible(), kLanes);
  if constexpr (kSpikePrecision) {
    scratch.gates.resize(latents(), kLanes);
    L::fill_units(natural, scratch.gates);
    real_input_from_columns(theta.latent.spike_precision, scratch.gates, {0, n_visible()}, nullptr,
                            precision.data());
  }
  mean.resize(n_visible(), kLanes);
  real_input_from_columns(theta.weights, scratch.drive, {0, n_visible()}, nullptr, mean.data());
  for (Index d = 0; d < n_visible(); ++d) {
    const VisibleInput input{{d, d + 1}, mean.row(d).data(), precision.row(d).data(), box()};
    mean.row(d) = V::mean(theta.visible, d, input).matrix();
  }
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
