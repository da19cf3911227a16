#include "tempera/train/tracker.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Draws of every rung that must count after a step, and chains that must count when they lag.
constexpr double kLeastFraction = 0.5;
/// A step is at least this part of the way that is left.
constexpr double kLeastPart = 1.0 / 4.0;
/// Steps at most on the way to a machine. The last one goes all the way, however few draws then count: their
/// doubt is in the error bar, and a tracker whose work has no bound would hold up training.
constexpr std::uint64_t kMostPasses = 8;
/// Rounds after a step, and where chains lag.
constexpr std::uint64_t kLeastRounds = 2;
constexpr std::uint64_t kMostRounds = 3;
/// What a chain carries fades by this factor in a round; what a ratio's ensembles carry, in two.
constexpr double kMemory = 0.98;
/// The filter takes increments for this many times as variable as draws say: chains that lag make them err
/// the same way step after step, while errors of ratios are new each time. More where chains jump: ratios
/// then soon know of modes whose growth increments have missed.
constexpr double kIncrementDoubt = 8.0;
constexpr double kJumpingDoubt = 16.0;
/// Chains settle for one round in so many before those that count.
constexpr std::uint64_t kSettling = 10;
/// What was measured while they settled, and before, counts so much less.
constexpr double kForgetting = 1e4;
/// Least weights of the newest in the running means of variances and of correlations.
constexpr double kNewestVariance = 0.05;
constexpr double kNewestCorrelation = 0.005;
/// Rounds between placements of the rungs, and how many there may be.
constexpr std::uint64_t kAdaptEvery = 50;
constexpr RungLimits kRungs{3, 100};
/// Standard deviation of a step of the bias of shared chains (docs/mathematics/log-partition.md 3.17).
constexpr double kBiasStep = 1e-3;
constexpr Draws kDraws{Purpose::kTracking, Purpose::kTrackingSwaps};
constexpr JumpDraws kJumpDraws{Purpose::kTrackingJumpStep, Purpose::kTrackingJumpChoice,
                               Purpose::kTrackingJump};

std::size_t at(std::uint64_t n) { return static_cast<std::size_t>(n); }

/// Free energies of all chains at their own betas, from current caches.
template <EnergyModel M>
std::vector<double> own_energies(const Engine<M>& engine, const typename M::Params& theta,
                                 const Population<M>& population) {
  const Chains<M>& chains = population.chains;
  PerChain<double> energies(chains.blocks.size());
  engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    engine.model.free_energy(theta, population.caches.betas.blocks[b], chains.blocks[b],
                             population.caches.blocks[b], energies.blocks[b]);
  });
  engine.executor.share(energies.blocks);
  std::vector<double> of_chains(at(chains.n_chains));
  for (std::uint64_t c = 0; c < chains.n_chains; ++c) of_chains[at(c)] = energies[c];
  return of_chains;
}

/// Chains of rung k, ensemble after ensemble.
std::vector<std::uint64_t> chains_of(const TemperatureLadder& ladder, std::uint64_t k) {
  std::vector<std::uint64_t> chains;
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e)
    chains.push_back(ladder.chains[at(e * ladder.n_rungs + k)]);
  return chains;
}

std::vector<double> pick(const std::vector<double>& values, const std::vector<std::uint64_t>& which) {
  std::vector<double> picked;
  for (const std::uint64_t chain : which) picked.push_back(values[at(chain)]);
  return picked;
}

/// Groups of chains of one law: those of every rung and the particles.
template <EnergyModel M>
std::vector<std::vector<std::uint64_t>> groups_of(const Tracker<M>& tracker) {
  std::vector<std::vector<std::uint64_t>> groups;
  for (std::uint64_t k = 0; k < tracker.ladder.n_rungs; ++k) groups.push_back(chains_of(tracker.ladder, k));
  groups.push_back(tracker.ladder.free_chains);
  return groups;
}

void add_to_mean(double value, double least_weight, std::uint64_t count, double& mean) {
  mean += std::max(least_weight, 1.0 / static_cast<double>(count + 1)) * (value - mean);
}

/// How much larger a variance is than that of independent draws.
double inflation_of(double mean_correlation) { return 1.0 + 2.0 * std::max(0.0, mean_correlation); }

