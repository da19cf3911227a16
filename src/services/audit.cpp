// Whether log Z of a training run is to be trusted, and which of its models is the best.
#include <algorithm>
#include <cmath>

#include "observers.hpp"
#include "tempera/core/format.hpp"
#include "tempera/diagnostics/convergence.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/services/baselines.hpp"
#include "tempera/services/bound.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/tempered_population.hpp"

namespace tempera {
namespace {

/// Annealing for validation likelihoods during training, where enumeration would be more work.
constexpr std::uint64_t kValidationChains = 64;
constexpr Index kValidationBetas = 1000;
/// A tracked log Z is compared with the exact one now and then where that takes at most so many operations;
/// further apart than this many standard errors and nats it is not to be trusted.
constexpr double kCheckedOperations = 1e8;
constexpr double kCheckedErrors = 5.0;
constexpr double kCheckedNats = 0.5;
/// What rounding of free energies may add to the log of a total probability.
constexpr double kProbabilityRounding = 1e-4;
/// Rounds of a copy of the tracker between looks at its error.
constexpr std::uint64_t kSettledRounds = 50;
/// Rounds at most where a model is chosen; at the end as many as these operations pay for, between these.
constexpr std::uint64_t kMostRounds = 1000;
constexpr std::uint64_t kLeastRounds = 100;
constexpr double kConclusion = 1e10;
/// A model whose rate has fallen to 0 is the best where it is worse by a standard error at most, and by no
/// more than this part of the best likelihood or, where that is less, so many nats.
constexpr double kSettledShare = 0.005;
constexpr double kSettledNats = 0.25;
/// One part in so many of the updates is left to go back to an earlier model that is better by more than
/// that.
constexpr std::uint64_t kLastPart = 10;
/// A settled log Z with a larger error than this many of the tracked one's does not replace it; one that is
/// further from it than so many errors contradicts it.
constexpr double kLessKnown = 1.25;
constexpr double kMovedErrors = 4.0;
/// Replicas stand still where none makes a round trip in so many rounds; ensembles do where R-hat of the
/// ranks of their free energies is above this, after so many reports.
constexpr std::uint64_t kTravelRounds = 300;
constexpr double kLargestRHat = 2.0;
constexpr std::size_t kLeastReports = 8;
/// Training has diverged where its cases are less likely than by independent units by so many errors, after
/// one part in so many of its updates.
constexpr double kDivergedErrors = 10.0;
constexpr std::uint64_t kWarmUp = 10;
/// It has too where log Z is so large that single precision knows it to a hundred nats at best.
constexpr double kLargestLogZ = 1e9;
/// It has at two such reports in a row whose log Z is trusted. Where a bound alone says so, chains may yet
/// find the mode that it comes from: a report then counts a fifth, and those whose bound says nothing do not
/// end the row.
constexpr std::uint64_t kSeenBelow = 5;
/// Validation is said to fall after so many validations below the best, and so many nats.
constexpr std::uint64_t kFalling = 5;
constexpr double kFallenNats = 0.5;
/// Training cases at most whose likelihood is reported.
constexpr Index kReportedCases = 10000;
/// Part of the work of training that comparisons between validations may take.
constexpr double kComparing = 0.02;
/// Chains whose caches are in memory at a time.
constexpr Index kPanelCases = 64 * kLanes;

bool is_tracked(const Plan& plan) { return plan.tracking.kind != Tracking::kNone; }

/// Nothing that chains have to do with.
bool is_exact(const Assessment& found) { return found.log_partition.standard_error == 0.0; }

/// Doubts about a ladder, which say nothing where log Z has been confirmed without it.
bool stands_still(LogZDoubt doubt) { return doubt == LogZDoubt::kReplicas || doubt == LogZDoubt::kEnsembles; }

/// Whether the tracker has a ladder of its own.
template <EnergyModel M>
bool has_ladder(const TrainState<M>& s) {
  return s.tracker.ladder.n_rungs > 0 && s.tracker.population.chains.n_chains > 0;
}

}  // namespace

template <EnergyModel M>
Cases<M>::Cases(const Engine<M>& engine, const typename M::Data& data, Index most)
    : n_(std::min(most, data.n_cases())) {
  using Value = std::remove_const_t<typename decltype(data.row(0))::element_type>;
  std::set<std::vector<Value>> seen;
  std::vector<Index> which;
  std::vector<double> weights;
  // Drawn once, ascending: rows may have a period.
  StreamEngine random = engine.streams.engine(Purpose::kReportedCases, 0);
  for (Index row = 0; row < data.n_cases(); ++row) {
    const auto wanted = static_cast<double>(n_ - static_cast<Index>(which.size()));
    if (uniform_53(random) * static_cast<double>(data.n_cases() - row) < wanted) which.push_back(row);
  }
  for (Index i = 0; i < n_; ++i) {
    log_volumes_.push_back(data.log_volume(which[static_cast<std::size_t>(i)]));
    if (!data.weights().all_one()) weights.push_back(data.weights()[which[static_cast<std::size_t>(i)]]);
    const auto row = data.row(which[static_cast<std::size_t>(i)]);
    if (M::kDiscrete && seen.insert({row.begin(), row.end()}).second)
      distinct_.push_back(static_cast<std::size_t>(i));
  }
  weights_ = CaseWeights(std::move(weights));
  const std::span<const Index> all(which);
  for (Index first = 0; first < n_; first += kPanelCases) {
    const auto begin = static_cast<std::size_t>(first);
    const auto count = static_cast<std::size_t>(std::min(kPanelCases, n_ - first));
    load_cases(engine, data, all.subspan(begin, count), panels_.emplace_back());
  }
}

template <EnergyModel M>
Likelihood Cases<M>::likelihood(const Engine<M>& engine, const typename M::Params& theta,
                                const LogPartition& z, bool& possible) {
  if (n_ == 0) return Assessment().train;
  std::vector<double> energies;
  for (Chains<M>& panel : panels_) {
    caches_.fit(engine.model, panel.n_chains, engine.executor);
    infer_cases(engine, theta, kMeanFieldSweeps, panel.blocks, caches_);
    PerChain<double> found(panel.blocks.size());
    engine.executor.for_each_owned(static_cast<Index>(panel.blocks.size()), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      case_free_energy(engine.model, theta, panel.blocks[b], caches_.blocks[b], found.blocks[b]);
    });
    engine.executor.share(found.blocks);
    for (std::uint64_t c = 0; c < panel.n_chains; ++c)
      energies.push_back(found[c] + log_volumes_[energies.size()]);
  }
  std::vector<double> distinct;
  for (const std::size_t i : distinct_) distinct.push_back(energies[i]);
  // Densities may be above 1.
  possible = possible && (!M::kDiscrete || log_total_probability(distinct, z) <=
                                               3.0 * z.standard_error + kProbabilityRounding);
  return mean_log_likelihood(energies, z, weights_);
}

