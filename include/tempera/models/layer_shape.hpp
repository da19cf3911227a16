// Parameters and statistics as layers of units and products of neighbouring layers: the coordinates that
// centring and metrics calculate in, whatever the machine.
#pragma once

#include <utility>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// A weight matrix with the biases of the units on its two sides, in parameters, gradients or moments.
template <class Weights, class Bias>
struct Coupling {
  Weights& weights;
  Bias& row_bias;
  Bias& column_bias;
};
template <class Weights, class Bias>
Coupling(Weights&, Bias&, Bias&) -> Coupling<Weights, Bias>;

/// Parameters, gradients or directions of a machine whose statistics are layers x_0, x_1, ... and products of
/// neighbouring ones: what metrics (train/metrics) calculate with, whatever the model.
template <class Number>
struct LayerParams {
  using Weights = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Bias = Eigen::Matrix<Number, Eigen::Dynamic, 1>;
  std::vector<Weights> weights;  // [k]: layer k x layer k + 1; empty where these are not coupled
  std::vector<Bias> bias;        // of every layer; empty where it has none
};

/// Which statistics there are: a bias for every unit of a layer, a weight for every pair of neighbouring
/// layers. Layers may be empty.
struct LayerShape {
  std::vector<Index> sizes;
  std::vector<bool> biased;   // of every layer
  std::vector<bool> coupled;  // [k]: layers k and k + 1
  bool centred = true;        // whether units stand about their means where they are multiplied

  LayerShape() = default;
  /// A chain: every layer has biases and is coupled with the next.
  LayerShape(std::vector<Index> units)  // NOLINT(google-explicit-constructor)
      : sizes(std::move(units)),
        biased(sizes.size(), true),
        coupled(sizes.empty() ? 0 : sizes.size() - 1, true) {}

  [[nodiscard]] std::size_t layers() const { return sizes.size(); }
  [[nodiscard]] Index biases(std::size_t k) const { return biased[k] ? sizes[k] : 0; }
  [[nodiscard]] Index weights(std::size_t k) const { return coupled[k] ? sizes[k] * sizes[k + 1] : 0; }
  [[nodiscard]] Index units() const {
    return sum(layers(), [this](std::size_t k) { return sizes[k]; });
  }
  [[nodiscard]] Index biases() const {
    return sum(layers(), [this](std::size_t k) { return biases(k); });
  }
  [[nodiscard]] Index weights() const {
    return sum(coupled.size(), [this](std::size_t k) { return weights(k); });
  }
  [[nodiscard]] Index parameters() const { return weights() + biases(); }
  /// Whether the layer is coupled with any other.
  [[nodiscard]] bool has_weights(std::size_t k) const {
    return (k > 0 && weights(k - 1) > 0) || (k < coupled.size() && weights(k) > 0);
  }

 private:
  template <class F>
  static Index sum(std::size_t n, F&& f) {
    Index total = 0;
    for (std::size_t k = 0; k < n; ++k) total += f(k);
    return total;
  }
};

}  // namespace tempera
