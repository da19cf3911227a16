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

/// Weight of a new observation in running means that look back `memory` updates.
inline double new_weight(double memory) { return 1.0 / std::max(1.0, memory); }

template <class Number>
void prepare_moments(const LayerShape& shape, MetricState<Number>& state) {
  const Index n = shape.units();
  state.mean = Eigen::VectorXd::Zero(n);
  state.second = Eigen::MatrixXd::Zero(n, n);
}

/// Moves the running first and second moments of all units.
template <class Number>
void observe_moments(const Fisher<Number>& fisher, double memory, MetricState<Number>& state) {
  using Layer = typename Fisher<Number>::Layer;
  const std::vector<Index> first = first_units(fisher.shape().sizes);
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

/// What factors of couplings are made of: the covariance, or second moments where units that are multiplied
/// have means.
template <class Number>
Eigen::MatrixXd moments_of_factors(const LayerShape& shape, const Eigen::MatrixXd& covariance,
                                   const MetricState<Number>& state) {
  if (shape.centred) return covariance;
  const Eigen::VectorXd mean = state.mean / state.weight;
  return covariance + mean * mean.transpose();
}

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

inline Eigen::MatrixXd inverse_of(const Eigen::MatrixXd& a) {
  return Eigen::LLT<Eigen::MatrixXd>(a).solve(Eigen::MatrixXd::Identity(a.rows(), a.cols()));
}

/// Square matrices one after another in a flat vector: that of all units with biases, then that of every
/// layer that is coupled with another.
template <class Number>
class Factors {
 public:
  using Square = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>;
  /// Both must outlive it.
  Factors(const LayerShape& shape, const Flat<Number>& flat) : shape_(shape), flat_(flat) {}
  Factors(LayerShape&&, const Flat<Number>&) = delete;

  static Index size(const LayerShape& shape) {
    Index total = shape.biases() * shape.biases();
    for (std::size_t k = 0; k < shape.layers(); ++k) total += units(shape, k) * units(shape, k);
    return total;
  }
  [[nodiscard]] Eigen::Map<const Square> all() const {
    return {flat_.data(), shape_.biases(), shape_.biases()};
  }
  [[nodiscard]] Eigen::Map<const Square> layer(std::size_t k) const {
    Index begin = all().size();
    for (std::size_t l = 0; l < k; ++l) begin += units(shape_, l) * units(shape_, l);
    return {flat_.data() + begin, units(shape_, k), units(shape_, k)};
  }
  static void set_all(const LayerShape& shape, const Eigen::MatrixXd& value, Flat<Number>& flat) {
    const Factors factors(shape, flat);
    Eigen::Map<Square>(const_cast<Number*>(factors.all().data()), value.rows(), value.cols()) =
        value.template cast<Number>();
  }
  static void set_layer(const LayerShape& shape, std::size_t k, const Eigen::MatrixXd& value,
                        Flat<Number>& flat) {
    const Factors factors(shape, flat);
    Eigen::Map<Square>(const_cast<Number*>(factors.layer(k).data()), value.rows(), value.cols()) =
        value.template cast<Number>();
  }

 private:
  static Index units(const LayerShape& shape, std::size_t k) {
    return shape.has_weights(k) ? shape.sizes[k] : 0;
  }

  const LayerShape& shape_;
  const Flat<Number>& flat_;
};

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

}  // namespace tempera