/// The same with a new measurement among the running means, from the covariance of the draws' terms with
/// what they carry of the past. `variance` and `correlation` are running means. A measurement must not be
/// weighed by the variance that it has itself: the two are correlated, and the weighted mean would be biased.
double inflation(double variance, double covariance, std::uint64_t count, double& mean_variance,
                 double& mean_correlation) {
  add_to_mean(variance, kNewestVariance, count, mean_variance);
  if (mean_variance > 0.0)
    add_to_mean(covariance / mean_variance, kNewestCorrelation, count, mean_correlation);
  return inflation_of(mean_correlation);
}

/// How log Z of one group moved, and what is remembered of it (docs/mathematics/log-partition.md 3.11, 3.14).
struct Increment {
  LatticeMeasurement measured;
  double usual_variance = 0.0;
};

Increment increment_of(LogMean mean, bool is_ensembles, std::uint64_t rounds, double& variance,
                       double& correlation) {
  const double factor = inflation(mean.variance, mean.covariance, rounds, variance, correlation);
  Increment increment;
  increment.measured.variance = mean.variance * factor;
  increment.measured.value = mean.value - log_mean_bias(increment.measured.variance);
  increment.usual_variance = variance * factor;
  if (is_ensembles) {
    increment.measured.lag = mean.lag;
    increment.measured.influences = std::move(mean.influences);
  } else {
    increment.measured.rest = increment.measured.variance;
  }
  // What the draws cannot tell where few of them count: about the second-order term of the increment, and of
  // chains that lag far behind, how much what they carry could have to do with it.
  double doubt = mean.fraction < kLeastFraction ? 0.25 * mean.spread * mean.spread : 0.0;
  if (is_ensembles && mean.carried_fraction < kLeastFraction) doubt += mean.carried_spread * mean.spread;
  increment.measured.variance += doubt;
  increment.measured.rest += doubt;
  increment.usual_variance += doubt;
  return increment;
}

/// The mean of two independent measurements, the second of particles.
LatticeMeasurement combine(Increment rung, const Increment& particles) {
  const double total = rung.usual_variance + particles.usual_variance;
  const double own = total > 0.0 ? particles.usual_variance / total : 1.0;
  LatticeMeasurement& both = rung.measured;
  both.value = own * both.value + (1.0 - own) * particles.measured.value;
  both.rest = (1.0 - own) * (1.0 - own) * particles.measured.rest;
  both.variance = own * own * both.variance + both.rest;
  both.lag *= own;
  for (double& influence : both.influences) influence *= own;
  return both;
}

/// log Z of every rung has moved, and each chain by its log-weight.
template <EnergyModel M>
void move_belief(const std::vector<double>& log_weights, double doubt, Tracker<M>& tracker) {
  const std::vector<std::vector<std::uint64_t>> groups = groups_of(tracker);
  std::vector<Increment> moves;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty()) continue;
    moves.push_back(
        increment_of(log_mean(pick(log_weights, groups[g]), pick(tracker.accumulated_log_weight, groups[g])),
                     g + 1 < groups.size(), tracker.rounds, tracker.increment_variance[g],
                     tracker.increment_correlation[g]));
  }
  std::vector<LatticeMeasurement> increments;
  for (const Increment& move : moves) increments.push_back(move.measured);
  if (moves.size() > 1 && moves.size() == groups.size()) {
    // The last rung and the particles are both at beta = 1.
    increments.pop_back();
    increments.back() = combine(moves[moves.size() - 2], moves.back());
  }
  for (LatticeMeasurement& increment : increments) increment.variance *= doubt;
  advance_belief(increments, 0.0, tracker.belief);
  // Relative to the rung: replicas that have been at others are to be compared.
  std::size_t group = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty()) continue;
    for (const std::uint64_t chain : groups[g])
      tracker.accumulated_log_weight[at(chain)] += log_weights[at(chain)] - moves[group].measured.value;
    ++group;
  }
}

/// Forgets what chains carry where hardly any of them would count.
template <EnergyModel M>
void forget_lag(Tracker<M>& tracker) {
  for (std::uint64_t k = 0; k < tracker.ladder.n_rungs; ++k) {
    const std::vector<std::uint64_t> chains = chains_of(tracker.ladder, k);
    while (effective_fraction(pick(tracker.accumulated_log_weight, chains)) < kLeastFraction) {
      for (const std::uint64_t chain : chains) tracker.accumulated_log_weight[at(chain)] *= 0.5;
    }
  }
}

