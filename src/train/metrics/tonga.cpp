#include "tempera/train/metrics/tonga.hpp"

#include "parts.hpp"

namespace tempera {
namespace {

/// Added to the variances that statistics are whitened by.
constexpr double kLeastVariance = 1e-3;

/// The running means of the statistics, of which the whitener is made.
template <class Number>
DiagonalMetric<Number> moments_metric(const TongaOptions& options) {
  DiagonalMetric<Number> diagonal;
  diagonal.options.memory = options.memory;
  return diagonal;
}

/// Rows R with C = R'R: sqrt(eigenvalue) times a direction each.
template <class Number>
typename LayerParams<Number>::Weights scaled_directions(const TongaState<Number>& state) {
  return state.eigenvalues.cwiseSqrt().template cast<Number>().asDiagonal() * state.directions;
}

/// Products of the draws in whitened coordinates (draws, draws): each is a combination that is scored.
template <class Number>
Eigen::MatrixXd whitened_gram(const Fisher<Number>& fisher, const Eigen::VectorXd& root,
                              const Flat<Number>& white) {
  const Index m = fisher.draws();
  Eigen::MatrixXd draws(m, m);
  for (Index c = 0; c < m; ++c) {
    LayerParams<Number> s = fisher.combine(Eigen::VectorXd::Unit(m, c) * root[c]);
    unflatten(Flat<Number>(flatten(s).cwiseQuotient(white)), s);
    draws.col(c) = root.cwiseProduct(fisher.scores(s));
  }
  return draws;
}

}  // namespace

template <class Number>
void TongaMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  moments_metric<Number>(options).prepare(shape, state.moments);
  state.whitener.setZero(shape.parameters());
  state.directions.setZero(options.rank, shape.parameters());
  state.eigenvalues.setZero(options.rank);
}

template <class Number>
void TongaMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  moments_metric<Number>(options).observe(fisher, state.moments);
  if (state.moments.observed % options.refresh != 1 && options.refresh > 1) return;
  // C <- gamma C + (1 - gamma) F, of which the leading directions stay: eigenvectors of the Gram matrix of
  // old rows and new draws, in whitened coordinates.
  const double kept = state.moments.observed == 1 ? 0.0 : options.forgetting;
  // It stays until the next insertion: directions are orthogonal in these coordinates alone.
  state.whitener = DiagonalMetric<Number>::variances(state.moments, kLeastVariance);
  const Flat<Number>& white = state.whitener;
  const auto old = scaled_directions(state);
  const typename LayerParams<Number>::Weights old_white = old * white.cwiseInverse().asDiagonal();
  const Index k = options.rank;
  const Index m = fisher.draws();
  const Eigen::VectorXd root = fisher.weights().cwiseSqrt();
  LayerParams<Number> row = zero_layers<Number>(fisher.shape());

  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(k + m, k + m);
  gram.topLeftCorner(k, k) = kept * (old_white * old.transpose()).template cast<double>();
  for (Index r = 0; r < k && kept > 0; ++r) {
    unflatten(Flat<Number>(old_white.row(r).transpose()), row);
    gram.block(k, r, m, 1) = std::sqrt(kept * (1.0 - kept)) * root.cwiseProduct(fisher.scores(row));
  }
  gram.bottomRightCorner(m, m) = (1.0 - kept) * whitened_gram(fisher, root, white);
  const SymmetricEigen<double> eigen = symmetric_eigen(gram);
  const Eigen::MatrixXd z = eigen.vectors.rightCols(k);
  const Eigen::VectorXd values = eigen.values.tail(k).cwiseMax(0.0);
  state.directions = (std::sqrt(kept) * z.topRows(k).transpose()).template cast<Number>() * old;
  for (Index r = 0; r < k; ++r) {
    const LayerParams<Number> fresh =
        fisher.combine(std::sqrt(1.0 - kept) * root.cwiseProduct(z.col(r).tail(m)));
    state.directions.row(r) += flatten(fresh).transpose();
    // A row of R is z'(rows): its squared length in whitened coordinates is the eigenvalue.
    if (values[r] > 0) state.directions.row(r) /= static_cast<Number>(std::sqrt(values[r]));
  }
  state.eigenvalues = values;
}

template <class Number>
LayerParams<Number> TongaMetric<Number>::solve(const Fisher<Number>&, const State& state,
                                               const LayerParams<Number>& g, SolveReport&) const {
  // P = C + l W, C = sum_r e_r u_r u_r' with u_r'W^-1 u_s = [r = s].
  const Flat<Number>& white = state.whitener;
  const Flat<Number> q = flatten(g).cwiseQuotient(white);
  Eigen::VectorXd along = (state.directions * q).template cast<double>();
  along.array() *= state.eigenvalues.array() / (state.eigenvalues.array() + options.damping);
  LayerParams<Number> d = g;
  unflatten(
      Flat<Number>((q - (state.directions.transpose() * along.template cast<Number>()).cwiseQuotient(white)) /
                   static_cast<Number>(options.damping)),
      d);
  return d;
}

template <class Number>
LayerParams<Number> TongaMetric<Number>::apply(const Fisher<Number>&, const State& state,
                                               const LayerParams<Number>& x) const {
  const Flat<Number> flat = flatten(x);
  const Flat<Number> along = state.eigenvalues.template cast<Number>().cwiseProduct(state.directions * flat);
  LayerParams<Number> y = x;
  unflatten(Flat<Number>(state.directions.transpose() * along +
                         static_cast<Number>(options.damping) * state.whitener.cwiseProduct(flat)),
            y);
  return y;
}

template struct TongaMetric<float>;
template struct TongaMetric<double>;

}  // namespace tempera
