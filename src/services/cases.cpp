#include "tempera/services/cases.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/errors.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Upper bounds of the free energies of up to 64 cases, by a mean field of their latents.
template <EnergyModel M>
void bound_free_energies(const M& model, const typename M::Params& theta, const typename M::Data& data,
                         std::span<const Index> cases, std::span<double> values) {
  const Executor here(1);
  const Engine engine{model, {}, here};
  Chains<M> chains;
  load_cases(engine, data, cases, chains);
  Caches<M> caches;
  caches.fit(model, cases.size(), here);
  infer_cases(engine, theta, kMeanFieldSweeps, chains.blocks, caches);
  LaneDoubles bounds;
  case_free_energy(model, theta, chains.blocks.front(), caches.blocks.front(), bounds);
  std::copy_n(bounds.begin(), cases.size(), values.begin());
}

}  // namespace

template <EnergyModel M>
std::vector<double> free_energies(const Engine<M>& engine, const typename M::Params& theta,
                                  const typename M::Data& data) {
  std::vector<double> values(static_cast<std::size_t>(data.n_cases()));
  std::vector<Index> cases(values.size());
  std::iota(cases.begin(), cases.end(), Index{0});
  const bool bound = is_bound(engine.model);
  PerChain<double> found(static_cast<std::size_t>(words_for(data.n_cases())));
  engine.executor.for_each_owned(words_for(data.n_cases()), [&](Index b) {
    const auto first = static_cast<std::size_t>(b * kLanes);
    const std::size_t count = std::min(values.size() - first, static_cast<std::size_t>(kLanes));
    LaneDoubles& of_block = found.blocks[static_cast<std::size_t>(b)];
    if (bound) {
      bound_free_energies(engine.model, theta, data, std::span(cases).subspan(first, count),
                          std::span(of_block).first(count));
      return;
    }
    for (std::size_t n = 0; n < count; ++n)
      of_block[n] = engine.model.free_energy(theta, data.row(static_cast<Index>(first + n)));
  });
  engine.executor.share(found.blocks);
  for (std::size_t n = 0; n < values.size(); ++n)
    values[n] = found[n] + data.log_volume(static_cast<Index>(n));
  return values;
}

template <EnergyModel M>
double enumeration_operations(const M& model) {
  if (!model.why_not_enumerable().empty() || !model.why_not_collapsible().empty())
    return std::numeric_limits<double>::infinity();
  return std::exp2(static_cast<double>(model.enumerated_units())) *
         model.collapsed(model.zero_params())->cost();
}

template <EnergyModel M>
double annealing_operations(const M& model, std::uint64_t chains, std::uint64_t betas) {
  return static_cast<double>(chains) * static_cast<double>(betas) * sweep_operations(model);
}

template <EnergyModel M>
LogPartition exact_log_partition(const Engine<M>& engine, const typename M::Params& theta,
                                 const Progress& progress) {
  if (const std::string why = engine.model.why_not_enumerable(); !why.empty())
    throw ConfigError({{"method", "exact", why + "; use --method ais"}});
  const LogPartition z = log_partition_from_chunks(
      engine.model.exact_chunks(),
      [&](Index chunk) { return engine.model.log_partition_chunk(theta, 1.0, chunk); }, engine.executor,
      progress);
  if (!std::isfinite(z.value)) {
    throw NumericalError(
        std::string(kImproper) +
        " and no log Z (the filters are too strong for the precisions of visibles and slabs)");
  }
  return z;
}

#define TEMPERA_INSTANTIATE(M)                                                                    \
  template std::vector<double> free_energies(const Engine<M>&, const M::Params&, const M::Data&); \
  template double enumeration_operations(const M&);                                               \
  template double annealing_operations(const M&, std::uint64_t, std::uint64_t);                   \
  template LogPartition exact_log_partition(const Engine<M>&, const M::Params&, const Progress&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
