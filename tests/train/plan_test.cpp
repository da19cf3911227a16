// Options, what is decided of what they leave open, and the plan that this is.
#include "tempera/train/plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "../machines.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 30;
constexpr Index kCases = 300;

using Texts = std::map<std::string, std::string>;

/// Every option as it is written.
Texts written(const TrainOptions& options) {
  Texts texts;
  TrainOptions::visit(
      [&texts](const OptionText& text, const auto& field) { texts[text.name] = text_of(field, text.none); },
      options);
  return texts;
}

/// What was written, into options that began as `options`.
TrainOptions read_into(TrainOptions options, const Texts& texts) {
  TrainOptions::visit(
      [&texts](const OptionText& text, auto& field) {
        EXPECT_TRUE(assign(field, texts.at(text.name), text.none)) << text.name;
      },
      options);
  return options;
}

/// Sets a field to something else.
struct Change {
  void operator()(bool& x) const { x = !x; }
  void operator()(std::int64_t& x) const { x += 3; }
  void operator()(double& x) const { x = 0.5 * x + 0.125; }
  void operator()(std::string& x) const { x += "-changed"; }
  void operator()(DataSource& x) const { x.name += "-changed"; }
  template <Named E>
  void operator()(E& x) const {
    x = x == Names<E>::table.back().value ? Names<E>::table.front().value : Names<E>::table.back().value;
  }
  template <class T>
  void operator()(std::optional<T>& x) const {
    if (!x) x.emplace();
    (*this)(*x);
  }
  template <Named E, class Number>
  void operator()(std::variant<E, Number>& x) const {
    x = Number{7};
  }
  template <Named E>
  void operator()(Leveled<E>& x) const {
    (*this)(x.rule);
    x.level = 7.0;
  }
  template <class T>
  void operator()(std::vector<T>& x) const {
    (*this)(x.emplace_back());
  }
};

/// Options as they would be had every default been another.
TrainOptions other_defaults() {
  TrainOptions options;
  TrainOptions::visit([](const OptionText&, auto& field) { Change()(field); }, options);
  return options;
}

/// Every number of a plan, in words.
class Words {
 public:
  explicit Words(const Plan& p) {
    add(p.batch, p.inference.kind, p.inference.sweeps, p.inference.data_noise, p.sampling.persistent,
        p.sampling.sweeps, p.sampling.jump_rate.value_or(-1.0), p.ladder.motion, p.ladder.beta_lr, p.rate.lr,
        p.rate.schedule, p.rate.decay_updates, p.rate.warmup, p.rate.early, p.rate.total, p.rule.index());
    std::visit([this](const auto& rule) { add_rule(rule); }, p.rule);
    add(p.projection.filter_norm, p.projection.filters_shrink, p.centring, p.average, p.tracking.kind,
        p.tracking.every.has_value(), p.report.every, p.report.validate_every);
    add(p.tracking.every.value_or(0));
    const InitialValues& init = p.start.init;
    add(init.weights.value_or(-1.0), init.visible_precision.value_or(-1.0), init.spike_bias,
        init.spike_precision, init.slab_mean, init.slab_precision, p.start.chains, p.start.metric_chains,
        p.start.trainer, p.start.rungs, p.start.ensembles, p.start.track_ensembles);
  }
  bool operator==(const Words&) const = default;

 private:
  template <class... T>
  void add(const T&... values) {
    (words_.push_back(text_of(static_cast<double>(values))), ...);
  }
  void add_rule(const FirstOrderPlan& rule) {
    add(rule.method, rule.momentum, rule.decay.l1, rule.decay.l2, rule.decay.clip, rule.decay.l1b,
        rule.decay.l2_fields);
    words_.insert(words_.end(), rule.frozen.begin(), rule.frozen.end());
  }
  void add_rule(const NaturalPlan& rule) {
    add(rule.metric.index(), rule.fisher, rule.draws, rule.step.control, rule.step.rate, rule.step.radius,
        rule.step.directions, rule.step.damping, rule.spring, rule.warm_start, rule.decay.l1, rule.decay.l2,
        rule.decay.clip);
    std::visit([this](const auto& metric) { add_metric(metric); }, rule.metric);
  }
  template <class Options>
  void add_metric(const Options& o) {
    if constexpr (requires { o.damping; }) add(o.damping);
    if constexpr (requires { o.memory; }) add(o.memory);
    if constexpr (requires { o.refresh; }) add(o.refresh);
    if constexpr (requires { o.rank; }) add(o.rank);
    if constexpr (requires { o.forgetting; }) add(o.forgetting);
    if constexpr (requires { o.mixing; }) add(o.mixing);
    if constexpr (requires { o.solver; }) add(o.solver, o.preconditioner, o.iterations, o.tolerance);
    if constexpr (requires { o.warm_start; }) add(o.warm_start);
    if constexpr (requires { o.factors; }) add_metric(o.factors);
  }

