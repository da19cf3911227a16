#include "tempera/train/trainer.hpp"

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>

#include "tempera/core/errors.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/mcmc/trace.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Speed at which the offsets of the latents follow their mean over the data.
constexpr float kOffsetRate = 0.01F;
/// The average weighs update t like (t / now)^kAverageOrder: about the last tenth of the run
/// (docs/mathematics/energies.md 1.8).
constexpr double kAverageOrder = 9.0;
/// Rounds of swaps between placements of the rungs, and rungs at most.
constexpr std::uint64_t kAdaptEvery = 100;
constexpr std::uint64_t kMostRungs = 100;
/// Paper mode: a mean acceptance below this spawns a rung, after which the chains settle (Desjardins et al.
/// 2010); each pair must have been offered this often first.
constexpr double kLeastAcceptance = 0.4;
constexpr std::uint64_t kSettling = 100;
constexpr double kLeastOffers = 50;
/// Chains that are followed between reports, looks at them, and clusters of the data that they are sought in.
constexpr std::uint64_t kFollowed = 64;
constexpr std::uint64_t kLooks = 32;
constexpr Index kClusters = 8;
/// Cost of a step of the tracker for a chain, in the cost of an update for a case or chain, over the part of
/// an update's cost that tracking may take.
constexpr double kTrackingCost = 8.0;
/// Directions of --step krylov at most.
constexpr Index kKrylovDirections = 8;

/// A phase: states with the expected statistics that they give.
template <EnergyModel M>
struct Phase {
  std::vector<typename M::State> blocks;
  Workspace<M> workspace;
};

/// Memory of the training loop, reused by every update.
template <EnergyModel M>
struct Scratch {
  std::vector<Index> order;
  std::uint64_t order_epoch = std::numeric_limits<std::uint64_t>::max();
  Phase<M> positive;
  Chains<M> data_chains;
  Workspace<M> negative;
  TrajectoryWorkspace<M> snapshots;
  TrackerWorkspace<M> tracker;
  Workspace<M> metric_chains;
  FisherWorkspace<M> fisher;
  FisherWorkspace<M> metric_fisher;
  DataClusters clusters;
  Trace trace;
  typename M::Params gradient;
};

/// Latents of the blocks of cases are sampled with the visibles held, from even hidden layers at 0.
template <HasMeanField M>
void sample_given_data(const M& model, const typename M::Params& theta, std::uint64_t sweeps,
                       std::uint64_t update, const StreamFactory& streams, Phase<M>& phase,
                       const Workers& workers) {
  workers.for_each(static_cast<Index>(phase.blocks.size()), [&](Index b, std::size_t slot) {
    const Panel<M> panel = phase.workspace.panel(phase.blocks, b, 1);
    auto& scratch = phase.workspace.scratch[slot];
    const UnitRange latents{0, model.stage_units(1)};
    for (std::uint64_t k = 0; k <= sweeps; ++k) {
      const LaneStream stream = streams.lanes(Purpose::kPositiveChains, update * (sweeps + 1) + k).block(b);
      if (k > 0) model.resample(0, model.clamped_units(), theta, panel, scratch, stream);
      model.resample(1, latents, theta, panel, scratch, stream);
    }
  });
  mean_latents(model, theta, phase.blocks, phase.workspace, workers);
}

template <EnergyModel M>
void positive_phase(const M& model, const typename M::Params& theta, const typename M::Data& data,
                    std::span<const Index> batch, const TrainConfig& config, std::uint64_t update,
                    Phase<M>& phase, const Workers& workers) {
  const Index n_blocks = words_for(static_cast<Index>(batch.size()));
  phase.blocks.resize(static_cast<std::size_t>(n_blocks), model.new_state());
  phase.workspace.fit(model, batch.size(), workers);
  workers.for_each(n_blocks, [&](Index b) {
    const auto first = static_cast<std::size_t>(b * kLanes);
    const auto lanes = static_cast<std::size_t>(lanes_of(batch.size(), b));
    model.load(data, batch.subspan(first, lanes), phase.blocks[static_cast<std::size_t>(b)]);
  });
  const StreamFactory streams{static_cast<std::uint64_t>(config.seed)};
  if constexpr (std::is_same_v<typename M::Data, RealData>) {
    if (config.data_noise > 0) {
      workers.for_each(n_blocks, [&](Index b) {
        auto& v = phase.blocks[static_cast<std::size_t>(b)].visible;
        LaneMatrix noise(v.rows(), kLanes);
        sample_normals({0, v.rows()}, streams.lanes(Purpose::kDataNoise, update).block(b), 0, noise.data());
        const Index lanes = lanes_of(batch.size(), b);
        v.leftCols(lanes) += static_cast<float>(config.data_noise) * noise.leftCols(lanes);
      });
    }
  }
  if constexpr (HasMeanField<M>) {
    if (config.positive == "sampled") {
      sample_given_data(model, theta, static_cast<std::uint64_t>(config.positive_sweeps), update, streams,
                        phase, workers);
      return;
    }
  }
  infer_cases(model, theta, config.positive_sweeps, phase.blocks, phase.workspace, workers);
  if constexpr (HasOptionalMeanField<M>) {
    if (config.positive != "mean-field") return;
    workers.for_each(n_blocks, [&](Index b) {
      model.mean_field(config.positive_sweeps, update % 2 == 1, theta,
                       phase.workspace.works[static_cast<std::size_t>(b)]);
    });
  }
}

