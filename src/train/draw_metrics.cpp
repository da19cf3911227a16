// Metrics made of the draws themselves. Formulas: docs/mathematics/metrics.md 4.5, 4.6, 4.10, 4.11.
#include <Eigen/Eigenvalues>
#include <Eigen/IterativeLinearSolvers>
#include <unsupported/Eigen/IterativeSolvers>

#include "moments.hpp"
#include "tempera/core/errors.hpp"

namespace tempera {
namespace {

template <class Number>
class DampedFisher;

}  // namespace
}  // namespace tempera

template <class Number>
struct Eigen::internal::traits<tempera::DampedFisher<Number>>
    : public Eigen::internal::traits<Eigen::SparseMatrix<Number>> {};

namespace tempera {
namespace {

/// F + lambda I as Eigen's iterative solvers take a matrix that is never formed.
template <class Number>
class DampedFisher : public Eigen::EigenBase<DampedFisher<Number>> {
 public:
  using Scalar = Number;
  using RealScalar = Number;
  using StorageIndex = int;
  enum { ColsAtCompileTime = Eigen::Dynamic, MaxColsAtCompileTime = Eigen::Dynamic, IsRowMajor = false };

  DampedFisher(const Fisher<Number>& fisher, double damping, const LayerParams<Number>& like)
      : fisher_(&fisher), damping_(damping), like_(&like), size_(size_of(like)) {}

  [[nodiscard]] Index rows() const { return size_; }
  [[nodiscard]] Index cols() const { return size_; }
  template <class Vector>
  Eigen::Product<DampedFisher, Vector, Eigen::AliasFreeProduct> operator*(
      const Eigen::MatrixBase<Vector>& x) const {
    return {*this, x.derived()};
  }
  [[nodiscard]] Flat<Number> times(const Flat<Number>& x) const {
    LayerParams<Number> structured = *like_;
    unflatten(x, structured);
    return flatten(fisher_->product(structured)) + static_cast<Number>(damping_) * x;
  }

 private:
  const Fisher<Number>* fisher_;
  double damping_;
  const LayerParams<Number>* like_;
  Index size_;
};

}  // namespace
}  // namespace tempera

template <class Number, class Vector>
struct Eigen::internal::generic_product_impl<tempera::DampedFisher<Number>, Vector, Eigen::SparseShape,
                                             Eigen::DenseShape, Eigen::GemvProduct>
    : Eigen::internal::generic_product_impl_base<
          tempera::DampedFisher<Number>, Vector,
          Eigen::internal::generic_product_impl<tempera::DampedFisher<Number>, Vector>> {
  template <class Destination>
  static void scaleAndAddTo(Destination& to, const tempera::DampedFisher<Number>& a, const Vector& x,
                            const Number& factor) {
    to += factor * a.times(x);
  }
};

namespace tempera {
namespace {

/// Eigen's interface of a preconditioner.
template <class Number>
class Preconditioner {
 public:
  using Solve = std::function<Flat<Number>(const Flat<Number>&)>;
  template <class A>
  Preconditioner& analyzePattern(const A&) {
    return *this;
  }
  template <class A>
  Preconditioner& factorize(const A&) {
    return *this;
  }
  template <class A>
  Preconditioner& compute(const A&) {
    return *this;
  }
  void set(Solve solve) { solve_ = std::move(solve); }
  [[nodiscard]] Flat<Number> solve(const Flat<Number>& r) const { return solve_ ? solve_(r) : r; }
  [[nodiscard]] static Eigen::ComputationInfo info() { return Eigen::Success; }

