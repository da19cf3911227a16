#include "tempera/diagnostics/clusters.hpp"

#include <algorithm>
#include <boost/random/normal_distribution.hpp>
#include <boost/random/uniform_int_distribution.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "tempera/core/decompositions.hpp"

namespace tempera {
namespace {

constexpr Index kMostCases = 4000;
constexpr Index kMostValues = Index{1} << 24;  // of these cases together
constexpr Index kComponents = 4;
constexpr Index kSpare = 4;  // directions more than wanted make subspace iteration fast
constexpr int kIterations = 20;
constexpr int kStarts = 8;
constexpr int kLloyd = 100;

/// Rows of bits, and how often each counts.
struct SomeCases {
  Eigen::MatrixXf rows;
  CaseWeights weights;

  [[nodiscard]] Eigen::RowVectorXf mean() const {
    if (weights.all_one()) return rows.colwise().mean();
    return weighted_mean(rows.cast<double>(), weights).transpose().cast<float>();
  }
  /// Rows whose plain second moments are the weighted ones of these.
  [[nodiscard]] Eigen::MatrixXf weighted() const {
    Eigen::MatrixXf scaled = rows;
    for (Index r = 0; !weights.all_one() && r < rows.rows(); ++r)
      scaled.row(r) *= static_cast<float>(std::sqrt(weights[r] / weights.mean(rows.rows())));
    return scaled;
  }
};

SomeCases some_cases(const BinaryData& data, StreamEngine& random) {
  std::vector<Index> order(static_cast<std::size_t>(data.n_cases()));
  std::iota(order.begin(), order.end(), Index{0});
  const Index n = std::min({kMostCases, data.n_cases(), std::max<Index>(1, kMostValues / data.n_visible())});
  Eigen::MatrixXf x(n, data.n_visible());
  std::vector<double> weights;
  for (Index r = 0; r < n; ++r) {
    const boost::random::uniform_int_distribution<std::size_t> later(static_cast<std::size_t>(r),
                                                                     order.size() - 1);
    std::swap(order[static_cast<std::size_t>(r)], order[later(random)]);
    const Index chosen = order[static_cast<std::size_t>(r)];
    for (Index i = 0; i < data.n_visible(); ++i) x(r, i) = data.value(chosen, i) ? 1.0F : 0.0F;
    if (!data.weights().all_one()) weights.push_back(data.weights()[chosen]);
  }
  return {std::move(x), CaseWeights(std::move(weights))};
}

/// Leading right singular vectors.
Eigen::MatrixXf principal_axes(const Eigen::MatrixXf& centred, Index count, StreamEngine& random) {
  const Index width = std::min(count + kSpare, centred.cols());
  boost::random::normal_distribution<float> normal;
  Eigen::MatrixXf q(centred.cols(), width);
  for (Index k = 0; k < q.size(); ++k) q.data()[k] = normal(random);
  for (int t = 0; t < kIterations; ++t)
    q = orthonormal_columns(centred.transpose() * (centred * orthonormal_columns(q)).eval());
  const Eigen::MatrixXf projected = centred * q;
  const SymmetricEigen<float> eigen = symmetric_eigen<float>(projected.transpose() * projected);
  return q * eigen.vectors.rightCols(std::min(count, width)).rowwise().reverse();
}

Index nearest(const Eigen::MatrixXf& centres, const Eigen::RowVectorXf& point, float& distance) {
  Index best = 0;
  distance = (centres.rowwise() - point).rowwise().squaredNorm().minCoeff(&best);
  return best;
}

/// Centres drawn one after another with probability proportional to the squared distance from the others,
/// and to how often a point counts.
Eigen::MatrixXf first_centres(const Eigen::MatrixXf& points, const CaseWeights& weights, Index k,
                              StreamEngine& random) {
  Eigen::VectorXf counts = Eigen::VectorXf::Ones(points.rows());
  for (Index n = 0; n < points.rows(); ++n) counts[n] = static_cast<float>(weights[n]);
  Eigen::MatrixXf centres(k, points.cols());
  const float rounding = 1e-6F * points.rowwise().squaredNorm().maxCoeff();
  Eigen::VectorXf distances = Eigen::VectorXf::Constant(points.rows(), 1.0F);
  for (Index c = 0; c < k; ++c) {
    const Eigen::VectorXf pull = distances.cwiseProduct(counts);
    const double total = pull.cast<double>().sum();
    if (total <= 0.0) return centres.topRows(c);  // every place is taken
    double u = uniform_53(random) * total;
    Index chosen = 0;
    while (chosen + 1 < points.rows() && u >= static_cast<double>(pull[chosen]))
      u -= static_cast<double>(pull[chosen++]);
    centres.row(c) = points.row(chosen);
    const Eigen::VectorXf to_new = (points.rowwise() - centres.row(c)).rowwise().squaredNorm();
    distances = c == 0 ? to_new : distances.cwiseMin(to_new);
    distances = (distances.array() > rounding).select(distances, 0.0F);
  }
  return centres;
}

/// Lloyd's iteration; returns the sum of squared distances.
double improve(const Eigen::MatrixXf& points, const CaseWeights& weights, Eigen::MatrixXf& centres,
               Eigen::VectorXd& occupancy) {
  double cost = std::numeric_limits<double>::infinity();
  const Eigen::MatrixXf columns =
      points.transpose();  // a point is a column, so that it is one piece of memory
  for (int t = 0; t < kLloyd; ++t) {
    const Eigen::MatrixXf places = centres.transpose();
    Eigen::MatrixXd sums = Eigen::MatrixXd::Zero(centres.rows(), centres.cols());
    Eigen::VectorXd counts = Eigen::VectorXd::Zero(centres.rows());
    double now = 0.0;
    for (Index n = 0; n < points.rows(); ++n) {
      Index c = 0;
      float least = std::numeric_limits<float>::infinity();
      for (Index k = 0; k < places.cols(); ++k) {
        float distance = 0.0F;
        for (Index i = 0; i < places.rows(); ++i) {
          const float apart = places(i, k) - columns(i, n);
          distance += apart * apart;
        }
        if (distance < least) {
          least = distance;
          c = k;
        }
      }
      now += weights[n] * static_cast<double>(least);
      for (Index i = 0; i < places.rows(); ++i) sums(c, i) += weights[n] * static_cast<double>(columns(i, n));
      counts[c] += weights[n];
    }
    occupancy = counts / weights.total(points.rows());
    if (now >= cost) break;
    cost = now;
    for (Index c = 0; c < centres.rows(); ++c) {
      if (counts[c] > 0) centres.row(c) = (sums.row(c) / counts[c]).cast<float>();
    }
  }
  return cost;
}

}  // namespace

double largest_variance(const BinaryData& data, StreamEngine random) {
  if (data.n_cases() == 0) return 0.0;
  SomeCases cases = some_cases(data, random);
  cases.rows.rowwise() -= cases.mean();
  const Eigen::MatrixXf x = cases.weighted();
  const Eigen::MatrixXf along = x * principal_axes(x, 1, random);
  return static_cast<double>(along.squaredNorm()) / static_cast<double>(x.rows());
}

DataClusters find_clusters(const BinaryData& data, Index k, StreamEngine random) {
  DataClusters clusters;
  if (data.n_cases() == 0) return clusters;
  SomeCases cases = some_cases(data, random);
  const Eigen::RowVectorXf mean = cases.mean();
  cases.rows.rowwise() -= mean;
  clusters.axes = principal_axes(cases.weighted(), kComponents, random);
  clusters.origin = -(mean * clusters.axes).transpose();
  const Eigen::MatrixXf points = cases.rows * clusters.axes;
  double best = std::numeric_limits<double>::infinity();
  for (int start = 0; start < kStarts; ++start) {
    Eigen::MatrixXf centres = first_centres(points, cases.weights, std::min(k, points.rows()), random);
    Eigen::VectorXd occupancy;
    const double cost = improve(points, cases.weights, centres, occupancy);
    if (cost >= best) continue;
    best = cost;
    std::vector<Index> order;
    for (Index c = 0; c < centres.rows(); ++c) {
      if (occupancy[c] > 0) order.push_back(c);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](Index a, Index b) { return occupancy[a] > occupancy[b]; });
    clusters.centres = centres(order, Eigen::all);
    clusters.occupancy = occupancy(order);
  }
  return clusters;
}

std::array<Index, kLanes> nearest_clusters(const DataClusters& clusters, const BitBlock& visible,
                                           ProductScratch& scratch) {
  PackedPanel packed;
  pack({&visible, 1}, packed);
  LaneMatrix projected(clusters.axes.cols(), kLanes);
  float* out = projected.data();
  input_from_rows(clusters.axes, packed, {0, clusters.axes.cols()}, clusters.origin, {&out, 1}, scratch);
  std::array<Index, kLanes> found{};
  for (Index c = 0; c < visible.lanes; ++c) {
    float distance = 0;
    found[static_cast<std::size_t>(c)] = nearest(clusters.centres, projected.col(c).transpose(), distance);
  }
  return found;
}

double cluster_variation(const DataClusters& clusters, const Eigen::VectorXd& occupancy) {
  return 0.5 * (occupancy - clusters.occupancy).cwiseAbs().sum();
}

}  // namespace tempera
