#include "tempera/services/bound.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/format.hpp"
#include "tempera/core/math.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/data_kind.hpp"

namespace tempera {
namespace {

/// Cases at which a search of modes begins: spread ones, and the most likely.
constexpr Index kSearchedCases = 64;
/// Work that free energies of all cases may take.
constexpr double kCasesOperations = 1e10;

template <EnergyModel M>
bool are_cheap(const M& model, Index n_cases) {
  return static_cast<double>(n_cases) * sweep_operations(model) <= kCasesOperations;
}

/// Cases that a search begins at.
template <EnergyModel M>
std::vector<Index> searched_cases(const Engine<M>& engine, const typename M::Params& theta,
                                  const typename M::Data& data) {
  std::vector<Index> which = spread_cases(data.n_cases(), kSearchedCases, 0);
  if (which.empty() || !are_cheap(engine.model, data.n_cases())) return which;
  const std::vector<double> energies = free_energies(engine, theta, data);
  std::vector<Index> order(energies.size());
  if (const BinaryData* const bits = as_bits(data)) {
    order = bits->distinct_cases();
  } else {
    std::iota(order.begin(), order.end(), Index{0});
  }
  const auto n = std::min<std::ptrdiff_t>(kSearchedCases, static_cast<std::ptrdiff_t>(order.size()));
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](Index a, Index b) {
    const double first = energies[static_cast<std::size_t>(a)];
    const double second = energies[static_cast<std::size_t>(b)];
    return first < second || (first == second && a < b);
  });
  which.insert(which.end(), order.begin(), order.begin() + n);
  return which;
}

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
                                   const typename M::Data& data, std::span<const PackedState> remembered,
                                   const Progress& progress) {
  if (!engine.model.why_not_collapsible().empty()) return std::nullopt;
  std::vector<PackedState> starts(remembered.begin(), remembered.end());
  const std::vector<Index> which = searched_cases(engine, theta, data);
  for (PackedState& state : states_of_cases(engine, theta, data, which, kMeanFieldSweeps))
    starts.push_back(std::move(state));
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

template <EnergyModel M>
std::optional<LogPartitionBound> bound_of_cases(const Engine<M>& engine, const typename M::Params& theta,
                                                const typename M::Data& data) {
  const BinaryData* const bits = as_bits(data);
  if (bits == nullptr || bits->n_cases() == 0 || !are_cheap(engine.model, bits->n_cases()))
    return std::nullopt;
  const std::vector<double> energies = free_energies(engine, theta, data);
  LogSumExp sum;
  const std::vector<Index> distinct = bits->distinct_cases();
  for (const Index n : distinct) sum.add(-energies[static_cast<std::size_t>(n)]);
  return LogPartitionBound{sum.value(), distinct.size(), true};
}

std::string words(const LogPartitionBound& bound) {
  return format("certain, from %zu %s", bound.states, bound.of_cases ? "distinct cases" : "modes");
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
                                              std::span<const PackedState>, const Progress&);     \
  template std::optional<LogPartitionBound> bound_of_cases(const Engine<M>&, const M::Params&,    \
                                                           const M::Data&);                       \
  template LogPartitionBound bound_of(const Engine<M>&, const M::Params&, std::span<const Mode>);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
