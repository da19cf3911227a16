#include "tempera/mcmc/trajectory.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

std::size_t at(std::uint64_t n) { return static_cast<std::size_t>(n); }

/// Step of a rung in a round, away from those of any population of chains.
std::uint64_t step_of(std::uint64_t round, std::uint64_t rung) {
  return (std::uint64_t{1} << 55) + round * kMaxRungs + rung;
}

/// Moves the replicas of a rung, and memory for their caches, into a population for as long as this lives.
template <EnergyModel M>
class Rung {
 public:
  Rung(Trajectory<M>& trajectory, std::uint64_t k, Caches<M>& caches)
      : first_(trajectory.replicas.begin() + static_cast<std::ptrdiff_t>(k * trajectory.blocks())),
        caches_(caches) {
    Chains<M>& chains = population.chains;
    const auto last = first_ + static_cast<std::ptrdiff_t>(trajectory.blocks());
    chains.blocks.assign(std::move_iterator(first_), std::move_iterator(last));
    chains.n_chains = trajectory.n_ensembles;
    chains.sweeps = step_of(trajectory.rounds, k);
    population.caches = std::move(caches_);
  }
  ~Rung() {
    std::move(population.chains.blocks.begin(), population.chains.blocks.end(), first_);
    caches_ = std::move(population.caches);
  }
  Rung(const Rung&) = delete;
  Rung& operator=(const Rung&) = delete;

  Population<M> population;

 private:
  typename std::vector<typename M::State>::iterator first_;
  Caches<M>& caches_;
};

/// Free energies at beta = 1 from current caches.
template <EnergyModel M>
void cached_free_energies(const Engine<M>& engine, const typename M::Params& theta,
                          const std::vector<typename M::State>& blocks, Caches<M>& caches, LaneDoubles* out) {
  std::vector<LaneDoubles> values(blocks.size());
  engine.executor.for_each_owned(static_cast<Index>(blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    engine.model.free_energy(theta, constant_beta(1.0F), blocks[b], caches.blocks[b], values[b]);
  });
  engine.executor.share(values);
  std::copy(values.begin(), values.end(), out);
}

/// The rung that rung k meets in a round of this parity; k itself where it meets none.
std::uint64_t partner_of(std::uint64_t k, std::uint64_t n_rungs, std::uint64_t parity) {
  const bool hot = k % 2 == parity;
  if (hot) return k + 1 < n_rungs ? k + 1 : k;
  return k > 0 ? k - 1 : k;
}

}  // namespace

template <EnergyModel M>
Trajectory<M> empty_trajectory(const M& model, std::uint64_t n_rungs, std::uint64_t n_ensembles) {
  Trajectory<M> trajectory;
  trajectory.n_ensembles = n_ensembles;
  trajectory.rungs.assign(at(n_rungs), model.zero_params());
  trajectory.replicas.assign(at(n_rungs * trajectory.blocks()), model.new_state());
  trajectory.rejections.assign(at(n_rungs - 1), 0.0);
  trajectory.offers.assign(at(n_rungs - 1), 0.0);
  trajectory.origin.assign(at(n_rungs * n_ensembles), TemperatureLadder::kNone);
  return trajectory;
}

template <EnergyModel M>
const char* trajectory_fault(const M& model, const Trajectory<M>& trajectory) {
  if (!equal_fields(trajectory.rungs.front(), model.reference_params())) return "rungs";
  const auto outside = [](const std::vector<double>& values, double most) {
    return std::any_of(values.begin(), values.end(), [most](double x) { return !(x >= 0.0 && x <= most); });
  };
  if (trajectory.rounds >= kMostTrajectoryRounds) return "rounds";
  if (outside(trajectory.rejections, 1.0)) return "rejections";
  if (outside(trajectory.offers, 0x1p53)) return "offers";
  for (const std::uint64_t origin : trajectory.origin) {
    if (origin > TemperatureLadder::kDown) return "origin";
  }
  return nullptr;
}

template <HasReference M>
Trajectory<M> reference_trajectory(const Engine<M>& engine, std::uint64_t n_ensembles, Purpose purpose) {
  const auto whole = static_cast<std::uint64_t>(words_for(static_cast<Index>(n_ensembles)) * kLanes);
  Trajectory<M> trajectory = empty_trajectory(engine.model, 1, whole);
  trajectory.rungs.front() = engine.model.reference_params();
  trajectory.replicas = reference_chains(engine, whole, purpose).blocks;
  return trajectory;
}