template <EnergyModel M>
LogZAudit<M>::LogZAudit(const Engine<M>& engine, const Plan& plan, Data data, const Standardisation& units,
                        AuditMemory& memory, Listener& listener)
    : engine_(engine),
      plan_(plan),
      data_(data),
      units_(units),
      memory_(memory),
      listener_(listener),
      train_(engine, data.train, is_tracked(plan) ? kReportedCases : 0),
      valid_(engine, data.valid, data.valid.n_cases()) {}

template <EnergyModel M>
bool LogZAudit<M>::is_compared() const {
  return plan_.tracking.enumerate && enumeration_operations(engine_.model) <= kCheckedOperations;
}

template <EnergyModel M>
std::optional<LogPartition> LogZAudit<M>::compare_with_exact(const LogPartition& tracked,
                                                             const TrainState<M>& s) {
  if (!is_compared()) return std::nullopt;
  const LogPartition exact = exact_log_partition(engine_, s.result(), {});
  memory_.missed = exact.value - tracked.value;
  if (std::abs(memory_.missed) <= kCheckedNats + kCheckedErrors * tracked.standard_error)
    memory_.missed = 0.0;
  if (memory_.missed != 0.0) {
    warn_once(LogZDoubt::kExact, s.update,
              format("the exact log Z is %.2f nats from the tracked one: the chains do not see all of the "
                     "machine's mass, so its gradient is wrong; a lower --lr, a rate that decays or early "
                     "stopping (--validate-every, --patience) may help",
                     memory_.missed));
  }
  return exact;
}

