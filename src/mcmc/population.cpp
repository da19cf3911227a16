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

/// Those arrays of parameters that are vectors; the others stay as they are.
template <class Params>
void copy_vectors(const Params& from, Params& to) {
  for_each_field(
      []<class From, class To>(std::string_view, const From& source, To& target) {
        if constexpr (To::ColsAtCompileTime == 1) target = source;
      },
      from, to);
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
  [[nodiscard]] std::size_t arrays() const { return ends_.size(); }

 private:
  int ranks_;
  std::vector<Index> ends_;
};

std::span<float> cut(std::span<float> array, UnitRange range) {
  return array.subspan(static_cast<std::size_t>(range.first), static_cast<std::size_t>(range.size()));
}

/// Blocks whose sums are wanted, and the nodes that this rank has of them.
struct Summand {
  Index n_blocks = 0;
  std::vector<ArraysNode> own;
};

/// Those nodes of every rank, by the numbers that are this rank's part.
struct ReceivedNodes {
  std::vector<ArraysNode> nodes;
  std::unique_ptr<float[]> memory;
};

/// Every rank is sent its part of the numbers of every node of every summand, in one exchange.
std::vector<ReceivedNodes> exchange_nodes(const Communicator& ranks, const Division& division,
                                          const std::vector<Summand>& summands) {
  const int me = ranks.rank();
  std::vector<ReceivedNodes> all;
  std::vector<SentPiece> sent;
  std::vector<ReceivedPiece> received;
  for (const Summand& summand : summands) {
    ReceivedNodes& found = all.emplace_back();
    std::size_t n_received = 0;
    for (int r = 0; r < ranks.size(); ++r) {
      if (r != me)
        n_received += told_nodes(summand.n_blocks, r, ranks.size()).size() *
                      static_cast<std::size_t>(division.size(me));
    }
    found.memory = std::make_unique_for_overwrite<float[]>(n_received);
    std::span<float> free(found.memory.get(), n_received);
    for (int r = 0; r < ranks.size(); ++r) {
      std::size_t k = 0;
      for (const TreeNode& node : told_nodes(summand.n_blocks, r, ranks.size())) {
        ArraysNode& mine = found.nodes.emplace_back(node, std::vector<std::span<float>>());
        for (std::size_t a = 0; a < division.arrays(); ++a) {
          const UnitRange part = division.part(a, me);
          if (r == me) {
            mine.second.push_back(cut(summand.own[k].second[a], part));
            continue;
          }
          mine.second.push_back(free.first(static_cast<std::size_t>(part.size())));
          free = free.subspan(mine.second.back().size());
          if (part.size() > 0) received.push_back({r, std::as_writable_bytes(mine.second.back())});
        }
        ++k;
      }
      if (r == me) continue;
      for (const ArraysNode& of : summand.own) {
        for (std::size_t a = 0; a < division.arrays(); ++a) {
          const std::span<float> theirs = cut(of.second[a], division.part(a, r));
          if (!theirs.empty()) sent.push_back({r, std::as_bytes(theirs)});
        }
      }
    }
  }
  ranks.exchange(sent, received);
  return all;
}

/// The sums of all blocks from the nodes that every rank has: each rank is sent its part of the numbers of
/// every node, adds them up along the tree, summand after summand, and tells the others. What travels to a
/// rank is the size of the parameters for each summand and once more, however many ranks there are.
/// `of_first` gets the vectors of the first summand.
void sum_over_ranks(const Communicator& ranks, std::vector<Summand> summands, const Arrays& sums,
                    const Arrays& of_first) {
  const int me = ranks.rank();
  for (Summand& summand : summands) {
    if (part_of(summand.n_blocks, me, ranks.size()).last == summand.n_blocks)
      join_right_edge(summand.n_blocks, summand.own, kAddArrays);
  }
  const std::vector<std::span<float>>& targets = sums.numbers;
  const Division division(targets, ranks.size());
  std::vector<ReceivedNodes> received = exchange_nodes(ranks, division, summands);

  std::vector<std::span<float>> into;
  for (std::size_t a = 0; a < targets.size(); ++a) into.push_back(cut(targets[a], division.part(a, me)));
  for (std::size_t k = 0; k < received.size(); ++k) {
    const std::vector<std::span<float>> total = combine_nodes(std::move(received[k].nodes), kAddArrays);
    if (k > 0) {
      kAddArrays(into, total);
      continue;
    }
    for (std::size_t a = 0; a < into.size(); ++a) {
      if (into[a].data() != total[a].data()) std::copy(total[a].begin(), total[a].end(), into[a].begin());
      if (!of_first.numbers[a].empty())
        std::copy(into[a].begin(), into[a].end(), cut(of_first.numbers[a], division.part(a, me)).begin());
    }
  }

  // Vectors, which are short, go together.
  std::vector<Made> vectors;
  for (int r = 0; r < ranks.size(); ++r) {
    Made& part = vectors.emplace_back(Made{r, {}});
    for (std::size_t a = 0; a < targets.size(); ++a) {
      if (sums.are_vectors[a] == 0) continue;
      for (const std::span<float> vector : {targets[a], of_first.numbers[a]}) {
        if (!vector.empty()) part.pieces.push_back(std::as_writable_bytes(cut(vector, division.part(a, r))));
      }
    }
  }
  share_things(ranks, vectors);
  for (std::size_t a = 0; a < targets.size(); ++a) {
    if (targets[a].empty() || sums.are_vectors[a] != 0) continue;
    std::vector<std::size_t> starts;
    for (int r = 0; r < ranks.size(); ++r)
      starts.push_back(sizeof(float) * static_cast<std::size_t>(division.part(a, r).first));
    starts.push_back(targets[a].size_bytes());
    ranks.gather(std::as_writable_bytes(targets[a]), starts);
  }
}