  std::vector<std::string> words_;
};

/// f(options) for every trainer, without a metric and with each.
template <class F>
void for_each_way(F&& f) {
  for (const NamedValue<Trainer>& trainer : Names<Trainer>::table) {
    TrainOptions options;
    options.chains.trainer = trainer.value;
    f(options);
    for (const NamedValue<MetricKind>& metric : Names<MetricKind>::table) {
      options.natural.metric = metric.value;
      f(options);
    }
  }
}

/// Names of options that say "auto".
std::set<std::string> open_options(const TrainOptions& options) {
  std::set<std::string> open;
  for (const auto& [name, text] : written(options)) {
    if (text == "auto") open.insert(name);
  }
  return open;
}

TEST(TrainOptions, EveryOptionHasANameOfItsOwn) {
  std::set<std::string> names;
  TrainOptions::visit(
      [&names](const OptionText& text, const auto&) {
        EXPECT_TRUE(names.insert(text.name).second) << text.name;
        if (text.old != nullptr) {
          EXPECT_TRUE(names.insert(text.old).second) << text.old;
        }
      },
      TrainOptions());
}

TEST(TrainOptions, WhatIsWrittenIsReadBack) {
  const TrainOptions other = other_defaults();
  const Texts standard = written(TrainOptions());
  const Texts changed = written(other);
  for (const auto& [name, text] : standard) EXPECT_NE(changed.at(name), text) << name << " was not changed";
  EXPECT_EQ(written(read_into(TrainOptions(), changed)), changed);
  EXPECT_EQ(written(read_into(other, standard)), standard);
}

TEST(Resolve, LeavesNothingOpenForAnyKindAndTrainer) {
  EXPECT_EQ(open_options(TrainOptions()),
            (std::set<std::string>{"alphabet", "chains", "damping", "early-rate", "header", "inference",
                                   "init", "jump", "l2", "lr", "optimizer", "patience", "track-every",
                                   "track-log-z", "updates", "validate-every"}));
  for_each_kind([]<class M>(std::type_identity<M>) {
    for_each_way([](const TrainOptions& options) {
      const TrainOptions resolved = resolve<M>(options, kVisible, kCases);
      // How often the tracker steps follows from the chains that a run has, whose number may change, how
      // often chains jump from how many do, and a header and letters from the file.
      std::set<std::string> open = {"alphabet", "header", "track-every"};
      if (HasLatentMarginal<M> && options.chains.trainer != Trainer::kCd) open.insert("jump");
      EXPECT_EQ(open_options(resolved), open) << M::kKind << " " << name_of(options.chains.trainer);
      EXPECT_EQ(written(resolve<M>(resolved, kVisible, kCases)), written(resolved))
          << "nothing is left to do";
    });
  });
}

TEST(Resolve, KeepsWhatIsSaid) {
  const TrainOptions said = other_defaults();
  Texts expected = written(said);
  for_each_kind([&]<class M>(std::type_identity<M>) {
    const TrainOptions resolved = resolve<M>(said, kVisible, kCases);
    // Passes over the data become updates.
    expected["epochs"] = "none";
    expected["updates"] = text_of(*resolved.rate.updates);
    EXPECT_EQ(written(resolved), expected);
  });
}

