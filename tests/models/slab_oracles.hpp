// Small machines of the spike-and-slab family, and what their binary latents weigh and gate by brute force:
// nothing here calls the code under test.
#pragma once

#include <cmath>
#include <numbers>

#include "tempera/models/all_models.hpp"

namespace tempera {

template <class M>
struct Oracle;

/// What every oracle knows: two visibles, small random parameters.
template <class M>
struct OracleOf {
  static constexpr Index kVisible = 2;

  static M model(typename M::Shape shape) {
    auto reference = M::standard_reference(kVisible);
    for_each_field(
        [](std::string_view name, auto& field) {
          field = M::is_precision(name) ? Vector(Vector::LinSpaced(field.size(), 0.8F, 1.3F))
                                        : Vector(Vector::LinSpaced(field.size(), -0.3F, 0.4F));
        },
        reference);
    return {shape, reference};
  }
  static typename M::Params random(const M& model, std::uint64_t seed) {
    auto theta = model.zero_params();
    StreamEngine engine = StreamFactory{seed}.engine(Purpose::kParameters, 0);
    for_each_field(
        [&](std::string_view name, auto& field) {
          for (Index k = 0; k < field.size(); ++k) {
            const double u = uniform_53(engine);
            field.data()[k] = static_cast<float>(name == "spike_precision"  ? 0.2 + 0.5 * u
                                                 : name == "slab_precision" ? 3.0 + 3.0 * u
                                                 : M::is_precision(name)    ? 1.0 + u
                                                                            : 1.6 * u - 0.8);
          }
        },
        theta);
    return theta;
  }
};

template <>
struct Oracle<GaussianRbm> : OracleOf<GaussianRbm> {
  static constexpr unsigned kStates = 8;
  static GaussianRbm model() { return OracleOf::model({kVisible, {3}}); }
  static double bias(const GaussianRbm::Params& t, unsigned h) {
    double sum = 0;
    for (unsigned j = 0; j < 3; ++j) sum += (h >> j & 1) != 0 ? t.latent.hidden_bias[j] : 0.0F;
    return sum;
  }
  static bool gate(unsigned h, Index m) { return (h >> m & 1) != 0; }
};

template <class M>
struct PooledOracle : OracleOf<M> {
  static constexpr unsigned kStates = 4;
  static constexpr Index kSlabs = 2;
  static M model() { return OracleOf<M>::model({2, {2, kSlabs}}); }
  static double bias(const typename M::Params& t, unsigned h) {
    double sum = 0;
    for (unsigned i = 0; i < 2; ++i) sum += (h >> i & 1) != 0 ? t.latent.spike_bias[i] : 0.0F;
    return sum;
  }
  static bool gate(unsigned h, Index m) { return (h >> (m / kSlabs) & 1) != 0; }
};
template <>
struct Oracle<SpikeSlabRbm> : PooledOracle<SpikeSlabRbm> {};
template <>
struct Oracle<BinarySpikeSlabRbm> : PooledOracle<BinarySpikeSlabRbm> {};
template <>
struct Oracle<SparseSpikeSlabRbm> : PooledOracle<SparseSpikeSlabRbm> {};

/// Two blocks of G = 2, H = 3, gated: bits g, then h, then gates.
template <class M, bool kGated, unsigned kG, unsigned kH, unsigned kBlocks>
struct BilinearOracle : OracleOf<M> {
  static constexpr unsigned kStates = 1U << (kBlocks * (kG + kH + (kGated ? 1 : 0)));
  static M model() { return OracleOf<M>::model({2, {kBlocks, kG, kH, kGated}}); }
  static double bias(const typename M::Params& t, unsigned s) {
    double sum = 0;
    for (unsigned k = 0; k < kBlocks; ++k) {
      for (unsigned i = 0; i < kG; ++i) sum += (s >> (k * kG + i) & 1) != 0 ? t.latent.g_bias(k, i) : 0.0F;
      for (unsigned j = 0; j < kH; ++j)
        sum += (s >> (kBlocks * kG + k * kH + j) & 1) != 0 ? t.latent.h_bias(k, j) : 0.0F;
      if (kGated && (s >> (kBlocks * (kG + kH) + k) & 1) != 0) sum += t.latent.gate_bias[k];
    }
    return sum;
  }
  static bool gate(unsigned s, Index m) {
    const auto f = static_cast<unsigned>(m);
    const unsigned k = f / (kG * kH);
    const unsigned i = f % (kG * kH) / kH;
    const unsigned j = f % kH;
    return (s >> (k * kG + i) & s >> (kBlocks * kG + k * kH + j) &
            (kGated ? s >> (kBlocks * (kG + kH) + k) : 1) & 1) != 0;
  }
};
template <>
struct Oracle<BilinearSpikeSlabRbm> : BilinearOracle<BilinearSpikeSlabRbm, true, 2, 3, 1> {};
template <>
struct Oracle<BinaryBilinearSpikeSlabRbm> : BilinearOracle<BinaryBilinearSpikeSlabRbm, false, 3, 2, 1> {};

inline constexpr double kPi = std::numbers::pi;

/// The slab of precision alpha and mean mu whose gate is on or off, integrated on a grid.
inline double integrated_slab(double alpha, double mu, double x, double beta, bool on) {
  const double centre = on ? beta * (mu + x / alpha) : 0.0;
  const double width = 9.0 / std::sqrt(alpha);
  constexpr int kSteps = 50;
  double sum = 0;
  for (int k = -kSteps; k <= kSteps; ++k) {
    const double s = centre + width * k / kSteps;
    double energy = 0.5 * alpha * s * s;
    if (on) energy += beta * (-s * (x + alpha * mu) + 0.5 * alpha * mu * mu);
    sum += std::exp(-energy);
  }
  return sum * width / kSteps;
}

inline double visible_energy(const GaussianVisibles::Params& r, const GaussianVisibles::Params& t,
                             double beta, const Eigen::Vector2d& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) {
    const auto of = [&](const GaussianVisibles::Params& p) {
      return 0.5 * p.visible_precision[d] * v[d] * v[d] - p.visible_bias[d] * v[d];
    };
    sum += (1 - beta) * of(r) + beta * of(t);
  }
  return sum;
}
inline double visible_energy(const BinaryVisibles::Params& r, const BinaryVisibles::Params& t, double beta,
                             const Eigen::Vector2d& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) sum -= ((1 - beta) * r.visible_bias[d] + beta * t.visible_bias[d]) * v[d];
  return sum;
}
inline double visible_energy(const SparseVisibles::Params& r, const SparseVisibles::Params& t, double beta,
                             const Eigen::Vector2d& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) {
    // The unseen slab is integrated on a grid.
    const double alpha = (1 - beta) * r.visible_slab_precision[d] + beta * t.visible_slab_precision[d];
    if (v[d] == 0.0) {
      sum -= std::log(integrated_slab(alpha, 0, 0, 0, false));
      continue;
    }
    const auto of = [&](const SparseVisibles::Params& p) {
      const double a = p.visible_slab_precision[d];
      const double mu = p.visible_slab_mean[d];
      return 0.5 * a * (v[d] - mu) * (v[d] - mu) - p.visible_spike_bias[d];
    };
    sum += (1 - beta) * of(r) + beta * of(t);
  }
  return sum;
}

}  // namespace tempera
