// Statistics of the spike-and-slab family as layers and products of layers: what metrics calculate with
// (docs/mathematics/spike-and-slab.md 5.13).
#include <cmath>

#include "latent_units.hpp"
#include "tempera/models/all_models.hpp"
#include "visible_units.hpp"

namespace tempera {
namespace {

/// Layers of statistics (models/spike_slab.hpp).
enum : std::size_t {
  kVisible,
  kResponse,
  kVisiblePrecision,
  kUnits,
  kSlabMean,
  kSlabPrecision,
  kSparse,
  kStatisticsLayers
};

/// What visible d is multiplied by to have no dimension.
float visible_unit(const GaussianVisibles::Params& reference, Index d) {
  return std::sqrt(reference.visible_precision[d]);
}
float visible_unit(const BinaryVisibles::Params&, Index) { return 1.0F; }
float visible_unit(const SparseVisibles::Params& reference, Index d) {
  return std::sqrt(reference.visible_slab_precision[d]);
}

/// x moved by d where it must stay positive.
float moved_precision(float x, float d) { return d >= 0.0F ? x + d : x * (x / (x - d)); }

}  // namespace

template <class V, class L>
LayerShape SpikeSlab<V, L>::statistics_shape(const Params& theta) const {
  constexpr bool kSparseVisibles = std::is_same_v<V, SparseVisibles>;
  const Index n = n_visible();
  const Index slabs = kSlabs ? filters() : 0;
  std::vector<Index> sizes(kStatisticsLayers, 0);
  sizes[kVisible] = n;
  sizes[kResponse] = filters();
  sizes[kVisiblePrecision] = std::is_same_v<V, GaussianVisibles> ? n : 0;
  sizes[kUnits] = kSlabs ? total(binary_layers(shape_.latents)) : 0;
  sizes[kSlabMean] = slabs;
  sizes[kSlabPrecision] = slabs;
  sizes[kSparse] = kSparseVisibles ? 3 * n : 0;
  LayerShape shape(std::move(sizes));
  shape.biased[kVisible] = !kSparseVisibles;
  shape.biased[kResponse] = !kSlabs;
  shape.centred = false;
  shape.coupled.assign(shape.coupled.size(), false);
  shape.coupled[kVisible] = true;
  shape.coupled[kVisiblePrecision] = has_spike_precision(theta);
  return shape;
}

template <class V, class L>
void SpikeSlab<V, L>::statistics_layer(std::size_t layer, bool drawn, const Params& theta, const State& x,
                                       const Work& work, LaneMatrix& out) const {
  const auto gate = [&](Index m) -> Lanes {
    return drawn ? bits_to_lanes(gate_bits(shape_.latents, x.latent, m)) : Lanes(work.gate.row(m).array());
  };
  switch (layer) {
    case kVisible: {
      LaneMatrix memory;
      out = as_real(x.visible, memory);
      for (Index d = 0; d < n_visible(); ++d) out.row(d) *= visible_unit(reference_, d);
      return;
    }
    case kVisiblePrecision:
      if constexpr (std::is_same_v<V, GaussianVisibles>) {
        for (Index d = 0; d < n_visible(); ++d)
          out.row(d) = (-0.5F * reference_.visible_precision[d] * x.visible.row(d).array().square()).matrix();
      }
      return;
    case kUnits: {
      if (!drawn) {
        out = work.units.topRows(out.rows());
        return;
      }
      Index first = 0;
      for_each_field(
          [&](std::string_view, const auto& field) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, BitLayer>) {
              for (const Word bits : field) {
                if (first < out.rows()) out.row(first++) = bits_to_lanes(bits).matrix();
              }
            }
          },
          x.latent);
      return;
    }
    case kSparse:
      if constexpr (std::is_same_v<V, SparseVisibles>) {
        const Index n = n_visible();
        for (Index d = 0; d < n; ++d) {
          const Lanes v = x.visible.row(d).array();
          const Lanes on = (v != 0.0F).template cast<float>();
          const float p = theta.visible.visible_slab_precision[d];
          const float mu = theta.visible.visible_slab_mean[d];
          const float unit = visible_unit(reference_, d);
          out.row(d) = on.matrix();
          out.row(n + d) = ((p / unit) * (v - mu * on)).matrix();
          out.row(2 * n + d) =
              (unit * unit * (-0.5F * v.square() + mu * v - 0.5F * mu * mu * on - (0.5F / p) * (1.0F - on)))
                  .matrix();
        }
      }
      return;
    default:
      break;
  }
  if constexpr (!kSlabs) {
    if (layer != kResponse) return;
    for (Index m = 0; m < filters(); ++m) out.row(m) = gate(m).matrix();
  } else {
    for (Index m = 0; m < filters(); ++m) {
      const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
      const float mean = root * theta.latent.slab_mean.data()[m];
      // In standard deviations of the prior: what the visibles make of the slab's mean, and the slab.
      const Lanes input = work.input.row(m).array() * (1.0F / root);
      const Lanes slab = x.latent.slabs.row(m).array();
      const Lanes on = gate(m);
      if (layer == kResponse) {
        out.row(m) = (on * (drawn ? slab : Lanes(mean + input))).matrix();
      } else if (layer == kSlabMean) {
        out.row(m) = (on * (drawn ? Lanes(slab - mean) : input)).matrix();
      } else if (drawn) {
        out.row(m) = (on * (mean * slab - 0.5F * mean * mean) - 0.5F * slab.square()).matrix();
      } else {
        out.row(m) = (-0.5F * on * input.square()).matrix();
      }
    }
  }
}

