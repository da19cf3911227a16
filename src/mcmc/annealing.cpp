#include "tempera/mcmc/annealing.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/mcmc/chains.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {

std::vector<double> published_betas(Index n) {
  const double steps = static_cast<double>(n - 1);
  const Index first = std::max<Index>(1, static_cast<Index>(std::llround(steps / 21.0)));
  const Index second = std::max<Index>(first, first + static_cast<Index>(std::llround(steps * 10.0 / 21.0)));
  std::vector<double> betas(static_cast<std::size_t>(n));
  for (Index k = 0; k < n; ++k) {
    const auto x = static_cast<double>(k);
    const auto a = static_cast<double>(first);
    const auto b = static_cast<double>(second);
    double beta = 0.0;
    if (n < 22) {
      beta = x / steps;
    } else if (k <= first) {
      beta = 0.5 * x / a;
    } else if (k <= second) {
      beta = 0.5 + 0.4 * (x - a) / (b - a);
    } else {
      beta = 0.9 + 0.1 * (x - b) / (steps - b);
    }
    betas[static_cast<std::size_t>(k)] = beta;
  }
  betas.back() = 1.0;
  return betas;
}

template <HasReference M>
std::vector<double> annealed_log_weights(const M& model, const typename M::Params& theta,
                                         std::span<const double> betas, std::uint64_t n_chains,
                                         const StreamFactory& streams, Purpose purpose,
                                         const Workers& workers, const Progress& progress) {
  Chains<M> chains = reference_chains(model, theta, n_chains, streams, purpose, workers);
  const auto n_blocks = static_cast<Index>(chains.blocks.size());
  Works<M> works(chains.blocks.size());
  std::vector<double> log_weights(chains.blocks.size() * kLanes, 0.0);
  workers.for_each(n_blocks, [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    model.infer(theta, chains.blocks[i], works[i]);
  });

  // Some betas at a time, so that progress is seen between them.
  constexpr std::size_t kStride = 20;
  for (std::size_t first = 1; first < betas.size(); first += kStride) {
    const std::size_t last = std::min(first + kStride, betas.size());
    workers.for_each(n_blocks, [&](Index b) {
      const auto i = static_cast<std::size_t>(b);
      LaneDoubles colder;
      LaneDoubles hotter;
      for (std::size_t k = first; k < last; ++k) {
        const LaneFloats beta_before = constant_beta(static_cast<float>(betas[k - 1]));
        const LaneFloats beta = constant_beta(static_cast<float>(betas[k]));
        model.free_energy(theta, beta_before, chains.blocks[i], works[i], hotter);
        model.free_energy(theta, beta, chains.blocks[i], works[i], colder);
        for (std::size_t c = 0; c < kLanes; ++c) log_weights[i * kLanes + c] += hotter[c] - colder[c];
        if (k + 1 == betas.size()) break;  // the last sweep would change no weight
        const LaneStream stream = streams.lanes(purpose, k, static_cast<std::uint32_t>(b * kLanes));
        model.sample_latents(theta, beta, chains.blocks[i], works[i], stream);
        model.sweep(theta, beta, chains.blocks[i], works[i], stream);
      }
    });
    const double fraction = static_cast<double>(last - 1) / static_cast<double>(betas.size() - 1);
    if (progress && progress(fraction) == Control::kStop) return {};
  }
  log_weights.resize(n_chains);
  return log_weights;
}

template std::vector<double> annealed_log_weights(const BernoulliRbm&, const BernoulliRbm::Params&,
                                                  std::span<const double>, std::uint64_t,
                                                  const StreamFactory&, Purpose, const Workers&,
                                                  const Progress&);

}  // namespace tempera
