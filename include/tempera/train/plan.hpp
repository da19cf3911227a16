// A training run as the loop sees it: every number is there, nothing is "auto", nothing is a text.
#pragma once

#include <limits>

#include "tempera/train/options.hpp"
#include "tempera/train/pruning.hpp"

namespace tempera {

/// How the latents given the cases of a batch are found.
struct InferencePlan {
  Inference kind = Inference::kExact;
  Index sweeps = 5;         // of a mean field or of sampling
  double data_noise = 0.0;  // standard deviation of noise added to real-valued cases
};

/// Where the chains of the gradient come from, and how they move.
struct SamplingPlan {
  bool persistent = true;  // else they begin at the data in every update
  std::uint64_t sweeps = 1;
  std::optional<double> jump_rate = 0.0;  // nothing: as many as chains accept
  [[nodiscard]] bool jumps() const { return jump_rate != 0.0; }
};

/// How the ladder beside the chains follows the machine.
enum class LadderMotion { kFixed, kEqualRejection, kFeedback };
struct LadderPlan {
  LadderMotion motion = LadderMotion::kFixed;
  double beta_lr = 1e-4;  // of kFeedback
};

struct RatePlan {
  double lr = 0.3;
  Schedule schedule = Schedule::kInverse;
  double decay_updates = 2500.0;
  std::uint64_t warmup = 0;
  std::uint64_t total = 5000;  // updates
  std::uint64_t begin = 0;     // the update at which the schedule begins
  double early = 1.0;          // factor at the first update; it has come to 1 by half of them
};

/// Decay of the weights and the largest norm of the centred gradient, for any rule.
struct DecayPlan {
  double l1 = 0.0;
  double l2 = 0.0;
  double clip = std::numeric_limits<double>::infinity();
  double l1b = 0.0;        // l1 of a filter times the mean of its absolute weights
  double l2_fields = 0.0;  // of the biases of the visibles
};

struct FirstOrderPlan {
  FirstOrder method = FirstOrder::kSgd;
  double momentum = 0.0;
  DecayPlan decay;
  std::vector<std::string> frozen;  // fields that stay as they are
};

struct NaturalPlan {
  AnyMetricOptions metric;
  FisherLaw fisher = FisherLaw::kMarginal;
  std::uint64_t draws = 256;  // chains at most that metrics made of draws look at
  StepOptions step;           // its rate is set in every update
  double spring = 0.0;
  bool warm_start = false;
  DecayPlan decay;
};

struct ProjectionPlan {
  FilterNorm filter_norm = FilterNorm::kFree;
  bool filters_shrink = false;  // of slabs that take too much, else their precision grows
};

struct TrackingPlan {
  Tracking kind = Tracking::kNone;
  std::optional<std::int64_t> every;  // updates; nothing: by the cost
  bool enumerate = true;              // whether log Z is held against enumeration where that is cheap
};

/// When an update is reported and validated.
struct ReportPlan {
  std::uint64_t every = 100;
  std::uint64_t validate_every = std::numeric_limits<std::uint64_t>::max();
};

/// Sizes of what a run begins with.
struct StartPlan {
  InitialValues init;
  std::uint64_t chains = 0;         // persistent ones that give the gradient
  std::uint64_t metric_chains = 0;  // that the metric has to itself
  Trainer trainer = Trainer::kSmlApt;
  std::uint64_t rungs = 10;
  std::uint64_t ensembles = 1;
  std::uint64_t track_ensembles = 20;
};

struct Plan {
  std::uint64_t batch = 500;
  InferencePlan inference;
  SamplingPlan sampling;
  LadderPlan ladder;
  RatePlan rate;
  std::variant<FirstOrderPlan, NaturalPlan> rule;
  ProjectionPlan projection;
  bool centring = true;
  bool average = true;
  TrackingPlan tracking;
  ReportPlan report;
  std::uint64_t check_every = 0;  // updates between those that are repeated; 0: none is
  StartPlan start;
  /// Which weights may move: all of them where it is empty.
  Mask mask;
};

/// Parameters of 784 x 500 units: the machine that the default length of a run was found for.
inline constexpr double kUsualParameters = 784.0 * 500.0;

/// What a machine of some size, and its data, prefer where the options leave it open.
struct MachinePreferences {
  MachineDefaults defaults;
  double weight_scale = 0.01;
  Index n_visible = 784;
  double parameters = kUsualParameters;
  bool jumps = false;         // whether it can
  double variance = 0.0;      // of bits along the direction in which they vary most
  bool validates = false;     // whether there is a valid split
  double total_weight = 1.0;  // of the training cases
};

/// The options with everything decided that they leave open, for so many training cases: what config.toml
/// holds. `epochs` becomes `updates`.
TrainOptions resolve(TrainOptions options, const MachinePreferences& preferences, Index n_cases);
template <EnergyModel M>
TrainOptions resolve(const TrainOptions& options, Index n_visible, Index n_cases, double variance = 0.0,
                     bool validates = false, const CaseWeights& weights = {}) {
  return resolve(options,
                 {M::defaults(), M::default_weight_scale(options.init.values(), n_visible), n_visible,
                  M::memory(M::shape_from(options.machine, n_visible)).parameters,
                  HasLatentMarginal<M> && !options.machine.box, variance, validates, weights.total(n_cases)},
                 n_cases);
}

/// The plan of resolved options.
Plan plan_of(const TrainOptions& resolved, Index n_cases);

/// Whether update number `update` is validated, and whether it gets a row in metrics.csv.
bool is_validated(const Plan& plan, std::uint64_t update);
bool is_reported(const Plan& plan, std::uint64_t update);

/// Learning rate of update t = 0, 1, ... (docs/mathematics/energies.md 1.8).
double learning_rate(const RatePlan& plan, std::uint64_t t);

/// Whether the last update of the plan is one of a rate of 0, and whether `update` is that one.
bool falls_to_zero(const RatePlan& plan);
inline bool has_fallen(const RatePlan& plan, std::uint64_t update) {
  return falls_to_zero(plan) && update == plan.total;
}

/// From the rate of update `from` to 0 in `updates` updates, which follow update `begin`.
RatePlan cooling(const RatePlan& plan, std::uint64_t from, std::uint64_t begin, std::uint64_t updates);

}  // namespace tempera
