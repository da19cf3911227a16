// What training knows between two updates: everything that the next update reads, nothing else.
#pragma once

#include "tempera/mcmc/jump.hpp"
#include "tempera/train/metrics/all_metrics.hpp"
#include "tempera/train/optimizer.hpp"
#include "tempera/train/plan.hpp"
#include "tempera/train/snapshots.hpp"
#include "tempera/train/tracker.hpp"

namespace tempera {

/// Chains without a ladder beside them.
struct NoLadder {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};

/// What the chains of the gradient exchange places with: nothing, replicas at other temperatures, or replicas
/// of the machine on its way (snapshots, the rungs of a trajectory). Visited, never asked what it is.
template <EnergyModel M>
using Ladder = std::variant<NoLadder, TemperatureLadder, Snapshots<M>>;

/// Memory of the projection that keeps machines with slabs proper, and how often it acted; empty for others.
struct ProjectionState {
  Vector direction;
  std::vector<double> count;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("direction", s.direction...);
    f("count", s.count...);
  }
};

/// Chains that are followed between reports.
inline constexpr std::size_t kFollowedChains = 64;

/// Looks at followed chains since the last report, one a row: their free energies at beta = 1, then the
/// fractions of their visibles that are 1, then the numbers of the clusters of the data that they are in (-1
/// where there are none).
using Looks = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Everything that a checkpoint holds of training.
template <EnergyModel M>
struct TrainState {
  typename M::Params theta;
  typename M::Params average;  // empty where the plan does not average
  Optimizer<M> optimizer;
  typename M::Offsets offsets;
  Population<M> population;  // persistent chains; none for cd
  Ladder<M> ladder;          // of these chains
  JumpMemory jumps;          // empty without jumps
  PackedRows modes;          // the heaviest distinct ones that searches have found, of the collapsed machine
  Tracker<M> tracker;        // of log Z of result()
  NaturalState natural;
  Population<M> metric_population;  // where the metric has chains of its own
  ProjectionState projection;
  Looks looks;
  std::uint64_t update = 0;
  std::uint64_t given_up = 0;  // of these updates, those that have been taken back

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("theta", s.theta...);
    f("average", s.average...);
    f("optimizer", s.optimizer...);
    f("offsets", s.offsets...);
    f("chains", s.population...);
    f("ladder", s.ladder...);
    f("jumps", s.jumps...);
    f("modes", s.modes...);
    f("tracker", s.tracker...);
    f("natural", s.natural...);
    f("metric_chains", s.metric_population...);
    f("projection", s.projection...);
    f("looks", s.looks...);
    f("update", s.update...);
    f("given_up", s.given_up...);
  }

  /// The model that training offers for use: the average where there is one.
  [[nodiscard]] const typename M::Params& result() const { return size_of(average) > 0 ? average : theta; }
};

/// The states that other ranks have made of any chains become known to this one.
template <EnergyModel M>
void gather(const Executor& executor, TrainState<M>& s) {
  gather(executor, s.population.chains);
  gather(executor, s.metric_population.chains);
  gather(executor, s.tracker.population.chains);
  if (auto* snapshots = std::get_if<Snapshots<M>>(&s.ladder)) gather(executor, snapshots->trajectory);
}

/// Jumps at most that are worth their cost whatever the machine: one sweep in so many begins with one.
inline constexpr double kCheapJumps = 0.05;

/// Jumps that chains make; none where the plan has none. Machines whose sweeps cost less than a look at all
/// components of the proposal make fewer by themselves, but not so few that the machine could grow a mode
/// between two of them.
template <EnergyModel M>
Jumps jumps_of(const M& model, const SamplingPlan& plan, const TrainState<M>& s) {
  if (!plan.jumps()) return {};
  const auto visibles = static_cast<double>(model.n_visible());
  const auto cases = static_cast<double>(remembered_cases(model));
  const double most = std::max(kCheapJumps, M::defaults().most_jumps * visibles / (visibles + cases));
  return {jump_rate(plan.jump_rate, s.jumps, most), &s.jumps};
}

/// Chains at beta = 1 that give the gradient, in the order in which they are counted.
std::vector<std::uint64_t> gradient_chains(const NoLadder& ladder, std::uint64_t n_chains);
std::vector<std::uint64_t> gradient_chains(const TemperatureLadder& ladder, std::uint64_t n_chains);
template <EnergyModel M>
std::vector<std::uint64_t> gradient_chains(const Snapshots<M>&, std::uint64_t n_chains) {
  return gradient_chains(NoLadder(), n_chains);
}
template <EnergyModel M>
std::vector<std::uint64_t> gradient_chains(const TrainState<M>& s) {
  return std::visit(
      [&s](const auto& ladder) { return gradient_chains(ladder, s.population.chains.n_chains); }, s.ladder);
}

}  // namespace tempera
