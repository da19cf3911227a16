// Metrics made of moments of units. Formulas: docs/mathematics/metrics.md 4.4, 4.7 to 4.9.
#include <Eigen/Eigenvalues>

#include "moments.hpp"

namespace tempera {
namespace {

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

}  // namespace

// --- diagonal ------------------------------------------------------------------------------------------

template <class Number>
void DiagonalMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  state.variances = Flat<Number>::Zero(shape.parameters());
  state.first_moments = Flat<Number>::Zero(shape.parameters());
}

template <class Number>
void DiagonalMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  const LayerShape& shape = fisher.shape();
  const auto w = static_cast<Number>(new_weight(options.memory));
  const auto& x = fisher.layers();
  const auto& v = fisher.variances();
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (!shape.coupled[k]) continue;
    const ProductMoments<Number> moments(x[k], v[k], x[k + 1], v[k + 1], fisher.weights());
    auto second = weights_part(state.variances, shape, k);
    auto first = weights_part(state.first_moments, shape, k);
    second += w * (moments.second - second);
    first += w * (moments.first - first);
  }
  Index at = shape.weights();
  const Flat<Number> weights = fisher.weights().template cast<Number>();
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Index n = shape.biases(k);
    if (n == 0) continue;
    Flat<Number> second = x[k].cwiseAbs2() * weights;
    if (v[k].size() > 0) second += v[k] * weights;
    state.variances.segment(at, n) += w * (second - state.variances.segment(at, n));
    state.first_moments.segment(at, n) += w * (x[k] * weights - state.first_moments.segment(at, n));
    at += n;
  }
  state.weight += static_cast<double>(w) * (1.0 - state.weight);
  ++state.observed;
}

namespace {

/// Variances of all statistics with the damping added.
template <class Number>
Flat<Number> damped_diagonal(const MetricOptions& options, const MetricState<Number>& state) {
  const auto scale = static_cast<Number>(1.0 / state.weight);
  return ((state.variances.array() * scale - (state.first_moments.array() * scale).square()).max(Number{0}) +
          static_cast<Number>(options.damping))
      .matrix();
}

}  // namespace

template <class Number>
LayerParams<Number> DiagonalMetric<Number>::solve(const Fisher<Number>&, const MetricState<Number>& state,
                                                  const LayerParams<Number>& g, SolveReport&) const {
  LayerParams<Number> d = g;
  unflatten(Flat<Number>(flatten(g).cwiseQuotient(damped_diagonal(options, state))), d);
  return d;
}

template <class Number>
LayerParams<Number> DiagonalMetric<Number>::apply(const Fisher<Number>&, const MetricState<Number>& state,
                                                  const LayerParams<Number>& x) const {
  LayerParams<Number> y = x;
  unflatten(Flat<Number>(flatten(x).cwiseProduct(damped_diagonal(options, state))), y);
  return y;
}

// --- kfac ----------------------------------------------------------------------------------------------

template <class Number>
void KfacMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  prepare_moments(shape, state);
  state.factors = Flat<Number>::Zero(Factors<Number>::size(shape));
}

template <class Number>
void KfacMetric<Number>::invert(const LayerShape& shape, MetricState<Number>& state) const {
  Eigen::MatrixXd covariance = covariance_of(state);
  covariance.diagonal().array() += options.damping;
  Factors<Number>::set_all(shape, inverse_of(of_biased(shape, covariance)), state.factors);
  const Eigen::MatrixXd moments = moments_of_factors(shape, covariance, state);
  const std::vector<Index> first = first_units(shape.sizes);
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Index n = shape.sizes[k];
    if (shape.has_weights(k))
      Factors<Number>::set_layer(shape, k, inverse_of(moments.block(first[k], first[k], n, n)),
                                 state.factors);
  }
}

template <class Number>
void KfacMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  observe_moments(fisher, options.memory, state);
  // Often at first, while little has been seen.
  if (state.observed % options.refresh == 0 || std::has_single_bit(state.observed))
    invert(fisher.shape(), state);
}

