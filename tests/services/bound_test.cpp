// Bounds of log Z from cases, and what is said of an estimate below a bound.
#include "tempera/services/bound.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "../mcmc/random_machines.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Every state of the visibles, twice.
CategoricalData all_states_twice(std::type_identity<CategoricalData>) {
  const Letters letters = small_letters(RandomMachine<PottsRbm>::kVisible);
  std::vector<std::uint8_t> codes;
  for (int state = 0; state < 18; ++state) {
    codes.push_back(static_cast<std::uint8_t>(state % 3));
    codes.push_back(static_cast<std::uint8_t>(state / 3 % 3));
  }
  return {18, letters, codes};
}
BinaryData all_states_twice(std::type_identity<BinaryData>) {
  constexpr Index kUnits = RandomMachine<BernoulliRbm>::kVisible;
  std::vector<std::uint8_t> bytes;
  for (int copy = 0; copy < 2; ++copy) {
    for (Word state = 0; state < Word{1} << kUnits; ++state) {
      for (Index i = 0; i < kUnits; ++i) bytes.push_back(static_cast<std::uint8_t>(state >> i & 1));
    }
  }
  return {2 * (Index{1} << kUnits), kUnits, bytes};
}

TEST(BoundOfCases, DistinctCasesCountOnce) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> machine(5, 1.0);
    if constexpr (M::kDiscrete) {
      const auto data = all_states_twice(std::type_identity<typename M::Data>());
      const auto bound = bound_of_cases(machine.engine(), machine.theta, data);
      ASSERT_TRUE(bound) << M::kKind;
      EXPECT_NEAR(bound->value, machine.exact(), 1e-6) << M::kKind;
      EXPECT_EQ(words(*bound),
                HasLetters<M> ? "certain, from 9 distinct cases" : "certain, from 64 distinct cases");
      // Planted: every case counts.
      LogSumExp twice;
      for (const double energy : free_energies(machine.engine(), machine.theta, data)) twice.add(-energy);
      EXPECT_GT(twice.value(), machine.exact() + 0.6) << M::kKind;
    } else {
      const RealData data(Matrix::Zero(3, machine.model.n_visible()));
      EXPECT_FALSE(bound_of_cases(machine.engine(), machine.theta, data)) << M::kKind;
    }
  });
}

TEST(BoundOfCases, LikelyCasesLeadASearchToTheirMode) {
  // One case in a thousand lies in a mode that no spread case and few random states lead to.
  const auto model = with_standard_reference<BernoulliRbm>({60, 20});
  const BernoulliRbm::Params theta = with_planted_mode(model);
  std::vector<std::uint8_t> bytes(std::size_t{1000} * 60, 0);
  std::fill_n(bytes.begin() + std::ptrdiff_t{501} * 60, 30, std::uint8_t{1});
  const BinaryData data(1000, 60, bytes);
  const Executor executor(1);
  const Engine<BernoulliRbm> engine{model, StreamFactory{1}, executor};
  const auto found = modes_of(engine, theta, data, {}, {});
  ASSERT_TRUE(found);
  const double exact = exact_log_partition(engine, theta, {}).value;
  const double bound = bound_of(engine, theta, found->modes).value;
  EXPECT_LE(bound, exact + 1e-6);
  EXPECT_GE(bound, exact - 1.0);
}

TEST(Refutation, SaysBothNumbersAndWhatIsWrong) {
  EXPECT_EQ(
      words_of_refutation({157.15, 0.09, 1.0}, 179.14),
      "log Z is at least 179.140, as a search of modes proves, and not 157.150 (0.090): the chains have lost "
      "what the model likes best");
  EXPECT_EQ(
      words_of_probable_refutation({2.0, 0.01, 1.0}, 2.5),
      "log Z is at least 2.500, as annealing says with probability 0.999, and not 2.000 (0.010): the error "
      "bar is too small");
  EXPECT_TRUE(is_refuted({1.0, 0.1, 1.0}, 1.6));
  EXPECT_FALSE(is_refuted({1.0, 0.1, 1.0}, 1.4));
  EXPECT_NEAR(std::exp(-probable_shortfall()) * kAnnealings, 1e-3, 1e-12);
}

}  // namespace
}  // namespace tempera
