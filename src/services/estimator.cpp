#include "estimator.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/format.hpp"
#include "tempera/core/math.hpp"
#include "tempera/diagnostics/convergence.hpp"
#include "tempera/estimate/path.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/mode_annealing.hpp"
#include "tempera/mcmc/record.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/checkpoint.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/log_z_doubt.hpp"
#include "tempera/train/snapshots.hpp"

namespace tempera {
namespace {

/// Effective fraction of every annealing step where betas are chosen.
constexpr double kStepFraction = 0.999;
/// Test cases and chains for each of them that RAISE anneals.
constexpr Index kRaiseCases = 100;
constexpr Index kRaiseChains = 10;
/// Numbers that MBAR keeps.
constexpr double kMostEnergies = 2e7;
/// Differences of free energies, two for each, that a run to reach an error bar keeps.
constexpr double kMostDifferences = 1e8;
/// Estimates that differ by more standard errors than this disagree.
constexpr double kDisagreement = 3.0;
/// What is under suspicion is confirmed within fewer.
constexpr double kConfirmation = 2.0;
/// R-hat of the draws of a rung that says that they stay where they are.
constexpr double kLargestRHat = 1.15;
/// Rounds of a tempering run at least, and how often it is doubled where its replicas have not mixed.
constexpr std::uint64_t kLeastRounds = 2;
constexpr int kMostDoublings = 3;
/// Times that an estimate is continued to reach an error bar.
constexpr std::uint64_t kMostBatches = 1000;

constexpr const char* kTooLow = "too low and the likelihood too high";

std::string doubt_of(const LogPartition& z, const char* consequence) {
  if (z.effective_fraction >= kLowEffectiveFraction) return "";
  return format(
      "only %.1f %% of the chains count (effective sample size): log Z is probably %s; use more --betas",
      100.0 * z.effective_fraction, consequence);
}

/// The energies of several rounds, one below the other.
Eigen::MatrixXd stacked(const std::vector<Eigen::MatrixXd>& parts) {
  Index rows = 0;
  for (const Eigen::MatrixXd& part : parts) rows += part.rows();
  Eigen::MatrixXd all(rows, parts.front().cols());
  rows = 0;
  for (const Eigen::MatrixXd& part : parts) {
    all.middleRows(rows, part.rows()) = part;
    rows += part.rows();
  }
  return all;
}

/// R-hat over ensembles of the draws of one rung, of which round after round has given one for each.
double r_hat_of(const std::vector<double>& draws, std::size_t ensembles) {
  std::vector<std::vector<double>> series(ensembles);
  for (std::size_t i = 0; i < draws.size(); ++i) series[i % ensembles].push_back(draws[i]);
  return r_hat(series);
}

}  // namespace

/// Ratios of neighbours are right where the draws of every rung are: those at beta = 1 may look mixed while
/// others stay where they began. An error bar over ensembles covers more than samples may have, but not
/// ensembles that remember their start.
template <EnergyModel M>
std::string Estimator<M>::TemperingRun::doubt() const {
  const TemperatureLadder& ladder = replicas.ladder;
  const double coldest = mixing().r_hat;
  if (coldest > kLargestRHat)
    return format("replicas at beta = 1 stay where they are, R-hat %.3f: use more --rounds", coldest);
  const auto n = static_cast<std::size_t>(ladder.n_ensembles);
  for (std::size_t k = 0; k < differences.size(); ++k) {
    const double largest = std::max(r_hat_of(differences[k].forward, n), r_hat_of(differences[k].reverse, n));
    if (largest > kLargestRHat) {
      return format(
          "replicas between beta = %.3f and %.3f stay where they are, R-hat %.3f: use more --rounds",
          ladder.betas[k], ladder.betas[k + 1], largest);
    }
  }
  return "";
}

template <EnergyModel M>
LogPartitionEstimate Estimator<M>::estimate(LikelihoodMethod method) {
  switch (method) {
    case LikelihoodMethod::kAuto:
      return automatic();
    case LikelihoodMethod::kExact:
      return exact();
    case LikelihoodMethod::kAis:
      return ais();
    case LikelihoodMethod::kModeAis:
      return mode_ais();
    case LikelihoodMethod::kReverseAis:
      return reverse_ais();
    case LikelihoodMethod::kRaise:
      return raise();
    case LikelihoodMethod::kTracked:
      return tracked();
    case LikelihoodMethod::kSteppingStone:
    case LikelihoodMethod::kBar:
    case LikelihoodMethod::kMbar:
      return along_ladder(method);
    case LikelihoodMethod::kAll:
      break;
  }
  throw std::invalid_argument("estimate: all is no single method");
}

template <EnergyModel M>
bool Estimator<M>::hold(LogPartitionEstimate& estimate) {
  LogPartition& z = estimate.log_partition;
  z.value += shift_;
  if (estimate.method == LikelihoodMethod::kExact) return true;
  if (estimate.probable_lower_bound = probable_bound_; probable_bound_)
    *estimate.probable_lower_bound += shift_;
  const auto doubt = [&](const std::string& why) {
    estimate.doubt += (estimate.doubt.empty() ? "" : "; ") + why;
  };
  bool held = true;
  try {
    if (estimate.lower_bound = lower_bound(); estimate.lower_bound) estimate.lower_bound->value += shift_;
  } catch (const Interrupted&) {
    doubt("the work was stopped before it was held against a bound");
    held = false;
  }
  if (estimate.lower_bound && is_refuted(z, estimate.lower_bound->value)) {
    doubt(words_of_refutation(z, estimate.lower_bound->value));
  } else if (estimate.probable_lower_bound && is_refuted(z, *estimate.probable_lower_bound)) {
    doubt(words_of_probable_refutation(z, *estimate.probable_lower_bound));
  }
  if (z.standard_error > kLargestTrustedError) doubt(std::string(help_of(LogZDoubt::kError)));
  return held;
}

/// Whether enumeration is less work than annealing, a search of modes, its bounds and annealing from the
/// modes.
template <EnergyModel M>
bool Estimator<M>::enumeration_is_cheap() const {
  const auto betas = as_count(options_.betas.value_or(*EstimateOptions().betas));
  return enumeration_operations(file_.model) <=
         annealing_operations(file_.model, as_count(options_.chains), betas) +
             ModeSearchOptions().operations + kBoundOperations + ModeAnnealingOptions().operations;
}

/// Enumeration where that is cheap; else annealing from the reference machine, with annealing from around the
/// modes as a second opinion. Both tend to be too low, so that the larger one is taken where they disagree,
/// or where the first is below what is certain, by however little.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::automatic() {
  if (enumeration_is_cheap()) {
    LogPartitionEstimate estimate = exact();
    estimate.reason = format("enumerating 2^%lld states is less work than annealing",
                             static_cast<long long>(file_.model.enumerated_units()));
    return estimate;
  }
  const std::string obstacle = file_.model.why_not_enumerable();
  LogPartitionEstimate first = ais();
  first.reason = obstacle.empty() ? "less work than enumeration" : "enumeration " + obstacle;
  if (!modes()) return first;
  LogPartitionEstimate second = mode_ais();
  const LogPartition& from_reference = first.log_partition;
  const LogPartition& from_modes = second.log_partition;
  const double error = std::hypot(from_reference.standard_error, from_modes.standard_error);
  const bool too_low = lower_bound() && from_reference.value < lower_bound()->value;
  if (!(from_modes.value > from_reference.value + (too_low ? 0.0 : kDisagreement * error))) return first;
  second.reason = format("annealing from the reference machine misses mass, it gives %.3f (%.3f)",
                         from_reference.value + shift_, from_reference.standard_error);
  return second;
}

