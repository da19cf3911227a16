// What every sampler needs, passed once, first.
#pragma once

#include "tempera/core/random.hpp"
#include "tempera/models/energy_model.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// A machine, the streams that its draws come from, and the threads that do the work. Refers to what the
/// caller owns, and costs nothing to copy.
template <EnergyModel M>
struct Engine {
  const M& model;
  StreamFactory streams;
  const Executor& executor;
};
template <class M>
Engine(const M&, StreamFactory, const Executor&) -> Engine<M>;

/// The same for work that every rank does for itself.
template <EnergyModel M>
Engine<M> alone(const Engine<M>& engine) {
  return {engine.model, engine.streams, engine.executor.alone()};
}

/// Which streams a run with a ladder draws from: those of its sweeps and those of its swaps.
struct Draws {
  Purpose sweeps;
  Purpose swaps;
};

}  // namespace tempera
