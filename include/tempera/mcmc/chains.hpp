// Populations of Markov chains in blocks of 64.
#pragma once

#include <vector>

#include "tempera/models/energy_model.hpp"
#include "tempera/models/layers.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// The whole Markov state of a population: copyable, comparable, storable.
template <EnergyModel M>
struct Chains {
  std::vector<typename M::State> blocks;  // words_for(n_chains) blocks; lanes past n_chains are 0
  std::uint64_t n_chains = 0;
  std::uint64_t sweeps = 0;  // sweeps made so far: the step of the next draw

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("blocks", s.blocks...);
    f("n_chains", s.n_chains...);
    f("sweeps", s.sweeps...);
  }
};

/// Memory of a population that is no part of its Markov state: the cache and the inverse temperatures of
/// every block, and scratch for every thread.
template <EnergyModel M>
struct Workspace {
  std::vector<typename M::Work> works;
  std::vector<LaneFloats> betas;
  std::vector<typename M::Scratch> scratch;

  /// Memory for these chains, all at beta = 1. What already fits is kept, the caches included.
  void fit(const M& model, std::uint64_t n_chains, const Workers& workers);
  /// Blocks first ... first + count - 1 as a panel.
  Panel<M> panel(std::vector<typename M::State>& blocks, Index first, Index count);
};

/// How work on a population is cut into tasks: panels of blocks, and parts of a layer where there are too few
/// blocks for the threads. Results do not depend on the cut.
struct Cut {
  Index n_blocks = 0;
  Index panels = 1;
  Index parts = 1;

  /// Panels of at least `least` blocks for every thread, else parts. A product that serves four blocks has
  /// paid for its tables; work that would wait for all threads after every product prefers smaller panels.
  Cut(Index blocks, int threads, Index least = 4);
  [[nodiscard]] Index tasks() const { return panels * parts; }
  [[nodiscard]] Index first_block(Index task) const { return task / parts * n_blocks / panels; }
  [[nodiscard]] Index block_count(Index task) const {
    return (task / parts + 1) * n_blocks / panels - first_block(task);
  }
  /// The part of a layer of n units that a task has; may be empty.
  [[nodiscard]] UnitRange units(Index task, Index n_units) const;
};

/// Copies one chain, in every layer, to another place.
template <class State>
void copy_chain(const State& from, Index from_lane, State& to, Index to_lane) {
  for_each_field([&](std::string_view, const auto& source,
                     auto& target) { copy_lane(source, from_lane, target, to_lane); },
                 from, to);
}

/// Copies the chains of a block whose bit in `lanes` is set, in every layer.
template <class State>
void copy_lanes(const State& from, Word lanes, State& to) {
  for_each_field(
      [lanes](std::string_view, const auto& source, auto& target) { copy_turned(source, lanes, 0, target); },
      from, to);
}

/// A population of some chains of another, in the order given.
template <EnergyModel M>
Chains<M> select_chains(const M& model, const Chains<M>& chains, std::span<const std::uint64_t> which);

/// Chains in block b of a population.
Index lanes_of(std::uint64_t n_chains, Index block);

/// `value` for every chain of block b, 0 for the lanes past the last one.
LaneFloats lane_weights(std::uint64_t n_chains, Index block, float value);

/// The same inverse temperature for 64 chains.
LaneFloats constant_beta(float beta);

/// n chains drawn from the machine at beta = 0.
template <HasReference M>
Chains<M> reference_chains(const M& model, std::uint64_t n, const StreamFactory& streams, Purpose purpose,
                           const Workers& workers);

/// n chains whose visibles are cases of a data set, in the order given (repeating it where it is shorter),
/// and whose latents are drawn given them.
template <EnergyModel M>
Chains<M> data_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                      const typename M::Data& data, std::span<const Index> cases,
                      const StreamFactory& streams, Purpose purpose, const Workers& workers);

/// `sweeps` sweeps of every chain at the inverse temperatures of `workspace`, which must fit the chains.
/// Leaves every cache current. The draws are those of (purpose, chains.sweeps ...).
template <EnergyModel M>
void advance(const M& model, const typename M::Params& theta, std::uint64_t sweeps,
             const StreamFactory& streams, Purpose purpose, Chains<M>& chains, Workspace<M>& workspace,
             const Workers& workers);

/// Expected latents of blocks of cases given their visibles: exact, or where the model has none the mean
/// field after this many sweeps.
template <EnergyModel M>
void infer_cases(const M& model, const typename M::Params& theta, Index sweeps,
                 std::vector<typename M::State>& blocks, Workspace<M>& workspace, const Workers& workers);

/// out[c] = free energy of the visibles alone at beta = 1, from what infer_cases left: exact, or the upper
/// bound of the mean field.
template <EnergyModel M>
void case_free_energy(const M& model, const typename M::Params& theta, const typename M::State& x,
                      const typename M::Work& work, LaneDoubles& out);

/// Makes the caches of blocks current; then, their expected latents.
template <EnergyModel M>
void infer(const M& model, const typename M::Params& theta, std::vector<typename M::State>& blocks,
           Workspace<M>& workspace, const Workers& workers);
template <EnergyModel M>
void mean_latents(const M& model, const typename M::Params& theta, std::vector<typename M::State>& blocks,
                  Workspace<M>& workspace, const Workers& workers);

}  // namespace tempera