/// The best that is certain: from modes, and from the distinct cases of either split. Found once.
template <EnergyModel M>
const std::optional<LogPartitionBound>& Estimator<M>::lower_bound() {
  if (bounded_) return bound_;
  bounded_ = true;
  if (modes()) bound_ = bound_of(engine(), file_.theta, modes()->modes);
  for (const auto* data : {&cases_.train, &cases_.cases}) {
    const auto found = bound_of_cases(engine(), file_.theta, *data);
    if (found && (!bound_ || found->value > bound_->value)) bound_ = found;
  }
  return bound_;
}

/// Searched for once; nothing where the machine does not collapse onto binary units.
template <EnergyModel M>
const std::optional<ModeSearch>& Estimator<M>::modes() {
  if (!searched_)
    modes_ = modes_of(engine(), file_.theta, cases_.train.n_cases() > 0 ? cases_.train : cases_.cases,
                      read_modes(file_), stage(listener_, "searching modes"));
  searched_ = true;
  return modes_;
}

/// The bound that an annealing run from below gives; none where it went on until its error was small.
template <EnergyModel M>
void Estimator<M>::note_annealing(const LogPartition& z) {
  if (options_.target_se || !std::isfinite(z.value)) return;
  const double bound = z.value - probable_shortfall();
  probable_bound_ = probable_bound_ ? std::max(*probable_bound_, bound) : bound;
}

