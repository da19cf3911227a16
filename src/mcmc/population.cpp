#include "tempera/mcmc/population.hpp"

#include <algorithm>
#include <memory>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

Index up(Index n, Index divisor) { return (n + divisor - 1) / divisor; }

}  // namespace

Cut::Cut(UnitRange of, int threads, Index least) : blocks(of) {
  const Index needed = std::max<Index>(1, up(blocks.size(), kMaxPanel));
  if (blocks.size() >= least * threads) {
    panels = threads * up(needed, threads);
  } else {
    panels = needed;
    parts = up(threads, panels);
  }
}

UnitRange Cut::units(Index task, Index n_units) const {
  if (blocks.size() == 0) return {};
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

PerChain<float> mean_weights(std::uint64_t n) {
  PerChain<float> weights;
  for (Index b = 0; b < words_for(static_cast<Index>(n)); ++b)
    weights.blocks.push_back(lane_weights(n, b, static_cast<float>(1.0 / static_cast<double>(n))));
  return weights;
}

LaneFloats constant_beta(float beta) {
  LaneFloats result;
  result.fill(beta);
  return result;
}

template <EnergyModel M>
void Caches<M>::fit(const M& model, std::uint64_t n_chains, const Executor& executor) {
  const Index count = words_for(static_cast<Index>(n_chains));
  const auto n_blocks = static_cast<std::size_t>(count);
  const UnitRange before{owned_.first, std::min(owned_.last, static_cast<Index>(blocks.size()))};
  owned_ = executor.owned(count);
  blocks.resize(n_blocks);
  for (Index b = 0; b < count; ++b) {
    typename M::BlockCache& cache = blocks[static_cast<std::size_t>(b)];
    const Index lanes = lanes_of(n_chains, b);
    const bool mine = b >= owned_.first && b < owned_.last;
    const bool has = b >= before.first && b < before.last;
    if (mine && !has) cache = model.new_cache(lanes);
    if (!mine && has) cache = {};
    cache.lanes = lanes;
  }
  betas = PerChain<float>(n_blocks);
  betas.fill(1.0F);
  scratch.resize(static_cast<std::size_t>(executor.threads()));
}

template <EnergyModel M>
Panel<M> Caches<M>::panel(std::vector<typename M::State>& states, Index first, Index count) {
  const auto begin = static_cast<std::size_t>(first);
  const auto size = static_cast<std::size_t>(count);
  return {{states.data() + begin, size}, {blocks.data() + begin, size}, {betas.blocks.data() + begin, size}};
}

namespace {

template <EnergyModel M, class Start>
Chains<M> start_chains(const Engine<M>& engine, std::uint64_t n, Purpose purpose, Start&& start) {
  Chains<M> chains = empty_chains(engine.model, n);
  engine.executor.for_each(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    start(b, chains.blocks[static_cast<std::size_t>(b)],
          engine.streams.lanes(purpose, 0, static_cast<std::uint32_t>(b * kLanes)));
  });
  chains.sweeps = 1;
  return chains;
}

}  // namespace

template <EnergyModel M>
void gather(const Executor& executor, std::span<typename M::State> blocks) {
  const auto count = static_cast<Index>(blocks.size());
  const int ranks = executor.ranks().size();
  if (ranks == 1 || count == 0) return;
  std::vector<Made> states;
  for (Index b = 0; b < count; ++b) {
    Made& state = states.emplace_back(Made{owner_of(b, count, ranks), {}});
    for_each_field(
        [&](std::string_view, auto& layer) {
          state.pieces.push_back(bytes_of(layer.data(), static_cast<Index>(layer.size())));
        },
        blocks[static_cast<std::size_t>(b)]);
  }
  share_things(executor.ranks(), states);
}

template <EnergyModel M>
Chains<M> select_chains(const M& model, const Chains<M>& chains, std::span<const std::uint64_t> which) {
  Chains<M> selected = empty_chains(model, which.size());
  selected.sweeps = chains.sweeps;
  for (std::size_t c = 0; c < which.size(); ++c) copy_chain(chains, which[c], selected, c);
  return selected;
}

template <EnergyModel M>
std::vector<Renumbered> remove_chains(std::span<const std::uint64_t> gone, Chains<M>& chains) {
  const std::uint64_t left = chains.n_chains - gone.size();
  const auto first_past = std::lower_bound(gone.begin(), gone.end(), left);
  std::vector<Renumbered> moved;
  auto place =
      std::make_reverse_iterator(first_past);  // the last places first: they share a block with `left`
  for (std::uint64_t chain = left; chain < chains.n_chains; ++chain) {
    if (!std::binary_search(first_past, gone.end(), chain)) {
      moved.push_back({chain, *place++});
      copy_chain(chains, chain, chains, moved.back().to);
    }
    clear_chain(chains, chain);
  }
  chains.n_chains = left;
  chains.blocks.resize(static_cast<std::size_t>(words_for(static_cast<Index>(left))));
  return moved;
}

