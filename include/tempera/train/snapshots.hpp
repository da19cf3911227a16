// Snapshots of the parameters that a training run leaves behind itself, with replicas of each: the trajectory
// ladder of SML-PTT (Béreux et al. 2025, "Fast training and sampling of restricted Boltzmann machines").
//
// Between freezes the chains of the live machine are offered draws of the last snapshot from a reservoir.
// When they accept too few, the live machine becomes a snapshot: sweeps of the whole trajectory equilibrate
// its replicas, fill a new reservoir, renew the chains and measure log Z by Bennett's ratio.
//
// Formulas: docs/mathematics/tempering.md 2.11.
#pragma once

#include "tempera/estimate/path.hpp"
#include "tempera/mcmc/trajectory.hpp"

namespace tempera {

/// What SML-PTT keeps beside the chains. A value, stored in checkpoints; empty for other trainers.
template <EnergyModel M>
struct Snapshots {
  Trajectory<M> trajectory;
  Chains<M> reservoir;         // draws of the last snapshot
  double log_partition = 0.0;  // of the last snapshot, nats
  double log_partition_se = 0.0;
  double acceptance = 1.0;      // running mean of exchanges between chains and reservoir
  double rate = 1.0;            // factor of the learning rate: halved by every rollback
  std::uint64_t frozen = 0;     // update at which the last snapshot was taken
  std::uint64_t rollbacks = 0;  // since the last snapshot that was kept

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("trajectory", s.trajectory...);
    f("reservoir", s.reservoir...);
    f("log_partition", s.log_partition...);
    f("log_partition_se", s.log_partition_se...);
    f("acceptance", s.acceptance...);
    f("rate", s.rate...);
    f("frozen", s.frozen...);
    f("rollbacks", s.rollbacks...);
  }
};

/// What a ladder's replicas measured, as the estimators of log Z take it: views of `differences`.
std::vector<LogWeightPair> log_weight_path(const std::vector<EnergyDifferences>& differences);

/// Exchanges accepted on average below which the live machine is frozen, and below which it has collapsed.
inline constexpr double kFreezeAcceptance = 0.3;
inline constexpr double kCollapsedAcceptance = 0.1;
/// Rollbacks in a row after which training gives up.
inline constexpr std::uint64_t kMostRollbacks = 30;

/// Memory for snapshots with this many rungs and chains: what a file is read into.
template <EnergyModel M>
Snapshots<M> empty_snapshots(const M& model, std::uint64_t n_rungs, std::uint64_t n_chains);

/// Name of the first thing that is wrong with snapshots that were read from a file at this update, or
/// nullptr.
template <EnergyModel M>
const char* snapshots_fault(const M& model, const Snapshots<M>& snapshots, std::uint64_t update);

/// The reference machine as the only snapshot, and a reservoir of its draws.
template <HasReference M>
Snapshots<M> initial_snapshots(const Engine<M>& engine, std::uint64_t n_chains);

/// When snapshots are worked on, and the jumps that replicas make.
struct SnapshotStep {
  std::uint64_t update = 0;
  double jump_rate = 0.0;
  const JumpMemory& jumps;
};

/// Offers every chain another draw of the reservoir; accepted ones change places (Metropolis on free energies
/// of both machines, which leaves their product law invariant). Latents of the chains are drawn anew. Cost:
/// four products.
template <EnergyModel M>
void exchange_with_reservoir(const Engine<M>& engine, const typename M::Params& theta, std::uint64_t update,
                             Chains<M>& chains, Snapshots<M>& snapshots, TrajectoryCaches<M>& caches);

/// Whether the chains accept too few draws of the last snapshot.
template <EnergyModel M>
bool is_due(const Snapshots<M>& snapshots) {
  return snapshots.acceptance < kFreezeAcceptance;
}

/// Makes `theta` the next snapshot and renews the chains, or finds that its replicas have lost the way back
/// and returns false: then nothing has changed but the rounds, and theta should go back to the last snapshot
/// (roll_back). Snapshots whose neighbours accept each other are dropped, and midpoints put where swaps fail.
/// Cost: 20 rounds of all rungs.
template <EnergyModel M>
bool freeze(const Engine<M>& engine, const typename M::Params& theta, const SnapshotStep& step,
            Chains<M>& chains, Snapshots<M>& snapshots, TrajectoryCaches<M>& caches);

/// Every tenth update, one round of all rungs; every second time, the draws of the last snapshot replace a
/// tenth of the reservoir, part after part, so that the masses of modes that chains cannot leave do not rest
/// on one freeze.
template <EnergyModel M>
void refresh_reservoir(const Engine<M>& engine, const SnapshotStep& step, Snapshots<M>& snapshots,
                       TrajectoryCaches<M>& caches);

/// Parameters and chains of the last snapshot, at half the learning rate. Throws NumericalError after
/// kMostRollbacks in a row.
template <EnergyModel M>
void roll_back(std::uint64_t update, typename M::Params& theta, Chains<M>& chains, Snapshots<M>& snapshots);

}  // namespace tempera
