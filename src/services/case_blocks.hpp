// Cases of a data set in blocks, with what the latents are given each.
#pragma once

#include <numeric>

#include "tempera/services/cases.hpp"

namespace tempera {

/// Calls visit(number of the first case, state, cache with expected latents) for every block of cases, in
/// parallel, some blocks at a time. Expected latents are exact, or those of a mean field.
template <EnergyModel M, class Visit>
void for_each_case_block(const Engine<M>& engine, const typename M::Params& theta,
                         const typename M::Data& data, const Progress& progress, Visit&& visit) {
  constexpr Index kBlocks = 64;
  const Index n = data.n_cases();
  std::vector<Index> cases(static_cast<std::size_t>(n));
  std::iota(cases.begin(), cases.end(), Index{0});
  Chains<M> chains;
  Caches<M> caches;
  for (Index first = 0; first < n; first += kBlocks * kLanes) {
    const Index count = std::min(n - first, kBlocks * kLanes);
    load_cases(engine, data,
               std::span(cases).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
               chains);
    caches.fit(engine.model, chains.n_chains, engine.executor);
    infer_cases(engine, theta, kMeanFieldSweeps, chains.blocks, caches);
    engine.executor.for_each(words_for(count), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      visit(first + block * kLanes, chains.blocks[b], caches.blocks[b]);
    });
    progress(static_cast<double>(first + count) / static_cast<double>(n));
  }
}

}  // namespace tempera
