// Everything that a user may say of a training run, one struct for each concern. The fields are the only
// place where defaults stand; `resolve` (train/plan.hpp) makes a Plan of them.
#pragma once

#include "tempera/core/dataset.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/models/description.hpp"
#include "tempera/models/machine_options.hpp"
#include "tempera/train/metrics/all_metrics.hpp"
#include "tempera/train/step.hpp"

namespace tempera {

/// A rule in the place of a number that says how large the first weights are.
enum class InitRule { kAuto, kStaged };
template <>
struct Names<InitRule> {
  static constexpr std::array<NamedValue<InitRule>, 2> table = {
      {{InitRule::kAuto, "auto",
        "0.05 of restricted machines, and less beyond 1,000 visibles; 0.01 of others; where spikes have a "
        "precision what takes 0.8 of it along each filter, since weights of 0 are a saddle there"},
       {InitRule::kStaged, "staged",
        "of tables of factors: filters of a plain machine, placed in the table by how their spikes go "
        "together"}}};
};

/// The precision of the data in the place of a number.
enum class PrecisionRule { kData };
template <>
struct Names<PrecisionRule> {
  static constexpr std::array<NamedValue<PrecisionRule>, 1> table = {
      {{PrecisionRule::kData, "data", "that of every column of the data"}}};
};

/// Where training begins. Fields that a kind does not have are not read.
struct InitOptions {
  std::variant<InitRule, double> weights = InitRule::kAuto;
  std::variant<PrecisionRule, double> visible_precision = PrecisionRule::kData;
  double spike_bias = InitialValues().spike_bias;
  double spike_precision = InitialValues().spike_precision;
  double slab_mean = InitialValues().slab_mean;
  double slab_precision = InitialValues().slab_precision;
  std::string from;  // a model or run directory; empty: none

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"init", "standard deviation of the initial weights, or a rule"}, s.weights...);
    f(OptionText{"init-visible-precision", "precision of real visibles at the start, or a rule"},
      s.visible_precision...);
    f(OptionText{"init-spike-bias", "bias of spikes (and of g, h and gates) at the start"}, s.spike_bias...);
    f(OptionText{"init-spike-precision",
                 "precision that a spike gives the visibles (Phi) at the start; 0: never any"},
      s.spike_precision...);
    f(OptionText{"init-slab-mean", "mean of slabs at the start"}, s.slab_mean...);
    f(OptionText{"init-slab-precision", "precision of slabs at the start"}, s.slab_precision...);
    f(OptionText{"from", "model or run directory whose parameters training begins at, of the same shape"},
      s.from...);
  }

  /// Whether training begins with a stage of its own (train/staged.hpp).
  [[nodiscard]] bool staged() const {
    const InitRule* const rule = std::get_if<InitRule>(&weights);
    return rule != nullptr && *rule == InitRule::kStaged;
  }
  /// The numbers; rules are left to the machine.
  [[nodiscard]] InitialValues values() const;
};

struct DataOptions {
  DataSource data;
  BinarizeChoice binarize;
  ColumnOptions columns;
  std::string shape;
  bool allow_constant = false;
  double holdout = 0.0;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"data", "data set: a built-in name or a file", true}, s.data...);
    f(OptionText{"binarize", "how grey data becomes binary", true}, s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"shape",
                 "HEIGHTxWIDTH of a case as a picture, or HEIGHTxWIDTHx3; the file's where not given"},
      s.shape...);
    f(OptionText{"allow-constant", "take data that --binarize makes constant for the most part"},
      s.allow_constant...);
    f(
        OptionText{
            "holdout",
            "part of the training cases, drawn by the seed, that becomes the valid split of data without "
            "one",
            true},
        s.holdout...);
  }
};

enum class Trainer { kCd, kSml, kSmlPt, kSmlApt, kSmlPtt };
template <>
struct Names<Trainer> {
  static constexpr std::array<NamedValue<Trainer>, 5> table = {
      {{Trainer::kCd, "cd", "sweeps from the data"},
       {Trainer::kSml, "sml", "persistent chains"},
       {Trainer::kSmlPt, "sml-pt", "with a fixed temperature ladder"},
       {Trainer::kSmlApt, "sml-apt", "with one that adapts"},
       {Trainer::kSmlPtt, "sml-ptt", "with snapshots of the machine on its way"}}};
};

