#include "tempera/train/metrics/hybrid.hpp"

#include "parts.hpp"

namespace tempera {

template <class Number>
void HybridMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  KfacMetric<Number>{options.factors}.prepare(shape, state.kfac);
}

template <class Number>
void HybridMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  KfacMetric<Number>{options.factors}.observe(fisher, state.kfac);
}

template <class Number>
LayerParams<Number> HybridMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                                const LayerParams<Number>& g, SolveReport& report) const {
  using Layer = typename Fisher<Number>::Layer;
  const KfacMetric<Number> kfac{options.factors};
  const LayerShape& shape = fisher.shape();
  const LayerMatrices<Number> inverses(shape, state.kfac.layer_inverses);
  // Gram matrix of the draws in the coordinates that kfac whitens.
  std::vector<Eigen::MatrixXd> products(shape.layers());
  Layer all(shape.biases(), fisher.draws());
  Index first = 0;
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Layer& x = fisher.layers()[k];
    if (shape.biased[k]) all.middleRows(first, x.rows()) = x;
    first += shape.biases(k);
    if (shape.has_weights(k)) products[k] = (x.transpose() * (inverses[k] * x)).template cast<double>();
  }
  Eigen::MatrixXd gram = (all.transpose() * (state.kfac.bias_inverse * all)).template cast<double>();
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) > 0) gram += products[k].cwiseProduct(products[k + 1]);
  }
  gram = centred_gram(std::move(gram), fisher.weights());
  gram.diagonal().array() += options.mixing / (1.0 - options.mixing);
  const Eigen::VectorXd root = fisher.weights().cwiseSqrt();
  LayerParams<Number> d = kfac.solve(fisher, state.kfac, g, report);
  const Eigen::VectorXd y =
      Cholesky<double>(gram).solve(Eigen::VectorXd(root.cwiseProduct(fisher.scores(d))));
  add_scaled(d, -1.0, kfac.solve(fisher, state.kfac, fisher.combine(root.cwiseProduct(y)), report));
  scale(d, 1.0 / options.mixing);
  return d;
}

template <class Number>
LayerParams<Number> HybridMetric<Number>::apply(const Fisher<Number>& fisher, const State& state,
                                                const LayerParams<Number>& x) const {
  LayerParams<Number> y = KfacMetric<Number>{options.factors}.apply(fisher, state.kfac, x);
  scale(y, options.mixing);
  add_scaled(y, 1.0 - options.mixing, fisher.product(x));
  return y;
}

template struct HybridMetric<float>;
template struct HybridMetric<double>;

}  // namespace tempera