/// Chains that start at the batch: contrastive divergence.
template <EnergyModel M>
void restart_at_data(const M& model, const typename M::Params& theta, const Phase<M>& positive,
                     std::uint64_t n_chains, std::uint64_t update, std::uint64_t sweeps,
                     const StreamFactory& streams, Chains<M>& chains, const Workers& workers) {
  chains.blocks = positive.blocks;
  chains.n_chains = n_chains;
  chains.sweeps = update * (sweeps + 1);
  const LaneStream stream = streams.lanes(Purpose::kPositiveChains, chains.sweeps);
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    model.sample_latents(theta, constant_beta(1.0F), chains.blocks[i], positive.workspace.works[i],
                         stream.block(b));
  });
  ++chains.sweeps;
}

/// Weights of a mean over the first n chains.
std::vector<LaneFloats> mean_weights(std::uint64_t n) {
  std::vector<LaneFloats> weights;
  for (Index b = 0; b < words_for(static_cast<Index>(n)); ++b)
    weights.push_back(lane_weights(n, b, static_cast<float>(1.0 / static_cast<double>(n))));
  return weights;
}

/// Weights of a mean over the chains at beta = 1 that are in no ensemble; over all where there is no ladder.
template <EnergyModel M>
std::vector<LaneFloats> mean_weights(const Chains<M>& chains, const TemperatureLadder& ladder) {
  if (ladder.n_rungs == 0) return mean_weights(chains.n_chains);
  std::vector<LaneFloats> weights(chains.blocks.size(), LaneFloats{});
  for (const std::uint64_t chain : ladder.plain)
    weights[chain / kLanes][chain % kLanes] =
        static_cast<float>(1.0 / static_cast<double>(ladder.plain.size()));
  return weights;
}

/// Sweeps of the negative chains, each followed by swaps where there is a ladder. Leaves caches current.
template <EnergyModel M>
void negative_phase(const M& model, const typename M::Params& theta, std::uint64_t sweeps, double jump_rate,
                    const JumpMemory& jumps, const StreamFactory& streams, Purpose purpose, Chains<M>& chains,
                    TemperatureLadder& ladder, Workspace<M>& workspace, const Workers& workers) {
  workspace.fit(model, chains.n_chains, workers);
  if (ladder.n_rungs > 0) place(ladder, workspace);
  for (std::uint64_t k = 0; k < sweeps; ++k) {
    if constexpr (HasLatentMarginal<M>) {
      if (is_jump(jump_rate, streams, chains.sweeps))
        jump(model, theta, jumps, streams, chains.sweeps, chains, workspace, workers);
    }
    if (ladder.n_rungs > 0) {
      temper(model, theta, 1, streams, Purpose::kSwaps, purpose, chains, ladder, workspace, workers);
    } else {
      advance(model, theta, 1, streams, purpose, chains, workspace, workers);
    }
  }
  if (ladder.n_rungs > 0) exchange_with_plain(streams, ladder);
  mean_latents(model, theta, chains.blocks, workspace, workers);
}