/// Sums of sets of chains together, in their order; the vectors of the first alone where they are wanted.
template <EnergyModel M>
void accumulate_all(const Engine<M>& engine, const typename M::Params& theta,
                    const std::vector<Weighed<M>>& sets, typename M::Params& sums,
                    typename M::Params* of_first) {
  const Communicator& ranks = engine.executor.ranks();
  if (ranks.size() == 1) {
    Sums mode = Sums::kSet;
    for (const Weighed<M>& set : sets) {
      engine.executor.for_each(engine.model.slices(), [&](Index slice, std::size_t slot) {
        engine.model.accumulate(theta, set.population.chains.blocks, set.population.caches.blocks,
                                set.weights.blocks, slice, mode, set.population.caches.scratch[slot], sums);
      });
      if (mode == Sums::kSet && of_first != nullptr) copy_vectors(sums, *of_first);
      mode = Sums::kAdd;
    }
    return;
  }
  // The sums lend their memory to the first node, and get it back with what that holds.
  std::vector<std::vector<StatisticsNode<M>>> nodes;
  for (const Weighed<M>& set : sets) {
    const auto n_blocks = static_cast<Index>(set.population.chains.blocks.size());
    nodes.push_back(nodes_of(engine, theta, set.population, set.weights, engine.executor.owned(n_blocks),
                             nodes.empty() ? &sums : nullptr));
  }
  const bool lent = !nodes.front().empty();
  if (lent) sums = std::move(nodes.front().front().second);
  const Arrays targets = arrays_of(sums);
  std::vector<Summand> summands;
  for (std::size_t k = 0; k < sets.size(); ++k) {
    Summand& summand = summands.emplace_back();
    summand.n_blocks = static_cast<Index>(sets[k].population.chains.blocks.size());
    for (auto& [node, part] : nodes[k]) {
      const bool is_lent = k == 0 && summand.own.empty();
      summand.own.emplace_back(node, is_lent ? targets.numbers : arrays_of(part).numbers);
    }
  }
  Arrays firsts = targets;
  if (of_first != nullptr) {
    copy_vectors(sums, *of_first);  // the sizes
    firsts = arrays_of(*of_first);
  } else {
    for (std::span<float>& none : firsts.numbers) none = {};
  }
  sum_over_ranks(ranks, std::move(summands), targets, firsts);
}

}  // namespace

template <EnergyModel M>
void accumulate(const Engine<M>& engine, const typename M::Params& theta, Population<M>& population,
                const PerChain<float>& weights, typename M::Params& sums) {
  accumulate_all<M>(engine, theta, {{population, weights}}, sums, nullptr);
}

template <EnergyModel M>
void accumulate(const Engine<M>& engine, const typename M::Params& theta, const Weighed<M>& first,
                const Weighed<M>& second, typename M::Params& sums, typename M::Params& of_first) {
  accumulate_all<M>(engine, theta, {first, second}, sums, &of_first);
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

#define TEMPERA_INSTANTIATE(M)                                                                              \
  template void gather<M>(const Executor&, std::span<M::State>);                                            \
  template std::vector<StatisticsNode<M>> accumulate_nodes(                                                 \
      const Engine<M>&, const M::Params&, Population<M>&, const PerChain<float>&, UnitRange);               \
  template M::Params combined<M>(std::vector<StatisticsNode<M>>);                                           \
  template void accumulate(const Engine<M>&, const M::Params&, Population<M>&, const PerChain<float>&,      \
                           M::Params&);                                                                     \
  template void accumulate(const Engine<M>&, const M::Params&, const Weighed<M>&, const Weighed<M>&,        \
                           M::Params&, M::Params&);                                                         \
  template struct Caches<M>;                                                                                \
  template void mean_field(const Engine<M>&, const M::Params&, Index, bool, Caches<M>&);                    \
  template double sweep_operations(const M&);                                                               \
  template void infer_cases(const Engine<M>&, const M::Params&, Index, std::vector<M::State>&, Caches<M>&); \
  template void case_free_energy(const M&, const M::Params&, const M::State&, const M::BlockCache&,         \
                                 LaneDoubles&);                                                             \
  template Chains<M> select_chains(const M&, const Chains<M>&, std::span<const std::uint64_t>);             \
  template std::vector<Renumbered> remove_chains(std::span<const std::uint64_t>, Chains<M>&);               \
  template Chains<M> reference_chains(const Engine<M>&, std::uint64_t, Purpose);                            \
  template Chains<M> data_chains(const Engine<M>&, const M::Params&, std::uint64_t, const M::Data&,         \
                                 std::span<const Index>, Purpose);                                          \
  template void load_cases(const Engine<M>&, const M::Data&, std::span<const Index>, Chains<M>&);           \
  template void advance(const Engine<M>&, const M::Params&, std::uint64_t, Purpose, Population<M>&);        \
  template void latent_input(const Engine<M>&, const M::Params&, std::vector<M::State>&, Caches<M>&);       \
  template void mean_latents(const Engine<M>&, const M::Params&, std::vector<M::State>&, Caches<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
