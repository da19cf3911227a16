// Small machines with random parameters, and one with a mode that chains do not find.
#pragma once

#include <gtest/gtest.h>

#include <boost/random/normal_distribution.hpp>

#include "../machines.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {

/// A machine of few units with random weights and biases of this size, and with a law.
template <EnergyModel M>
struct RandomMachine {
  static constexpr Index kVisible = 6;
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
    if constexpr (HasLetters<M>) options.letters = small_letters(kVisible);
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

/// A machine with a mode that holds nearly all of its mass and that is far from the others: the first 20
/// hidden units switch on together.
inline BernoulliRbm::Params with_planted_mode(const BernoulliRbm& model) {
  BernoulliRbm::Params theta = model.initial_params(StreamFactory{1}, random_weights(0.01));
  theta.hidden_bias.head(20).setConstant(-14.0F);
  theta.visible_bias.setConstant(-4.0F);
  theta.weights.block(0, 0, 30, 20).setConstant(1.0F);
  return theta;
}

}  // namespace tempera
