// Temperature ladders: replicas of a machine at several inverse temperatures that exchange places, so that
// what is drawn at beta = 0, where draws are independent, travels to beta = 1 (Geyer 1991; Desjardins,
// Courville, Bengio 2010).
//
// Swaps are non-reversible: even pairs of rungs, then odd ones, in turn (Okabe et al. 2001; Syed et al.
// 2021). They use the free energies of the visibles, so that the latents need not fit the new place: these
// are drawn anew after it. Labels move, states stay.
//
// Formulas: docs/mathematics/tempering.md 2.1 to 2.9.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tempera/core/observer.hpp"
#include "tempera/mcmc/population.hpp"

namespace tempera {

/// A population's chains as rungs of ensembles, and plain chains at beta = 1 beside them. A value, stored in
/// checkpoints; n_rungs = 0 is no ladder.
struct TemperatureLadder {
  std::uint64_t n_rungs = 0;
  std::uint64_t n_ensembles = 0;
  std::uint64_t swaps = 0;            // rounds of swaps so far, all pairs of one parity each
  std::uint64_t last_adapted = 0;     // `swaps` when the rungs were last placed
  std::uint64_t rounds_counted = 0;   // rounds of swaps that `round_trips` counts
  std::uint64_t round_trips = 0;      // 1 -> 0 -> 1 in beta, all ensembles together
  std::vector<double> betas;          // n_rungs, increasing, 0 and 1 included
  std::vector<double> rejections;     // n_rungs - 1: running mean of 1 - acceptance of the pair (k, k + 1)
  std::vector<double> offers;         // n_rungs - 1: swaps offered that the running mean has seen
  std::vector<double> up;             // n_rungs: running mean of replicas that come from beta = 1
  std::vector<double> down;           // n_rungs: of those that come from beta = 0
  std::vector<std::uint64_t> chains;  // [ensemble * n_rungs + rung]: the chain there
  std::vector<std::uint64_t> origin;  // of the replica there: the end it saw last, an Origin
  std::vector<std::uint64_t> free_chains;  // chains at beta = 1 that are in no ensemble

  enum Origin : std::uint64_t { kNone = 0, kUp = 1, kDown = 2 };

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("n_rungs", s.n_rungs...);
    f("n_ensembles", s.n_ensembles...);
    f("swaps", s.swaps...);
    f("last_adapted", s.last_adapted...);
    f("rounds_counted", s.rounds_counted...);
    f("round_trips", s.round_trips...);
    f("betas", s.betas...);
    f("rejections", s.rejections...);
    f("offers", s.offers...);
    f("up", s.up...);
    f("down", s.down...);
    f("chains", s.chains...);
    f("origin", s.origin...);
    f("free_chains", s.free_chains...);
  }

  [[nodiscard]] std::uint64_t n_chains() const { return free_chains.size() + n_ensembles * n_rungs; }
  /// Chain at beta = 1 of an ensemble.
  [[nodiscard]] std::uint64_t coldest(std::uint64_t ensemble) const {
    return chains[(ensemble + 1) * n_rungs - 1];
  }
};

/// Rungs and ensembles at most: their product numbers the draws of a round of swaps.
inline constexpr std::uint64_t kMaxRungs = 1024;
inline constexpr std::uint64_t kMaxEnsembles = std::uint64_t{1} << 20;

/// A ladder of these sizes with every array zero: what a file is read into.
TemperatureLadder empty_ladder(std::uint64_t n_rungs, std::uint64_t n_ensembles, std::uint64_t n_free);

/// Name of the first thing that is wrong with a ladder that was read from a file, or nullptr: betas that do
/// not increase from 0 to 1, chains that are not a permutation, labels and means out of range.
const char* ladder_fault(const TemperatureLadder& ladder);

/// Evenly spaced rungs; chains 0 ... n_plain - 1 are plain, the ensembles follow one after another.
TemperatureLadder linear_ladder(std::uint64_t n_rungs, std::uint64_t n_ensembles, std::uint64_t n_free);

/// Probability that two replicas change places: min(1, exp(f_i(v_i) + f_j(v_j) - f_i(v_j) - f_j(v_i))) for
/// free energies f of the two rungs (docs/mathematics/tempering.md 2.2). Detailed balance holds to
/// rounding.
double swap_probability(double own_i, double own_j, double i_in_place_of_j, double j_in_place_of_i);

/// Running mean of a pair's rejection: of the first 100 offers the plain mean, then with weight 1/100.
void add_rejection(double rejected, double& offers, double& rejection);

/// Notes at which end of a ladder a replica is, if any; 1 where it thereby completes a round trip, else 0.
std::uint64_t count_round_trip(std::uint64_t rung, std::uint64_t n_rungs, std::uint64_t& origin);

/// Sets the inverse temperature of every chain; plain ones get 1.
template <EnergyModel M>
void place(const TemperatureLadder& ladder, Population<M>& population);

/// Differences of free energies between two machines: log-weights from the first to the second at draws of
/// the first, and back at draws of the second. [round * n_ensembles + ensemble].
struct EnergyDifferences {
  std::vector<double> forward;
  std::vector<double> reverse;
};

