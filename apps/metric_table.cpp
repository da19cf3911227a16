#include "metric_table.hpp"

#include <algorithm>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <numeric>
#include <optional>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/math.hpp"
#include "tempera/train/metrics/all_metrics.hpp"

namespace tempera::apps {
namespace {

using Doubles = LayerParams<double>;
using Layer = Fisher<double>::Layer;

/// What is added to F, so that units that never change leave it positive.
constexpr double kRidge = 1e-6;
/// Probability of the hidden states that are left out.
constexpr double kLeftOut = 1e-7;
/// Gradients whose efficiencies are averaged.
constexpr int kGradients = 64;
constexpr Index kMostHidden = 22;

/// The hidden states that matter, with their probabilities, and the means and variances of the visibles given
/// each.
struct Enumeration {
  Layer hidden;    // n_hidden x states
  Layer visible;   // means given the hidden state
  Layer variance;  // of the visibles
  Eigen::VectorXd weights;

  explicit Enumeration(const ModelFile<BernoulliRbm>& file) {
    const Index n_hidden = file.model.n_hidden();
    const Index n_states = Index{1} << n_hidden;
    const Eigen::MatrixXd w = file.theta.weights.cast<double>();
    const Eigen::VectorXd a = file.theta.visible_bias.cast<double>();
    const Eigen::VectorXd c = file.theta.hidden_bias.cast<double>();
    const auto states = [&](const std::vector<Index>& which) {
      Layer h(n_hidden, static_cast<Index>(which.size()));
      for (std::size_t s = 0; s < which.size(); ++s) {
        for (Index j = 0; j < n_hidden; ++j)
          h(j, static_cast<Index>(s)) = static_cast<double>(which[s] >> j & 1);
      }
      return h;
    };
    Eigen::VectorXd log_weights(n_states);
    constexpr Index kChunk = 1024;
    for (Index first = 0; first < n_states; first += kChunk) {
      const Index n = std::min(kChunk, n_states - first);
      std::vector<Index> which(static_cast<std::size_t>(n));
      std::iota(which.begin(), which.end(), first);
      const Layer h = states(which);
      const Eigen::ArrayXXd input = ((w * h).colwise() + a).array();
      const Eigen::ArrayXXd softplus = input.max(0.0) + (1.0 + (-input.abs()).exp()).log();
      log_weights.segment(first, n) = (h.transpose() * c).array() + softplus.colwise().sum().transpose();
    }
    const double largest = log_weights.maxCoeff();
    Eigen::VectorXd p = (log_weights.array() - largest).exp().matrix();
    p /= p.sum();
    std::vector<Index> order(static_cast<std::size_t>(n_states));
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(), [&](Index x, Index y) { return p[x] > p[y]; });
    double mass = 0.0;
    std::size_t kept = 0;
    while (kept < order.size() && mass < 1.0 - kLeftOut) mass += p[order[kept++]];
    order.resize(kept);
    hidden = states(order);
    weights = p(order) / mass;
    visible = ((w * hidden).colwise() + a).unaryExpr([](double x) { return sigmoid(x); });
    variance = (visible.array() * (1.0 - visible.array())).matrix();
  }
};

/// F of the joint law in the coordinates of these offsets, with the ridge.
Eigen::MatrixXd exact_fisher(const Enumeration& all, const std::vector<Vector>& offsets,
                             const Executor& executor) {
  const Index n_visible = all.visible.rows();
  const Index n_hidden = all.hidden.rows();
  const Index n = n_visible * n_hidden + n_visible + n_hidden;
  const Layer v = all.visible.colwise() - offsets[0].cast<double>();
  const Layer h = all.hidden.colwise() - offsets[1].cast<double>();
  Eigen::MatrixXd fisher = Eigen::MatrixXd::Zero(n, n);
  Eigen::VectorXd mean = Eigen::VectorXd::Zero(n);
  constexpr Index kChunk = 2048;
  constexpr Index kColumns = 256;
  Eigen::MatrixXd rows;
  for (Index first = 0; first < h.cols(); first += kChunk) {
    const Index m = std::min(kChunk, h.cols() - first);
    rows.resize(n, m);
    for (Index s = 0; s < m; ++s) {
      const double root = std::sqrt(all.weights[first + s]);
      for (Index i = 0; i < n_visible; ++i)
        rows.col(s).segment(i * n_hidden, n_hidden) = root * v(i, first + s) * h.col(first + s);
      rows.col(s).segment(n_visible * n_hidden, n_visible) = root * v.col(first + s);
      rows.col(s).tail(n_hidden) = root * h.col(first + s);
      mean += root * rows.col(s);
    }
    executor.for_each((n + kColumns - 1) / kColumns, [&](Index part) {
      const Index begin = part * kColumns;
      const Index width = std::min(kColumns, n - begin);
      fisher.block(begin, begin, n - begin, width).noalias() +=
          rows.bottomRows(n - begin) * rows.middleRows(begin, width).transpose();
    });
  }
  // Given the hidden units the visibles are independent: variances of v_i (h, 1).
  for (Index i = 0; i < n_visible; ++i) {
    const Eigen::VectorXd w = all.weights.cwiseProduct(all.variance.row(i).transpose());
    const Index bias = n_visible * n_hidden + i;
    fisher.block(i * n_hidden, i * n_hidden, n_hidden, n_hidden) += h * w.asDiagonal() * h.transpose();
    fisher.block(bias, i * n_hidden, 1, n_hidden) += (h * w).transpose();
    fisher(bias, bias) += w.sum();
  }
  Eigen::MatrixXd full = fisher.selfadjointView<Eigen::Lower>();
  full.noalias() -= mean * mean.transpose();
  full.diagonal().array() += kRidge;
  return full;
}

/// What does not depend on the metric.
class Judge {
 public:
  explicit Judge(Eigen::MatrixXd fisher) : fisher_(std::move(fisher)), factor_(fisher_) {
    log_determinant_ = 2.0 * factor_.half_log_determinant();
  }
  [[nodiscard]] const Eigen::MatrixXd& fisher() const { return fisher_; }