TEST(Resolve, TakesWhatTheKindPrefers) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    TrainOptions options;
    const TrainOptions plain = resolve<M>(options, kVisible, kCases);
    EXPECT_EQ(plain.rate.lr, M::defaults().learning_rate);
    EXPECT_EQ(plain.first_order.optimizer, M::defaults().first_order);
    EXPECT_EQ(plain.chains.inference, M::defaults().inference);
    EXPECT_EQ(std::get<double>(plain.init.weights), M::default_weight_scale(options.init.values(), kVisible));
    EXPECT_EQ(plain.chains.chains, kCases) << "as many as the batch, which is never longer than the data";
    options.natural.metric = MetricKind::kKfac;
    EXPECT_EQ((resolve<M>(options, kVisible, kCases).rate.lr), M::defaults().natural_learning_rate);
  });
}

TEST(Resolve, LengthRateAndValidationFollowTheMachineAndItsData) {
  const auto resolved = [](const MachinePreferences& preferences, TrainOptions options = {}) {
    return resolve(options, preferences, kCases);
  };
  MachinePreferences preferences;
  EXPECT_EQ(resolved(preferences).rate.updates, 5000);
  preferences.parameters = kUsualParameters / 4.0;
  EXPECT_EQ(resolved(preferences).rate.updates, 10000);
  preferences.parameters = 100.0;
  EXPECT_EQ(resolved(preferences).rate.updates, 20000);
  preferences.parameters = 4.0 * kUsualParameters;
  EXPECT_EQ(resolved(preferences).rate.updates, 2500) << "few cases, and an update that costs four times";
  EXPECT_EQ(resolve(TrainOptions{}, preferences, 60000).rate.updates, 5000) << "40 epochs are not enough";
  preferences.parameters = 1e4 * kUsualParameters;
  EXPECT_EQ(resolve(TrainOptions{}, preferences, 4000).rate.updates, 1000) << "100 epochs, rounded up";
  preferences.parameters = 100.0;
  EXPECT_EQ(resolved(preferences).rate.lr, 0.3);
  EXPECT_EQ(number_of(resolved(preferences).run.validate_every), 0);
  EXPECT_EQ(number_of(resolved(preferences).run.patience), 0);
  preferences.variance = 22.0;
  preferences.validates = true;
  EXPECT_NEAR(*resolved(preferences).rate.lr, 0.3 / 8.0, 1e-12);
  EXPECT_EQ(resolved(preferences).rate.early_rate, 1.0) << "not of a kind that asks for none";
  preferences.defaults.begins_high = true;
  EXPECT_NEAR(*resolved(preferences).rate.early_rate, 8.0, 1e-12) << "begins as others do";
  preferences.parameters = 784.0 * 50.0;
  EXPECT_NEAR(*resolved(preferences).rate.early_rate, 4.0, 1e-12) << "many hidden units make modes early";
  preferences.parameters = 784.0 * 200.0;
  EXPECT_EQ(resolved(preferences).rate.early_rate, 1.0);
  preferences.parameters = 100.0;
  preferences.n_visible = 4000;
  EXPECT_NEAR(*resolved(preferences).rate.early_rate, 2.0, 1e-12);
  preferences.n_visible = 40000;
  EXPECT_EQ(resolved(preferences).rate.early_rate, 1.0) << "never below the schedule";
  preferences.n_visible = 784;
  TrainOptions asked;
  asked.rate.lr = 0.01;
  EXPECT_EQ(resolved(preferences, asked).rate.early_rate, 1.0) << "a rate that is asked for is what it says";
  asked.rate.early_rate = 5.0;
  EXPECT_EQ(resolved(preferences, asked).rate.early_rate, 5.0);
  MachinePreferences letters;
  letters.defaults.learning_rate = 1.0;
  letters.variance = 1.65;
  EXPECT_NEAR(*resolved(letters).rate.lr, 1.0, 1e-12);
  letters.variance = 6.6;
  EXPECT_NEAR(*resolved(letters).rate.lr, 1.0 / 8.0, 1e-12) << "rate times variance is what must not grow";
  letters.defaults.learning_rate = 0.003;
  letters.variance = 22.0;
  EXPECT_NEAR(*resolved(letters).rate.lr, 0.003 / 8.0, 1e-12) << "smaller rates fall as that of bits";
  EXPECT_EQ(number_of(resolved(preferences).run.validate_every), 1000);
  TrainOptions options;
  for (const Schedule any : {Schedule::kInverse, Schedule::kConstant, Schedule::kLinear}) {
    options.rate.schedule = any;
    EXPECT_EQ(number_of(resolved(preferences, options).run.patience), 6);
  }
  options.rate.updates = 100;
  EXPECT_EQ(number_of(resolved(preferences, options).run.validate_every), 0) << "too short to be worth it";
  options.run.validate_every = 10;
  EXPECT_EQ(number_of(resolved(preferences, options).run.patience), 0)
      << "asked for validations, not for a stop";
  options = {};
  options.first_order.optimizer = FirstOrder::kAdam;
  EXPECT_EQ(resolved(preferences, options).rate.lr, 0.3) << "adam's steps have no unit";
}

