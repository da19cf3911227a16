#include "tempera/train/snapshots.hpp"

#include <algorithm>
#include <bit>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Draws in the reservoir for each replica of a snapshot, and rounds of a freeze.
constexpr std::uint64_t kReservoirDraws = 10;
constexpr std::uint64_t kFreezeRounds = 20;
constexpr std::uint64_t kRoundsApart = 2;
static_assert(kFreezeRounds == kReservoirDraws * kRoundsApart);
/// Updates between rounds that renew the reservoir.
constexpr std::uint64_t kRenewEvery = 10;
/// Weight of the newest exchange in the running mean of acceptances.
constexpr double kAcceptanceWeight = 0.3;
/// Factor by which a snapshot that is kept raises a rate that rollbacks have lowered.
constexpr double kRecovery = 1.5;
/// A snapshot goes when its neighbours accept more than this of each other; a midpoint comes where fewer.
constexpr double kDispensable = 0.4;
constexpr double kGap = 0.08;
/// Snapshots at most. A machine whose way needs more has lost it.
constexpr std::uint64_t kMostSnapshots = 64;

constexpr Draws kDraws{Purpose::kSnapshots, Purpose::kSwaps};

template <EnergyModel M>
Chains<M> first_chains(Chains<M> chains, std::uint64_t n, std::uint64_t sweeps) {
  chains.blocks.resize(static_cast<std::size_t>(words_for(static_cast<Index>(n))));
  chains.n_chains = n;
  chains.sweeps = sweeps;
  const Index last = lanes_of(n, static_cast<Index>(chains.blocks.size()) - 1);
  if (last < kLanes) {
    for_each_field([last](std::string_view, auto& layer) { keep_lanes(first_lanes(last), layer); },
                   chains.blocks.back());
  }
  return chains;
}

/// The chains again and again until every replica has one.
template <EnergyModel M>
std::vector<typename M::State> repeated(const M& model, const Chains<M>& chains, std::uint64_t n) {
  std::vector<std::uint64_t> which(static_cast<std::size_t>(n));
  for (std::uint64_t c = 0; c < n; ++c) which[static_cast<std::size_t>(c)] = c % chains.n_chains;
  return select_chains(model, chains, which).blocks;
}

/// The inner rung with the least rejection on both sides together.
template <EnergyModel M>
std::uint64_t least_barrier(const Trajectory<M>& trajectory) {
  const std::vector<double>& r = trajectory.rejections;
  std::size_t least = 1;
  for (std::size_t k = 2; k < r.size(); ++k) {
    if (r[k - 1] + r[k] < r[least - 1] + r[least]) least = k;
  }
  return least;
}

}  // namespace

std::vector<LogWeightPair> log_weight_path(const std::vector<EnergyDifferences>& differences) {
  std::vector<LogWeightPair> path;
  for (const EnergyDifferences& pair : differences) path.push_back({pair.forward, pair.reverse});
  return path;
}

template <EnergyModel M>
Snapshots<M> empty_snapshots(const M& model, std::uint64_t n_rungs, std::uint64_t n_chains) {
  const auto whole = static_cast<std::uint64_t>(words_for(static_cast<Index>(n_chains)) * kLanes);
  Snapshots<M> snapshots;
  snapshots.trajectory = empty_trajectory(model, n_rungs, whole);
  snapshots.reservoir.n_chains = kReservoirDraws * whole;
  snapshots.reservoir.blocks.assign(
      static_cast<std::size_t>(words_for(static_cast<Index>(snapshots.reservoir.n_chains))),
      model.new_state());
  return snapshots;
}

template <EnergyModel M>
const char* snapshots_fault(const M& model, const Snapshots<M>& snapshots, std::uint64_t update) {
  if (!(snapshots.acceptance >= 0.0 && snapshots.acceptance <= 1.0)) return "acceptance";
  if (!(snapshots.rate > 0.0 && snapshots.rate <= 1.0)) return "rate";
  if (!std::isfinite(snapshots.log_partition)) return "log_partition";
  if (!(snapshots.log_partition_se >= 0.0)) return "log_partition_se";
  if (snapshots.frozen > update) return "frozen";
  if (snapshots.rollbacks > kMostRollbacks) return "rollbacks";
  return trajectory_fault(model, snapshots.trajectory);
}

