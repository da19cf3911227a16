#include "tempera/train/update.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/train/pruning.hpp"

namespace tempera {
namespace {

/// Speed at which the offsets of the latents follow their mean over the data.
constexpr float kOffsetRate = 0.01F;
/// The average weighs update t like (t / now)^kAverageOrder: about the last tenth of the run.
constexpr double kAverageOrder = 9.0;
/// Rounds of swaps between placements of the rungs, and rungs at most.
constexpr std::uint64_t kAdaptEvery = 100;
constexpr std::uint64_t kMostRungs = 100;
/// Paper mode: a mean acceptance below this spawns a rung, after which the chains settle (Desjardins et al.
/// 2010); each pair must have been offered this often first.
constexpr double kLeastAcceptance = 0.4;
constexpr std::uint64_t kSettling = 100;
constexpr double kLeastOffers = 50;
constexpr Round kSettlingRound{1, {Purpose::kChains, Purpose::kSwaps}};
/// Cost of a step of the tracker for a chain, in the cost of an update for a case or chain, over the part of
/// an update's cost that tracking may take.
constexpr double kTrackingCost = 11.0;
/// Cost of a round of the tracker for a chain, in that of an update for a case or chain.
constexpr double kRoundCost = 1.5;

/// What a case of the batch weighs on average, relative to the cases of the data: steps of this length make
/// those of an epoch add up to the gradient over all of them.
template <EnergyModel M>
float relative_weight(const Batch<M>& batch) {
  const CaseWeights& weights = batch.data.weights();
  if (weights.all_one()) return 1.0F;
  double total = 0.0;
  for (const Index n : batch.cases) total += weights[n];
  return static_cast<float>(total / static_cast<double>(batch.cases.size()) /
                            weights.mean(batch.data.n_cases()));
}

/// Gradient of the mean log-likelihood, times what the batch weighs.
template <EnergyModel M>
Gradient<M> gradient(const Engine<M>& engine, const Phase<M>& data, const Phase<M>& fantasy,
                     float batch_weight, const TrainState<M>& s, Memory<M>& memory) {
  PerChain<float> against = fantasy.weights;
  for (LaneFloats& block : against.blocks) {
    for (float& weight : block) weight = -weight;
  }
  accumulate(engine, s.theta, {data.population, data.weights}, {fantasy.population, against}, memory.gradient,
             memory.data_vectors);
  // Means of units are sums of biases.
  typename M::Offsets means = Coordinates<M>::means(engine.model, memory.data_vectors, s.offsets);
  if (batch_weight != 1.0F)
    for_each_field([&](std::string_view, auto& sums) { sums *= batch_weight; }, memory.gradient);
  return {memory.gradient, std::move(means)};
}

/// `field` is empty where every number is finite and only the norm of all is not.
[[noreturn]] void fail_not_finite(const char* what, std::string_view field, std::uint64_t update) {
  throw NumericalError("update " + std::to_string(update) + ": the " + what + " of " +
                       (field.empty() ? "all parameters" : "'" + std::string(field) + "'") +
                       " is not finite; the last checkpoint is kept (a smaller --lr may help)");
}

template <EnergyModel M>
void require_finite(const Step& step, const Gradient<M>& gradient, const TrainState<M>& s) {
  if (!std::isfinite(step.norms.gradient))
    fail_not_finite("gradient", first_non_finite(gradient.sums), s.update);
  if (!step.norms.finite) fail_not_finite("new value", first_non_finite(s.theta), s.update);
}

/// Polynomial-decay averaging (Shamir & Zhang 2013): no horizon, so a longer run continues the same average.
template <EnergyModel M>
void average(const Engine<M>& engine, TrainState<M>& s) {
  const auto t = static_cast<double>(s.update - s.given_up);
  move_average<M>(std::min(1.0, (kAverageOrder + 1.0) / (t + kAverageOrder)), s.theta, s.average,
                  engine.executor);
}

/// Offsets move freely: the stored parameters are those of the plain energy, whose law no offset changes.
template <EnergyModel M>
void recentre(bool centring, const typename M::Offsets& means, TrainState<M>& s) {
  if (!centring) return;
  for_each_field(
      [](std::string_view, Vector& offset, const Vector& mean) { offset += kOffsetRate * (mean - offset); },
      s.offsets, means);
}

/// Weights that pruning has taken out stay out.
template <EnergyModel M>
void hold(const Mask& mask, TrainState<M>& s) {
  if (mask.empty()) return;
  Coordinates<M>::hold(mask, s.offsets, s.theta);
  if (size_of(s.average) > 0) Coordinates<M>::hold(mask, s.offsets, s.average);
}

/// How a ladder follows the machine.
template <EnergyModel M>
struct LadderAdaptation {
  const Engine<M>& engine;
  const Plan& plan;
  TrainState<M>& s;
  Memory<M>& memory;

