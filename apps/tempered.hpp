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

struct TemperedPopulation {
  TemperatureLadder ladder;
  Chains<Model> chains;
  Workspace<Model> workspace;
  std::size_t n_warm = 0;  // the first ensembles, which started at data
};

struct LadderRequest {
  std::uint64_t rungs = 0;  // 0: as the barrier asks
  std::uint64_t ensembles = 8;
  std::uint64_t sweeps = 1;  // in a round, before its swaps
  std::size_t n_warm = 0;
};

/// Chains that started at cases in random order.
Chains<Model> warm_chains(const ModelFile& file, const BinaryData& data, std::uint64_t n,
                          const StreamFactory& streams, const Workers& workers);

/// Starts the ensembles at the reference machine, the first n_warm at `data`, and places the rungs.
TemperedPopulation place_ladder(const ModelFile& file, const LadderRequest& request, const BinaryData& data,
                                const StreamFactory& streams, const CommonOptions& common,
                                const Workers& workers);

/// One round; differences of free energies of the pairs that met are appended where asked for.
void temper(const ModelFile& file, const LadderRequest& request, const StreamFactory& streams,
            TemperedPopulation& population, const Workers& workers,
            std::vector<EnergyDifferences>* differences = nullptr);

/// The chains at beta = 1, one of each ensemble.
std::vector<std::uint64_t> coldest_of(const TemperatureLadder& ladder);

}  // namespace tempera::apps
