#include "tempera/mcmc/jump.hpp"

#include <algorithm>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// log probability that every latent is 0.
float log_none(const Vector& logits) {
  double sum = 0.0;
  for (const float x : logits) sum -= softplus(x);
  return static_cast<float>(sum);
}

}  // namespace

JumpMemory empty_memory(Index n_latents) {
  return {Matrix::Zero(kJumpCases, n_latents), Vector::Zero(kJumpCases), 0, 0};
}

bool is_consistent(const JumpMemory& memory) {
  const auto rows = static_cast<std::uint64_t>(memory.logits.rows());
  if (rows == 0) return memory.filled == 0 && memory.next == 0;
  if (memory.filled > rows || memory.next >= rows) return false;
  if (!(memory.logits.cwiseAbs().maxCoeff() <= kLargestJumpLogit)) return false;
  for (Index n = 0; n < static_cast<Index>(memory.filled); ++n) {
    if (memory.log_none[n] != log_none(memory.logits.row(n).transpose())) return false;
  }
  return true;
}

template <EnergyModel M>
void add_cases([[maybe_unused]] const M& model, const Caches<M>& caches, JumpMemory& memory) {
  if constexpr (HasLatentMarginal<M>) {
    const auto cases = static_cast<std::uint64_t>(memory.logits.rows());
    for (const typename M::BlockCache& cache : caches.blocks) {
      for (Index lane = 0; lane < cache.lanes; ++lane) {
        const auto row = static_cast<Index>(memory.next);
        Vector logits = model.latent_logits(cache, lane);
        logits = logits.cwiseMax(-kLargestJumpLogit).cwiseMin(kLargestJumpLogit);
        memory.logits.row(row) = logits.transpose();
        memory.log_none[row] = log_none(logits);
        memory.next = (memory.next + 1) % cases;
        memory.filled = std::min(cases, memory.filled + 1);
      }
    }
  }
}

double jump_probability(double free_energy, double proposed_free_energy, double log_density,
                        double proposed_log_density) {
  const double log_ratio = (free_energy - proposed_free_energy) + (log_density - proposed_log_density);
  return std::isnan(log_ratio) ? 0.0 : std::exp(std::min(0.0, log_ratio));
}

LaneDoubles jump_log_density(const JumpMemory& memory, const BitLayer& latents, Index lanes) {
  // log of a component = log p(none) + sum of the logits of the latents that are 1: a product with bits.
  const auto filled = static_cast<Index>(memory.filled);
  PackedPanel packed;
  ProductScratch products;
  const BitBlock block{latents, lanes};
  pack({&block, 1}, packed);
  LaneMatrix densities(filled, kLanes);
  float* const rows = densities.data();
  input_from_columns(memory.logits, packed, {0, filled}, memory.log_none, {&rows, 1}, products);
  const double component = std::log((1.0 - kUniformPart) / static_cast<double>(filled));
  const double uniform = std::log(kUniformPart) - static_cast<double>(latents.size()) * std::log(2.0);
  LaneDoubles out{};
  for (Index c = 0; c < lanes; ++c) {
    LogSumExp sum;
    sum.add(uniform);
    for (Index n = 0; n < filled; ++n) sum.add(component + static_cast<double>(densities(n, c)));
    out[static_cast<std::size_t>(c)] = sum.value();
  }
  return out;
}

template <HasLatentMarginal M>
double offer_jumps(const Engine<M>& engine, const typename M::Params& theta, const JumpMemory& memory,
                   std::uint64_t step, Population<M>& population) {
  if (memory.filled == 0) return 0.0;
  Chains<M>& chains = population.chains;
  Caches<M>& caches = population.caches;
  std::vector<double> accepted(chains.blocks.size(), 0.0);
  engine.executor.for_each(static_cast<Index>(chains.blocks.size()), [&](Index block, std::size_t slot) {
    const auto b = static_cast<std::size_t>(block);
    typename M::Scratch& scratch = caches.scratch[slot];
    typename M::State& x = chains.blocks[b];
    const Index lanes = caches.blocks[b].lanes;
    const auto first = static_cast<std::uint32_t>(block * kLanes);
    // A component for each chain, a draw from it, and a uniform for the decision.
    LaneMatrix input = LaneMatrix::Zero(memory.logits.cols(), kLanes);
    LaneDoubles decision{};
    for (Index c = 0; c < lanes; ++c) {
      StreamEngine random =
          engine.streams.engine(Purpose::kJumpChoice, step, first + static_cast<std::uint32_t>(c));
      decision[static_cast<std::size_t>(c)] = uniform_53(random);
      if (uniform_53(random) < kUniformPart) continue;
      const boost::random::uniform_int_distribution<Index> component(0,
                                                                     static_cast<Index>(memory.filled) - 1);
      input.col(c) = memory.logits.row(component(random)).transpose();
    }
    typename M::State proposal = x;
    BitLayer& latents = M::latents_of(proposal);
    sample_units(input.data(), {0, memory.logits.cols()}, constant_beta(1.0F), {}, lanes,
                 engine.streams.lanes(Purpose::kJump, step, first), 0, latents);

    LaneDoubles here{};
    LaneDoubles there{};
    engine.model.latent_free_energy(theta, caches.betas.blocks[b], x, lanes, scratch, here);
    engine.model.latent_free_energy(theta, caches.betas.blocks[b], proposal, lanes, scratch, there);
    const LaneDoubles density_here = jump_log_density(memory, M::latents_of(std::as_const(x)), lanes);
    const LaneDoubles density_there = jump_log_density(memory, latents, lanes);
    for (Index c = 0; c < lanes; ++c) {
      const auto i = static_cast<std::size_t>(c);
      const double probability = jump_probability(here[i], there[i], density_here[i], density_there[i]);
      accepted[b] += probability;
      if (decision[i] < probability) copy_chain(proposal, c, x, c);
    }
  });
  return sum_doubles(static_cast<Index>(accepted.size()),
                     [&](Index b) { return accepted[static_cast<std::size_t>(b)]; }) /
         static_cast<double>(chains.n_chains);
}

template <EnergyModel M>
double jump([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] const typename M::Params& theta,
            [[maybe_unused]] const JumpMemory& memory, [[maybe_unused]] std::uint64_t step,
            [[maybe_unused]] Population<M>& population) {
  if constexpr (HasLatentMarginal<M>) {
    return offer_jumps(engine, theta, memory, step, population);
  } else {
    return 0.0;
  }
}

bool is_jump(double rate, const StreamFactory& streams, std::uint64_t step) {
  if (rate <= 0.0) return false;
  StreamEngine random = streams.engine(Purpose::kJumpStep, step);
  return uniform_53(random) < rate;
}

template <EnergyModel M>
void jump_now_and_then(const Engine<M>& engine, const typename M::Params& theta, double rate,
                       const JumpMemory& memory, Population<M>& population) {
  const std::uint64_t step = population.chains.sweeps;
  if (is_jump(rate, engine.streams, step)) jump(engine, theta, memory, step, population);
}

#define TEMPERA_INSTANTIATE(M)                                                                   \
  template void add_cases(const M&, const Caches<M>&, JumpMemory&);                              \
  template double jump(const Engine<M>&, const M::Params&, const JumpMemory&, std::uint64_t,     \
                       Population<M>&);                                                          \
  template void jump_now_and_then(const Engine<M>&, const M::Params&, double, const JumpMemory&, \
                                  Population<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)
#undef TEMPERA_INSTANTIATE

}  // namespace tempera
