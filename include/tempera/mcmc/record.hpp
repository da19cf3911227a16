// Draws of chains for a trace (diagnostics/trace.hpp).
#pragma once

#include "tempera/diagnostics/trace.hpp"
#include "tempera/mcmc/population.hpp"

namespace tempera {

/// Adds one draw of each of these chains. Caches must be current. Cost: a softplus pass of their blocks, and
/// a product with the components of the clusters where there are any.
template <EnergyModel M>
void record(const Engine<M>& engine, const typename M::Params& theta, const Population<M>& population,
            std::span<const std::uint64_t> which, const DataClusters& clusters, Trace& trace);

}  // namespace tempera
