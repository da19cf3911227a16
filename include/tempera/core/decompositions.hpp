// Decompositions of dense matrices of float or double, by Eigen, compiled in one place: each costs a compiler
// more than most of the files that need one.
#pragma once

#include <Eigen/Core>

namespace tempera {

template <class Number>
using DenseMatrix = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>;
template <class Number>
using DenseVector = Eigen::Matrix<Number, Eigen::Dynamic, 1>;

/// A = V diag(values) V' of a symmetric matrix, whose lower triangle is read. Cost: O(n^3).
template <class Number>
struct SymmetricEigen {
  DenseVector<Number> values;   // ascending
  DenseMatrix<Number> vectors;  // one a column, of length 1
};
template <class Number>
[[nodiscard]] SymmetricEigen<Number> symmetric_eigen(const DenseMatrix<Number>& a);

/// The largest eigenvalue of a symmetric matrix.
template <class Number>
[[nodiscard]] Number largest_eigenvalue(const DenseMatrix<Number>& a);

/// A = L L' of a symmetric positive definite matrix, whose lower triangle is read. Cost: O(n^3), and O(n^2)
/// for every column that is solved.
template <class Number>
class Cholesky {
 public:
  explicit Cholesky(const DenseMatrix<Number>& a);
  /// Whether A was positive definite; nothing else may be asked where it was not.
  [[nodiscard]] bool succeeded() const { return succeeded_; }
  /// A^-1 b.
  [[nodiscard]] DenseMatrix<Number> solve(const DenseMatrix<Number>& b) const;
  [[nodiscard]] DenseVector<Number> solve(const DenseVector<Number>& b) const;
  /// L'^-1 b: standard normal b become draws of N(0, A^-1).
  [[nodiscard]] DenseVector<Number> solve_upper(const DenseVector<Number>& b) const;
  /// log det A / 2.
  [[nodiscard]] Number half_log_determinant() const;
  [[nodiscard]] DenseMatrix<Number> inverse() const;
  [[nodiscard]] DenseMatrix<Number> lower() const;

 private:
  DenseMatrix<Number> factor_;  // L in its lower triangle
  bool succeeded_ = false;
};

/// U V' where A = U S V': the matrix with orthonormal columns (or rows) that is nearest to A.
[[nodiscard]] Eigen::MatrixXd nearest_orthonormal(const Eigen::MatrixXd& a);

/// Orthonormal columns that span what those of A span.
[[nodiscard]] Eigen::MatrixXf orthonormal_columns(const Eigen::MatrixXf& a);

}  // namespace tempera
