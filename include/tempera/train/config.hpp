// Everything that determines a training run. The struct fields are the only place where defaults stand.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

struct TrainConfig {
  std::string data;
  std::string binarize = "none";
  std::string model = "bernoulli-rbm";
  std::vector<std::int64_t> hidden = {500};
  std::string trainer = "sml-apt";
  std::int64_t batch = 500;
  std::int64_t chains = 0;  // 0: as many as the batch
  std::int64_t sweeps = 1;
  std::string ladder = "equal-rejection";
  double beta_lr = 1e-4;
  std::int64_t rungs = 10;
  std::int64_t ensembles = 1;
  double jump = 0.0;
  std::string track_log_z = "auto";
  std::int64_t track_every = 0;  // 0: as often as costs little
  std::int64_t track_ensembles = 20;
  std::int64_t updates = 5000;
  std::int64_t epochs = 0;  // 0: as `updates` says
  double lr = 0.0;          // 0: as the model prefers
  std::string schedule = "inverse";
  double decay_updates = 2500.0;
  std::int64_t warmup = 0;
  std::string positive = "auto";
  std::int64_t positive_sweeps = 5;
  std::string metric = "euclid";
  std::string fisher = "marginal";
  double damping = 0.0;  // 0: as the metric prefers
  std::string step = "fixed";
  double radius = 0.1;
  double spring = 0.0;
  std::int64_t metric_chains = 0;  // 0: those of the gradient
  std::int64_t metric_draws = 256;
  double metric_memory = 100.0;
  std::int64_t metric_refresh = 20;
  std::int64_t metric_rank = 50;
  double metric_mixing = 0.6;
  std::int64_t metric_iterations = 100;
  double metric_tolerance = 1e-6;
  std::string metric_solver = "minres";
  std::string precondition = "none";
  bool warm_start = false;
  std::string optimizer = "auto";
  double momentum = 0.0;
  double l1 = 0.0;
  double l2 = 0.0;
  double clip = 0.0;  // 0: no clipping
  bool centering = true;
  bool average = true;
  std::string init = "auto";
  double init_visible_precision = 0.0;  // 0: that of the data
  double init_spike_bias = -1.0;
  double init_spike_precision = 0.3;
  double init_slab_mean = 0.0;
  double init_slab_precision = 10.0;
  std::int64_t slabs = 1;
  std::int64_t blocks = 1;
  bool gate = false;
  std::string gibbs = "three-block";
  double box = 0.0;  // 0: none
  std::string filter_norm = "free";
  double data_noise = 0.0;
  std::vector<std::string> freeze;
  std::int64_t validate_every = 0;  // 0: never
  std::int64_t patience = 0;        // 0: no early stopping
  std::int64_t report_every = 100;
  std::int64_t checkpoint_every = 1000;
  std::int64_t keep = 3;
  std::int64_t seed = 1;