template <EnergyModel M>
bool LogZAudit<M>::estimates() const {
  return is_tracked(plan_) || plan_.report.validate_every != ReportPlan().validate_every;
}

template <EnergyModel M>
bool LogZAudit<M>::is_refuted_by_modes(const LogPartition& z, const TrainState<M>& s) {
  if (s.modes.rows() == 0) return false;
  const double bound = log_weight_of(*engine_.model.collapsed(s.result()), states_of(s.modes));
  if (!std::isfinite(bound) || !is_refuted(z, bound)) return false;
  warn_once(LogZDoubt::kBound, s.update,
            words_of_refutation(moved(z, shift(s)), bound + shift(s)) +
                " (--jump, or a lower --lr, may help); such reports are never "
                "taken as the best");
  return true;
}

template <EnergyModel M>
bool LogZAudit<M>::is_refuted_by_search(const LogPartition& z, const TrainState<M>& s) {
  const Progress progress = [&](double fraction) {
    if (listener_.progress("searching modes", fraction, "") == Control::kStop) throw Interrupted();
    return Control::kContinue;
  };
  std::string why;
  try {
    const auto search = modes_of(engine_, s.result(), data_.train, states_of(s.modes), progress);
    if (!search) return false;
    const double bound = bound_of(engine_, s.result(), search->modes).value;
    if (!is_refuted(z, bound)) return false;
    why = words_of_refutation(moved(z, shift(s)), bound + shift(s));
  } catch (const NumericalError& error) {
    why = error.what();
  }
  warn_once(LogZDoubt::kBound, s.update, why);
  return true;
}

template <EnergyModel M>
LogZDoubt LogZAudit<M>::searched(const TrainState<M>& s) {
  const auto z = settled_log_partition(s);
  if (z && z->standard_error > 0.0 && doubt() == LogZDoubt::kNone && is_refuted_by_search(*z, s))
    memory_.doubt = static_cast<std::uint64_t>(LogZDoubt::kBound);
  return doubt();
}

template <EnergyModel M>
void LogZAudit<M>::warn_once(LogZDoubt doubt, std::uint64_t update, const std::string& why) {
  if (!warned_.insert(doubt).second) return;
  listener_.warn(format("update %llu: ", static_cast<unsigned long long>(update)) + why);
}

template <EnergyModel M>
LogPartition LogZAudit<M>::estimated(const typename M::Params& theta) {
  const auto betas = static_cast<std::uint64_t>(kValidationBetas);
  if (enumeration_operations(engine_.model) <= annealing_operations(engine_.model, kValidationChains, betas))
    return exact_log_partition(engine_, theta, {});
  const auto weights = annealed_log_weights(
      engine_, theta, published_betas(kValidationBetas),
      reference_chains(engine_, kValidationChains, Purpose::kValidation), Purpose::kValidation);
  return log_partition_from_weights(engine_.model.reference_log_partition(), weights);
}

template <EnergyModel M>
void LogZAudit<M>::weigh(Assessment& found, const TrainState<M>& s) {
  found.shift = shift(s);
  bool possible = true;
  if (is_tracked(plan_)) found.train = train_.likelihood(engine_, s.result(), found.log_partition, possible);
  found.validation = valid_.likelihood(engine_, s.result(), found.log_partition, possible);
  if (!possible) {
    warn_once(
        LogZDoubt::kData, s.update,
        "log Z is too low, distinct cases would have more than probability 1: the chains have lost what "
        "the model likes best (--jump may help); such reports are never taken as the best");
  }
  const bool is_known = found.log_partition.standard_error <= kLargestTrustedError;
  found.doubt = !possible                                       ? LogZDoubt::kData
                : is_refuted_by_modes(found.log_partition, s)   ? LogZDoubt::kBound
                : stands_still(found.doubt) && !is_exact(found) ? found.doubt
                : is_known                                      ? LogZDoubt::kNone
                                                                : LogZDoubt::kError;
}

