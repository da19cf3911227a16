#include "tempera/core/case_weights.hpp"

#include <numeric>

namespace tempera {

CaseWeights::CaseWeights(std::vector<double> weights)
    : weights_(std::move(weights)), total_(std::accumulate(weights_.begin(), weights_.end(), 0.0)) {}

CaseWeights CaseWeights::first(Index n_cases) const {
  return CaseWeights({weights_.begin(), all_one() ? weights_.end() : weights_.begin() + n_cases});
}

Eigen::VectorXd weighted_mean(const Eigen::MatrixXd& rows, const CaseWeights& weights) {
  if (weights.all_one()) return rows.colwise().mean();
  Eigen::VectorXd sum = Eigen::VectorXd::Zero(rows.cols());
  for (Index n = 0; n < rows.rows(); ++n) sum += weights[n] * rows.row(n).transpose();
  return sum / weights.total(rows.rows());
}

}  // namespace tempera