TEST(Resolve, DecayFollowsTheNumberOfCases) {
  const auto decay = [](const MachinePreferences& preferences, const TrainOptions& options = {}) {
    return std::get<double>(resolve(options, preferences, kCases).gradient.l2);
  };
  MachinePreferences preferences;
  EXPECT_EQ(decay(preferences), 0.0) << "a kind that asks for none";
  preferences.defaults = BernoulliRbm::defaults();
  preferences.total_weight = 10000.0;
  EXPECT_EQ(decay(preferences), 2e-4);
  preferences.parameters = 1000.0;
  EXPECT_DOUBLE_EQ(decay(preferences), 1e-4) << "few parameters do not overfit much";
  TrainOptions options;
  options.first_order.optimizer = FirstOrder::kAdam;
  EXPECT_EQ(decay(preferences, options), 0.0);
  options = {};
  options.natural.metric = MetricKind::kKfac;
  EXPECT_EQ(decay(preferences, options), 0.0);
  options = {};
  options.gradient.l1 = 1e-3;
  EXPECT_EQ(decay(preferences, options), 0.0);
  options = {};
  options.gradient.l2 = 0.0;
  EXPECT_EQ(decay(preferences, options), 0.0) << "0 is a decay that was asked for";
  EXPECT_GT(std::get<double>((resolve<GaussianRbm>(TrainOptions(), kVisible, kCases).gradient.l2)), 0.0);
  EXPECT_EQ(std::get<double>((resolve<SpikeSlabRbm>(TrainOptions(), kVisible, kCases).gradient.l2)), 0.0);
  const CaseWeights weights(std::vector<double>(kCases, 100.0));
  TrainOptions large;
  large.machine.hidden = {500, 500};
  EXPECT_EQ(std::get<double>((resolve<Dbm>(large, 1000, kCases, 0.0, false, weights).gradient.l2)),
            2.0 / (100.0 * kCases))
      << "a case of weight 100 is a hundred cases";
}

TEST(Plan, ValidatesEarlyAsWell) {
  Plan plan;
  plan.rate.total = 5100;
  plan.report.every = 100;
  const auto validations = [&plan] {
    std::vector<std::uint64_t> all;
    for (std::uint64_t update = 1; update <= plan.rate.total; ++update) {
      if (is_validated(plan, update)) all.push_back(update);
      EXPECT_TRUE(!is_validated(plan, update) || is_reported(plan, update));
    }
    return all;
  };
  EXPECT_TRUE(validations().empty());
  plan.report.validate_every = 2500;
  EXPECT_EQ(validations(), (std::vector<std::uint64_t>{312, 625, 1250, 2500, 5000, 5100}));
  plan.report.validate_every = 60;
  plan.rate.total = 150;
  EXPECT_EQ(validations(), (std::vector<std::uint64_t>{30, 60, 120, 150}));
}

TEST(Resolve, AStagedStartStaysARule) {
  TrainOptions options;
  options.init.weights = InitRule::kStaged;
  const TrainOptions resolved = resolve<BilinearSpikeSlabRbm>(options, kVisible, kCases);
  EXPECT_TRUE(resolved.init.staged());
  EXPECT_FALSE(resolved.init.values().weights.has_value()) << "the machine's own";
}

