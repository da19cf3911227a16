// One step of the rule of a plan: of first order, or by a metric.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/models/all_models.hpp"
#include "tempera/train/update.hpp"

namespace tempera {
namespace {

/// What the ladder makes of the learning rate.
double rate_factor(const NoLadder&) { return 1.0; }
double rate_factor(const TemperatureLadder&) { return 1.0; }
template <EnergyModel M>
double rate_factor(const Snapshots<M>& snapshots) {
  return snapshots.rate;
}

/// Whether a parameter is a bias of the visibles.
template <EnergyModel M>
bool is_visible_bias(std::string_view name) {
  bool found = false;
  const typename M::Reference reference;
  for_each_field([&](std::string_view one, const auto&) { found = found || one == name; }, reference);
  return found && name.find("bias") != std::string_view::npos;
}

/// What decay takes from the gradient; empty where nothing.
template <EnergyModel M>
typename M::Params decay_of(const M& model, const DecayPlan& plan, const typename M::Params& theta) {
  if (plan.l1 == 0.0 && plan.l2 == 0.0 && plan.l1b == 0.0 && plan.l2_fields == 0.0) return {};
  typename M::Params decay = model.zero_params();
  for_each_field(
      [&plan](std::string_view name, auto& d, const auto& x) {
        if (M::is_weight(name)) {
          d = (static_cast<float>(plan.l2) * x.array() + static_cast<float>(plan.l1) * x.array().sign())
                  .matrix();
          if (plan.l1b == 0.0 || x.rows() == 0) return;
          const auto strength = (static_cast<float>(plan.l1b) * x.cwiseAbs().colwise().mean()).eval();
          for (Index i = 0; i < x.rows(); ++i)
            d.row(i) += x.row(i).array().sign().matrix().cwiseProduct(strength);
        } else if (is_visible_bias<M>(name)) {
          d = static_cast<float>(plan.l2_fields) * x;
        }
      },
      decay, theta);
  return decay;
}

/// Which latents the draws of a metric have.
Latents latents_of(const NaturalPlan& plan) {
  if (plan.fisher == FisherLaw::kMarginal) return Latents::kExpected;
  return uses_moments(kind_of(plan.metric)) ? Latents::kMoments : Latents::kDrawn;
}

/// The Fisher matrices of an update: of the chains that give the gradient, and of the metric's own where it
/// has some. A direction looks short by the very draws that it was fitted to: where there are two, the
/// gradient's judge its length.
struct FisherPair {
  std::unique_ptr<Fisher<float>> control;
  std::unique_ptr<Fisher<float>> own;

  [[nodiscard]] const Fisher<float>& of_metric() const { return own != nullptr ? *own : *control; }
};

template <EnergyModel M>
FisherPair fishers(const Engine<M>& engine, const NaturalPlan& plan, const Phase<M>& fantasy,
                   TrainState<M>& s, Memory<M>& memory) {
  const auto make = [&](std::vector<std::uint64_t> chains, Population<M>& population, Caches<M>& probe) {
    if (!uses_moments(kind_of(plan.metric)))
      chains.resize(std::min(chains.size(), static_cast<std::size_t>(plan.draws)));
    return Coordinates<M>::fisher(engine, s.theta, population, {std::move(chains), latents_of(plan)},
                                  s.offsets, probe);
  };
  FisherPair pair;
  pair.control = make(fantasy.chains, fantasy.population, memory.probe);
  if (s.metric_population.chains.n_chains > 0) {
    pair.own = make(gradient_chains(NoLadder(), s.metric_population.chains.n_chains), s.metric_population,
                    memory.metric_probe);
  }
  return pair;
}

/// g + damping x spring x last direction: P^-1 of it is drawn to that direction.
LayerParams<float> sprung(const NaturalPlan& plan, const NaturalState& state, const LayerParams<float>& g) {
  LayerParams<float> result = g;
  if (plan.spring <= 0.0) return result;
  LayerParams<float> last = g;
  unflatten(state.previous, last);
  add_scaled(result, damping_of(plan.metric) * plan.spring, last);
  return result;
}

/// The gradient, with decay of the weights, becomes a direction, the direction a step, and the parameters
/// move.
template <EnergyModel M>
struct TakeStep {
  const Engine<M>& engine;
  const Gradient<M>& gradient;
  const Phase<M>& fantasy;
  TrainState<M>& s;
  Memory<M>& memory;
  double learning_rate;
  bool reported;

