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

/// Variance of the cases of two clusters along the line between them, in units of the largest that noise
/// alone has along any direction, below which they are one cluster.
constexpr double kOneCluster = 1.25;
constexpr double kNoVariance = 1e-6;

/// Rows of bits, and how often each counts.
struct SomeCases {
  Eigen::MatrixXf rows;
  CaseWeights weights;

  [[nodiscard]] Eigen::RowVectorXf mean() const {
    if (weights.all_one()) return rows.colwise().mean();
    return weighted_mean(rows.cast<double>(), weights).transpose().cast<float>();
  }
  /// So many cases that count alike would tell as much (Kish 1965).
  [[nodiscard]] double effective() const {
    double squares = 0.0;
    for (Index r = 0; r < rows.rows(); ++r) squares += weights[r] * weights[r];
    return std::pow(weights.total(rows.rows()), 2.0) / squares;
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

/// What is known of the cases of a cluster.
struct ClusterMoments {
  double weight = 0.0;
  Eigen::VectorXd columns;  // sum of the cases, from the mean of all
  Eigen::VectorXd points;   // sum of their places
  Eigen::MatrixXd squares;  // sum of their places times themselves

  ClusterMoments& operator+=(const ClusterMoments& other) {
    weight += other.weight;
    columns += other.columns;
    points += other.points;
    squares += other.squares;
    return *this;
  }
  [[nodiscard]] Eigen::VectorXd centre() const { return points / weight; }
  /// Along a line of length 1.
  [[nodiscard]] double variance(const Eigen::VectorXd& line) const {
    return line.dot(squares * line) / weight - std::pow(line.dot(centre()), 2.0);
  }
};

std::vector<ClusterMoments> moments_of(const SomeCases& cases, const Eigen::MatrixXf& points,
                                       const Eigen::MatrixXf& centres) {
  std::vector<ClusterMoments> moments(
      static_cast<std::size_t>(centres.rows()),
      {0.0, Eigen::VectorXd::Zero(cases.rows.cols()), Eigen::VectorXd::Zero(points.cols()),
       Eigen::MatrixXd::Zero(points.cols(), points.cols())});
  for (Index n = 0; n < points.rows(); ++n) {
    float distance = 0.0F;
    ClusterMoments& own = moments[static_cast<std::size_t>(nearest(centres, points.row(n), distance))];
    const Eigen::VectorXd point = points.row(n).transpose().cast<double>();
    own.weight += cases.weights[n];
    own.columns += cases.weights[n] * cases.rows.row(n).transpose().cast<double>();
    own.points += cases.weights[n] * point;
    own.squares += cases.weights[n] * point * point.transpose();
  }
  std::erase_if(moments, [](const ClusterMoments& m) { return m.weight <= 0.0; });
  return moments;
}

/// Variance of the cases of two clusters along the line between their centres, over the largest that noise
/// has along any direction. About 1 or less where k-means has cut one cluster of independent columns;
/// infinite where neither varies, such as copies of two cases. The largest variance of n cases of independent
/// columns is the edge of the law of Marchenko and Pastur (1967), with as many columns as vary like the line
/// does.
double excess_variance(const ClusterMoments& a, const ClusterMoments& b, const Eigen::MatrixXf& axes,
                       const Eigen::RowVectorXf& mean, double n_cases) {
  const Eigen::VectorXd line = (a.centre() - b.centre()).normalized();
  ClusterMoments both = a;
  both += b;
  const double within = a.weight * a.variance(line) + b.weight * b.variance(line);
  const double variance = both.variance(line);
  if (within <= kNoVariance * both.weight * variance) return std::numeric_limits<double>::infinity();
  const Eigen::ArrayXd p = mean.transpose().cast<double>().array() + both.columns.array() / both.weight;
  const Eigen::ArrayXd weights = (axes.cast<double>() * line).array();
  const Eigen::ArrayXd of_columns = (p * (1.0 - p)).max(0.0);
  const double along = (weights.square() * of_columns).sum();
  return variance / std::pow(std::sqrt(along) + std::sqrt(of_columns.sum() / n_cases), 2.0);
}

/// Centres of the clusters that are left where k-means has cut clusters of independent columns in pieces: the
/// pair that is most likely one is merged first.
Eigen::MatrixXf merged_centres(const SomeCases& cases, const Eigen::RowVectorXf& mean,
                               const Eigen::MatrixXf& axes, const Eigen::MatrixXf& points,
                               const Eigen::MatrixXf& centres) {
  std::vector<ClusterMoments> clusters = moments_of(cases, points, centres);
  const double n_cases = cases.effective();
  while (true) {
    double least = kOneCluster;
    std::size_t first = 0;
    std::size_t second = 0;
    for (std::size_t b = 1; b < clusters.size(); ++b) {
      for (std::size_t a = 0; a < b; ++a) {
        const double excess = excess_variance(clusters[a], clusters[b], axes, mean, n_cases);
        if (!(excess < least)) continue;
        least = excess;
        first = a;
        second = b;
      }
    }
    if (second == 0) break;
    clusters[first] += clusters[second];
    clusters.erase(clusters.begin() + static_cast<std::ptrdiff_t>(second));
  }
  Eigen::MatrixXf left(static_cast<Index>(clusters.size()), centres.cols());
  for (std::size_t k = 0; k < clusters.size(); ++k)
    left.row(static_cast<Index>(k)) = clusters[k].centre().transpose().cast<float>();
  return left;
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
  Eigen::MatrixXf centres;
  Eigen::VectorXd occupancy;
  for (int start = 0; start < kStarts; ++start) {
    Eigen::MatrixXf found = first_centres(points, cases.weights, std::min(k, points.rows()), random);
    const double cost = improve(points, cases.weights, found, occupancy);
    if (cost >= best) continue;
    best = cost;
    centres = std::move(found);
  }
  centres = merged_centres(cases, mean, clusters.axes, points, centres);
  improve(points, cases.weights, centres, occupancy);
  std::vector<Index> order;
  for (Index c = 0; c < centres.rows(); ++c) {
    if (occupancy[c] > 0) order.push_back(c);
  }
  std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return occupancy[a] > occupancy[b]; });
  clusters.centres = centres(order, Eigen::all);
  clusters.occupancy = occupancy(order);
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
