#include "tempera/diagnostics/quality.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace tempera {
namespace {

/// Rows about the mean, whose plain second moments are those of the weighted cases.
Eigen::MatrixXf centred(const BinaryData& data) {
  Eigen::MatrixXf x(data.n_cases(), data.n_visible());
  for (Index n = 0; n < data.n_cases(); ++n) {
    for (Index i = 0; i < data.n_visible(); ++i) x(n, i) = data.value(n, i) ? 1.0F : 0.0F;
  }
  const CaseWeights& weights = data.weights();
  if (weights.all_one()) {
    x.rowwise() -= x.colwise().mean().eval();
    return x;
  }
  x.rowwise() -= data.means().transpose().cast<float>();
  for (Index n = 0; n < x.rows(); ++n)
    x.row(n) *= static_cast<float>(std::sqrt(weights[n] / weights.mean(x.rows())));
  return x;
}

/// Covariances of the pairs i < j, one after another.
Eigen::VectorXd covariances(const BinaryData& data) {
  const Eigen::MatrixXf x = centred(data);
  const Eigen::MatrixXf all = x.transpose() * x / static_cast<float>(data.n_cases());
  Eigen::VectorXd pairs(data.n_visible() * (data.n_visible() - 1) / 2);
  Index k = 0;
  for (Index i = 0; i < data.n_visible(); ++i) {
    for (Index j = i + 1; j < data.n_visible(); ++j) pairs[k++] = all(i, j);
  }
  return pairs;
}

/// 0 where one of them is constant.
double pearson(Eigen::VectorXd a, Eigen::VectorXd b) {
  if (a.size() == 0) return 0.0;
  a.array() -= a.mean();
  b.array() -= b.mean();
  const double norms = a.norm() * b.norm();
  return norms > 0 ? a.dot(b) / norms : 0.0;
}

/// Distance from a case to the nearest of a set, the case itself left out where it is number `own`.
int nearest(std::span<const Word> row, const BinaryData& others, Index own) {
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

/// Fraction of `a` whose nearest neighbour is in `a` and not in `b`; ties count one half.
double near_own(const BinaryData& a, const BinaryData& b) {
  double sum = 0.0;
  for (Index n = 0; n < a.n_cases(); ++n) {
    const int own = nearest(a.row(n), a, n);
    const int other = nearest(a.row(n), b, -1);
    sum += a.weights()[n] * (own < other ? 1.0 : own == other ? 0.5 : 0.0);
  }
  return sum / a.weights().total(a.n_cases());
}

}  // namespace

double covariance_pearson(const BinaryData& data, const BinaryData& samples) {
  return pearson(covariances(data), covariances(samples));
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
