#include "tempera/train/searching.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Part of the work of training that searches may take.
constexpr double kSearchShare = 0.02;
/// Ascents of a round, cases that they may begin at, and sweeps of each that a search must be able to pay.
constexpr Index kSearchRound = 16;
constexpr Index kSearchedCases = 16;
constexpr double kSearchSweeps = 8.0;
/// Updates between searches are at least these, and this part of those so far.
constexpr std::uint64_t kLeastUpdates = 16;
constexpr std::uint64_t kSearchGrowth = 8;

/// Updates since the search before, where there is one at this update, else 0; `least` between searches.
std::uint64_t updates_to_search(std::uint64_t update, std::uint64_t least) {
  std::uint64_t before = 0;
  for (std::uint64_t at = least; at <= update; at += std::max(least, at / kSearchGrowth)) {
    if (at == update) return at - before;
    before = at;
  }
  return 0;
}

/// Whether anything looks at modes: log Z, or jumps.
bool is_searched(const Plan& plan) {
  return plan.tracking.kind != Tracking::kNone || plan.sampling.jumps() ||
         plan.report.validate_every != ReportPlan().validate_every;
}

}  // namespace

template <EnergyModel M>
std::optional<SearchBudget> search_budget(const M& model, const Plan& plan) {
  if (!is_searched(plan) || !model.why_not_collapsible().empty()) return std::nullopt;
  SearchBudget budget;
  budget.operations =
      kSearchShare * sweep_operations(model) * static_cast<double>(plan.batch + plan.start.chains);
  const double search = static_cast<double>(kSearchRound) * kSearchSweeps *
                        static_cast<double>(collapsed_units(model)) *
                        model.collapsed(model.zero_params())->cost();
  budget.updates = std::max(kLeastUpdates, static_cast<std::uint64_t>(std::ceil(search / budget.operations)));
  return budget;
}

template <EnergyModel M>
void search(const Engine<M>& engine, const SearchBudget& budget, const typename M::Data& data,
            TrainState<M>& s) {
  const std::uint64_t updates = updates_to_search(s.update, budget.updates);
  if (updates == 0) return;
  const typename M::Params& theta = s.result();
  std::vector<PackedState> starts = states_of(s.modes);
  const std::vector<Index> which = spread_cases(data.n_cases(), kSearchedCases, s.update);
  for (PackedState& state : states_of_cases(engine, theta, data, which, kMeanFieldSweeps))
    starts.push_back(std::move(state));
  ModeSearchOptions options;
  options.step = s.update;
  options.round = kSearchRound;
  options.operations = budget.operations * static_cast<double>(updates);
  const ModeSearch found = search_modes([&] { return engine.model.collapsed(theta); }, engine.streams,
                                        engine.executor, starts, options);
  std::vector<PackedState> states;
  for (std::size_t k = 0; k < std::min(kRememberedModes, found.modes.size()); ++k)
    states.push_back(found.modes[k].state);
  s.modes = rows_of(states, collapsed_units(engine.model));
  if (s.jumps.logits.rows() > 0) set_modes(engine, theta, states, s.jumps);
}

#define TEMPERA_INSTANTIATE(M)                                               \
  template std::optional<SearchBudget> search_budget(const M&, const Plan&); \
  template void search(const Engine<M>&, const SearchBudget&, const M::Data&, TrainState<M>&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
