#include "tempera/mcmc/chains.hpp"

#include <algorithm>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

Index up(Index n, Index divisor) { return (n + divisor - 1) / divisor; }

}  // namespace

Cut::Cut(Index blocks, int threads, Index least) : n_blocks(blocks) {
  const Index needed = up(blocks, kMaxPanel);
  if (blocks >= least * threads) {
    panels = threads * up(needed, threads);
  } else {
    panels = needed;
    parts = up(threads, panels);
  }
}

UnitRange Cut::units(Index task, Index n_units) const {
  const Index step = up(up(n_units, parts), kUnitAlignment) * kUnitAlignment;
  const Index part = task % parts;
  return {std::min(n_units, part * step), std::min(n_units, (part + 1) * step)};
}

Index lanes_of(std::uint64_t n_chains, Index block) {
  const Index left = static_cast<Index>(n_chains) - block * kLanes;
  return std::clamp<Index>(left, 0, kLanes);
}

LaneFloats lane_weights(std::uint64_t n_chains, Index block, float value) {
  LaneFloats weights{};
  std::fill_n(weights.begin(), lanes_of(n_chains, block), value);
  return weights;
}

LaneFloats constant_beta(float beta) {
  LaneFloats result;
  result.fill(beta);
  return result;
}

template <EnergyModel M>
void Workspace<M>::fit(const M& model, std::uint64_t n_chains, const Workers& workers) {
  const auto n_blocks = static_cast<std::size_t>(words_for(static_cast<Index>(n_chains)));
  works.resize(std::min(works.size(), n_blocks));
  for (std::size_t b = 0; b < n_blocks; ++b) {
    const Index lanes = lanes_of(n_chains, static_cast<Index>(b));
    if (b >= works.size()) works.push_back(model.new_work(lanes));
    works[b].lanes = lanes;
  }
  betas.assign(n_blocks, constant_beta(1.0F));
  scratch.resize(static_cast<std::size_t>(workers.threads()));
}

template <EnergyModel M>
Panel<M> Workspace<M>::panel(std::vector<typename M::State>& blocks, Index first, Index count) {
  const auto begin = static_cast<std::size_t>(first);
  const auto size = static_cast<std::size_t>(count);
  return {{blocks.data() + begin, size}, {works.data() + begin, size}, {betas.data() + begin, size}};
}

namespace {

template <EnergyModel M, class Start>
Chains<M> start_chains(const M& model, std::uint64_t n, const StreamFactory& streams, Purpose purpose,
                       const Workers& workers, Start&& start) {
  Chains<M> chains;
  chains.n_chains = n;
  chains.blocks.assign(static_cast<std::size_t>(words_for(static_cast<Index>(n))), model.new_state());
  workers.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    start(b, chains.blocks[static_cast<std::size_t>(b)],
          streams.lanes(purpose, 0, static_cast<std::uint32_t>(b * kLanes)));
  });
  chains.sweeps = 1;
  return chains;
}

}  // namespace

template <EnergyModel M>
Chains<M> select_chains(const M& model, const Chains<M>& chains, std::span<const std::uint64_t> which) {
  Chains<M> selected;
  selected.n_chains = which.size();
  selected.sweeps = chains.sweeps;
  selected.blocks.assign(static_cast<std::size_t>(words_for(static_cast<Index>(which.size()))),
                         model.new_state());
  for (std::size_t c = 0; c < which.size(); ++c) {
    copy_chain(chains.blocks[which[c] / kLanes], static_cast<Index>(which[c] % kLanes),
               selected.blocks[c / kLanes], static_cast<Index>(c % kLanes));
  }
  return selected;
}

template <HasReference M>
Chains<M> reference_chains(const M& model, std::uint64_t n, const StreamFactory& streams, Purpose purpose,
                           const Workers& workers) {
  return start_chains(model, n, streams, purpose, workers,
                      [&](Index b, typename M::State& x, const LaneStream& stream) {
                        model.sample_reference(lanes_of(n, b), x, stream);
                      });
}

template <EnergyModel M>
Chains<M> data_chains(const M& model, const typename M::Params& theta, std::uint64_t n,
                      const typename M::Data& data, std::span<const Index> cases,
                      const StreamFactory& streams, Purpose purpose, const Workers& workers) {
  return start_chains(
      model, n, streams, purpose, workers, [&](Index b, typename M::State& x, const LaneStream& stream) {
        const Index lanes = lanes_of(n, b);
        std::vector<Index> loaded;
        for (Index c = b * kLanes; c < b * kLanes + lanes; ++c)
          loaded.push_back(cases[static_cast<std::size_t>(c) % cases.size()]);
        model.load(data, loaded, x);
        typename M::Work work = model.new_work(lanes);
        typename M::Scratch scratch;
        const LaneFloats beta = constant_beta(1.0F);
        model.infer({0, model.latents()}, theta, Panel<M>{{&x, 1}, {&work, 1}, {&beta, 1}}, scratch);
        model.sample_latents(theta, beta, x, work, stream);
      });
}

