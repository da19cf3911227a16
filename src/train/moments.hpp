// Moments of all units of a machine, layer after layer, that factored metrics are made of.
#pragma once

#include <Eigen/Cholesky>

#include "tempera/train/metric.hpp"

namespace tempera {

/// First unit of every layer, and at the end their number.
inline std::vector<Index> first_units(const std::vector<Index>& sizes) {
  std::vector<Index> first = {0};
  for (const Index n : sizes) first.push_back(first.back() + n);
  return first;
}

template <class Number>
std::vector<Index> sizes_of(const Fisher<Number>& fisher) {
  std::vector<Index> sizes;
  for (const auto& layer : fisher.layers()) sizes.push_back(layer.rows());
  return sizes;
}

/// Weight of a new observation in running means that look back `memory` updates.
inline double new_weight(double memory) { return 1.0 / std::max(1.0, memory); }

template <class Number>
void prepare_moments(const std::vector<Index>& sizes, MetricState<Number>& state) {
  const Index n = first_units(sizes).back();
  state.mean = Eigen::VectorXd::Zero(n);
  state.second = Eigen::MatrixXd::Zero(n, n);
}

/// Moves the running first and second moments of all units.
template <class Number>
void observe_moments(const Fisher<Number>& fisher, double memory, MetricState<Number>& state) {
  using Layer = typename Fisher<Number>::Layer;
  const std::vector<Index> first = first_units(sizes_of(fisher));
  const Index n = first.back();
  Layer scaled(n, fisher.draws());  // every draw times the square root of its weight
  const Flat<Number> root = fisher.weights().cwiseSqrt().template cast<Number>();
  Eigen::VectorXd mean(n);
  Eigen::VectorXd variance = Eigen::VectorXd::Zero(n);
  for (std::size_t k = 0; k < fisher.layers().size(); ++k) {
    const Layer& x = fisher.layers()[k];
    scaled.middleRows(first[k], x.rows()) = x * root.asDiagonal();
    mean.segment(first[k], x.rows()) = (x * fisher.weights().template cast<Number>()).template cast<double>();
    if (const Layer& v = fisher.variances()[k]; v.size() > 0)
      variance.segment(first[k], v.rows()) =
          (v * fisher.weights().template cast<Number>()).template cast<double>();
  }
  Layer second = Layer::Zero(n, n);
  second.template selfadjointView<Eigen::Lower>().rankUpdate(scaled);
  const double w = new_weight(memory);
  state.mean += w * (mean - state.mean);
  state.second *= 1.0 - w;
  state.second.template triangularView<Eigen::Lower>() += w * second.template cast<double>();
  state.second.diagonal() += w * variance;
  state.weight += w * (1.0 - state.weight);
  ++state.observed;
}

/// Covariance of all units, of what has been seen.
template <class Number>
Eigen::MatrixXd covariance_of(const MetricState<Number>& state) {
  const Eigen::VectorXd mean = state.mean / state.weight;
  Eigen::MatrixXd covariance = state.second.template selfadjointView<Eigen::Lower>();
  covariance /= state.weight;
  covariance.noalias() -= mean * mean.transpose();
  return covariance;
}

inline Eigen::MatrixXd inverse_of(const Eigen::MatrixXd& a) {
  return Eigen::LLT<Eigen::MatrixXd>(a).solve(Eigen::MatrixXd::Identity(a.rows(), a.cols()));
}

/// Square matrices one after another in a flat vector: that of all units, then that of every layer.
template <class Number>
class Factors {
 public:
  using Square = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>;
  Factors(const std::vector<Index>& sizes, const Flat<Number>& flat) : sizes_(sizes), flat_(flat) {}

  static Index size(const std::vector<Index>& sizes) {
    const Index n = first_units(sizes).back();
    Index total = n * n;
    for (const Index k : sizes) total += k * k;
    return total;
  }
  [[nodiscard]] Eigen::Map<const Square> all() const {
    const Index n = first_units(sizes_).back();
    return {flat_.data(), n, n};
  }
  [[nodiscard]] Eigen::Map<const Square> layer(std::size_t k) const {
    Index begin = all().size();
    for (std::size_t l = 0; l < k; ++l) begin += sizes_[l] * sizes_[l];
    return {flat_.data() + begin, sizes_[k], sizes_[k]};
  }
  static void set_all(const std::vector<Index>& sizes, const Eigen::MatrixXd& value, Flat<Number>& flat) {
    const Factors factors(sizes, flat);
    Eigen::Map<Square>(const_cast<Number*>(factors.all().data()), value.rows(), value.cols()) =
        value.template cast<Number>();
  }
  static void set_layer(const std::vector<Index>& sizes, std::size_t k, const Eigen::MatrixXd& value,
                        Flat<Number>& flat) {
    const Factors factors(sizes, flat);
    Eigen::Map<Square>(const_cast<Number*>(factors.layer(k).data()), value.rows(), value.cols()) =
        value.template cast<Number>();
  }

 private:
  const std::vector<Index>& sizes_;
  const Flat<Number>& flat_;
};

/// All biases, layer after layer; and back.
template <class Number>
Flat<Number> joined_biases(const LayerParams<Number>& x) {
  Flat<Number> all(first_units(layer_sizes(x)).back());
  Index first = 0;
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

/// Number of all weights.
inline Index weights_of(const std::vector<Index>& sizes) {
  Index total = 0;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) total += sizes[k] * sizes[k + 1];
  return total;
}

/// The part of a flat vector over all weights that belongs to weights[k].
template <class V>
auto weights_part(V& flat, const std::vector<Index>& sizes, std::size_t k) {
  using Number = typename std::remove_const_t<V>::Scalar;
  using Weights = typename LayerParams<Number>::Weights;
  Index first = 0;
  for (std::size_t l = 0; l < k; ++l) first += sizes[l] * sizes[l + 1];
  return Eigen::Map<std::conditional_t<std::is_const_v<V>, const Weights, Weights>>(flat.data() + first,
                                                                                    sizes[k], sizes[k + 1]);
}

}  // namespace tempera
