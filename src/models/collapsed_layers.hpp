// Binary units with another side that is summed out: binary units,
//
//   log weight(x) = b'x + sum_j softplus(a_j + (W'x)_j),
//
// or sites of several letters, with the logarithm of the sum over a site's letters in the place of softplus.
#pragma once

#include "tempera/core/letters.hpp"
#include "tempera/models/collapsed_machine.hpp"

namespace tempera {

class CollapsedLayers final : public CollapsedMachine {
 public:
  using Weights = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  /// weights: units x summed units. `letters`: of the summed sites; none where they are binary units.
  CollapsedLayers(Weights weights, Eigen::VectorXd bias, Eigen::VectorXd summed_bias, Letters letters = {});

  [[nodiscard]] double log_weight() const override;
  [[nodiscard]] double flipped(Index unit) const override;
  void flip(Index unit) override;
  void set(std::span<const Word> state) override;
  [[nodiscard]] double cost() const override;
  /// E_q of the weights, the other side still summed out, and the entropy of q (Jensen: softplus and the
  /// logarithm of a sum of exponentials are convex).
  [[nodiscard]] std::optional<double> mean_field_bound(double operations) const override;

 private:
  /// Logarithm of the summed weights of the other side with these inputs, and what is expected of it.
  [[nodiscard]] double summed(const Eigen::ArrayXd& input) const;
  [[nodiscard]] Eigen::VectorXd summed_means(const Eigen::VectorXd& input) const;
  [[nodiscard]] double sign(Index unit) const { return is_on(state(), unit) ? -1.0 : 1.0; }

  Weights weights_;
  Eigen::VectorXd bias_;
  Eigen::VectorXd summed_bias_;
  Letters letters_;
  Eigen::ArrayXd input_;  // of the summed units
  double energy_ = 0.0;   // b'x
};

/// Log of the summed weights of the states of one chunk of an enumeration (units/bernoulli_units.hpp), in
/// Gray code order. Leaves the machine in the last of them.
double log_sum_of_chunk(CollapsedLayers& machine, Index chunk);

}  // namespace tempera