template <HasReference M>
Chains<M> reference_chains(const Engine<M>& engine, std::uint64_t n, Purpose purpose) {
  return start_chains(engine, n, purpose, [&](Index b, typename M::State& x, const LaneStream& stream) {
    engine.model.sample_reference(lanes_of(n, b), x, stream);
  });
}

template <EnergyModel M>
Chains<M> data_chains(const Engine<M>& engine, const typename M::Params& theta, std::uint64_t n,
                      const typename M::Data& data, std::span<const Index> cases, Purpose purpose) {
  return start_chains(engine, n, purpose, [&](Index b, typename M::State& x, const LaneStream& stream) {
    const Index lanes = lanes_of(n, b);
    std::vector<Index> loaded;
    for (Index c = b * kLanes; c < b * kLanes + lanes; ++c)
      loaded.push_back(cases[static_cast<std::size_t>(c) % cases.size()]);
    engine.model.load(data, loaded, x);
    typename M::BlockCache cache = engine.model.new_cache(lanes);
    typename M::Scratch scratch;
    const LaneFloats beta = constant_beta(1.0F);
    engine.model.latent_input({0, engine.model.latents()}, theta, Panel<M>{{&x, 1}, {&cache, 1}, {&beta, 1}},
                              scratch);
    engine.model.sample_latents(theta, beta, x, cache, stream);
  });
}

template <EnergyModel M>
void load_cases(const Engine<M>& engine, const typename M::Data& data, std::span<const Index> cases,
                Chains<M>& chains) {
  chains.n_chains = cases.size();
  chains.blocks.resize(static_cast<std::size_t>(words_for(static_cast<Index>(cases.size()))),
                       engine.model.new_state());
  engine.executor.for_each_owned(static_cast<Index>(chains.blocks.size()), [&](Index b) {
    const auto first = static_cast<std::size_t>(b * kLanes);
    engine.model.load(data, cases.subspan(first, static_cast<std::size_t>(lanes_of(cases.size(), b))),
                      chains.blocks[static_cast<std::size_t>(b)]);
  });
}

template <EnergyModel M>
void advance(const Engine<M>& engine, const typename M::Params& theta, std::uint64_t sweeps, Purpose purpose,
             Population<M>& population) {
  Chains<M>& chains = population.chains;
  Caches<M>& caches = population.caches;
  const Cut cut(engine.executor.owned(static_cast<Index>(chains.blocks.size())), engine.executor.threads());
  const auto run = [&](Index task, std::size_t slot, std::uint64_t sweep, Index stage) {
    const UnitRange units = cut.units(task, engine.model.stage_units(stage));
    if (units.size() == 0) return;
    engine.model.resample(stage, units, theta,
                          caches.panel(chains.blocks, cut.first_block(task), cut.block_count(task)),
                          caches.scratch[slot],
                          engine.streams.lanes(purpose, chains.sweeps + sweep).block(cut.first_block(task)));
  };
  if (cut.parts == 1) {
    // Panels do not meet: each makes all of its sweeps.
    engine.executor.for_each(cut.tasks(), [&](Index task, std::size_t slot) {
      for (std::uint64_t k = 0; k < sweeps; ++k) {
        for (Index stage = 0; stage < engine.model.stages(); ++stage) run(task, slot, k, stage);
      }
    });
  } else {
    for (std::uint64_t k = 0; k < sweeps; ++k) {
      for (Index stage = 0; stage < engine.model.stages(); ++stage)
        engine.executor.for_each(cut.tasks(),
                                 [&](Index task, std::size_t slot) { run(task, slot, k, stage); });
    }
  }
  chains.sweeps += sweeps;
}

template <EnergyModel M>
void latent_input(const Engine<M>& engine, const typename M::Params& theta,
                  std::vector<typename M::State>& blocks, Caches<M>& caches) {
  const Cut cut(engine.executor.owned(static_cast<Index>(blocks.size())), engine.executor.threads());
  engine.executor.for_each(cut.tasks(), [&](Index task, std::size_t slot) {
    const UnitRange units = cut.units(task, engine.model.latents());
    if (units.size() == 0) return;
    engine.model.latent_input(units, theta,
                              caches.panel(blocks, cut.first_block(task), cut.block_count(task)),
                              caches.scratch[slot]);
  });
}

