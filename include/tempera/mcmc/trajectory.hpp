// Trajectory ladders: replicas of a machine at several points of a path of parameters, such as the one that
// training took, that exchange places (parallel trajectory tempering: Béreux, Decelle, Furtlehner, Seoane
// 2025). A path of training passes its phase transitions one after another, where a path of temperatures may
// meet a first-order transition that no number of rungs makes passable.
//
// Swaps are non-reversible and use free energies, as those of temperature ladders do; here states move, since
// every rung has products of its own.
//
// Formulas: docs/mathematics/tempering.md 2.10.
#pragma once

#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/ladder.hpp"

namespace tempera {

/// A path of machines with replicas of each. A value, stored in checkpoints; no rungs is no trajectory.
template <EnergyModel M>
struct Trajectory {
  std::uint64_t n_ensembles = 0;            // replicas of each rung, whole blocks
  std::uint64_t rounds = 0;                 // sweeps of every replica so far, each with swaps of one parity
  std::uint64_t rounds_counted = 0;         // rounds that `round_trips` counts
  std::uint64_t round_trips = 0;            // last -> first -> last rung, all ensembles together
  std::vector<typename M::Params> rungs;    // the reference machine first, where draws are independent
  std::vector<typename M::State> replicas;  // blocks of rung 0, then of rung 1, ...
  std::vector<double> rejections;           // n_rungs - 1: running mean of 1 - acceptance of (k, k + 1)
  std::vector<double> offers;               // n_rungs - 1: rounds that the running mean has seen
  std::vector<std::uint64_t> origin;        // [rung * n_ensembles + ensemble]: TemperatureLadder::Origin

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("n_ensembles", s.n_ensembles...);
    f("rounds", s.rounds...);
    f("rounds_counted", s.rounds_counted...);
    f("round_trips", s.round_trips...);
    f("rungs", s.rungs...);
    f("replicas", s.replicas...);
    f("rejections", s.rejections...);
    f("offers", s.offers...);
    f("origin", s.origin...);
  }

  [[nodiscard]] std::uint64_t n_rungs() const { return rungs.size(); }
  [[nodiscard]] std::uint64_t blocks() const { return n_ensembles / static_cast<std::uint64_t>(kLanes); }
};

/// Rounds at most: they number the steps of draws.
inline constexpr std::uint64_t kMostTrajectoryRounds = std::uint64_t{1} << 44;

/// A trajectory of these sizes with every number zero: what a file is read into.
template <EnergyModel M>
Trajectory<M> empty_trajectory(const M& model, std::uint64_t n_rungs, std::uint64_t n_ensembles);

/// Name of the first thing that is wrong with a trajectory that was read from a file, or nullptr.
template <EnergyModel M>
const char* trajectory_fault(const M& model, const Trajectory<M>& trajectory);

/// The reference machine alone, its replicas drawn from it. n_ensembles is rounded up to whole blocks.
template <HasReference M>
Trajectory<M> reference_trajectory(const Engine<M>& engine, std::uint64_t n_ensembles, Purpose purpose);

/// A machine more before rung k (k = n_rungs: after the last), with these replicas, n_ensembles of them.
template <EnergyModel M>
void insert_rung(std::uint64_t k, typename M::Params theta, const std::vector<typename M::State>& replicas,
                 Trajectory<M>& trajectory);

/// The machine halfway between rungs k - 1 and k in the parameters, before rung k; its replicas copy those of
/// rung k.
template <EnergyModel M>
void insert_midpoint(std::uint64_t k, Trajectory<M>& trajectory);

template <EnergyModel M>
void remove_rung(std::uint64_t k, Trajectory<M>& trajectory);

/// Replicas of one rung, as a population that has made as many sweeps as there were rounds.
template <EnergyModel M>
Chains<M> replicas_of(const Trajectory<M>& trajectory, std::uint64_t k);

/// The states of other ranks' replicas become known to this one, rung by rung.
template <EnergyModel M>
void gather(const Executor& executor, Trajectory<M>& trajectory) {
  for (std::uint64_t k = 0; k < trajectory.n_rungs(); ++k) {
    gather<M>(executor, std::span(trajectory.replicas)
                            .subspan(static_cast<std::size_t>(k * trajectory.blocks()), trajectory.blocks()));
  }
}

/// Memory of a round.
template <EnergyModel M>
struct TrajectoryCaches {
  Caches<M> own;
  Caches<M> other;
  std::vector<typename M::State> crossed;
  std::vector<LaneDoubles> own_energy;
  std::vector<LaneDoubles> other_energy;
};

/// How a round goes: what draws it, and jumps before the sweeps with this probability.
struct TrajectoryRound {
  Draws draws;
  double jump_rate = 0.0;
};

/// One round: independent draws of rung 0 and a sweep of every other replica under its own machine, after a
/// jump with probability `jump_rate`; then swaps of the pairs (k, k + 1) with k + rounds even, one uniform
/// for each pair and ensemble. Where `differences` are given (one for each pair), those of the pairs that met
/// are appended. Cost: three products with the weights for every replica.
template <EnergyModel M>
void temper(const Engine<M>& engine, const TrajectoryRound& round, const JumpMemory& jumps,
            Trajectory<M>& trajectory, TrajectoryCaches<M>& caches,
            std::vector<EnergyDifferences>* differences = nullptr);

/// Mean acceptance of swaps between rungs a and b with the replicas as they are. Cost: four products.
template <EnergyModel M>
double acceptance_between(const Engine<M>& engine, std::uint64_t a, std::uint64_t b,
                          const Trajectory<M>& trajectory, TrajectoryCaches<M>& caches);

/// Free energies of the chains of some blocks under any parameters.
template <EnergyModel M>
std::vector<LaneDoubles> free_energies(const Engine<M>& engine, const typename M::Params& theta,
                                       std::vector<typename M::State>& blocks, std::uint64_t n_chains,
                                       Caches<M>& caches);

/// Mean round trips of an ensemble in a round.
template <EnergyModel M>
double round_trip_rate(const Trajectory<M>& trajectory);

/// Forgets the statistics, e.g. after burn-in.
template <EnergyModel M>
void reset_statistics(Trajectory<M>& trajectory);

/// What a trajectory should look like.
struct TrajectoryLimits {
  double least_acceptance;  // of neighbours
  double spare_acceptance;  // of the neighbours of a rung, above which it can go
  std::uint64_t most_rungs = kMaxRungs;
};

/// Inserts midpoints where too few swaps were accepted; else takes the rung out whose neighbours accept most
/// of each other, if they accept enough. Returns whether anything changed.
template <EnergyModel M>
bool adjust(const Engine<M>& engine, const TrajectoryLimits& limits, Trajectory<M>& trajectory,
            TrajectoryCaches<M>& caches);

/// Rounds of sweeps and `adjust` until the trajectory stays as it is; `progress` may stop it. Statistics are
/// reset at the end.
template <EnergyModel M>
void tune(const Engine<M>& engine, const TrajectoryRound& round, const JumpMemory& jumps,
          const TrajectoryLimits& limits, Trajectory<M>& trajectory, TrajectoryCaches<M>& caches,
          const Progress& progress = {});

}  // namespace tempera