/// The ladder follows the parameters: by placement for equal rejection now and then, or in paper mode by
/// feedback at every update, and by spawning while replicas are refused too often.
template <EnergyModel M>
void move_rungs(const M& model, const typename M::Params& theta, const TrainConfig& config,
                const StreamFactory& streams, Chains<M>& chains, TemperatureLadder& ladder,
                Workspace<M>& workspace, const Workers& workers) {
  if (config.ladder == "equal-rejection") {
    if (ladder.swaps >= ladder.adapted + kAdaptEvery)
      ladder = adapt(std::move(ladder), {2, kMostRungs}, model, chains);
    return;
  }
  ladder = feedback(std::move(ladder), config.beta_lr);
  const auto refuses = [&] {
    return 1.0 - mean_rejection(ladder.rejections) < kLeastAcceptance && ladder.n_rungs < kMostRungs &&
           *std::min_element(ladder.offers.begin(), ladder.offers.end()) >= kLeastOffers;
  };
  while (refuses()) {
    ladder = spawn(std::move(ladder), model, chains);
    workspace.fit(model, chains.n_chains, workers);
    place(ladder, workspace);
    for (std::uint64_t t = 0; t < kSettling; ++t) {
      ladder = feedback(std::move(ladder), config.beta_lr);
      place(ladder, workspace);
      temper(model, theta, 1, streams, Purpose::kSwaps, Purpose::kChains, chains, ladder, workspace, workers);
    }
  }
}

/// A snapshot where the chains have come away from the last one, or the way back to it where the machine has.
template <EnergyModel M>
void take_snapshot(const M& model, const TrainConfig& config, const StreamFactory& streams,
                   TrainState<M>& state, TrajectoryWorkspace<M>& workspace, const Workers& workers) {
  if (!is_due(state.snapshots)) {
    renew(model, state.update, config.jump, state.jumps, streams, state.snapshots, workspace, workers);
    return;
  }
  if (freeze(model, state.theta, state.update, config.jump, state.jumps, streams, state.chains,
             state.snapshots, workspace, workers))
    return;
  roll_back(state.update, state.theta, state.chains, state.snapshots);
  if (size_of(state.average) > 0) state.average = state.theta;
  // The second moments stay: begun anew late in a run they would make Adam's next steps too long.
  set_zero(state.optimizer.first_moment);
}

/// Gradient of the mean log-likelihood: data mean minus model mean of the statistics. Returns the offsets
/// with the means of the hidden units over the data in their place.
template <EnergyModel M>
typename M::Offsets fill_gradient(const M& model, const typename M::Params& theta, const Phase<M>& positive,
                                  const std::vector<LaneFloats>& data_weights, const Chains<M>& chains,
                                  std::vector<LaneFloats> chain_weights, const typename M::Offsets& offsets,
                                  Scratch<M>& scratch, const Workers& workers) {
  for (LaneFloats& weights : chain_weights) {
    for (float& weight : weights) weight = -weight;
  }
  typename M::Offsets means = offsets;
  workers.for_each(model.slices(), [&](Index slice, std::size_t slot) {
    auto& memory = scratch.negative.scratch[slot];
    model.accumulate(theta, positive.blocks, positive.workspace.works, data_weights, slice, Sums::kSet,
                     memory, scratch.gradient);
    if constexpr (HasLayers<M>) model.note_means(slice, scratch.gradient, means);
    model.accumulate(theta, chains.blocks, scratch.negative.works, chain_weights, slice, Sums::kAdd, memory,
                     scratch.gradient);
  });
  return means;
}

template <EnergyModel M>
double mean_free_energy(const M& model, const typename M::Params& theta,
                        const std::vector<typename M::State>& blocks, const Workspace<M>& workspace,
                        const std::vector<LaneFloats>& weights, bool of_cases, const Workers& workers) {
  std::vector<double> sums(blocks.size());
  workers.for_each(static_cast<Index>(blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    LaneDoubles values;
    if (of_cases) {
      case_free_energy(model, theta, blocks[i], workspace.works[i], values);
    } else {
      model.free_energy(theta, constant_beta(1.0F), blocks[i], workspace.works[i], values);
    }
    for (std::size_t c = 0; c < kLanes; ++c) sums[i] += static_cast<double>(weights[i][c]) * values[c];
  });
  return sum_doubles(static_cast<Index>(sums.size()),
                     [&](Index b) { return sums[static_cast<std::size_t>(b)]; });
}

/// A unit whose expectation varies less over the cases, in standard deviations, tells nothing of them.
constexpr double kLeastVariation = 0.02;