TEST(Plan, HasWhatTheOptionsSay) {
  TrainOptions options;
  options.chains = {Trainer::kSmlPt, 70, 33, 3, 0.25, Inference::kMeanField, 7, 0.5};
  options.ladder = {Placement::kEqualRejection, 2e-4, 12, 4};
  options.tracking = {Tracking::kSmc, std::int64_t{5}, 9};
  options.rate = {123, std::nullopt, 0.02, Schedule::kLinear, 77.0, 9, 3.0};
  options.gradient = {0.1, 0.4, 0.2, 0.5, 3.0, false, false, FilterNorm::kBall, {"slab_mean"}};
  options.first_order = {FirstOrder::kAdam, 0.6};
  options.run.report_every = 11;
  options.run.validate_every = 22;
  options.init.weights = 0.3;
  options.init.visible_precision = 2.0;
  options.init.slab_mean = -1.5;
  const Plan plan = plan_of(resolve(options, MachinePreferences(), kCases), kCases);
  EXPECT_EQ(plan.batch, 70U);
  EXPECT_EQ(plan.inference.kind, Inference::kMeanField);
  EXPECT_EQ(plan.inference.sweeps, 7);
  EXPECT_EQ(plan.inference.data_noise, 0.5);
  EXPECT_TRUE(plan.sampling.persistent);
  EXPECT_EQ(plan.sampling.sweeps, 3U);
  EXPECT_EQ(plan.sampling.jump_rate, 0.25);
  EXPECT_EQ(plan.ladder.motion, LadderMotion::kFixed);
  EXPECT_EQ(plan.ladder.beta_lr, 2e-4);
  EXPECT_EQ(plan.rate.lr, 0.02);
  EXPECT_EQ(plan.rate.schedule, Schedule::kLinear);
  EXPECT_EQ(plan.rate.decay_updates, 77.0);
  EXPECT_EQ(plan.rate.warmup, 9U);
  EXPECT_EQ(plan.rate.early, 3.0);
  EXPECT_EQ(plan.rate.total, 123U);
  const auto& rule = std::get<FirstOrderPlan>(plan.rule);
  EXPECT_EQ(rule.method, FirstOrder::kAdam);
  EXPECT_EQ(rule.momentum, 0.6);
  EXPECT_EQ(rule.decay.l1, 0.1);
  EXPECT_EQ(rule.decay.l2, 0.2);
  EXPECT_EQ(rule.decay.l1b, 0.4);
  EXPECT_EQ(rule.decay.l2_fields, 0.5);
  EXPECT_EQ(rule.decay.clip, 3.0);
  EXPECT_EQ(rule.frozen, std::vector<std::string>{"slab_mean"});
  EXPECT_EQ(plan.projection.filter_norm, FilterNorm::kBall);
  EXPECT_FALSE(plan.centring);
  EXPECT_FALSE(plan.average);
  EXPECT_EQ(plan.tracking.kind, Tracking::kSmc);
  EXPECT_EQ(plan.tracking.every, 5);
  EXPECT_EQ(plan.report.every, 11U);
  EXPECT_EQ(plan.report.validate_every, 22U);
  EXPECT_EQ(plan.start.init.weights, 0.3);
  EXPECT_EQ(plan.start.init.visible_precision, 2.0);
  EXPECT_EQ(plan.start.init.slab_mean, -1.5);
  EXPECT_EQ(plan.start.chains, 33U);
  EXPECT_EQ(plan.start.metric_chains, 0U);
  EXPECT_EQ(plan.start.trainer, Trainer::kSmlPt);
  EXPECT_EQ(plan.start.rungs, 12U);
  EXPECT_EQ(plan.start.ensembles, 4U);
  EXPECT_EQ(plan.start.track_ensembles, 9U);
  EXPECT_TRUE(plan.mask.empty());
}

