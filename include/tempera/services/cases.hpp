// Free energies of cases, and log Z by enumeration: what likelihoods are made of.
#pragma once

#include "tempera/estimate/likelihood.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/mcmc/population.hpp"

namespace tempera {

/// Units above the latents of a deep machine that are enumerated for the likelihood of each case; beyond, a
/// mean field bounds it.
inline constexpr Index kExactCaseUnits = 10;

/// Whether free energies of cases are bounds: mean fields of machines with too many latents to enumerate.
template <EnergyModel M>
bool is_bound(const M& model) {
  return model.case_units() > kExactCaseUnits;
}

/// Free energies of every case, in parallel: exact, in double, or upper bounds (is_bound). Of standardised
/// cases with what their log density in these coordinates exceeds that in their own units by: likelihoods are
/// then those of the data's units, log Z is the machine's own.
template <EnergyModel M>
std::vector<double> free_energies(const Engine<M>& engine, const typename M::Params& theta,
                                  const typename M::Data& data);

/// Floating-point operations of enumeration, about, on the scale of sweep_operations; infinite where there is
/// none.
template <EnergyModel M>
double enumeration_operations(const M& model);

/// The same of annealing: a sweep for each chain and beta.
template <EnergyModel M>
double annealing_operations(const M& model, std::uint64_t chains, std::uint64_t betas);

/// log Z by enumeration. Throws ConfigError where there is none or it would take too long, NumericalError
/// where the machine has no law. Cost: 2^enumerated_units().
template <EnergyModel M>
LogPartition exact_log_partition(const Engine<M>& engine, const typename M::Params& theta,
                                 const Progress& progress);

}  // namespace tempera
