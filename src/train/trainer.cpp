#include "tempera/train/trainer.hpp"

#include <numeric>

#include "tempera/core/errors.hpp"
#include "tempera/core/permutation.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

constexpr Index kClusters = 8;

/// Batches of the cases, epoch after epoch, each in an order of its own; the last of an epoch may be shorter.
template <EnergyModel M>
class Batches {
 public:
  Batches(const Engine<M>& engine, const typename M::Data& data, const Plan& plan)
      : data_(data), size_(plan.batch), streams_(engine.streams), executor_(engine.executor) {}

  Batch<M> at(std::uint64_t update) {
    const auto n_cases = static_cast<std::uint64_t>(data_.n_cases());
    const std::uint64_t per_epoch = (n_cases + size_ - 1) / size_;
    const std::uint64_t epoch = update / per_epoch;
    if (order_.empty() || epoch != epoch_) order_ = epoch_order(data_.n_cases(), streams_, epoch);
    epoch_ = epoch;
    const std::uint64_t first = update % per_epoch * size_;
    const std::span<const Index> cases(order_.data() + first, std::min(size_, n_cases - first));
    return {data_, cases, epoch, drawn(cases, epoch)};
  }

 private:
  /// Values of cases for this visit; nothing where they are always the same.
  const typename M::Data* drawn([[maybe_unused]] std::span<const Index> cases,
                                [[maybe_unused]] std::uint64_t epoch) {
    if constexpr (std::same_as<typename M::Data, BinaryData>) {
      if (data_.probabilities() == nullptr) return nullptr;
      const auto width = static_cast<std::size_t>(data_.n_visible());
      bytes_.resize(cases.size() * width);
      executor_.for_each(static_cast<Index>(cases.size()), [&](Index k) {
        const auto row = static_cast<std::size_t>(k);
        data_.draw(cases[row], epoch, std::span(bytes_).subspan(row * width, width));
      });
      drawn_ = BinaryData(static_cast<Index>(cases.size()), data_.n_visible(), bytes_);
      return &drawn_;
    }
    return nullptr;
  }

  const typename M::Data& data_;
  std::uint64_t size_;
  StreamFactory streams_;
  const Executor& executor_;
  std::vector<std::uint8_t> bytes_;
  typename M::Data drawn_;
  std::vector<Index> order_;
  std::uint64_t epoch_ = 0;
};

/// Repeats updates by one thread of one process.
template <EnergyModel M>
class UpdateCheck {
 public:
  UpdateCheck(const Engine<M>& engine, const Plan& plan, const Memory<M>& memory)
      : engine_(engine), plan_(plan), memory_(memory) {}

  /// A copy that holds what a checkpoint does: the chains of all ranks, and no caches.
  [[nodiscard]] TrainState<M> whole(const TrainState<M>& s) const {
    TrainState<M> copy = s;
    for (Population<M>* population : {&copy.population, &copy.metric_population, &copy.tracker.population})
      population->caches = {};
    copy.tracker.current = false;
    gather(engine_.executor, copy);
    return copy;
  }

  /// Throws NumericalError on every rank where the update of `before` does not give `after`.
  void operator()(const Batch<M>& batch, TrainState<M> before, const TrainState<M>& after) const {
    const Communicator& ranks = engine_.executor.ranks();
    const TrainState<M> found = whole(after);
    std::string difference;
    if (ranks.rank() == 0) {
      const Executor one(1);
      Memory<M> memory = memory_for(engine_.model);
      memory.clusters = memory_.clusters;
      memory.searches = memory_.searches;
      update(Engine<M>{engine_.model, engine_.streams, one}, plan_, batch, before, memory);
      difference = first_difference(before, found);
    }
    if (!ranks.any(!difference.empty())) return;
    difference.resize(kLongestName);
    ranks.broadcast(std::as_writable_bytes(std::span(difference)), 0);
    throw NumericalError(
        "update " + std::to_string(after.update) + ": '" + difference.c_str() +
        "' is not what one thread of one process makes of it (--check); the processes or the "
        "machines of this run do not calculate alike");
  }

 private:
  static constexpr std::size_t kLongestName = 64;

  const Engine<M>& engine_;
  const Plan& plan_;
  const Memory<M>& memory_;
};

/// Clusters are of bits; of other data nothing is followed.
DataClusters clusters_of(const BinaryData& data, StreamFactory streams) {
  return find_clusters(data, kClusters, streams.engine(Purpose::kClusters, 0));
}
DataClusters clusters_of(const RealData&, StreamFactory) { return {}; }

