#include "tempera/train/phases.hpp"

#include <numeric>

#include "tempera/kernels/sampling.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

/// Updates between those of which a block of cases becomes components of the jumps' proposal.
constexpr std::uint64_t kRememberEvery = 8;

constexpr Draws kTrainingDraws{Purpose::kChains, Purpose::kSwaps};

/// Noise on the visibles of cases; nothing for machines that take none.
template <EnergyModel M>
void add_noise([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] double standard_deviation,
               [[maybe_unused]] std::uint64_t update, [[maybe_unused]] Chains<M>& cases) {
  if constexpr (HasDataNoise<M>) {
    if (standard_deviation <= 0.0) return;
    engine.executor.for_each_owned(static_cast<Index>(cases.blocks.size()), [&](Index b) {
      engine.model.add_noise(standard_deviation, engine.streams.lanes(Purpose::kDataNoise, update).block(b),
                             lanes_of(cases.n_chains, b), cases.blocks[static_cast<std::size_t>(b)]);
    });
  }
}

/// Latents of cases are sampled with the visibles held, from even hidden layers at 0.
template <EnergyModel M>
void sample_given_data([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] const InferencePlan& plan,
                       [[maybe_unused]] const TrainState<M>& s, [[maybe_unused]] Population<M>& cases) {
  if constexpr (HasClampedSweeps<M>) {
    const auto sweeps = static_cast<std::uint64_t>(plan.sweeps);
    Chains<M>& chains = cases.chains;
    engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index b, std::size_t slot) {
      const Panel<M> panel = cases.caches.panel(chains.blocks, b, 1);
      auto& scratch = cases.caches.scratch[slot];
      const UnitRange latents{0, engine.model.stage_units(1)};
      for (std::uint64_t k = 0; k <= sweeps; ++k) {
        const LaneStream stream =
            engine.streams.lanes(Purpose::kPositiveChains, s.update * (sweeps + 1) + k).block(b);
        if (k > 0) engine.model.resample(0, engine.model.clamped_units(), s.theta, panel, scratch, stream);
        engine.model.resample(1, latents, s.theta, panel, scratch, stream);
      }
    });
    mean_latents(engine, s.theta, chains.blocks, cases.caches);
  }
}

/// Chains that start at the batch: contrastive divergence.
template <EnergyModel M>
void restart_at_data(const Engine<M>& engine, const Plan& plan, const Population<M>& cases,
                     const TrainState<M>& s, Population<M>& population) {
  population.chains = cases.chains;
  population.chains.sweeps = s.update * (plan.sampling.sweeps + 1);
  const LaneStream stream = engine.streams.lanes(Purpose::kPositiveChains, population.chains.sweeps);
  engine.executor.for_each_owned(static_cast<Index>(population.chains.blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    engine.model.sample_latents(s.theta, constant_beta(1.0F), population.chains.blocks[i],
                                cases.caches.blocks[i], stream.block(b));
  });
  ++population.chains.sweeps;
}

/// The latents given the first block of cases become components of the jumps' proposal, on every rank.
template <EnergyModel M>
void remember_cases(const Engine<M>& engine, const TrainState<M>& s, const Population<M>& cases,
                    JumpMemory& memory) {
  const Communicator& ranks = engine.executor.ranks();
  const int owner = owner_of(0, static_cast<Index>(cases.caches.blocks.size()), ranks.size());
  if (ranks.rank() == owner)
    add_cases(engine.model, s.theta, cases.caches.blocks.front(), memory, remembered_cases(engine.model));
  broadcast_fields(ranks, owner, memory);
}

/// Jumps of the chains of the gradient, now and then.
template <EnergyModel M>
void offer_jumps(const Engine<M>& engine, const SamplingPlan& plan, TrainState<M>& s,
                 Population<M>& population) {
  const double rate = jumps_of(engine.model, plan, s).rate;
  if (const auto accepted = jump_now_and_then(engine, s.theta, rate, s.jumps, population))
    note_acceptance(*accepted, s.jumps);
}

/// Sweeps without a ladder.
template <EnergyModel M>
void sweep(const Engine<M>& engine, const SamplingPlan& plan, Purpose purpose, TrainState<M>& s,
           Population<M>& population) {
  for (std::uint64_t k = 0; k < plan.sweeps; ++k) {
    if (plan.jumps()) offer_jumps(engine, plan, s, population);
    advance(engine, s.theta, 1, purpose, population);
  }
}

/// What a ladder does in the negative phase.
template <EnergyModel M>
struct LadderSweeps {
  const Engine<M>& engine;
  const SamplingPlan& plan;
  TrainState<M>& s;
  PhaseMemory<M>& memory;