/// Hidden units of every layer that tell cases apart.
template <EnergyModel M>
std::vector<Index> live_units(const M& model, const Phase<M>& phase) {
  const std::vector<Index> sizes = model.layer_sizes();
  std::vector<Index> live;
  LaneMatrix values;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(sizes[k]);
    Eigen::ArrayXd squares = sum;
    double n = 0.0;
    values.resize(sizes[k], kLanes);
    for (std::size_t b = 0; b < phase.blocks.size(); ++b) {
      const Index lanes = phase.workspace.works[b].lanes;
      model.layer_values(static_cast<Index>(k), phase.blocks[b], phase.workspace.works[b], values);
      const Eigen::ArrayXXd x = values.leftCols(lanes).template cast<double>().array();
      sum += x.rowwise().sum();
      squares += x.square().rowwise().sum();
      n += static_cast<double>(lanes);
    }
    live.push_back(((squares / n - (sum / n).square()) > kLeastVariation * kLeastVariation).count());
  }
  return live;
}

MetricOptions metric_options(const TrainConfig& config) {
  MetricOptions options;
  options.kind = config.metric;
  const bool factored = uses_moments(config.metric) || config.metric == "hybrid";
  options.damping = config.damping > 0 ? config.damping : factored ? 0.05 : 0.1;
  if (config.metric == "hybrid") options.factor_damping = options.damping;
  options.memory = config.metric_memory;
  options.refresh = options.insert_every = static_cast<std::uint64_t>(config.metric_refresh);
  options.rank = config.metric_rank;
  options.mixing = config.metric_mixing;
  options.solver = config.metric_solver;
  options.preconditioner = config.precondition;
  options.iterations = config.metric_iterations;
  options.tolerance = config.metric_tolerance;
  options.warm_start = config.warm_start;
  return options;
}

/// Whether the last direction or step is remembered.
bool keeps_previous(const TrainConfig& config) {
  return is_natural(config) && (config.spring > 0 || config.warm_start || config.step == "krylov");
}

/// The chains that give the gradient.
template <EnergyModel M>
std::vector<std::uint64_t> plain_chains(const Chains<M>& chains, const TemperatureLadder& ladder) {
  std::vector<std::uint64_t> which = ladder.plain;
  if (ladder.n_rungs == 0) {
    which.resize(chains.n_chains);
    std::iota(which.begin(), which.end(), std::uint64_t{0});
  }
  return which;
}

/// The coordinates that a metric calculates in: sums of statistics as it sees them, and back; for layers of
/// Bernoulli units the centred ones, else those of models/spike_slab.hpp.
template <EnergyModel M>
LayerParams<float> metric_gradient(const M& model, const typename M::Params& theta,
                                   const typename M::Offsets& offsets, typename M::Params&& sums) {
  if constexpr (HasLayers<M>) {
    LayerParams<float> g = M::to_layers(std::move(sums));
    centre_gradient(M::layer_offsets(offsets), g);
    return g;
  } else {
    return model.to_statistics(theta, sums);
  }
}
template <EnergyModel M>
void metric_step(const M& model, const typename M::Offsets& offsets, LayerParams<float>&& step,
                 typename M::Params& theta) {
  if constexpr (HasLayers<M>) {
    plain_direction(M::layer_offsets(offsets), step);
    add_scaled(theta, 1.0F, M::from_layers(std::move(step)));
  } else {
    model.move(step, theta);
  }
}
template <EnergyModel M>
LayerShape metric_shape(const M& model, const typename M::Params& theta) {
  if constexpr (HasLayers<M>) {
    return LayerShape(model.layer_sizes());
  } else {
    return model.statistics_shape(theta);
  }
}
template <EnergyModel M>
LayerOffsets metric_offsets(const typename M::Offsets& offsets) {
  if constexpr (HasLayers<M>) {
    return M::layer_offsets(offsets);
  } else {
    return {};
  }
}

