// What a search of modes proves of log Z of a finished machine.
//
// Formulas: docs/mathematics/log-partition.md 3.19.
#pragma once

#include <optional>

#include "tempera/core/observer.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/mcmc/mode_search.hpp"

namespace tempera {

/// Log Z is at least `value`, as the weights of states around so many modes prove, or of so many cases.
struct LogPartitionBound {
  double value = 0.0;
  std::size_t states = 0;
  bool of_cases = false;
};

/// Searches from states that are remembered, from those of cases, spread ones and the most likely, where
/// there are any, and from random ones. Nothing for machines that do not collapse onto binary units (visibles
/// in a box). Throws NumericalError where the machine turns out to have no law. Cost: about 3e9
/// floating-point operations.
template <EnergyModel M>
std::optional<ModeSearch> modes_of(const Engine<M>& engine, const typename M::Params& theta,
                                   const typename M::Data& data, std::span<const PackedState> remembered,
                                   const Progress& progress);

/// The better of the bounds that these modes give. Throws NumericalError where the machine turns out to have
/// no law. Cost: about 1e9 floating-point operations.
template <EnergyModel M>
LogPartitionBound bound_of(const Engine<M>& engine, const typename M::Params& theta,
                           std::span<const Mode> modes);

/// What the weights of distinct cases add up to. Nothing where they are real values, whose densities bound
/// nothing, or where it would take more than 1e10 floating-point operations.
template <EnergyModel M>
std::optional<LogPartitionBound> bound_of_cases(const Engine<M>& engine, const typename M::Params& theta,
                                                const typename M::Data& data);

/// "certain, from 5 modes"
std::string words(const LogPartitionBound& bound);

/// log Z is at least log Z of an annealing run minus this, with a probability of 0.999 for all the runs of a
/// command together: exp of a log-weight has mean Z, so that its mean exceeds Z by a factor of exp(k) with
/// probability exp(-k) at most (Markov). Holds where betas and chains were fixed beforehand.
inline constexpr Index kAnnealings = 2;
double probable_shortfall();

/// What to say of an estimate that a bound refutes: "log Z is at least 179.140, as a search of modes proves,
/// and not 157.150 (0.090): the chains have lost what the model likes best", or, where less than a nat is
/// missing, that the error bar is too small.
std::string words_of_refutation(const LogPartition& z, double lower_bound);
/// The same where the bound is that of annealing.
std::string words_of_probable_refutation(const LogPartition& z, double lower_bound);

}  // namespace tempera