  /// A row for the metric with this inverse; `scaled`: the scale of P is free, and is chosen for the least
  /// KL.
  [[nodiscard]] Json row(const std::string& name, Index numbers, Eigen::MatrixXd inverse, bool scaled,
                         Index n_weights) const {
    const auto n = static_cast<double>(fisher_.rows());
    if (scaled) inverse *= n / inverse.cwiseProduct(fisher_).sum();
    const double trace = inverse.cwiseProduct(fisher_).sum();
    const Cholesky<double> of_inverse(inverse);
    if (!of_inverse.succeeded()) throw NumericalError(name + ": is not positive definite");
    const double kl = 0.5 * (trace - n - 2.0 * of_inverse.half_log_determinant() - log_determinant_);
    StreamEngine random = StreamFactory{1}.engine(Purpose::kSampling, 0);
    boost::random::normal_distribution<double> normal;
    const auto draw = [&](Index size) {
      Eigen::VectorXd x(size);
      for (double& value : x) value = normal(random);
      return x;
    };
    Eigen::VectorXd x = draw(fisher_.rows());
    double eigenvalue = 0.0;
    for (int t = 0; t < 100; ++t) {
      x = inverse * (fisher_ * x);
      eigenvalue = x.norm();
      x /= eigenvalue;
    }
    const auto efficiency = [&](const Eigen::VectorXd& g, double exact) {
      const Eigen::VectorXd d = inverse * g;
      const double gain = g.dot(d);
      return gain * gain / (d.dot(fisher_ * d) * exact);
    };
    double noise = 0.0;
    double signal = 0.0;
    for (int t = 0; t < kGradients; ++t) {
      const Eigen::VectorXd z = draw(fisher_.rows());
      noise += efficiency(factor_.lower() * z, z.squaredNorm()) / kGradients;
      Eigen::VectorXd delta = Eigen::VectorXd::Zero(fisher_.rows());
      delta.head(n_weights) = draw(n_weights);
      const Eigen::VectorXd g = fisher_ * delta;
      signal += efficiency(g, g.dot(delta)) / kGradients;
    }
    return {{"metric", name},
            {"numbers", numbers},
            {"kl", kl},
            {"condition", eigenvalue / (trace / n)},
            {"efficiency_noise", noise},
            {"efficiency_signal", signal}};
  }