/// Draws the particles anew, in proportion to their weights, where too few of them count (systematic: one
/// uniform for all; docs/mathematics/log-partition.md 3.16).
template <EnergyModel M>
void resample_particles(const Engine<M>& engine, Tracker<M>& tracker) {
  const std::vector<std::uint64_t>& particles = tracker.ladder.free_chains;
  if (particles.empty()) return;
  const std::vector<double> carried = pick(tracker.accumulated_log_weight, particles);
  if (effective_fraction(carried) >= kLeastFraction) return;
  const double largest = *std::max_element(carried.begin(), carried.end());
  double total = 0.0;
  for (const double x : carried) total += std::exp(x - largest);
  StreamEngine random = engine.streams.engine(Purpose::kResampling, tracker.population.chains.sweeps);
  const double step = total / static_cast<double>(particles.size());
  double pointer = uniform_53(random) * step;
  double sum = 0.0;
  std::vector<std::uint64_t> drawn;
  for (std::size_t i = 0; i < particles.size(); ++i) {
    sum += std::exp(carried[i] - largest);
    for (; pointer < sum && drawn.size() < particles.size(); pointer += step) drawn.push_back(particles[i]);
  }
  while (drawn.size() < particles.size()) drawn.push_back(particles.back());  // rounding
  gather(engine.executor, tracker.population.chains);
  const Chains<M> copies = select_chains(engine.model, tracker.population.chains, drawn);
  for (std::size_t i = 0; i < particles.size(); ++i) {
    copy_chain(copies, i, tracker.population.chains, particles[i]);
    tracker.accumulated_log_weight[at(particles[i])] = 0.0;
  }
}

/// Bennett's ratios of the pairs that met, of which `before` says where the chains were.
template <EnergyModel M>
void measure_pairs(const TemperatureLadder& before, const std::vector<EnergyDifferences>& differences,
                   Tracker<M>& tracker) {
  const std::uint64_t n_ensembles = before.n_ensembles;
  const auto n = static_cast<double>(n_ensembles);
  for (std::uint64_t k = 0; k + 1 < before.n_rungs; ++k) {
    const EnergyDifferences& pair = differences[at(k)];
    if (pair.forward.empty()) continue;
    const auto rung = static_cast<Index>(k);
    const BridgeRatio ratio =
        bridge_ratio({pair.forward, pair.reverse}, pick(tracker.accumulated_log_weight, chains_of(before, k)),
                     pick(tracker.accumulated_log_weight, chains_of(before, k + 1)),
                     tracker.belief.mean[rung + 1] - tracker.belief.mean[rung]);
    double covariance = 0.0;
    for (std::uint64_t e = 0; e < n_ensembles; ++e) {
      covariance += ratio.influences[at(e)] * tracker.influences[at(e)] / (n * n);
      tracker.influences[at(e)] += ratio.influences[at(e)];
    }
    double& variance = tracker.ratio_variance[at(k)];
    double& correlation = tracker.ratio_correlation[at(k)];
    const double usual = variance * inflation_of(correlation);
    const double factor = inflation(ratio.variance, covariance, tracker.rounds / 2, variance, correlation);
    measure_ratio(rung,
                  {ratio.value, usual > 0.0 ? usual : variance * factor, 0.0, ratio.lag, ratio.influences},
                  tracker.belief);
  }
  for (double& influence : tracker.influences) influence *= kMemory;
}

/// A round of sweeps and swaps where the tracker is, and what it measures.
template <EnergyModel M>
void round(const Engine<M>& engine, const Jumps& jumps, Tracker<M>& tracker) {
  if (jumps.memory != nullptr)
    jump_now_and_then(engine, tracker.theta, jumps.rate, *jumps.memory, tracker.population, kJumpDraws);
  if (tracker.ladder.n_rungs == 0) {
    advance(engine, tracker.theta, 1, kDraws.sweeps, tracker.population);
    ++tracker.rounds;
    return;
  }
  const TemperatureLadder before = tracker.ladder;
  std::vector<EnergyDifferences> differences(before.rejections.size());
  temper(engine, tracker.theta, {1, kDraws}, tracker.ladder, tracker.population, &differences);
  measure_pairs(before, differences, tracker);
  for (const std::uint64_t chain : tracker.ladder.chains)
    tracker.accumulated_log_weight[at(chain)] *= kMemory;
  ++tracker.rounds;
}

