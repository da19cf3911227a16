#include "tempera/train/metrics/mfng.hpp"

#include <Eigen/IterativeLinearSolvers>
#include <functional>
#include <unsupported/Eigen/IterativeSolvers>

#include "parts.hpp"

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

template <class Number, class Operand>
struct Eigen::internal::generic_product_impl<tempera::DampedFisher<Number>, Operand, Eigen::SparseShape,
                                             Eigen::DenseShape, Eigen::GemvProduct>
    : Eigen::internal::generic_product_impl_base<
          tempera::DampedFisher<Number>, Operand,
          Eigen::internal::generic_product_impl<tempera::DampedFisher<Number>, Operand>> {
  template <class Destination>
  static void scaleAndAddTo(Destination& to, const tempera::DampedFisher<Number>& a, const Operand& x,
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

}  // namespace

template <class Number>
void MfngMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  state = {};
  if (options.preconditioner == MfngPreconditioner::kKfac)
    KfacMetric<Number>{options.factors}.prepare(shape, state.kfac);
}

template <class Number>
void MfngMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  if (options.preconditioner == MfngPreconditioner::kKfac)
    KfacMetric<Number>{options.factors}.observe(fisher, state.kfac);
}

template <class Number>
LayerParams<Number> MfngMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& g, const Flat<Number>& guess,
                                              SolveReport& report) const {
  const DampedFisher<Number> matrix(fisher, options.damping, g);
  const Flat<Number> right = flatten(g);
  const Flat<Number> start = options.warm_start && guess.size() == right.size()
                                 ? guess
                                 : Flat<Number>(Flat<Number>::Zero(right.size()));
  LayerParams<Number> d = g;
  const auto run = [&](auto& solver) {
    if (options.preconditioner == MfngPreconditioner::kKfac) {
      solver.preconditioner().set([&](const Flat<Number>& r) {
        LayerParams<Number> structured = g;
        unflatten(r, structured);
        SolveReport ignored;
        return flatten(KfacMetric<Number>{options.factors}.solve(fisher, state.kfac, structured, ignored));
      });
    }
    solver.setTolerance(static_cast<Number>(options.tolerance));
    solver.setMaxIterations(options.iterations);
    solver.compute(matrix);
    unflatten(Flat<Number>(solver.solveWithGuess(right, start)), d);
    report.iterations = solver.iterations();
    report.residual = static_cast<double>(solver.error());
  };
  switch (options.solver) {
    case MfngSolver::kMinres: {
      Eigen::MINRES<DampedFisher<Number>, Eigen::Lower | Eigen::Upper, Preconditioner<Number>> solver;
      run(solver);
      break;
    }
    case MfngSolver::kCg: {
      Eigen::ConjugateGradient<DampedFisher<Number>, Eigen::Lower | Eigen::Upper, Preconditioner<Number>>
          solver;
      run(solver);
      break;
    }
  }
  return d;
}

template <class Number>
LayerParams<Number> MfngMetric<Number>::solve(const Fisher<Number>& fisher, const State& state,
                                              const LayerParams<Number>& g, SolveReport& report) const {
  return solve(fisher, state, g, Flat<Number>(), report);
}

template <class Number>
LayerParams<Number> MfngMetric<Number>::apply(const Fisher<Number>& fisher, const State&,
                                              const LayerParams<Number>& x) const {
  return damped_product(fisher, options.damping, x);
}

template struct MfngMetric<float>;
template struct MfngMetric<double>;

}  // namespace tempera