template <>
struct Names<Inference> {
  static constexpr std::array<NamedValue<Inference>, 3> table = {
      {{Inference::kExact, "exact", ""},
       {Inference::kMeanField, "mean-field", "of machines with several latent layers, or tables of factors"},
       {Inference::kSampled, "sampled", "of machines with several latent layers"}}};
};

/// Rules in the place of a number of updates or validations.
enum class WatchRule { kAuto, kNone };
template <>
struct Names<WatchRule> {
  static constexpr std::array<NamedValue<WatchRule>, 2> table = {
      {{WatchRule::kAuto, "auto", "where there is a valid split and log Z is tracked"},
       {WatchRule::kNone, "none", "never"}}};
};

/// Chains of the two phases.
struct ChainOptions {
  Trainer trainer = Trainer::kSmlApt;
  std::int64_t batch = 500;
  std::optional<std::int64_t> chains;
  std::int64_t sweeps = 1;
  std::variant<JumpRule, double> jump = JumpRule::kAuto;
  std::optional<Inference> inference;
  std::int64_t inference_sweeps = 5;
  double data_noise = 0.0;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"trainer", "where the chains of the gradient come from", true}, s.trainer...);
    f(OptionText{"batch", "cases per update; the last batch of an epoch may be shorter", true}, s.batch...);
    f(OptionText{"chains",
                 "persistent chains at beta = 1 that give the gradient; auto takes as many as the batch"},
      s.chains...);
    f(OptionText{"sweeps", "Gibbs sweeps per update"}, s.sweeps...);
    f(
        OptionText{
            "jump",
            "probability that a sweep begins with a jump of every chain towards the latents of a case seen "
            "lately, or a mode that a search has found"},
        s.jump...);
    f(OptionText{"inference", "latents given the data; auto is exact where the machine allows it", false,
                 "auto", "positive"},
      s.inference...);
    f(OptionText{"inference-sweeps", "sweeps of a mean field or of sampling in the positive phase", false,
                 "auto", "positive-sweeps"},
      s.inference_sweeps...);
    f(OptionText{"data-noise", "standard deviation of noise added to real-valued cases in training"},
      s.data_noise...);
  }
};

/// How sml-apt places its rungs.
enum class Placement { kEqualRejection, kDesjardins2010 };
template <>
struct Names<Placement> {
  static constexpr std::array<NamedValue<Placement>, 2> table = {
      {{Placement::kEqualRejection, "equal-rejection", "non-reversible tempering"},
       {Placement::kDesjardins2010, "desjardins2010", "feedback of return times, rungs that spawn"}}};
};

struct LadderOptions {
  Placement placement = Placement::kEqualRejection;
  double beta_lr = 1e-4;
  std::int64_t rungs = 10;
  std::int64_t ensembles = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"placement", "how sml-apt places its rungs", false, "auto", "ladder"}, s.placement...);
    f(OptionText{"beta-lr", "part of the way that desjardins2010 moves a rung in an update"}, s.beta_lr...);
    f(OptionText{"rungs", "rungs of sml-pt; of sml-apt at its start"}, s.rungs...);
    f(OptionText{"ensembles", "temperature ladders side by side in sml-pt and sml-apt"}, s.ensembles...);
  }
};

enum class Tracking { kNone, kLattice, kSmc, kShared };
template <>
struct Names<Tracking> {
  static constexpr std::array<NamedValue<Tracking>, 4> table = {
      {{Tracking::kNone, "none", ""},
       {Tracking::kLattice, "lattice", "chains of their own on a ladder; also without a value"},
       {Tracking::kSmc, "smc", "particles alone"},
       {Tracking::kShared, "shared", "the ladder of sml-pt itself"}}};
};

/// A rule in the place of the number of updates between steps of the tracker.
/// How log Z of the model is followed.
struct TrackingOptions {
  std::optional<Tracking> track_log_z;
  std::optional<std::int64_t> every;  // updates; nothing: as often as costs about a quarter of them
  std::int64_t ensembles = 20;
  bool enumerate = true;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"track-log-z",
                 "how log Z of the model is followed; auto is lattice with a temperature ladder, else none"},
      s.track_log_z...);
    f(OptionText{"track-every",
                 "updates between steps of the tracker; auto: what costs about a quarter of the updates"},
      s.every...);
    f(OptionText{"track-ensembles", "temperature ladders side by side in the tracker"}, s.ensembles...);
    f(OptionText{"enumerate", "hold log Z against enumeration where that is cheap"}, s.enumerate...);
  }
};