/// One step of a metric: the gradient, with decay of the weights, becomes a direction, the direction a step,
/// and the parameters move. `which`: of the chains, those that give the gradient.
template <EnergyModel M>
StepNorms apply_natural_gradient(const M& model, const TrainConfig& config, const OptimizerStep& rule,
                                 std::vector<std::uint64_t> which, Chains<M>& chains, TrainState<M>& state,
                                 Scratch<M>& scratch, bool reported, UpdateReport& report,
                                 const Workers& workers) {
  typename M::Params decay;
  if (rule.l2 > 0 || rule.l1 > 0) {
    decay = model.zero_params();
    for_each_field(
        [&rule](std::string_view name, auto& d, const auto& x) {
          if (M::is_weight(name))
            d = (static_cast<float>(rule.l2) * x.array() + static_cast<float>(rule.l1) * x.array().sign())
                    .matrix();
        },
        decay, state.theta);
  }
  LayerParams<float> g = metric_gradient(model, state.theta, state.offsets, std::move(scratch.gradient));
  StepNorms norms;
  norms.gradient = std::sqrt(dot(g, g));
  if (rule.clip > 0 && norms.gradient > rule.clip) scale(g, rule.clip / norms.gradient);
  if (size_of(decay) > 0)
    add_scaled(g, -1.0, metric_gradient(model, state.theta, state.offsets, std::move(decay)));

  const bool joint = config.fisher == "joint";
  const Latents latents = !joint                        ? Latents::kExpected
                          : uses_moments(config.metric) ? Latents::kMoments
                                                        : Latents::kDrawn;
  const auto fisher_of = [&](Chains<M>& draws, Workspace<M>& workspace, std::vector<std::uint64_t> chosen,
                             FisherWorkspace<M>& memory) {
    if (!uses_moments(config.metric))
      chosen.resize(std::min(chosen.size(), static_cast<std::size_t>(config.metric_draws)));
    if constexpr (HasLayers<M>) {
      return KernelFisher<M>(model, state.theta, draws.blocks, workspace, std::move(chosen), latents,
                             state.offsets, memory, workers);
    } else {
      return statistics_fisher(model, state.theta, draws.blocks, workspace, chosen, joint, workers);
    }
  };
  // A direction looks short by the very draws that it was fitted to: where the metric has chains of its own,
  // those of the gradient judge its length.
  const bool has_own = state.metric_chains.n_chains > 0;
  const auto control = fisher_of(chains, scratch.negative, which, scratch.fisher);
  std::optional<std::remove_const_t<decltype(control)>> own;
  if (has_own)
    own.emplace(fisher_of(state.metric_chains, scratch.metric_chains,
                          plain_chains(state.metric_chains, TemperatureLadder()), scratch.metric_fisher));
  const Fisher<float>& fisher = has_own ? *own : control;
  const MetricOptions options = metric_options(config);
  LayerParams<float> spring =
      g;  // g + damping x spring x last direction: P^-1 of it is drawn to that direction
  const bool has_previous = state.metric.previous.size() > 0;
  if (config.spring > 0) {
    LayerParams<float> last = g;
    unflatten(state.metric.previous, last);
    add_scaled(spring, options.damping * config.spring, last);
  }
  LayerParams<float> step = std::visit(
      [&](const auto& metric) {
        metric.observe(fisher, state.metric);
        LayerParams<float> d = metric.solve(fisher, state.metric, spring, report.solve);
        const Flat<float> previous = has_previous ? state.metric.previous : Flat<float>();
        if (config.spring > 0 || config.warm_start) state.metric.previous = flatten(d);
        const StepOptions length{config.step, rule.learning_rate, config.radius,
                                 std::min<Index>(config.metric_rank, kKrylovDirections), options.damping};
        const auto precondition = [&](const LayerParams<float>& x) {
          SolveReport ignored;
          return metric.solve(fisher, state.metric, x, ignored);
        };
        return take_step<float>(length, control, g, std::move(d), previous, precondition,
                                reported ? &report.natural : nullptr);
      },
      make_metric<float>(options, metric_offsets<M>(state.offsets)));
  if (config.step == "krylov") state.metric.previous = flatten(step);

  norms.step = std::sqrt(dot(step, step));
  metric_step(model, state.offsets, std::move(step), state.theta);
  norms.finite = first_non_finite(state.theta).empty();
  if constexpr (HasLayers<M>) scratch.gradient = M::from_layers(std::move(g));
  return norms;
}

/// Norms of the filters as the configuration wants them, then a machine that is proper. Averages of proper
/// machines are proper, since these are a convex set.
template <HasProjection M>
bool project(const M& model, const TrainConfig& config, typename M::Params& theta, Vector& direction) {
  if (config.filter_norm != "free") {
    for (Index m = 0; m < theta.weights.cols(); ++m) {
      const float norm = theta.weights.col(m).norm();
      if (norm > 0.0F && (config.filter_norm == "sphere" || norm > 1.0F)) theta.weights.col(m) /= norm;
    }
  }
  // Adam's steps are of one length: filters that grow with their slab precisions settle, shrunk ones stay
  // noisy.
  return model.project(theta, direction, is_natural(config) && config.filter_norm != "sphere");
}