TEST(Plan, OfAMetricHasItsOptions) {
  for (const NamedValue<MetricKind>& kind : Names<MetricKind>::table) {
    TrainOptions options;
    options.natural.metric = kind.value;
    const auto rule_of = [&options] {
      const Plan plan = plan_of(resolve(options, MachinePreferences(), kCases), kCases);
      return std::get<NaturalPlan>(plan.rule);
    };
    EXPECT_EQ(kind_of(rule_of().metric), kind.value);
    EXPECT_EQ(damping_of(rule_of().metric), damping_of(default_options(kind.value)));
    EXPECT_EQ(rule_of().step.damping, damping_of(rule_of().metric));
    EXPECT_EQ(rule_of().decay.clip, std::numeric_limits<double>::infinity());
    options.natural.damping = 0.7;
    options.natural.fisher = FisherLaw::kJoint;
    options.natural.step = StepControl::kBlocks2;
    options.natural.radius = 0.4;
    options.natural.spring = 0.8;
    options.natural.draws = 99;
    options.gradient.clip = 2.5;
    EXPECT_EQ(damping_of(rule_of().metric), 0.7);
    EXPECT_EQ(rule_of().fisher, FisherLaw::kJoint);
    EXPECT_EQ(rule_of().step.control, StepControl::kBlocks2);
    EXPECT_EQ(rule_of().step.radius, 0.4);
    EXPECT_EQ(rule_of().spring, 0.8);
    EXPECT_EQ(rule_of().draws, 99U);
    EXPECT_EQ(rule_of().decay.clip, 2.5);
    // Every option of a metric enters the plans of those that have it, and no other's.
    const auto enters = [&](auto NaturalOptions::*option) {
      const TrainOptions before = options;
      const Words standard(plan_of(resolve(options, MachinePreferences(), kCases), kCases));
      Change()(options.natural.*option);
      const Words changed(plan_of(resolve(options, MachinePreferences(), kCases), kCases));
      options = before;
      return changed != standard;
    };
    const auto is_one_of = [&kind](std::initializer_list<MetricKind> kinds) {
      return std::find(kinds.begin(), kinds.end(), kind.value) != kinds.end();
    };
    using enum MetricKind;
    EXPECT_EQ(enters(&NaturalOptions::memory), !is_one_of({kSample, kExact})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::refresh), !is_one_of({kDiagonal, kSample, kExact})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::mixing), is_one_of({kHybrid})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::iterations), is_one_of({kMfng})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::tolerance), is_one_of({kMfng})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::solver), is_one_of({kMfng})) << kind.name;
    EXPECT_EQ(enters(&NaturalOptions::precondition), is_one_of({kMfng})) << kind.name;
  }
}

TEST(Plan, OfATrainerHasItsChainsAndLadder) {
  const auto plan = [](Trainer trainer, Placement placement = Placement::kEqualRejection) {
    TrainOptions options;
    options.chains.trainer = trainer;
    options.ladder.placement = placement;
    return plan_of(resolve(options, MachinePreferences(), kCases), kCases);
  };
  EXPECT_FALSE(plan(Trainer::kCd).sampling.persistent);
  for (const Trainer trainer : {Trainer::kSml, Trainer::kSmlPt, Trainer::kSmlApt, Trainer::kSmlPtt})
    EXPECT_TRUE(plan(trainer).sampling.persistent) << name_of(trainer);
  for (const Trainer trainer : {Trainer::kCd, Trainer::kSml, Trainer::kSmlPt, Trainer::kSmlPtt})
    EXPECT_EQ(plan(trainer, Placement::kDesjardins2010).ladder.motion, LadderMotion::kFixed)
        << name_of(trainer);
  EXPECT_EQ(plan(Trainer::kSmlApt).ladder.motion, LadderMotion::kEqualRejection);
  EXPECT_EQ(plan(Trainer::kSmlApt, Placement::kDesjardins2010).ladder.motion, LadderMotion::kFeedback);
  for (const NamedValue<Trainer>& trainer : Names<Trainer>::table)
    EXPECT_EQ(plan(trainer.value).tracking.kind,
              is_tempered(trainer.value) ? Tracking::kLattice : Tracking::kNone)
        << trainer.name;
}

TEST(Plan, OfWrittenOptionsDoesNotKnowTheDefaults) {
  const TrainOptions other = other_defaults();
  for_each_kind([&]<class M>(std::type_identity<M>) {
    for_each_way([&](const TrainOptions& options) {
      const TrainOptions resolved = resolve<M>(options, kVisible, kCases);
      const Words plan(plan_of(resolved, kCases));
      // Every default of an option, and all that a kind prefers, are others when the run goes on.
      MachinePreferences preferences{M::defaults(), 0.5};
      preferences.jumps = HasLatentMarginal<M>;  // what a machine can do is no default
      preferences.parameters = 1.0;
      preferences.variance = 100.0;
      preferences.validates = true;
      preferences.defaults.learning_rate *= 2.0;
      preferences.defaults.natural_learning_rate *= 2.0;
      preferences.defaults.first_order =
          M::defaults().first_order == FirstOrder::kAdam ? FirstOrder::kSgd : FirstOrder::kAdam;
      const auto plan_later = [&](const TrainOptions& read) {
        return Words(plan_of(resolve(read, preferences, kCases), kCases));
      };
      EXPECT_EQ(plan_later(read_into(other, written(resolved))), plan) << M::kKind;
      EXPECT_NE(plan_later(options), plan) << "planted: what was not decided when it was written";
      EXPECT_NE(plan_later(other), plan) << "planted: what was not written";
    });
  });
}

