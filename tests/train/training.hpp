// Training runs as tests make them: from options to a state, and update by update.
#pragma once

#include <algorithm>
#include <span>
#include <utility>

#include "tempera/models/all_models.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera {

/// The plan of a run on these data.
template <EnergyModel M>
Plan plan_for(const TrainOptions& options, const typename M::Data& data) {
  return plan_of(resolve<M>(options, data.n_visible(), data.n_cases()), data.n_cases());
}

inline StreamFactory streams_of(const TrainOptions& options) {
  return {static_cast<std::uint64_t>(options.run.seed)};
}

/// A run of a machine on some data: what is needed to begin it, and to go on. Refers to its arguments.
template <EnergyModel M>
struct Training {
  const typename M::Data& data;
  Engine<M> engine;
  Plan plan;

  Training(const M& model, const typename M::Data& of, const TrainOptions& options, const Executor& executor)
      : data(of), engine{model, streams_of(options), executor}, plan(plan_for<M>(options, of)) {}

  [[nodiscard]] TrainState<M> start() const { return initial_state(engine, plan, data); }
  /// To the last update.
  void finish(TrainState<M>& s) const {
    train<M>(engine, plan, data, s,
             [](const UpdateReport&, const TrainState<M>&) { return Control::kContinue; });
  }
  /// The same; observer(report, state) sees every update.
  template <class F>
  void observed(TrainState<M>& s, F&& observer) const {
    train<M>(engine, plan, data, s, [&observer](const UpdateReport& report, const TrainState<M>& now) {
      observer(report, now);
      return Control::kContinue;
    });
  }
  /// The same one by one, so that meddle(report, state) may change the state after every update. Clusters of
  /// the data are not followed.
  template <class F>
  void meddled(TrainState<M>& s, F&& meddle) const {
    Memory<M> memory;
    memory.gradient = engine.model.zero_params();
    const auto n_cases = static_cast<std::uint64_t>(data.n_cases());
    const std::uint64_t per_epoch = (n_cases + plan.batch - 1) / plan.batch;
    while (s.update < plan.rate.total) {
      const std::uint64_t epoch = s.update / per_epoch;
      const std::uint64_t first = s.update % per_epoch * plan.batch;
      const std::vector<Index> order = epoch_order(data.n_cases(), engine.streams, epoch);
      const auto cases = std::span(order).subspan(first, std::min(plan.batch, n_cases - first));
      const UpdateReport report = update(engine, plan, Batch<M>{data, cases, epoch}, s, memory);
      meddle(report, s);
    }
  }
};

/// The state after a whole run.
template <EnergyModel M>
TrainState<M> trained(const Training<M>& run) {
  TrainState<M> s = run.start();
  run.finish(s);
  return s;
}

}  // namespace tempera