  void operator()(NoLadder&) const {}

  /// By placement for equal rejection now and then, or in paper mode by feedback at every update, and by
  /// spawning while replicas are refused too often.
  void operator()(TemperatureLadder& ladder) const {
    switch (plan.ladder.motion) {
      case LadderMotion::kFixed:
        return;
      case LadderMotion::kEqualRejection:
        if (ladder.swaps >= ladder.last_adapted + kAdaptEvery) {
          gather(engine.executor, s.population.chains);
          ladder = adapt(std::move(ladder), {2, kMostRungs}, engine.model, s.population.chains);
        }
        return;
      case LadderMotion::kFeedback:
        ladder = feedback(std::move(ladder), plan.ladder.beta_lr);
        while (refuses(ladder)) spawn_and_settle(ladder);
    }
  }

  /// A snapshot where the chains have come away from the last one, or the way back to it where the machine
  /// has.
  void operator()(Snapshots<M>& snapshots) const {
    const SnapshotStep step{s.update, jumps_of(engine.model, plan.sampling, s).rate, s.jumps};
    if (!is_due(snapshots)) {
      refresh_reservoir(engine, step, snapshots, memory.phases.snapshots);
      return;
    }
    if (freeze(engine, s.theta, step, s.population.chains, snapshots, memory.phases.snapshots)) return;
    roll_back(s.update, s.theta, s.population.chains, snapshots);
    if (size_of(s.average) > 0) s.average = s.theta;
    // The second moments stay: begun anew late in a run they would make Adam's next steps too long.
    set_zero(s.optimizer.first_moment);
  }

