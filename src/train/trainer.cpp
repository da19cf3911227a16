#include "tempera/train/trainer.hpp"

#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>
#include <string>

#include "tempera/core/errors.hpp"

namespace tempera {
namespace {

/// Speed at which the offsets of the latents follow their mean over the data.
constexpr float kOffsetRate = 0.01F;
/// The average weighs update t like (t / now)^kAverageOrder: about the last tenth of the run.
constexpr double kAverageOrder = 9.0;

/// A phase: blocks of states with the expected statistics that they give.
template <EnergyModel M>
struct Phase {
  std::vector<typename M::State> blocks;
  Works<M> works;
  std::uint64_t n_chains = 0;
};

/// Scratch of the training loop, reused by every update.
template <EnergyModel M>
struct Scratch {
  std::vector<Index> order;
  std::uint64_t order_epoch = std::numeric_limits<std::uint64_t>::max();
  Phase<M> positive;
  Chains<M> data_chains;
  Works<M> negative_works;
  typename M::Params gradient;
};

template <EnergyModel M>
void positive_phase(const M& model, const typename M::Params& theta, const BinaryData& data,
                    std::span<const Index> batch, Phase<M>& phase, const Workers& workers) {
  phase.n_chains = batch.size();
  const auto n_blocks = static_cast<std::size_t>(words_for(static_cast<Index>(batch.size())));
  phase.blocks.resize(n_blocks);
  phase.works.resize(n_blocks);
  workers.for_each(static_cast<Index>(n_blocks), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    const std::size_t first = i * kLanes;
    model.load(data, batch.subspan(first, std::min<std::size_t>(kLanes, batch.size() - first)),
               phase.blocks[i]);
    model.infer(theta, phase.blocks[i], phase.works[i]);
    model.mean_latents(theta, constant_beta(1.0F), phase.works[i]);
  });
}

/// Chains that start at the batch: contrastive divergence.
template <EnergyModel M>
void restart_at_data(const M& model, const typename M::Params& theta, const Phase<M>& positive,
                     std::uint64_t update, std::uint64_t sweeps, const StreamFactory& streams,
                     Chains<M>& chains, const Workers& workers) {
  chains.blocks = positive.blocks;
  chains.n_chains = positive.n_chains;
  chains.sweeps = update * (sweeps + 1);
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    model.sample_latents(
        theta, constant_beta(1.0F), chains.blocks[i], positive.works[i],
        streams.lanes(Purpose::kPositiveChains, chains.sweeps, static_cast<std::uint32_t>(b * kLanes)));
  });
  ++chains.sweeps;
}

/// Mean statistics of one slice over the chains of a population, summed along a fixed tree over the blocks.
template <EnergyModel M>
typename M::Params mean_statistics(const M& model, const std::vector<typename M::State>& blocks,
                                   const Works<M>& works, std::uint64_t n_chains, Index slice) {
  const auto weight = static_cast<float>(1.0 / static_cast<double>(n_chains));
  return sum_tree(
      static_cast<Index>(blocks.size()),
      [&](Index b) {
        auto part = model.zero_slice(slice);
        const auto i = static_cast<std::size_t>(b);
        model.accumulate(blocks[i], works[i], lane_weights(n_chains, b, weight), slice, part);
        return part;
      },
      [](auto& into, const auto& from) { add_scaled(into, 1.0F, from); });
}

template <EnergyModel M>
double mean_free_energy(const M& model, const typename M::Params& theta,
                        const std::vector<typename M::State>& blocks, Works<M>& works,
                        std::uint64_t n_chains) {
  LaneDoubles values;
  double sum = 0.0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    model.free_energy(theta, constant_beta(1.0F), blocks[i], works[i], values);
    for (std::size_t c = 0; c < kLanes && i * kLanes + c < n_chains; ++c) sum += values[c];
  }
  return sum / static_cast<double>(n_chains);
}

void require_finite(double squared, const char* what, std::string_view field, std::uint64_t update) {
  if (std::isfinite(squared)) return;
  throw NumericalError("update " + std::to_string(update) + ": the " + what + " of '" + std::string(field) +
                       "' is not finite; the last checkpoint is kept (a smaller --lr may help)");
}