/// Updates between steps of the tracker.
template <EnergyModel M>
std::uint64_t track_every(const TrainConfig& config, std::uint64_t batch, const TrainState<M>& state) {
  if (config.track_every > 0) return static_cast<std::uint64_t>(config.track_every);
  const double tracked = static_cast<double>(state.tracker.chains.n_chains);
  const double trained =
      static_cast<double>(batch) + static_cast<double>(is_persistent(config) ? state.chains.n_chains : batch);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(kTrackingCost * tracked / trained)));
}

/// Looks at the chains now and then; at a report, tells how they mixed since the last one.
template <EnergyModel M>
void follow(const M& model, const TrainConfig& config, const TrainState<M>& state, Scratch<M>& scratch,
            UpdateReport& report, bool reported, const Workers& workers) {
  const std::uint64_t stride =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(config.report_every) / kLooks);
  if (state.update % stride == 0) {
    std::vector<std::uint64_t> which = state.ladder.plain;
    if (which.empty()) {
      which.resize(static_cast<std::size_t>(state.chains.n_chains));
      std::iota(which.begin(), which.end(), std::uint64_t{0});
    }
    which.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kFollowed, which.size())));
    record(model, state.theta, state.chains, which, scratch.clusters, scratch.negative, workers,
           scratch.trace);
  }
  if (!reported) return;
  const MixingReport mixing = judge(scratch.trace, 0);
  if (!std::isnan(mixing.r_hat)) {
    report.r_hat = mixing.r_hat;
    report.autocorrelation_time = mixing.autocorrelation_time * static_cast<double>(stride);
    report.effective_sample_size = mixing.effective_sample_size;
    if (mixing.occupancy.size() > 0)
      report.cluster_variation = cluster_variation(scratch.clusters, mixing.occupancy);
  }
  scratch.trace = {};
}

/// `field` is empty where every number is finite and only the norm of all is not.
[[noreturn]] void fail_not_finite(const char* what, std::string_view field, std::uint64_t update) {
  throw NumericalError("update " + std::to_string(update) + ": the " + what + " of " +
                       (field.empty() ? "all parameters" : "'" + std::string(field) + "'") +
                       " is not finite; the last checkpoint is kept (a smaller --lr may help)");
}

/// log Z of the model that training offers.
template <EnergyModel M>
void follow_log_z(const M& model, const TrainConfig& config, std::uint64_t batch,
                  const StreamFactory& streams, TrainState<M>& state, Scratch<M>& scratch, bool reported,
                  UpdateReport& report, const Workers& workers) {
  const std::string how = tracking(config);
  if (how == "none") return;
  try {
    if (how == "shared") {
      track_shared(model, state.theta, state.chains, state.ladder, state.tracker, scratch.negative, workers);
    } else if (state.update % track_every(config, batch, state) == 0) {
      track(model, state.result(), streams, state.tracker, scratch.tracker, workers);
    }
    if (reported)
      report.log_partition =
          tracked_log_partition(model, state.result(), state.tracker, scratch.tracker, workers);
  } catch (const NumericalError& error) {
    throw NumericalError("update " + std::to_string(state.update) + ": " + error.what() +
                         "; the last checkpoint is kept (a smaller --lr may help)");
  }
}

