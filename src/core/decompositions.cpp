#include "tempera/core/decompositions.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>
#include <Eigen/SVD>

namespace tempera {

template <class Number>
SymmetricEigen<Number> symmetric_eigen(const DenseMatrix<Number>& a) {
  const Eigen::SelfAdjointEigenSolver<DenseMatrix<Number>> solver(a);
  return {solver.eigenvalues(), solver.eigenvectors()};
}

template <class Number>
Number largest_eigenvalue(const DenseMatrix<Number>& a) {
  return Eigen::SelfAdjointEigenSolver<DenseMatrix<Number>>(a, Eigen::EigenvaluesOnly)
      .eigenvalues()
      .maxCoeff();
}

template <class Number>
Cholesky<Number>::Cholesky(const DenseMatrix<Number>& a) {
  const Eigen::LLT<DenseMatrix<Number>> decomposition(a);
  succeeded_ = decomposition.info() == Eigen::Success;
  factor_ = decomposition.matrixLLT();
}

template <class Number>
DenseMatrix<Number> Cholesky<Number>::solve(const DenseMatrix<Number>& b) const {
  DenseMatrix<Number> x = b;
  factor_.template triangularView<Eigen::Lower>().solveInPlace(x);
  factor_.template triangularView<Eigen::Lower>().adjoint().solveInPlace(x);
  return x;
}

template <class Number>
DenseVector<Number> Cholesky<Number>::solve(const DenseVector<Number>& b) const {
  DenseVector<Number> x = b;
  factor_.template triangularView<Eigen::Lower>().solveInPlace(x);
  factor_.template triangularView<Eigen::Lower>().adjoint().solveInPlace(x);
  return x;
}

template <class Number>
DenseVector<Number> Cholesky<Number>::solve_upper(const DenseVector<Number>& b) const {
  DenseVector<Number> x = b;
  factor_.template triangularView<Eigen::Lower>().adjoint().solveInPlace(x);
  return x;
}

template <class Number>
Number Cholesky<Number>::half_log_determinant() const {
  return factor_.diagonal().array().log().sum();
}

template <class Number>
DenseMatrix<Number> Cholesky<Number>::inverse() const {
  return solve(DenseMatrix<Number>(DenseMatrix<Number>::Identity(factor_.rows(), factor_.cols())));
}

template <class Number>
DenseMatrix<Number> Cholesky<Number>::lower() const {
  return factor_.template triangularView<Eigen::Lower>();
}

Eigen::MatrixXd nearest_orthonormal(const Eigen::MatrixXd& a) {
  const Eigen::BDCSVD<Eigen::MatrixXd> parts(a, Eigen::ComputeThinU | Eigen::ComputeThinV);
  return parts.matrixU() * parts.matrixV().transpose();
}

Eigen::MatrixXf orthonormal_columns(const Eigen::MatrixXf& a) {
  return Eigen::HouseholderQR<Eigen::MatrixXf>(a).householderQ() *
         Eigen::MatrixXf::Identity(a.rows(), a.cols());
}

#define TEMPERA_INSTANTIATE(Number)                                            \
  template struct SymmetricEigen<Number>;                                      \
  template SymmetricEigen<Number> symmetric_eigen(const DenseMatrix<Number>&); \
  template Number largest_eigenvalue(const DenseMatrix<Number>&);              \
  template class Cholesky<Number>;

TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)

}  // namespace tempera
