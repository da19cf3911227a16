#include "tempera/train/options.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/memory.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Chains and sites of a draw have 32 bits, its step 56.
constexpr std::int64_t kMany = std::int64_t{1} << 31;

/// Collects what is wrong.
class Checker {
 public:
  void at_least(const char* field, std::int64_t value, std::int64_t least) {
    if (value < least) add(field, text_of(value), "must be at least " + text_of(least));
  }
  void within(const char* field, std::int64_t value, std::int64_t least, std::int64_t most) {
    at_least(field, value, least);
    if (value > most) add(field, text_of(value), "must be at most " + text_of(most));
  }
  void within(const char* field, const std::optional<std::int64_t>& value, std::int64_t least,
              std::int64_t most) {
    if (value) within(field, *value, least, most);
  }
  void that(const char* field, double value, bool good, const char* constraint) {
    if (!good || !std::isfinite(value)) add(field, text_of(value), constraint);
  }
  void not_negative(const char* field, double value) { that(field, value, value >= 0, "must be at least 0"); }
  void positive(const char* field, double value) { that(field, value, value > 0, "must be above 0"); }
  void positive(const char* field, const std::optional<double>& value) {
    if (value) positive(field, *value);
  }
  void add(const std::string& field, const std::string& value, const std::string& constraint) {
    violations.push_back({field, value, constraint});
  }

  std::vector<Violation> violations;
};

/// Jumps that are asked for; 0 where that is left open.
double jump_of(const TrainOptions& o) {
  const double* const rate = std::get_if<double>(&o.chains.jump);
  return rate != nullptr ? *rate : 0.0;
}

std::string quoted(std::string_view word) { return "'" + std::string(word) + "'"; }

void check_numbers(const TrainOptions& o, Checker& check) {
  for (const std::int64_t n : o.machine.hidden) check.within("hidden", n, 1, kMany);
  check.within("slabs", o.machine.slabs, 1, 64);
  check.within("blocks", o.machine.blocks, 1, 1 << 20);
  check.positive("box", o.machine.box);
  if (const auto* scale = std::get_if<double>(&o.init.weights)) check.not_negative("init", *scale);
  if (const auto* precision = std::get_if<double>(&o.init.visible_precision))
    check.not_negative("init-visible-precision", *precision);
  check.that("init-spike-bias", o.init.spike_bias, true, "must be finite");
  check.not_negative("init-spike-precision", o.init.spike_precision);
  check.that("init-slab-mean", o.init.slab_mean, true, "must be finite");
  check.positive("init-slab-precision", o.init.slab_precision);
  check.within("batch", o.chains.batch, 1, kMany);
  check.within("chains", o.chains.chains, 1, kMany);
  check.within("sweeps", o.chains.sweeps, 1, kMany);
  if (const auto* jump = std::get_if<double>(&o.chains.jump))
    check.that("jump", *jump, *jump >= 0 && *jump <= 1, "must be in [0, 1]");
  check.that("holdout", o.data.holdout, o.data.holdout >= 0 && o.data.holdout < 1, "must be in [0, 1)");
  check.within("inference-sweeps", o.chains.inference_sweeps, 1, kMany);
  check.not_negative("data-noise", o.chains.data_noise);
  check.that("beta-lr", o.ladder.beta_lr, o.ladder.beta_lr > 0 && o.ladder.beta_lr <= 1, "must be in (0, 1]");
  check.within("rungs", o.ladder.rungs, 2, static_cast<std::int64_t>(kMaxRungs));
  check.within("ensembles", o.ladder.ensembles, 1, static_cast<std::int64_t>(kMaxEnsembles));
  check.within("track-every", o.tracking.every, 1, kMany);
  check.within("track-ensembles", o.tracking.ensembles, 4, 1 << 16);
  check.within("updates", o.rate.updates, 1, kMany);
  check.within("epochs", o.rate.epochs, 1, kMany);
  check.positive("lr", o.rate.lr);
  check.positive("decay-updates", o.rate.decay_updates);
  check.within("warmup", o.rate.warmup, 0, kMany);
  check.positive("early-rate", o.rate.early_rate);
  check.not_negative("l1", o.gradient.l1);
  check.not_negative("l1b", o.gradient.l1b);
  check.not_negative("l2-fields", o.gradient.l2_fields);
  if (const auto* l2 = std::get_if<double>(&o.gradient.l2)) check.not_negative("l2", *l2);
  check.positive("clip", o.gradient.clip);
  const double momentum = o.first_order.momentum;
  check.that("momentum", momentum, momentum >= 0 && momentum < 1, "must be in [0, 1)");
  for (const auto& [name, value] :
       {std::pair{"validate-every", o.run.validate_every}, std::pair{"patience", o.run.patience}}) {
    if (const auto* number = std::get_if<std::int64_t>(&value)) check.within(name, *number, 1, kMany);
  }
  check.at_least("report-every", o.run.report_every, 1);
  check.at_least("check", o.run.check, 0);
  check.at_least("checkpoint-every", o.run.checkpoint_every, 1);
  check.at_least("keep", o.run.keep, 0);
  check.at_least("seed", o.run.seed, 0);
}

