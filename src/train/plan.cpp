#include "tempera/train/plan.hpp"

#include <algorithm>
#include <cmath>

namespace tempera {
namespace {

std::uint64_t count(std::int64_t n) { return static_cast<std::uint64_t>(n); }

DecayPlan decay_of(const GradientOptions& options) {
  DecayPlan plan{options.l1, std::get<double>(options.l2), std::numeric_limits<double>::infinity(),
                 options.l1b, options.l2_fields};
  if (options.clip) plan.clip = *options.clip;
  return plan;
}

/// Directions of krylov at most.
constexpr Index kKrylovDirections = 8;

/// Sets the numbers that a metric has in common with others, by their names.
struct SetMetricOptions {
  const NaturalOptions& from;

  void operator()(auto& to) const {
    if constexpr (requires { to.damping; }) to.damping = *from.damping;
    if constexpr (requires { to.memory; }) to.memory = from.memory;
    if constexpr (requires { to.refresh; }) to.refresh = count(from.refresh);
    if constexpr (requires { to.rank; }) to.rank = static_cast<Index>(from.rank);
  }
  void operator()(HybridOptions& to) const {
    (*this)(to.factors);
    to.mixing = from.mixing;
  }
  void operator()(MfngOptions& to) const {
    to.damping = *from.damping;
    to.solver = from.solver;
    to.preconditioner = from.precondition;
    to.factors.memory = from.memory;
    to.factors.refresh = count(from.refresh);
    to.iterations = static_cast<Index>(from.iterations);
    to.tolerance = from.tolerance;
    to.warm_start = from.warm_start;
  }
};

NaturalPlan natural_plan(const TrainOptions& options) {
  const NaturalOptions& o = options.natural;
  NaturalPlan plan;
  plan.metric = default_options(*o.metric);
  std::visit(SetMetricOptions{o}, plan.metric);
  plan.fisher = o.fisher;
  plan.draws = count(o.draws);
  plan.step.control = o.step;
  plan.step.radius = o.radius;
  plan.step.directions = std::min<Index>(o.rank, kKrylovDirections);
  plan.step.damping = *o.damping;
  plan.spring = o.spring;
  plan.warm_start = o.warm_start;
  plan.decay = decay_of(options.gradient);
  return plan;
}

LadderMotion motion_of(const TrainOptions& options) {
  if (options.chains.trainer != Trainer::kSmlApt) return LadderMotion::kFixed;
  return options.ladder.placement == Placement::kEqualRejection ? LadderMotion::kEqualRejection
                                                                : LadderMotion::kFeedback;
}

}  // namespace

InitialValues InitOptions::values() const {
  InitialValues values;
  if (const auto* scale = std::get_if<double>(&weights)) values.weights = *scale;
  if (const auto* precision = std::get_if<double>(&visible_precision);
      precision != nullptr && *precision != 0.0)
    values.visible_precision = *precision;
  values.spike_bias = spike_bias;
  values.spike_precision = spike_precision;
  values.slab_mean = slab_mean;
  values.slab_precision = slab_precision;
  return values;
}

namespace {

/// Updates of machines of the usual size, and of very small ones.
constexpr double kUsualUpdates = 5000.0;
constexpr double kMostUsualUpdates = 20000.0;
constexpr double kRounding = 500.0;

/// Epochs after which a machine of more parameters than usual may stop.
constexpr double kEnoughEpochs = 100.0;

/// A machine of a quarter of the parameters gets twice the updates, in about half of the time; one of four
/// times as many gets half of them where that is enough epochs.
std::int64_t usual_updates(double parameters, double batches) {
  const double updates = kUsualUpdates * std::sqrt(kUsualParameters / std::max(1.0, parameters));
  const double least = std::clamp(kEnoughEpochs * batches, kRounding, kUsualUpdates);
  return static_cast<std::int64_t>(kRounding *
                                   std::round(std::clamp(updates, least, kMostUsualUpdates) / kRounding));
}

/// The rate that does well for pictures, whose largest variance is about 5, is too large for cases that lie
/// in a few clusters, where one direction has nearly all of the variance: the masses of the clusters then
/// swing. Between the two the rate falls faster than the variance grows (docs/results.md).
/// A machine that takes a larger rate elsewhere, as that of letters does, comes to this at a variance that is
/// as much smaller.
constexpr double kUsualVariance = 5.5;
constexpr double kVarianceOrder = 1.5;
double rate_factor(double rate, double variance) {
  variance *= std::max(1.0, rate / MachineDefaults().learning_rate);
  return variance <= kUsualVariance ? 1.0 : std::pow(kUsualVariance / variance, kVarianceOrder);
}

/// Small rates keep masses, and are slow to make modes sharp. Where hidden units are few the rate may begin
/// as it does elsewhere: masses that swing early are put right later. A hundred units make modes in that time
/// which no chain leaves (docs/decisions.md).
/// Beyond so many columns the usual rate is too much.
constexpr double kManyHidden = 100.0;
constexpr double kUsualVisibles = 1000.0;
double early_factor(double rate, const MachinePreferences& preferences) {
  if (!preferences.defaults.begins_high) return 1.0;
  const auto n_visible = static_cast<double>(preferences.n_visible);
  const double usual = preferences.defaults.learning_rate / std::max(1.0, n_visible / kUsualVisibles);
  const double n_hidden = preferences.parameters / n_visible;
  return std::max(1.0, std::min(usual / rate, std::pow(kManyHidden / n_hidden, 2.0)));
}

/// Decay at most, for each parameter of a machine: small machines do not overfit much, and their cases may be
/// all there are (docs/decisions.md).
constexpr double kDecayOfParameters = 1e-7;

/// Halves of the updates between two validations at which there are validations before the first, and
/// updates at which the first of all is at least: a large machine overfits few cases early.
constexpr int kEarlyValidations = 3;
constexpr std::uint64_t kFirstValidation = 25;

/// Validations of a run that looks for them by itself, without improvement until it cools, and updates at
/// least.
constexpr std::int64_t kValidations = 20;
constexpr std::int64_t kPatience = 6;
constexpr std::int64_t kLeastUpdates = 1000;

void resolve_validation(bool validates, TrainOptions& options) {
  const bool by_itself =
      validates && *options.tracking.track_log_z != Tracking::kNone && *options.rate.updates >= kLeastUpdates;
  const auto open = [](const std::variant<WatchRule, std::int64_t>& value) {
    return value == std::variant<WatchRule, std::int64_t>(WatchRule::kAuto);
  };
  const bool asked = !open(options.run.validate_every);
  if (!asked) {
    options.run.validate_every = WatchRule::kNone;
    if (by_itself) options.run.validate_every = *options.rate.updates / kValidations;
  }
  if (open(options.run.patience)) {
    options.run.patience = WatchRule::kNone;
    if (by_itself && !asked) options.run.patience = kPatience;
  }
}

}  // namespace

TrainOptions resolve(TrainOptions options, const MachinePreferences& preferences, Index n_cases) {
  const MachineDefaults& defaults = preferences.defaults;
  const std::int64_t batch = std::min<std::int64_t>(options.chains.batch, n_cases);
  const bool natural = is_natural(options);
  if (!options.chains.chains) options.chains.chains = batch;
  if (!options.chains.inference) options.chains.inference = defaults.inference;
  if (!options.tracking.track_log_z)
    options.tracking.track_log_z = is_tempered(options.chains.trainer) ? Tracking::kLattice : Tracking::kNone;
  if (options.rate.epochs) {
    options.rate.updates = *options.rate.epochs * ((n_cases + batch - 1) / batch);
    options.rate.epochs.reset();
  }
  if (!options.rate.updates) {
    const auto batches = static_cast<double>((n_cases + batch - 1) / batch);
    options.rate.updates = usual_updates(preferences.parameters, batches);
  }
  if (!options.first_order.optimizer)
    options.first_order.optimizer = natural ? FirstOrder::kSgd : defaults.first_order;
  if (!options.rate.early_rate && (options.rate.lr || natural)) options.rate.early_rate = 1.0;
  if (!options.rate.lr) {
    options.rate.lr = natural ? defaults.natural_learning_rate
                      : *options.first_order.optimizer == FirstOrder::kSgd
                          ? defaults.learning_rate * rate_factor(defaults.learning_rate, preferences.variance)
                          : defaults.learning_rate;
  }
  if (!options.rate.early_rate) options.rate.early_rate = early_factor(*options.rate.lr, preferences);
  if (std::holds_alternative<DecayRule>(options.gradient.l2)) {
    const bool decays = !natural && *options.first_order.optimizer == defaults.first_order &&
                        options.gradient.l1 == 0.0 && options.gradient.l1b == 0.0;
    options.gradient.l2 = decays ? std::min(defaults.decay / preferences.total_weight,
                                            kDecayOfParameters * preferences.parameters)
                                 : 0.0;
  }
  if (std::holds_alternative<JumpRule>(options.chains.jump) &&
      (!preferences.jumps || options.chains.trainer == Trainer::kCd))
    options.chains.jump = 0.0;
  resolve_validation(preferences.validates, options);
  if (!options.natural.damping) {
    options.natural.damping = natural ? damping_of(default_options(*options.natural.metric)) : kFisherDamping;
  }
  if (const auto* rule = std::get_if<InitRule>(&options.init.weights);
      rule != nullptr && *rule == InitRule::kAuto)
    options.init.weights = preferences.weight_scale;
  return options;
}

Plan plan_of(const TrainOptions& options, Index n_cases) {
  Plan plan;
  plan.batch = std::min(count(options.chains.batch), static_cast<std::uint64_t>(n_cases));
  plan.inference = {*options.chains.inference, static_cast<Index>(options.chains.inference_sweeps),
                    options.chains.data_noise};
  plan.sampling = {options.chains.trainer != Trainer::kCd, count(options.chains.sweeps), std::nullopt};
  if (const double* rate = std::get_if<double>(&options.chains.jump)) plan.sampling.jump_rate = *rate;
  plan.ladder = {motion_of(options), options.ladder.beta_lr};
  plan.rate = {*options.rate.lr, options.rate.schedule, options.rate.decay_updates,
               count(options.rate.warmup), count(*options.rate.updates)};
  plan.rate.early = *options.rate.early_rate;
  if (is_natural(options)) {
    plan.rule = natural_plan(options);
  } else {
    plan.rule = FirstOrderPlan{*options.first_order.optimizer, options.first_order.momentum,
                               decay_of(options.gradient), options.gradient.freeze};
  }
  // Adam's steps are of one length: filters that grow with their slab precisions settle, shrunk ones stay
  // noisy.
  plan.projection = {options.gradient.filter_norm,
                     is_natural(options) && options.gradient.filter_norm != FilterNorm::kSphere};
  plan.centring = options.gradient.centering;
  plan.average = options.gradient.average;
  plan.tracking = {*options.tracking.track_log_z, options.tracking.every, options.tracking.enumerate};
  plan.report.every = count(options.run.report_every);
  plan.check_every = count(options.run.check);
  if (const std::int64_t every = number_of(options.run.validate_every); every > 0)
    plan.report.validate_every = count(every);
  plan.start = {options.init.values(),
                count(*options.chains.chains),
                count(options.natural.metric ? options.natural.chains.value_or(0) : 0),
                options.chains.trainer,
                count(options.ladder.rungs),
                count(options.ladder.ensembles),
                count(options.tracking.ensembles)};
  return plan;
}

bool is_validated(const Plan& plan, std::uint64_t update) {
  constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  const std::uint64_t every = plan.report.validate_every;
  if (every == kNever) return false;
  for (int halves = 1; halves <= kEarlyValidations; ++halves) {
    if (update == every >> halves && update >= kFirstValidation) return true;
  }
  return update % every == 0 || update == plan.rate.total;
}

bool is_reported(const Plan& plan, std::uint64_t update) {
  return is_validated(plan, update) || update == plan.rate.total || update % plan.report.every == 0;
}

double learning_rate(const RatePlan& plan, std::uint64_t t) {
  const auto x = static_cast<double>(t - plan.begin);
  const auto total = static_cast<double>(plan.total - plan.begin);
  double rate = plan.lr * std::pow(plan.early, std::max(0.0, 1.0 - 2.0 * x / total));
  if (plan.warmup > 0) rate *= std::min(1.0, (x + 1.0) / static_cast<double>(plan.warmup));
  switch (plan.schedule) {
    case Schedule::kConstant:
      return rate;
    case Schedule::kLinear:
      return rate * std::max(0.0, 1.0 - x / total);
    case Schedule::kHalfLinear:
      return rate * std::clamp(2.0 - 2.0 * x / total, 0.0, 1.0);
    case Schedule::kInverse:
      return rate / (1.0 + x / plan.decay_updates);
  }
  return rate;
}

bool falls_to_zero(const RatePlan& plan) {
  return plan.schedule == Schedule::kLinear || plan.schedule == Schedule::kHalfLinear;
}

RatePlan cooling(const RatePlan& plan, std::uint64_t from, std::uint64_t begin, std::uint64_t updates) {
  RatePlan cooled;
  cooled.lr = learning_rate(plan, from);
  cooled.schedule = Schedule::kLinear;
  cooled.begin = begin;
  cooled.total = begin + updates;
  return cooled;
}

}  // namespace tempera