template <HasReference M>
Snapshots<M> initial_snapshots(const Engine<M>& engine, std::uint64_t n_chains) {
  Snapshots<M> snapshots = empty_snapshots(engine.model, 1, n_chains);
  snapshots.trajectory = reference_trajectory(engine, snapshots.trajectory.n_ensembles, Purpose::kSnapshots);
  snapshots.reservoir = reference_chains(engine, snapshots.reservoir.n_chains, Purpose::kReservoir);
  snapshots.log_partition = engine.model.reference_log_partition();
  return snapshots;
}

template <EnergyModel M>
void exchange_with_reservoir(const Engine<M>& shared, const typename M::Params& theta, std::uint64_t update,
                             Chains<M>& chains, Snapshots<M>& snapshots, TrajectoryCaches<M>& caches) {
  // Blocks of the chains meet blocks of other ranks: every rank sees to all.
  gather(shared.executor, chains);
  const Engine<M> engine = alone(shared);
  const typename M::Params& last = snapshots.trajectory.rungs.back();
  std::vector<typename M::State>& reservoir = snapshots.reservoir.blocks;
  // Every block meets a block of the reservoir that no other one meets, its lanes turned by a random number.
  StreamEngine random = engine.streams.engine(Purpose::kExchange, update);
  std::vector<std::size_t> order(reservoir.size());
  for (std::size_t b = 0; b < order.size(); ++b) order[b] = b;
  std::vector<int> turns;
  Chains<M> offered = chains;
  for (std::size_t b = 0; b < chains.blocks.size(); ++b) {
    const boost::random::uniform_int_distribution<std::size_t> later(b, order.size() - 1);
    std::swap(order[b], order[later(random)]);
    turns.push_back(boost::random::uniform_int_distribution<int>(0, static_cast<int>(kLanes) - 1)(random));
    for_each_field(
        [turn = turns.back()](std::string_view, const auto& from, auto& to) {
          copy_turned(from, ~Word{0}, static_cast<int>(kLanes) - turn, to);
        },
        reservoir[order[b]], offered.blocks[b]);
  }
  const auto here = free_energies(engine, theta, chains.blocks, chains.n_chains, caches.own);
  const auto there = free_energies(engine, last, chains.blocks, chains.n_chains, caches.other);
  const auto offered_there = free_energies(engine, last, offered.blocks, chains.n_chains, caches.other);
  const auto offered_here = free_energies(engine, theta, offered.blocks, chains.n_chains, caches.other);
  const std::uint64_t step = chains.sweeps - 1;
  double sum = 0.0;
  for (std::size_t b = 0; b < chains.blocks.size(); ++b) {
    const auto block = static_cast<Index>(b);
    // Latents that fit the live machine, whichever visibles stay. A sweep has other sites in this step.
    engine.model.sample_latents(theta, constant_beta(1.0F), offered.blocks[b], caches.other.blocks[b],
                                engine.streams.lanes(Purpose::kReservoir, step).block(block));
    engine.model.sample_latents(theta, constant_beta(1.0F), chains.blocks[b], caches.own.blocks[b],
                                engine.streams.lanes(Purpose::kChains, step).block(block));
    Word accepted = 0;
    for (Index c = 0; c < lanes_of(chains.n_chains, block); ++c) {
      const auto i = static_cast<std::size_t>(c);
      const double probability =
          swap_probability(offered_there[b][i], here[b][i], offered_here[b][i], there[b][i]);
      sum += probability;
      if (uniform_53(random) < probability) accepted |= Word{1} << c;
    }
    const typename M::State before = chains.blocks[b];
    copy_lanes(offered.blocks[b], accepted, chains.blocks[b]);
    for_each_field(
        [&](std::string_view, const auto& from, auto& to) { copy_turned(from, accepted, turns[b], to); },
        before, reservoir[order[b]]);
  }
  snapshots.acceptance +=
      kAcceptanceWeight * (sum / static_cast<double>(chains.n_chains) - snapshots.acceptance);
}

