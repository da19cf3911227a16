#include "tempera/services/bound.hpp"

#include <cmath>

#include "tempera/core/format.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {
namespace {

/// Cases at which a search of modes begins.
constexpr Index kSearchedCases = 64;

std::string refutation(const char* source, const LogPartition& z, double lower_bound) {
  constexpr double kLostMode = 1.0;  // nats
  return format("log Z is at least %.3f, %s, and not %.3f (%.3f): %s", lower_bound, source, z.value,
                z.standard_error,
                lower_bound - z.value > kLostMode ? "the chains have lost what the model likes best"
                                                  : "the error bar is too small");
}

}  // namespace

template <EnergyModel M>
std::optional<ModeSearch> modes_of(const Engine<M>& engine, const typename M::Params& theta,
                                   const typename M::Data& data, const Progress& progress) {
  if (!engine.model.why_not_collapsible().empty()) return std::nullopt;
  const std::vector<PackedState> starts =
      states_of_cases(engine, theta, data, kSearchedCases, kMeanFieldSweeps);
  ModeSearch search = search_modes([&] { return engine.model.collapsed(theta); }, engine.streams,
                                   engine.executor, starts, {}, progress);
  if (search.improper) throw NumericalError(kImproper);
  return search;
}

template <EnergyModel M>
LogPartitionBound bound_of(const Engine<M>& engine, const typename M::Params& theta,
                           std::span<const Mode> modes) {
  const double bound = lower_bounds(*engine.model.collapsed(theta), modes).best();
  if (bound == std::numeric_limits<double>::infinity()) throw NumericalError(kImproper);
  return {bound, modes.size()};
}

double probable_shortfall() { return std::log(1000.0 * kAnnealings); }

std::string words_of_refutation(const LogPartition& z, double lower_bound) {
  return refutation("as a search of modes proves", z, lower_bound);
}

std::string words_of_probable_refutation(const LogPartition& z, double lower_bound) {
  return refutation("as annealing says with probability 0.999", z, lower_bound);
}

#define TEMPERA_INSTANTIATE(M)                                                                    \
  template std::optional<ModeSearch> modes_of(const Engine<M>&, const M::Params&, const M::Data&, \
                                              const Progress&);                                   \
  template LogPartitionBound bound_of(const Engine<M>&, const M::Params&, std::span<const Mode>);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