template <EnergyModel M>
void make_current(const Engine<M>& engine, Tracker<M>& tracker) {
  if (tracker.current) return;
  tracker.population.fit(engine);
  place(tracker.ladder, tracker.population);
  latent_input(engine, tracker.theta, tracker.population.chains.blocks, tracker.population.caches);
  tracker.current = true;
}

/// Rungs placed anew for equal rejection: returns where they are to go; the ladder's betas are still those of
/// the belief, a new rung's those of the colder neighbour that it copies.
template <EnergyModel M>
std::vector<double> place_rungs(const Engine<M>& engine, Tracker<M>& tracker) {
  TemperatureLadder& ladder = tracker.ladder;
  if (ladder.n_rungs == 0 || ladder.swaps < ladder.last_adapted + kAdaptEvery) return ladder.betas;
  const TemperatureLadder before = ladder;
  RungChange change;
  gather(engine.executor, tracker.population.chains);
  ladder = adapt(std::move(ladder), kRungs, engine.model, tracker.population.chains, &change);
  std::vector<double> goal = std::move(ladder.betas);
  ladder.betas = before.betas;
  if (change.by == 0) return goal;
  tracker.current = false;
  const auto k = static_cast<std::ptrdiff_t>(change.rung);
  // A new rung splits the pair below it; the pair of one that goes has its place.
  const std::ptrdiff_t pair =
      change.by > 0 ? k - 1 : std::min(k, static_cast<std::ptrdiff_t>(before.n_rungs) - 2);
  const std::vector<double> carried = tracker.accumulated_log_weight;
  tracker.accumulated_log_weight.assign(at(tracker.population.chains.n_chains), 0.0);
  const auto repeat = [](std::vector<double>& values, std::ptrdiff_t i) {
    values.insert(values.begin() + i, values[static_cast<std::size_t>(i)]);
  };
  if (change.by > 0) {
    insert_rung(k, tracker.belief);
    for (std::vector<double>* values :
         {&ladder.betas, &tracker.increment_variance, &tracker.increment_correlation})
      repeat(*values, k);
    for (std::vector<double>* values : {&tracker.ratio_variance, &tracker.ratio_correlation})
      repeat(*values, pair);
  } else {
    remove_rung(k, tracker.belief);
    for (std::vector<double>* values :
         {&ladder.betas, &tracker.increment_variance, &tracker.increment_correlation})
      values->erase(values->begin() + k);
    for (std::vector<double>* values : {&tracker.ratio_variance, &tracker.ratio_correlation})
      values->erase(values->begin() + pair);
  }
  // What chains carry goes where they went.
  for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
    for (std::uint64_t j = 0; j < ladder.n_rungs; ++j) {
      const auto rung = static_cast<std::ptrdiff_t>(j);
      const std::ptrdiff_t from =
          change.by > 0 ? (rung > k ? rung - 1 : rung) : (rung >= k ? rung + 1 : rung);
      tracker.accumulated_log_weight[at(ladder.chains[at(e * ladder.n_rungs + j)])] =
          carried[at(before.chains[at(e * before.n_rungs) + static_cast<std::size_t>(from)])];
    }
  }
  for (std::size_t i = 0; i < ladder.free_chains.size(); ++i)
    tracker.accumulated_log_weight[at(ladder.free_chains[i])] = carried[at(before.free_chains[i])];
  return goal;
}

/// What is far beyond any machine of use overflows where it is squared.
template <EnergyModel M>
void require_finite(const Tracker<M>& tracker) {
  const auto finite = [](const std::vector<double>& values) {
    return std::all_of(values.begin(), values.end(), [](double x) { return std::isfinite(x); });
  };
  if (!finite(tracker.increment_variance) || !finite(tracker.increment_correlation) ||
      !finite(tracker.ratio_variance) || !finite(tracker.ratio_correlation) || !finite(tracker.influences) ||
      !tracker.belief.mean.allFinite() || !tracker.belief.covariance.allFinite())
    throw NumericalError("log Z tracking: an error bar is not finite");
}