template <class Number>
LayerParams<Number> KfacMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                              const LayerParams<Number>& g, SolveReport&) const {
  const Factors<Number> inverses(fisher.shape(), state.factors);
  LayerParams<Number> d = g;
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    if (g.weights[k].size() == 0) continue;
    const typename LayerParams<Number>::Weights left = inverses.layer(k) * g.weights[k];
    d.weights[k].noalias() = left * inverses.layer(k + 1);
  }
  set_biases(Flat<Number>(inverses.all() * joined_biases(g)), d);
  return d;
}

template <class Number>
LayerParams<Number> KfacMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                              const LayerParams<Number>& x) const {
  using Square = typename Factors<Number>::Square;
  const Factors<Number> inverses(fisher.shape(), state.factors);
  LayerParams<Number> y = x;
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    if (x.weights[k].size() == 0) continue;
    const Square left = Eigen::LLT<Square>(inverses.layer(k)).solve(x.weights[k]);
    y.weights[k] = Eigen::LLT<Square>(inverses.layer(k + 1)).solve(left.transpose()).transpose();
  }
  set_biases(Flat<Number>(Eigen::LLT<Square>(inverses.all()).solve(joined_biases(x))), y);
  return y;
}

// --- ekfac ---------------------------------------------------------------------------------------------

template <class Number>
void EkfacMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  prepare_moments(shape, state);
  state.factors = Flat<Number>::Zero(Factors<Number>::size(shape));
  state.variances = Flat<Number>::Zero(shape.weights());
}

template <class Number>
void EkfacMetric<Number>::turn(const LayerShape& shape, MetricState<Number>& state) const {
  Eigen::MatrixXd covariance = covariance_of(state);
  const std::vector<Index> first = first_units(shape.sizes);
  const Eigen::MatrixXd moments = moments_of_factors(shape, covariance, state);
  std::vector<Flat<Number>> eigenvalues(shape.layers());
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    if (!shape.has_weights(k)) continue;
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
        moments.block(first[k], first[k], shape.sizes[k], shape.sizes[k]));
    Factors<Number>::set_layer(shape, k, solver.eigenvectors(), state.factors);
    eigenvalues[k] = solver.eigenvalues().cwiseMax(0.0).template cast<Number>();
  }
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) > 0)
      weights_part(state.variances, shape, k) = eigenvalues[k] * eigenvalues[k + 1].transpose();
  }
  covariance.diagonal().array() += options.damping;
  Factors<Number>::set_all(shape, inverse_of(of_biased(shape, covariance)), state.factors);
}

template <class Number>
void EkfacMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  using Layer = typename Fisher<Number>::Layer;
  observe_moments(fisher, options.memory, state);
  const LayerShape& shape = fisher.shape();
  if (state.observed % options.refresh == 0 || std::has_single_bit(state.observed)) turn(shape, state);
  const Factors<Number> bases(shape, state.factors);
  std::vector<Layer> turned(shape.layers());
  std::vector<Layer> variances(shape.layers());
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    if (!shape.has_weights(k)) continue;
    turned[k] = bases.layer(k).transpose() * fisher.layers()[k];
    const Layer& v = fisher.variances()[k];
    if (v.size() > 0) variances[k] = bases.layer(k).cwiseAbs2().transpose() * v;
  }
  const auto w = static_cast<Number>(new_weight(options.memory));
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) == 0) continue;
    const ProductMoments<Number> moments(turned[k], variances[k], turned[k + 1], variances[k + 1],
                                         fisher.weights());
    auto scalings = weights_part(state.variances, shape, k);
    scalings += w * (moments.second - moments.first.cwiseAbs2() - scalings);
  }
}

