// Whether log Z of a training run is to be trusted, and which of its models is the best.
#include <algorithm>
#include <cmath>

#include "observers.hpp"
#include "tempera/core/format.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/services/bound.hpp"

namespace tempera {
namespace {

/// Validation likelihoods during training: exact up to this many enumerated units, AIS beyond.
constexpr Index kExactValidationUnits = 14;
constexpr std::uint64_t kValidationChains = 64;
constexpr Index kValidationBetas = 1000;
/// A tracked log Z is compared with the exact one at checkpoints and validations where at most this many
/// units are to be enumerated; further apart than this many standard errors and nats it is not to be trusted.
constexpr Index kCheckedUnits = 12;
constexpr double kCheckedErrors = 5.0;
constexpr double kCheckedNats = 0.5;
/// What rounding of free energies may add to the log of a total probability.
constexpr double kProbabilityRounding = 1e-4;
/// Part of the work of training that searches of modes may take.
constexpr double kSearchShare = 0.02;
/// Floating-point operations of a search that take as long as an update does for each chain or case and
/// weight: the kernels of training are that much faster than softplus in double.
constexpr double kOfWeight = 0.25;
/// Ascents of a round, cases that they may begin at, and sweeps of each that a search must be able to pay.
constexpr Index kSearchRound = 16;
constexpr Index kSearchedCases = 16;
constexpr double kSearchSweeps = 8.0;
/// Updates between searches are at least these, and this part of those so far.
constexpr std::uint64_t kLeastUpdates = 16;
constexpr std::uint64_t kSearchGrowth = 8;
/// Rounds of the tracker after which a refreshed log Z is looked at, and how often at most.
constexpr std::uint64_t kRefreshRounds = 20;
constexpr std::uint64_t kMostRefreshes = 10;
/// A report whose log Z has a larger error bar, in nats, decides nothing.
constexpr double kLargestError = 1.0;
/// Training cases at most whose likelihood is reported.
constexpr Index kReportedCases = 10000;
/// Chains whose caches are in memory at a time.
constexpr Index kPanelCases = 64 * kLanes;

bool is_tracked(const Plan& plan) { return plan.tracking.kind != Tracking::kNone; }

/// Updates since the search before, where there is one at this update, else 0; `least` between searches.
std::uint64_t updates_to_search(std::uint64_t update, std::uint64_t least) {
  std::uint64_t before = 0;
  for (std::uint64_t at = least; at <= update; at += std::max(least, at / kSearchGrowth)) {
    if (at == update) return at - before;
    before = at;
  }
  return 0;
}

}  // namespace

template <EnergyModel M>
Cases<M>::Cases(const Engine<M>& engine, const typename M::Data& data, Index most)
    : n_(std::min(most, data.n_cases())) {
  using Value = std::remove_const_t<typename decltype(data.row(0))::element_type>;
  std::set<std::vector<Value>> seen;
  std::vector<Index> which;
  // Drawn once, ascending: rows may have a period.
  StreamEngine random = engine.streams.engine(Purpose::kReportedCases, 0);
  for (Index row = 0; row < data.n_cases(); ++row) {
    const auto wanted = static_cast<double>(n_ - static_cast<Index>(which.size()));
    if (uniform_53(random) * static_cast<double>(data.n_cases() - row) < wanted) which.push_back(row);
  }
  for (Index i = 0; i < n_; ++i) {
    const auto row = data.row(which[static_cast<std::size_t>(i)]);
    if (M::kDiscrete && seen.insert({row.begin(), row.end()}).second)
      distinct_.push_back(static_cast<std::size_t>(i));
  }
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
    engine.executor.for_each(static_cast<Index>(panel.blocks.size()), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      case_free_energy(engine.model, theta, panel.blocks[b], caches_.blocks[b], found.blocks[b]);
    });
    for (std::uint64_t c = 0; c < panel.n_chains; ++c) energies.push_back(found[c]);
  }
  std::vector<double> distinct;
  for (const std::size_t i : distinct_) distinct.push_back(energies[i]);
  // Densities may be above 1.
  possible = possible && (!M::kDiscrete || log_total_probability(distinct, z) <=
                                               3.0 * z.standard_error + kProbabilityRounding);
  return mean_log_likelihood(energies, z);
}

template <EnergyModel M>
LogZAudit<M>::LogZAudit(const Engine<M>& engine, const Plan& plan, Data data, AuditMemory& memory,
                        Listener& listener)
    : engine_(engine),
      plan_(plan),
      data_(data),
      memory_(memory),
      listener_(listener),
      train_(engine, data.train, is_tracked(plan) ? kReportedCases : 0),
      valid_(engine, data.valid, data.valid.n_cases()) {
  if (estimates() && engine.model.why_not_collapsible().empty()) budget_ = search_budget();
}

