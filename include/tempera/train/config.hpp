// Everything that determines a training run. The struct fields are the only place where defaults stand.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/core/errors.hpp"

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
  double lr = 0.3;
  std::string schedule = "inverse";
  double decay_updates = 2500.0;
  std::string optimizer = "sgd";
  double momentum = 0.0;
  double l1 = 0.0;
  double l2 = 0.0;
  double clip = 0.0;  // 0: no clipping
  bool centering = true;
  bool average = true;
  double init = 0.01;
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
    f("lr", "learning rate at the start", s.lr...);
    f("schedule",
      "learning rate: constant, linear (to 0 at the last update), inverse (lr / (1 + t / decay-updates))",
      s.schedule...);
    f("decay-updates", "updates after which the inverse schedule has halved the rate", s.decay_updates...);
    f("optimizer", "sgd or adam", s.optimizer...);
    f("momentum", "momentum of sgd, first-moment decay of adam where above 0", s.momentum...);
    f("l1", "decay of the weights, l1 x sign(W) in the gradient", s.l1...);
    f("l2", "decay of the weights, l2 x W in the gradient", s.l2...);
    f("clip", "largest norm of the (centred) gradient; 0 does not clip", s.clip...);
    f("centering", "centre units on their means", s.centering...);
    f("average", "keep the model averaged over about the last tenth of the updates (Polyak)", s.average...);
    f("init", "standard deviation of the initial weights", s.init...);
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