TEST(Training, SchedulesAreTheStatedFunctions) {
  RatePlan plan;
  plan.lr = 0.4;
  plan.total = 100;
  plan.schedule = Schedule::kConstant;
  EXPECT_DOUBLE_EQ(learning_rate(plan, 70), 0.4);
  plan.schedule = Schedule::kLinear;
  EXPECT_DOUBLE_EQ(learning_rate(plan, 0), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(plan, 75), 0.1);
  EXPECT_TRUE(falls_to_zero(plan));
  plan.schedule = Schedule::kInverse;
  plan.decay_updates = 50;
  EXPECT_DOUBLE_EQ(learning_rate(plan, 50), 0.2);
  EXPECT_FALSE(falls_to_zero(plan));
  plan.schedule = Schedule::kLinear;
  plan.early = 16.0;
  EXPECT_DOUBLE_EQ(learning_rate(plan, 0), 6.4);
  EXPECT_DOUBLE_EQ(learning_rate(plan, 25), 1.2) << "half of the way on a logarithmic scale, and linear";
  EXPECT_DOUBLE_EQ(learning_rate(plan, 50), 0.2) << "as it would have been";
  EXPECT_DOUBLE_EQ(learning_rate(plan, 75), 0.1);
}

TEST(Training, CoolingFallsFromTheRateOfAnUpdateWhenItsTimeComes) {
  RatePlan plan;
  plan.lr = 0.4;
  plan.total = 100;
  plan.schedule = Schedule::kLinear;
  plan.warmup = 10;
  const RatePlan cooled = cooling(plan, 25, 60, 20);
  EXPECT_EQ(cooled.total, 80U);
  EXPECT_TRUE(falls_to_zero(cooled));
  EXPECT_DOUBLE_EQ(learning_rate(cooled, 60), 0.3) << "no warm-up again";
  EXPECT_DOUBLE_EQ(learning_rate(cooled, 70), 0.15);
  EXPECT_DOUBLE_EQ(learning_rate(cooled, 80), 0.0);
  plan.schedule = Schedule::kConstant;
  EXPECT_DOUBLE_EQ(learning_rate(cooling(plan, 25, 60, 20), 75), 0.1);
}

TEST(Training, EpochsCountTheShortLastBatch) {
  TrainOptions options;
  options.chains.batch = 130;
  options.rate.epochs = 2;
  const auto total = [&options](Index n_cases) {
    const TrainOptions resolved = resolve(options, MachinePreferences(), n_cases);
    EXPECT_EQ(plan_of(resolved, n_cases).rate.total, static_cast<std::uint64_t>(*resolved.rate.updates));
    return plan_of(resolved, n_cases).rate.total;
  };
  EXPECT_EQ(total(300), 6U);
  EXPECT_EQ(total(260), 4U);
  EXPECT_EQ(total(100), 2U) << "a batch is never longer than the data";
}

TEST(Config, ReportsEveryViolationAtOnce) {
  TrainOptions options;
  options.data.data = "digits";
  EXPECT_TRUE(check(options).empty());
  options.rate.lr = -1;
  options.machine.hidden = {0};
  options.machine.kind = "magic";
  EXPECT_EQ(check(options).size(), 3U);
}

TEST(Config, ANameThatThereIsNotIsNoValue) {
  ChainOptions options;
  EXPECT_FALSE(assign(options.trainer, "magic"));
  EXPECT_EQ(options.trainer, ChainOptions().trainer) << "it stays what it was";
  EXPECT_TRUE(assign(options.trainer, "sml-ptt"));
  EXPECT_EQ(options.trainer, Trainer::kSmlPtt);
}
}  // namespace
}  // namespace tempera