 private:
  Eigen::MatrixXd fisher_;
  Cholesky<double> factor_;
  double log_determinant_ = 0.0;
};

/// A metric that sees one Fisher matrix and nothing before it.
AnyMetricOptions options_of(MetricKind kind, double damping) {
  AnyMetricOptions options = default_options(kind);
  std::visit(
      [damping](auto& one) {
        if constexpr (requires { one.damping; }) one.damping = damping;
        if constexpr (requires { one.memory; }) one.memory = 1.0;
      },
      options);
  return options;
}

}  // namespace

Json metric_table(const ModelFile<BernoulliRbm>& file, const Executor& executor, Listener& listener) {
  const Index n_visible = file.model.n_visible();
  const Index n_hidden = file.model.n_hidden();
  const Index n_weights = n_visible * n_hidden;
  const Index n = n_weights + n_visible + n_hidden;
  if (n_hidden > kMostHidden || n > ExactMetric<double>::kMostParameters) {
    throw ConfigError({{"metrics", std::to_string(n) + " parameters",
                        "needs at most " + std::to_string(kMostHidden) + " hidden units and " +
                            std::to_string(ExactMetric<double>::kMostParameters) + " parameters"}});
  }
  const Progress progress = stage(listener, "metrics");
  const Enumeration all(file);
  const std::vector<Index> sizes = {n_visible, n_hidden};
  const std::vector<Vector> means = {(all.visible * all.weights).cast<float>(),
                                     (all.hidden * all.weights).cast<float>()};
  const std::vector<Vector> zero = {Vector::Zero(n_visible), Vector::Zero(n_hidden)};
  const Index units = n_visible + n_hidden;
  const Index square = units * units + n_visible * n_visible + n_hidden * n_hidden;

  struct Row {
    const char* name;
    std::optional<MetricKind> kind;  // none is a multiple of the identity
    double damping;
    Index numbers;
  };
  Json rows = Json::array();
  int done = 0;
  const auto judge_rows = [&](const std::vector<Vector>& offsets, const std::vector<Row>& wanted) {
    const Judge judge(exact_fisher(all, offsets, executor));
    const LayerOffsets view = {&offsets[0], &offsets[1]};
    const DenseFisher<double> fisher(
        {all.visible.colwise() - offsets[0].cast<double>(), all.hidden.colwise() - offsets[1].cast<double>()},
        all.weights, {all.variance, Layer()});
    for (const Row& row : wanted) {
      Eigen::MatrixXd inverse = Eigen::MatrixXd::Identity(n, n);
      if (row.kind) {
        const AnyMetric<double> metric = make_metric<double>(options_of(*row.kind, row.damping), view);
        AnyMetricState<double> state = prepare(metric, sizes);
        observe(metric, fisher, state);
        Doubles unit = zero_layers<double>(LayerShape(sizes));
        for (Index k = 0; k < n; ++k) {
          unflatten(Eigen::VectorXd(Eigen::VectorXd::Unit(n, k)), unit);
          SolveReport report;
          inverse.col(k) = flatten(solve(metric, fisher, state, unit, {}, report));
        }
        inverse = 0.5 * (inverse + inverse.transpose().eval());
      }
      rows.push_back(judge.row(row.name, row.numbers, std::move(inverse), !row.kind, n_weights));
      progress(++done / 7.0);
    }
  };
  judge_rows(zero, {{"euclid", {}, 0.0, 1}, {"diagonal", MetricKind::kDiagonal, kRidge, n}});
  // Of a product of two factors the damping is the square of theirs.
  const double factor_ridge = std::sqrt(kRidge);
  judge_rows(means, {{"euclid, centred", {}, 0.0, 1},
                     {"diagonal, centred", MetricKind::kDiagonal, kRidge, n},
                     {"fang", MetricKind::kFang, kRidge, units * units + 3 * n_weights},
                     {"kfac", MetricKind::kKfac, kRidge, square},
                     {"ekfac", MetricKind::kEkfac, factor_ridge, square + n_weights}});
  return {{"states", all.hidden.cols()}, {"rows", rows}};
}

}  // namespace tempera::apps
