// Jumps: a Metropolis independence move on the latents, proposed from what they were for cases seen lately,
// so that a chain can reach another mode in one step. The visibles are summed out of the acceptance, and the
// next sweep draws them anew.
//
// Formulas: docs/mathematics/tempering.md 2.12.
#pragma once

#include "tempera/mcmc/population.hpp"

namespace tempera {

/// Logits of p(latent = 1 | case) of cases seen lately: a ring. The components of the proposal, all of equal
/// weight; they may be stale, since any law that does not look at the chain is a valid proposal.
struct JumpMemory {
  Matrix logits;             // cases x latents, within +-kLargestJumpLogit
  Vector log_none;           // cases: log probability that every latent is 0
  std::uint64_t filled = 0;  // rows in use
  std::uint64_t next = 0;    // row that the next case takes

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("logits", s.logits...);
    f("log_none", s.log_none...);
    f("filled", s.filled...);
    f("next", s.next...);
  }
};

/// Cases in a memory.
inline constexpr Index kJumpCases = 512;
/// Probabilities stay away from 0 and 1, so that every state can be proposed.
inline constexpr float kLargestJumpLogit = 10.0F;
/// Weight of the uniform law in the proposal.
inline constexpr double kUniformPart = 0.02;

JumpMemory empty_memory(Index n_latents);

/// Whether a memory that was read from a file is one that add_cases could have left.
bool is_consistent(const JumpMemory& memory);

/// Takes the chains of some blocks in as cases, from their caches (`latent_input` leaves them current).
/// Nothing for machines that cannot jump.
template <EnergyModel M>
void add_cases(const M& model, const Caches<M>& caches, JumpMemory& memory);

/// Probability that a jump is accepted, from the free energies of the latents with the visibles summed out
/// and the log densities of the proposal: min(1, exp(F - F' + log q - log q')).
double jump_probability(double free_energy, double proposed_free_energy, double log_density,
                        double proposed_log_density);

/// Log density of the proposal (the whole mixture) at the latents of a block, for each chain.
LaneDoubles jump_log_density(const JumpMemory& memory, const BitLayer& latents, Index lanes);

/// Offers every chain one jump, at its own beta. Nothing while the memory is empty. Caches are stale
/// afterwards; a sweep must follow. Returns the mean acceptance, 0 for machines that cannot jump. Cost: two
/// products with the weights and two with the memory.
template <EnergyModel M>
double jump(const Engine<M>& engine, const typename M::Params& theta, const JumpMemory& memory,
            std::uint64_t step, Population<M>& population);

/// Before a sweep of these chains, now and then a jump. Nothing for machines that cannot jump.
template <EnergyModel M>
void jump_now_and_then(const Engine<M>& engine, const typename M::Params& theta, double rate,
                       const JumpMemory& memory, Population<M>& population);

/// Whether step number `step` begins with jumps, which have this probability.
bool is_jump(double rate, const StreamFactory& streams, std::uint64_t step);

}  // namespace tempera