enum class Schedule { kConstant, kLinear, kHalfLinear, kInverse };
template <>
struct Names<Schedule> {
  static constexpr std::array<NamedValue<Schedule>, 4> table = {
      {{Schedule::kConstant, "constant", ""},
       {Schedule::kLinear, "linear", "to 0 at the last update"},
       {Schedule::kHalfLinear, "half-linear", "constant, then to 0 over the second half"},
       {Schedule::kInverse, "inverse", "lr / (1 + t / decay-updates)"}}};
};

/// How long, and how fast.
struct RateOptions {
  std::optional<std::int64_t> updates;
  std::optional<std::int64_t> epochs;
  std::optional<double> lr;
  Schedule schedule = Schedule::kLinear;
  double decay_updates = 2500.0;
  std::int64_t warmup = 0;
  std::optional<double> early_rate;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(
        OptionText{
            "updates",
            "parameter updates in total; auto is 5000, up to 20000 for machines of fewer parameters than "
            "784 x 500, whose updates are faster, and down to 100 epochs for those of more",
            true},
        s.updates...);
    f(OptionText{"epochs", "passes over the data, in place of --updates", true, "none"}, s.epochs...);
    f(
        OptionText{
            "lr",
            "learning rate at the start, before --early-rate multiplies it; auto is 0.3, of letters 1, or "
            "less where the cases vary much along one direction; for real values 0.02, with slabs 0.006, "
            "with blocks or exact zeros 0.003, and 0.03 of all of these with a metric",
            true},
        s.lr...);
    f(OptionText{"schedule", "how the learning rate goes on", true}, s.schedule...);
    f(OptionText{"decay-updates", "updates after which the inverse schedule has halved the rate"},
      s.decay_updates...);
    f(OptionText{"warmup", "updates over which the rate rises from 0 to the schedule's"}, s.warmup...);
    f(
        OptionText{
            "early-rate",
            "what the learning rate is multiplied by at the first update; it comes to 1 by a constant "
            "factor an update over the first half of them; auto is 1, and for H < 100 hidden units of binary "
            "cases, where --lr auto is less since they vary much along one direction, what makes it "
            "0.3, (100 / H)^2 at most",
            true},
        s.early_rate...);
  }
};

/// A rule in the place of the decay of the weights.
enum class DecayRule { kAuto };
template <>
struct Names<DecayRule> {
  static constexpr std::array<NamedValue<DecayRule>, 1> table = {
      {{DecayRule::kAuto, "auto",
        "2 over the number of training cases, 1e-7 times that of parameters at most; 0 with slabs, a metric, "
        "--l1, --l1b or an --optimizer that is not the machine's"}}};
};

/// Length of filters of spike-and-slab machines.
enum class FilterNorm { kFree, kBall, kSphere };
template <>
struct Names<FilterNorm> {
  static constexpr std::array<NamedValue<FilterNorm>, 3> table = {{{FilterNorm::kFree, "free", ""},
                                                                   {FilterNorm::kBall, "ball", "at most 1"},
                                                                   {FilterNorm::kSphere, "sphere", "1"}}};
};

/// What holds for every rule.
struct GradientOptions {
  double l1 = 0.0;
  double l1b = 0.0;
  std::variant<DecayRule, double> l2 = DecayRule::kAuto;
  double l2_fields = 0.0;
  std::optional<double> clip;
  bool centering = true;
  bool average = true;
  FilterNorm filter_norm = FilterNorm::kFree;
  std::vector<std::string> freeze;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"l1", "decay of the weights, l1 x sign(W) in the gradient"}, s.l1...);
    f(OptionText{"l1b",
                 "decay of the weights, l1b x sign(W) x the mean size of the weights of the hidden unit in "
                 "the gradient: filters "
                 "become sparse, and equally strong (PGM's l1b, also l2l1)"},
      s.l1b...);
    f(OptionText{"l2", "decay of the weights, l2 x W in the gradient"}, s.l2...);
    f(OptionText{"l2-fields", "decay of the biases of the visibles, l2-fields x bias in the gradient"},
      s.l2_fields...);
    f(OptionText{"clip", "largest norm of the (centred) gradient", false, "none"}, s.clip...);
    f(OptionText{"centering", "centre units on their means"}, s.centering...);
    f(OptionText{"average", "keep the model averaged over about the last tenth of the updates (Polyak)"},
      s.average...);
    f(OptionText{"filter-norm", "length of filters of spike-and-slab models"}, s.filter_norm...);
    f(OptionText{"freeze",
                 "parameters (names of fields) that training leaves as they are; spike-and-slab models"},
      s.freeze...);
  }
};

