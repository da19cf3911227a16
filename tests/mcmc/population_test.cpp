// Populations: chains by their numbers, cases, and statistics in parts, for every kind of machine.
#include "tempera/mcmc/population.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "../machines.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 12;
constexpr Index kBlocks = 11;
constexpr std::uint64_t kChains = kBlocks * kLanes - 5;  // the last block is not full

/// Chains with expected latents, and weights of every size.
template <EnergyModel M>
struct Sample {
  M model = small_machine<M>(kVisible);
  typename M::Params theta = model.initial_params(StreamFactory{3}, random_weights(0.2));
  Executor executor;
  Population<M> population;
  PerChain<float> weights{kBlocks};

  explicit Sample(int threads = 1)
      : executor(threads), population(reference_chains(engine(), kChains, Purpose::kChains)) {
    population.fit(engine());
    latent_input(engine(), theta, population.chains.blocks, population.caches);
    mean_latents(engine(), theta, population.chains.blocks, population.caches);
    StreamEngine random = StreamFactory{4}.engine(Purpose::kDataSet, 0);
    for (std::uint64_t c = 0; c < kChains; ++c) weights[c] = static_cast<float>(uniform_53(random) - 0.5);
  }
  [[nodiscard]] Engine<M> engine() const { return {model, StreamFactory{2}, executor}; }
  typename M::Params whole() {
    typename M::Params sums = model.zero_params();
    accumulate(engine(), theta, population, weights, sums);
    return sums;
  }
  /// Nodes of the ranges of blocks that end at these, each range by itself.
  std::vector<StatisticsNode<M>> nodes(const std::vector<Index>& ends) {
    std::vector<StatisticsNode<M>> all;
    Index first = 0;
    for (const Index last : ends) {
      for (auto& node : accumulate_nodes(engine(), theta, population, weights, {first, last}))
        all.push_back(std::move(node));
      first = last;
    }
    return all;
  }
};

/// Names of the fields whose bytes differ.
template <Fielded T>
std::string differing_fields(const T& a, const T& b) {
  std::string names;
  for_each_field(
      [&names](std::string_view name, const auto& x, const auto& y) {
        if (x != y) names += (names.empty() ? "" : ", ") + std::string(name);
      },
      a, b);
  return names;
}

TEST(Population, StatisticsOfRangesOfBlocksAreToTheByteThoseOfTheWhole) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    Sample<M> sample;
    Sample<M> of_three(3);
    const typename M::Params whole = sample.whole();
    EXPECT_EQ(differing_fields(of_three.whole(), whole), "") << M::kKind;
    for (Index a = 0; a <= kBlocks; ++a) {
      for (Index b = a; b <= kBlocks; ++b)
        ASSERT_EQ(differing_fields(combined<M>(sample.nodes({a, b, kBlocks})), whole), "")
            << M::kKind << " " << a << " " << b;
    }
    std::vector<Index> each;
    for (Index b = 1; b <= kBlocks; ++b) each.push_back(b);
    EXPECT_EQ(differing_fields(combined<M>(of_three.nodes(each)), whole), "")
        << M::kKind << ": block by block";
    // Planted: the sums of the ranges are added as they come, not along the tree.
    typename M::Params sums = sample.model.zero_params();
    for (const auto& [node, part] : sample.nodes({5, kBlocks})) add_scaled(sums, 1.0F, part);
    EXPECT_FALSE(equal_fields(sums, whole)) << M::kKind;
  });
}

/// What removing chains should do: the chain at every place afterwards, and how many must change their block.
struct Removal {
  std::vector<std::uint64_t> gone;
  std::uint64_t n_chains = 0;

  [[nodiscard]] std::uint64_t left() const { return n_chains - gone.size(); }
  [[nodiscard]] bool stays(std::uint64_t chain) const {
    return std::find(gone.begin(), gone.end(), chain) == gone.end();
  }
  /// Chains of every block that stay, and those that stay but do not find a place in it.
  [[nodiscard]] std::uint64_t must_change_block() const {
    std::uint64_t homeless = 0;
    for (std::uint64_t b = 0; b * kLanes < n_chains; ++b) {
      std::uint64_t staying = 0;
      for (std::uint64_t c = b * kLanes; c < std::min<std::uint64_t>(n_chains, (b + 1) * kLanes); ++c)
        staying += stays(c);
      const auto places = static_cast<std::uint64_t>(lanes_of(left(), static_cast<Index>(b)));
      homeless += staying - std::min(staying, places);
    }
    return homeless;
  }
};