template <EnergyModel M>
bool freeze(const Engine<M>& engine, const typename M::Params& theta, const SnapshotStep& step,
            Chains<M>& chains, Snapshots<M>& snapshots, TrajectoryCaches<M>& caches) {
  Trajectory<M> next = snapshots.trajectory;
  gather(engine.executor, chains);
  insert_rung(next.n_rungs(), theta, repeated(engine.model, chains, next.n_ensembles), next);
  reset_statistics(next);
  std::vector<EnergyDifferences> differences(next.rungs.size() - 1);
  Chains<M> reservoir;
  for (std::uint64_t t = 0; t < kFreezeRounds; ++t) {
    temper(engine, {kDraws, step.jump_rate}, step.jumps, next, caches, &differences);
    if ((t + 1) % kRoundsApart == 0) {
      Chains<M> top = replicas_of(next, next.n_rungs() - 1);
      gather(engine.executor, top);
      std::move(top.blocks.begin(), top.blocks.end(), std::back_inserter(reservoir.blocks));
      reservoir.n_chains += top.n_chains;
    }
  }
  snapshots.trajectory.rounds = next.rounds;
  if (1.0 - next.rejections.back() < kCollapsedAcceptance) return false;

  const LogPartition z =
      bennett_log_partition(engine.model.reference_log_partition(), log_weight_path(differences),
                            static_cast<std::size_t>(next.n_ensembles));
  chains = first_chains(replicas_of(next, next.n_rungs() - 1), chains.n_chains, chains.sweeps);
  snapshots.reservoir = std::move(reservoir);
  snapshots.reservoir.sweeps = next.rounds;
  snapshots.log_partition = z.value;
  snapshots.log_partition_se = z.standard_error;
  snapshots.acceptance = 1.0;
  snapshots.frozen = step.update;
  snapshots.rollbacks = 0;
  snapshots.rate = std::min(1.0, kRecovery * snapshots.rate);
  if (next.n_rungs() > kMostSnapshots) {
    remove_rung(least_barrier(next), next);
  } else {
    adjust(engine, {kGap, kDispensable, kMostSnapshots}, next, caches);
  }
  snapshots.trajectory = std::move(next);
  return true;
}

template <EnergyModel M>
void refresh_reservoir(const Engine<M>& engine, const SnapshotStep& step, Snapshots<M>& snapshots,
                       TrajectoryCaches<M>& caches) {
  Trajectory<M>& trajectory = snapshots.trajectory;
  if (step.update % kRenewEvery != 0) return;
  temper(engine, {kDraws, step.jump_rate}, step.jumps, trajectory, caches);
  const std::uint64_t part = trajectory.rounds / kRoundsApart % kReservoirDraws * trajectory.blocks();
  if (trajectory.rounds % kRoundsApart != 0) return;
  Chains<M> top = replicas_of(trajectory, trajectory.n_rungs() - 1);
  gather(engine.executor, top);
  std::copy(top.blocks.begin(), top.blocks.end(),
            snapshots.reservoir.blocks.begin() + static_cast<std::ptrdiff_t>(part));
}

template <EnergyModel M>
void roll_back(std::uint64_t update, typename M::Params& theta, Chains<M>& chains, Snapshots<M>& snapshots) {
  if (++snapshots.rollbacks > kMostRollbacks) {
    throw NumericalError("update " + std::to_string(update) + ": the machine left its last snapshot " +
                         std::to_string(kMostRollbacks) +
                         " times in a row, at ever smaller learning rates; the last checkpoint is kept (a "
                         "smaller --lr may help)");
  }
  const Trajectory<M>& trajectory = snapshots.trajectory;
  theta = trajectory.rungs.back();
  chains = first_chains(replicas_of(trajectory, trajectory.n_rungs() - 1), chains.n_chains, chains.sweeps);
  snapshots.rate *= 0.5;
  snapshots.acceptance = 1.0;
  snapshots.frozen = update;
}

#define TEMPERA_INSTANTIATE(M)                                                                             \
  template Snapshots<M> empty_snapshots(const M&, std::uint64_t, std::uint64_t);                           \
  template const char* snapshots_fault(const M&, const Snapshots<M>&, std::uint64_t);                      \
  template Snapshots<M> initial_snapshots(const Engine<M>&, std::uint64_t);                                \
  template void exchange_with_reservoir(const Engine<M>&, const M::Params&, std::uint64_t, Chains<M>&,     \
                                        Snapshots<M>&, TrajectoryCaches<M>&);                              \
  template bool freeze(const Engine<M>&, const M::Params&, const SnapshotStep&, Chains<M>&, Snapshots<M>&, \
                       TrajectoryCaches<M>&);                                                              \
  template void refresh_reservoir(const Engine<M>&, const SnapshotStep&, Snapshots<M>&,                    \
                                  TrajectoryCaches<M>&);                                                   \
  template void roll_back(std::uint64_t, M::Params&, Chains<M>&, Snapshots<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
