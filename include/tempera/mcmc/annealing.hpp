// Annealed importance sampling runs (Neal 2001; Salakhutdinov & Murray 2008): log-weights for estimate/.
//
// Formulas: docs/mathematics/log-partition.md 3.2 to 3.5.
#pragma once

#include <vector>

#include "tempera/core/observer.hpp"
#include "tempera/mcmc/population.hpp"

namespace tempera {

/// n inverse temperatures 0 = beta_1 < ... < beta_n = 1, dense near 1 as in Salakhutdinov & Murray (2008), in
/// the proportions 1 : 10 : 10 of the code published with Desjardins et al. (2010):
/// 1/21 of the steps on [0, 0.5], 10/21 on [0.5, 0.9] and 10/21 on [0.9, 1], each evenly spaced. n >= 2.
std::vector<double> published_betas(Index n);

/// Inverse temperatures from 0 to 1 for which a pilot run of these chains keeps an effective fraction of at
/// least `least` in every step, found by bisection (as in Neal 2001, section 6, done in advance: betas that
/// depended on the weights themselves would bias them). At most kMostBetas; the last step may then be longer.
/// `progress` may stop it; the result is then empty. Cost: for each beta a sweep and some 20 softplus passes.
template <HasReference M>
std::vector<double> effective_betas(const Engine<M>& engine, const typename M::Params& theta, double least,
                                    std::uint64_t n_chains, Purpose purpose, const Progress& progress = {});
inline constexpr std::size_t kMostBetas = 200000;

/// One log-weight per chain of a run along `betas`, from chains of the law at the first of them: log w =
/// sum_k F_{k-1}(v_{k-1}) - F_k(v_{k-1}), each term followed by one sweep at beta_k; exp(log w) has mean
/// Z(last) / Z(first). Upwards from the reference machine this is annealed importance sampling, whose log
/// mean w tends to be too small; downwards from draws of the model it is reverse AIS, whose -log mean w tends
/// to be too large. (Sweeps v | h, h | v are reversible in v, so both use the same ones.)
///
/// Cost: chains x betas sweeps. Blocks run in parallel and the result does not depend on the threads. Draws
/// are those of (purpose, 1 ...). `progress` may stop the run; the result is then empty.
template <EnergyModel M>
std::vector<double> annealed_log_weights(const Engine<M>& engine, const typename M::Params& theta,
                                         std::span<const double> betas, Chains<M> chains, Purpose purpose,
                                         const Progress& progress = {});

}  // namespace tempera