template <EnergyModel M>
void advance(const M& model, const typename M::Params& theta, std::uint64_t sweeps,
             const StreamFactory& streams, Purpose purpose, Chains<M>& chains, Workspace<M>& workspace,
             const Workers& workers) {
  const Cut cut(static_cast<Index>(chains.blocks.size()), workers.threads());
  const auto run = [&](Index task, std::size_t slot, std::uint64_t sweep, Index stage) {
    const UnitRange units = cut.units(task, model.stage_units(stage));
    if (units.size() == 0) return;
    model.resample(
        stage, units, theta, workspace.panel(chains.blocks, cut.first_block(task), cut.block_count(task)),
        workspace.scratch[slot], streams.lanes(purpose, chains.sweeps + sweep).block(cut.first_block(task)));
  };
  if (cut.parts == 1) {
    // Panels do not meet: each makes all of its sweeps.
    workers.for_each(cut.tasks(), [&](Index task, std::size_t slot) {
      for (std::uint64_t k = 0; k < sweeps; ++k) {
        for (Index stage = 0; stage < model.stages(); ++stage) run(task, slot, k, stage);
      }
    });
  } else {
    for (std::uint64_t k = 0; k < sweeps; ++k) {
      for (Index stage = 0; stage < model.stages(); ++stage)
        workers.for_each(cut.tasks(), [&](Index task, std::size_t slot) { run(task, slot, k, stage); });
    }
  }
  chains.sweeps += sweeps;
}

template <EnergyModel M>
void infer(const M& model, const typename M::Params& theta, std::vector<typename M::State>& blocks,
           Workspace<M>& workspace, const Workers& workers) {
  const Cut cut(static_cast<Index>(blocks.size()), workers.threads());
  workers.for_each(cut.tasks(), [&](Index task, std::size_t slot) {
    const UnitRange units = cut.units(task, model.latents());
    if (units.size() == 0) return;
    model.infer(units, theta, workspace.panel(blocks, cut.first_block(task), cut.block_count(task)),
                workspace.scratch[slot]);
  });
}

template <EnergyModel M>
void mean_latents(const M& model, const typename M::Params& theta, std::vector<typename M::State>& blocks,
                  Workspace<M>& workspace, const Workers& workers) {
  const Cut cut(static_cast<Index>(blocks.size()), workers.threads());
  workers.for_each(cut.tasks(), [&](Index task) {
    const UnitRange units = cut.units(task, model.latents());
    if (units.size() > 0)
      model.mean_latents(units, theta, workspace.panel(blocks, cut.first_block(task), cut.block_count(task)));
  });
}

template <EnergyModel M>
void infer_cases(const M& model, const typename M::Params& theta, Index sweeps,
                 std::vector<typename M::State>& blocks, Workspace<M>& workspace, const Workers& workers) {
  infer(model, theta, blocks, workspace, workers);
  if constexpr (HasMeanField<M>) {
    workers.for_each(static_cast<Index>(blocks.size()), [&](Index b, std::size_t slot) {
      model.mean_field(sweeps, theta, workspace.works[static_cast<std::size_t>(b)], workspace.scratch[slot]);
    });
  } else {
    mean_latents(model, theta, blocks, workspace, workers);
  }
}

template <EnergyModel M>
void case_free_energy(const M& model, const typename M::Params& theta, const typename M::State& x,
                      const typename M::Work& work, LaneDoubles& out) {
  if constexpr (HasMeanField<M>) {
    model.variational_free_energy(theta, x, work, out);
  } else {
    model.free_energy(theta, constant_beta(1.0F), x, work, out);
  }
}

#define TEMPERA_INSTANTIATE(M)                                                                               \
  template struct Workspace<M>;                                                                              \
  template void infer_cases(const M&, const M::Params&, Index, std::vector<M::State>&, Workspace<M>&,        \
                            const Workers&);                                                                 \
  template void case_free_energy(const M&, const M::Params&, const M::State&, const M::Work&, LaneDoubles&); \
  template Chains<M> select_chains(const M&, const Chains<M>&, std::span<const std::uint64_t>);              \
  template Chains<M> reference_chains(const M&, std::uint64_t, const StreamFactory&, Purpose,                \
                                      const Workers&);                                                       \
  template Chains<M> data_chains(const M&, const M::Params&, std::uint64_t, const M::Data&,                  \
                                 std::span<const Index>, const StreamFactory&, Purpose, const Workers&);     \
  template void advance(const M&, const M::Params&, std::uint64_t, const StreamFactory&, Purpose,            \
                        Chains<M>&, Workspace<M>&, const Workers&);                                          \
  template void infer(const M&, const M::Params&, std::vector<M::State>&, Workspace<M>&, const Workers&);    \
  template void mean_latents(const M&, const M::Params&, std::vector<M::State>&, Workspace<M>&,              \
                             const Workers&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