  void operator()(NoLadder&) const {
    s.population.fit(engine);
    sweep(engine, plan, Purpose::kChains, s, s.population);
  }
  void operator()(TemperatureLadder& ladder) const {
    s.population.fit(engine);
    place(ladder, s.population);
    for (std::uint64_t k = 0; k < plan.sweeps; ++k) {
      if (plan.jumps()) offer_jumps(engine, plan, s, s.population);
      temper(engine, s.theta, {1, kTrainingDraws}, ladder, s.population);
    }
    exchange_with_free_chains(engine.streams, ladder);
  }
  void operator()(Snapshots<M>& snapshots) const {
    exchange_with_reservoir(engine, s.theta, s.update, s.population.chains, snapshots, memory.snapshots);
    s.population.fit(engine);
    sweep(engine, plan, Purpose::kChains, s, s.population);
  }
};

/// Weights of the mean over weighted cases.
PerChain<float> weights_of(const CaseWeights& weights, std::span<const Index> cases) {
  PerChain<float> parts = mean_weights(cases.size());
  if (weights.all_one()) return parts;
  double total = 0.0;
  for (const Index n : cases) total += weights[n];
  for (std::size_t c = 0; c < cases.size(); ++c) parts[c] = static_cast<float>(weights[cases[c]] / total);
  return parts;
}

/// Weights of a mean over the chains that give the gradient.
PerChain<float> weights_of(const std::vector<std::uint64_t>& chains, std::size_t n_blocks) {
  PerChain<float> weights(n_blocks);
  for (const std::uint64_t chain : chains)
    weights[chain] = static_cast<float>(1.0 / static_cast<double>(chains.size()));
  return weights;
}

}  // namespace

template <EnergyModel M>
Phase<M> positive_phase(const Engine<M>& engine, const Plan& plan, const Batch<M>& batch, TrainState<M>& s,
                        PhaseMemory<M>& memory) {
  Population<M>& cases = memory.cases;
  if (batch.drawn == nullptr) {
    load_cases(engine, batch.data, batch.cases, cases.chains);
  } else {
    std::vector<Index> all(batch.cases.size());
    std::iota(all.begin(), all.end(), Index{0});
    load_cases(engine, *batch.drawn, all, cases.chains);
  }
  cases.fit(engine);
  add_noise(engine, plan.inference.data_noise, s.update, cases.chains);
  switch (plan.inference.kind) {
    case Inference::kSampled:
      sample_given_data(engine, plan.inference, s, cases);
      break;
    case Inference::kMeanField:
      latent_input(engine, s.theta, cases.chains.blocks, cases.caches);
      mean_field(engine, s.theta, plan.inference.sweeps, s.update % 2 == 1, cases.caches);
      break;
    case Inference::kExact:
      latent_input(engine, s.theta, cases.chains.blocks, cases.caches);
      mean_latents(engine, s.theta, cases.chains.blocks, cases.caches);
  }
  if (plan.sampling.jumps() && s.update % kRememberEvery == 0) remember_cases(engine, s, cases, s.jumps);
  return {cases, gradient_chains(NoLadder(), batch.cases.size()),
          weights_of(batch.data.weights(), batch.cases)};
}

template <EnergyModel M>
Phase<M> negative_phase(const Engine<M>& engine, const Plan& plan, const Phase<M>& data, TrainState<M>& s,
                        PhaseMemory<M>& memory) {
  Population<M>& population = plan.sampling.persistent ? s.population : memory.data_chains;
  if (plan.sampling.persistent) {
    std::visit(LadderSweeps<M>{engine, plan.sampling, s, memory}, s.ladder);
  } else {
    restart_at_data(engine, plan, data.population, s, population);
    population.fit(engine);
    sweep(engine, plan.sampling, Purpose::kPositiveChains, s, population);
  }
  mean_latents(engine, s.theta, population.chains.blocks, population.caches);
  std::vector<std::uint64_t> chains = std::visit(
      [&](const auto& ladder) { return gradient_chains(ladder, population.chains.n_chains); }, s.ladder);
  // Chains that begin at cases count as these do.
  PerChain<float> weights =
      plan.sampling.persistent ? weights_of(chains, population.chains.blocks.size()) : data.weights;
  return {population, std::move(chains), std::move(weights)};
}

template <EnergyModel M>
void advance_metric_chains(const Engine<M>& engine, const Plan& plan, TrainState<M>& s) {
  Population<M>& population = s.metric_population;
  if (population.chains.n_chains == 0) return;
  population.fit(engine);
  advance(engine, s.theta, plan.sampling.sweeps, Purpose::kMetricChains, population);
  mean_latents(engine, s.theta, population.chains.blocks, population.caches);
}

#define TEMPERA_INSTANTIATE(M)                                                                     \
  template Phase<M> positive_phase(const Engine<M>&, const Plan&, const Batch<M>&, TrainState<M>&, \
                                   PhaseMemory<M>&);                                               \
  template Phase<M> negative_phase(const Engine<M>&, const Plan&, const Phase<M>&, TrainState<M>&, \
                                   PhaseMemory<M>&);                                               \
  template void advance_metric_chains(const Engine<M>&, const Plan&, TrainState<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