/// Part of the way from a to b.
template <EnergyModel M>
typename M::Params part_way(const typename M::Params& a, const typename M::Params& b, double part) {
  if (part >= 1.0) return b;
  typename M::Params between = a;
  for_each_field(
      [part](std::string_view, auto& x, const auto& y) { x += static_cast<float>(part) * (y - x); }, between,
      b);
  return between;
}

/// Least fraction of the draws of any rung that count; of the particles where there are no rungs.
template <EnergyModel M>
double least_fraction(const std::vector<double>& log_weights, const Tracker<M>& tracker, bool particles) {
  double least = 1.0;
  const std::vector<std::vector<std::uint64_t>> groups = groups_of(tracker);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].empty() || (g + 1 == groups.size() && !particles)) continue;
    least = std::min(least, effective_fraction(pick(log_weights, groups[g])));
  }
  return least;
}

}  // namespace

template <EnergyModel M>
Tracker<M> empty_tracker(const M& model, const TrackerShape& shape) {
  Tracker<M> tracker;
  tracker.theta = model.zero_params();
  if (shape.n_rungs > 0) {
    tracker.ladder = linear_ladder(shape.n_rungs, shape.n_ensembles, shape.n_particles);
  } else {
    tracker.ladder.free_chains.resize(at(shape.n_particles));
    std::iota(tracker.ladder.free_chains.begin(), tracker.ladder.free_chains.end(), std::uint64_t{0});
  }
  const std::uint64_t n_chains = shape.n_particles + shape.n_rungs * shape.n_ensembles;
  tracker.population.chains.n_chains = n_chains;
  tracker.population.chains.blocks.assign(at(words_for(static_cast<Index>(n_chains))), model.new_state());
  tracker.belief = exact_belief(Eigen::VectorXd::Zero(std::max<Index>(1, static_cast<Index>(shape.n_rungs))),
                                shape.n_rungs > 0 ? static_cast<Index>(shape.n_ensembles) : 0);
  tracker.accumulated_log_weight.assign(at(n_chains), 0.0);
  tracker.increment_variance.assign(at(shape.n_rungs + 1), 0.0);
  tracker.increment_correlation = tracker.increment_variance;
  if (shape.n_rungs > 0) {
    tracker.ratio_variance.assign(at(shape.n_rungs - 1), 0.0);
    tracker.ratio_correlation = tracker.ratio_variance;
    tracker.influences.assign(at(shape.n_ensembles), 0.0);
  }
  return tracker;
}

template <EnergyModel M>
Tracker<M> initial_tracker(const Engine<M>& engine, const TrackerShape& shape) {
  Tracker<M> tracker = empty_tracker(engine.model, shape);
  tracker.theta = engine.model.reference_params();
  tracker.population.chains =
      reference_chains(engine, tracker.population.chains.n_chains, Purpose::kTracking);
  tracker.belief.mean.setConstant(engine.model.reference_log_partition());
  return tracker;
}

template <EnergyModel M>
Tracker<M> shared_tracker(const M& model, const TemperatureLadder& ladder) {
  Tracker<M> tracker = empty_tracker(model, {ladder.n_rungs, ladder.n_ensembles, 0});
  tracker.theta = model.reference_params();
  const auto n_rungs = static_cast<Index>(ladder.n_rungs);
  tracker.belief = exact_belief(Eigen::VectorXd::Constant(n_rungs, model.reference_log_partition()),
                                static_cast<Index>(ladder.n_ensembles), true);
  tracker.ladder = {};
  tracker.population = {};
  tracker.accumulated_log_weight.assign(at(ladder.n_chains()), 0.0);  // the paper's form has none
  return tracker;
}

template <EnergyModel M>
const char* tracker_fault(const Tracker<M>& tracker) {
  const auto negative = [](const std::vector<double>& values) {
    return std::any_of(values.begin(), values.end(), [](double x) { return !(x >= 0.0); });
  };
  for (const LatticeBelief::Square* p : {&tracker.belief.covariance, &tracker.belief.rest}) {
    if (!(*p - p->transpose()).isZero(1e-6 * (1.0 + p->cwiseAbs().maxCoeff())) ||
        p->diagonal().minCoeff() < -1e-6 * (1.0 + p->cwiseAbs().maxCoeff()))
      return "belief";
  }
  if (negative(tracker.increment_variance)) return "increment_variance";
  if (negative(tracker.ratio_variance)) return "ratio_variance";
  if (tracker.ladder.n_rungs > 0) return ladder_fault(tracker.ladder);
  for (std::size_t c = 0; c < tracker.ladder.free_chains.size(); ++c) {
    if (tracker.ladder.free_chains[c] != c) return "ladder/free_chains";
  }
  return nullptr;
}