template <EnergyModel M>
void mean_latents(const Engine<M>& engine, const typename M::Params& theta,
                  std::vector<typename M::State>& blocks, Caches<M>& caches) {
  const Cut cut(engine.executor.owned(static_cast<Index>(blocks.size())), engine.executor.threads());
  engine.executor.for_each(cut.tasks(), [&](Index task) {
    const UnitRange units = cut.units(task, engine.model.latents());
    if (units.size() > 0)
      engine.model.mean_latents(units, theta,
                                caches.panel(blocks, cut.first_block(task), cut.block_count(task)));
  });
}

template <EnergyModel M>
void mean_field([[maybe_unused]] const Engine<M>& engine, [[maybe_unused]] const typename M::Params& theta,
                [[maybe_unused]] Index sweeps, [[maybe_unused]] bool odd_update,
                [[maybe_unused]] Caches<M>& caches) {
  if constexpr (HasMeanField<M>) {
    engine.executor.for_each_owned(static_cast<Index>(caches.blocks.size()), [&](Index b, std::size_t slot) {
      engine.model.mean_field(sweeps, odd_update, theta, caches.blocks[static_cast<std::size_t>(b)],
                              caches.scratch[slot]);
    });
  }
}

template <EnergyModel M>
double sweep_operations(const M& model) {
  double operations = 0.0;
  for_each_field(
      [&](std::string_view, const auto& field) { operations += static_cast<double>(field.size()); },
      model.zero_params());
  return operations;
}

template <EnergyModel M>
void infer_cases(const Engine<M>& engine, const typename M::Params& theta, Index sweeps,
                 std::vector<typename M::State>& blocks, Caches<M>& caches) {
  latent_input(engine, theta, blocks, caches);
  if (M::kExactInference) {
    mean_latents(engine, theta, blocks, caches);
  } else {
    mean_field(engine, theta, sweeps, false, caches);
  }
}

template <EnergyModel M>
void case_free_energy(const M& model, const typename M::Params& theta, const typename M::State& x,
                      const typename M::BlockCache& cache, LaneDoubles& out) {
  if constexpr (M::kExactInference) {
    model.free_energy(theta, constant_beta(1.0F), x, cache, out);
  } else {
    model.variational_free_energy(theta, x, cache, out);
  }
}

namespace {

/// The nodes that a rank tells of.
std::vector<TreeNode> told_nodes(Index n_blocks, int rank, int ranks) {
  const UnitRange blocks = part_of(n_blocks, rank, ranks);
  std::vector<std::pair<TreeNode, char>> nodes;
  for (const TreeNode& node : complete_nodes(blocks.first, blocks.last)) nodes.emplace_back(node, 0);
  if (blocks.last == n_blocks) join_right_edge(n_blocks, nodes, [](char&, char) {});
  std::vector<TreeNode> told;
  for (const auto& node : nodes) told.push_back(node.first);
  return told;
}

/// The complete nodes that blocks cover; the first one in memory that is lent, where there is some.
template <EnergyModel M>
std::vector<StatisticsNode<M>> nodes_of(const Engine<M>& engine, const typename M::Params& theta,
                                        Population<M>& population, const PerChain<float>& weights,
                                        UnitRange blocks, typename M::Params* lent) {
  std::vector<StatisticsNode<M>> nodes;
  for (const TreeNode& node : complete_nodes(blocks.first, blocks.last)) {
    nodes.emplace_back(node,
                       lent != nullptr && nodes.empty() ? std::move(*lent) : engine.model.zero_params());
    const auto first = static_cast<std::size_t>(node.first);
    const auto count = static_cast<std::size_t>(node.leaves());
    engine.executor.for_each(engine.model.slices(), [&](Index slice, std::size_t slot) {
      engine.model.accumulate(theta, std::span(population.chains.blocks).subspan(first, count),
                              std::span(population.caches.blocks).subspan(first, count),
                              std::span(weights.blocks).subspan(first, count), slice, Sums::kSet,
                              population.caches.scratch[slot], nodes.back().second);
    });
  }
  return nodes;
}

/// The arrays of parameters, and whether each is one of vectors.
struct Arrays {
  std::vector<std::span<float>> numbers;
  std::vector<char> are_vectors;
};

template <class Params>
Arrays arrays_of(Params& theta) {
  Arrays arrays;
  for_each_field(
      [&](std::string_view, auto& field) {
        arrays.numbers.emplace_back(field.data(), static_cast<std::size_t>(field.size()));
        arrays.are_vectors.push_back(std::remove_cvref_t<decltype(field)>::ColsAtCompileTime == 1 ? 1 : 0);
      },
      theta);
  return arrays;
}

/// A node of the tree by its arrays, and how such are added.
using ArraysNode = std::pair<TreeNode, std::vector<std::span<float>>>;
constexpr auto kAddArrays = [](std::vector<std::span<float>>& into,
                               const std::vector<std::span<float>>& from) {
  using Numbers = Eigen::Map<Eigen::ArrayXf>;
  for (std::size_t a = 0; a < into.size(); ++a) {
    const auto count = static_cast<Index>(into[a].size());
    Numbers(into[a].data(), count) += Numbers(from[a].data(), count);
  }
};

/// How the numbers of parameters are divided among ranks: those of each are in a row, whatever array they are
/// in.
class Division {
 public:
  Division(const std::vector<std::span<float>>& arrays, int ranks) : ranks_(ranks) {
    for (const std::span<float> array : arrays)
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + static_cast<Index>(array.size()));
  }
  /// The part of an array that is a rank's.
  [[nodiscard]] UnitRange part(std::size_t array, int rank) const {
    const UnitRange numbers = part_of(ends_.back(), rank, ranks_);
    const Index before = array == 0 ? 0 : ends_[array - 1];
    const Index size = ends_[array] - before;
    return {std::clamp<Index>(numbers.first - before, 0, size),
            std::clamp<Index>(numbers.last - before, 0, size)};
  }
  [[nodiscard]] Index size(int rank) const { return part_of(ends_.back(), rank, ranks_).size(); }

