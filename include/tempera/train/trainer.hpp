// Maximum-likelihood training as composition of values: positive phase, negative phase, step.
//
// CD and SML differ only in where the negative chains start: at the batch (Hinton 2002), or where the
// previous update left them (stochastic maximum likelihood, Younes 1999; persistent contrastive divergence,
// Tieleman 2008). SML-PT and SML-APT are SML with ensembles of a temperature ladder beside the chains at beta
// = 1 that give the gradient and that exchange places with the coldest replicas (Desjardins et al. 2010).
// SML-PTT is SML whose chains exchange places with draws of a trajectory ladder (train/snapshots.hpp).
#pragma once

#include <functional>
#include <limits>

#include "tempera/core/observer.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/train/config.hpp"
#include "tempera/train/optimizer.hpp"
#include "tempera/train/snapshots.hpp"
#include "tempera/train/step.hpp"
#include "tempera/train/tracker.hpp"

namespace tempera {

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

/// Everything a checkpoint holds, nothing else.
template <EnergyModel M>
struct TrainState {
  typename M::Params theta;
  typename M::Params average;  // empty where the configuration does not average
  Optimizer<M> optimizer;
  typename M::Offsets offsets;
  Chains<M> chains;          // empty for cd
  TemperatureLadder ladder;  // of the chains; no rungs for cd and sml
  JumpMemory jumps;          // empty without jumps
  Snapshots<M> snapshots;    // of sml-ptt
  Tracker<M> tracker;        // of log Z of result()
  MetricState<float> metric;
  Chains<M> metric_chains;  // where the metric has its own
  ProjectionState projection;
  std::uint64_t update = 0;
  double best_validation = -std::numeric_limits<double>::infinity();
  std::uint64_t best_update = 0;
  std::uint64_t validations_since_best = 0;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("theta", s.theta...);
    f("average", s.average...);
    f("optimizer", s.optimizer...);
    f("offsets", s.offsets...);
    f("chains", s.chains...);
    f("ladder", s.ladder...);
    f("jumps", s.jumps...);
    f("snapshots", s.snapshots...);
    f("tracker", s.tracker...);
    f("metric", s.metric...);
    f("metric_chains", s.metric_chains...);
    f("projection", s.projection...);
    f("update", s.update...);
    f("best_validation", s.best_validation...);
    f("best_update", s.best_update...);
    f("validations_since_best", s.validations_since_best...);
  }

  /// The model that training offers for use: the average where there is one.
  [[nodiscard]] const typename M::Params& result() const { return size_of(average) > 0 ? average : theta; }
};

/// What one update did.
struct UpdateReport {
  std::uint64_t update = 0;  // updates made so far
  std::uint64_t total = 0;
  std::uint64_t epoch = 0;
  double learning_rate = 0.0;
  double gradient_norm = 0.0;  // of the mean log-likelihood, centred coordinates, before clipping
  double step_norm = 0.0;
  // Of a metric's step, in reported updates (train/step.hpp); NaN without a metric.
  StepReport natural{std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::quiet_NaN(),
                     std::numeric_limits<double>::quiet_NaN()};
  SolveReport solve;
  double projections = std::numeric_limits<double>::quiet_NaN();  // updates so far after which one acted
  // Of reported updates: hidden units of each layer whose expectation varies over the batch.
  std::vector<Index> live_units;
  // Means over the batch and over the negative chains, before the update; of reported updates only.
  double data_free_energy = std::numeric_limits<double>::quiet_NaN();
  double chain_free_energy = std::numeric_limits<double>::quiet_NaN();
  // How up to 64 of the persistent chains mixed since the last report, from about 32 looks at them: of their
  // free energy, fraction of ones and cluster of the data. The parameters move meanwhile. NaN for cd and for
  // fewer than eight looks; times in updates.
  double r_hat = std::numeric_limits<double>::quiet_NaN();
  double autocorrelation_time = std::numeric_limits<double>::quiet_NaN();
  double effective_sample_size = std::numeric_limits<double>::quiet_NaN();
  double cluster_variation = std::numeric_limits<double>::quiet_NaN();  // total variation from the data's
  // Of the model that training offers, after reported updates, where it is tracked; else NaN.
  LogPartition log_partition{std::numeric_limits<double>::quiet_NaN(),
                             std::numeric_limits<double>::quiet_NaN(), 1.0};
};

template <EnergyModel M>
using Observer = std::function<Control(const UpdateReport&, TrainState<M>&)>;

/// Where spike-and-slab machines begin.
InitialValues initial_values(const TrainConfig& config, Index n_visible);

/// Updates that the configuration asks for in total: --updates, or --epochs in updates.
std::uint64_t total_updates(const TrainConfig& config, Index n_cases);

/// Whether update number `update` is validated, and whether it gets a row in metrics.csv.
bool is_validated(const TrainConfig& config, std::uint64_t update, std::uint64_t total);
bool is_reported(const TrainConfig& config, std::uint64_t update, std::uint64_t total);

/// Learning rate of update t = 0, 1, ...
double learning_rate(const TrainConfig& config, std::uint64_t t, std::uint64_t total);

/// 0 ... n-1 in random order (Fisher & Yates).
std::vector<Index> permutation(Index n, StreamEngine engine);

/// Cases 0 ... n-1 in the order of one epoch: a function of the seed and the epoch.
std::vector<Index> epoch_order(Index n_cases, const StreamFactory& streams, std::uint64_t epoch);

template <EnergyModel M>
TrainState<M> initial_state(const M& model, const typename M::Data& data, const TrainConfig& config,
                            const Workers& workers);

/// Lets training that has not begun begin at `theta`, made proper, instead.
template <EnergyModel M>
void begin_at(const M& model, const TrainConfig& config, typename M::Params theta, TrainState<M>& state);

/// Updates `state` until the configured total, or until the observer stops it; the observer sees every
/// update. Throws NumericalError, naming update and field, as soon as a gradient or a step is not finite.
template <EnergyModel M>
void train(const M& model, const typename M::Data& data, const TrainConfig& config, TrainState<M>& state,
           const Observer<M>& observer, const Workers& workers);

}  // namespace tempera