template <class V, class L>
LayerParams<float> SpikeSlab<V, L>::to_statistics(const Params& theta, const Params& sums) const {
  const LayerShape shape = statistics_shape(theta);
  LayerParams<float> g;
  for (std::size_t k = 0; k < shape.coupled.size(); ++k)
    g.weights.emplace_back(shape.coupled[k] ? shape.sizes[k] : 0, shape.coupled[k] ? shape.sizes[k + 1] : 0);
  for (std::size_t k = 0; k < shape.layers(); ++k) g.bias.emplace_back(shape.biases(k));
  visit_statistics(
      theta, sums, [](float& statistic, float sum, float unit, bool) { statistic = unit * sum; }, g);
  return g;
}

template <class V, class L>
void SpikeSlab<V, L>::move(const LayerParams<float>& step, Params& theta) const {
  const Params before = theta;
  visit_statistics(
      before, theta,
      [](float d, float& x, float unit, bool is_precision) {
        if (!is_precision) {
          x += unit * d;
        } else if (x != 0.0F) {
          x = moved_precision(x, unit * d);
        }
      },
      step);
}

template <class V, class L>
template <class P, class F, class S>
void SpikeSlab<V, L>::visit_statistics(const Params& theta, P& params, F&& f, S& statistics) const {
  const Index n = n_visible();
  const auto root = [&](Index m) {
    if constexpr (kSlabs) {
      return std::sqrt(theta.latent.slab_precision.data()[m]);
    } else {
      return 1.0F;
    }
  };
  for (Index d = 0; d < n; ++d) {
    const float unit = visible_unit(reference_, d);
    for (Index m = 0; m < filters(); ++m)
      f(statistics.weights[kVisible](d, m), params.weights(d, m), unit * root(m), false);
    if constexpr (std::is_same_v<V, SparseVisibles>) {
      auto& own = statistics.bias[kSparse];
      f(own[d], params.visible.visible_spike_bias[d], 1.0F, false);
      f(own[n + d], params.visible.visible_slab_mean[d], 1.0F / unit, false);
      f(own[2 * n + d], params.visible.visible_slab_precision[d], unit * unit, true);
    } else {
      f(statistics.bias[kVisible][d], params.visible.visible_bias[d], unit, false);
    }
    if constexpr (std::is_same_v<V, GaussianVisibles>)
      f(statistics.bias[kVisiblePrecision][d], params.visible.visible_precision[d], unit * unit, true);
    if constexpr (kSpikePrecision) {
      auto& phi = statistics.weights[kVisiblePrecision];
      for (Index i = 0; i < phi.cols(); ++i)
        f(phi(d, i), params.latent.spike_precision(d, i), unit * unit, true);
    }
  }
  Index first = 0;
  for_each_field(
      [&](std::string_view name, auto& field) {
        if (!name.ends_with("_bias")) return;
        auto& own = statistics.bias[kSlabs ? kUnits : kResponse];
        for (Index i = 0; i < field.size(); ++i) f(own[first + i], field.data()[i], 1.0F, false);
        first += field.size();
      },
      params.latent);
  if constexpr (kSlabs) {
    for (Index m = 0; m < filters(); ++m) {
      f(statistics.bias[kSlabMean][m], params.latent.slab_mean.data()[m], 1.0F / root(m), false);
      f(statistics.bias[kSlabPrecision][m], params.latent.slab_precision.data()[m], root(m) * root(m), true);
    }
  }
}

#define TEMPERA_INSTANTIATE(M)                                                                            \
  template LayerShape M::statistics_shape(const M::Params&) const;                                        \
  template void M::statistics_layer(std::size_t, bool, const M::Params&, const M::State&, const M::Work&, \
                                    LaneMatrix&) const;                                                   \
  template LayerParams<float> M::to_statistics(const M::Params&, const M::Params&) const;                 \
  template void M::move(const LayerParams<float>&, M::Params&) const;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
