// A machine collapsed onto binary units: everything else is summed or integrated out of the weights of their
// states, at beta = 1 and in double. What modes are searched on, and what certified lower bounds of log Z are
// sums of: the weights of distinct states add up to no more than Z.
//
// Layered machines collapse onto their smaller side, machines of slabs and binary visibles onto the visibles,
// and those of real visibles onto their latents (and the spikes of sparse visibles).
//
// Formulas: docs/mathematics/log-partition.md 3.19.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "tempera/core/types.hpp"

namespace tempera {

/// A collapsed machine in one of its states. Not shared between threads.
class CollapsedMachine {
 public:
  explicit CollapsedMachine(Index units)
      : units_(units), state_(static_cast<std::size_t>(words_for(units)), Word{0}) {}
  virtual ~CollapsedMachine() = default;
  CollapsedMachine(const CollapsedMachine&) = delete;
  CollapsedMachine& operator=(const CollapsedMachine&) = delete;

  [[nodiscard]] Index units() const { return units_; }
  [[nodiscard]] const PackedState& state() const { return state_; }
  /// Log of the weight of the state, whose sum over all states is Z; +infinity where it has none, since the
  /// machine is improper.
  [[nodiscard]] virtual double log_weight() const = 0;
  /// Log of the weight of the state with one unit the other way round.
  [[nodiscard]] virtual double flipped(Index unit) const = 0;
  virtual void flip(Index unit) = 0;
  virtual void set(std::span<const Word> state) = 0;
  /// Floating-point operations of one `flipped`, about.
  [[nodiscard]] virtual double cost() const = 0;
  /// A lower bound of log Z by a mean field that starts at the state, and ascends until it has settled or has
  /// spent these floating-point operations; nothing where the weights have no closed form for it.
  [[nodiscard]] virtual std::optional<double> mean_field_bound(double operations) const {
    (void)operations;
    return std::nullopt;
  }

 protected:
  void note_flip(Index unit) { flip_bit(state_, unit); }
  void note_state(std::span<const Word> state) { state_.assign(state.begin(), state.end()); }

 private:
  Index units_;
  PackedState state_;
};

}  // namespace tempera
