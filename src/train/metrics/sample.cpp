#include "tempera/train/metrics/sample.hpp"

#include "parts.hpp"

namespace tempera {

template <class Number>
LayerParams<Number> SampleMetric<Number>::solve(const Fisher<Number>& fisher, const State&,
                                                const LayerParams<Number>& g, SolveReport&) const {
  // With A = sqrt(w) (s - mean s), F = A'A: (F + l I)^-1 g = (g - A'(A A' + l I)^-1 A g) / l.
  Eigen::MatrixXd gram = fisher.gram();
  const double mean_diagonal = gram.trace() / static_cast<double>(gram.rows());
  gram.diagonal().array() += options.damping;
  const Cholesky<double> factor(gram);
  const Eigen::VectorXd root = fisher.weights().cwiseSqrt();
  const auto solve_once = [&](const LayerParams<Number>& r) {
    const Eigen::VectorXd y = factor.solve(Eigen::VectorXd(root.cwiseProduct(fisher.scores(r))));
    LayerParams<Number> d = r;
    add_scaled(d, -1.0, fisher.combine(root.cwiseProduct(y)));
    scale(d, 1.0 / options.damping);
    return d;
  };
  LayerParams<Number> d = solve_once(g);
  constexpr double kRefined = 1e-6;
  if (options.damping < kRefined * mean_diagonal) {
    LayerParams<Number> r = damped_product(fisher, options.damping, d);
    scale(r, -1.0);
    add_scaled(r, 1.0, g);
    add_scaled(d, 1.0, solve_once(r));
  }
  return d;
}

template <class Number>
LayerParams<Number> SampleMetric<Number>::apply(const Fisher<Number>& fisher, const State&,
                                                const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

template struct SampleMetric<float>;
template struct SampleMetric<double>;

}  // namespace tempera
