// Training from its first state to its last update.
#pragma once

#include <functional>

#include "tempera/train/update.hpp"

namespace tempera {

/// Sees what every update did and the state after it; may stop training.
template <EnergyModel M>
using Observer = std::function<Control(const UpdateReport&, const TrainState<M>&)>;

/// Cases 0 ... n-1 in the order of one epoch: a function of the seed and the epoch.
std::vector<Index> epoch_order(Index n_cases, const StreamFactory& streams, std::uint64_t epoch);

/// The state before the first update. Cost: draws of the reference machine.
template <EnergyModel M>
TrainState<M> initial_state(const Engine<M>& engine, const Plan& plan, const typename M::Data& data);

/// Lets training that has not begun begin at `theta`, made proper, instead.
template <EnergyModel M>
void begin_at(const M& model, const Plan& plan, typename M::Params theta, TrainState<M>& s);

/// Updates the state until the plan's total, or until the observer stops it; the observer sees every update.
/// Throws NumericalError, naming update and field, as soon as a gradient or a step is not finite.
template <EnergyModel M>
void train(const Engine<M>& engine, const Plan& plan, const typename M::Data& data, TrainState<M>& s,
           const Observer<M>& observer);

}  // namespace tempera