namespace {

/// U_k (U_k' x U_{k+1} f(variances)) U_{k+1}' for the weights of a coupling.
template <class Number, class F>
typename LayerParams<Number>::Weights in_basis(const Factors<Number>& bases, std::size_t k,
                                               const typename LayerParams<Number>::Weights& x, F&& f) {
  typename LayerParams<Number>::Weights turned = bases.layer(k).transpose() * x * bases.layer(k + 1);
  f(turned);
  return bases.layer(k) * turned * bases.layer(k + 1).transpose();
}

}  // namespace

template <class Number>
LayerParams<Number> EkfacMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                               const LayerParams<Number>& g, SolveReport&) const {
  const LayerShape& shape = fisher.shape();
  const Factors<Number> bases(shape, state.factors);
  LayerParams<Number> d = g;
  // The damping of kfac's factors c is (c_k + lambda)(c_{k+1} + lambda): here lambda^2 alone is certain.
  const auto damping = static_cast<Number>(options.damping * options.damping);
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    if (g.weights[k].size() == 0) continue;
    d.weights[k] = in_basis<Number>(bases, k, g.weights[k], [&](auto& turned) {
      turned.array() /= weights_part(state.variances, shape, k).array() + damping;
    });
  }
  set_biases(Flat<Number>(bases.all() * joined_biases(g)), d);
  return d;
}

template <class Number>
LayerParams<Number> EkfacMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                               const LayerParams<Number>& x) const {
  using Square = typename Factors<Number>::Square;
  const LayerShape& shape = fisher.shape();
  const Factors<Number> bases(shape, state.factors);
  LayerParams<Number> y = x;
  const auto damping = static_cast<Number>(options.damping * options.damping);
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    if (x.weights[k].size() == 0) continue;
    y.weights[k] = in_basis<Number>(bases, k, x.weights[k], [&](auto& turned) {
      turned.array() *= weights_part(state.variances, shape, k).array() + damping;
    });
  }
  set_biases(Flat<Number>(Eigen::LLT<Square>(bases.all()).solve(joined_biases(x))), y);
  return y;
}

// --- fang ----------------------------------------------------------------------------------------------

template <class Number>
void FangMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  prepare_moments(shape, state);
  const Index n = shape.units();
  state.factors = Flat<Number>::Zero(n * n);
  state.variances = Flat<Number>::Zero(shape.weights());
  state.first_moments = Flat<Number>::Zero(2 * shape.weights());
}

template <class Number>
void FangMetric<Number>::regress(const LayerShape& shape, MetricState<Number>& state) const {
  Eigen::MatrixXd covariance = covariance_of(state);
  const Eigen::VectorXd mean = state.mean / state.weight;
  const std::vector<Index> first = first_units(shape.sizes);
  const double smoothing = options.damping;
  auto row_slopes = state.first_moments.head(shape.weights());
  auto column_slopes = state.first_moments.tail(shape.weights());
  Index at = 0;
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    for (Index i = 0; i < shape.sizes[k]; ++i) {
      const Index a = first[k] + i;
      const double mu = (*offsets[k])[i];
      const double square_a = mu * (1.0 - mu);  // x^2 = (1 - 2 mu) x + mu (1 - mu) for x = 0/1 less mu
      for (Index j = 0; j < shape.sizes[k + 1]; ++j, ++at) {
        const Index b = first[k + 1] + j;
        const double nu = (*offsets[k + 1])[j];
        const double square_b = nu * (1.0 - nu);
        const double e = covariance(a, b) + mean[a] * mean[b];
        // Of x = v - mu, y = h - nu: E[x xy], E[y xy], E[(xy)^2].
        const double a_child = (1 - 2 * mu) * e + square_a * mean[b] - mean[a] * e;
        const double b_child = (1 - 2 * nu) * e + square_b * mean[a] - mean[b] * e;
        const double child = (1 - 2 * mu) * (1 - 2 * nu) * e + (1 - 2 * mu) * square_b * mean[a] +
                             square_a * (1 - 2 * nu) * mean[b] + square_a * square_b - e * e;
        const double aa = covariance(a, a) + smoothing;
        const double bb = covariance(b, b) + smoothing;
        const double ab = covariance(a, b);
        const double determinant = aa * bb - ab * ab;
        const double on_a = (bb * a_child - ab * b_child) / determinant;
        const double on_b = (aa * b_child - ab * a_child) / determinant;
        row_slopes[at] = static_cast<Number>(on_a);
        column_slopes[at] = static_cast<Number>(on_b);
        state.variances[at] =
            static_cast<Number>(std::max(0.0, child - on_a * a_child - on_b * b_child) + smoothing);
      }
    }
  }
  covariance.diagonal().array() += smoothing;
  const Eigen::MatrixXd precision = inverse_of(covariance);
  Eigen::Map<Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>>(
      state.factors.data(), precision.rows(), precision.cols()) = precision.template cast<Number>();
}

