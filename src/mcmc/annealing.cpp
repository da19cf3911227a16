#include "tempera/mcmc/annealing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tempera/models/all_models.hpp"

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
std::vector<double> effective_betas(const Engine<M>& engine, const typename M::Params& theta, double least,
                                    std::uint64_t n_chains, Purpose purpose, const Progress& progress) {
  constexpr double kShortest = 1e-7;  // betas are floats
  Population<M> population(reference_chains(engine, n_chains, purpose));
  population.fit(engine);
  Chains<M>& chains = population.chains;
  Caches<M>& caches = population.caches;
  latent_input(engine, theta, chains.blocks, caches);
  const auto energies = [&](double beta) {
    PerChain<double> values(chains.blocks.size());
    engine.executor.for_each_owned(static_cast<Index>(values.blocks.size()), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      engine.model.free_energy(theta, constant_beta(static_cast<float>(beta)), chains.blocks[b],
                               caches.blocks[b], values.blocks[b]);
    });
    engine.executor.share(values.blocks);
    return values;
  };
  std::vector<double> betas = {0.0};
  while (betas.back() < 1.0 && betas.size() < kMostBetas) {
    const auto here = energies(betas.back());
    const auto keeps = [&](double beta) {
      const auto there = energies(beta);
      double largest = -std::numeric_limits<double>::infinity();
      const auto each = [&](auto&& f) {
        for (std::uint64_t c = 0; c < n_chains; ++c) f(here[c] - there[c]);
      };
      each([&](double w) { largest = std::max(largest, w); });
      double sum = 0.0;
      double squares = 0.0;
      each([&](double w) {
        sum += std::exp(w - largest);
        squares += std::exp(2.0 * (w - largest));
      });
      return sum * sum / squares >= least * static_cast<double>(n_chains);
    };
    double low = betas.back() + kShortest;
    double high = std::min(
        1.0, betas.back() + (betas.size() > 1 ? 4.0 * (betas.back() - betas[betas.size() - 2]) : 1.0));
    if (low >= 1.0 || keeps(high)) {
      low = std::min(1.0, std::max(low, high));
    } else {
      for (int halvings = 0; halvings < 20 && high - low > 0.02 * (high - betas.back()); ++halvings) {
        const double middle = 0.5 * (low + high);
        (keeps(middle) ? low : high) = middle;
      }
    }
    betas.push_back(low);
    caches.betas.fill(static_cast<float>(low));
    const LaneStream stream = engine.streams.lanes(purpose, chains.sweeps);
    engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      engine.model.sample_latents(theta, caches.betas.blocks[b], chains.blocks[b], caches.blocks[b],
                                  stream.block(block));
    });
    advance(engine, theta, 1, purpose, population);
    if (progress && progress(low) == Control::kStop) return {};
  }
  betas.back() = 1.0;
  return betas;
}

template <EnergyModel M>
std::vector<double> annealed_log_weights(const Engine<M>& engine, const typename M::Params& theta,
                                         std::span<const double> betas, Chains<M> chains, Purpose purpose,
                                         const Progress& progress) {
  const std::uint64_t n_chains = chains.n_chains;
  const auto n_blocks = static_cast<Index>(chains.blocks.size());
  Caches<M> caches;
  caches.fit(engine.model, n_chains, engine.executor);
  PerChain<double> log_weights(chains.blocks.size());
  log_weights.fill(0.0);
  latent_input(engine, theta, chains.blocks, caches);

  // The weight of step k and the latents at its beta, both from the cache.
  const auto weigh = [&](Index b, std::size_t k) {
    const auto i = static_cast<std::size_t>(b);
    LaneDoubles before;
    LaneDoubles after;
    engine.model.free_energy(theta, constant_beta(static_cast<float>(betas[k - 1])), chains.blocks[i],
                             caches.blocks[i], before);
    const LaneFloats beta = constant_beta(static_cast<float>(betas[k]));
    engine.model.free_energy(theta, beta, chains.blocks[i], caches.blocks[i], after);
    for (std::size_t c = 0; c < kLanes; ++c) log_weights.blocks[i][c] += before[c] - after[c];
    if (k + 1 == betas.size()) return;  // a last sweep would change no weight
    caches.betas.blocks[i] = beta;
    engine.model.sample_latents(theta, beta, chains.blocks[i], caches.blocks[i],
                                engine.streams.lanes(purpose, k).block(b));
  };
  const Cut cut(engine.executor.owned(n_blocks), engine.executor.threads(), 1);
  const auto run = [&](Index task, std::size_t slot, std::size_t k, Index stage) {
    const UnitRange units = cut.units(task, engine.model.stage_units(stage));
    if (units.size() == 0) return;
    engine.model.resample(
        stage, units, theta, caches.panel(chains.blocks, cut.first_block(task), cut.block_count(task)),
        caches.scratch[slot], engine.streams.lanes(purpose, k).block(cut.first_block(task)));
  };

  // Some betas at a time, so that progress is seen between them.
  constexpr std::size_t kStride = 20;
  for (std::size_t first = 1; first < betas.size(); first += kStride) {
    const std::size_t last = std::min(first + kStride, betas.size());
    if (cut.parts == 1) {
      engine.executor.for_each(cut.tasks(), [&](Index task, std::size_t slot) {
        for (std::size_t k = first; k < last; ++k) {
          for (Index b = 0; b < cut.block_count(task); ++b) weigh(cut.first_block(task) + b, k);
          for (Index stage = 0; stage < engine.model.stages() && k + 1 < betas.size(); ++stage)
            run(task, slot, k, stage);
        }
      });
    } else {
      for (std::size_t k = first; k < last; ++k) {
        engine.executor.for_each_owned(n_blocks, [&](Index b) { weigh(b, k); });
        for (Index stage = 0; stage < engine.model.stages() && k + 1 < betas.size(); ++stage)
          engine.executor.for_each(cut.tasks(),
                                   [&](Index task, std::size_t slot) { run(task, slot, k, stage); });
      }
    }
    const double fraction = static_cast<double>(last - 1) / static_cast<double>(betas.size() - 1);
    if (progress && progress(fraction) == Control::kStop) return {};
  }
  engine.executor.share(log_weights.blocks);
  std::vector<double> of_chains(static_cast<std::size_t>(n_chains));
  for (std::uint64_t c = 0; c < n_chains; ++c) of_chains[static_cast<std::size_t>(c)] = log_weights[c];
  return of_chains;
}

#define TEMPERA_INSTANTIATE(M)                                                                            \
  template std::vector<double> effective_betas(const Engine<M>&, const M::Params&, double, std::uint64_t, \
                                               Purpose, const Progress&);                                 \
  template std::vector<double> annealed_log_weights(                                                      \
      const Engine<M>&, const M::Params&, std::span<const double>, Chains<M>, Purpose, const Progress&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