  /// f(name, help, field of each config...).
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("data", "data set: a built-in name or a file", s.data...);
    f("binarize", "how grey data becomes binary: none (refuse), threshold (at half the range), sample (once)",
      s.binarize...);
    f("model", "kind of model", s.model...);
    f("hidden", "hidden units", s.hidden...);
    f("trainer",
      "cd (sweeps from the data), sml (persistent chains), sml-pt (with a fixed temperature ladder), sml-apt "
      "(with one that adapts), sml-ptt (with snapshots of the machine on its way)",
      s.trainer...);
    f("batch", "cases per update; the last batch of an epoch may be shorter", s.batch...);
    f("chains", "persistent chains at beta = 1 that give the gradient; 0 takes as many as the batch",
      s.chains...);
    f("sweeps", "Gibbs sweeps per update", s.sweeps...);
    f("ladder",
      "how sml-apt places its rungs: equal-rejection (non-reversible tempering) or desjardins2010 (feedback "
      "of return "
      "times, rungs that spawn)",
      s.ladder...);
    f("beta-lr", "part of the way that desjardins2010 moves a rung in an update", s.beta_lr...);
    f("rungs", "rungs of sml-pt; of sml-apt at its start", s.rungs...);
    f("ensembles", "temperature ladders side by side in sml-pt and sml-apt", s.ensembles...);
    f("jump",
      "probability that a sweep begins with a jump of every chain towards the latents of a case seen lately",
      s.jump...);
    f("track-log-z",
      "how log Z of the model is followed: auto where this is not given (lattice with a temperature ladder, "
      "else none), none, lattice (chains of their own on a ladder; also without a value), smc (particles "
      "alone), shared (the ladder of sml-pt itself)",
      s.track_log_z...);
    f("track-every", "updates between steps of the tracker; 0 takes what costs about a quarter of an update",
      s.track_every...);
    f("track-ensembles", "temperature ladders side by side in the tracker", s.track_ensembles...);
    f("updates", "parameter updates in total", s.updates...);
    f("epochs", "passes over the data; 0 leaves the length to --updates", s.epochs...);
    f("lr",
      "learning rate at the start; 0 takes 0.3; for the models with real values or slabs 0.003, or 0.03 with "
      "a metric",
      s.lr...);
    f("schedule",
      "learning rate: constant, linear (to 0 at the last update), half-linear (constant, then to 0 over the "
      "second half), inverse (lr / (1 + t / decay-updates))",
      s.schedule...);
    f("decay-updates", "updates after which the inverse schedule has halved the rate", s.decay_updates...);
    f("warmup", "updates over which the rate rises from 0 to the schedule's", s.warmup...);
    f("positive",
      "latents given the data: auto (exact; mean-field for dbm), mean-field (dbm, bilinear-ssrbm), sampled "
      "(dbm)",
      s.positive...);
    f("positive-sweeps", "sweeps of a mean field or of sampling in the positive phase", s.positive_sweeps...);
    f("metric",
      "what turns the gradient into a direction: euclid (none: --optimizer), diagonal, mfng (matrix-free, "
      "iterative), sample (the same exactly, in the space of the chains), kfac, ekfac, fang, tonga, hybrid, "
      "exact "
      "(dense, tiny machines)",
      s.metric...);
    f("fisher",
      "Fisher matrix of the joint law of all units, or of the marginal law with the latents summed out",
      s.fisher...);
    f("damping",
      "added to the Fisher matrix, or to the covariances of factored metrics; 0 takes 0.1, or 0.05 for "
      "diagonal, kfac, ekfac, fang and hybrid",
      s.damping...);
    f("step",
      "length along the metric's direction: fixed (--lr), kl (at most --radius), blocks2 (biases and weights "
      "apart, at most --radius), krylov (the best of several directions, at most --radius)",
      s.step...);
    f("radius", "predicted KL divergence of a step at most, nats", s.radius...);
    f("spring", "part of the last direction that the next one is drawn to (SPRING momentum)", s.spring...);
    f("metric-chains",
      "persistent chains for the metric alone, whose steps those of the gradient then measure; 0 takes those "
      "of the "
      "gradient for both",
      s.metric_chains...);
    f("metric-draws",
      "chains at most that metrics made of draws look at (sample, mfng, tonga, hybrid, exact)",
      s.metric_draws...);
    f("metric-memory", "updates that running means of factored metrics look back", s.metric_memory...);
    f("metric-refresh", "updates between inversions of factors, and insertions of tonga",
      s.metric_refresh...);
    f("metric-rank", "directions that tonga keeps; directions of --step krylov at most", s.metric_rank...);
    f("metric-mixing", "part of kfac in hybrid", s.metric_mixing...);
    f("metric-iterations", "iterations of mfng at most", s.metric_iterations...);
    f("metric-tolerance", "relative residual at which mfng stops", s.metric_tolerance...);
    f("metric-solver", "of mfng: minres or cg", s.metric_solver...);
    f("precondition", "of mfng: none or kfac (with cg)", s.precondition...);
    f("warm-start", "begin mfng at the last direction", s.warm_start...);
    f("optimizer", "of euclid: sgd, adam, or auto (adam for the models with real values or slabs)",
      s.optimizer...);
    f("momentum", "momentum of sgd, first-moment decay of adam where above 0", s.momentum...);
    f("l1", "decay of the weights, l1 x sign(W) in the gradient", s.l1...);
    f("l2", "decay of the weights, l2 x W in the gradient", s.l2...);
    f("clip", "largest norm of the (centred) gradient; 0 does not clip", s.clip...);
    f("centering", "centre units on their means", s.centering...);
    f("average", "keep the model averaged over about the last tenth of the updates (Polyak)", s.average...);
    f("init",
      "standard deviation of the initial weights; or auto (0.01; for ssrbm where spikes have a precision "
      "what takes "
      "0.8 of it along each filter, since weights of 0 are a saddle there); or staged (bilinear-ssrbm: "
      "filters of a "
      "plain machine, placed in the table by how their spikes go together)",
      s.init...);
    f("init-visible-precision", "precision of real visibles at the start; 0 takes that of the data",
      s.init_visible_precision...);
    f("init-spike-bias", "bias of spikes (and of g, h and gates) at the start", s.init_spike_bias...);
    f("init-spike-precision",
      "precision that a spike of ssrbm gives the visibles (Phi) at the start; 0: never any",
      s.init_spike_precision...);
    f("init-slab-mean", "mean of slabs at the start", s.init_slab_mean...);
    f("init-slab-precision", "precision of slabs at the start", s.init_slab_precision...);
    f("slabs", "slabs of a spike (subspace ssrbm above 1)", s.slabs...);
    f("blocks", "blocks of bilinear-ssrbm, each of --hidden G,H factors", s.blocks...);
    f("gate", "a gate for every block of bilinear-ssrbm", s.gate...);
    f("gibbs",
      "sweeps of ssrbm: three-block (spikes, slabs, visibles) or two-block (spikes, then slabs and visibles "
      "jointly)",
      s.gibbs...);
    f("box", "restrict real visibles to [-box, box], which makes every machine proper; 0 does not", s.box...);
    f("filter-norm", "length of filters of spike-and-slab models: free, ball (at most 1) or sphere (1)",
      s.filter_norm...);
    f("data-noise", "standard deviation of noise added to real-valued cases in training", s.data_noise...);
    f("freeze", "parameters (names of fields) that training leaves as they are; spike-and-slab models",
      s.freeze...);
    f("validate-every", "updates between validation likelihoods; 0 never", s.validate_every...);
    f("patience", "stop after this many validations without improvement; 0 never", s.patience...);
    f("report-every", "updates between rows of metrics.csv", s.report_every...);
    f("checkpoint-every", "updates between checkpoints", s.checkpoint_every...);
    f("keep", "how many past checkpoints stay in checkpoints/", s.keep...);
    f("seed", "seed of every random draw", s.seed...);
  }
};

