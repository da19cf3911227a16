#include "tempera/train/metrics/fang.hpp"

#include "parts.hpp"

namespace tempera {
namespace {

/// The regression of the product x y on x and y, for x = 0/1 - mu and y = 0/1 - nu.
struct ProductRegression {
  double on_x = 0.0;
  double on_y = 0.0;
  double residual_variance = 0.0;
};

/// What it is made of: offsets and means of x and y, their variances and covariance.
struct UnitPair {
  double mu, nu;
  double mean_x, mean_y;
  double variance_x, variance_y;
  double covariance;
};

/// `smoothing` is added to the variances (docs/mathematics/metrics.md 4.9).
ProductRegression regress_product(const UnitPair& m, double smoothing) {
  // x^2 = (1 - 2 mu) x + mu (1 - mu).
  const double square_x = m.mu * (1.0 - m.mu);
  const double square_y = m.nu * (1.0 - m.nu);
  const double e = m.covariance + m.mean_x * m.mean_y;
  // Cov(x, xy), Cov(y, xy), Var(xy).
  const double with_x = (1 - 2 * m.mu) * e + square_x * m.mean_y - m.mean_x * e;
  const double with_y = (1 - 2 * m.nu) * e + square_y * m.mean_x - m.mean_y * e;
  const double variance = (1 - 2 * m.mu) * (1 - 2 * m.nu) * e + (1 - 2 * m.mu) * square_y * m.mean_x +
                          square_x * (1 - 2 * m.nu) * m.mean_y + square_x * square_y - e * e;
  const double xx = m.variance_x + smoothing;
  const double yy = m.variance_y + smoothing;
  const double xy = m.covariance;
  const double determinant = xx * yy - xy * xy;
  ProductRegression r;
  r.on_x = (yy * with_x - xy * with_y) / determinant;
  r.on_y = (xx * with_y - xy * with_x) / determinant;
  r.residual_variance = std::max(0.0, variance - r.on_x * with_x - r.on_y * with_y) + smoothing;
  return r;
}

}  // namespace

template <class Number>
void FangMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  state.moments = no_moments(shape);
  state.precision.setZero(shape.units(), shape.units());
  for (Flat<Number>* of_weights : {&state.row_slopes, &state.column_slopes, &state.residual_variances})
    of_weights->setZero(shape.weights());
}

template <class Number>
void FangMetric<Number>::regress(const LayerShape& shape, State& state) const {
  Eigen::MatrixXd covariance = covariance_of(state.moments);
  const Eigen::VectorXd mean = state.moments.mean / state.moments.weight;
  const std::vector<Index> first = first_units(shape.sizes);
  Index at = 0;
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    for (Index i = 0; i < shape.sizes[k]; ++i) {
      const Index a = first[k] + i;
      const double mu = (*offsets[k])[i];
      for (Index j = 0; j < shape.sizes[k + 1]; ++j, ++at) {
        const Index b = first[k + 1] + j;
        const double nu = (*offsets[k + 1])[j];
        const ProductRegression r =
            regress_product({mu, nu, mean[a], mean[b], covariance(a, a), covariance(b, b), covariance(a, b)},
                            options.damping);
        state.row_slopes[at] = static_cast<Number>(r.on_x);
        state.column_slopes[at] = static_cast<Number>(r.on_y);
        state.residual_variances[at] = static_cast<Number>(r.residual_variance);
      }
    }
  }
  covariance.diagonal().array() += options.damping;
  state.precision = Cholesky<double>(covariance).inverse().template cast<Number>();
}

template <class Number>
void FangMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  observe_moments(fisher, options.memory, state.moments);
  if (is_refresh_due(state.moments, options.refresh)) regress(fisher.shape(), state);
}

template <class Number>
LayerParams<Number> FangMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& g, SolveReport&) const {
  const LayerShape& shape = fisher.shape();
  LayerParams<Number> d = g;
  set_biases(Flat<Number>(state.precision * joined_biases(g)), d);
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    const auto on_row = weights_part(state.row_slopes, shape, k);
    const auto on_column = weights_part(state.column_slopes, shape, k);
    auto& w = d.weights[k];
    w -= (on_row.array().colwise() * g.bias[k].array()).matrix();
    w -= (on_column.array().rowwise() * g.bias[k + 1].transpose().array()).matrix();
    w.array() /= weights_part(state.residual_variances, shape, k).array();
    d.bias[k] -= on_row.cwiseProduct(w).rowwise().sum();
    d.bias[k + 1] -= on_column.cwiseProduct(w).colwise().sum().transpose();
  }
  return d;
}

template <class Number>
LayerParams<Number> FangMetric<Number>::apply(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& x) const {
  const LayerShape& shape = fisher.shape();
  LayerParams<Number> y = x;
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    y.bias[k] += weights_part(state.row_slopes, shape, k).cwiseProduct(x.weights[k]).rowwise().sum();
    y.bias[k + 1] +=
        weights_part(state.column_slopes, shape, k).cwiseProduct(x.weights[k]).colwise().sum().transpose();
  }
  set_biases(Cholesky<Number>(state.precision).solve(joined_biases(y)), y);
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    auto& w = y.weights[k];
    w.array() *= weights_part(state.residual_variances, shape, k).array();
    w += (weights_part(state.row_slopes, shape, k).array().colwise() * y.bias[k].array()).matrix();
    w += (weights_part(state.column_slopes, shape, k).array().rowwise() * y.bias[k + 1].transpose().array())
             .matrix();
  }
  return y;
}

template struct FangMetric<float>;
template struct FangMetric<double>;

}  // namespace tempera