template <EnergyModel M>
LogZDoubt LogZAudit<M>::doubt_of_replicas(const TrainState<M>& s) {
  // A run that ends has one report more than a run that goes on.
  if (!has_ladder(s) || s.update % plan_.report.every != 0) return LogZDoubt::kNone;
  const TemperatureLadder& ladder = s.tracker.ladder;
  if (ladder.swaps >= memory_.rounds + kTravelRounds) {
    memory_.standing = ladder.round_trips == memory_.round_trips ? 1 : 0;
    memory_.round_trips = ladder.round_trips;
    memory_.rounds = ladder.swaps;
  }
  if (memory_.standing != 0) {
    warn_once(LogZDoubt::kReplicas, s.update,
              std::string(help_of(LogZDoubt::kReplicas)) +
                  format(": none has in %llu rounds", static_cast<unsigned long long>(kTravelRounds)));
    return LogZDoubt::kReplicas;
  }
  // Ranks, since the machine moves between reports, and all free energies with it.
  const std::vector<double> energies = coldest_energies(engine_, s.tracker);
  const auto n = static_cast<Index>(energies.size());
  auto& ranks = memory_.ranks;
  if (ranks.cols() != n) ranks.resize(0, n);
  const Index rows = std::min<Index>(ranks.rows(), static_cast<Index>(kRememberedReports) - 1);
  const Eigen::MatrixXd before = ranks.bottomRows(rows);
  ranks.resize(rows + 1, n);
  ranks.topRows(rows) = before;
  for (Index e = 0; e < n; ++e) {
    ranks(rows, e) = static_cast<double>(std::count_if(energies.begin(), energies.end(), [&](double x) {
      return x < energies[static_cast<std::size_t>(e)];
    }));
  }
  if (rows + 1 < static_cast<Index>(kLeastReports)) return LogZDoubt::kNone;
  std::vector<std::vector<double>> series(energies.size());
  for (Index e = 0; e < n; ++e) {
    for (Index t = 0; t <= rows; ++t) series[static_cast<std::size_t>(e)].push_back(ranks(t, e));
  }
  const double found = r_hat(series);
  if (!(found > kLargestRHat)) return LogZDoubt::kNone;
  warn_once(LogZDoubt::kEnsembles, s.update,
            std::string(help_of(LogZDoubt::kEnsembles)) + format(": R-hat of their ranks is %.2f", found));
  return LogZDoubt::kEnsembles;
}

template <EnergyModel M>
std::uint64_t LogZAudit<M>::reports_between_comparisons(const TrainState<M>& s) const {
  const std::uint64_t states = plan_.batch + std::max(plan_.batch, s.population.chains.n_chains);
  const double work = static_cast<double>(plan_.report.every * states) * sweep_operations(engine_.model);
  const double cost = enumeration_operations(engine_.model);
  return cost > kCheckedOperations ? 1 : static_cast<std::uint64_t>(1.0 + cost / (kComparing * work));
}

template <EnergyModel M>
Assessment LogZAudit<M>::assess(const UpdateReport& report, const TrainState<M>& s) {
  Assessment result;
  const bool validated = is_validated(plan_, report.update);
  bool confirmed = false;
  if (is_tracked(plan_)) {
    result.log_partition = report.log_partition;
    // Now and then; once it was seen to be wrong, at every report until it is right again.
    const std::uint64_t every = plan_.report.every * reports_between_comparisons(s);
    const bool due = report.update % every == 0 || report.update == report.total;
    if (memory_.missed != 0.0 || validated || due) {
      const auto exact = compare_with_exact(report.log_partition, s);
      confirmed = exact.has_value() && memory_.missed == 0.0;
      if (memory_.missed != 0.0) result.log_partition = *exact;
    }
  } else if (validated) {
    result.log_partition = estimated(s.result());
  } else {
    memory_.doubt = 0;
    return result;
  }
  weigh(result, s);
  const LogZDoubt replicas = doubt_of_replicas(s);
  // Where enumeration agrees, nothing is left to be doubted.
  if (result.trusted() && memory_.missed == 0.0 && !confirmed) result.doubt = replicas;
  memory_.doubt = static_cast<std::uint64_t>(result.doubt);
  return result;
}