/// Whether the trainer has persistent chains, and a temperature ladder beside them.
inline bool is_persistent(const TrainConfig& config) { return config.trainer != "cd"; }
inline bool is_tempered(const TrainConfig& config) {
  return config.trainer == "sml-pt" || config.trainer == "sml-apt";
}

/// Whether the model has real-valued visibles or slabs.
inline bool is_spike_slab(const TrainConfig& config) {
  return config.model == "gaussian-rbm" || config.model.ends_with("ssrbm");
}

/// Whether a metric stands between gradient and step.
inline bool is_natural(const TrainConfig& config) { return config.metric != "euclid"; }

/// sgd or adam; sgd where a metric takes its place.
inline std::string optimizer(const TrainConfig& config) {
  if (config.optimizer != "auto") return config.optimizer;
  return is_spike_slab(config) && !is_natural(config) ? "adam" : "sgd";
}

/// Whether training begins with a stage of its own (train/staged.hpp), and the scale of random weights of a
/// machine of so many visibles.
inline bool is_staged(const TrainConfig& config) { return config.init == "staged"; }
inline double initial_scale(const TrainConfig& config, Index n_visible) {
  constexpr double kSmall = 0.01;
  constexpr double kTaken = 0.8;
  if (config.init != "auto" && !is_staged(config)) return std::strtod(config.init.c_str(), nullptr);
  if (config.model != "ssrbm" || config.init_spike_precision == 0.0) return kSmall;
  return std::sqrt(kTaken * config.init_slab_precision * config.init_spike_precision /
                   static_cast<double>(n_visible));
}

/// How log Z is tracked: none, lattice, smc or shared.
inline std::string tracking(const TrainConfig& config) {
  if (config.track_log_z != "auto") return config.track_log_z;
  return is_tempered(config) ? "lattice" : "none";
}

/// Whether the trainer keeps snapshots.
inline bool has_snapshots(const TrainConfig& config) { return config.trainer == "sml-ptt"; }

/// Every constraint that the configuration breaks; n_visible and n_cases are those of the training data, 0
/// where not yet known.
std::vector<Violation> validate(const TrainConfig& config, std::int64_t n_visible = 0,
                                std::int64_t n_cases = 0);

}  // namespace tempera
