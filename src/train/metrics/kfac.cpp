#include "tempera/train/metrics/kfac.hpp"

#include "parts.hpp"

namespace tempera {

template <class Number>
void KfacMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  state.moments = no_moments(shape);
  state.bias_inverse.setZero(shape.biases(), shape.biases());
  state.layer_inverses.setZero(LayerMatrices<Number>::size(shape));
}

template <class Number>
void KfacMetric<Number>::invert(const LayerShape& shape, State& state) const {
  Eigen::MatrixXd covariance = covariance_of(state.moments);
  covariance.diagonal().array() += options.damping;
  state.bias_inverse = Cholesky<double>(of_biased(shape, covariance)).inverse().template cast<Number>();
  const Eigen::MatrixXd moments = moments_of_factors(shape, covariance, state.moments);
  const std::vector<Index> first = first_units(shape.sizes);
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Index n = shape.sizes[k];
    if (shape.has_weights(k))
      LayerMatrices<Number>::set(shape, k,
                                 Cholesky<double>(moments.block(first[k], first[k], n, n)).inverse(),
                                 state.layer_inverses);
  }
}

template <class Number>
void KfacMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  observe_moments(fisher, options.memory, state.moments);
  if (is_refresh_due(state.moments, options.refresh)) invert(fisher.shape(), state);
}

template <class Number>
LayerParams<Number> KfacMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& g, SolveReport&) const {
  const LayerMatrices<Number> inverses(fisher.shape(), state.layer_inverses);
  LayerParams<Number> d = g;
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    if (g.weights[k].size() == 0) continue;
    const typename LayerParams<Number>::Weights left = inverses[k] * g.weights[k];
    d.weights[k].noalias() = left * inverses[k + 1];
  }
  set_biases(Flat<Number>(state.bias_inverse * joined_biases(g)), d);
  return d;
}

template <class Number>
LayerParams<Number> KfacMetric<Number>::apply(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& x) const {
  using Square = typename LayerMatrices<Number>::Square;
  const LayerMatrices<Number> inverses(fisher.shape(), state.layer_inverses);
  LayerParams<Number> y = x;
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    if (x.weights[k].size() == 0) continue;
    const Square left = Cholesky<Number>(inverses[k]).solve(Square(x.weights[k]));
    y.weights[k] = Cholesky<Number>(inverses[k + 1]).solve(Square(left.transpose())).transpose();
  }
  set_biases(Cholesky<Number>(state.bias_inverse).solve(joined_biases(x)), y);
  return y;
}

template struct KfacMetric<float>;
template struct KfacMetric<double>;

}  // namespace tempera