template <EnergyModel M>
std::optional<Likelihood> LogZAudit<M>::largest_likelihood(const Assessment& found,
                                                           const TrainState<M>& s) const {
  if (std::isnan(found.train.log_likelihood)) return std::nullopt;
  if (found.trusted()) return found.train;
  if (s.modes.rows() == 0) return std::nullopt;
  const double bound = log_weight_of(*engine_.model.collapsed(s.result()), states_of(s.modes));
  // That rests on no log Z, and so not on its error.
  Likelihood largest = found.train;
  largest.log_likelihood += found.log_partition.value - bound;
  const double of_all = found.train.standard_error;
  const double of_log_z = found.log_partition.standard_error;
  largest.standard_error = std::sqrt(std::max(0.0, of_all * of_all - of_log_z * of_log_z));
  return largest;
}

template <EnergyModel M>
void LogZAudit<M>::require_sense(const Assessment& found, const TrainState<M>& s) {
  const bool absurd = std::abs(found.log_partition.value) > kLargestLogZ;
  absurd_ = absurd;
  const auto likelihood = largest_likelihood(found, s);
  if ((!likelihood && !absurd) || s.update * kWarmUp < plan_.rate.total) return;
  if (!independent_) {
    bool possible = true;
    independent_ = train_
                       .likelihood(engine_, engine_.model.reference_params(),
                                   {engine_.model.reference_log_partition(), 0.0, 1.0}, possible)
                       .log_likelihood;
  }
  const bool below =
      absurd || likelihood->log_likelihood < *independent_ - kDivergedErrors * likelihood->standard_error;
  if (below) {
    memory_.below += absurd || found.trusted() ? kSeenBelow : 1;
  } else if (found.trusted()) {
    memory_.below = 0;  // what only a bound does not tell is not known
  }
  if (memory_.below < kMostBelow) return;
  if (absurd) {
    throw NumericalError(
        format("update %llu: training has diverged: log Z is %.3g nats, of which single precision "
               "leaves nothing; the last good checkpoint is kept (a smaller --lr may help)",
               static_cast<unsigned long long>(s.update), found.log_partition.value));
  }
  throw NumericalError(
      format("update %llu: training has diverged: the training cases have %.6g nats at most, and %.6g by "
             "independent units; the last good checkpoint is kept (a smaller --lr may help)",
             static_cast<unsigned long long>(s.update), likelihood->log_likelihood, *independent_));
}

template <EnergyModel M>
bool LogZAudit<M>::may_have_diverged() const {
  return absurd_ || memory_.below >= kSeenBelow;
}

template <EnergyModel M>
void LogZAudit<M>::compare(const Assessment& found, TrainingVerdict& verdict) const {
  verdict.of_validation = data_.valid.n_cases() > 0 && !std::isnan(found.validation.log_likelihood);
  const Likelihood& own = verdict.of_validation ? found.validation : found.train;
  if (std::isnan(own.log_likelihood)) return;
  const typename M::Data& cases = verdict.of_validation ? data_.valid : data_.train;
  verdict.likelihood = own.log_likelihood;
  verdict.likelihood_error = found.log_partition.standard_error;
  verdict.independent = independent_likelihood(engine_, cases).log_likelihood;
  if (const auto gaussian = gaussian_likelihood<M>(data_.train, cases))
    verdict.gaussian = gaussian->log_likelihood;
}

template <EnergyModel M>
LogPartition LogZAudit<M>::independent(const TrainState<M>& s, double largest_error,
                                       std::uint64_t most_rounds) {
  const Engine<M> apart{engine_.model, {~engine_.streams.seed}, engine_.executor};
  // A tenth of it is to settle.
  double done_before = 0.0;
  double share = 0.1;
  const Progress progress = [&](double fraction) {
    if (listener_.progress("settling log Z", done_before + share * fraction, "") == Control::kStop)
      throw Interrupted();
    return Control::kContinue;
  };
  Tracker<M> own = s.tracker;
  const Jumps jumps = jumps_of(engine_.model, plan_.sampling, s);
  track(apart, s.result(), own, jumps);
  // Replicas that have all come from the same training may have lost the same modes: half of the ensembles
  // begin anew, at data.
  const TemperatureLadder& ladder = own.ladder;
  const Chains<M> warm = warm_chains(apart, s.result(), data_.train, ladder.n_ensembles / 2 * ladder.n_rungs);
  for (std::uint64_t i = 0; i < warm.n_chains; ++i) {
    const std::uint64_t chain = ladder.chains[static_cast<std::size_t>(i)];
    copy_chain(warm, i, own.population.chains, chain);
    own.accumulated_log_weight[static_cast<std::size_t>(chain)] = 0.0;
  }
  own.current = false;
  settle(apart, most_rounds, own, progress, jumps);
  LogPartition z;
  share = 0.9 * static_cast<double>(kSettledRounds) / static_cast<double>(most_rounds);
  for (std::uint64_t done = 0; done < most_rounds; done += kSettledRounds) {
    done_before = 0.1 + 0.9 * static_cast<double>(done) / static_cast<double>(most_rounds);
    refresh(apart, kSettledRounds, own, progress, jumps);
    z = tracked_log_partition(apart, s.result(), own);
    if (z.standard_error <= largest_error) break;
  }
  return z;
}