/// Chains whose block changes when these are taken out, or nothing where a chain is lost.
template <EnergyModel M>
std::optional<std::uint64_t> blocks_changed_by(const Removal& removal) {
  Sample<M> sample;
  const Chains<M> before = sample.population.chains;
  Chains<M> after = before;
  const std::vector<Renumbered> moved = remove_chains<M>(removal.gone, after);
  std::vector<std::uint64_t> from(removal.left());
  std::iota(from.begin(), from.end(), std::uint64_t{0});
  std::uint64_t changes = 0;
  for (const Renumbered& chain : moved) {
    if (chain.to >= from.size()) return std::nullopt;
    from[chain.to] = chain.from;
    changes += block_of(chain.from) != block_of(chain.to);
  }
  for (const std::uint64_t chain : from) {
    if (!removal.stays(chain)) return std::nullopt;
  }
  // To the bit the chains that are picked one by one, zeros behind the last one included.
  const Chains<M> expected = select_chains(sample.model, before, from);
  if (after.n_chains != expected.n_chains || after.blocks.size() != expected.blocks.size())
    return std::nullopt;
  for (std::size_t b = 0; b < expected.blocks.size(); ++b) {
    if (!equal_fields(after.blocks[b], expected.blocks[b])) return std::nullopt;
  }
  return changes;
}

TEST(Population, ChainsThatAreTakenOutMoveNoOtherAcrossBlocksWhereItNeedNot) {
  std::vector<Removal> removals = {
      {{}, kChains}, {{0}, kChains}, {{kChains - 1}, kChains}, {{650, 660, 690}, kChains}};
  StreamEngine random = StreamFactory{9}.engine(Purpose::kDataSet, 0);
  for (const double share : {0.02, 0.1, 0.3, 0.7}) {
    Removal removal{{}, kChains};
    for (std::uint64_t c = 0; c < kChains; ++c) {
      if (uniform_53(random) < share) removal.gone.push_back(c);
    }
    removals.push_back(removal);
  }
  for_each_kind([&]<class M>(std::type_identity<M>) {
    for (const Removal& removal : removals)
      EXPECT_EQ(blocks_changed_by<M>(removal), removal.must_change_block())
          << M::kKind << ", without " << removal.gone.size();
  });
}

TEST(Population, SumsOfTwoSetsAreThoseOfEachAdded) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    Sample<M> sample;
    typename M::Params sums = sample.model.zero_params();
    auto first = without_matrices(sample.model.zero_params());
    const Weighed<M> chains{sample.population, sample.weights};
    accumulate(sample.engine(), sample.theta, chains, chains, sums, first);
    typename M::Params twice = sample.whole();
    for_each_field(
        [](std::string_view name, const auto& of_first, const auto& of_all) {
          if (of_first.size() > 0) {
            EXPECT_TRUE(of_first == of_all) << name;
          }
        },
        first, twice);
    add_scaled(twice, 1.0F, sample.whole());
    // Where the blocks' sums enter one by one, rounding differs.
    add_scaled(sums, -1.0F, twice);
    for_each_field(
        [](std::string_view name, const auto& left, const auto& all) {
          if (left.size() == 0) return;
          EXPECT_LT(left.cwiseAbs().maxCoeff(), 1e-5F * (1.0F + all.cwiseAbs().maxCoeff())) << name;
        },
        sums, twice);
  });
}

double value_of(const BitLayer& layer, Index unit, Index lane) {
  return static_cast<double>(layer[static_cast<std::size_t>(unit)] >> lane & 1);
}
double value_of(const LaneMatrix& layer, Index unit, Index lane) {
  return static_cast<double>(layer(unit, lane));
}
Index units_of(const BitLayer& layer) { return static_cast<Index>(layer.size()); }
Index units_of(const LaneMatrix& layer) { return layer.rows(); }

/// Every number of one chain, layer after layer.
template <EnergyModel M>
std::vector<double> numbers_of(const Chains<M>& chains, std::uint64_t chain) {
  std::vector<double> numbers;
  for_each_field(
      [&](std::string_view, const auto& layer) {
        for (Index i = 0; i < units_of(layer); ++i)
          numbers.push_back(value_of(layer, i, static_cast<Index>(chain % kLanes)));
      },
      chains.blocks[block_of(chain)]);
  return numbers;
}

TEST(Population, ChainsAreSelectedByTheirNumbersWithAllTheirLayers) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    Sample<M> sample;
    const Chains<M>& chains = sample.population.chains;
    std::vector<std::uint64_t> which;
    for (std::uint64_t k = 0; k < 130; ++k) which.push_back((k * 37 + 5) % kChains);
    which[7] = which[100];  // one of them twice
    const Chains<M> selected = select_chains(sample.model, chains, which);
    EXPECT_EQ(selected.n_chains, which.size());
    EXPECT_EQ(selected.sweeps, chains.sweeps);
    ASSERT_EQ(selected.blocks.size(), 3U);
    for (std::uint64_t c = 0; c < which.size(); ++c)
      EXPECT_EQ(numbers_of(selected, c), numbers_of(chains, which[c])) << M::kKind << " " << c;
    EXPECT_NE(numbers_of(selected, 3), numbers_of(chains, which[4])) << "planted: another chain";
    const std::vector<double> nothing(numbers_of(selected, 0).size(), 0.0);
    for (std::uint64_t c = which.size(); c < 3 * kLanes; ++c)
      EXPECT_EQ(numbers_of(selected, c), nothing) << "lanes without a chain";
  });
}