template <>
struct Names<FirstOrder> {
  static constexpr std::array<NamedValue<FirstOrder>, 2> table = {
      {{FirstOrder::kSgd, "sgd", ""}, {FirstOrder::kAdam, "adam", ""}}};
};

/// The rule without a metric.
struct FirstOrderOptions {
  std::optional<FirstOrder> optimizer;
  double momentum = 0.0;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"optimizer",
                 "of euclid: sgd or adam; auto is adam for the models with real values or slabs"},
      s.optimizer...);
    f(OptionText{"momentum", "momentum of sgd, first-moment decay of adam where above 0"}, s.momentum...);
  }
};

/// Which law the Fisher matrix is of.
enum class FisherLaw { kJoint, kMarginal };
template <>
struct Names<FisherLaw> {
  static constexpr std::array<NamedValue<FisherLaw>, 2> table = {
      {{FisherLaw::kJoint, "joint", "the joint law of all units"},
       {FisherLaw::kMarginal, "marginal", "with the latents summed out"}}};
};

/// The rule with a metric between gradient and step.
struct NaturalOptions {
  std::optional<MetricKind> metric;  // nothing: the rule is of first order
  FisherLaw fisher = FisherLaw::kMarginal;
  std::optional<double> damping;
  StepControl step = StepOptions().control;
  double radius = StepOptions().radius;
  double spring = 0.0;
  std::optional<std::int64_t> chains;
  std::int64_t draws = 256;
  double memory = kMemory;
  std::int64_t refresh = kRefresh;
  std::int64_t rank = TongaOptions().rank;
  double mixing = HybridOptions().mixing;
  std::int64_t iterations = MfngOptions().iterations;
  double tolerance = MfngOptions().tolerance;
  MfngSolver solver = MfngOptions().solver;
  MfngPreconditioner precondition = MfngOptions().preconditioner;
  bool warm_start = MfngOptions().warm_start;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"metric", "what turns the gradient into a direction; euclid is --optimizer", true, "euclid"},
      s.metric...);
    f(OptionText{"fisher", "law of the Fisher matrix"}, s.fisher...);
    f(
        OptionText{
            "damping",
            "added to the Fisher matrix, or to the covariances of factored metrics; auto is 0.1, or 0.05 "
            "for diagonal, kfac, ekfac, fang and hybrid"},
        s.damping...);
    f(OptionText{"step-control", "length along the metric's direction", false, "auto", "step"}, s.step...);
    f(OptionText{"radius", "predicted KL divergence of a step at most, nats"}, s.radius...);
    f(OptionText{"spring", "part of the last direction that the next one is drawn to (SPRING momentum)"},
      s.spring...);
    f(OptionText{"metric-chains",
                 "persistent chains for the metric alone, whose steps those of the gradient then measure; "
                 "none takes those of the gradient for both",
                 false, "none"},
      s.chains...);
    f(OptionText{"metric-draws",
                 "chains at most that metrics made of draws look at (sample, mfng, tonga, hybrid, exact)"},
      s.draws...);
    f(OptionText{"metric-memory", "updates that running means of factored metrics look back"}, s.memory...);
    f(OptionText{"metric-refresh", "updates between inversions of factors, and insertions of tonga"},
      s.refresh...);
    f(OptionText{"metric-rank", "directions that tonga keeps; directions of --step krylov at most"},
      s.rank...);
    f(OptionText{"metric-mixing", "part of kfac in hybrid"}, s.mixing...);
    f(OptionText{"metric-iterations", "iterations of mfng at most"}, s.iterations...);
    f(OptionText{"metric-tolerance", "relative residual at which mfng stops"}, s.tolerance...);
    f(OptionText{"metric-solver", "of mfng"}, s.solver...);
    f(OptionText{"precondition", "of mfng"}, s.precondition...);
    f(OptionText{"warm-start", "begin mfng at the last direction"}, s.warm_start...);
  }
};

