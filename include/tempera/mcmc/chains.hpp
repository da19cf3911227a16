// Populations of Markov chains in blocks of 64.
#pragma once

#include <vector>

#include "tempera/models/energy_model.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// The whole Markov state of a population: copyable, comparable, storable.
template <EnergyModel M>
struct Chains {
  std::vector<typename M::State> blocks;  // words_for(n_chains) blocks; lanes past n_chains are unused
  std::uint64_t n_chains = 0;
  std::uint64_t sweeps = 0;  // sweeps made so far: the step of the next draw

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("blocks", s.blocks...);
    f("n_chains", s.n_chains...);
    f("sweeps", s.sweeps...);
  }
};

/// Scratch of a population, one Work per block. Not part of the Markov state.
template <EnergyModel M>
using Works = std::vector<typename M::Work>;

/// 1 for every chain of block b, 0 for the lanes past the last one, times `value`.
LaneFloats lane_weights(std::uint64_t n_chains, Index block, float value);

/// The same inverse temperature for 64 chains.
LaneFloats constant_beta(float beta);

/// n chains drawn from the machine at beta = 0.
template <HasReference M>
Chains<M> reference_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                           const StreamFactory& streams, Purpose purpose, const Workers& workers);

/// n chains whose visibles are cases of a data set, in the order given (repeating it where it is shorter),
/// and whose latents are drawn given them.
template <EnergyModel M>
Chains<M> data_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                      const BinaryData& data, std::span<const Index> cases, const StreamFactory& streams,
                      Purpose purpose, const Workers& workers);

/// `sweeps` sweeps of every chain at beta = 1, blocks in parallel. Leaves the cache of every Work current.
/// The draws are those of (purpose, chains.sweeps ...).
template <EnergyModel M>
void advance(const M& model, const typename M::Params& theta, std::uint64_t sweeps,
             const StreamFactory& streams, Purpose purpose, Chains<M>& chains, Works<M>& works,
             const Workers& workers);

}  // namespace tempera