template <EnergyModel M>
UpdateReport update_once(const M& model, const BinaryData& data, const TrainConfig& config,
                         std::uint64_t total, TrainState<M>& state, Scratch<M>& scratch,
                         const Workers& workers) {
  const StreamFactory streams{static_cast<std::uint64_t>(config.seed)};
  const auto n_cases = static_cast<std::uint64_t>(data.n_cases());
  const std::uint64_t batch_size = std::min(static_cast<std::uint64_t>(config.batch), n_cases);
  const std::uint64_t batches = (n_cases + batch_size - 1) / batch_size;
  const std::uint64_t epoch = state.update / batches;
  if (scratch.order_epoch != epoch) {
    scratch.order = epoch_order(data.n_cases(), streams, epoch);
    scratch.order_epoch = epoch;
  }
  const std::uint64_t first = state.update % batches * batch_size;
  const std::span<const Index> batch(scratch.order.data() + first, std::min(batch_size, n_cases - first));

  positive_phase(model, state.theta, data, batch, scratch.positive, workers);

  const bool persistent = config.trainer == "sml";
  Chains<M>& chains = persistent ? state.chains : scratch.data_chains;
  const Purpose purpose = persistent ? Purpose::kChains : Purpose::kPositiveChains;
  const auto sweeps = static_cast<std::uint64_t>(config.sweeps);
  if (!persistent) {
    restart_at_data(model, state.theta, scratch.positive, state.update, sweeps, streams, chains, workers);
  }
  advance(model, state.theta, sweeps, streams, purpose, chains, scratch.negative_works, workers);
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    model.mean_latents(state.theta, constant_beta(1.0F), scratch.negative_works[static_cast<std::size_t>(b)]);
  });

  UpdateReport report;
  if (is_reported(config, state.update + 1, total)) {
    report.data_free_energy =
        mean_free_energy(model, state.theta, scratch.positive.blocks, scratch.positive.works, batch.size());
    report.chain_free_energy =
        mean_free_energy(model, state.theta, chains.blocks, scratch.negative_works, chains.n_chains);
  }

  // Gradient: data mean minus model mean of the statistics, slice by slice.
  typename M::Params& gradient = scratch.gradient;
  Vector latent_means;
  workers.for_each(model.slices(), [&](Index slice) {
    auto part = mean_statistics(model, scratch.positive.blocks, scratch.positive.works, batch.size(), slice);
    if (slice == 0) latent_means = M::latent_sums(part);
    add_scaled(part, -1.0F,
               mean_statistics(model, chains.blocks, scratch.negative_works, chains.n_chains, slice));
    model.insert_slice(slice, part, gradient);
  });

  if (config.centering) model.center(state.offsets, gradient);
  const double squared_gradient = squared_norm(gradient, workers);
  require_finite(squared_gradient, "gradient", first_non_finite(gradient), state.update + 1);
  report.gradient_norm = std::sqrt(squared_gradient);
  report.learning_rate = learning_rate(config, state.update, total);

  OptimizerStep step;
  step.adam = config.optimizer == "adam";
  step.learning_rate = report.learning_rate;
  step.momentum = config.momentum;
  step.l1 = config.l1;
  step.l2 = config.l2;
  step.gradient_scale =
      config.clip > 0 && report.gradient_norm > config.clip ? config.clip / report.gradient_norm : 1.0;
  step.update = state.update + 1;
  direction_from_gradient(step, state.theta, state.optimizer, gradient, workers);
  const double squared_step = squared_norm(gradient, workers);
  require_finite(squared_step, "step", first_non_finite(gradient), state.update + 1);
  report.step_norm = std::sqrt(squared_step);
  if (config.centering) model.uncenter(state.offsets, gradient);
  add_scaled(state.theta, 1.0F, gradient);
  if (const auto field = first_non_finite(state.theta); !field.empty())
    require_finite(std::numeric_limits<double>::infinity(), "new value", field, state.update + 1);

  // Offsets move freely: the stored parameters are those of the plain energy, whose law no offset changes.
  if (config.centering) state.offsets.hidden += kOffsetRate * (latent_means - state.offsets.hidden);
  ++state.update;
  if (config.average) {
    // Polynomial-decay averaging (Shamir & Zhang 2013): no horizon, so a longer run continues the same
    // average.
    const double weight =
        std::min(1.0, (kAverageOrder + 1.0) / (static_cast<double>(state.update) + kAverageOrder));
    const auto w = static_cast<float>(weight);
    for_each_field([w](std::string_view, auto& mean, const auto& now) { mean += w * (now - mean); },
                   state.average, state.theta);
  }
  report.update = state.update;
  report.total = total;
  report.epoch = epoch;
  return report;
}

}  // namespace