/// Draws of their own for every batch of an estimate that is continued.
template <EnergyModel M>
Engine<M> Estimator<M>::batch_engine(std::uint64_t batch) const {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;
  return {file_.model, {seed() + batch * kOdd}, executor_};
}

template <EnergyModel M>
bool Estimator<M>::reached(const LogPartition& z) const {
  return !options_.target_se || z.standard_error <= *options_.target_se;  // false for no number
}

template <EnergyModel M>
const std::vector<double>& Estimator<M>::betas() {
  if (betas_.empty()) {
    betas_ = options_.betas ? published_betas(*options_.betas)
                            : effective_betas(engine(), file_.theta, kStepFraction, kLanes, Purpose::kPilot,
                                              stage(listener_, "choosing betas"));
  }
  return betas_;
}

template <EnergyModel M>
std::vector<double> Estimator<M>::falling_betas() {
  std::vector<double> betas = this->betas();
  std::reverse(betas.begin(), betas.end());
  return betas;
}

/// Anneals batch after batch of chains until the error bar is small enough. start(batch): the chains;
/// value(log-weights so far): log Z.
template <EnergyModel M>
template <class Start, class Value>
LogPartition Estimator<M>::annealed(const char* label, const std::vector<double>& betas, Purpose purpose,
                                    Start&& start, Value&& value) {
  std::vector<double> weights;
  LogPartition z;
  for (std::uint64_t batch = 0; batch < kMostBatches; ++batch) {
    const std::string name = batch == 0 ? label : label + format(", error %.3f", z.standard_error);
    const std::vector<double> more = annealed_log_weights(batch_engine(batch), file_.theta, betas,
                                                          start(batch), purpose, stage(listener_, name));
    weights.insert(weights.end(), more.begin(), more.end());
    z = value(weights);
    if (reached(z)) break;
  }
  return z;
}

template <EnergyModel M>
LogPartitionEstimate Estimator<M>::exact() {
  return {LikelihoodMethod::kExact, exact_log_partition(engine(), file_.theta, stage(listener_, "exact")),
          ""};
}

template <EnergyModel M>
LogPartitionEstimate Estimator<M>::ais() {
  const LogPartition z = annealed(
      "ais", betas(), Purpose::kAnnealing,
      [&](std::uint64_t batch) {
        return reference_chains(batch_engine(batch), as_count(options_.chains), Purpose::kAnnealing);
      },
      [&](const std::vector<double>& weights) {
        return log_partition_from_weights(file_.model.reference_log_partition(), weights);
      });
  note_annealing(z);
  return {LikelihoodMethod::kAis, z, doubt_of(z, kTooLow)};
}

/// From a mixture of product laws around the modes: what no path from the reference machine finds is counted.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::mode_ais() {
  if (!modes()) throw UsageError("loglik: --method mode-ais " + file_.model.why_not_collapsible());
  const std::vector<double> weights =
      mode_annealed_log_weights([&] { return file_.model.collapsed(file_.theta); }, {seed()}, executor_,
                                modes()->modes, {}, stage(listener_, "mode-ais"));
  const LogPartition z = log_partition_from_weights(0.0, weights);
  note_annealing(z);
  return {LikelihoodMethod::kModeAis, z, doubt_of(z, kTooLow)};
}

/// From draws of the model at beta = 1, as far apart as the tempering run says.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::reverse_ais() {
  TemperingRun& run = tempering();
  const auto spacing = static_cast<std::uint64_t>(
      std::min(std::ceil(run.mixing().autocorrelation_time), static_cast<double>(options_.rounds)));
  const LogPartition z = annealed(
      "reverse-ais", falling_betas(), Purpose::kReverseAnnealing,
      [&](std::uint64_t) { return draws(run, spacing); },
      [&](const std::vector<double>& weights) {
        LogPartition down = log_partition_from_weights(0.0, weights);
        down.value = file_.model.reference_log_partition() - down.value;
        return down;
      });
  std::string doubt = doubt_of(z, "too high and the likelihood too low");
  if (!doubt.empty()) return {LikelihoodMethod::kReverseAis, z, doubt};
  return after_tempering(LikelihoodMethod::kReverseAis, z);
}