 private:
  [[nodiscard]] static bool refuses(const TemperatureLadder& ladder) {
    return 1.0 - mean_rejection(ladder.rejections) < kLeastAcceptance && ladder.n_rungs < kMostRungs &&
           *std::min_element(ladder.offers.begin(), ladder.offers.end()) >= kLeastOffers;
  }
  void spawn_and_settle(TemperatureLadder& ladder) const {
    gather(engine.executor, s.population.chains);
    ladder = spawn(std::move(ladder), engine.model, s.population.chains);
    s.population.fit(engine);
    place(ladder, s.population);
    for (std::uint64_t t = 0; t < kSettling; ++t) {
      ladder = feedback(std::move(ladder), plan.ladder.beta_lr);
      place(ladder, s.population);
      temper(engine, s.theta, kSettlingRound, ladder, s.population);
    }
  }
};

template <EnergyModel M>
void adapt_ladder(const Engine<M>& engine, const Plan& plan, TrainState<M>& s, Memory<M>& memory) {
  std::visit(LadderAdaptation<M>{engine, plan, s, memory}, s.ladder);
}

/// Whether the tracker makes a step after this update: now and then, as it costs, and not while it has had
/// half of all work, as where every step takes it many rounds to follow.
template <EnergyModel M>
bool is_tracked_now(const Plan& plan, const TrainState<M>& s) {
  if (plan.tracking.every) return s.update % static_cast<std::uint64_t>(*plan.tracking.every) == 0;
  const double tracked = static_cast<double>(s.tracker.population.chains.n_chains);
  const double trained =
      static_cast<double>(plan.batch) +
      static_cast<double>(plan.sampling.persistent ? s.population.chains.n_chains : plan.batch);
  const double every = std::max(1.0, std::ceil(kTrackingCost * tracked / trained));
  return s.update % static_cast<std::uint64_t>(every) == 0 &&
         kRoundCost * static_cast<double>(s.tracker.rounds) * tracked <=
             trained * static_cast<double>(s.update);
}

/// log Z of the model that training offers, where it is tracked.
template <EnergyModel M>
void follow_log_z(const Engine<M>& engine, const Plan& plan, TrainState<M>& s, UpdateReport& report) {
  if (plan.tracking.kind == Tracking::kNone) return;
  try {
    if (plan.tracking.kind == Tracking::kShared) {
      track_shared(engine, s.theta, std::get<TemperatureLadder>(s.ladder), s.population, s.tracker);
    } else if (is_tracked_now(plan, s)) {
      track(engine, s.result(), s.tracker, jumps_of(engine.model, plan.sampling, s));
    }
    if (is_reported(plan, s.update))
      report.log_partition = tracked_log_partition(engine, s.result(), s.tracker);
  } catch (const NumericalError& error) {
    throw NumericalError("update " + std::to_string(s.update) + ": " + error.what() +
                         "; the last checkpoint is kept (a smaller --lr may help)");
  }
}

/// The report of an update whose step has been made.
template <EnergyModel M>
UpdateReport finished(UpdateReport report, const Plan& plan, const Batch<M>& batch, const Step& step,
                      const TrainState<M>& s) {
  report.update = s.update;
  report.total = plan.rate.total;
  report.epoch = batch.epoch;
  report.learning_rate = step.learning_rate;
  report.gradient_norm = step.norms.gradient;
  report.step_norm = step.norms.step;
  report.natural = step.natural;
  report.solve = step.solve;
  if (!s.projection.count.empty()) report.projections = s.projection.count.front();
  return report;
}

}  // namespace

template <EnergyModel M>
void project(const M& model, const ProjectionPlan& plan, TrainState<M>& s) {
  if constexpr (HasProjection<M>) {
    if (plan.filter_norm != FilterNorm::kFree) {
      for (Index m = 0; m < s.theta.weights.cols(); ++m) {
        const float norm = s.theta.weights.col(m).norm();
        if (norm > 0.0F && (plan.filter_norm == FilterNorm::kSphere || norm > 1.0F))
          s.theta.weights.col(m) /= norm;
      }
    }
    if (model.project(s.theta, s.projection.direction, plan.filters_shrink)) s.projection.count[0] += 1.0;
  }
  if constexpr (HasGauge<M>) model.fix_gauge(s.theta);
}

template <EnergyModel M>
UpdateReport update(const Engine<M>& engine, const Plan& plan, const Batch<M>& batch, TrainState<M>& s,
                    Memory<M>& memory) {
  const Phase<M> data = positive_phase(engine, plan, batch, s, memory.phases);
  const Phase<M> fantasy = negative_phase(engine, plan, data, s, memory.phases);
  UpdateReport report = look(engine, plan, data, fantasy, s, memory);

  const Gradient<M> slope = gradient(engine, data, fantasy, relative_weight(batch), s, memory);
  const Step step = apply(engine, plan, slope, fantasy, s, memory);
  ++s.update;
  require_finite(step, slope, s);
  project(engine.model, plan.projection, s);
  average(engine, s);
  recentre(plan.centring, slope.means, s);
  hold(plan.mask, s);

  adapt_ladder(engine, plan, s, memory);
  if (memory.searches) search(engine, *memory.searches, batch.data, s);
  follow_log_z(engine, plan, s, report);
  return finished(std::move(report), plan, batch, step, s);
}

#define TEMPERA_INSTANTIATE(M)                                                                              \
  template UpdateReport update(const Engine<M>&, const Plan&, const Batch<M>&, TrainState<M>&, Memory<M>&); \
  template void project(const M&, const ProjectionPlan&, TrainState<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