template <EnergyModel M>
void track(const Engine<M>& engine, const typename M::Params& theta, Tracker<M>& tracker,
           const Jumps& jumps) {
  const std::vector<double> goal = place_rungs(engine, tracker);
  make_current(engine, tracker);
  const bool particles_alone = tracker.ladder.n_rungs == 0;
  std::uint64_t passes = 0;
  for (bool there = false; !there;) {
    ++passes;
    const std::vector<double> before = own_energies(engine, tracker.theta, tracker.population);
    const typename M::Params from = std::move(tracker.theta);
    const std::vector<double> from_betas = tracker.ladder.betas;
    std::vector<double> log_weights;
    for (double part = 1.0;; part *= 0.5) {
      tracker.theta = part_way<M>(from, theta, part);
      for (std::size_t k = 0; k < goal.size(); ++k)
        tracker.ladder.betas[k] = part < 1.0 ? from_betas[k] + part * (goal[k] - from_betas[k]) : goal[k];
      place(tracker.ladder, tracker.population);
      latent_input(engine, tracker.theta, tracker.population.chains.blocks, tracker.population.caches);
      log_weights = own_energies(engine, tracker.theta, tracker.population);
      for (std::size_t c = 0; c < before.size(); ++c) log_weights[c] = before[c] - log_weights[c];
      there = part == 1.0;
      if (passes == kMostPasses || part <= kLeastPart ||
          least_fraction(log_weights, tracker, particles_alone) >= kLeastFraction)
        break;
    }
    move_belief(log_weights, jumps.rate > 0.0 ? kJumpingDoubt : kIncrementDoubt, tracker);
    resample_particles(engine, tracker);
    for (std::uint64_t r = 0; r < kLeastRounds; ++r) round(engine, jumps, tracker);
    for (std::uint64_t r = kLeastRounds;
         r < kMostRounds && least_fraction(tracker.accumulated_log_weight, tracker, false) < kLeastFraction;
         ++r)
      round(engine, jumps, tracker);
    forget_lag(tracker);
  }
  require_finite(tracker);
}

template <EnergyModel M>
void refresh(const Engine<M>& engine, std::uint64_t rounds, Tracker<M>& tracker, const Progress& progress,
             const Jumps& jumps) {
  make_current(engine, tracker);
  for (std::uint64_t r = 0; r < rounds; ++r) {
    round(engine, jumps, tracker);
    if (progress && progress(static_cast<double>(r + 1) / static_cast<double>(rounds)) == Control::kStop)
      return;
  }
}

template <EnergyModel M>
void settle(const Engine<M>& engine, std::uint64_t rounds_to_follow, Tracker<M>& tracker,
            const Progress& progress, const Jumps& jumps) {
  refresh(engine, rounds_to_follow / kSettling, tracker, progress, jumps);
  tracker.belief.covariance *= kForgetting;
}

template <EnergyModel M>
std::vector<double> coldest_energies(const Engine<M>& engine, const Tracker<M>& tracker) {
  const std::vector<std::uint64_t> which = chains_of(tracker.ladder, tracker.ladder.n_rungs - 1);
  Chains<M> chains = tracker.population.chains;
  gather(engine.executor, chains);
  Population<M> coldest(select_chains(engine.model, chains, which));
  coldest.fit(engine);
  coldest.caches.betas.fill(1.0F);
  latent_input(engine, tracker.theta, coldest.chains.blocks, coldest.caches);
  return own_energies(engine, tracker.theta, coldest);
}