/// What a run reports and keeps.
struct RunOptions {
  std::variant<WatchRule, std::int64_t> validate_every = WatchRule::kAuto;
  std::variant<WatchRule, std::int64_t> patience = WatchRule::kAuto;
  std::int64_t report_every = 100;
  std::int64_t checkpoint_every = 1000;
  std::int64_t keep = 3;
  std::int64_t check = 0;
  bool pictures = true;
  std::int64_t seed = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"validate-every",
                 "updates between validation likelihoods, the best of which is of the model that is offered; "
                 "the first is preceded by ones at an eighth, a quarter and half of them, from update 25 on; "
                 "auto: a twentieth of them all",
                 true},
      s.validate_every...);
    f(
        OptionText{
            "patience",
            "validations without improvement (where the rate falls to 0: ones that are worse than the best "
            "by a standard error, or the first of the last tenth of the updates, where an earlier model "
            "would "
            "be offered) after which training goes back to the best model, lets the rate fall to 0 there in "
            "as many updates as led to it or lie between two validations (in the last tenth: in all that are "
            "left), and ends; auto: 6, or none where --validate-every is given",
            true},
        s.patience...);
    f(OptionText{"report-every", "updates between rows of metrics.csv"}, s.report_every...);
    f(OptionText{"checkpoint-every", "updates between checkpoints"}, s.checkpoint_every...);
    f(OptionText{"keep", "how many past checkpoints stay in checkpoints/"}, s.keep...);
    f(
        OptionText{
            "check",
            "updates between those that are repeated by one thread of one process, whose every number must "
            "be the same; 0 for none. Needs the memory of two more states"},
        s.check...);
    f(OptionText{"pictures", "draw curves, filters and samples at the end"}, s.pictures...);
    f(OptionText{"seed", "seed of every random draw", true}, s.seed...);
  }
};

/// A number of updates or validations; 0 for none, and where it is left to a rule.
inline std::int64_t number_of(const std::variant<WatchRule, std::int64_t>& value) {
  const std::int64_t* const number = std::get_if<std::int64_t>(&value);
  return number != nullptr ? *number : 0;
}

struct TrainOptions {
  DataOptions data;
  MachineOptions machine;
  InitOptions init;
  ChainOptions chains;
  LadderOptions ladder;
  TrackingOptions tracking;
  RateOptions rate;
  GradientOptions gradient;
  FirstOrderOptions first_order;
  NaturalOptions natural;
  RunOptions run;

  /// f(name of the concern, struct of each...).
  template <class F, class... S>
  static void visit_sections(F&& f, S&&... s) {
    f("data", s.data...);
    f("machine", s.machine...);
    f("init", s.init...);
    f("chains", s.chains...);
    f("ladder", s.ladder...);
    f("tracking", s.tracking...);
    f("rate", s.rate...);
    f("gradient", s.gradient...);
    f("first-order", s.first_order...);
    f("natural", s.natural...);
    f("run", s.run...);
  }
  /// f(OptionText, field of each...) for every option of every concern. Names are unique.
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    visit_sections(
        [&f]<class... Section>(const char*, Section&&... section) {
          std::common_type_t<std::remove_cvref_t<Section>...>::visit(f, section...);
        },
        s...);
  }
};

/// Whether a metric stands between gradient and step.
inline bool is_natural(const TrainOptions& options) { return options.natural.metric.has_value(); }
inline bool is_tempered(Trainer trainer) { return trainer == Trainer::kSmlPt || trainer == Trainer::kSmlApt; }

/// Every constraint that the options break, whatever the data.
std::vector<Violation> check(const TrainOptions& options);

/// What they break for data of this size: memory, and what is for small machines alone. Options that `check`
/// found nothing wrong with.
std::vector<Violation> check(const TrainOptions& options, Index n_visible, Index n_cases);

}  // namespace tempera
