// The two phases of the gradient of the log-likelihood: statistics of the data, and of the machine.
#pragma once

#include "tempera/train/state.hpp"

namespace tempera {

/// Cases of one update.
template <EnergyModel M>
struct Batch {
  const typename M::Data& data;
  std::span<const Index> cases;
  std::uint64_t epoch = 0;
  /// These cases alone, in this order, where their values are drawn anew at every visit.
  const typename M::Data* drawn = nullptr;
};

/// States with the expected statistics that they give, and the weight of each in their mean.
template <EnergyModel M>
struct Phase {
  Population<M>& population;
  std::vector<std::uint64_t> chains;  // that count, in the order in which they are counted
  PerChain<float> weights;
};

/// Memory of the phases, reused by every update.
template <EnergyModel M>
struct PhaseMemory {
  Population<M> cases;
  Population<M> data_chains;  // of cd
  TrajectoryCaches<M> snapshots;
};

/// Expected latents given a batch: exact, by a mean field, or sampled with the visibles held from even hidden
/// layers at 0. Draws are those of kPositiveChains and kDataNoise at this update. Cases also become
/// components of the jumps' proposal, where there are jumps.
template <EnergyModel M>
Phase<M> positive_phase(const Engine<M>& engine, const Plan& plan, const Batch<M>& batch, TrainState<M>& s,
                        PhaseMemory<M>& memory);

/// Sweeps of the chains, with what the ladder does between them: nothing, swaps of temperatures, or exchanges
/// with draws of the last snapshot. Chains that do not persist begin at the data. Leaves caches current, with
/// expected latents.
template <EnergyModel M>
Phase<M> negative_phase(const Engine<M>& engine, const Plan& plan, const Phase<M>& data, TrainState<M>& s,
                        PhaseMemory<M>& memory);

/// Sweeps of the chains that a metric has to itself, if any; with expected latents.
template <EnergyModel M>
void advance_metric_chains(const Engine<M>& engine, const Plan& plan, TrainState<M>& s);

}  // namespace tempera