void check_natural(const TrainOptions& o, Checker& check) {
  const NaturalOptions& n = o.natural;
  check.positive("damping", n.damping);
  check.positive("radius", n.radius);
  check.that("spring", n.spring, n.spring >= 0 && n.spring < 1, "must be in [0, 1)");
  check.within("metric-chains", n.chains, 1, kMany);
  check.within("metric-draws", n.draws, 2, 1 << 16);
  check.that("metric-memory", n.memory, n.memory >= 1, "must be at least 1");
  check.within("metric-refresh", n.refresh, 1, kMany);
  check.within("metric-rank", n.rank, 1, 4096);
  check.that("metric-mixing", n.mixing, n.mixing > 0 && n.mixing < 1, "must be in (0, 1)");
  check.within("metric-iterations", n.iterations, 1, kMany);
  check.that("metric-tolerance", n.tolerance, n.tolerance > 0 && n.tolerance < 1, "must be in (0, 1)");
  if (n.precondition == MfngPreconditioner::kKfac && n.solver != MfngSolver::kCg)
    check.add("precondition", "'kfac'", "needs --metric-solver cg");
  if (is_natural(o)) {
    const FirstOrder method = o.first_order.optimizer.value_or(FirstOrder::kSgd);
    if (method != FirstOrder::kSgd || o.first_order.momentum != 0.0)
      check.add("optimizer", quoted(name_of(method)),
                "adam and momentum belong to --metric euclid; --spring is the momentum of a metric");
    if (n.chains && o.chains.trainer == Trainer::kCd)
      check.add("metric-chains", text_of(*n.chains), "needs persistent chains");
    if (!o.gradient.freeze.empty())
      check.add("freeze", std::to_string(o.gradient.freeze.size()) + " fields", "means --metric euclid");
    return;
  }
  const char* const why = "needs a --metric other than euclid";
  if (n.step != StepControl::kFixed) check.add("step-control", quoted(name_of(n.step)), why);
  if (n.spring > 0) check.add("spring", text_of(n.spring), why);
  if (n.chains) check.add("metric-chains", text_of(*n.chains), why);
}

/// What does not go together whatever the machine.
void check_together(const TrainOptions& o, Checker& check) {
  if (o.data.data.empty()) check.add("data", "''", "must name a data set");
  if (jump_of(o) > 0.0 && o.chains.trainer == Trainer::kCd)
    check.add("jump", text_of(jump_of(o)), "needs a trainer with persistent chains");
  if (o.tracking.track_log_z == Tracking::kShared) {
    if (o.chains.trainer != Trainer::kSmlPt || o.ladder.ensembles < 4)
      check.add("track-log-z", "'shared'", "needs --trainer sml-pt with at least 4 --ensembles");
    if (o.gradient.average)
      check.add("track-log-z", "'shared'", "follows the machine that the chains sample: --no-average");
  }
  if (o.machine.box && o.init.staged()) check.add("box", text_of(*o.machine.box), "means no --init staged");
  if (o.machine.box && jump_of(o) > 0.0)
    check.add("jump", text_of(jump_of(o)), "means nothing in a box, where visibles cannot be integrated out");
  if (o.machine.box && o.chains.data_noise > 0)
    check.add("data-noise", text_of(o.chains.data_noise), "takes cases out of the box: means --box none");
  const auto& freeze = o.gradient.freeze;
  if (o.gradient.filter_norm != FilterNorm::kFree &&
      std::find(freeze.begin(), freeze.end(), "weights") != freeze.end())
    check.add("filter-norm", quoted(name_of(o.gradient.filter_norm)), "contradicts --freeze weights");
  if (number_of(o.run.patience) > 0 &&
      o.run.validate_every == decltype(o.run.validate_every)(WatchRule::kNone))
    check.add("patience", text_of(number_of(o.run.patience)), "needs validate-every above 0");
}