template <EnergyModel M>
void insert_rung(std::uint64_t k, typename M::Params theta, const std::vector<typename M::State>& replicas,
                 Trajectory<M>& trajectory) {
  const auto before = [](auto& values, std::uint64_t i) {
    return values.begin() + static_cast<std::ptrdiff_t>(i);
  };
  trajectory.rungs.insert(before(trajectory.rungs, k), std::move(theta));
  trajectory.replicas.insert(before(trajectory.replicas, k * trajectory.blocks()), replicas.begin(),
                             before(replicas, trajectory.blocks()));
  trajectory.origin.insert(before(trajectory.origin, k * trajectory.n_ensembles), at(trajectory.n_ensembles),
                           TemperatureLadder::kNone);
  // A barrier is divided by what comes into its middle; the next round tells better.
  const bool divides = k < trajectory.rungs.size() - 1;
  if (divides) trajectory.rejections[at(k - 1)] *= 0.5;
  trajectory.rejections.insert(before(trajectory.rejections, k - 1),
                               divides ? trajectory.rejections[at(k - 1)] : 0.0);
  if (divides) trajectory.offers[at(k - 1)] = 0.0;
  trajectory.offers.insert(before(trajectory.offers, k - 1), 0.0);
}

template <EnergyModel M>
void insert_midpoint(std::uint64_t k, Trajectory<M>& trajectory) {
  typename M::Params middle = trajectory.rungs[at(k)];
  for_each_field(
      [](std::string_view, auto& field, const auto& other) { field = 0.5F * field + 0.5F * other; }, middle,
      trajectory.rungs[at(k - 1)]);
  insert_rung(k, std::move(middle), replicas_of(trajectory, k).blocks, trajectory);
}

template <EnergyModel M>
void remove_rung(std::uint64_t k, Trajectory<M>& trajectory) {
  const auto erase = [](auto& values, std::uint64_t first, std::uint64_t count) {
    const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
    values.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
  };
  erase(trajectory.rungs, k, 1);
  erase(trajectory.replicas, k * trajectory.blocks(), trajectory.blocks());
  erase(trajectory.origin, k * trajectory.n_ensembles, trajectory.n_ensembles);
  double& joined = trajectory.rejections[at(k - 1)];
  joined = std::min(1.0, joined + trajectory.rejections[at(k)]);
  trajectory.offers[at(k - 1)] = 0.0;
  erase(trajectory.rejections, k, 1);
  erase(trajectory.offers, k, 1);
}

template <EnergyModel M>
Chains<M> replicas_of(const Trajectory<M>& trajectory, std::uint64_t k) {
  Chains<M> chains;
  const auto first = trajectory.replicas.begin() + static_cast<std::ptrdiff_t>(k * trajectory.blocks());
  chains.blocks.assign(first, first + static_cast<std::ptrdiff_t>(trajectory.blocks()));
  chains.n_chains = trajectory.n_ensembles;
  chains.sweeps = trajectory.rounds;
  return chains;
}

template <EnergyModel M>
double round_trip_rate(const Trajectory<M>& trajectory) {
  const double rounds =
      static_cast<double>(trajectory.rounds_counted) * static_cast<double>(trajectory.n_ensembles);
  return rounds > 0 ? static_cast<double>(trajectory.round_trips) / rounds : 0.0;
}

template <EnergyModel M>
std::vector<LaneDoubles> free_energies(const Engine<M>& engine, const typename M::Params& theta,
                                       std::vector<typename M::State>& blocks, std::uint64_t n_chains,
                                       Caches<M>& caches) {
  caches.fit(engine.model, n_chains, engine.executor);
  latent_input(engine, theta, blocks, caches);
  std::vector<LaneDoubles> values(blocks.size());
  cached_free_energies(engine, theta, blocks, caches, values.data());
  return values;
}