 private:
  Solve solve_;
};

template <class Number>
LayerParams<Number> damped_product(const Fisher<Number>& fisher, double damping,
                                   const LayerParams<Number>& x) {
  LayerParams<Number> y = fisher.product(x);
  add_scaled(y, damping, x);
  return y;
}

/// kfac with the damping of its factors.
template <class Number>
KfacMetric<Number> kfac_of(const MetricOptions& options, Number) {
  KfacMetric<Number> kfac{options};
  kfac.options.damping = options.factor_damping;
  return kfac;
}

}  // namespace

// --- sample --------------------------------------------------------------------------------------------

template <class Number>
LayerParams<Number> SampleMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>&,
                                                const LayerParams<Number>& g, SolveReport&) const {
  // With A = sqrt(w) (s - mean s), F = A'A: (F + l I)^-1 g = (g - A'(A A' + l I)^-1 A g) / l.
  Eigen::MatrixXd gram = fisher.gram();
  const double mean_diagonal = gram.trace() / static_cast<double>(gram.rows());
  gram.diagonal().array() += options.damping;
  const Eigen::LLT<Eigen::MatrixXd> factor(gram);
  const Eigen::VectorXd root = fisher.weights().cwiseSqrt();
  const auto solve_once = [&](const LayerParams<Number>& r) {
    const Eigen::VectorXd y = factor.solve(root.cwiseProduct(fisher.scores(r)));
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
LayerParams<Number> SampleMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                                                const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

// --- mfng ----------------------------------------------------------------------------------------------

template <class Number>
void MfngMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  if (options.preconditioner == "kfac") kfac_of(options, Number{}).prepare(shape, state);
}

template <class Number>
void MfngMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  if (options.preconditioner == "kfac") kfac_of(options, Number{}).observe(fisher, state);
}

template <class Number>
LayerParams<Number> MfngMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                                              const LayerParams<Number>& g, SolveReport& report) const {
  const DampedFisher<Number> matrix(fisher, options.damping, g);
  const Flat<Number> right = flatten(g);
  const Flat<Number> guess = options.warm_start && state.previous.size() == right.size()
                                 ? state.previous
                                 : Flat<Number>(Flat<Number>::Zero(right.size()));
  LayerParams<Number> d = g;
  const auto run = [&](auto& solver) {
    if (options.preconditioner == "kfac") {
      solver.preconditioner().set([&](const Flat<Number>& r) {
        LayerParams<Number> structured = g;
        unflatten(r, structured);
        SolveReport ignored;
        return flatten(kfac_of(options, Number{}).solve(fisher, state, structured, ignored));
      });
    }
    solver.setTolerance(static_cast<Number>(options.tolerance));
    solver.setMaxIterations(options.iterations);
    solver.compute(matrix);
    unflatten(Flat<Number>(solver.solveWithGuess(right, guess)), d);
    report.iterations = solver.iterations();
    report.residual = static_cast<double>(solver.error());
  };
  if (options.solver == "cg") {
    Eigen::ConjugateGradient<DampedFisher<Number>, Eigen::Lower | Eigen::Upper, Preconditioner<Number>>
        solver;
    run(solver);
  } else {
    Eigen::MINRES<DampedFisher<Number>, Eigen::Lower | Eigen::Upper, Preconditioner<Number>> solver;
    run(solver);
  }
  return d;
}

template <class Number>
LayerParams<Number> MfngMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                                              const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

// --- tonga ---------------------------------------------------------------------------------------------

template <class Number>
void TongaMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  DiagonalMetric<Number>{options}.prepare(shape, state);
  state.rows = LayerParams<Number>::Weights::Zero(options.rank, state.variances.size());
  state.eigenvalues = Eigen::VectorXd::Zero(options.rank);
  state.factors = Flat<Number>::Zero(shape.parameters());
}

namespace {

/// What tonga is whitened by: variances of the statistics, relative to which the damping is.
template <class Number>
Flat<Number> whitening(const MetricState<Number>& state) {
  constexpr double kLeastVariance = 1e-3;
  const auto scale = static_cast<Number>(1.0 / state.weight);
  return ((state.variances.array() * scale - (state.first_moments.array() * scale).square()).max(Number{0}) +
          static_cast<Number>(kLeastVariance))
      .matrix();
}

/// Rows R with C = R'R: sqrt(eigenvalue) times a direction each.
template <class Number>
typename LayerParams<Number>::Weights scaled_rows(const MetricState<Number>& state) {
  return state.eigenvalues.cwiseSqrt().template cast<Number>().asDiagonal() * state.rows;
}

}  // namespace