/// Something that only some kinds of machines can do, and the option that asks for it.
struct Asked {
  Feature feature;
  const char* field;
  std::string value;
};

/// What the options ask for beyond what every machine can do.
std::vector<Asked> features_asked(const TrainOptions& o) {
  std::vector<Asked> asked;
  const auto add = [&asked](bool used, Feature feature, const char* field, std::string value) {
    if (used) asked.push_back({feature, field, std::move(value)});
  };
  const TrainOptions standard;
  const MachineOptions& m = o.machine;
  add(m.slabs > 1, Feature::kSlabs, "slabs", text_of(m.slabs));
  add(m.blocks > 1, Feature::kBlocks, "blocks", text_of(m.blocks));
  add(m.gate, Feature::kGate, "gate", "true");
  add(m.gibbs == Gibbs::kTwoBlock, Feature::kTwoBlockGibbs, "gibbs", quoted(name_of(m.gibbs)));
  add(m.box.has_value(), Feature::kBox, "box", text_of(m.box.value_or(0.0)));
  add(o.gradient.filter_norm != FilterNorm::kFree, Feature::kFilterNorm, "filter-norm",
      quoted(name_of(o.gradient.filter_norm)));
  add(o.chains.data_noise > 0, Feature::kDataNoise, "data-noise", text_of(o.chains.data_noise));
  const auto* precision = std::get_if<double>(&o.init.visible_precision);
  add(precision != nullptr && *precision != 0.0, Feature::kInitialVisiblePrecision, "init-visible-precision",
      text_of(precision != nullptr ? *precision : 0.0));
  const auto initial = [&](double InitOptions::*value, Feature feature, const char* field) {
    add(o.init.*value != standard.init.*value, feature, field, text_of(o.init.*value));
  };
  initial(&InitOptions::spike_bias, Feature::kInitialSpikeBias, "init-spike-bias");
  initial(&InitOptions::spike_precision, Feature::kInitialSpikePrecision, "init-spike-precision");
  initial(&InitOptions::slab_mean, Feature::kInitialSlabMean, "init-slab-mean");
  initial(&InitOptions::slab_precision, Feature::kInitialSlabPrecision, "init-slab-precision");
  add(o.init.staged(), Feature::kStagedStart, "init", "'staged'");
  add(!o.gradient.freeze.empty(), Feature::kFreeze, "freeze",
      std::to_string(o.gradient.freeze.size()) + " fields");
  add(jump_of(o) > 0.0, Feature::kJump, "jump", text_of(jump_of(o)));
  add(o.chains.inference == Inference::kMeanField, Feature::kMeanField, "inference", "'mean-field'");
  add(o.chains.inference == Inference::kSampled, Feature::kSampledLatents, "inference", "'sampled'");
  add(o.natural.metric == MetricKind::kFang, Feature::kFangMetric, "metric", "'fang'");
  add(o.data.binarize != BinarizeChoice(), Feature::kBinarize, "binarize", quoted(text_of(o.data.binarize)));
  return asked;
}

/// "a", "a and b", "a, b and c": the kinds that have a feature.
std::string kinds_with(Feature feature) {
  std::vector<std::string> kinds;
#define TEMPERA_ADD(M) \
  if (M::kFeatures.has(feature)) kinds.emplace_back(M::kKind);
  TEMPERA_FOR_EACH_MODEL(TEMPERA_ADD)
#undef TEMPERA_ADD
  kinds.erase(std::unique(kinds.begin(), kinds.end()), kinds.end());
  std::string all;
  for (std::size_t k = 0; k < kinds.size(); ++k)
    all += (k == 0 ? "" : k + 1 < kinds.size() ? ", " : " and ") + kinds[k];
  return all;
}

template <EnergyModel M>
void check_kind(const TrainOptions& o, Checker& check) {
  for (const Asked& asked : features_asked(o)) {
    if (!M::kFeatures.has(asked.feature))
      check.add(asked.field, asked.value, "is for " + kinds_with(asked.feature));
  }
  for (const Violation& found : M::check(o.machine, o.init.values())) check.violations.push_back(found);
  const std::string_view law = M::law_field(o.machine);
  const auto& freeze = o.gradient.freeze;
  if (!law.empty() && std::find(freeze.begin(), freeze.end(), law) != freeze.end())
    check.add("freeze", quoted(law),
              M::kFeatures.has(Feature::kBox) ? "needs --box: without it it keeps the machine proper"
                                              : "is not possible: it keeps the machine proper");
}

