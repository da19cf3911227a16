// Populations of Markov chains in blocks of 64: the one place where a chain is a lane of a block.
//
// What is above this page numbers chains and never looks into a block. A population is therefore what another
// device would own, and what ranks own parts of: of a population of so many blocks every rank has a place for
// all and advances its own (Executor::owned). What functions here return of chains is known to every rank.
// States of other ranks' chains are those of the last `gather`, which whoever looks at a state or moves
// chains calls first; caches never travel.
#pragma once

#include <vector>

#include "tempera/mcmc/engine.hpp"
#include "tempera/models/layers.hpp"

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

/// The block that holds a chain.
inline std::size_t block_of(std::uint64_t chain) { return static_cast<std::size_t>(chain / kLanes); }

/// A number for every chain, block by block.
template <class Number>
struct PerChain {
  std::vector<std::array<Number, kLanes>> blocks;

  PerChain() = default;
  explicit PerChain(std::size_t n_blocks) : blocks(n_blocks) {}
  [[nodiscard]] Number& operator[](std::uint64_t chain) { return blocks[chain / kLanes][chain % kLanes]; }
  [[nodiscard]] const Number& operator[](std::uint64_t chain) const {
    return blocks[chain / kLanes][chain % kLanes];
  }
  void fill(Number value) {
    for (auto& block : blocks) block.fill(value);
  }
};

/// Memory of a population that is no part of its Markov state: the cache and the inverse temperatures of
/// every block, and scratch for every thread.
template <EnergyModel M>
struct Caches {
  std::vector<typename M::BlockCache> blocks;
  PerChain<float> betas;
  std::vector<typename M::Scratch> scratch;

  /// Memory for these chains, all at beta = 1, for the caches of this rank's blocks alone. What already fits
  /// is kept, the caches included.
  void fit(const M& model, std::uint64_t n_chains, const Executor& executor);
  /// Blocks first ... first + count - 1 as a panel.
  Panel<M> panel(std::vector<typename M::State>& states, Index first, Index count);

 private:
  UnitRange owned_;  // the blocks whose caches have memory
};

/// Chains with their caches. Files hold the chains alone.
template <EnergyModel M>
struct Population {
  Chains<M> chains;
  Caches<M> caches;

  Population() = default;
  explicit Population(Chains<M> of) : chains(std::move(of)) {}

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    Chains<M>::visit(f, s.chains...);
  }

  /// Memory for the caches of these chains, all at beta = 1. Caches that fit are kept.
  void fit(const Engine<M>& engine) { caches.fit(engine.model, chains.n_chains, engine.executor); }
};

/// How work on a population is cut into tasks: panels of blocks, and parts of a layer where there are too few
/// blocks for the threads. Results do not depend on the cut.
struct Cut {
  UnitRange blocks;
  Index panels = 1;
  Index parts = 1;

  /// Panels of at least `least` blocks for every thread, else parts. A product that serves four blocks has
  /// paid for its tables; work that would wait for all threads after every product prefers smaller panels.
  Cut(UnitRange blocks, int threads, Index least = 4);
  [[nodiscard]] Index tasks() const { return panels * parts; }
  [[nodiscard]] Index first_block(Index task) const {
    return blocks.first + task / parts * blocks.size() / panels;
  }
  [[nodiscard]] Index block_count(Index task) const {
    return blocks.first + (task / parts + 1) * blocks.size() / panels - first_block(task);
  }
  /// The part of a layer of n units that a task has; may be empty.
  [[nodiscard]] UnitRange units(Index task, Index n_units) const;
};

/// Copies one chain, in every layer, to another place.
template <class State>
requires(!requires(State s) { s.blocks; }) void copy_chain(const State& from, Index from_lane, State& to,
                                                           Index to_lane) {
  for_each_field([&](std::string_view, const auto& source,
                     auto& target) { copy_lane(source, from_lane, target, to_lane); },
                 from, to);
}

/// The same by the numbers of the chains.
template <EnergyModel M>
void copy_chain(const Chains<M>& from, std::uint64_t from_chain, Chains<M>& to, std::uint64_t to_chain) {
  copy_chain(from.blocks[from_chain / kLanes], static_cast<Index>(from_chain % kLanes),
             to.blocks[to_chain / kLanes], static_cast<Index>(to_chain % kLanes));
}

/// Sets every layer of a chain to 0, as that of a lane without a chain.
template <EnergyModel M>
void clear_chain(Chains<M>& chains, std::uint64_t chain) {
  for_each_field([&](std::string_view, auto& layer) { keep_lanes(~(Word{1} << (chain % kLanes)), layer); },
                 chains.blocks[chain / kLanes]);
}

/// n chains with every layer 0.
template <EnergyModel M>
Chains<M> empty_chains(const M& model, std::uint64_t n) {
  Chains<M> chains;
  chains.n_chains = n;
  chains.blocks.assign(static_cast<std::size_t>(words_for(static_cast<Index>(n))), model.new_state());
  return chains;
}

/// Copies the chains of a block whose bit in `lanes` is set, in every layer.
template <class State>
void copy_lanes(const State& from, Word lanes, State& to) {
  for_each_field(
      [lanes](std::string_view, const auto& source, auto& target) { copy_turned(source, lanes, 0, target); },
      from, to);
}

/// The states that other ranks have made of their chains become known to this one. `blocks`: those of a whole
/// population. Cost: a copy of the states of all ranks.
template <EnergyModel M>
void gather(const Executor& executor, std::span<typename M::State> blocks);
template <EnergyModel M>
void gather(const Executor& executor, Chains<M>& chains) {
  gather<M>(executor, std::span(chains.blocks));
}

/// A population of some chains of another, in the order given.
template <EnergyModel M>
Chains<M> select_chains(const M& model, const Chains<M>& chains, std::span<const std::uint64_t> which);