template <EnergyModel M>
LogPartition tracked_log_partition(const Engine<M>& engine, const typename M::Params& theta,
                                   const Tracker<M>& tracker) {
  const auto rung =
      static_cast<Index>(tracker.increment_variance.size()) - (tracker.belief.mean.size() > 1 ? 2 : 1);
  if (equal_fields(theta, tracker.theta)) return tracker.belief.at(rung);
  Tracker<M> moved = tracker;
  make_current(engine, moved);
  std::vector<double> log_weights = own_energies(engine, tracker.theta, moved.population);
  latent_input(engine, theta, moved.population.chains.blocks, moved.population.caches);
  const std::vector<double> after = own_energies(engine, theta, moved.population);
  for (std::size_t c = 0; c < after.size(); ++c) log_weights[c] -= after[c];
  move_belief(log_weights, kIncrementDoubt, moved);
  return moved.belief.at(rung);
}

template <EnergyModel M>
void track_shared(const Engine<M>& engine, const typename M::Params& theta, const TemperatureLadder& ladder,
                  Population<M>& population, Tracker<M>& tracker) {
  if (tracker.rounds == 0) latent_input(engine, tracker.theta, population.chains.blocks, population.caches);
  const std::vector<double> log_weights = own_energies(engine, tracker.theta, population);
  latent_input(engine, theta, population.chains.blocks, population.caches);
  const Eigen::MatrixXd energies = rung_energies(engine, theta, ladder, population);
  const auto n_rungs = static_cast<Index>(ladder.n_rungs);
  std::vector<LatticeMeasurement> increments;
  const auto own = [&](std::uint64_t e, Index k, Index seen_at) {
    return energies(static_cast<Index>(e) * n_rungs + k, seen_at);
  };
  for (Index k = 0; k + 1 < n_rungs; ++k) {
    const auto rung = static_cast<std::uint64_t>(k);
    std::vector<double> moved = pick(log_weights, chains_of(ladder, rung));
    for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) moved[at(e)] -= own(e, k, k);
    increments.push_back(increment_of(log_mean(moved, {}), true, tracker.rounds,
                                      tracker.increment_variance[at(rung)],
                                      tracker.increment_correlation[at(rung)])
                             .measured);
  }
  const std::vector<double> after = own_energies(engine, theta, population);
  std::vector<double> moved = pick(log_weights, ladder.free_chains);
  for (std::size_t i = 0; i < moved.size(); ++i) moved[i] -= after[at(ladder.free_chains[i])];
  increments.push_back(increment_of(log_mean(moved, {}), false, tracker.rounds,
                                    tracker.increment_variance[at(ladder.n_rungs - 1)],
                                    tracker.increment_correlation[at(ladder.n_rungs - 1)])
                           .measured);
  advance_belief(increments, kBiasStep, tracker.belief);
  std::vector<EnergyDifferences> differences(ladder.rejections.size());
  for (Index k = 0; k + 1 < n_rungs; ++k) {
    for (std::uint64_t e = 0; e < ladder.n_ensembles; ++e) {
      differences[static_cast<std::size_t>(k)].forward.push_back(own(e, k, k) - own(e, k, k + 1));
      differences[static_cast<std::size_t>(k)].reverse.push_back(own(e, k + 1, k + 1) - own(e, k + 1, k));
    }
  }
  measure_pairs(ladder, differences, tracker);
  tracker.theta = theta;
  ++tracker.rounds;
}

#define TEMPERA_INSTANTIATE(M)                                                                             \
  template struct Tracker<M>;                                                                              \
  template Tracker<M> empty_tracker(const M&, const TrackerShape&);                                        \
  template Tracker<M> initial_tracker(const Engine<M>&, const TrackerShape&);                              \
  template Tracker<M> shared_tracker(const M&, const TemperatureLadder&);                                  \
  template const char* tracker_fault(const Tracker<M>&);                                                   \
  template void track(const Engine<M>&, const M::Params&, Tracker<M>&, const Jumps&);                      \
  template void refresh(const Engine<M>&, std::uint64_t, Tracker<M>&, const Progress&, const Jumps&);      \
  template void settle(const Engine<M>&, std::uint64_t, Tracker<M>&, const Progress&, const Jumps&);       \
  template std::vector<double> coldest_energies(const Engine<M>&, const Tracker<M>&);                      \
  template LogPartition tracked_log_partition(const Engine<M>&, const M::Params&, const Tracker<M>&);      \
  template void track_shared(const Engine<M>&, const M::Params&, const TemperatureLadder&, Population<M>&, \
                             Tracker<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
