#include "tempera/train/config.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>

#include "tempera/core/memory.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/models/dbm.hpp"
#include "tempera/models/latents.hpp"
#include "tempera/train/metric.hpp"

namespace tempera {
namespace {

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

class Checker {
 public:
  void at_least(const char* field, std::int64_t value, std::int64_t least) {
    if (value < least) add(field, std::to_string(value), "must be at least " + std::to_string(least));
  }
  void within(const char* field, std::int64_t value, std::int64_t least, std::int64_t most) {
    at_least(field, value, least);
    if (value > most) add(field, std::to_string(value), "must be at most " + std::to_string(most));
  }
  void in_range(const char* field, double value, bool good, const char* constraint) {
    if (!good || !std::isfinite(value)) add(field, text(value), constraint);
  }
  void one_of(const char* field, const std::string& value, std::initializer_list<const char*> choices) {
    std::string list;
    for (const char* choice : choices) {
      if (value == choice) return;
      list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    add(field, "'" + value + "'", "must be one of " + list);
  }
  void add(const char* field, const std::string& value, const std::string& constraint) {
    violations.push_back({field, value, constraint});
  }

  std::vector<Violation> violations;
};

/// Bytes that a metric needs for this many parameters and units.
double metric_memory(const TrainConfig& config, double parameters, double units) {
  if (!is_natural(config)) return 0.0;
  double bytes = 24.0 * parameters;
  if (config.metric == "tonga") bytes += 8.0 * static_cast<double>(config.metric_rank) * parameters;
  if (config.metric == "exact") bytes += 16.0 * parameters * parameters;
  const bool has_factors = config.metric != "sample" && config.metric != "exact";
  return bytes + (has_factors ? 40.0 * units * units : 0.0);
}

void check_metric(const TrainConfig& config, Checker& check) {
  constexpr std::int64_t kMany = std::int64_t{1} << 31;
  check.one_of("metric", config.metric,
               {"euclid", "diagonal", "mfng", "sample", "kfac", "ekfac", "fang", "tonga", "hybrid", "exact"});
  check.one_of("fisher", config.fisher, {"joint", "marginal"});
  check.in_range("damping", config.damping, config.damping >= 0, "must be at least 0");
  check.one_of("step", config.step, {"fixed", "kl", "blocks2", "krylov"});
  check.in_range("radius", config.radius, config.radius > 0, "must be above 0");
  check.in_range("spring", config.spring, config.spring >= 0 && config.spring < 1, "must be in [0, 1)");
  check.within("metric-chains", config.metric_chains, 0, kMany);
  check.within("metric-draws", config.metric_draws, 2, 1 << 16);
  check.in_range("metric-memory", config.metric_memory, config.metric_memory >= 1, "must be at least 1");
  check.within("metric-refresh", config.metric_refresh, 1, kMany);
  check.within("metric-rank", config.metric_rank, 1, 4096);
  check.in_range("metric-mixing", config.metric_mixing, config.metric_mixing > 0 && config.metric_mixing < 1,
                 "must be in (0, 1)");
  check.within("metric-iterations", config.metric_iterations, 1, kMany);
  check.in_range("metric-tolerance", config.metric_tolerance,
                 config.metric_tolerance > 0 && config.metric_tolerance < 1, "must be in (0, 1)");
  check.one_of("metric-solver", config.metric_solver, {"minres", "cg"});
  check.one_of("precondition", config.precondition, {"none", "kfac"});
  if (config.precondition == "kfac" && config.metric_solver != "cg")
    check.add("precondition", "'kfac'", "needs --metric-solver cg");
  if (is_natural(config)) {
    if (optimizer(config) != "sgd" || config.momentum != 0.0)
      check.add("optimizer", "'" + config.optimizer + "'",
                "adam and momentum belong to --metric euclid; --spring is the momentum of a metric");
    if (config.metric_chains > 0 && !is_persistent(config))
      check.add("metric-chains", std::to_string(config.metric_chains), "needs persistent chains");
    return;
  }
  const auto needs_metric = [&](const char* field, const std::string& value, bool used) {
    if (used) check.add(field, value, "needs a --metric other than euclid");
  };
  needs_metric("step", "'" + config.step + "'", config.step != "fixed");
  needs_metric("spring", text(config.spring), config.spring > 0);
  needs_metric("metric-chains", std::to_string(config.metric_chains), config.metric_chains > 0);
}

void check_init(const TrainConfig& config, Checker& check) {
  if (is_staged(config)) {
    if (!config.model.ends_with("bilinear-ssrbm")) check.add("init", "'staged'", "is for bilinear-ssrbm");
    return;
  }
  if (config.init == "auto") return;
  char* end = nullptr;
  const double scale = std::strtod(config.init.c_str(), &end);
  if (config.init.empty() || *end != '\0' || !std::isfinite(scale) || scale < 0)
    check.add("init", "'" + config.init + "'", "must be a number of at least 0, auto or staged");
}

void check_spike_slab(const TrainConfig& config, Checker& check) {
  const bool has_slabs = config.model.ends_with("ssrbm");
  const bool real = is_spike_slab(config) && !config.model.starts_with("binary");
  const auto only_for = [&](bool used, const char* field, const std::string& value, bool fits,
                            const char* what) {
    if (used && !fits) check.add(field, value, std::string("is for ") + what);
  };
  check.within("slabs", config.slabs, 1, 64);
  check.within("blocks", config.blocks, 1, 1 << 20);
  check.one_of("gibbs", config.gibbs, {"three-block", "two-block"});
  check.one_of("filter-norm", config.filter_norm, {"free", "ball", "sphere"});
  const auto at_least_0 = [&](const char* field, double value) {
    check.in_range(field, value, value >= 0, "must be at least 0");
  };
  at_least_0("init-visible-precision", config.init_visible_precision);
  at_least_0("init-spike-precision", config.init_spike_precision);
  at_least_0("data-noise", config.data_noise);
  at_least_0("box", config.box);
  check.in_range("init-slab-precision", config.init_slab_precision, config.init_slab_precision > 0,
                 "must be above 0");
  check.in_range("init-spike-bias", config.init_spike_bias, true, "must be finite");
  check.in_range("init-slab-mean", config.init_slab_mean, true, "must be finite");
  only_for(config.slabs > 1, "slabs", std::to_string(config.slabs),
           has_slabs && !config.model.ends_with("bilinear-ssrbm"), "ssrbm, binary-ssrbm and sparse-ssrbm");
  only_for(config.blocks > 1, "blocks", std::to_string(config.blocks),
           config.model.ends_with("bilinear-ssrbm"), "bilinear-ssrbm");
  only_for(config.gate, "gate", "true", config.model.ends_with("bilinear-ssrbm"), "bilinear-ssrbm");
  only_for(config.gibbs != "three-block", "gibbs", "'" + config.gibbs + "'",
           config.model == "ssrbm" || config.model == "bilinear-ssrbm", "ssrbm and bilinear-ssrbm");
  only_for(config.filter_norm != "free", "filter-norm", "'" + config.filter_norm + "'", is_spike_slab(config),
           "models with real values or slabs");
  const bool gaussian = real && config.model != "sparse-ssrbm";
  only_for(config.data_noise > 0, "data-noise", text(config.data_noise), gaussian,
           "gaussian-rbm, ssrbm and bilinear-ssrbm");
  only_for(config.box > 0, "box", text(config.box), gaussian, "gaussian-rbm, ssrbm and bilinear-ssrbm");
  if (config.box > 0 && config.gibbs == "two-block")
    check.add("box", text(config.box),
              "means --gibbs three-block: visibles and slabs are not jointly Gaussian");
  if (config.box > 0 && is_staged(config)) check.add("box", text(config.box), "means no --init staged");
  if (config.box > 0 && config.data_noise > 0)
    check.add("data-noise", text(config.data_noise), "takes cases out of the box: means --box 0");
  const TrainConfig defaults;
  const auto initial = [&](const char* field, double value, double standard, bool fits, const char* what) {
    only_for(value != standard, field, text(value), fits, what);
  };
  initial("init-visible-precision", config.init_visible_precision, defaults.init_visible_precision, gaussian,
          "gaussian-rbm, ssrbm and bilinear-ssrbm");
  initial("init-spike-bias", config.init_spike_bias, defaults.init_spike_bias, is_spike_slab(config),
          "models with real values or slabs");
  initial("init-spike-precision", config.init_spike_precision, defaults.init_spike_precision,
          config.model == "ssrbm", "ssrbm");
  initial("init-slab-mean", config.init_slab_mean, defaults.init_slab_mean, has_slabs, "models with slabs");
  initial("init-slab-precision", config.init_slab_precision, defaults.init_slab_precision, has_slabs,
          "models with slabs");
  const auto frozen = [&](std::string_view name) {
    return std::find(config.freeze.begin(), config.freeze.end(), name) != config.freeze.end();
  };
  if (gaussian && has_slabs && config.box == 0 && frozen("slab_precision"))
    check.add("freeze", "'slab_precision'",
              "needs --box: without it slab precisions keep the machine proper");
  if (config.model == "sparse-ssrbm" && frozen("slab_precision"))
    check.add("freeze", "'slab_precision'", "is not possible: slab precisions keep the machine proper");
  if (config.filter_norm != "free" && frozen("weights"))
    check.add("filter-norm", "'" + config.filter_norm + "'", "contradicts --freeze weights");
  only_for(!config.freeze.empty(), "freeze", std::to_string(config.freeze.size()) + " fields",
           is_spike_slab(config), "models with real values or slabs");
  only_for(config.metric == "fang", "metric", "'fang'", !is_spike_slab(config), "bernoulli-rbm and dbm");
  if (is_natural(config) && !config.freeze.empty())
    check.add("freeze", std::to_string(config.freeze.size()) + " fields", "means --metric euclid");
}

}  // namespace

std::vector<Violation> validate(const TrainConfig& config, std::int64_t n_visible, std::int64_t n_cases) {
  Checker check;
  if (config.data.empty()) check.add("data", "''", "must name a data set");
  check.one_of("binarize", config.binarize, {"none", "threshold", "sample"});
  check.one_of("model", config.model,
               {"bernoulli-rbm", "dbm", "gaussian-rbm", "ssrbm", "binary-ssrbm", "sparse-ssrbm",
                "bilinear-ssrbm", "binary-bilinear-ssrbm"});
  check.one_of("trainer", config.trainer, {"cd", "sml", "sml-pt", "sml-apt", "sml-ptt"});
  check.one_of("schedule", config.schedule, {"constant", "linear", "half-linear", "inverse"});
  check.one_of("optimizer", config.optimizer, {"auto", "sgd", "adam"});
  // Chains and sites of a draw have 32 bits, its step 56.
  constexpr std::int64_t kMany = std::int64_t{1} << 31;
  const bool deep = config.model == "dbm";
  const std::string layers = std::to_string(config.hidden.size()) + " layers";
  const bool bilinear = config.model.ends_with("bilinear-ssrbm");
  if (bilinear && config.hidden.size() != 2)
    check.add("hidden", layers, config.model + " has two factor groups: --hidden G,H");
  if (bilinear && !config.hidden.empty() &&
      *std::min_element(config.hidden.begin(), config.hidden.end()) > BilinearBlocks::kMaxGroup)
    check.add(
        "hidden", layers,
        "the smaller group of a block has at most " + std::to_string(BilinearBlocks::kMaxGroup) + " factors");
  if (!deep && !bilinear && config.hidden.size() != 1)
    check.add("hidden", layers, config.model + " has one hidden layer");
  if (deep && (config.hidden.empty() || config.hidden.size() > Dbm::kMaxHidden))
    check.add("hidden", layers, "dbm has 1 to " + std::to_string(Dbm::kMaxHidden) + " hidden layers");
  check.one_of("positive", config.positive, {"auto", "mean-field", "sampled"});
  check.within("positive-sweeps", config.positive_sweeps, 1, kMany);
  if ((deep || is_spike_slab(config)) && config.jump > 0)
    check.add("jump", text(config.jump), "is for bernoulli-rbm");
  check_spike_slab(config, check);
  if (deep ? false : bilinear ? config.positive == "sampled" : config.positive != "auto")
    check.add("positive", "'" + config.positive + "'", "means nothing with " + config.model);
  check_metric(config, check);
  for (const std::int64_t n : config.hidden) check.within("hidden", n, 1, kMany);
  check.within("batch", config.batch, 1, kMany);
  check.within("chains", config.chains, 0, kMany);
  check.within("sweeps", config.sweeps, 1, kMany);
  check.one_of("ladder", config.ladder, {"equal-rejection", "desjardins2010"});
  check.in_range("beta-lr", config.beta_lr, config.beta_lr > 0 && config.beta_lr <= 1, "must be in (0, 1]");
  check.within("rungs", config.rungs, 2, static_cast<std::int64_t>(kMaxRungs));
  check.in_range("jump", config.jump, config.jump >= 0 && config.jump <= 1, "must be in [0, 1]");
  if (config.jump > 0 && !is_persistent(config))
    check.add("jump", text(config.jump), "needs a trainer with persistent chains");
  check.within("ensembles", config.ensembles, 1, static_cast<std::int64_t>(kMaxEnsembles));
  check.one_of("track-log-z", config.track_log_z, {"auto", "none", "lattice", "smc", "shared"});
  check.at_least("track-every", config.track_every, 0);
  check.within("track-ensembles", config.track_ensembles, 4, 1 << 16);
  if (config.track_log_z == "shared") {
    if (config.trainer != "sml-pt" || config.ensembles < 4)
      check.add("track-log-z", "'shared'", "needs --trainer sml-pt with at least 4 --ensembles");
    if (config.average)
      check.add("track-log-z", "'shared'", "follows the machine that the chains sample: --no-average");
  }
  check.within("updates", config.updates, 1, kMany);
  check.within("epochs", config.epochs, 0, kMany);
  check.in_range("lr", config.lr, config.lr >= 0, "must be at least 0");
  check.in_range("decay-updates", config.decay_updates, config.decay_updates > 0, "must be above 0");
  check.within("warmup", config.warmup, 0, kMany);
  check.in_range("momentum", config.momentum, config.momentum >= 0 && config.momentum < 1,
                 "must be in [0, 1)");
  check.in_range("l1", config.l1, config.l1 >= 0, "must be at least 0");
  check.in_range("l2", config.l2, config.l2 >= 0, "must be at least 0");
  check.in_range("clip", config.clip, config.clip >= 0, "must be at least 0");
  check_init(config, check);
  check.at_least("validate-every", config.validate_every, 0);
  check.at_least("patience", config.patience, 0);
  if (config.patience > 0 && config.validate_every == 0) {
    check.add("patience", std::to_string(config.patience), "needs validate-every above 0");
  }
  check.at_least("report-every", config.report_every, 1);
  check.at_least("checkpoint-every", config.checkpoint_every, 1);
  check.at_least("keep", config.keep, 0);
  check.at_least("seed", config.seed, 0);

  if (n_visible > 0 && !config.hidden.empty()) {
    const auto visible = static_cast<double>(n_visible);
    // Weights for each visible unit, as if layers were one after another of the visibles.
    const auto first = static_cast<double>(config.hidden.front());
    double hidden = first * static_cast<double>(config.slabs);
    if (bilinear && config.hidden.size() == 2)
      hidden *= static_cast<double>(config.hidden[1]) * static_cast<double>(config.blocks);
    if (config.model == "ssrbm" && config.init_spike_precision > 0) hidden += first;
    double units = visible + hidden;
    for (std::size_t k = 1; deep && k < config.hidden.size(); ++k) {
      hidden += static_cast<double>(config.hidden[k - 1]) * static_cast<double>(config.hidden[k]) / visible;
      units += static_cast<double>(config.hidden[k]);
    }
    // Of spike-and-slab machines a metric also sees squares of visibles (of sparse ones three numbers), and
    // means and precisions of slabs.
    if (is_spike_slab(config) && is_natural(config)) units += 3.0 * visible + 3.0 * hidden;
    if (config.metric == "exact" &&
        visible * hidden + units > static_cast<double>(ExactMetric<float>::kMostParameters))
      check.add("metric", "'exact'",
                "is for machines of at most " + std::to_string(ExactMetric<float>::kMostParameters) +
                    " parameters");
    const auto blocks = [](std::int64_t n) { return std::ceil(static_cast<double>(n) / 64.0); };
    const std::int64_t batch = std::min(config.batch, n_cases);
    const std::int64_t tempered = is_tempered(config) ? config.rungs * config.ensembles : 0;
    const double chains =
        64.0 * (blocks((config.chains > 0 ? config.chains : batch) + tempered) + blocks(batch));
    // Parameters, gradient, optimiser moments, average, a file image; float layers of each chain.
    // Snapshots are at most 64, of which a freeze makes a copy, with as many replicas as chains each.
    const double snapshots = has_snapshots(config)
                                 ? 2.0 * 65.0 * (4.0 * visible * hidden + chains / 8.0 * (visible + hidden))
                                 : 0.0;
    // Chains of the tracker on about thirty rungs, and its machine.
    const double tracked =
        tracking(config) == "lattice"
            ? 4.0 * (30.0 * static_cast<double>(config.track_ensembles) + 64.0) * (visible + 2.0 * hidden) +
                  8.0 * visible * hidden
            : 0.0;
    const double bytes = snapshots + tracked + 8.0 * 4.0 * visible * hidden +
                         4.0 * chains * (visible + (is_spike_slab(config) ? 5.0 : 2.0) * hidden) +
                         metric_memory(config, visible * hidden + units, units);
    if (bytes > physical_memory()) {
      check.add("hidden", std::to_string(config.hidden.front()),
                "needs about " + text(bytes / 0x1p30) + " GiB of memory, this machine has " +
                    text(physical_memory() / 0x1p30));
    }
  }
  return check.violations;
}

}  // namespace tempera
