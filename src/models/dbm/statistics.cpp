// Sums of statistics, and parameters as layers.
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/dbm.hpp"
#include "units/bernoulli_units.hpp"

namespace tempera {

void Dbm::unpack_latents(const State& x, BlockCache& cache) const {
  cache.mean_field = false;
  for (std::size_t k = 1; k < layers(); k += 2) unpack_lanes(x.layers[k], cache.mean[k]);
}

Index Dbm::slices() const {
  Index count = 0;
  for (std::size_t k = 1; k < layers(); k += 2) count += (size(k) + kProductColumns - 1) / kProductColumns;
  return count;
}

std::pair<std::size_t, UnitRange> Dbm::slice_part(Index slice) const {
  for (std::size_t k = 1;; k += 2) {
    const Index of_layer = (size(k) + kProductColumns - 1) / kProductColumns;
    if (slice < of_layer)
      return {k, {slice * kProductColumns, std::min(size(k), (slice + 1) * kProductColumns)}};
    slice -= of_layer;
  }
}

void Dbm::accumulate(const Params&, std::span<const State> states, std::span<const BlockCache> caches,
                     std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                     Params& sums) const {
  const auto [odd, units] = slice_part(slice);
  const auto n_blocks = static_cast<Index>(states.size());
  const bool mean_field = !caches.empty() && caches.front().mean_field;
  const auto add = [](auto& into, const auto& from) { into += from; };
  const auto put = [mode](auto&& sum, const auto& value) {
    if (mode == Sums::kSet) {
      sum = value;
    } else {
      sum += value;
    }
  };
  const auto weight_of = [&](std::size_t b) {
    return Eigen::Map<const Vector>(weights[b].data(), caches[b].lanes);
  };

  // With the layer below, then with the one above: its bits are the rows of the product.
  for (const bool above : {false, true}) {
    if (above && odd + 1 == layers()) continue;
    const std::size_t even = above ? odd + 1 : odd - 1;
    if (mean_field && even > 0) {
      const Matrix product = sum_tree(
          n_blocks,
          [&](Index block) {
            const auto b = static_cast<std::size_t>(block);
            const Index lanes = caches[b].lanes;
            return Matrix(caches[b].mean[odd].block(units.first, 0, units.size(), lanes) *
                          weight_of(b).asDiagonal() * caches[b].mean[even].leftCols(lanes).transpose());
          },
          add);
      if (above) {
        put(sums.weights[odd].middleRows(units.first, units.size()), product);
      } else {
        put(sums.weights[even].middleCols(units.first, units.size()), product.transpose().eval());
      }
      continue;
    }
    scratch.blocks.clear();
    for (std::size_t b = 0; b < states.size(); ++b) {
      scratch.blocks.push_back({states[b].layers[even].data(), caches[b].mean[odd].data(), weights[b].data(),
                                static_cast<std::size_t>(caches[b].lanes)});
    }
    if (!above) {
      add_products(scratch.blocks, units, mode, sums.weights[even], scratch.products);
    } else {
      scratch.transposed.resize(size(even), size(odd));
      add_products(scratch.blocks, units, Sums::kSet, scratch.transposed, scratch.products);
      put(sums.weights[odd].middleRows(units.first, units.size()),
          scratch.transposed.middleCols(units.first, units.size()).transpose().eval());
    }
  }

  const auto mean_sum = [&](std::size_t k, UnitRange part) {
    return sum_tree(
        n_blocks,
        [&](Index block) {
          const auto b = static_cast<std::size_t>(block);
          return Vector(caches[b].mean[k].block(part.first, 0, part.size(), caches[b].lanes) * weight_of(b));
        },
        add);
  };
  put(sums.bias[odd].segment(units.first, units.size()), mean_sum(odd, units));
  if (slice > 0) return;
  for (std::size_t k = 0; k < layers(); k += 2) {
    if (mean_field && k > 0) {
      put(sums.bias[k], mean_sum(k, {0, size(k)}));
      continue;
    }
    put(sums.bias[k], sum_tree(
                          n_blocks,
                          [&](Index block) {
                            const auto b = static_cast<std::size_t>(block);
                            Vector part = Vector::Zero(size(k));
                            add_bits(states[b].layers[k], weights[b], part);
                            return part;
                          },
                          add));
  }
}

void Dbm::note_means(Index slice, const Params& sums, Offsets& means) const {
  const auto [odd, units] = slice_part(slice);
  means.layers[odd].segment(units.first, units.size()) = sums.bias[odd].segment(units.first, units.size());
  if (slice > 0) return;
  for (std::size_t k = 2; k < layers(); k += 2) means.layers[k] = sums.bias[k];
}

void Dbm::score(const Params& direction, const State& x, const BlockCache& probe, const BlockCache& cache,
                LaneDoubles& out) const {
  out.fill(0.0);
  for (std::size_t k = 0; k < layers(); k += 2) add_dots({x.layers[k], cache.lanes}, direction.bias[k], out);
  for (std::size_t k = 1; k < layers(); k += 2)
    add_column_dots(probe.input[k], cache.mean[k], cache.lanes, out);
}

void Dbm::layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  const auto k = static_cast<std::size_t>(layer);
  if (k == 0 || (k % 2 == 0 && !cache.mean_field)) {
    unpack_lanes(x.layers[k], out);
  } else {
    out = cache.mean[k];
  }
}

LayerParams<float> Dbm::to_layers(Params&& params) {
  LayerParams<float> layers;
  for (std::size_t k = 0; k < kMaxHidden && params.weights[k].size() > 0; ++k)
    layers.weights.push_back(std::move(params.weights[k]));
  for (std::size_t k = 0; k <= layers.weights.size(); ++k) layers.bias.push_back(std::move(params.bias[k]));
  return layers;
}

Dbm::Params Dbm::from_layers(LayerParams<float>&& layers) {
  Params params;
  for (std::size_t k = 0; k < layers.weights.size(); ++k) params.weights[k] = std::move(layers.weights[k]);
  for (std::size_t k = 0; k < layers.bias.size(); ++k) params.bias[k] = std::move(layers.bias[k]);
  return params;
}

std::vector<const Vector*> Dbm::layer_offsets(const Offsets& offsets) {
  std::vector<const Vector*> all;
  for (const Vector& layer : offsets.layers) {
    if (layer.size() > 0) all.push_back(&layer);
  }
  return all;
}

}  // namespace tempera
