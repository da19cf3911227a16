// Replicas of a finished machine on a temperature ladder that is placed for it: for samples and for estimates
// of log Z.
//
// Formulas: docs/mathematics/tempering.md 2.1 to 2.9.
#pragma once

#include <optional>

#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/services/listener.hpp"

namespace tempera {

/// Rungs of such a ladder at most, and at first where their number is left open.
inline constexpr std::uint64_t kMostRungs = 200;
inline constexpr std::uint64_t kFirstRungs = 10;

struct LadderRequest {
  std::optional<std::int64_t> rungs;  // nothing: as the barrier asks, 2 Lambda + 1
  std::uint64_t ensembles = 8;
  std::uint64_t sweeps = 1;  // in a round, before its swaps
  std::size_t n_warm = 0;    // the first ensembles, which start at data
  std::size_t n_modes = 0;   // the next ones, which start at modes, one after another
  std::span<const PackedState> modes = {};
};

template <EnergyModel M>
struct TemperedPopulation {
  TemperatureLadder ladder;
  Population<M> population;
  Round round;
  std::size_t n_warm = 0;
};

/// The cases that chains start at, in random order.
[[nodiscard]] std::vector<Index> warm_cases(const StreamFactory& streams, Index n_cases);

/// n chains that start at warm_cases. Cost: one product.
template <EnergyModel M>
Chains<M> warm_chains(const Engine<M>& engine, const typename M::Params& theta, const typename M::Data& data,
                      std::uint64_t n);

/// Starts the ensembles at the reference machine, the first n_warm at `data` and the next n_modes at modes,
/// and places the rungs. Expects data where n_warm > 0, and modes of a machine that can jump where n_modes
/// is. Throws Interrupted. Cost: 1500 to 5000 rounds of every replica.
template <EnergyModel M>
TemperedPopulation<M> place_ladder(const Engine<M>& engine, const typename M::Params& theta,
                                   const LadderRequest& request, const typename M::Data& data,
                                   Listener& listener);

/// One round; differences of free energies of the pairs that met are appended where asked for.
template <EnergyModel M>
void temper(const Engine<M>& engine, const typename M::Params& theta, TemperedPopulation<M>& replicas,
            std::vector<EnergyDifferences>* differences = nullptr) {
  temper(engine, theta, replicas.round, replicas.ladder, replicas.population, differences);
}

/// The chains at beta = 1, one of each ensemble.
std::vector<std::uint64_t> coldest_of(const TemperatureLadder& ladder);

}  // namespace tempera
