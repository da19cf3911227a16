// Pieces that several metrics are written with.
#pragma once

#include "tempera/core/decompositions.hpp"
#include "tempera/train/metrics/moments.hpp"

namespace tempera {

/// The part of a flat vector over all weights that belongs to weights[k].
template <class V>
auto weights_part(V& flat, const LayerShape& shape, std::size_t k) {
  using Number = typename std::remove_const_t<V>::Scalar;
  using Weights = typename LayerParams<Number>::Weights;
  Index first = 0;
  for (std::size_t l = 0; l < k; ++l) first += shape.weights(l);
  const bool any = shape.weights(k) > 0;
  return Eigen::Map<std::conditional_t<std::is_const_v<V>, const Weights, Weights>>(
      flat.data() + first, any ? shape.sizes[k] : 0, any ? shape.sizes[k + 1] : 0);
}

/// All biases, layer after layer; and back.
template <class Number>
Flat<Number> joined_biases(const LayerParams<Number>& x) {
  Index first = 0;
  for (const auto& b : x.bias) first += b.size();
  Flat<Number> all(first);
  first = 0;
  for (const auto& b : x.bias) {
    all.segment(first, b.size()) = b;
    first += b.size();
  }
  return all;
}

template <class Number>
void set_biases(const Flat<Number>& all, LayerParams<Number>& x) {
  Index first = 0;
  for (auto& b : x.bias) {
    b = all.segment(first, b.size());
    first += b.size();
  }
}

/// F x + damping x.
template <class Number>
LayerParams<Number> damped_product(const Fisher<Number>& fisher, double damping,
                                   const LayerParams<Number>& x) {
  LayerParams<Number> y = fisher.product(x);
  add_scaled(y, damping, x);
  return y;
}

/// E[(a^2 + va)(b^2 + vb)] and E[a b] of the products of two layers' units, which are independent given a
/// draw.
template <class Number>
struct ProductMoments {
  using Layer = typename Fisher<Number>::Layer;
  typename LayerParams<Number>::Weights second;
  typename LayerParams<Number>::Weights first;

  ProductMoments(const Layer& a, const Layer& va, const Layer& b, const Layer& vb,
                 const Eigen::VectorXd& weights) {
    const Flat<Number> w = weights.template cast<Number>();
    const auto squares = [](const Layer& x, const Layer& v) -> Layer {
      return v.size() > 0 ? Layer(x.cwiseAbs2() + v) : Layer(x.cwiseAbs2());
    };
    second = squares(a, va) * w.asDiagonal() * squares(b, vb).transpose();
    first = a * w.asDiagonal() * b.transpose();
  }
};

/// Of a covariance of all units, the rows and columns of those that have biases.
inline Eigen::MatrixXd of_biased(const LayerShape& shape, const Eigen::MatrixXd& covariance) {
  std::vector<Index> kept;
  Index unit = 0;
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    for (Index i = 0; i < shape.sizes[k]; ++i, ++unit) {
      if (shape.biased[k]) kept.push_back(unit);
    }
  }
  return covariance(kept, kept);
}

/// A square matrix (units, units) for every layer that is coupled with another, one after another in a flat
/// vector: inverses of kfac, bases of ekfac.
template <class Number>
class LayerMatrices {
 public:
  using Square = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>;
  /// Both must outlive it.
  LayerMatrices(const LayerShape& shape, const Flat<Number>& flat) : shape_(shape), flat_(flat) {}
  LayerMatrices(LayerShape&&, const Flat<Number>&) = delete;

  /// Numbers of all of them.
  static Index size(const LayerShape& shape) { return first(shape, shape.layers()); }
  [[nodiscard]] Eigen::Map<const Square> operator[](std::size_t k) const {
    return {flat_.data() + first(shape_, k), units(shape_, k), units(shape_, k)};
  }
  static void set(const LayerShape& shape, std::size_t k, const Eigen::MatrixXd& value, Flat<Number>& flat) {
    Eigen::Map<Square>(flat.data() + first(shape, k), value.rows(), value.cols()) =
        value.template cast<Number>();
  }

 private:
  static Index units(const LayerShape& shape, std::size_t k) {
    return shape.has_weights(k) ? shape.sizes[k] : 0;
  }
  static Index first(const LayerShape& shape, std::size_t k) {
    Index begin = 0;
    for (std::size_t l = 0; l < k; ++l) begin += units(shape, l) * units(shape, l);
    return begin;
  }

  const LayerShape& shape_;
  const Flat<Number>& flat_;
};

}  // namespace tempera