template <class Number>
void FangMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  observe_moments(fisher, options.memory, state);
  if (state.observed % options.refresh == 0 || std::has_single_bit(state.observed))
    regress(fisher.shape(), state);
}

namespace {

template <class Number>
Eigen::Map<const Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>> precision_of(
    const MetricState<Number>& state) {
  return {state.factors.data(), state.mean.size(), state.mean.size()};
}

}  // namespace

template <class Number>
LayerParams<Number> FangMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                              const LayerParams<Number>& g, SolveReport&) const {
  const LayerShape& shape = fisher.shape();
  const Flat<Number> row_slopes = state.first_moments.head(shape.weights());
  const Flat<Number> column_slopes = state.first_moments.tail(shape.weights());
  LayerParams<Number> d = g;
  set_biases(Flat<Number>(precision_of(state) * joined_biases(g)), d);
  for (std::size_t k = 0; k < g.weights.size(); ++k) {
    const auto on_row = weights_part(row_slopes, shape, k);
    const auto on_column = weights_part(column_slopes, shape, k);
    auto& w = d.weights[k];
    w -= (on_row.array().colwise() * g.bias[k].array()).matrix();
    w -= (on_column.array().rowwise() * g.bias[k + 1].transpose().array()).matrix();
    w.array() /= weights_part(state.variances, shape, k).array();
    d.bias[k] -= on_row.cwiseProduct(w).rowwise().sum();
    d.bias[k + 1] -= on_column.cwiseProduct(w).colwise().sum().transpose();
  }
  return d;
}

template <class Number>
LayerParams<Number> FangMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                              const LayerParams<Number>& x) const {
  using Square = typename Factors<Number>::Square;
  const LayerShape& shape = fisher.shape();
  const Flat<Number> row_slopes = state.first_moments.head(shape.weights());
  const Flat<Number> column_slopes = state.first_moments.tail(shape.weights());
  LayerParams<Number> y = x;
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    y.bias[k] += weights_part(row_slopes, shape, k).cwiseProduct(x.weights[k]).rowwise().sum();
    y.bias[k + 1] +=
        weights_part(column_slopes, shape, k).cwiseProduct(x.weights[k]).colwise().sum().transpose();
  }
  set_biases(Flat<Number>(Eigen::LLT<Square>(Square(precision_of(state))).solve(joined_biases(y))), y);
  for (std::size_t k = 0; k < x.weights.size(); ++k) {
    auto& w = y.weights[k];
    w.array() *= weights_part(state.variances, shape, k).array();
    w += (weights_part(row_slopes, shape, k).array().colwise() * y.bias[k].array()).matrix();
    w += (weights_part(column_slopes, shape, k).array().rowwise() * y.bias[k + 1].transpose().array())
             .matrix();
  }
  return y;
}

#define TEMPERA_INSTANTIATE(Number)       \
  template struct DiagonalMetric<Number>; \
  template struct KfacMetric<Number>;     \
  template struct EkfacMetric<Number>;    \
  template struct FangMetric<Number>;

TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)

}  // namespace tempera