template <EnergyModel M>
std::optional<LogPartition> LogZAudit<M>::compare_with_exact(const LogPartition& tracked,
                                                             const TrainState<M>& s) {
  if (engine_.model.enumerated_units() > kCheckedUnits) return std::nullopt;
  const LogPartition exact = exact_log_partition(engine_, s.result(), {});
  memory_.missed = exact.value - tracked.value;
  if (std::abs(memory_.missed) <= kCheckedNats + kCheckedErrors * tracked.standard_error)
    memory_.missed = 0.0;
  if (memory_.missed != 0.0 && !warned_missed_) {
    listener_.warn(format(
        "update %llu: the exact log Z is %.2f nats from the tracked one: the chains do not see all of the "
        "machine's mass, so its gradient is wrong; a lower --lr, a rate that decays or early stopping "
        "(--validate-every, --patience) may help",
        static_cast<unsigned long long>(s.update), memory_.missed));
    warned_missed_ = true;
  }
  return exact;
}

template <EnergyModel M>
bool LogZAudit<M>::estimates() const {
  return is_tracked(plan_) || plan_.report.validate_every != ReportPlan().validate_every;
}

/// Of a model whose modes can be searched: operations that an update may add to the budget of searches, and
/// updates until they pay for one. Counted from sizes alone.
template <EnergyModel M>
SearchBudget LogZAudit<M>::search_budget() const {
  const typename M::Params zero = engine_.model.zero_params();
  double weights = 0.0;
  for_each_field(
      [&weights](std::string_view, const auto& field) { weights += static_cast<double>(field.size()); },
      zero);
  SearchBudget budget;
  budget.operations =
      kSearchShare * kOfWeight * weights * static_cast<double>(plan_.batch + plan_.start.chains);
  const double search = static_cast<double>(kSearchRound) * kSearchSweeps *
                        static_cast<double>(collapsed_units(engine_.model)) *
                        engine_.model.collapsed(zero)->cost();
  budget.updates = std::max(kLeastUpdates, static_cast<std::uint64_t>(std::ceil(search / budget.operations)));
  return budget;
}

template <EnergyModel M>
void LogZAudit<M>::search(const TrainState<M>& s) {
  if (!budget_) return;
  const std::uint64_t updates = updates_to_search(s.update, budget_->updates);
  if (updates == 0) return;
  const typename M::Params& theta = s.result();
  std::vector<PackedState> starts = remembered();
  for (PackedState& state : states_of_cases(engine_, theta, data_.train, kSearchedCases, kMeanFieldSweeps))
    starts.push_back(std::move(state));
  ModeSearchOptions options;
  options.step = s.update;
  options.round = kSearchRound;
  options.operations = budget_->operations * static_cast<double>(updates);
  const ModeSearch found = search_modes([&] { return engine_.model.collapsed(theta); }, engine_.streams,
                                        engine_.executor, starts, options);
  const std::size_t n = std::min(kRememberedModes, found.modes.size());
  memory_.modes.resize(static_cast<Index>(n), words_for(collapsed_units(engine_.model)));
  for (std::size_t k = 0; k < n; ++k) {
    const PackedState& state = found.modes[k].state;
    std::copy(state.begin(), state.end(), memory_.modes.row(static_cast<Index>(k)).begin());
  }
}

template <EnergyModel M>
std::vector<PackedState> LogZAudit<M>::remembered() const {
  std::vector<PackedState> states;
  for (Index k = 0; k < memory_.modes.rows(); ++k)
    states.emplace_back(memory_.modes.row(k).begin(), memory_.modes.row(k).end());
  return states;
}

template <EnergyModel M>
std::optional<double> LogZAudit<M>::refutation(const LogPartition& z, const TrainState<M>& s) {
  if (memory_.modes.rows() == 0) return std::nullopt;
  const double bound = log_weight_of(*engine_.model.collapsed(s.result()), remembered());
  if (!std::isfinite(bound) || !is_refuted(z, bound)) return std::nullopt;
  if (!warned_refuted_) {
    listener_.warn(format("update %llu: ", static_cast<unsigned long long>(s.update)) +
                   words_of_refutation(z, bound) +
                   " (--jump, or a lower --lr, may help); such reports are never taken as the best");
    warned_refuted_ = true;
  }
  return bound;
}