/// An estimate of the tempering run. Where its replicas have not mixed, annealing from around the modes,
/// which needs no replica to travel, may confirm it.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::after_tempering(LikelihoodMethod method, const LogPartition& z) {
  LogPartitionEstimate estimate{method, z, run_->doubt()};
  if (estimate.doubt.empty() || !modes()) return estimate;
  if (!second_opinion_) second_opinion_ = mode_ais();
  const LogPartition& second = second_opinion_->log_partition;
  const double error = std::hypot(z.standard_error, second.standard_error);
  if (second_opinion_->doubt.empty() && error <= kLargestTrustedError &&
      std::abs(z.value - second.value) <= kConfirmation * error) {
    estimate.confirmation = format("annealing from the modes gives %.3f (%.3f), though ",
                                   second.value + shift_, second.standard_error) +
                            estimate.doubt;
    estimate.doubt.clear();
  }
  return estimate;
}

/// log Z that RAISE's conservative log-likelihood of some cases implies.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::raise() {
  if (is_bound(file_.model))
    throw UsageError("loglik: --method raise needs latents that are independent given the visibles");
  if (cases_.cases.n_cases() == 0)
    throw UsageError("loglik: --method raise needs --data, whose cases it anneals");
  const Index n = std::min(kRaiseCases, cases_.cases.n_cases());
  std::vector<Index> which(static_cast<std::size_t>(n * kRaiseChains));
  for (std::size_t c = 0; c < which.size(); ++c)
    which[c] = static_cast<Index>(c) % n * cases_.cases.n_cases() / n;
  Population<M> population(
      data_chains(engine(), file_.theta, which.size(), cases_.cases, which, Purpose::kRaise));
  population.fit(engine());
  // Other draws than those of the chains that follow.
  advance(Engine{file_.model, StreamFactory{~seed()}, executor_}, file_.theta, 1, Purpose::kRaise,
          population);
  const std::vector<double> weights =
      annealed_log_weights(engine(), file_.theta, falling_betas(), std::move(population.chains),
                           Purpose::kRaise, stage(listener_, "raise"));
  // log Z0 - log mean exp(w) of each case, over the cases.
  MeanVariance over_cases;
  for (Index k = 0; k < n; ++k) {
    std::vector<double> own;
    for (Index c = 0; c < kRaiseChains; ++c) own.push_back(weights[static_cast<std::size_t>(c * n + k)]);
    over_cases.add(-log_partition_from_weights(0.0, own).value);
  }
  return {LikelihoodMethod::kRaise,
          {file_.model.reference_log_partition() + over_cases.mean(), over_cases.standard_error(), 1.0},
          ""};
}

/// Rounds of the tracker's own chains, from which alone log Z is then known.
template <EnergyModel M>
LogPartitionEstimate Estimator<M>::tracked() {
  std::optional<Tracker<M>> tracker = read_tracker<M>(file_);
  if (!tracker)
    throw UsageError(
        "loglik: " + file_.path.string() +
        ": holds no tracker of log Z; train with --track-log-z lattice or smc, or use another --method");
  if (!equal_fields(tracker->theta, file_.theta)) track(engine(), file_.theta, *tracker);
  LogPartition z;
  const bool tempered = tracker->ladder.n_rungs > 0;
  if (tempered) settle(engine(), as_count(options_.rounds), *tracker, stage(listener_, "settling"));
  for (std::uint64_t batch = 0; batch < kMostBatches; ++batch) {
    if (tempered) refresh(engine(), as_count(options_.rounds), *tracker, stage(listener_, "tracked"));
    z = tracked_log_partition(engine(), file_.theta, *tracker);
    if (reached(z) || !tempered) break;
  }
  return {LikelihoodMethod::kTracked, z, stored_doubt(Hdf5Reader(file_.path))};
}