/// Bytes that a metric needs beyond the parameters.
double metric_bytes(const NaturalOptions& o, const MachineMemory& machine) {
  if (!o.metric) return 0.0;
  const double units = machine.statistics;
  double bytes = 24.0 * machine.parameters;
  if (*o.metric == MetricKind::kTonga) bytes += 8.0 * static_cast<double>(o.rank) * machine.parameters;
  if (*o.metric == MetricKind::kExact) bytes += 16.0 * machine.parameters * machine.parameters;
  const bool has_factors = *o.metric != MetricKind::kSample && *o.metric != MetricKind::kExact;
  return bytes + (has_factors ? 40.0 * units * units : 0.0);
}

/// Bytes that training takes. Parameters, gradient, moments, average and a file image; floats of each chain.
double training_bytes(const TrainOptions& o, const MachineMemory& machine, std::int64_t n_cases) {
  const auto in_blocks = [](std::int64_t n) { return 64.0 * std::ceil(static_cast<double>(n) / 64.0); };
  const std::int64_t batch = std::min(o.chains.batch, n_cases);
  const std::int64_t tempered = is_tempered(o.chains.trainer) ? o.ladder.rungs * o.ladder.ensembles : 0;
  const double chains = in_blocks(o.chains.chains.value_or(batch) + tempered) + in_blocks(batch);
  double bytes = 32.0 * machine.parameters + 4.0 * chains * machine.chain_floats;
  // Snapshots are at most 64, of which a freeze makes a copy, with as many replicas as chains each.
  if (o.chains.trainer == Trainer::kSmlPtt)
    bytes += 2.0 * 65.0 * (4.0 * machine.parameters + chains / 8.0 * machine.chain_floats);
  // Chains of the tracker on about thirty rungs, and its machine.
  const Tracking tracking =
      o.tracking.track_log_z.value_or(is_tempered(o.chains.trainer) ? Tracking::kLattice : Tracking::kNone);
  if (tracking == Tracking::kLattice)
    bytes += 4.0 * (30.0 * static_cast<double>(o.tracking.ensembles) + 64.0) * machine.chain_floats +
             8.0 * machine.parameters;
  return bytes + metric_bytes(o.natural, machine);
}

template <EnergyModel M>
void check_size(const TrainOptions& o, Index n_visible, std::int64_t n_cases, Checker& check) {
  const MachineMemory machine = M::memory(M::shape_from(o.machine, n_visible));
  if (o.natural.metric == MetricKind::kExact &&
      machine.parameters > static_cast<double>(ExactMetric<float>::kMostParameters))
    check.add("metric", "'exact'",
              "is for machines of at most " + text_of(std::int64_t{ExactMetric<float>::kMostParameters}) +
                  " parameters");
  const double bytes = training_bytes(o, machine, n_cases);
  if (bytes <= physical_memory()) return;
  std::string sizes;
  sizes = text_of(o.machine.hidden);
  check.add("hidden", sizes,
            "needs about " + in_gibibytes(bytes) + " GiB of memory, this machine has " +
                in_gibibytes(physical_memory()));
}

}  // namespace

std::vector<Violation> check(const TrainOptions& options) {
  Checker check;
  check_together(options, check);
  check_numbers(options, check);
  check_natural(options, check);
  bool known = false;
  std::string kinds;
#define TEMPERA_TRY(M)                                                                       \
  kinds += kinds.empty() ? "" : ", ";                                                        \
  kinds += M::kKind;                                                                         \
  if (options.machine.kind == M::kKind && options.machine.hidden_units == M::kHiddenUnits) { \
    known = true;                                                                            \
    check_kind<M>(options, check);                                                           \
  }
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  if (!known) check.add("model", quoted(options.machine.kind), "must be one of " + kinds);
  return check.violations;
}

std::vector<Violation> check(const TrainOptions& options, Index n_visible, Index n_cases) {
  Checker check;
#define TEMPERA_TRY(M)                                                                     \
  if (options.machine.kind == M::kKind && options.machine.hidden_units == M::kHiddenUnits) \
    check_size<M>(options, n_visible, n_cases, check);
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  return check.violations;
}

}  // namespace tempera
