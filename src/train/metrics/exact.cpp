#include "tempera/train/metrics/exact.hpp"

#include "parts.hpp"

namespace tempera {
namespace {

/// Statistics of every draw (draws, parameters), in the order of flatten.
template <class Number>
Eigen::MatrixXd statistics_of(const Fisher<Number>& fisher) {
  const LayerShape& shape = fisher.shape();
  const auto& x = fisher.layers();
  Eigen::MatrixXd statistics(fisher.draws(), shape.parameters());
  for (Index m = 0; m < fisher.draws(); ++m) {
    Index at = 0;
    for (std::size_t k = 0; k + 1 < x.size(); ++k) {
      if (!shape.coupled[k]) continue;
      for (Index i = 0; i < x[k].rows(); ++i) {
        statistics.row(m).segment(at, x[k + 1].rows()) =
            (x[k](i, m) * x[k + 1].col(m)).transpose().template cast<double>();
        at += x[k + 1].rows();
      }
    }
    for (std::size_t k = 0; k < x.size(); ++k) {
      if (!shape.biased[k]) continue;
      statistics.row(m).segment(at, x[k].rows()) = x[k].col(m).transpose().template cast<double>();
      at += x[k].rows();
    }
  }
  return statistics;
}

}  // namespace

template <class Number>
LayerParams<Number> ExactMetric<Number>::solve(const Fisher<Number>& fisher, const State&,
                                               const LayerParams<Number>& g, SolveReport&) const {
  Eigen::MatrixXd statistics = statistics_of(fisher);
  statistics.rowwise() -= (fisher.weights().transpose() * statistics).eval();
  Eigen::MatrixXd matrix = statistics.transpose() * fisher.weights().asDiagonal() * statistics;
  matrix.diagonal().array() += options.damping;
  LayerParams<Number> d = g;
  const Eigen::VectorXd solution =
      Cholesky<double>(matrix).solve(Eigen::VectorXd(flatten(g).template cast<double>()));
  unflatten(Flat<Number>(solution.template cast<Number>()), d);
  return d;
}

template <class Number>
LayerParams<Number> ExactMetric<Number>::apply(const Fisher<Number>& fisher, const State&,
                                               const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

template struct ExactMetric<float>;
template struct ExactMetric<double>;

}  // namespace tempera