template <EnergyModel M>
Assessment LogZAudit<M>::settled(Assessment found, const TrainState<M>& s, double largest_error) {
  if (!has_ladder(s) || memory_.missed != 0.0) return found;
  const LogPartition z = is_compared() ? exact_log_partition(engine_, s.result(), {})
                                       : independent(s, largest_error, kMostRounds);
  found.log_partition = z;
  weigh(found, s);
  memory_.doubt = static_cast<std::uint64_t>(found.doubt);
  remember(z, s);
  return found;
}

template <EnergyModel M>
void LogZAudit<M>::remember(const LogPartition& z, const TrainState<M>& s) {
  memory_.settled_update = s.update;
  memory_.settled_value = z.value;
  memory_.settled_error = z.standard_error;
}

template <EnergyModel M>
std::optional<LogPartition> LogZAudit<M>::settled_log_partition(const TrainState<M>& s) const {
  if (memory_.settled_update != s.update) return std::nullopt;
  return LogPartition{memory_.settled_value, memory_.settled_error, 1.0};
}

template <EnergyModel M>
Assessment LogZAudit<M>::concluded(const Assessment& found, const TrainState<M>& s) {
  if (!has_ladder(s) || memory_.missed != 0.0 || settled_log_partition(s)) return found;
  const double round =
      static_cast<double>(s.tracker.population.chains.n_chains) * sweep_operations(engine_.model);
  const double rounds =
      std::clamp(kConclusion / round, static_cast<double>(kLeastRounds), static_cast<double>(kMostRounds));
  Assessment result = found;
  const auto conclude = [&](const LogPartition& z) {
    result.log_partition = z;
    weigh(result, s);
    remember(z, s);
  };
  const LogPartition& tracked = found.log_partition;
  if (plan_.tracking.enumerate && enumeration_operations(engine_.model) <= rounds * round) {
    conclude(exact_log_partition(engine_, s.result(), {}));
  } else {
    const LogPartition z = independent(s, tracked.standard_error, static_cast<std::uint64_t>(rounds));
    if (z.standard_error <= kLessKnown * tracked.standard_error) conclude(z);
    const double error = std::hypot(z.standard_error, tracked.standard_error);
    if (result.trusted() && std::abs(z.value - tracked.value) > kMovedErrors * error) {
      result.doubt = LogZDoubt::kRefresh;
      warn_once(LogZDoubt::kRefresh, s.update,
                format("independent rounds give log Z %.3f (%.3f), and not %.3f (%.3f)", z.value + shift(s),
                       z.standard_error, tracked.value + shift(s), tracked.standard_error));
    }
  }
  if (result.trusted() && result.log_partition.standard_error > 0.0 &&
      is_refuted_by_search(result.log_partition, s))
    result.doubt = LogZDoubt::kBound;
  memory_.doubt = static_cast<std::uint64_t>(result.doubt);
  return result;
}

template <EnergyModel M>
LogZNote LogZAudit<M>::note(const TrainState<M>& s) {
  // Reports must not depend on when checkpoints are written.
  const AuditMemory before = memory_;
  LogZNote found;
  if (const auto z = known(s)) found.log_partition = moved(*z, shift(s));
  found.doubt = doubt();
  memory_ = before;
  return found;
}