template <EnergyModel M>
UpdateReport update_once(const M& model, const typename M::Data& data, const TrainConfig& config,
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

  positive_phase(model, state.theta, data, batch, config, state.update, scratch.positive, workers);

  const bool persistent = is_persistent(config);
  Chains<M>& chains = persistent ? state.chains : scratch.data_chains;
  const Purpose purpose = persistent ? Purpose::kChains : Purpose::kPositiveChains;
  const auto sweeps = static_cast<std::uint64_t>(config.sweeps);
  if (!persistent) {
    restart_at_data(model, state.theta, scratch.positive, batch.size(), state.update, sweeps, streams, chains,
                    workers);
  }
  if constexpr (HasLatentMarginal<M>) {
    if (config.jump > 0) remember(model, scratch.positive.workspace, state.jumps);
  }
  if (has_snapshots(config)) {
    exchange_with_reservoir(model, state.theta, state.update, streams, chains, state.snapshots,
                            scratch.snapshots, workers);
  }
  negative_phase(model, state.theta, sweeps, config.jump, state.jumps, streams, purpose, chains, state.ladder,
                 scratch.negative, workers);
  const auto data_weights = mean_weights(batch.size());
  const auto chain_weights = mean_weights(chains, state.ladder);

  UpdateReport report;
  const bool reported = is_reported(config, state.update + 1, total);
  if (persistent) follow(model, config, state, scratch, report, reported, workers);
  if (reported) {
    report.data_free_energy = mean_free_energy(model, state.theta, scratch.positive.blocks,
                                               scratch.positive.workspace, data_weights, true, workers);
    report.chain_free_energy =
        mean_free_energy(model, state.theta, chains.blocks, scratch.negative, chain_weights, false, workers);
    report.live_units = live_units(model, scratch.positive);
  }
  const typename M::Offsets means = fill_gradient(model, state.theta, scratch.positive, data_weights, chains,
                                                  chain_weights, state.offsets, scratch, workers);

  OptimizerStep step;
  step.adam = optimizer(config) == "adam";
  step.learning_rate = learning_rate(config, state.update, total);
  if (has_snapshots(config)) step.learning_rate *= state.snapshots.rate;
  report.learning_rate = step.learning_rate;
  if (state.metric_chains.n_chains > 0) {
    scratch.metric_chains.fit(model, state.metric_chains.n_chains, workers);
    advance(model, state.theta, sweeps, streams, Purpose::kMetricChains, state.metric_chains,
            scratch.metric_chains, workers);
    mean_latents(model, state.theta, state.metric_chains.blocks, scratch.metric_chains, workers);
  }
  step.momentum = config.momentum;
  step.l1 = config.l1;
  step.l2 = config.l2;
  step.clip = config.clip;
  step.update = ++state.update;
  // Polynomial-decay averaging (Shamir & Zhang 2013): no horizon, so a longer run continues the same average.
  step.average_weight =
      std::min(1.0, (kAverageOrder + 1.0) / (static_cast<double>(state.update) + kAverageOrder));
  step.frozen = config.freeze;
  const StepNorms norms =
      is_natural(config) ? apply_natural_gradient(model, config, step, plain_chains(chains, state.ladder),
                                                  chains, state, scratch, reported, report, workers)
                         : apply_gradient(step, state.offsets, scratch.gradient, state.theta, state.optimizer,
                                          state.average, workers);
  report.gradient_norm = norms.gradient;
  report.step_norm = norms.step;
  if (!std::isfinite(norms.gradient))
    fail_not_finite("gradient", first_non_finite(scratch.gradient), state.update);
  if (!norms.finite) fail_not_finite("new value", first_non_finite(state.theta), state.update);

  if constexpr (HasProjection<M>) {
    if (project(model, config, state.theta, state.projection.direction)) state.projection.count[0] += 1.0;
    report.projections = state.projection.count[0];
  }
  // Means of proper machines are proper, of others not: only after the projection.
  if (is_natural(config) || !HasLayers<M>) move_average(step, state.theta, state.average);

  // Offsets move freely: the stored parameters are those of the plain energy, whose law no offset changes.
  if (config.centering) {
    for_each_field(
        [](std::string_view, Vector& offset, const Vector& mean) { offset += kOffsetRate * (mean - offset); },
        state.offsets, means);
  }
  if (config.trainer == "sml-apt")
    move_rungs(model, state.theta, config, streams, state.chains, state.ladder, scratch.negative, workers);
  if (has_snapshots(config)) take_snapshot(model, config, streams, state, scratch.snapshots, workers);
  follow_log_z(model, config, batch_size, streams, state, scratch, reported, report, workers);
  report.update = state.update;
  report.total = total;
  report.epoch = epoch;
  return report;
}

}  // namespace

