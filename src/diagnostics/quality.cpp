#include "tempera/diagnostics/quality.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace tempera {
namespace {

/// Rows about the mean, whose plain second moments are those of the weighted cases.
Eigen::MatrixXf centred(Eigen::MatrixXf x, const CaseWeights& weights) {
  if (weights.all_one()) {
    x.rowwise() -= x.colwise().mean().eval();
    return x;
  }
  Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(x.cols());
  for (Index n = 0; n < x.rows(); ++n) mean += weights[n] * x.row(n).cast<double>();
  x.rowwise() -= (mean / weights.total(x.rows())).cast<float>();
  for (Index n = 0; n < x.rows(); ++n)
    x.row(n) *= static_cast<float>(std::sqrt(weights[n] / weights.mean(x.rows())));
  return x;
}

Eigen::MatrixXf covariances(const Matrix& rows, const CaseWeights& weights) {
  const Eigen::MatrixXf x = centred(rows, weights);
  return x.transpose() * x / static_cast<float>(rows.rows());
}

/// 0 where one of them is constant.
double pearson(Eigen::VectorXd a, Eigen::VectorXd b) {
  if (a.size() == 0) return 0.0;
  a.array() -= a.mean();
  b.array() -= b.mean();
  const double norms = a.norm() * b.norm();
  return norms > 0 ? a.dot(b) / norms : 0.0;
}

/// Fraction of `a` whose nearest neighbour is in `a` and not in `b`; ties count one half.
double near_own(const BinaryData& a, const BinaryData& b) {
  double sum = 0.0;
  for (Index n = 0; n < a.n_cases(); ++n) {
    const int own = bits_to_nearest(a.row(n), a, n);
    const int other = bits_to_nearest(a.row(n), b, -1);
    sum += a.weights()[n] * (own < other ? 1.0 : own == other ? 0.5 : 0.0);
  }
  return sum / a.weights().total(a.n_cases());
}

}  // namespace

int bits_to_nearest(std::span<const Word> row, const BinaryData& others, Index own) {
  int least = std::numeric_limits<int>::max();
  for (Index n = 0; n < others.n_cases(); ++n) {
    if (n == own) continue;
    const auto other = others.row(n);
    int distance = 0;
    for (std::size_t w = 0; w < row.size(); ++w) distance += std::popcount(row[w] ^ other[w]);
    least = std::min(least, distance);
  }
  return least;
}

CovarianceAgreement covariance_agreement(const Matrix& data, const CaseWeights& weights,
                                         const Matrix& samples, Index site) {
  const Eigen::MatrixXf theirs = covariances(data, weights);
  const Eigen::MatrixXf ours = covariances(samples, {});
  CovarianceAgreement found;
  for (Index i = 0; i < data.cols(); ++i) {
    for (Index k = (i / site + 1) * site; k < data.cols(); ++k) {
      if (theirs(i, i) == 0.0F || theirs(k, k) == 0.0F) continue;
      found.of_data.push_back(theirs(i, k));
      found.of_samples.push_back(ours(i, k));
    }
  }
  const auto as_numbers = [](const std::vector<float>& values) {
    return Eigen::VectorXd(
        Eigen::Map<const Vector>(values.data(), static_cast<Index>(values.size())).cast<double>());
  };
  const Eigen::VectorXd x = as_numbers(found.of_data);
  const Eigen::VectorXd y = as_numbers(found.of_samples);
  found.pearson = pearson(x, y);
  const double spread = x.size() > 0 ? (x.array() - x.mean()).square().sum() : 0.0;
  if (spread > 0.0) found.slope = (x.array() - x.mean()).matrix().dot(y) / spread;
  return found;
}

double covariance_pearson(const BinaryData& data, const BinaryData& samples) {
  const Eigen::MatrixXf theirs = covariances(rows_of(data), data.weights());
  const Eigen::MatrixXf ours = covariances(rows_of(samples), samples.weights());
  Eigen::VectorXd a(data.n_visible() * (data.n_visible() - 1) / 2);
  Eigen::VectorXd b(a.size());
  Index k = 0;
  for (Index i = 0; i < data.n_visible(); ++i) {
    for (Index j = i + 1; j < data.n_visible(); ++j, ++k) {
      a[k] = theirs(i, j);
      b[k] = ours(i, j);
    }
  }
  return pearson(std::move(a), std::move(b));
}

SampleQuality sample_quality(const BinaryData& data, const BinaryData& samples) {
  return {covariance_pearson(data, samples), near_own(data, samples), near_own(samples, data)};
}

bool declines(const std::vector<double>& quality, double drop) {
  double best = -std::numeric_limits<double>::infinity();
  for (const double x : quality) best = std::max(best, x);
  return !quality.empty() && quality.back() <= best - drop;
}

}  // namespace tempera