TEST(Population, AChainIsCopiedAndClearedWhereTheOthersStay) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    Sample<M> sample;
    const Chains<M>& from = sample.population.chains;
    Chains<M> to = reference_chains(sample.engine(), 200, Purpose::kSampling);
    const Chains<M> before = to;
    copy_chain(from, std::uint64_t{69}, to, std::uint64_t{130});
    clear_chain(to, 64);
    EXPECT_EQ(numbers_of(to, 130), numbers_of(from, 69)) << M::kKind;
    EXPECT_EQ(numbers_of(to, 64), std::vector<double>(numbers_of(to, 64).size(), 0.0)) << M::kKind;
    for (std::uint64_t c = 0; c < 200; ++c) {
      if (c != 130 && c != 64) {
        EXPECT_EQ(numbers_of(to, c), numbers_of(before, c)) << M::kKind << " " << c;
      }
    }
    // Lanes of a mask.
    auto block = before.blocks[0];
    copy_lanes(from.blocks[1], Word{5}, block);
    to.blocks[0] = block;
    for (std::uint64_t c = 0; c < 4; ++c)
      EXPECT_EQ(numbers_of(to, c), c % 2 == 0 ? numbers_of(from, kLanes + c) : numbers_of(before, c));
  });
}

TEST(Population, CasesAreLoadedInTheirOrder) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const M model = small_machine<M>(kVisible);
    const Executor executor(2);
    const Engine engine{model, {}, executor};
    const auto data = random_cases<typename M::Data>(90, kVisible);
    std::vector<Index> cases;
    for (Index c = 0; c < 70; ++c) cases.push_back(c * 7 % 90);
    cases[9] = cases[66];
    const auto expect_loaded = [&](const Chains<M>& chains) {
      EXPECT_EQ(chains.n_chains, cases.size());
      ASSERT_EQ(chains.blocks.size(), 2U);
      for (Index c = 0; c < 2 * kLanes; ++c) {
        const auto& visible = M::visibles_of(chains.blocks[static_cast<std::size_t>(c / kLanes)]);
        for (Index i = 0; i < kVisible; ++i) {
          const double expected =
              c < 70 ? static_cast<double>(data.value(cases[static_cast<std::size_t>(c)], i)) : 0.0;
          EXPECT_EQ(value_of(visible, i, c % kLanes), expected) << M::kKind << " " << c;
        }
      }
    };
    Chains<M> fresh;
    load_cases(engine, data, cases, fresh);
    expect_loaded(fresh);
    // The other layers are 0: with visibles of 0 a chain has no number left.
    for (std::size_t b = 0; b < 2; ++b) {
      double sum = 0.0;
      double of_visibles = 0.0;
      for_each_field(
          [&sum](std::string_view, const auto& layer) {
            for (Index i = 0; i < units_of(layer); ++i) {
              for (Index c = 0; c < kLanes; ++c) sum += std::abs(value_of(layer, i, c));
            }
          },
          fresh.blocks[b]);
      for (Index i = 0; i < kVisible; ++i) {
        for (Index c = 0; c < kLanes; ++c)
          of_visibles += std::abs(value_of(M::visibles_of(fresh.blocks[b]), i, c));
      }
      EXPECT_EQ(sum, of_visibles) << M::kKind;
    }
    // Memory that held more cases, and others.
    std::vector<Index> more;
    for (Index c = 0; c < 150; ++c) more.push_back(89 - c % 90);
    Chains<M> used;
    load_cases(engine, data, more, used);
    load_cases(engine, data, cases, used);
    expect_loaded(used);
  });
}

TEST(Population, MeanWeightsAddToOneAndEndWithTheChains) {
  for (const std::uint64_t n : {1U, 64U, 70U, 200U}) {
    const PerChain<float> weights = mean_weights(n);
    ASSERT_EQ(weights.blocks.size(), (n + 63) / 64);
    double sum = 0.0;
    for (std::uint64_t c = 0; c < weights.blocks.size() * 64; ++c) {
      sum += static_cast<double>(weights[c]);
      if (c >= n) {
        EXPECT_EQ(weights[c], 0.0F) << c;
      }
    }
    EXPECT_NEAR(sum, 1.0, 1e-6);
  }
}

}  // namespace
}  // namespace tempera