template <class Number>
void TongaMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  DiagonalMetric<Number>{options}.observe(fisher, state);
  if (state.observed % options.insert_every != 1 && options.insert_every > 1) return;
  // C <- gamma C + (1 - gamma) F, of which the leading directions stay: eigenvectors of the Gram matrix of
  // old rows and new draws, in whitened coordinates.
  const double kept = state.observed == 1 ? 0.0 : options.forgetting;
  // It stays until the next insertion: directions are orthogonal in these coordinates alone.
  const Flat<Number> white = state.factors = whitening(state);
  const auto old = scaled_rows(state);
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
  // Products of the draws in whitened coordinates: each is a combination that is scored.
  Eigen::MatrixXd draws(m, m);
  for (Index c = 0; c < m; ++c) {
    LayerParams<Number> s = fisher.combine(Eigen::VectorXd::Unit(m, c) * root[c]);
    unflatten(Flat<Number>(flatten(s).cwiseQuotient(white)), s);
    draws.col(c) = root.cwiseProduct(fisher.scores(s));
  }
  gram.bottomRightCorner(m, m) = (1.0 - kept) * draws;
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(
      Eigen::MatrixXd(gram.template selfadjointView<Eigen::Lower>()));
  const Eigen::MatrixXd z = solver.eigenvectors().rightCols(k);
  const Eigen::VectorXd values = solver.eigenvalues().tail(k).cwiseMax(0.0);
  state.rows = (std::sqrt(kept) * z.topRows(k).transpose()).template cast<Number>() * old;
  for (Index r = 0; r < k; ++r) {
    const LayerParams<Number> fresh =
        fisher.combine(std::sqrt(1.0 - kept) * root.cwiseProduct(z.col(r).tail(m)));
    state.rows.row(r) += flatten(fresh).transpose();
    // A row of R is z'(rows): its squared length in whitened coordinates is the eigenvalue.
    if (values[r] > 0) state.rows.row(r) /= static_cast<Number>(std::sqrt(values[r]));
  }
  state.eigenvalues = values;
}

template <class Number>
LayerParams<Number> TongaMetric<Number>::solve(const Fisher<Number>&, const MetricState<Number>& state,
                                               const LayerParams<Number>& g, SolveReport&) const {
  // P = C + l W, C = sum_r e_r u_r u_r' with u_r'W^-1 u_s = [r = s].
  const Flat<Number>& white = state.factors;
  const Flat<Number> q = flatten(g).cwiseQuotient(white);
  Eigen::VectorXd along = (state.rows * q).template cast<double>();
  along.array() *= state.eigenvalues.array() / (state.eigenvalues.array() + options.damping);
  LayerParams<Number> d = g;
  unflatten(Flat<Number>((q - (state.rows.transpose() * along.template cast<Number>()).cwiseQuotient(white)) /
                         static_cast<Number>(options.damping)),
            d);
  return d;
}

template <class Number>
LayerParams<Number> TongaMetric<Number>::apply(const Fisher<Number>&, const MetricState<Number>& state,
                                               const LayerParams<Number>& x) const {
  const Flat<Number> flat = flatten(x);
  const Flat<Number> along = state.eigenvalues.template cast<Number>().cwiseProduct(state.rows * flat);
  LayerParams<Number> y = x;
  unflatten(Flat<Number>(state.rows.transpose() * along +
                         static_cast<Number>(options.damping) * state.factors.cwiseProduct(flat)),
            y);
  return y;
}

// --- hybrid --------------------------------------------------------------------------------------------

template <class Number>
void HybridMetric<Number>::prepare(const LayerShape& shape, MetricState<Number>& state) const {
  kfac_of(options, Number{}).prepare(shape, state);
}

template <class Number>
void HybridMetric<Number>::observe(const Fisher<Number>& fisher, MetricState<Number>& state) const {
  kfac_of(options, Number{}).observe(fisher, state);
}

template <class Number>
LayerParams<Number> HybridMetric<Number>::solve(const Fisher<Number>& fisher,
                                                const MetricState<Number>& state,
                                                const LayerParams<Number>& g, SolveReport& report) const {
  using Layer = typename Fisher<Number>::Layer;
  const KfacMetric<Number> kfac = kfac_of(options, Number{});
  const LayerShape& shape = fisher.shape();
  const Factors<Number> inverses(shape, state.factors);
  // Gram matrix of the draws in the coordinates that kfac whitens.
  std::vector<Eigen::MatrixXd> products(shape.layers());
  Layer all(shape.biases(), fisher.draws());
  Index first = 0;
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Layer& x = fisher.layers()[k];
    if (shape.biased[k]) all.middleRows(first, x.rows()) = x;
    first += shape.biases(k);
    if (shape.has_weights(k)) products[k] = (x.transpose() * (inverses.layer(k) * x)).template cast<double>();
  }
  Eigen::MatrixXd gram = (all.transpose() * (inverses.all() * all)).template cast<double>();
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (shape.weights(k) > 0) gram += products[k].cwiseProduct(products[k + 1]);
  }
  gram = centred_gram(std::move(gram), fisher.weights());
  gram.diagonal().array() += options.mixing / (1.0 - options.mixing);
  const Eigen::VectorXd root = fisher.weights().cwiseSqrt();
  LayerParams<Number> d = kfac.solve(fisher, state, g, report);
  const Eigen::VectorXd y = Eigen::LLT<Eigen::MatrixXd>(gram).solve(root.cwiseProduct(fisher.scores(d)));
  add_scaled(d, -1.0, kfac.solve(fisher, state, fisher.combine(root.cwiseProduct(y)), report));
  scale(d, 1.0 / options.mixing);
  return d;
}

