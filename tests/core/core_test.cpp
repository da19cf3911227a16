#include <Random123/philox.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/dataset.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/random.hpp"
#include "tempera/models/rbm.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {
namespace {

TEST(Math, LogSumExpIsExactForSmallSumsAndSafeForLargeOnes) {
  LogSumExp sum;
  for (const double x : {0.5, -1.0, 2.0}) sum.add(x);
  EXPECT_NEAR(sum.value(), std::log(std::exp(0.5) + std::exp(-1.0) + std::exp(2.0)), 1e-14);
  LogSumExp large;
  large.add(1000.0);
  large.add(1000.0);
  EXPECT_NEAR(large.value(), 1000.0 + std::log(2.0), 1e-12);
  EXPECT_NEAR(softplus(-800.0), 0.0, 1e-300);
  EXPECT_EQ(softplus(800.0), 800.0);
  EXPECT_NEAR(sigmoid(logit(0.3)), 0.3, 1e-15);
}

TEST(Random, PhiloxIsRandom123sKnownAnswer) {
  // kat_vectors of Random123: philox 4x32 10, counter and key all ones.
  const r123::Philox4x32::ctr_type counter = {{~0U, ~0U, ~0U, ~0U}};
  const r123::Philox4x32::key_type key = {{~0U, ~0U}};
  const auto words = r123::Philox4x32()(counter, key);
  EXPECT_EQ(words[0], 0x408f276dU);
  EXPECT_EQ(words[1], 0x41c83b0eU);
  EXPECT_EQ(words[2], 0xa20bc7c6U);
  EXPECT_EQ(words[3], 0x6d5451fdU);
}

TEST(Random, StreamsDifferInEveryPartOfTheirKey) {
  const StreamFactory streams{7};
  const auto first = [](StreamEngine random) { return random(); };
  const auto base = first(streams.engine(Purpose::kChains, 3, 5));
  EXPECT_EQ(base, first(streams.engine(Purpose::kChains, 3, 5)));
  EXPECT_NE(base, first(StreamFactory{8}.engine(Purpose::kChains, 3, 5)));
  EXPECT_NE(base, first(streams.engine(Purpose::kSampling, 3, 5)));
  EXPECT_NE(base, first(streams.engine(Purpose::kChains, 4, 5)));
  EXPECT_NE(base, first(streams.engine(Purpose::kChains, 3 + (std::uint64_t{1} << 40), 5)));
  EXPECT_NE(base, first(streams.engine(Purpose::kChains, 3, 6)));
}

TEST(Data, PacksAndFindsDistinctCases) {
  std::vector<std::uint8_t> bytes(3 * 70, 0);
  bytes[69] = 1;
  bytes[70] = 1;
  bytes[2 * 70 + 69] = 1;
  const BinaryData data(3, 70, bytes);
  EXPECT_TRUE(data.value(0, 69));
  EXPECT_FALSE(data.value(0, 0));
  EXPECT_TRUE(data.value(1, 0));
  EXPECT_EQ(data.distinct_cases(), (std::vector<Index>{0, 1}));
  EXPECT_NEAR(data.means()[69], 2.0 / 3.0, 1e-15);
}

TEST(Fields, ArithmeticAndComparison) {
  const auto model = with_standard_reference<BernoulliRbm>({3, 2});
  auto a = model.zero_params();
  auto b = model.zero_params();
  b.weights(2, 1) = 3.0F;
  b.hidden_bias[0] = 1.0F;
  add_scaled(a, 2.0F, b);
  EXPECT_EQ(a.weights(2, 1), 6.0F);
  EXPECT_FALSE(equal_fields(a, b));
  add_scaled(a, -1.0F, b);
  EXPECT_TRUE(equal_fields(a, b));
  EXPECT_TRUE(first_non_finite(a).empty());
  a.hidden_bias[1] = NAN;
  EXPECT_EQ(first_non_finite(a), "hidden_bias");
}

struct Length {
  double metres = 0.0;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("metres", s.metres...);
  }
};
struct Steps {
  std::vector<double> each;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("each", s.each...);
  }
};
struct Nothing {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};
struct Journey {
  std::variant<Nothing, Length, Steps> way;
  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("way", s.way...);
  }
};

static_assert(VariantOfFielded<std::variant<Nothing, Length>>);
static_assert(!VariantOfFielded<std::variant<Length, int>> && !VariantOfFielded<Length>);

TEST(Fields, VariantsAreEqualWhereTheyHoldEqualStructsOfOneType) {
  EXPECT_TRUE(equal_fields(Journey{Length{1.5}}, Journey{Length{1.5}}));
  EXPECT_FALSE(equal_fields(Journey{Length{1.5}}, Journey{Length{2.5}})) << "planted: another number";
  EXPECT_TRUE(equal_fields(Journey{Steps{{1, 2}}}, Journey{Steps{{1, 2}}}));
  EXPECT_FALSE(equal_fields(Journey{Steps{{1, 2}}}, Journey{Steps{{1, 2, 3}}})) << "planted: another length";
  EXPECT_FALSE(equal_fields(Journey{Length{0.0}}, Journey{Nothing{}})) << "planted: another struct";
  EXPECT_TRUE(equal_fields(Journey{}, Journey{Nothing{}}));
}

TEST(Tasks, EveryTaskRunsOnceAndExceptionsComeBack) {
  const Executor executor(3);
  std::vector<int> runs(1000);
  executor.for_each(1000, [&](Index i) { ++runs[static_cast<std::size_t>(i)]; });
  EXPECT_EQ(runs, std::vector<int>(1000, 1));
  EXPECT_THROW(executor.for_each(10,
                                 [](Index i) {
                                   if (i == 4) throw std::runtime_error("task");
                                 }),
               std::runtime_error);
}

TEST(Tasks, SumTreePairsByIndex) {
  const auto tree = [](Index n) {
    return sum_tree(
        n, [](Index i) { return std::to_string(i); },
        [](std::string& into, const std::string& from) { into = "(" + into + "+" + from + ")"; });
  };
  EXPECT_EQ(tree(1), "0");
  EXPECT_EQ(tree(4), "((0+1)+(2+3))");
  EXPECT_EQ(tree(5), "(((0+1)+(2+3))+4)");
  EXPECT_EQ(tree(7), "(((0+1)+(2+3))+((4+5)+6))");
}

}  // namespace
}  // namespace tempera
