// Modes and certified bounds: for every kind of machine, against enumeration.
#include "tempera/mcmc/mode_search.hpp"

#include <gtest/gtest.h>

#include <boost/random/normal_distribution.hpp>
#include <cmath>

#include "../machines.hpp"
#include "tempera/core/math.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 6;

/// A machine of few units with random weights and biases of this size, and with a law.
template <EnergyModel M>
struct RandomMachine {
  M model = with_standard_reference<M>(M::shape_from(options(), kVisible));
  typename M::Params theta;
  Executor executor;

  RandomMachine(std::uint64_t seed, double scale, int threads = 1)
      : theta(model.initial_params(StreamFactory{seed}, random_weights(scale))), executor(threads) {
    StreamEngine random = StreamFactory{seed}.engine(Purpose::kDataSet, 1);
    boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
    for_each_field(
        [&](std::string_view name, auto& field) {
          if (name.find("bias") == std::string_view::npos) return;
          for (Index k = 0; k < field.size(); ++k) field.data()[k] += normal(random);
        },
        theta);
    Vector direction;
    if constexpr (HasProjection<M>) model.project(theta, direction, true);
  }
  static MachineOptions options() {
    MachineOptions options = small_options<M>();
    options.hidden =
        options.hidden.size() == 1 ? std::vector<std::int64_t>{6} : std::vector<std::int64_t>{2, 3};
    return options;
  }
  [[nodiscard]] Engine<M> engine() const { return {model, StreamFactory{1}, executor}; }
  [[nodiscard]] double exact() const { return exact_log_partition(engine(), theta, {}).value; }
  [[nodiscard]] CollapsedFactory factory() const {
    return [this] { return model.collapsed(theta); };
  }
  [[nodiscard]] std::vector<Mode> search(double operations) const {
    ModeSearchOptions options;
    options.operations = operations;
    const ModeSearch found = search_modes(factory(), StreamFactory{2}, executor, {}, options);
    EXPECT_FALSE(found.improper) << M::kKind;
    return found.modes;
  }
  [[nodiscard]] LowerBounds bounds(double operations) const {
    return lower_bounds(*model.collapsed(theta), search(operations), operations);
  }
};

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

/// A machine with a mode that holds nearly all of its mass and that is far from the others: the first 20
/// hidden units switch on together.
BernoulliRbm::Params with_planted_mode(const BernoulliRbm& model) {
  BernoulliRbm::Params theta = model.initial_params(StreamFactory{1}, random_weights(0.01));
  theta.hidden_bias.head(20).setConstant(-14.0F);
  theta.visible_bias.setConstant(-4.0F);
  theta.weights.block(0, 0, 30, 20).setConstant(1.0F);
  return theta;
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
  const std::vector<std::uint8_t> bytes = {1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 1};
  const BinaryData data(2, kVisible, bytes);
  const auto states = states_of_cases(machine.engine(), machine.theta, data, 5, 10);
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
