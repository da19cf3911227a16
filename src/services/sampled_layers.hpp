// Layers of chains as rows: what files and arrays hold.
#pragma once

#include "tempera/mcmc/population.hpp"
#include "tempera/services/sampling.hpp"

namespace tempera {

/// Adds a row for each of the first lanes of a block.
void append_rows(const BitLayer& bits, Index lanes, SampledLayer& layer);
void append_rows(const LaneMatrix& values, Index lanes, SampledLayer& layer);

/// Bits of sites as codes of their letters.
SampledLayer as_codes(const SampledLayer& bits, const Letters& letters);

/// Every layer of the chains that is not empty.
template <EnergyModel M>
std::vector<SampledLayer> layers_of(const Chains<M>& chains) {
  std::vector<SampledLayer> layers;
  for (std::size_t b = 0; b < chains.blocks.size(); ++b) {
    std::size_t k = 0;
    for_each_field(
        [&](std::string_view name, const auto& layer) {
          if (layer.size() == 0) return;
          if (b == 0) layers.push_back({std::string(name), 0, {}});
          append_rows(layer, lanes_of(chains.n_chains, static_cast<Index>(b)), layers[k++]);
        },
        chains.blocks[b]);
  }
  return layers;
}

/// The visibles alone.
template <EnergyModel M>
SampledLayer visible_layer(const Chains<M>& chains) {
  SampledLayer layer{"visible", 0, {}};
  for (std::size_t b = 0; b < chains.blocks.size(); ++b)
    append_rows(M::visibles_of(chains.blocks[b]), lanes_of(chains.n_chains, static_cast<Index>(b)), layer);
  return layer;
}

}  // namespace tempera
