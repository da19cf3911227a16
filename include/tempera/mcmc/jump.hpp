// Jumps: a Metropolis independence move on the latents, proposed from what they were for cases seen lately
// and from modes that a search has found, so that a chain can reach another mode in one step. Everything else
// is summed out of the acceptance, and is then drawn anew.
//
// Formulas: docs/mathematics/tempering.md 2.12.
#pragma once

#include <span>

#include "tempera/core/option.hpp"
#include "tempera/mcmc/mode_search.hpp"

namespace tempera {

/// A rule in the place of the probability of jumps.
enum class JumpRule { kAuto };
template <>
struct Names<JumpRule> {
  static constexpr std::array<NamedValue<JumpRule>, 1> table = {
      {{JumpRule::kAuto, "auto", "as many as chains accept, 0 where the machine cannot"}}};
};

/// The components of the proposal: the laws of the latents given cases seen lately, a ring, and around modes
/// that a search has found, each by its logits of p(latent = 1). They may be stale, since any law that does
/// not look at the chain is a valid proposal.
struct JumpMemory {
  Matrix logits;             // (kJumpCases + kJumpModes) x latents, cases first, within +-kLargestJumpLogit
  Vector log_none;           // of every component: log probability that every latent is 0
  std::uint64_t filled = 0;  // rows of cases in use
  std::uint64_t next = 0;    // row that the next case takes
  std::uint64_t modes = 0;   // rows of modes in use
  double accepted = 0.1;  // running mean of the part of the jumps that chains accepted, where it is followed

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("logits", s.logits...);
    f("log_none", s.log_none...);
    f("filled", s.filled...);
    f("next", s.next...);
    f("modes", s.modes...);
    f("accepted", s.accepted...);
  }
};

/// Cases and modes in a memory.
inline constexpr Index kJumpCases = 512;
inline constexpr Index kJumpModes = 8;
/// Probabilities stay away from 0 and 1, so that every state can be proposed.
inline constexpr float kLargestJumpLogit = 10.0F;
/// Weight of the uniform law in the proposal, and that of all modes where there are any beside cases.
inline constexpr double kUniformPart = 0.02;
inline constexpr double kModePart = 0.2;

JumpMemory empty_memory(Index n_latents);

/// Whether a memory that was read from a file is one that add_cases and set_modes could have left.
bool is_consistent(const JumpMemory& memory);

/// Cases that the proposal of a machine in training is made of. A jump looks at all of them, so that the look
/// costs a machine of few bits no more than a sweep.
template <EnergyModel M>
Index remembered_cases(const M& model);

/// Takes the chains of a block in as cases, from their cache (`latent_input` leaves it current), into a
/// memory with room for so many. Nothing for machines that cannot jump.
template <EnergyModel M>
void add_cases(const M& model, const typename M::Params& theta, const typename M::BlockCache& cache,
               JumpMemory& memory, Index room = kJumpCases);

/// Modes of the collapsed machine take the places of those before, at most kJumpModes: around each, a latent
/// has the law that it has given that all others stay as they are. Nothing for machines that cannot jump.
/// Cost: for each mode the weights of all its neighbours.
template <EnergyModel M>
void set_modes(const Engine<M>& engine, const typename M::Params& theta, std::span<const PackedState> modes,
               JumpMemory& memory);

/// n chains at modes of the collapsed machine, one mode after another; none of machines that cannot jump.
template <EnergyModel M>
Chains<M> mode_chains(const Engine<M>& engine, const typename M::Params& theta,
                      std::span<const PackedState> modes, std::uint64_t n);

/// What jumps of some chains are drawn with: whether there are any, the component and decision, and latents.
struct JumpDraws {
  Purpose step = Purpose::kJumpStep;
  Purpose choice = Purpose::kJumpChoice;
  Purpose latents = Purpose::kJump;
};

/// Probability that a jump is accepted, from the free energies of the latents with the visibles summed out
/// and the log densities of the proposal: min(1, exp(F - F' + log q - log q')).
double jump_probability(double free_energy, double proposed_free_energy, double log_density,
                        double proposed_log_density);

/// Log density of the proposal (the whole mixture) at the latents of a block, for each chain.
LaneDoubles jump_log_density(const JumpMemory& memory, const BitLayer& latents, Index lanes);

/// Follows what part of the jumps is accepted.
void note_acceptance(double accepted, JumpMemory& memory);

/// Offers every chain one jump, at its own beta. Nothing while the memory is empty. Caches are stale
/// afterwards; a sweep must follow. Returns the mean acceptance, 0 for machines that cannot jump. Cost: two
/// free energies of the latents for every chain and two products with the memory.
template <EnergyModel M>
double jump(const Engine<M>& engine, const typename M::Params& theta, const JumpMemory& memory,
            std::uint64_t step, Population<M>& population, const JumpDraws& draws = {});

/// Before a sweep of these chains, now and then a jump: the mean acceptance, where there was one. Nothing for
/// machines that cannot jump.
template <EnergyModel M>
std::optional<double> jump_now_and_then(const Engine<M>& engine, const typename M::Params& theta, double rate,
                                        const JumpMemory& memory, Population<M>& population,
                                        const JumpDraws& draws = {});

/// Jumps that some chains make: how often, and towards what; none without a memory.
struct Jumps {
  double rate = 0.0;
  const JumpMemory* memory = nullptr;
};

/// Probability of jumps: what is asked for, or else as many as chains accept, at most `most`. Jumps cost as
/// much as two sweeps: where hardly any is accepted they are not worth it.
double jump_rate(const std::optional<double>& asked, const JumpMemory& memory, double most);

/// Whether step number `step` begins with jumps, which have this probability.
bool is_jump(double rate, const StreamFactory& streams, std::uint64_t step,
             Purpose purpose = Purpose::kJumpStep);

}  // namespace tempera