template <class Number>
LayerParams<Number> HybridMetric<Number>::apply(const Fisher<Number>& fisher,
                                                const MetricState<Number>& state,
                                                const LayerParams<Number>& x) const {
  LayerParams<Number> y = kfac_of(options, Number{}).apply(fisher, state, x);
  scale(y, options.mixing);
  add_scaled(y, 1.0 - options.mixing, fisher.product(x));
  return y;
}

// --- exact ---------------------------------------------------------------------------------------------

template <class Number>
LayerParams<Number> ExactMetric<Number>::solve(const Fisher<Number>& fisher, const MetricState<Number>&,
                                               const LayerParams<Number>& g, SolveReport&) const {
  const Index n = size_of(g);
  Eigen::MatrixXd statistics(fisher.draws(), n);
  for (Index m = 0; m < fisher.draws(); ++m) {
    Index at = 0;
    const auto& x = fisher.layers();
    for (std::size_t k = 0; k + 1 < x.size(); ++k) {
      if (!fisher.shape().coupled[k]) continue;
      for (Index i = 0; i < x[k].rows(); ++i) {
        statistics.row(m).segment(at, x[k + 1].rows()) =
            (x[k](i, m) * x[k + 1].col(m)).transpose().template cast<double>();
        at += x[k + 1].rows();
      }
    }
    for (std::size_t k = 0; k < x.size(); ++k) {
      if (!fisher.shape().biased[k]) continue;
      statistics.row(m).segment(at, x[k].rows()) = x[k].col(m).transpose().template cast<double>();
      at += x[k].rows();
    }
  }
  statistics.rowwise() -= (fisher.weights().transpose() * statistics).eval();
  Eigen::MatrixXd matrix = statistics.transpose() * fisher.weights().asDiagonal() * statistics;
  matrix.diagonal().array() += options.damping;
  LayerParams<Number> d = g;
  const Eigen::VectorXd solution =
      Eigen::LLT<Eigen::MatrixXd>(matrix).solve(flatten(g).template cast<double>());
  unflatten(Flat<Number>(solution.template cast<Number>()), d);
  return d;
}

template <class Number>
LayerParams<Number> ExactMetric<Number>::apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                                               const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

// --- by name -------------------------------------------------------------------------------------------

template <class Number>
AnyMetric<Number> make_metric(const MetricOptions& options, const LayerOffsets& offsets) {
  if (options.kind == "diagonal") return DiagonalMetric<Number>{options};
  if (options.kind == "kfac") return KfacMetric<Number>{options};
  if (options.kind == "ekfac") return EkfacMetric<Number>{options};
  if (options.kind == "fang") return FangMetric<Number>{options, offsets};
  if (options.kind == "sample") return SampleMetric<Number>{options};
  if (options.kind == "mfng") return MfngMetric<Number>{options};
  if (options.kind == "tonga") return TongaMetric<Number>{options};
  if (options.kind == "hybrid") return HybridMetric<Number>{options};
  return ExactMetric<Number>{options};
}

bool uses_moments(const std::string& kind) {
  return kind == "diagonal" || kind == "kfac" || kind == "ekfac" || kind == "fang";
}

#define TEMPERA_INSTANTIATE(Number)     \
  template struct SampleMetric<Number>; \
  template struct MfngMetric<Number>;   \
  template struct TongaMetric<Number>;  \
  template struct HybridMetric<Number>; \
  template struct ExactMetric<Number>;  \
  template AnyMetric<Number> make_metric(const MetricOptions& options, const LayerOffsets& offsets);

TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)

}  // namespace tempera