template <EnergyModel M>
void temper(const Engine<M>& engine, const TrajectoryRound& round, const JumpMemory& jumps,
            Trajectory<M>& trajectory, TrajectoryCaches<M>& caches,
            std::vector<EnergyDifferences>* differences) {
  const std::uint64_t n = trajectory.n_rungs();
  const std::uint64_t blocks = trajectory.blocks();
  const std::uint64_t parity = trajectory.rounds % 2;
  caches.own.fit(engine.model, trajectory.n_ensembles, engine.executor);
  caches.other.fit(engine.model, trajectory.n_ensembles, engine.executor);
  caches.own_energy.resize(at(n * blocks));
  caches.other_energy.resize(at(n * blocks));
  caches.crossed.resize(at(n * blocks));

  for (std::uint64_t k = 0; k < n; ++k) {
    Rung<M> rung(trajectory, k, caches.own);
    Chains<M>& chains = rung.population.chains;
    Caches<M>& own = rung.population.caches;
    const LaneStream stream = engine.streams.lanes(round.draws.sweeps, chains.sweeps);
    if (k == 0) {
      engine.executor.for_each_owned(static_cast<Index>(blocks), [&](Index b) {
        engine.model.sample_reference(kLanes, chains.blocks[static_cast<std::size_t>(b)], stream.block(b));
      });
      latent_input(engine, trajectory.rungs.front(), chains.blocks, own);
    } else {
      jump_now_and_then(engine, trajectory.rungs[at(k)], round.jump_rate, jumps, rung.population);
      advance(engine, trajectory.rungs[at(k)], 1, round.draws.sweeps, rung.population);
    }
    const std::uint64_t partner = partner_of(k, n, parity);
    if (partner == k) continue;
    cached_free_energies(engine, trajectory.rungs[at(k)], chains.blocks, own,
                         &caches.own_energy[at(k * blocks)]);
    // The same visibles in the partner's place: their free energy there, and latents that fit it.
    std::vector<typename M::State> crossed = chains.blocks;
    latent_input(engine, trajectory.rungs[at(partner)], crossed, caches.other);
    cached_free_energies(engine, trajectory.rungs[at(partner)], crossed, caches.other,
                         &caches.other_energy[at(k * blocks)]);
    engine.executor.for_each_owned(static_cast<Index>(blocks), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      // A sweep and the draw of latents have sites of their own in one step.
      engine.model.sample_latents(trajectory.rungs[at(partner)], constant_beta(1.0F), crossed[b],
                                  caches.other.blocks[b], stream.block(block));
      caches.crossed[at(k * blocks) + b] = std::move(crossed[b]);
    });
  }

  for (std::uint64_t k = parity; k + 1 < n; k += 2) {
    double rejected = 0.0;
    for (std::uint64_t b = 0; b < blocks; ++b) {
      const std::size_t hot = at(k * blocks + b);
      const std::size_t cold = at((k + 1) * blocks + b);
      Word accepted = 0;
      for (std::uint64_t c = 0; c < static_cast<std::uint64_t>(kLanes); ++c) {
        const std::uint64_t ensemble = b * static_cast<std::uint64_t>(kLanes) + c;
        const double probability =
            swap_probability(caches.own_energy[hot][at(c)], caches.own_energy[cold][at(c)],
                             caches.other_energy[hot][at(c)], caches.other_energy[cold][at(c)]);
        rejected += 1.0 - probability;
        StreamEngine random = engine.streams.engine(round.draws.swaps, trajectory.rounds,
                                                    static_cast<std::uint32_t>(ensemble * kMaxRungs + k));
        if (uniform_53(random) >= probability) continue;
        accepted |= Word{1} << c;
        std::swap(trajectory.origin[at(k * trajectory.n_ensembles + ensemble)],
                  trajectory.origin[at((k + 1) * trajectory.n_ensembles + ensemble)]);
      }
      // The replicas of an ensemble are in one block of every rung, and so with one rank.
      if (engine.executor.owns(static_cast<Index>(b), static_cast<Index>(blocks))) {
        copy_lanes(caches.crossed[cold], accepted, trajectory.replicas[hot]);
        copy_lanes(caches.crossed[hot], accepted, trajectory.replicas[cold]);
      }
      if (differences == nullptr) continue;
      EnergyDifferences& pair = (*differences)[at(k)];
      for (std::size_t c = 0; c < static_cast<std::size_t>(kLanes); ++c) {
        pair.forward.push_back(caches.own_energy[hot][c] - caches.other_energy[hot][c]);
        pair.reverse.push_back(caches.own_energy[cold][c] - caches.other_energy[cold][c]);
      }
    }
    add_rejection(rejected / static_cast<double>(trajectory.n_ensembles), trajectory.offers[at(k)],
                  trajectory.rejections[at(k)]);
  }
  for (std::uint64_t i = 0; i < trajectory.origin.size(); ++i)
    trajectory.round_trips += count_round_trip(i / trajectory.n_ensembles, n, trajectory.origin[at(i)]);
  ++trajectory.rounds;
  ++trajectory.rounds_counted;
}

template <EnergyModel M>
double acceptance_between(const Engine<M>& engine, std::uint64_t a, std::uint64_t b,
                          const Trajectory<M>& trajectory, TrajectoryCaches<M>& caches) {
  const auto energies = [&](std::uint64_t machine, std::uint64_t of) {
    Chains<M> chains = replicas_of(trajectory, of);
    return free_energies(engine, trajectory.rungs[at(machine)], chains.blocks, chains.n_chains, caches.own);
  };
  const auto a_here = energies(a, a);
  const auto a_there = energies(b, a);
  const auto b_here = energies(b, b);
  const auto b_there = energies(a, b);
  double sum = 0.0;
  for (std::size_t k = 0; k < a_here.size(); ++k) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(kLanes); ++c)
      sum += swap_probability(a_here[k][c], b_here[k][c], a_there[k][c], b_there[k][c]);
  }
  return sum / static_cast<double>(trajectory.n_ensembles);
}