  Step operator()(const FirstOrderPlan& plan) const {
    Step step;
    const auto take = [&](const typename M::Params& sums) {
      step.norms = Coordinates<M>::take_step({plan, learning_rate, s.update - s.given_up + 1}, sums,
                                             {s.offsets, s.theta, s.optimizer}, engine.executor);
    };
    // l1 and l2 are taken on the way.
    DecayPlan others = plan.decay;
    others.l1 = others.l2 = 0.0;
    if (const auto decay = decay_of(engine.model, others, s.theta); size_of(decay) > 0) {
      typename M::Params sums = gradient.sums;
      add_scaled(sums, -1.0F, decay);
      take(sums);
    } else {
      take(gradient.sums);
    }
    return step;
  }

  Step operator()(const NaturalPlan& plan) const {
    Step step;
    LayerParams<float> g = Coordinates<M>::gradient(engine.model, s.theta, s.offsets, gradient.sums);
    step.norms.gradient = std::sqrt(dot(g, g));
    if (step.norms.gradient > plan.decay.clip) scale(g, plan.decay.clip / step.norms.gradient);
    if (const auto decay = decay_of(engine.model, plan.decay, s.theta); size_of(decay) > 0)
      add_scaled(g, -1.0, Coordinates<M>::gradient(engine.model, s.theta, s.offsets, decay));

    const FisherPair fisher = fishers(engine, plan, fantasy, s, memory);
    const AnyMetric<float> metric = make_metric<float>(plan.metric, Coordinates<M>::layer_offsets(s.offsets));
    NaturalState& state = s.natural;
    observe(metric, fisher.of_metric(), state.metric);
    const Flat<float> previous = state.previous;
    LayerParams<float> direction =
        solve(metric, fisher.of_metric(), state.metric, sprung(plan, state, g), previous, step.solve);
    if (plan.spring > 0 || plan.warm_start) state.previous = flatten(direction);
    StepOptions length = plan.step;
    length.rate = learning_rate;
    const KrylovSource<float> krylov{previous, [&](const LayerParams<float>& x) {
                                       SolveReport ignored;
                                       return solve(metric, fisher.of_metric(), state.metric, x,
                                                    state.previous, ignored);
                                     }};
    LayerParams<float> moved = take_step<float>(length, *fisher.control, g, std::move(direction), krylov,
                                                reported ? &step.natural : nullptr);
    if (plan.step.control == StepControl::kKrylov) state.previous = flatten(moved);
    step.norms.step = std::sqrt(dot(moved, moved));
    Coordinates<M>::move(engine.model, s.offsets, std::move(moved), s.theta);
    step.norms.finite = first_non_finite(s.theta).empty();
    return step;
  }
};

}  // namespace

template <EnergyModel M>
Step apply(const Engine<M>& engine, const Plan& plan, const Gradient<M>& gradient, const Phase<M>& fantasy,
           TrainState<M>& s, Memory<M>& memory) {
  const double rate = learning_rate(plan.rate, s.update) *
                      std::visit([](const auto& ladder) { return rate_factor(ladder); }, s.ladder);
  advance_metric_chains(engine, plan, s);
  Step step = std::visit(
      TakeStep<M>{engine, gradient, fantasy, s, memory, rate, is_reported(plan, s.update + 1)}, plan.rule);
  step.learning_rate = rate;
  return step;
}

#define TEMPERA_INSTANTIATE(M)                                                                            \
  template Step apply(const Engine<M>&, const Plan&, const Gradient<M>&, const Phase<M>&, TrainState<M>&, \
                      Memory<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