std::uint64_t total_updates(const TrainConfig& config, Index n_cases) {
  if (config.epochs == 0) return static_cast<std::uint64_t>(config.updates);
  const std::int64_t batch = std::min<std::int64_t>(config.batch, n_cases);
  return static_cast<std::uint64_t>(config.epochs * ((n_cases + batch - 1) / batch));
}

bool is_validated(const TrainConfig& config, std::uint64_t update, std::uint64_t total) {
  return config.validate_every > 0 &&
         (update % static_cast<std::uint64_t>(config.validate_every) == 0 || update == total);
}

bool is_reported(const TrainConfig& config, std::uint64_t update, std::uint64_t total) {
  return is_validated(config, update, total) || update == total ||
         update % static_cast<std::uint64_t>(config.report_every) == 0;
}

double learning_rate(const TrainConfig& config, std::uint64_t t, std::uint64_t total) {
  const auto x = static_cast<double>(t);
  if (config.schedule == "linear") return config.lr * std::max(0.0, 1.0 - x / static_cast<double>(total));
  if (config.schedule == "inverse") return config.lr / (1.0 + x / config.decay_updates);
  return config.lr;
}

std::vector<Index> epoch_order(Index n_cases, const StreamFactory& streams, std::uint64_t epoch) {
  return permutation(n_cases, streams.engine(Purpose::kShuffle, epoch));
}

std::vector<Index> permutation(Index n, StreamEngine engine) {
  std::vector<Index> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), Index{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const boost::random::uniform_int_distribution<std::size_t> below(0, i - 1);
    std::swap(order[i - 1], order[below(engine)]);
  }
  return order;
}

template <EnergyModel M>
TrainState<M> initial_state(const M& model, const BinaryData& data, const TrainConfig& config,
                            const Workers& workers) {
  const StreamFactory streams{static_cast<std::uint64_t>(config.seed)};
  TrainState<M> state;
  state.theta = model.initial_params(streams, config.init);
  if (config.average) state.average = state.theta;
  if (config.optimizer == "adam" || config.momentum > 0) state.optimizer.first_moment = model.zero_params();
  if (config.optimizer == "adam") state.optimizer.second_moment = model.zero_params();
  state.offsets = config.centering ? model.initial_offsets(data.means()) : model.zero_offsets();
  if (config.trainer == "sml") {
    const auto n = static_cast<std::uint64_t>(
        config.chains > 0 ? config.chains : std::min<std::int64_t>(config.batch, data.n_cases()));
    state.chains = reference_chains(model, state.theta, n, streams, Purpose::kChains, workers);
  }
  return state;
}

template <EnergyModel M>
void train(const M& model, const BinaryData& data, const TrainConfig& config, TrainState<M>& state,
           const Observer<M>& observer, const Workers& workers) {
  const std::uint64_t total = total_updates(config, data.n_cases());
  Scratch<M> scratch;
  scratch.gradient = model.zero_params();
  while (state.update < total) {
    const UpdateReport report = update_once(model, data, config, total, state, scratch, workers);
    if (observer(report, state) == Control::kStop) return;
  }
}

template TrainState<BernoulliRbm> initial_state(const BernoulliRbm&, const BinaryData&, const TrainConfig&,
                                                const Workers&);
template void train(const BernoulliRbm&, const BinaryData&, const TrainConfig&, TrainState<BernoulliRbm>&,
                    const Observer<BernoulliRbm>&, const Workers&);

}  // namespace tempera