/// Chains, their ladder, and what a metric has to itself.
template <EnergyModel M>
void start_chains(const Engine<M>& engine, const Plan& plan, TrainState<M>& s) {
  const StartPlan& start = plan.start;
  if (!plan.sampling.persistent) return;
  std::uint64_t all = start.chains;
  if (is_tempered(start.trainer)) {
    s.ladder = linear_ladder(start.rungs, start.ensembles, start.chains);
    all += start.rungs * start.ensembles;
  } else if (start.trainer == Trainer::kSmlPtt) {
    s.ladder = initial_snapshots(engine, start.chains);
  }
  s.population.chains = reference_chains(engine, all, Purpose::kChains);
}

template <EnergyModel M>
void start_rule(const Engine<M>& engine, const Plan& plan, TrainState<M>& s) {
  if (const auto* rule = std::get_if<FirstOrderPlan>(&plan.rule)) {
    const bool adam = rule->method == FirstOrder::kAdam;
    if (adam || rule->momentum > 0) s.optimizer.first_moment = engine.model.zero_params();
    if (adam) s.optimizer.second_moment = engine.model.zero_params();
    return;
  }
  const auto& rule = std::get<NaturalPlan>(plan.rule);
  const LayerShape shape = Coordinates<M>::shape(engine.model, s.theta);
  s.natural.metric = prepare(make_metric<float>(rule.metric, {}), shape);
  if (rule.spring > 0 || rule.warm_start || rule.step.control == StepControl::kKrylov)
    s.natural.previous = Flat<float>::Zero(shape.parameters());
  if (plan.start.metric_chains > 0) {
    s.metric_population.chains = reference_chains(engine, plan.start.metric_chains, Purpose::kMetricChains);
  }
}

template <EnergyModel M>
void start_tracker(const Engine<M>& engine, const Plan& plan, TrainState<M>& s) {
  TrackerShape shape;
  shape.n_ensembles = plan.start.track_ensembles;
  switch (plan.tracking.kind) {
    case Tracking::kNone:
      return;
    case Tracking::kSmc:
      shape.n_rungs = 0;
      [[fallthrough]];
    case Tracking::kLattice:
      s.tracker = initial_tracker(engine, shape);
      return;
    case Tracking::kShared:
      s.tracker = shared_tracker(engine.model, std::get<TemperatureLadder>(s.ladder));
  }
}

}  // namespace

std::vector<Index> epoch_order(Index n_cases, const StreamFactory& streams, std::uint64_t epoch) {
  return permutation(n_cases, streams.engine(Purpose::kShuffle, epoch));
}

template <EnergyModel M>
void begin_at(const M& model, const Plan& plan, typename M::Params theta, TrainState<M>& s) {
  s.theta = std::move(theta);
  if constexpr (HasProjection<M>) {
    s.projection.direction = Vector::Zero(model.n_visible());
    s.projection.count.assign(1, 0.0);
    project(model, plan.projection, s);
    s.projection.count[0] = 0.0;
  }
  if (plan.average) s.average = s.theta;
}

template <EnergyModel M>
TrainState<M> initial_state(const Engine<M>& engine, const Plan& plan, const typename M::Data& data) {
  TrainState<M> s;
  begin_at(engine.model, plan, engine.model.initial_params(engine.streams, plan.start.init), s);
  s.offsets = plan.centring ? engine.model.initial_offsets(data.means()) : engine.model.zero_offsets();
  if (plan.sampling.jumps()) s.jumps = empty_memory(engine.model.latents());
  start_rule(engine, plan, s);
  start_chains(engine, plan, s);
  start_tracker(engine, plan, s);
  return s;
}

template <EnergyModel M>
void train(const Engine<M>& engine, const Plan& plan, const typename M::Data& data, TrainState<M>& s,
           const Observer<M>& observer) {
  Memory<M> memory = memory_for(engine.model);
  if (plan.sampling.persistent) memory.clusters = clusters_of(data, engine.streams);
  if (!are_looks_of(s, memory.clusters))
    throw DataError("/state/looks: does not fit the chains of the run and the clusters of its data");
  memory.searches = search_budget(engine.model, plan);
  Batches<M> batches(engine, data, plan);
  const UpdateCheck<M> check(engine, plan, memory);
  while (s.update < plan.rate.total) {
    const Batch<M> batch = batches.at(s.update);
    std::optional<TrainState<M>> before;
    if (plan.check_every > 0 && (s.update + 1) % plan.check_every == 0) before = check.whole(s);
    const UpdateReport report = update(engine, plan, batch, s, memory);
    if (before) check(batch, std::move(*before), s);
    if (observer(report, s) == Control::kStop) return;
  }
}

#define TEMPERA_INSTANTIATE(M)                                                         \
  template TrainState<M> initial_state(const Engine<M>&, const Plan&, const M::Data&); \
  template void begin_at(const M&, const Plan&, M::Params, TrainState<M>&);            \
  template void train(const Engine<M>&, const Plan&, const M::Data&, TrainState<M>&, const Observer<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
