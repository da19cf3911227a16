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
  const auto collapsed = [&] { return engine.model.collapsed(theta); };
  const ModeSearch search = search_modes(collapsed, engine.streams, engine.executor, starts, {}, progress);
  const double bound = lower_bounds(*collapsed(), search.modes).best();
  if (search.improper || bound == std::numeric_limits<double>::infinity()) throw NumericalError(kImproper);
  return LogPartitionBound{bound, search.modes.size()};
}

std::string words_of_refutation(const LogPartition& z, double lower_bound) {
  constexpr double kLostMode = 1.0;  // nats
  return format("log Z is at least %.3f, as a search of modes proves, and not %.3f (%.3f): %s", lower_bound,
                z.value, z.standard_error,
                lower_bound - z.value > kLostMode ? "the chains have lost what the model likes best"
                                                  : "the error bar is too small");
}

#define TEMPERA_INSTANTIATE(M)                                                                  \
  template std::optional<LogPartitionBound> certified_bound(const Engine<M>&, const M::Params&, \
                                                            const M::Data&, const Progress&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
