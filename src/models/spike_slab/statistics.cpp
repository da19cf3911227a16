// Sums of statistics, and statistics as layers and products of layers: what metrics calculate with
// (docs/mathematics/spike-and-slab.md 5.13).
#include <cmath>

#include "tempera/core/sum_tree.hpp"
#include "tempera/models/all_models.hpp"
#include "units/lanes.hpp"

namespace tempera {
namespace {

/// Columns of the weights in a slice of the statistics.
constexpr Index kSliceColumns = 64;

Index slices_of(Index columns) { return (columns + kSliceColumns - 1) / kSliceColumns; }

/// Puts a sum in place of another or adds it.
template <class Sum, class Value>
void put(Sums mode, Sum&& sum, const Value& value) {
  if (mode == Sums::kSet) {
    sum = value;
  } else {
    sum += value;
  }
}

Eigen::Map<const Vector> weight_of(const LaneFloats& weights, Index lanes) { return {weights.data(), lanes}; }

/// x moved by d where it must stay positive.
float moved_precision(float x, float d) { return d >= 0.0F ? x + d : x * (x / (x - d)); }

}  // namespace

template <VisibleUnits V, LatentUnits L>
Index SpikeSlab<V, L>::slices() const {
  return slices_of(filters()) + (kSpikePrecision ? slices_of(latents()) : 0);
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::accumulate(const Params& theta, std::span<const State> states,
                                 std::span<const BlockCache> caches, std::span<const LaneFloats> weights,
                                 Index slice, Sums mode, Scratch&, Params& sums) const {
  /// Sum over the chains of f(visibles) times rows of a cached matrix.
  const auto outer = [&](auto&& left, auto&& right) {
    return sum_tree(
        static_cast<Index>(states.size()),
        [&](Index block) {
          const auto b = static_cast<std::size_t>(block);
          LaneMatrix memory;
          const auto v = V::as_real(states[b].visible, memory).leftCols(caches[b].lanes);
          return Matrix(left(v) * weight_of(weights[b], caches[b].lanes).asDiagonal() *
                        right(caches[b]).transpose());
        },
        [](auto& into, const auto& from) { into += from; });
  };
  if (slice < slices_of(filters())) {
    const Index first = slice * kSliceColumns;
    const Index n = std::min(kSliceColumns, filters() - first);
    put(mode, sums.weights.middleCols(first, n),
        outer([](const auto& v) { return v; },
              [&](const BlockCache& cache) { return cache.amplitude.block(first, 0, n, cache.lanes); }));
  } else if constexpr (kSpikePrecision) {
    const Index first = (slice - slices_of(filters())) * kSliceColumns;
    const Index n = std::min(kSliceColumns, latents() - first);
    auto into = sums.latent.spike_precision.middleCols(first, n);
    if (!has_spike_precision(theta)) {
      if (mode == Sums::kSet) into.setZero();
    } else {
      put(mode, into,
          outer([](const auto& v) { return (-0.5F * v.array().square()).matrix().eval(); },
                [&](const BlockCache& cache) { return cache.units.block(first, 0, n, cache.lanes); }));
    }
  }
  if (slice == 0) accumulate_vectors(theta, states, caches, weights, mode, sums);
}

template <VisibleUnits V, LatentUnits L>
struct SpikeSlab<V, L>::VectorSums {
  typename V::Params visible;
  Vector units;
  Vector gated;  // sum of r (mu + x / alpha), times alpha less mu
  Vector precisions;
};

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::accumulate_vectors(const Params& theta, std::span<const State> states,
                                         std::span<const BlockCache> caches,
                                         std::span<const LaneFloats> weights, Sums mode, Params& sums) const {
  const auto precisions = [&](const Vector& squares, double weight) -> Vector {
    if constexpr (L::kSlabs) {
      const Eigen::Map<const Eigen::ArrayXf> alpha(theta.latent.slab_precision.data(), filters());
      return (squares.array() / (2.0F * alpha.square()) + 0.5F * static_cast<float>(weight) / alpha).matrix();
    } else {
      (void)weight;
      return squares;
    }
  };
  const VectorSums all = sum_tree(
      static_cast<Index>(states.size()),
      [&](Index block) {
        const auto b = static_cast<std::size_t>(block);
        const BlockCache& cache = caches[b];
        const auto weight = weight_of(weights[b], cache.lanes);
        const auto gate = cache.gate.leftCols(cache.lanes).array();
        const auto x = cache.input.leftCols(cache.lanes).array();
        return VectorSums{V::sums(theta.visible, states[b].visible, weight),
                          cache.units.leftCols(cache.lanes) * weight, (gate * x).matrix() * weight,
                          precisions((gate * x.square()).matrix() * weight, total_weight(weight))};
      },
      [&](VectorSums& into, const VectorSums& from) {
        add_scaled(into.visible, 1.0F, from.visible);
        into.units += from.units;
        into.gated += from.gated;
        into.precisions += from.precisions;
      });
  if (mode == Sums::kSet) {
    set_zero(sums.visible);
    for_each_field(
        [](std::string_view name, auto& field) {
          if (name != "spike_precision") field.setZero();
        },
        sums.latent);
  }
  add_scaled(sums.visible, 1.0F, all.visible);
  L::add_bias_sums(shape_.latents, all.units, sums.latent);
  if constexpr (L::kSlabs) {
    Eigen::Map<Eigen::ArrayXf>(sums.latent.slab_mean.data(), filters()) += all.gated.array();
    Eigen::Map<Eigen::ArrayXf>(sums.latent.slab_precision.data(), filters()) -= all.precisions.array();
  }
}

template <VisibleUnits V, LatentUnits L>
std::vector<Index> SpikeSlab<V, L>::layer_sizes() const {
  std::vector<Index> all = {n_visible()};
  for (const Index n : L::layers(shape_.latents)) all.push_back(n);
  return all;
}

template <VisibleUnits V, LatentUnits L>
std::vector<std::string> SpikeSlab<V, L>::layer_names() const {
  std::vector<std::string> all = {"visible"};
  for (std::string& name : L::layer_names(shape_.latents)) all.push_back(std::move(name));
  return all;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::layer_values(Index layer, const State& x, const BlockCache& cache,
                                   LaneMatrix& out) const {
  if (layer == 0) {
    LaneMatrix memory;
    out = V::as_real(x.visible, memory);
    return;
  }
  const std::vector<Index> sizes = layer_sizes();
  Index first = 0;
  for (Index k = 1; k < layer; ++k) first += sizes[static_cast<std::size_t>(k)];
  out = cache.units.middleRows(first, sizes[static_cast<std::size_t>(layer)]);
}

template <VisibleUnits V, LatentUnits L>
LayerShape SpikeSlab<V, L>::statistics_shape(const Params& theta) const {
  const Index slabs = L::kSlabs ? filters() : 0;
  Index units = 0;
  for (const Index n : L::layers(shape_.latents)) units += n;
  std::vector<Index> sizes(kStatisticsLayers, 0);
  sizes[kVisibleStatistics] = n_visible();
  sizes[kAmplitudeStatistics] = filters();
  sizes[kSquareStatistics] = V::square_statistics(n_visible());
  sizes[kUnitStatistics] = L::kSlabs ? units : 0;
  sizes[kSlabMeanStatistics] = slabs;
  sizes[kSlabPrecisionStatistics] = slabs;
  sizes[kOwnStatistics] = V::own_statistics(n_visible());
  LayerShape shape(std::move(sizes));
  shape.biased[kVisibleStatistics] = V::kBiased;
  shape.biased[kAmplitudeStatistics] = !L::kSlabs;
  shape.centred = false;
  shape.coupled.assign(shape.coupled.size(), false);
  shape.coupled[kVisibleStatistics] = true;
  shape.coupled[kSquareStatistics] = has_spike_precision(theta);
  return shape;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::statistics_layer(std::size_t layer, bool drawn, const Params& theta, const State& x,
                                       const BlockCache& cache, LaneMatrix& out) const {
  switch (layer) {
    case kVisibleStatistics: {
      LaneMatrix memory;
      out = V::as_real(x.visible, memory);
      for (Index d = 0; d < n_visible(); ++d) out.row(d) *= V::scale(reference_, d);
      return;
    }
    case kSquareStatistics:
      V::fill_squares(reference_, x.visible, out);
      return;
    case kOwnStatistics:
      V::fill_own_statistics(reference_, theta.visible, x.visible, out);
      return;
    case kUnitStatistics:
      if constexpr (L::kSlabs) {
        if (drawn) {
          L::fill_units(x.latent, out);
        } else {
          out = cache.units.topRows(out.rows());
        }
      }
      return;
    default:
      break;
  }
  if constexpr (!L::kSlabs) {
    if (layer != kAmplitudeStatistics) return;
    for (Index m = 0; m < filters(); ++m) {
      if (drawn) {
        out.row(m) = L::amplitude(shape_.latents, theta.latent, x.latent, m).matrix();
      } else {
        out.row(m) = cache.amplitude.row(m);
      }
    }
  } else {
    for (Index m = 0; m < filters(); ++m) {
      const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
      const float mean = root * theta.latent.slab_mean.data()[m];
      // In standard deviations of the prior: what the visibles make of the slab's mean, and the slab.
      const Lanes input = cache.input.row(m).array() * (1.0F / root);
      const Lanes slab = x.latent.slabs.row(m).array();
      const Lanes on =
          drawn ? bits_to_lanes(L::gate_bits(shape_.latents, x.latent, m)) : Lanes(cache.gate.row(m).array());
      if (layer == kAmplitudeStatistics) {
        out.row(m) = (on * (drawn ? slab : Lanes(mean + input))).matrix();
      } else if (layer == kSlabMeanStatistics) {
        out.row(m) = (on * (drawn ? Lanes(slab - mean) : input)).matrix();
      } else if (drawn) {
        out.row(m) = (on * (mean * slab - 0.5F * mean * mean) - 0.5F * slab.square()).matrix();
      } else {
        out.row(m) = (-0.5F * on * input.square()).matrix();
      }
    }
  }
}

template <VisibleUnits V, LatentUnits L>
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

template <VisibleUnits V, LatentUnits L>
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

template <VisibleUnits V, LatentUnits L>
template <class P, class F, class S>
void SpikeSlab<V, L>::visit_statistics(const Params& theta, P& params, F&& f, S& statistics) const {
  const auto root = [&](Index m) {
    if constexpr (L::kSlabs) {
      return std::sqrt(theta.latent.slab_precision.data()[m]);
    } else {
      return 1.0F;
    }
  };
  V::visit_statistics(f, reference_, params.visible, statistics);
  for (Index d = 0; d < n_visible(); ++d) {
    const float unit = V::scale(reference_, d);
    for (Index m = 0; m < filters(); ++m)
      f(statistics.weights[kVisibleStatistics](d, m), params.weights(d, m), unit * root(m), false);
    if constexpr (kSpikePrecision) {
      auto& phi = statistics.weights[kSquareStatistics];
      for (Index i = 0; i < phi.cols(); ++i)
        f(phi(d, i), params.latent.spike_precision(d, i), unit * unit, true);
    }
  }
  Index first = 0;
  for_each_field(
      [&](std::string_view name, auto& field) {
        if (!name.ends_with("_bias")) return;
        auto& own = statistics.bias[L::kSlabs ? kUnitStatistics : kAmplitudeStatistics];
        for (Index i = 0; i < field.size(); ++i) f(own[first + i], field.data()[i], 1.0F, false);
        first += field.size();
      },
      params.latent);
  if constexpr (L::kSlabs) {
    for (Index m = 0; m < filters(); ++m) {
      f(statistics.bias[kSlabMeanStatistics][m], params.latent.slab_mean.data()[m], 1.0F / root(m), false);
      f(statistics.bias[kSlabPrecisionStatistics][m], params.latent.slab_precision.data()[m],
        root(m) * root(m), true);
    }
  }
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