/// The tempering run, of as many rounds as the options ask for. Where its replicas stay where they are it
/// goes on, and what counts is the second half alone.
template <EnergyModel M>
typename Estimator<M>::TemperingRun& Estimator<M>::tempering() {
  if (run_) return *run_;
  const LadderRequest request{options_.rungs, ensembles(), 1,
                              cases_.train.n_cases() > 0 ? ensembles() / 2 : 0};
  run_.emplace();
  run_->replicas = place_ladder(engine(), file_.theta, request, cases_.train, listener_);
  run_->differences.resize(run_->replicas.ladder.rejections.size());
  continue_run(std::max(as_count(options_.rounds), kLeastRounds), "tempering");
  for (int doubling = 0; doubling < kMostDoublings && can_continue() && !run_->doubt().empty(); ++doubling) {
    run_->forget();
    continue_run(2 * run_->rounds, "tempering, replicas have not mixed");
  }
  return *run_;
}

/// Whether memory allows for twice as many rounds.
template <EnergyModel M>
bool Estimator<M>::can_continue() const {
  return static_cast<double>(run_->differences.size()) * static_cast<double>(options_.ensembles) *
             static_cast<double>(run_->rounds) <
         kMostDifferences;
}

/// Until there have been this many rounds.
template <EnergyModel M>
void Estimator<M>::continue_run(std::uint64_t rounds, const char* label) {
  TemperingRun& run = *run_;
  const auto rungs = static_cast<double>(run.replicas.ladder.n_rungs);
  const auto stored = static_cast<std::uint64_t>(
      std::max(1.0, kMostEnergies / (rungs * rungs * static_cast<double>(options_.ensembles))));
  const std::uint64_t begin = run.rounds;
  const std::uint64_t stride = (rounds - begin + stored - 1) / stored;
  const Progress progress = stage(listener_, label);
  for (; run.rounds < rounds; ++run.rounds) {
    round(run);
    if (keeps_energies_ && (run.rounds - begin) % stride == 0 && run.energies.size() < stored) {
      run.energies.push_back(
          rung_energies(engine(), file_.theta, run.replicas.ladder, run.replicas.population));
    }
    progress(static_cast<double>(run.rounds - begin) / static_cast<double>(rounds - begin));
  }
}

template <EnergyModel M>
void Estimator<M>::round(TemperingRun& run) {
  temper(engine(), file_.theta, run.replicas, &run.differences);
  record(engine(), file_.theta, run.replicas.population, coldest_of(run.replicas.ladder), {}, run.trace);
}

/// Draws at beta = 1, `spacing` rounds apart, as many as the options ask for chains.
template <EnergyModel M>
Chains<M> Estimator<M>::draws(TemperingRun& run, std::uint64_t spacing) {
  Chains<M> all = empty_chains(file_.model, as_count(options_.chains));
  const Progress progress = stage(listener_, "drawing");
  for (std::uint64_t n = 0; n < all.n_chains; ++n) {
    const std::uint64_t e = n % ensembles();
    if (e == 0) {
      for (std::uint64_t t = 0; t < spacing; ++t, ++run.rounds) round(run);
      gather(executor_, run.replicas.population.chains);
      progress(static_cast<double>(n) / static_cast<double>(all.n_chains));
    }
    copy_chain(run.replicas.population.chains, run.replicas.ladder.coldest(e), all, n);
  }
  all.sweeps = 1;
  return all;
}

template <EnergyModel M>
LogPartitionEstimate Estimator<M>::along_ladder(LikelihoodMethod method) {
  TemperingRun& run = tempering();
  const auto now = [&] {
    const double reference = file_.model.reference_log_partition();
    const std::vector<LogWeightPair> path = log_weight_path(run.differences);
    if (method == LikelihoodMethod::kBar) return bennett_log_partition(reference, path, ensembles());
    if (method == LikelihoodMethod::kSteppingStone)
      return stepping_stone_log_partition(reference, path, ensembles());
    return mbar_log_partition(stacked(run.energies), bennett_path(reference, path), ensembles());
  };
  LogPartition z = now();
  while (!reached(z) && std::isfinite(z.standard_error) && method != LikelihoodMethod::kMbar &&
         can_continue()) {
    continue_run(2 * run.rounds, "tempering, error too large");  // estimates begin anew each time
    z = now();
  }
  if (!std::isfinite(z.standard_error))
    return {method, z, "draws of some neighbours do not overlap: use more --rungs"};
  return after_tempering(method, z);
}

#define TEMPERA_INSTANTIATE(M) template class Estimator<M>;

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