 private:
  int ranks_;
  std::vector<Index> ends_;
};

std::span<float> cut(std::span<float> array, UnitRange range) {
  return array.subspan(static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size()));
}

/// The sums of all blocks from the nodes that every rank has: each rank is sent its part of the numbers of
/// every node, adds them up along the tree, and tells the others. What travels to a rank is about twice the
/// size of the parameters, however many ranks there are.
void sum_over_ranks(const Communicator& ranks, Index n_blocks, std::vector<ArraysNode> own, Sums mode,
                    const Arrays& sums, Told told) {
  const int me = ranks.rank();
  if (part_of(n_blocks, me, ranks.size()).last == n_blocks) join_right_edge(n_blocks, own, kAddArrays);
  const std::vector<std::span<float>>& targets = sums.numbers;
  const Division division(targets, ranks.size());

  // Of every node in order: where the numbers of this rank's part are, array by array.
  std::vector<ArraysNode> nodes;
  std::size_t n_received = 0;
  for (int r = 0; r < ranks.size(); ++r) {
    for (const TreeNode& node : told_nodes(n_blocks, r, ranks.size())) {
      nodes.emplace_back(node, std::vector<std::span<float>>());
      if (r != me) n_received += static_cast<std::size_t>(division.size(me));
    }
  }
  const auto memory = std::make_unique_for_overwrite<float[]>(n_received);
  std::span<float> free(memory.get(), n_received);
  std::vector<SentPiece> sent;
  std::vector<ReceivedPiece> received;
  auto node = nodes.begin();
  for (int r = 0; r < ranks.size(); ++r) {
    const std::size_t n_nodes = told_nodes(n_blocks, r, ranks.size()).size();
    for (std::size_t k = 0; k < n_nodes; ++k, ++node) {
      for (std::size_t a = 0; a < targets.size(); ++a) {
        const UnitRange mine = division.part(a, me);
        if (r == me) {
          node->second.push_back(cut(own[k].second[a], mine));
          continue;
        }
        node->second.push_back(free.first(static_cast<std::size_t>(mine.size())));
        free = free.subspan(node->second.back().size());
        if (mine.size() > 0) received.push_back({r, std::as_writable_bytes(node->second.back())});
      }
    }
    if (r == me) continue;
    for (const ArraysNode& of : own) {
      for (std::size_t a = 0; a < targets.size(); ++a) {
        const std::span<float> theirs = cut(of.second[a], division.part(a, r));
        if (!theirs.empty()) sent.push_back({r, std::as_bytes(theirs)});
      }
    }
  }
  ranks.exchange(sent, received);

  const std::vector<std::span<float>> total = combine_nodes(std::move(nodes), kAddArrays);
  std::vector<std::span<float>> into;
  for (std::size_t a = 0; a < targets.size(); ++a) into.push_back(cut(targets[a], division.part(a, me)));
  if (mode == Sums::kAdd) {
    kAddArrays(into, total);
  } else {
    for (std::size_t a = 0; a < into.size(); ++a) {
      if (into[a].data() != total[a].data()) std::copy(total[a].begin(), total[a].end(), into[a].begin());
    }
  }
  for (std::size_t a = 0; a < targets.size(); ++a) {
    if (targets[a].empty() || (told == Told::kVectors && sums.are_vectors[a] == 0)) continue;
    std::vector<std::size_t> starts;
    for (int r = 0; r < ranks.size(); ++r)
      starts.push_back(sizeof(float) * static_cast<std::size_t>(division.part(a, r).first));
    starts.push_back(targets[a].size_bytes());
    ranks.gather(std::as_writable_bytes(targets[a]), starts);
  }
}

}  // namespace

