#include "tempera/services/bound.hpp"

#include "tempera/core/format.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {
namespace {

/// Cases at which a search of modes begins.
constexpr Index kSearchedCases = 64;

}  // namespace

template <EnergyModel M>
std::optional<LogPartitionBound> certified_bound(const Engine<M>& engine, const typename M::Params& theta,
                                                 const typename M::Data& data, const Progress& progress) {
  if (!engine.model.why_not_collapsible().empty()) return std::nullopt;
  const std::vector<PackedState> starts =
      states_of_cases(engine, theta, data, kSearchedCases, kMeanFieldSweeps);
  const ModeSearch search = search_modes([&] { return engine.model.collapsed(theta); }, engine.streams,
                                         engine.executor, starts, {}, progress);
  if (search.improper) throw NumericalError(kImproper);
  return LogPartitionBound{search.lower_bound(), search.modes.size()};
}

std::string words_of_refutation(const LogPartitionBound& bound) {
  return format(
      "log Z is at least %.3f, as a search of modes proves: the estimate misses what the model likes best",
      bound.value);
}

#define TEMPERA_INSTANTIATE(M)                                                                  \
  template std::optional<LogPartitionBound> certified_bound(const Engine<M>&, const M::Params&, \
                                                            const M::Data&, const Progress&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