InitialValues initial_values(const TrainConfig& config, Index n_visible) {
  return {initial_scale(config, n_visible), config.init_visible_precision, config.init_spike_bias,
          config.init_spike_precision,      config.init_slab_mean,         config.init_slab_precision};
}

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
  double rate = config.lr > 0 ? config.lr : !is_spike_slab(config) ? 0.3 : is_natural(config) ? 0.03 : 0.003;
  if (config.warmup > 0) rate *= std::min(1.0, (x + 1.0) / static_cast<double>(config.warmup));
  if (config.schedule == "linear") return rate * std::max(0.0, 1.0 - x / static_cast<double>(total));
  if (config.schedule == "half-linear")
    return rate * std::clamp(2.0 - 2.0 * x / static_cast<double>(total), 0.0, 1.0);
  if (config.schedule == "inverse") return rate / (1.0 + x / config.decay_updates);
  return rate;
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
void begin_at(const M& model, const TrainConfig& config, typename M::Params theta, TrainState<M>& state) {
  state.theta = std::move(theta);
  if constexpr (HasProjection<M>) {
    state.projection.direction = Vector::Zero(model.n_visible());
    state.projection.count.assign(1, 0.0);
    project(model, config, state.theta, state.projection.direction);
  }
  if (config.average) state.average = state.theta;
}

template <EnergyModel M>
TrainState<M> initial_state(const M& model, const typename M::Data& data, const TrainConfig& config,
                            const Workers& workers) {
  const StreamFactory streams{static_cast<std::uint64_t>(config.seed)};
  TrainState<M> state;
  if constexpr (HasLayers<M>) {
    begin_at(model, config, model.initial_params(streams, initial_scale(config, model.n_visible())), state);
  } else {
    begin_at(model, config, model.initial_params(streams, initial_values(config, model.n_visible())), state);
  }
  const bool adam = optimizer(config) == "adam";
  if (adam || config.momentum > 0) state.optimizer.first_moment = model.zero_params();
  if (adam) state.optimizer.second_moment = model.zero_params();
  state.offsets = config.centering ? model.initial_offsets(data.means()) : model.zero_offsets();
  if (config.jump > 0) state.jumps = empty_memory(model.latents());
  if (is_natural(config)) {
    const LayerShape shape = metric_shape(model, state.theta);
    std::visit([&](const auto& metric) { metric.prepare(shape, state.metric); },
               make_metric<float>(metric_options(config), {}));
    if (keeps_previous(config)) state.metric.previous = Flat<float>::Zero(shape.parameters());
    if (config.metric_chains > 0) {
      state.metric_chains = reference_chains(model, static_cast<std::uint64_t>(config.metric_chains), streams,
                                             Purpose::kMetricChains, workers);
    }
  }
  if (is_persistent(config)) {
    const auto n = static_cast<std::uint64_t>(
        config.chains > 0 ? config.chains : std::min<std::int64_t>(config.batch, data.n_cases()));
    if (is_tempered(config)) {
      state.ladder = linear_ladder(static_cast<std::uint64_t>(config.rungs),
                                   static_cast<std::uint64_t>(config.ensembles), n);
    }
    const std::uint64_t all = is_tempered(config) ? state.ladder.n_chains() : n;
    state.chains = reference_chains(model, all, streams, Purpose::kChains, workers);
    if (has_snapshots(config)) state.snapshots = initial_snapshots(model, n, streams, workers);
  }
  const std::string how = tracking(config);
  TrackerShape shape;
  shape.n_ensembles = static_cast<std::uint64_t>(config.track_ensembles);
  if (how == "smc") shape.n_rungs = 0;
  if (how == "lattice" || how == "smc") state.tracker = initial_tracker(model, shape, streams, workers);
  if (how == "shared") state.tracker = shared_tracker(model, state.ladder);
  return state;
}

template <EnergyModel M>
void train(const M& model, const typename M::Data& data, const TrainConfig& config, TrainState<M>& state,
           const Observer<M>& observer, const Workers& workers) {
  const std::uint64_t total = total_updates(config, data.n_cases());
  Scratch<M> scratch;
  scratch.gradient = model.zero_params();
  if constexpr (std::is_same_v<typename M::Data, BinaryData>) {
    if (is_persistent(config)) {
      scratch.clusters =
          find_clusters(data, kClusters,
                        StreamFactory{static_cast<std::uint64_t>(config.seed)}.engine(Purpose::kClusters, 0));
    }
  }
  while (state.update < total) {
    const UpdateReport report = update_once(model, data, config, total, state, scratch, workers);
    if (observer(report, state) == Control::kStop) return;
  }
}

#define TEMPERA_INSTANTIATE(M)                                                                          \
  template TrainState<M> initial_state(const M&, const M::Data&, const TrainConfig&, const Workers&);   \
  template void begin_at(const M&, const TrainConfig&, M::Params, TrainState<M>&);                      \
  template void train(const M&, const M::Data&, const TrainConfig&, TrainState<M>&, const Observer<M>&, \
                      const Workers&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
