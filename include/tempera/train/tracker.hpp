// log Z of the machine that training offers for use, known at every report with an error bar.
//
// The tracker has chains of its own: replicas of a temperature ladder and particles at beta = 1. When the
// machine moves, importance sampling at every rung tells how log Z moved; rounds of sweeps and swaps at the
// new place gives Bennett's ratios of neighbours; estimate/lattice.hpp weighs both (Desjardins, Courville,
// Bengio 2011). Rungs that are placed anew move in the same step as the parameters, so the belief stays one
// belief. The particles are a sequential Monte Carlo sampler (Neal 2001; Del Moral, Doucet, Jasra 2006):
// their weights grow until they are drawn anew, which is right even for chains that lag; how their mean moves
// is one more measurement.
//
// Training starts near the reference machine, whose log Z is known exactly at every beta.
#pragma once

#include "tempera/core/observer.hpp"
#include "tempera/estimate/lattice.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/ladder.hpp"

namespace tempera {

/// Everything that a checkpoint holds of it. n_rungs = 0: particles alone. No chains: nothing is tracked, or
/// the chains are those of training.
template <EnergyModel M>
struct Tracker {
  typename M::Params theta;  // the machine that the belief is about
  TemperatureLadder ladder;  // its free chains are the particles
  Population<M> population;
  LatticeBelief belief;                        // over the rungs; over one where there are particles alone
  std::vector<double> accumulated_log_weight;  // of every chain: the sum of its log-weights of late, of
                                               // particles since they were drawn anew
  // Running means: how variable the increments of every rung (and, last, of the particles) are, and how much
  // they go on as before; the same of the ratios of neighbours, with the fading sum of the influences of
  // every ensemble on them.
  std::vector<double> increment_variance;
  std::vector<double> increment_correlation;
  std::vector<double> ratio_variance;
  std::vector<double> ratio_correlation;
  std::vector<double> influences;
  std::uint64_t rounds = 0;
  bool current = false;  // whether the caches are those of this machine and these chains; not stored

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("theta", s.theta...);
    f("ladder", s.ladder...);
    f("chains", s.population...);
    f("belief", s.belief...);
    f("accumulated_log_weight", s.accumulated_log_weight...);
    f("increment_variance", s.increment_variance...);
    f("increment_correlation", s.increment_correlation...);
    f("ratio_variance", s.ratio_variance...);
    f("ratio_correlation", s.ratio_correlation...);
    f("influences", s.influences...);
    f("rounds", s.rounds...);
  }
};

/// Sizes of a tracker.
struct TrackerShape {
  std::uint64_t n_rungs = 10;  // at the start; 0: particles alone
  std::uint64_t n_ensembles = 20;
  std::uint64_t n_particles = 64;
};

/// Chains drawn from the reference machine, of which log Z is exact.
template <EnergyModel M>
Tracker<M> initial_tracker(const Engine<M>& engine, const TrackerShape& shape);

/// A tracker for the chains of training, which start as draws of the reference machine.
template <EnergyModel M>
Tracker<M> shared_tracker(const M& model, const TemperatureLadder& ladder);

/// A tracker of these sizes, every array zero: what a file is read into.
template <EnergyModel M>
Tracker<M> empty_tracker(const M& model, const TrackerShape& shape);

/// Name of the first thing that is wrong with a tracker that was read from a file, or nullptr.
template <EnergyModel M>
const char* tracker_fault(const Tracker<M>& tracker);

/// Follows the machine to new parameters: in as many steps as it takes for at least half of the draws of
/// every rung to count, each with two rounds of sweeps and swaps; three where chains lag so far behind
/// that less than half of them would count. Cost, for one step and round: three products, four softplus
/// passes.
template <EnergyModel M>
void track(const Engine<M>& engine, const typename M::Params& theta, Tracker<M>& tracker,
           const Jumps& jumps = {});

/// Rounds at the machine where the tracker is: log Z gets better known. Expects rungs.
template <EnergyModel M>
void refresh(const Engine<M>& engine, std::uint64_t rounds, Tracker<M>& tracker,
             const Progress& progress = {}, const Jumps& jumps = {});

/// Begins an estimate that is independent of how training went: a tenth as many rounds as are to follow let
/// the replicas settle, and what was measured up to their end counts for nothing. Expects rungs.
template <EnergyModel M>
void settle(const Engine<M>& engine, std::uint64_t rounds_to_follow, Tracker<M>& tracker,
            const Progress& progress = {}, const Jumps& jumps = {});

/// Free energies of the coldest replica of every ensemble, at the tracker's machine.
template <EnergyModel M>
std::vector<double> coldest_energies(const Engine<M>& engine, const Tracker<M>& tracker);

/// log Z of a machine close to that of the tracker, which stays where it is. Cost: two products, none where
/// it is that machine.
template <EnergyModel M>
LogPartition tracked_log_partition(const Engine<M>& engine, const typename M::Params& theta,
                                   const Tracker<M>& tracker);

/// The paper's own form, with the chains of training: after an update from the tracker's parameters to
/// `theta`, while the caches are still those of before. The increment at beta = 1 is then biased by about
/// -(learning rate) tr Cov(s) / chains, since the step was made to disfavour these very chains
/// (docs/mathematics/log-partition.md 3.17), which a random walk of the bias follows. Expects a
/// `shared_tracker` of a ladder whose rungs stay.
template <EnergyModel M>
void track_shared(const Engine<M>& engine, const typename M::Params& theta, const TemperatureLadder& ladder,
                  Population<M>& population, Tracker<M>& tracker);

}  // namespace tempera