/// A chain that has another number than before.
struct Renumbered {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

/// Takes chains out of a population, their numbers ascending. The last chains that stay take their places: of
/// a chain in a block that keeps a place for it, within the block, so that no more chains than necessary
/// change the block. Returns those that moved.
template <EnergyModel M>
std::vector<Renumbered> remove_chains(std::span<const std::uint64_t> gone, Chains<M>& chains);

/// Chains in block b of a population.
Index lanes_of(std::uint64_t n_chains, Index block);

/// `value` for every chain of block b, 0 for the lanes past the last one.
LaneFloats lane_weights(std::uint64_t n_chains, Index block, float value);

/// Weights of a mean over the first n chains.
PerChain<float> mean_weights(std::uint64_t n);

/// The same inverse temperature for 64 chains.
LaneFloats constant_beta(float beta);

/// n chains drawn from the machine at beta = 0; every rank draws all.
template <HasReference M>
Chains<M> reference_chains(const Engine<M>& engine, std::uint64_t n, Purpose purpose);

/// n chains whose visibles are cases of a data set, in the order given (repeating it where it is shorter),
/// and whose latents are drawn given them.
template <EnergyModel M>
Chains<M> data_chains(const Engine<M>& engine, const typename M::Params& theta, std::uint64_t n,
                      const typename M::Data& data, std::span<const Index> cases, Purpose purpose);

/// Chains whose visibles are these cases, in this order, and whose other layers are 0; every rank loads its
/// own. `chains` is the memory.
template <EnergyModel M>
void load_cases(const Engine<M>& engine, const typename M::Data& data, std::span<const Index> cases,
                Chains<M>& chains);

/// `sweeps` sweeps of every chain at the inverse temperatures of `workspace`, which must fit the chains.
/// Leaves every cache current. The draws are those of (purpose, chains.sweeps ...).
template <EnergyModel M>
void advance(const Engine<M>& engine, const typename M::Params& theta, std::uint64_t sweeps, Purpose purpose,
             Population<M>& population);

/// Expected latents by a mean field at beta = 1, from current caches; nothing for machines that have none.
/// Groups of units that take turns begin with another one in odd updates.
template <EnergyModel M>
void mean_field(const Engine<M>& engine, const typename M::Params& theta, Index sweeps, bool odd_update,
                Caches<M>& caches);

/// Floating-point operations of a sweep of one chain, on one scale with those of enumeration. The kernels of
/// sweeps are so much faster than softplus in double that an operation for each parameter is what they take
/// (docs/performance.md).
template <EnergyModel M>
double sweep_operations(const M& model);

/// Sweeps of the mean field of cases where it stands for exact latents.
inline constexpr Index kMeanFieldSweeps = 50;

/// Expected latents of blocks of cases given their visibles: exact, or where the model has none the mean
/// field after this many sweeps.
template <EnergyModel M>
void infer_cases(const Engine<M>& engine, const typename M::Params& theta, Index sweeps,
                 std::vector<typename M::State>& blocks, Caches<M>& caches);

/// out[c] = free energy of the visibles alone at beta = 1, from what infer_cases left: exact, or the upper
/// bound of the mean field.
template <EnergyModel M>
void case_free_energy(const M& model, const typename M::Params& theta, const typename M::State& x,
                      const typename M::BlockCache& cache, LaneDoubles& out);

/// Makes the caches of blocks current; then, their expected latents.
template <EnergyModel M>
void latent_input(const Engine<M>& engine, const typename M::Params& theta,
                  std::vector<typename M::State>& blocks, Caches<M>& caches);
template <EnergyModel M>
void mean_latents(const Engine<M>& engine, const typename M::Params& theta,
                  std::vector<typename M::State>& blocks, Caches<M>& caches);

/// Sums of the statistics of chains, each with its weight, slice after slice of the parameters. The caches
/// hold the expected latents. Sums over blocks follow the fixed tree, so the result depends on neither
/// threads nor ranks.
template <EnergyModel M>
void accumulate(const Engine<M>& engine, const typename M::Params& theta, Population<M>& population,
                const PerChain<float>& weights, typename M::Params& sums);

/// Chains, and what each weighs.
template <EnergyModel M>
struct Weighed {
  Population<M>& population;
  const PerChain<float>& weights;
};

/// Parameters whose matrices are empty.
template <Fielded Params>
Params without_matrices(Params theta) {
  for_each_field(
      []<class Array>(std::string_view, Array& array) {
        if constexpr (Array::ColsAtCompileTime != 1) array.resize(0, 0);
      },
      theta);
  return theta;
}

/// The sums of two sets of chains, those of the first plus those of the second: ranks exchange both at once.
/// `of_first`, whose matrices are empty, gets the vectors of the sums of the first alone.
template <EnergyModel M>
void accumulate(const Engine<M>& engine, const typename M::Params& theta, const Weighed<M>& first,
                const Weighed<M>& second, typename M::Params& sums, typename M::Params& of_first);

/// A node of the tree over blocks that `accumulate` sums along, with the sums of its blocks.
template <EnergyModel M>
using StatisticsNode = std::pair<TreeNode, typename M::Params>;

/// The complete nodes of the tree that blocks first ... last - 1 cover: what whoever has these blocks alone
/// can give to the statistics of all.
template <EnergyModel M>
std::vector<StatisticsNode<M>> accumulate_nodes(const Engine<M>& engine, const typename M::Params& theta,
                                                Population<M>& population, const PerChain<float>& weights,
                                                UnitRange blocks);

/// What `accumulate` gives, to the byte, from the nodes of consecutive ranges of blocks in order.
template <EnergyModel M>
typename M::Params combined(std::vector<StatisticsNode<M>> nodes);

}  // namespace tempera
