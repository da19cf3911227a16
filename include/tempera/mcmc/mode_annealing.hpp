// Annealed importance sampling that starts around the modes of a collapsed machine, so that mass which the
// path from the reference machine never finds is counted.
//
// Formulas: docs/mathematics/log-partition.md 3.20.
#pragma once

#include <Eigen/Core>

#include "tempera/mcmc/mode_search.hpp"

namespace tempera {

/// A mixture of product laws over binary units: one around every mode, whose units are on as often as the
/// machine has them on given all others at the mode, and a uniform one. Its density is known exactly.
class ProductMixture {
 public:
  /// Of the modes, those with the largest estimated mass. `machine` is any of that law; it is moved about.
  ProductMixture(CollapsedMachine& machine, std::span<const Mode> modes);

  [[nodiscard]] std::size_t components() const { return static_cast<std::size_t>(log_off_.size()); }
  /// The component that a number in [0, 1) chooses.
  [[nodiscard]] Index component_of(double number) const;
  [[nodiscard]] PackedState draw(Index component, StreamEngine& random) const;

  /// log density at a state, kept up to date while single units flip.
  class Walker {
   public:
    Walker(const ProductMixture& mixture, std::span<const Word> state);
    [[nodiscard]] double log_density() const { return value_; }
    /// Of the state with one unit the other way round; `on`: how it is now.
    [[nodiscard]] double flipped(Index unit, bool on) const;
    void flip(Index unit, bool on);

   private:
    const ProductMixture& mixture_;
    Eigen::ArrayXd terms_;  // log of weight times density of every component
    double value_;
  };

 private:
  Eigen::ArrayXXd logits_;  // component x unit
  Eigen::ArrayXd log_off_;  // log of a component's weight and of its probability that every unit is off
  Eigen::ArrayXd weights_;  // of sum 1
};

struct ModeAnnealingOptions {
  std::uint64_t chains = 64;
  Index most_steps = 2000;
  double operations = 2e10;  // floating-point operations, which decide on the steps
};

/// One log-weight for each chain of a run along q^(1 - beta) w^beta, q the mixture and w the machine's
/// weights, by single-unit heat baths in fixed order, beta growing evenly; exp of them has mean Z, whatever q
/// is. The law of chains is q's: their components are drawn systematically. Threads change nothing. Expects
/// modes with finite weights. Cost: `operations`; a step takes units() x cost() for each chain.
std::vector<double> mode_annealed_log_weights(const CollapsedFactory& machine, const StreamFactory& streams,
                                              const Executor& executor, std::span<const Mode> modes,
                                              const ModeAnnealingOptions& options = {},
                                              const Progress& progress = {});

}  // namespace tempera