template <EnergyModel M>
void reset_statistics(Trajectory<M>& trajectory) {
  std::fill(trajectory.rejections.begin(), trajectory.rejections.end(), 0.0);
  std::fill(trajectory.offers.begin(), trajectory.offers.end(), 0.0);
  trajectory.rounds_counted = 0;
  trajectory.round_trips = 0;
}

template <EnergyModel M>
bool adjust(const Engine<M>& engine, const TrajectoryLimits& limits, Trajectory<M>& trajectory,
            TrajectoryCaches<M>& caches) {
  const std::vector<double> rejections = trajectory.rejections;
  bool changed = false;
  for (std::uint64_t k = rejections.size(); k > 0 && trajectory.n_rungs() < limits.most_rungs; --k) {
    if (1.0 - rejections[at(k - 1)] >= limits.least_acceptance) continue;
    insert_midpoint(k, trajectory);
    changed = true;
  }
  if (changed) return true;
  std::uint64_t dispensable = 0;
  double best = limits.spare_acceptance;
  for (std::uint64_t k = 1; k + 1 < trajectory.n_rungs(); ++k) {
    // Neighbours accept less of each other than of what is between them.
    if (std::max(rejections[at(k - 1)], rejections[at(k)]) > 1.0 - best) continue;
    const double acceptance = acceptance_between(engine, k - 1, k + 1, trajectory, caches);
    if (acceptance <= best) continue;
    best = acceptance;
    dispensable = k;
  }
  if (dispensable > 0) remove_rung(dispensable, trajectory);
  return dispensable > 0;
}

template <EnergyModel M>
void tune(const Engine<M>& engine, const TrajectoryRound& round, const JumpMemory& jumps,
          const TrajectoryLimits& limits, Trajectory<M>& trajectory, TrajectoryCaches<M>& caches,
          const Progress& progress) {
  constexpr std::uint64_t kRounds = 20;
  constexpr std::uint64_t kMostChanges = 300;
  for (std::uint64_t change = 0; change < kMostChanges; ++change) {
    if (progress && progress(static_cast<double>(change) / kMostChanges) == Control::kStop) break;
    reset_statistics(trajectory);
    for (std::uint64_t t = 0; t < kRounds; ++t) temper(engine, round, jumps, trajectory, caches);
    if (!adjust(engine, limits, trajectory, caches)) break;
  }
  reset_statistics(trajectory);
}

#define TEMPERA_INSTANTIATE(M)                                                                             \
  template Trajectory<M> empty_trajectory(const M&, std::uint64_t, std::uint64_t);                         \
  template const char* trajectory_fault(const M&, const Trajectory<M>&);                                   \
  template Trajectory<M> reference_trajectory(const Engine<M>&, std::uint64_t, Purpose);                   \
  template void insert_rung(std::uint64_t, M::Params, const std::vector<M::State>&, Trajectory<M>&);       \
  template void insert_midpoint(std::uint64_t, Trajectory<M>&);                                            \
  template void remove_rung(std::uint64_t, Trajectory<M>&);                                                \
  template Chains<M> replicas_of(const Trajectory<M>&, std::uint64_t);                                     \
  template std::vector<LaneDoubles> free_energies(const Engine<M>&, const M::Params&,                      \
                                                  std::vector<M::State>&, std::uint64_t, Caches<M>&);      \
  template void temper(const Engine<M>&, const TrajectoryRound&, const JumpMemory&, Trajectory<M>&,        \
                       TrajectoryCaches<M>&, std::vector<EnergyDifferences>*);                             \
  template double acceptance_between(const Engine<M>&, std::uint64_t, std::uint64_t, const Trajectory<M>&, \
                                     TrajectoryCaches<M>&);                                                \
  template double round_trip_rate(const Trajectory<M>&);                                                   \
  template void reset_statistics(Trajectory<M>&);                                                          \
  template bool adjust(const Engine<M>&, const TrajectoryLimits&, Trajectory<M>&, TrajectoryCaches<M>&);   \
  template void tune(const Engine<M>&, const TrajectoryRound&, const JumpMemory&, const TrajectoryLimits&, \
                     Trajectory<M>&, TrajectoryCaches<M>&, const Progress&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
