// Annealing from around modes: right in the mean for every kind of machine, and where chains lose a mode.
#include "tempera/mcmc/mode_annealing.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "random_machines.hpp"
#include "tempera/core/math.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/mcmc/annealing.hpp"

namespace tempera {
namespace {

ModeAnnealingOptions with_steps(Index steps, std::uint64_t chains) {
  ModeAnnealingOptions options;
  options.chains = chains;
  options.most_steps = steps;
  return options;
}

/// Every state of n units, n at most 63.
template <class F>
void for_each_state(Index units, F&& f) {
  for (Word bits = 0; bits < Word{1} << units; ++bits) f(PackedState{bits});
}

TEST(ProductMixture, ItsDensitySumsToOneAndIsKeptUpToDate) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> machine(3, 2.0);
    const auto one = machine.model.collapsed(machine.theta);
    const ProductMixture mixture(*one, machine.search(1e6));
    EXPECT_GT(mixture.components(), 1U);
    LogSumExp sum;
    for_each_state(one->units(), [&](const PackedState& state) {
      ProductMixture::Walker walker(mixture, state);
      sum.add(walker.log_density());
      for (Index i = 0; i < one->units(); ++i) {
        PackedState neighbour = state;
        flip_bit(neighbour, i);
        const double there = ProductMixture::Walker(mixture, neighbour).log_density();
        ASSERT_NEAR(walker.flipped(i, is_on(state, i)), there, 1e-9) << M::kKind;
      }
    });
    EXPECT_NEAR(sum.value(), 0.0, 1e-9) << M::kKind;
  });
}

TEST(ProductMixture, IsDrawnFromAsItsDensitySays) {
  const RandomMachine<BernoulliRbm> machine(4, 2.0);
  const auto one = machine.model.collapsed(machine.theta);
  const ProductMixture mixture(*one, machine.search(1e6));
  std::vector<double> counts(std::size_t{1} << one->units(), 0.0);
  constexpr int kDraws = 40000;
  StreamEngine random = StreamFactory{7}.engine(Purpose::kDataSet, 0);
  for (int n = 0; n < kDraws; ++n)
    ++counts[mixture.draw(mixture.component_of(uniform_53(random)), random).front()];
  const auto chi_squared = [&](double weight_of_all_off) {
    double sum = 0.0;
    for_each_state(one->units(), [&](const PackedState& state) {
      double expected = kDraws * std::exp(ProductMixture::Walker(mixture, state).log_density());
      if (state.front() == 0) expected *= weight_of_all_off;
      sum += (counts[state.front()] - expected) * (counts[state.front()] - expected) / expected;
    });
    return sum;
  };
  // 63 degrees of freedom: above 126 with probability 3e-6.
  EXPECT_LT(chi_squared(1.0), 126.0);
  // Planted: the density of one state is a tenth off.
  EXPECT_GT(chi_squared(1.1) + chi_squared(0.5), 126.0);
}

TEST(ModeAnnealing, IsRightInTheMeanForEveryKind) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    for (const double scale : {0.3, 1.0, 2.0, 5.0}) {
      for (const Index steps : {Index{1}, Index{20}}) {
        const RandomMachine<M> machine(11, scale);
        const double exact = machine.exact();
        const LogPartition z = log_partition_from_weights(
            0.0, mode_annealed_log_weights(machine.factory(), StreamFactory{5}, machine.executor,
                                           machine.search(1e6), with_steps(steps, 2000)));
        // Of 72 estimates one beyond 4.5 errors has probability 5e-4.
        EXPECT_NEAR(z.value, exact, 4.5 * z.standard_error + 1e-6)
            << M::kKind << ", " << scale << ", " << steps;
        EXPECT_LT(z.standard_error, 0.3) << M::kKind << ", " << scale << ", " << steps;
      }
    }
  });
}

TEST(ModeAnnealing, CountsAModeThatThePathFromTheReferenceMachineMisses) {
  // 300 visibles that are free (208 nats) as long as all hidden units are off, and pinned where all are on,
  // which weighs 228 nats at beta = 1 and next to nothing at the betas at which chains could still change.
  const auto model = with_standard_reference<BernoulliRbm>({300, 24});
  BernoulliRbm::Params theta = model.zero_params();
  theta.weights.setConstant(0.5F);
  theta.hidden_bias.setConstant((228.0F - 3600.0F) / 24.0F);
  const Executor executor(2);
  const Engine<BernoulliRbm> engine{model, StreamFactory{1}, executor};
  const double exact = exact_log_partition(engine, theta, {}).value;
  const auto factory = [&] { return model.collapsed(theta); };
  const auto modes = search_modes(factory, StreamFactory{2}, executor, {}).modes;
  const LogPartition z = log_partition_from_weights(
      0.0, mode_annealed_log_weights(factory, StreamFactory{3}, executor, modes, with_steps(200, 64)));
  EXPECT_NEAR(z.value, exact, 4.0 * z.standard_error);
  EXPECT_LT(z.standard_error, 0.2);
  // Planted: annealing from the reference machine.
  const auto weights =
      annealed_log_weights(engine, theta, published_betas(1000),
                           reference_chains(engine, 64, Purpose::kAnnealing), Purpose::kAnnealing);
  EXPECT_LT(log_partition_from_weights(model.reference_log_partition(), weights).value, exact - 3.0);
}

TEST(ModeAnnealing, ThreadsChangeNothing) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> alone(6, 2.0);
    const RandomMachine<M> together(6, 2.0, 3);
    const auto weights = [](const RandomMachine<M>& machine) {
      return mode_annealed_log_weights(machine.factory(), StreamFactory{5}, machine.executor,
                                       machine.search(1e5), with_steps(10, 20));
    };
    EXPECT_EQ(weights(alone), weights(together)) << M::kKind;
  });
}

}  // namespace
}  // namespace tempera
