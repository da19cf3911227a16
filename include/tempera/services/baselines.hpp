// Likelihoods that any model should beat, of the same cases.
#pragma once

#include <optional>

#include "tempera/estimate/likelihood.hpp"
#include "tempera/mcmc/engine.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {

/// Of independent units: the machine at beta = 0, which is fitted to training cases. In the units of the
/// data, as are likelihoods by `free_energies`. Cost: one product for each case.
template <EnergyModel M>
Likelihood independent_likelihood(const Engine<M>& engine, const typename M::Data& cases);

/// Of a full Gaussian with the training cases' mean and a covariance that is drawn to its own diagonal, by as
/// much as cross-validation on training cases says (five parts). Nothing for bits, where there are more than
/// kMostGaussianColumns columns or less than ten training cases. Cost: 35 Cholesky factors.
template <EnergyModel M>
std::optional<Likelihood> gaussian_likelihood(const typename M::Data& train, const typename M::Data& cases);
inline constexpr Index kMostGaussianColumns = 1100;

}  // namespace tempera
