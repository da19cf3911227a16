// Replicas of a model on a temperature ladder that is placed for it: for samples and for estimates of log Z.
#pragma once

#include "model_file.hpp"
#include "options.hpp"
#include "tempera/mcmc/ladder.hpp"

namespace tempera::apps {

/// Rungs at most.
inline constexpr std::uint64_t kMostRungs = 200;
/// Rungs at first.
inline constexpr std::uint64_t kFirstRungs = 10;

template <class M>
struct TemperedPopulation {
  TemperatureLadder ladder;
  Chains<M> chains;
  Workspace<M> workspace;
  std::size_t n_warm = 0;  // the first ensembles, which started at data
};

struct LadderRequest {
  std::uint64_t rungs = 0;  // 0: as the barrier asks
  std::uint64_t ensembles = 8;
  std::uint64_t sweeps = 1;  // in a round, before its swaps
  std::size_t n_warm = 0;
};

/// Chains that started at cases in random order.
template <class M>
Chains<M> warm_chains(const ModelFile<M>& file, const typename M::Data& data, std::uint64_t n,
                      const StreamFactory& streams, const Workers& workers);

/// Starts the ensembles at the reference machine, the first n_warm at `data`, and places the rungs.
template <class M>
TemperedPopulation<M> place_ladder(const ModelFile<M>& file, const LadderRequest& request,
                                   const typename M::Data& data, const StreamFactory& streams,
                                   const CommonOptions& common, const Workers& workers);

/// One round; differences of free energies of the pairs that met are appended where asked for.
template <class M>
void temper(const ModelFile<M>& file, const LadderRequest& request, const StreamFactory& streams,
            TemperedPopulation<M>& population, const Workers& workers,
            std::vector<EnergyDifferences>* differences = nullptr);

/// The chains at beta = 1, one of each ensemble.
std::vector<std::uint64_t> coldest_of(const TemperatureLadder& ladder);

}  // namespace tempera::apps
