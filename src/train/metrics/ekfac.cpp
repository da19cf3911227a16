#include "tempera/train/metrics/ekfac.hpp"

#include "parts.hpp"

namespace tempera {

template <class Number>
void EkfacMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  state.moments = no_moments(shape);
  state.bias_inverse.setZero(shape.biases(), shape.biases());
  state.bases.setZero(LayerMatrices<Number>::size(shape));
  state.variances.setZero(shape.weights());
}

template <class Number>
void EkfacMetric<Number>::rotate(const LayerShape& shape, State& state) const {
  Eigen::MatrixXd covariance = covariance_of(state.moments);
  const std::vector<Index> first = first_units(shape.sizes);
  const Eigen::MatrixXd moments = moments_of_factors(shape, covariance, state.moments);
  std::vector<Flat<Number>> eigenvalues(shape.layers());
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    if (!shape.has_weights(k)) continue;
    const SymmetricEigen<double> eigen =
        symmetric_eigen<double>(moments.block(first[k], first[k], shape.sizes[k], shape.sizes[k]));
    LayerMatrices<Number>::set(shape, k, eigen.vectors, state.bases);
    eigenvalues[k] = eigen.values.cwiseMax(0.0).template cast<Number>();
  }
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) > 0)
      weights_part(state.variances, shape, k) = eigenvalues[k] * eigenvalues[k + 1].transpose();
  }
  covariance.diagonal().array() += options.damping;
  state.bias_inverse = Cholesky<double>(of_biased(shape, covariance)).inverse().template cast<Number>();
}

template <class Number>
void EkfacMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  using Layer = typename Fisher<Number>::Layer;
  observe_moments(fisher, options.memory, state.moments);
  const LayerShape& shape = fisher.shape();
  if (is_refresh_due(state.moments, options.refresh)) rotate(shape, state);
  const LayerMatrices<Number> bases(shape, state.bases);
  std::vector<Layer> rotated(shape.layers());
  std::vector<Layer> variances(shape.layers());
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    if (!shape.has_weights(k)) continue;
    rotated[k] = bases[k].transpose() * fisher.layers()[k];
    const Layer& v = fisher.variances()[k];
    if (v.size() > 0) variances[k] = bases[k].cwiseAbs2().transpose() * v;
  }
  const auto w = static_cast<Number>(new_weight(options.memory));
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) == 0) continue;
    const ProductMoments<Number> moments(rotated[k], variances[k], rotated[k + 1], variances[k + 1],
                                         fisher.weights());
    auto mean = weights_part(state.variances, shape, k);
    mean += w * (moments.second - moments.first.cwiseAbs2() - mean);
  }
}

namespace {

/// U_k f(U_k' x U_{k+1}) U_{k+1}' for the weights of a coupling; f changes its argument in place.
template <class Number, class F>
typename LayerParams<Number>::Weights in_basis(const LayerMatrices<Number>& bases, std::size_t k,
                                               const typename LayerParams<Number>::Weights& x, F&& f) {
  typename LayerParams<Number>::Weights rotated = bases[k].transpose() * x * bases[k + 1];
  f(rotated);
  return bases[k] * rotated * bases[k + 1].transpose();
}

}  // namespace

template <class Number>
LayerParams<Number> EkfacMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                               const LayerParams<Number>& g, SolveReport&) const {
  const LayerShape& shape = fisher.shape();
  const LayerMatrices<Number> bases(shape, state.bases);
  LayerParams<Number> d = g;
  // The damping of kfac's factors c is (c_k + lambda)(c_{k+1} + lambda): here lambda^2 alone is certain.
  const auto damping = static_cast<Number>(options.damping * options.damping);
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    if (g.weights[k].size() == 0) continue;
    d.weights[k] = in_basis<Number>(bases, k, g.weights[k], [&](auto& rotated) {
      rotated.array() /= weights_part(state.variances, shape, k).array() + damping;
    });
  }
  set_biases(Flat<Number>(state.bias_inverse * joined_biases(g)), d);
  return d;
}

template <class Number>
LayerParams<Number> EkfacMetric<Number>::apply(const Fisher<Number>& fisher, const State& state,
                                               const LayerParams<Number>& x) const {
  const LayerShape& shape = fisher.shape();
  const LayerMatrices<Number> bases(shape, state.bases);
  LayerParams<Number> y = x;
  const auto damping = static_cast<Number>(options.damping * options.damping);
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    if (x.weights[k].size() == 0) continue;
    y.weights[k] = in_basis<Number>(bases, k, x.weights[k], [&](auto& rotated) {
      rotated.array() *= weights_part(state.variances, shape, k).array() + damping;
    });
  }
  set_biases(Cholesky<Number>(state.bias_inverse).solve(joined_biases(x)), y);
  return y;
}

template struct EkfacMetric<float>;
template struct EkfacMetric<double>;

}  // namespace tempera
