// Weights of the cases of a data set.
#pragma once

#include <utility>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// How often each case of a data set counts: a case of weight 2 counts as two cases that are alike.
class CaseWeights {
 public:
  CaseWeights() = default;
  /// Positive finite numbers, one for each case; none where every case counts once.
  explicit CaseWeights(std::vector<double> weights);

  [[nodiscard]] bool all_one() const { return weights_.empty(); }
  [[nodiscard]] double operator[](Index n) const {
    return weights_.empty() ? 1.0 : weights_[static_cast<std::size_t>(n)];
  }
  /// Of n_cases cases: their sum, and their mean.
  [[nodiscard]] double total(Index n_cases) const {
    return weights_.empty() ? static_cast<double>(n_cases) : total_;
  }
  /// Those of the first n_cases cases.
  [[nodiscard]] CaseWeights first(Index n_cases) const;
  [[nodiscard]] double mean(Index n_cases) const { return total(n_cases) / static_cast<double>(n_cases); }

 private:
  std::vector<double> weights_;
  double total_ = 0.0;
};

/// Mean of weighted rows of double, column by column. The rows may be an expression: no copy is made of them.
template <class Rows>
[[nodiscard]] Eigen::VectorXd weighted_mean(const Eigen::DenseBase<Rows>& rows, const CaseWeights& weights) {
  if (weights.all_one()) return rows.colwise().mean();
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(rows.cols());
  for (Index n = 0; n < rows.rows(); ++n) sum += (rows.row(n).derived() * weights[n]).matrix().transpose();
  return sum / weights.total(rows.rows());
}

}  // namespace tempera