template <EnergyModel M>
void accumulate(const Engine<M>& engine, const typename M::Params& theta, Population<M>& population,
                const PerChain<float>& weights, Sums mode, typename M::Params& sums, Told told) {
  const auto n_blocks = static_cast<Index>(population.chains.blocks.size());
  if (const Communicator& ranks = engine.executor.ranks(); ranks.size() > 1 && n_blocks > 0) {
    // Sums that are set lend their memory to the first node, and get it back with what that holds.
    typename M::Params* const first = mode == Sums::kSet ? &sums : nullptr;
    std::vector<StatisticsNode<M>> nodes =
        nodes_of(engine, theta, population, weights, engine.executor.owned(n_blocks), first);
    if (first != nullptr && !nodes.empty()) sums = std::move(nodes.front().second);
    const Arrays targets = arrays_of(sums);
    std::vector<ArraysNode> arrays;
    for (auto& [node, part] : nodes) {
      arrays.emplace_back(node,
                          first != nullptr && arrays.empty() ? targets.numbers : arrays_of(part).numbers);
    }
    sum_over_ranks(ranks, n_blocks, std::move(arrays), mode, targets, told);
    return;
  }
  engine.executor.for_each(engine.model.slices(), [&](Index slice, std::size_t slot) {
    engine.model.accumulate(theta, population.chains.blocks, population.caches.blocks, weights.blocks, slice,
                            mode, population.caches.scratch[slot], sums);
  });
}

template <EnergyModel M>
std::vector<StatisticsNode<M>> accumulate_nodes(const Engine<M>& engine, const typename M::Params& theta,
                                                Population<M>& population, const PerChain<float>& weights,
                                                UnitRange blocks) {
  return nodes_of(engine, theta, population, weights, blocks, nullptr);
}

template <EnergyModel M>
typename M::Params combined(std::vector<StatisticsNode<M>> nodes) {
  return combine_nodes(std::move(nodes), [](typename M::Params& into, const typename M::Params& from) {
    add_scaled(into, 1.0F, from);
  });
}

#define TEMPERA_INSTANTIATE(M)                                                                               \
  template void gather<M>(const Executor&, std::span<M::State>);                                             \
  template std::vector<StatisticsNode<M>> accumulate_nodes(                                                  \
      const Engine<M>&, const M::Params&, Population<M>&, const PerChain<float>&, UnitRange);                \
  template M::Params combined<M>(std::vector<StatisticsNode<M>>);                                            \
  template void accumulate(const Engine<M>&, const M::Params&, Population<M>&, const PerChain<float>&, Sums, \
                           M::Params&, Told);                                                                \
  template struct Caches<M>;                                                                                 \
  template void mean_field(const Engine<M>&, const M::Params&, Index, bool, Caches<M>&);                     \
  template double sweep_operations(const M&);                                                                \
  template void infer_cases(const Engine<M>&, const M::Params&, Index, std::vector<M::State>&, Caches<M>&);  \
  template void case_free_energy(const M&, const M::Params&, const M::State&, const M::BlockCache&,          \
                                 LaneDoubles&);                                                              \
  template Chains<M> select_chains(const M&, const Chains<M>&, std::span<const std::uint64_t>);              \
  template std::vector<Renumbered> remove_chains(std::span<const std::uint64_t>, Chains<M>&);                \
  template Chains<M> reference_chains(const Engine<M>&, std::uint64_t, Purpose);                             \
  template Chains<M> data_chains(const Engine<M>&, const M::Params&, std::uint64_t, const M::Data&,          \
                                 std::span<const Index>, Purpose);                                           \
  template void load_cases(const Engine<M>&, const M::Data&, std::span<const Index>, Chains<M>&);            \
  template void advance(const Engine<M>&, const M::Params&, std::uint64_t, Purpose, Population<M>&);         \
  template void latent_input(const Engine<M>&, const M::Params&, std::vector<M::State>&, Caches<M>&);        \
  template void mean_latents(const Engine<M>&, const M::Params&, std::vector<M::State>&, Caches<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