template <EnergyModel M>
std::optional<LogPartition> LogZAudit<M>::known(const TrainState<M>& s) {
  if (!is_tracked(plan_) || s.update == 0) return std::nullopt;
  if (const auto z = settled_log_partition(s)) return z;
  try {
    const LogPartition z = tracked_log_partition(engine_, s.result(), s.tracker);
    if (compare_with_exact(z, s) && memory_.missed == 0.0 && stands_still(doubt()))
      memory_.doubt = static_cast<std::uint64_t>(LogZDoubt::kNone);
    if (is_refuted_by_modes(z, s)) memory_.doubt = static_cast<std::uint64_t>(LogZDoubt::kBound);
    return z;
  } catch (const NumericalError&) {
    return std::nullopt;  // a checkpoint is worth more than this note
  }
}

bool EarlyStopping::is_last_turn(std::uint64_t update) const {
  return falls_to_zero(rate_) && !memory_.cools() && memory_.best_update > 0 && is_in_last_part(update) &&
         !is_in_last_part(update - std::min(update, every())) && update < rate_.total;
}

bool EarlyStopping::is_in_last_part(std::uint64_t update) const {
  return rate_.total - update <= rate_.total / kLastPart;
}

std::uint64_t EarlyStopping::way_back(std::uint64_t update) const {
  const std::uint64_t left = rate_.total - update;
  return is_in_last_part(update) ? left : std::min(std::max(memory_.best_update, every()), left);
}

std::optional<double> EarlyStopping::lead(const Assessment& found, bool settled) const {
  const LogPartition& z = found.log_partition;
  if (!found.trusted() || z.effective_fraction < kLowEffectiveFraction) return std::nullopt;
  const double gain = found.validation.log_likelihood - memory_.best_validation;
  if (settled) {
    const double allowed =
        std::min(found.validation.standard_error,
                 std::max(kSettledNats, kSettledShare * std::abs(memory_.best_validation)));
    return gain + allowed > 0.0 ? std::optional(gain + allowed) : std::nullopt;
  }
  // What log Z's own error may have made is no gain.
  if (!(gain > z.standard_error)) return std::nullopt;
  return gain;
}

bool EarlyStopping::is_best(const Assessment& found, std::uint64_t update) {
  const bool fell =
      found.validation.log_likelihood < memory_.best_validation - found.validation.standard_error;
  if (fell || !falls_to_zero(rate_)) {
    ++memory_.validations_since_best;
  } else if (found.trusted()) {
    memory_.validations_since_best = 0;
  }
  if (found.log_partition.effective_fraction < kLowEffectiveFraction && !warned_) {
    listener_.warn(
        format("validation at update %llu: only %.1f %% of the AIS chains count; such estimates "
               "flatter the model and are never taken as the best",
               static_cast<unsigned long long>(update), 100.0 * found.log_partition.effective_fraction));
    warned_ = true;
  }
  if (!gain(found, update)) {
    if (is_last_turn(update) && !lead(found, true))
      memory_.validations_since_best =
          std::max(memory_.validations_since_best, static_cast<std::uint64_t>(number_of(options_.patience)));
    if (memory_.best_update > 0 && memory_.validations_since_best == kFalling && found.trusted() &&
        found.validation.log_likelihood < memory_.best_validation - kFallenNats) {
      listener_.note(
          format("validation falls: %.3f nats at update %llu, %.3f at update %llu; the machine "
                 "begins to overfit, and that model is kept",
                 memory_.best_validation, static_cast<unsigned long long>(memory_.best_update),
                 found.validation.log_likelihood, static_cast<unsigned long long>(update)));
    }
    return false;
  }
  if (found.validation.log_likelihood < memory_.best_validation) {
    listener_.note(
        format("the model that the rate fell to 0 with is as good as the best one within its standard "
               "error (%.3f nats, %.3f at update %llu), and is offered",
               found.validation.log_likelihood, memory_.best_validation,
               static_cast<unsigned long long>(memory_.best_update)));
  }
  memory_.best_validation = found.validation.log_likelihood;
  memory_.best_update = update;
  memory_.validations_since_best = 0;
  return true;
}

#define TEMPERA_INSTANTIATE(M) \
  template class Cases<M>;     \
  template class LogZAudit<M>;
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
