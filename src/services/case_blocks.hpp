// Cases of a data set in blocks, with what the latents are given each.
#pragma once

#include <numeric>

#include "tempera/services/cases.hpp"

namespace tempera {

/// Blocks of cases that are in memory at a time.
inline constexpr Index kCaseBlocks = 64;

/// Calls visit(number of the first case, state, cache with expected latents) for every block of cases that is
/// this rank's, in parallel, some blocks at a time. Expected latents are exact, or those of a mean field.
template <EnergyModel M, class Visit>
void for_each_case_block(const Engine<M>& engine, const typename M::Params& theta,
                         const typename M::Data& data, const Progress& progress, Visit&& visit) {
  const Index n = data.n_cases();
  std::vector<Index> cases(static_cast<std::size_t>(n));
  std::iota(cases.begin(), cases.end(), Index{0});
  Chains<M> chains;
  Caches<M> caches;
  for (Index first = 0; first < n; first += kCaseBlocks * kLanes) {
    const Index count = std::min(n - first, kCaseBlocks * kLanes);
    load_cases(engine, data,
               std::span(cases).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)),
               chains);
    caches.fit(engine.model, chains.n_chains, engine.executor);
    infer_cases(engine, theta, kMeanFieldSweeps, chains.blocks, caches);
    engine.executor.for_each_owned(words_for(count), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      visit(first + block * kLanes, chains.blocks[b], caches.blocks[b]);
    });
    progress(static_cast<double>(first + count) / static_cast<double>(n));
  }
}

/// Rows of cases that for_each_case_block has filled on the ranks that have their blocks become known to all.
inline void share_case_rows(const Executor& executor, Matrix& rows) {
  const Index n_blocks = words_for(rows.rows());
  const int ranks = executor.ranks().size();
  std::vector<Made> made;
  for (Index b = 0; b < n_blocks; ++b) {
    const Index first = b / kCaseBlocks * kCaseBlocks;
    const Index lanes = std::min(kLanes, rows.rows() - b * kLanes);
    made.push_back({owner_of(b - first, std::min(kCaseBlocks, n_blocks - first), ranks),
                    {bytes_of(rows.data() + b * kLanes * rows.cols(), lanes * rows.cols())}});
  }
  share_things(executor.ranks(), made);
}

}  // namespace tempera
