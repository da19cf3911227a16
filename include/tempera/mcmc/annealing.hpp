// Annealed importance sampling runs (Neal 2001; Salakhutdinov & Murray 2008): log-weights for estimate/.
#pragma once

#include <vector>

#include "tempera/core/observer.hpp"
#include "tempera/models/energy_model.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// n inverse temperatures 0 = beta_1 < ... < beta_n = 1, dense near 1 as in Salakhutdinov & Murray (2008), in
/// the proportions 1 : 10 : 10 of the code published with Desjardins et al. (2010):
/// 1/21 of the steps on [0, 0.5], 10/21 on [0.5, 0.9] and 10/21 on [0.9, 1], each evenly spaced. n >= 2.
std::vector<double> published_betas(Index n);

/// One log-weight per chain of a run from beta = 0 to 1: log w = sum_k F_{k-1}(v_{k-1}) - F_k(v_{k-1}), each
/// term followed by one sweep at beta_k; exp(log w) has mean Z(1) / Z(0), `reference_log_partition` being log
/// Z(0).
///
/// Cost: chains x betas sweeps. Blocks run in parallel and the result does not depend on the threads.
/// `progress` may stop the run; the result is then empty.
template <HasReference M>
std::vector<double> annealed_log_weights(const M& model, const typename M::Params& theta,
                                         std::span<const double> betas, std::uint64_t n_chains,
                                         const StreamFactory& streams, Purpose purpose,
                                         const Workers& workers, const Progress& progress = {});

}  // namespace tempera
