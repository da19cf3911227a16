// Searches for modes during training: a machine may grow modes that no chain visits, and which the gradient
// then never pushes down. What is found is what log Z is held against, and where jumps may lead.
//
// A search is a step of the updates of a fixed schedule. Its budget is a part of the work of the updates
// since the one before, counted and not clocked, so that what it finds depends on no machine.
#pragma once

#include "tempera/train/state.hpp"

namespace tempera {

/// What searches may cost a training run.
struct SearchBudget {
  double operations = 0.0;    // for every update
  std::uint64_t updates = 0;  // between searches, at least
};

/// Counted from sizes alone; nothing for machines whose modes cannot be searched, and where nothing would
/// look at them.
template <EnergyModel M>
std::optional<SearchBudget> search_budget(const M& model, const Plan& plan);

/// Where there is a search at this update: the heaviest distinct modes become those of the state, and of its
/// jumps. Ascents begin at modes that are remembered, at cases and at random.
template <EnergyModel M>
void search(const Engine<M>& engine, const SearchBudget& budget, const typename M::Data& data,
            TrainState<M>& s);

}  // namespace tempera
