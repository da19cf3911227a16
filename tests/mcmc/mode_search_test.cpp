// Modes and certified bounds: for every kind of machine, against enumeration.
#include "tempera/mcmc/mode_search.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "random_machines.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// What rounding may add to a log-weight.
double rounding(double value) { return 1e-8 * (1.0 + std::abs(value)); }

template <EnergyModel M, class F>
void for_many_machines(F&& f) {
  std::uint64_t seed = 1;
  for (const double scale : {0.3, 1.0, 2.0, 5.0}) {
    for (int k = 0; k < 10; ++k) f(RandomMachine<M>(seed++, scale), scale);
  }
}

TEST(CollapsedMachine, AFlipWeighsWhatTheFlippedStateDoes) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> machine(3, 1.0);
    const auto walked = machine.model.collapsed(machine.theta);
    const auto placed = machine.model.collapsed(machine.theta);
    StreamEngine random = StreamFactory{5}.engine(Purpose::kDataSet, 0);
    for (int step = 0; step < 60; ++step) {
      const auto unit = static_cast<Index>(uniform_53(random) * static_cast<double>(walked->units()));
      const double promised = walked->flipped(unit);
      walked->flip(unit);
      placed->set(walked->state());
      ASSERT_NEAR(promised, placed->log_weight(), rounding(promised)) << M::kKind;
      ASSERT_NEAR(walked->log_weight(), placed->log_weight(), rounding(promised)) << M::kKind;
    }
  });
}

TEST(ModeSearch, AllStatesOfAMachineWeighItsZ) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    for_many_machines<M>([](const RandomMachine<M>& machine, double scale) {
      // Enough to reach every state from the modes.
      const double exact = machine.exact();
      ASSERT_NEAR(machine.bounds(1e9).states, exact, rounding(exact)) << M::kKind << ", weights " << scale;
    });
  });
}

TEST(ModeSearch, NoBoundIsAboveTheExactValue) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    int caught = 0;
    for_many_machines<M>([&caught](const RandomMachine<M>& machine, double scale) {
      const double exact = machine.exact();
      const Mode heaviest = machine.search(1e9).front();
      for (const double operations : {0.0, 1e4, 1e9}) {
        const LowerBounds found = machine.bounds(operations);
        ASSERT_LE(found.states, exact + rounding(exact)) << M::kKind << ", weights " << scale;
        ASSERT_LE(found.mean_field, exact + rounding(exact)) << M::kKind << ", weights " << scale;
        ASSERT_LE(machine.search(operations).front().log_weight, found.best() + rounding(exact));
      }
      // Planted: the heaviest state is counted twice.
      LogSumExp twice;
      twice.add(machine.bounds(1e9).states);
      twice.add(heaviest.log_weight);
      caught += twice.value() > exact + rounding(exact);
    });
    EXPECT_EQ(caught, 40) << M::kKind;
  });
}

TEST(ModeSearch, AModeIsHeavierThanItsNeighbours) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> machine(4, 2.0);
    const auto one = machine.model.collapsed(machine.theta);
    for (const Mode& mode : machine.search(1e9)) {
      one->set(mode.state);
      for (Index i = 0; i < one->units(); ++i) EXPECT_LE(one->flipped(i), mode.log_weight + 1e-8) << M::kKind;
    }
  });
}

TEST(ModeSearch, APlantedModeIsFoundAndProvesWhatAnnealingMisses) {
  const auto model = with_standard_reference<BernoulliRbm>({60, 20});
  const BernoulliRbm::Params theta = with_planted_mode(model);
  const Executor executor(2);
  const Engine<BernoulliRbm> engine{model, StreamFactory{1}, executor};
  const double exact = exact_log_partition(engine, theta, {}).value;
  const auto factory = [&] { return model.collapsed(theta); };
  const ModeSearch found = search_modes(factory, StreamFactory{2}, executor, {});
  const double bound = lower_bounds(*factory(), found.modes).best();
  EXPECT_LE(bound, exact + 1e-6);
  EXPECT_GE(bound, exact - 1.0);
  // Planted: a search that never leaves the neighbourhood of the state where every unit is off.
  EXPECT_LT(factory()->log_weight(), exact - 20.0);
}

TEST(ModeSearch, APairIsFlippedWhereNoSingleUnitHelps) {
  // Two units that only pay together, of a machine whose other side is one unit: w(11) > w(00) > w(01),
  // w(10).
  const auto model = with_standard_reference<BernoulliRbm>({20, 6});
  BernoulliRbm::Params theta = model.zero_params();
  theta.visible_bias.setConstant(-3.0F);
  theta.hidden_bias.setConstant(-60.0F);
  theta.hidden_bias.head(2).setConstant(-12.0F);
  theta.weights.setConstant(2.0F);
  const auto factory = [&] { return model.collapsed(theta); };
  const std::vector<PackedState> off = {PackedState{0}};
  const auto modes = [&](double operations) {
    ModeSearchOptions options;
    options.round = options.most_starts = 1;
    options.operations = operations;
    return search_modes(factory, StreamFactory{2}, Executor(1), off, options).modes;
  };
  const auto one = factory();
  EXPECT_LT(one->flipped(0), one->log_weight());
  EXPECT_EQ(modes(1e6).front().state, PackedState{3});
  // Without the work that pairs take, the ascent ends where it began.
  EXPECT_EQ(modes(0.0).front().state, PackedState{0});
}

TEST(ModeSearch, ThreadsChangeNothing) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const RandomMachine<M> alone(6, 2.0);
    const RandomMachine<M> together(6, 2.0, 3);
    const std::vector<Mode> a = alone.search(1e5);
    const std::vector<Mode> b = together.search(1e5);
    ASSERT_EQ(a.size(), b.size()) << M::kKind;
    for (std::size_t k = 0; k < a.size(); ++k) {
      EXPECT_EQ(a[k].state, b[k].state);
      EXPECT_EQ(a[k].log_weight, b[k].log_weight);
    }
    EXPECT_EQ(alone.bounds(1e5).best(), together.bounds(1e5).best()) << M::kKind;
  });
}

TEST(ModeSearch, CasesPutTheHiddenUnitsWhereTheirLogitsSay) {
  const RandomMachine<BernoulliRbm> machine(8, 2.0);
  constexpr Index kVisible = RandomMachine<BernoulliRbm>::kVisible;
  const std::vector<std::uint8_t> bytes = {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1};
  const BinaryData data(2, kVisible, bytes);
  const auto states =
      states_of_cases(machine.engine(), machine.theta, data, spread_cases(data.n_cases(), 5, 0), 10);
  ASSERT_EQ(states.size(), 2U);
  for (Index n = 0; n < 2; ++n) {
    Vector logits = machine.theta.hidden_bias;
    for (Index i = 0; i < kVisible; ++i) {
      if (data.value(n, i)) logits += machine.theta.weights.row(i).transpose();
    }
    for (Index j = 0; j < logits.size(); ++j)
      EXPECT_EQ(is_on(states[static_cast<std::size_t>(n)], j), logits[j] > 0) << n << " " << j;
  }
}

}  // namespace
}  // namespace tempera
