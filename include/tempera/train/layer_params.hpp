// Vectors of the parameter space of a layered machine, in plain and in centred coordinates.
//
// Centred statistics are (x_{k-1} - mu_{k-1})(x_k - mu_k)' and x_k for offsets mu. A gradient G has the
// centred components G_k - g_{k-1} mu_k' - mu_{k-1} g_k' (biases as they are); a direction d in centred
// coordinates is the plain one with b_{k-1} -= D_k mu_k, b_k -= D_k' mu_{k-1}
// (docs/mathematics/metrics.md 4.2, the maps T and T').
#pragma once

#include "tempera/models/energy_model.hpp"

namespace tempera {

/// Offsets of every layer.
using LayerOffsets = std::vector<const Vector*>;

template <class Number>
using Flat = Eigen::Matrix<Number, Eigen::Dynamic, 1>;

/// f(x's array, y's array...) as flat vectors for every weight matrix, then every bias.
template <class F, class First, class... Rest>
void for_each_flat(F&& f, First& first, Rest&... rest) {
  const auto flat = [](auto& a) {
    using Array = std::remove_reference_t<decltype(a)>;
    using Plain = Flat<typename Array::Scalar>;
    return Eigen::Map<std::conditional_t<std::is_const_v<Array>, const Plain, Plain>>(a.data(), a.size());
  };
  for (std::size_t k = 0; k < first.weights.size(); ++k) f(flat(first.weights[k]), flat(rest.weights[k])...);
  for (std::size_t k = 0; k < first.bias.size(); ++k) f(flat(first.bias[k]), flat(rest.bias[k])...);
}

/// The same shapes, all zero.
template <class Number>
LayerParams<Number> zeros_like(const LayerParams<Number>& x) {
  LayerParams<Number> zero = x;
  for_each_flat([](auto a) { a.setZero(); }, zero);
  return zero;
}

template <class Number>
Index size_of(const LayerParams<Number>& x) {
  Index size = 0;
  for_each_flat([&size](const auto& a) { size += a.size(); }, x);
  return size;
}

/// Units of every layer of a chain.
template <class Number>
std::vector<Index> layer_sizes(const LayerParams<Number>& x) {
  std::vector<Index> sizes;
  for (const auto& b : x.bias) sizes.push_back(b.size());
  return sizes;
}

/// All zero.
template <class Number>
LayerParams<Number> zero_layers(const LayerShape& shape) {
  using Params = LayerParams<Number>;
  Params x;
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k)
    x.weights.push_back(shape.coupled[k] ? Params::Weights::Zero(shape.sizes[k], shape.sizes[k + 1]).eval()
                                         : typename Params::Weights());
  for (std::size_t k = 0; k < shape.layers(); ++k) x.bias.push_back(Params::Bias::Zero(shape.biases(k)));
  return x;
}

/// x'y, in double.
template <class Number>
double dot(const LayerParams<Number>& x, const LayerParams<Number>& y) {
  double sum = 0.0;
  for_each_flat(
      [&sum](const auto& a, const auto& b) {
        // Float sums of some thousand products, in double beyond.
        constexpr Index kPart = 4096;
        for (Index first = 0; first < a.size(); first += kPart) {
          const Index n = std::min(kPart, a.size() - first);
          sum += static_cast<double>(a.segment(first, n).dot(b.segment(first, n)));
        }
      },
      x, y);
  return sum;
}

/// y += factor x.
template <class Number>
void add_scaled(LayerParams<Number>& y, double factor, const LayerParams<Number>& x) {
  for_each_flat([factor](auto a, const auto& b) { a += static_cast<Number>(factor) * b; }, y, x);
}

template <class Number>
void scale(LayerParams<Number>& x, double factor) {
  for_each_flat([factor](auto a) { a *= static_cast<Number>(factor); }, x);
}

/// One after another: weights, then biases.
template <class Number>
Flat<Number> flatten(const LayerParams<Number>& x) {
  Flat<Number> all(size_of(x));
  Index first = 0;
  for_each_flat(
      [&](const auto& a) {
        all.segment(first, a.size()) = a;
        first += a.size();
      },
      x);
  return all;
}

/// The inverse of flatten, into arrays of the right shapes.
template <class Vector, class Number>
void unflatten(const Vector& all, LayerParams<Number>& x) {
  Index first = 0;
  for_each_flat(
      [&](auto a) {
        a = all.segment(first, a.size());
        first += a.size();
      },
      x);
}

template <class To, class From>
LayerParams<To> cast(const LayerParams<From>& x) {
  LayerParams<To> y;
  for (const auto& w : x.weights) y.weights.push_back(w.template cast<To>());
  for (const auto& b : x.bias) y.bias.push_back(b.template cast<To>());
  return y;
}

/// Gradient or sums of statistics, plain to centred.
template <class Number>
void centre_gradient(const LayerOffsets& offsets, LayerParams<Number>& g) {
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    const Flat<Number> mu = offsets[k]->template cast<Number>();
    const Flat<Number> nu = offsets[k + 1]->template cast<Number>();
    g.weights[k].noalias() -= g.bias[k] * nu.transpose();
    g.weights[k].noalias() -= mu * g.bias[k + 1].transpose();
  }
}

/// Direction or parameters, centred to plain.
template <class Number>
void uncentred_direction(const LayerOffsets& offsets, LayerParams<Number>& d) {
  for (std::size_t k = 0; k < d.weights.size(); ++k) {
    d.bias[k].noalias() -= d.weights[k] * offsets[k + 1]->template cast<Number>();
    d.bias[k + 1].noalias() -= d.weights[k].transpose() * offsets[k]->template cast<Number>();
  }
}

}  // namespace tempera