template <EnergyModel M>
LogPartition LogZAudit<M>::estimated(const typename M::Params& theta) {
  if (engine_.model.enumerated_units() <= kExactValidationUnits)
    return exact_log_partition(engine_, theta, {});
  const auto weights = annealed_log_weights(
      engine_, theta, published_betas(kValidationBetas),
      reference_chains(engine_, kValidationChains, Purpose::kValidation), Purpose::kValidation);
  return log_partition_from_weights(engine_.model.reference_log_partition(), weights);
}

template <EnergyModel M>
Assessment LogZAudit<M>::assess(const UpdateReport& report, const TrainState<M>& s) {
  Assessment result;
  const typename M::Params& theta = s.result();
  const bool validated = is_validated(plan_, report.update);
  if (is_tracked(plan_)) {
    result.log_partition = report.log_partition;
    // Once it was seen to be wrong, at every report until it is right again.
    if (memory_.missed != 0.0 || validated) {
      const auto exact = compare_with_exact(report.log_partition, s);
      if (memory_.missed != 0.0) result.log_partition = *exact;
    }
    result.train = train_.likelihood(engine_, theta, result.log_partition, result.possible);
  } else if (validated) {
    result.log_partition = estimated(theta);
  } else {
    memory_.impossible = 0;
    return result;
  }
  result.validation = valid_.likelihood(engine_, theta, result.log_partition, result.possible);
  const bool contradicted = !result.possible;
  if (refutation(result.log_partition, s)) result.possible = false;
  memory_.impossible = result.possible ? 0 : 1;
  if (contradicted && !warned_impossible_) {
    listener_.warn(format(
        "update %llu: log Z is too low, distinct cases would have more than probability 1: the chains have "
        "lost what the model likes best (--jump may help); such reports are never taken as the best",
        static_cast<unsigned long long>(report.update)));
    warned_impossible_ = true;
  }
  return result;
}

template <EnergyModel M>
Assessment LogZAudit<M>::refreshed(Assessment found, const TrainState<M>& s, double largest_error) {
  if (!is_tracked(plan_) || memory_.missed != 0.0 || s.tracker.ladder.n_rungs == 0 ||
      s.tracker.population.chains.n_chains == 0)
    return found;
  const Engine<M> apart{engine_.model, {~engine_.streams.seed}, engine_.executor};
  Tracker<M> own = s.tracker;
  track(apart, s.result(), own);
  for (std::uint64_t batch = 0; batch < kMostRefreshes; ++batch) {
    refresh(apart, kRefreshRounds, own);
    found.log_partition = tracked_log_partition(apart, s.result(), own);
    if (found.log_partition.standard_error <= largest_error) break;
  }
  found.train = train_.likelihood(engine_, s.result(), found.log_partition, found.possible);
  found.validation = valid_.likelihood(engine_, s.result(), found.log_partition, found.possible);
  if (refutation(found.log_partition, s)) found.possible = false;
  return found;
}

template <EnergyModel M>
std::optional<LogPartition> LogZAudit<M>::tracked(const TrainState<M>& s) {
  if (!is_tracked(plan_) || s.update == 0) return std::nullopt;
  try {
    const LogPartition z = tracked_log_partition(engine_, s.result(), s.tracker);
    compare_with_exact(z, s);
    if (refutation(z, s)) memory_.impossible = 1;
    return z;
  } catch (const NumericalError&) {
    return std::nullopt;  // a checkpoint is worth more than this note
  }
}

std::optional<double> EarlyStopping::gain(const Assessment& found) const {
  const bool effective = found.log_partition.effective_fraction >= kLowEffectiveFraction;
  if (!found.possible || !(found.log_partition.standard_error <= kLargestError) || !effective ||
      !(found.validation.log_likelihood > memory_.best_validation))
    return std::nullopt;
  return found.validation.log_likelihood - memory_.best_validation;
}

bool EarlyStopping::is_best(const Assessment& found, std::uint64_t update) {
  ++memory_.validations_since_best;
  if (found.log_partition.effective_fraction < kLowEffectiveFraction && !warned_) {
    listener_.warn(
        format("validation at update %llu: only %.1f %% of the AIS chains count; such estimates "
               "flatter the model and are never taken as the best",
               static_cast<unsigned long long>(update), 100.0 * found.log_partition.effective_fraction));
    warned_ = true;
  }
  if (!gain(found)) return false;
  memory_ = {found.validation.log_likelihood, update, 0};
  return true;
}

#define TEMPERA_INSTANTIATE(M) \
  template class Cases<M>;     \
  template class LogZAudit<M>;
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