/// One round of swaps, of the pairs (k, k + 1) with k + ladder.swaps even; one uniform for each pair. Caches
/// must be current (`advance` leaves them so) and betas in place. Draws the latents of the blocks concerned
/// at their new betas. Counts round trips, rejections (probabilities, not coins) and the flow of replicas.
/// Where `differences` are given (one for each pair), those of the pairs that met are appended. Cost: two
/// softplus passes and one draw of the latents, no product.
template <EnergyModel M>
void swap_rungs(const Engine<M>& engine, const typename M::Params& theta, Draws draws,
                TemperatureLadder& ladder, Population<M>& population,
                std::vector<EnergyDifferences>* differences = nullptr);

/// Free energies of every replica at every rung: row ensemble * n_rungs + rung, column the rung where it
/// would be. Caches must be current. Cost: n_rungs softplus passes.
template <EnergyModel M>
Eigen::MatrixXd rung_energies(const Engine<M>& engine, const typename M::Params& theta,
                              const TemperatureLadder& ladder, const Population<M>& population);

/// The coldest replica of every ensemble changes places with a plain chain, drawn without replacement while
/// there are as many: both are at beta = 1, so every exchange is accepted (Desjardins et al. 2010).
void exchange_with_free_chains(const StreamFactory& streams, TemperatureLadder& ladder);

/// Cumulative barrier from beta = 0: Lambda_k = sum of the rejections below rung k (Syed et al. 2021).
std::vector<double> cumulative_barrier(std::span<const double> rejections);

/// Mean over the pairs.
double mean_rejection(std::span<const double> rejections);

/// Mean round trips of an ensemble in a round of swaps, and what a ladder of any number of rungs can reach:
/// 1 / (2 + 2 Lambda).
double round_trip_rate(const TemperatureLadder& ladder);
double optimal_round_trip_rate(std::span<const double> rejections);

/// Fraction of replicas at each rung that come from beta = 1: 0 at the hottest, 1 at the coldest rung; linear
/// where replicas diffuse freely (Katzgraber et al. 2006).
std::vector<double> flow(const TemperatureLadder& ladder);

/// n inverse temperatures with the same barrier between neighbours: beta against the cumulative barrier is
/// interpolated monotonically (Fritsch & Carlson 1980).
std::vector<double> equal_rejection_betas(const TemperatureLadder& ladder, std::uint64_t n);

/// How many rungs there may be.
struct RungLimits {
  std::uint64_t least = 2;
  std::uint64_t most = kMaxRungs;
};

/// What adapt did to the number of rungs.
struct RungChange {
  int by = 0;              // -1, 0 or 1
  std::uint64_t rung = 0;  // the new one, a copy of what was at its place; or the one that went
};

/// The rungs placed anew for equal rejection, their number moved by at most one towards 2 Lambda + 1
/// within `limits`. A new rung copies the chains of its colder neighbour in every ensemble.
template <EnergyModel M>
TemperatureLadder adapt(TemperatureLadder ladder, RungLimits limits, const M& model, Chains<M>& chains,
                        RungChange* change = nullptr);

/// Paper mode (Desjardins, Courville, Bengio 2010; Katzgraber et al. 2006): every inner rung moves by `rate`
/// towards the place where the flow would be linear in the index. The flow is first made monotone by isotonic
/// regression, since noise would tie rungs to wrong betas; a rung stays where the flow around its goal is
/// flat, and all stay until replicas of both origins have been seen at every inner rung.
TemperatureLadder feedback(TemperatureLadder ladder, double rate);

/// Paper mode: one rung more in the middle of the widest step of the flow, its chains, labels and statistics
/// as in adapt. For when the mean acceptance falls below the least that is wanted.
template <EnergyModel M>
TemperatureLadder spawn(TemperatureLadder ladder, const M& model, Chains<M>& chains);

/// A round of a ladder: how many sweeps come before its swaps, and what draws them.
struct Round {
  std::uint64_t sweeps = 1;
  Draws draws;
};

/// One round: sweeps of every chain at its beta, then swaps. Leaves caches and betas current.
template <EnergyModel M>
void temper(const Engine<M>& engine, const typename M::Params& theta, const Round& round,
            TemperatureLadder& ladder, Population<M>& population,
            std::vector<EnergyDifferences>* differences = nullptr);

/// Places the rungs of a fixed machine: rounds of swaps with a placement after each, one rung more or less at
/// a time until their number settles, then rounds of doubling length for the betas alone (Syed et al. 2021).
/// `progress` may stop it. Statistics are reset at the end. Cost: 1500 to 5000 rounds of every chain.
template <EnergyModel M>
void tune(const Engine<M>& engine, const typename M::Params& theta, const Round& round, RungLimits limits,
          TemperatureLadder& ladder, Population<M>& population, const Progress& progress = {});

/// Forgets the statistics: after burn-in, or where the model has changed. Places stay.
void reset_statistics(TemperatureLadder& ladder);

}  // namespace tempera
