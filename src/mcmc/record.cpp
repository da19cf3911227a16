#include "tempera/mcmc/record.hpp"

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Mean of the units of a layer in one chain.
double mean_of_chain(const BitLayer& layer, std::uint64_t chain) {
  std::uint64_t ones = 0;
  for (const Word unit : layer) ones += unit >> (chain % kLanes) & 1;
  return static_cast<double>(ones) / static_cast<double>(layer.size());
}
double mean_of_chain(const LaneMatrix& layer, std::uint64_t chain) {
  return layer.col(static_cast<Index>(chain % kLanes)).cast<double>().mean();
}

}  // namespace

template <EnergyModel M>
void record(const Engine<M>& engine, const typename M::Params& theta, const Population<M>& population,
            std::span<const std::uint64_t> which, const DataClusters& clusters, Trace& trace) {
  const Chains<M>& chains = population.chains;
  PerChain<double> energies(chains.blocks.size());
  PerChain<double> visibles(chains.blocks.size());
  PerChain<Index> places(clusters.size() > 0 ? chains.blocks.size() : 0);
  std::vector<char> concerned(chains.blocks.size(), 0);
  for (const std::uint64_t chain : which) concerned[block_of(chain)] = 1;
  engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    if (concerned[b] == 0) return;
    engine.model.free_energy(theta, constant_beta(1.0F), chains.blocks[b], population.caches.blocks[b],
                             energies.blocks[b]);
    ProductScratch scratch;
    if constexpr (std::derived_from<typename M::Data, BinaryData>) {
      if (clusters.size() > 0)
        places.blocks[b] = nearest_clusters(
            clusters, {M::visibles_of(chains.blocks[b]), lanes_of(chains.n_chains, block)}, scratch);
    }
  });
  for (const std::uint64_t chain : which) {
    const std::size_t b = block_of(chain);
    if (engine.executor.owns(static_cast<Index>(b), static_cast<Index>(chains.blocks.size())))
      visibles[chain] = mean_of_chain(M::visibles_of(chains.blocks[b]), chain);
  }
  engine.executor.share(energies.blocks, visibles.blocks, places.blocks);
  trace.free_energy.resize(which.size());
  trace.mean_visible.resize(which.size());
  if (clusters.size() > 0) trace.cluster.resize(which.size());
  trace.n_clusters = clusters.size();
  for (std::size_t c = 0; c < which.size(); ++c) {
    trace.free_energy[c].push_back(energies[which[c]]);
    trace.mean_visible[c].push_back(visibles[which[c]]);
    if (clusters.size() > 0) trace.cluster[c].push_back(places[which[c]]);
  }
}

#define TEMPERA_INSTANTIATE(M)                                                   \
  template void record(const Engine<M>&, const M::Params&, const Population<M>&, \
                       std::span<const std::uint64_t>, const DataClusters&, Trace&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
