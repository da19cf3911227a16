// Metrics on machines small enough to enumerate, in double: the formulas of docs/mathematics/metrics.md.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <functional>

#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/train/metric.hpp"
#include "tempera/train/step.hpp"

namespace tempera {
namespace {

using Doubles = LayerParams<double>;
using Layer = Fisher<double>::Layer;

double random_normal(StreamEngine& engine) {
  const double u = 1.0 - uniform_53(engine);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * M_PI * uniform_53(engine));
}

Doubles random_params(const std::vector<Index>& sizes, double scale, std::uint64_t seed) {
  StreamEngine engine = StreamFactory{seed}.engine(Purpose::kParameters, 0);
  Doubles x;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) x.weights.emplace_back(sizes[k], sizes[k + 1]);
  for (const Index n : sizes) x.bias.emplace_back(n);
  for_each_flat(
      [&](auto a) {
        for (auto& value : a) value = scale * random_normal(engine);
      },
      x);
  return x;
}

/// A machine of Bernoulli layers by brute force, in double: states are numbered by the bits of all units.
class Machine {
 public:
  Machine(std::vector<Index> sizes, double scale, std::uint64_t seed)
      : sizes_(std::move(sizes)), theta(random_params(sizes_, scale, seed)) {}

  [[nodiscard]] const std::vector<Index>& sizes() const { return sizes_; }
  [[nodiscard]] Index units() const {
    Index n = 0;
    for (const Index k : sizes_) n += k;
    return n;
  }
  [[nodiscard]] Index states() const { return Index{1} << units(); }

  /// Values of every layer, units x states.
  [[nodiscard]] std::vector<Layer> values() const {
    std::vector<Layer> layers;
    Index first = 0;
    for (const Index n : sizes_) {
      Layer x(n, states());
      for (Index s = 0; s < states(); ++s) {
        for (Index i = 0; i < n; ++i) x(i, s) = static_cast<double>(s >> (first + i) & 1);
      }
      layers.push_back(x);
      first += n;
    }
    return layers;
  }
  static Eigen::VectorXd log_weights(const std::vector<Layer>& x, const Doubles& at) {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(x.front().cols());
    for (std::size_t k = 0; k < x.size(); ++k) sum += x[k].transpose() * at.bias[k];
    for (std::size_t k = 0; k + 1 < x.size(); ++k)
      sum += x[k].cwiseProduct(at.weights[k] * x[k + 1]).colwise().sum().transpose();
    return sum;
  }
  [[nodiscard]] double log_partition(const Doubles& at) const {
    LogSumExp total;
    for (const double w : log_weights(values(), at)) total.add(w);
    return total.value();
  }
  [[nodiscard]] Eigen::VectorXd probabilities() const {
    const Eigen::VectorXd w = log_weights(values(), theta);
    return (w.array() - log_partition(theta)).exp().matrix();
  }
  [[nodiscard]] std::vector<Vector> means() const {
    std::vector<Vector> result;
    for (const Layer& x : values()) result.emplace_back((x * probabilities()).cast<float>());
    return result;
  }

 private:
  std::vector<Index> sizes_;

 public:
  Doubles theta;
};

std::vector<Vector> constant_offsets(const std::vector<Index>& sizes, float value) {
  std::vector<Vector> offsets;
  for (const Index n : sizes) offsets.push_back(Vector::Constant(n, value));
  return offsets;
}

LayerOffsets view(const std::vector<Vector>& offsets) {
  LayerOffsets all;
  for (const Vector& o : offsets) all.push_back(&o);
  return all;
}

std::vector<Layer> centred(std::vector<Layer> values, const std::vector<Vector>& offsets) {
  for (std::size_t k = 0; k < values.size(); ++k) values[k].colwise() -= offsets[k].cast<double>();
  return values;
}

DenseFisher<double> exact_fisher(const Machine& machine, const std::vector<Vector>& offsets) {
  return {centred(machine.values(), offsets), machine.probabilities()};
}

/// The first layer as it is, the second one's expectations: the marginal law of a restricted machine.
DenseFisher<double> marginal_fisher(const Machine& machine, const std::vector<Vector>& offsets) {
  std::vector<Layer> x = machine.values();
  x[1] = (machine.theta.weights[0].transpose() * x[0]).colwise() + machine.theta.bias[1];
  x[1] = x[1].unaryExpr([](double a) { return sigmoid(a); });
  return {centred(std::move(x), offsets), machine.probabilities()};
}

/// Draws of a machine's exact law.
DenseFisher<double> sampled_fisher(const Machine& machine, const std::vector<Vector>& offsets, Index n,
                                   std::uint64_t seed) {
  const Eigen::VectorXd p = machine.probabilities();
  std::vector<Layer> all = centred(machine.values(), offsets);
  std::vector<Layer> draws;
  for (const Layer& x : all) draws.emplace_back(x.rows(), n);
  StreamEngine engine = StreamFactory{seed}.engine(Purpose::kSampling, 0);
  for (Index m = 0; m < n; ++m) {
    double u = uniform_53(engine);
    Index s = 0;
    while (s + 1 < p.size() && u >= p[s]) u -= p[s++];
    for (std::size_t k = 0; k < all.size(); ++k) draws[k].col(m) = all[k].col(s);
  }
  return {std::move(draws), Eigen::VectorXd::Constant(n, 1.0 / static_cast<double>(n))};
}

Eigen::MatrixXd dense(const std::function<Doubles(const Doubles&)>& f, const Doubles& like) {
  const Index n = size_of(like);
  Eigen::MatrixXd matrix(n, n);
  Doubles x = like;
  for (Index k = 0; k < n; ++k) {
    unflatten(Eigen::VectorXd(Eigen::VectorXd::Unit(n, k)), x);
    matrix.col(k) = flatten(f(x));
  }
  return matrix;
}
Eigen::MatrixXd dense(const Fisher<double>& fisher, const Doubles& like) {
  return dense([&](const Doubles& x) { return fisher.product(x); }, like);
}

double relative(const Doubles& a, const Doubles& b) {
  return (flatten(a) - flatten(b)).norm() / flatten(b).norm();
}

MetricOptions options_of(const std::string& kind, double damping = 0.1) {
  MetricOptions options;
  options.kind = kind;
  options.damping = damping;
  options.memory = 1.0;  // what is observed now, alone
  options.refresh = 1;
  options.insert_every = 1;
  options.forgetting = 0.0;
  options.tolerance = 1e-13;
  options.iterations = 1000;
  options.rank = 40;
  return options;
}

/// P^-1 g of a metric that has observed this Fisher matrix once.
Doubles solve(const MetricOptions& options, const Fisher<double>& fisher, const Doubles& g,
              const std::vector<Vector>& offsets) {
  return std::visit(
      [&](const auto& metric) {
        MetricState<double> state;
        metric.prepare(layer_sizes(g), state);
        metric.observe(fisher, state);
        SolveReport report;
        return metric.solve(fisher, state, g, report);
      },
      make_metric<double>(options, view(offsets)));
}

const std::vector<std::string> kKinds = {"diagonal", "mfng",  "sample", "kfac", "ekfac",
                                         "fang",     "tonga", "hybrid", "exact"};

// --- 1: the Fisher matrices ----------------------------------------------------------------------------

TEST(FisherMatrix, IsTheHessianOfLogZ) {
  for (const auto& sizes : {std::vector<Index>{5, 4}, {4, 3, 2}}) {
    const Machine machine(sizes, 0.7, 3);
    const std::vector<Vector> zero = constant_offsets(sizes, 0.0F);
    const Eigen::MatrixXd fisher = dense(exact_fisher(machine, zero), machine.theta);
    const Index n = size_of(machine.theta);
    const Eigen::VectorXd at = flatten(machine.theta);
    constexpr double kStep = 1e-4;
    const auto log_z = [&](Index a, double da, Index b, double db) {
      Eigen::VectorXd moved = at;
      moved[a] += da;
      moved[b] += db;
      Doubles theta = machine.theta;
      unflatten(moved, theta);
      return machine.log_partition(theta);
    };
    double largest = 0;
    for (Index a = 0; a < n; a += 3) {
      for (Index b = 0; b <= a; b += 2) {
        const double second = (log_z(a, kStep, b, kStep) - log_z(a, kStep, b, -kStep) -
                               log_z(a, -kStep, b, kStep) + log_z(a, -kStep, b, -kStep)) /
                              (4 * kStep * kStep);
        EXPECT_NEAR(fisher(a, b), second, 2e-7);
        largest = std::max(largest, std::abs(second));
      }
    }
    EXPECT_GT(largest, 0.05);
  }
}

TEST(FisherMatrix, JointIsNotSmallerThanMarginalAndBothMakeTheCurvature) {
  const Machine machine({5, 4}, 0.9, 4);
  const std::vector<Vector> zero = constant_offsets(machine.sizes(), 0.0F);
  const Eigen::MatrixXd joint = dense(exact_fisher(machine, zero), machine.theta);
  const Eigen::MatrixXd marginal = dense(marginal_fisher(machine, zero), machine.theta);
  const Eigen::VectorXd gap = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(joint - marginal).eigenvalues();
  EXPECT_GT(gap.minCoeff(), -1e-12);
  EXPECT_GT(gap.maxCoeff(), 1e-2);
  // With the model for data, -Hess log-likelihood = F_joint - E[Cov(s | v)] = F_marginal: along a direction,
  // by differences of the expected log-likelihood.
  const Doubles d = random_params(machine.sizes(), 1.0, 8);
  const Eigen::VectorXd p = machine.probabilities();
  const std::vector<Layer> x = machine.values();
  const auto log_likelihood = [&](double t) {
    Doubles theta = machine.theta;
    add_scaled(theta, t, d);
    const Eigen::VectorXd w = Machine::log_weights(x, theta);
    double sum = 0;
    for (Index v = 0; v < 32; ++v) {
      LogSumExp total;
      double mass = 0;
      for (Index h = 0; h < 16; ++h) {
        total.add(w[v + 32 * h]);
        mass += p[v + 32 * h];
      }
      sum += mass * total.value();
    }
    return sum - machine.log_partition(theta);
  };
  constexpr double kStep = 1e-3;
  const double second =
      (log_likelihood(kStep) - 2 * log_likelihood(0) + log_likelihood(-kStep)) / (kStep * kStep);
  EXPECT_NEAR(-second, flatten(d).dot(marginal * flatten(d)), 1e-5);
}

// --- 2: draws ------------------------------------------------------------------------------------------

TEST(FisherMatrix, ErrorFallsWithTheRootOfTheDraws) {
  const Machine machine({5, 4}, 0.8, 5);
  const std::vector<Vector> means = machine.means();
  const Eigen::MatrixXd exact = dense(exact_fisher(machine, means), machine.theta);
  std::vector<double> errors;
  for (const Index n : {100, 1000, 10000, 100000}) {
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 4; ++seed)
      sum +=
          (dense(sampled_fisher(machine, means, n, seed), machine.theta) - exact).norm() / exact.norm() / 4;
    errors.push_back(sum);
  }
  const double slope = (std::log(errors[3]) - std::log(errors[0])) / std::log(1000.0);
  EXPECT_NEAR(slope, -0.5, 0.1);
}

TEST(FisherMatrix, GramMatrixIsOfTheStatistics) {
  const Machine machine({5, 4, 3}, 0.8, 6);
  const std::vector<Vector> offsets = constant_offsets(machine.sizes(), 0.4F);
  const DenseFisher<double> fisher = sampled_fisher(machine, offsets, 30, 7);
  Eigen::MatrixXd rows(30, size_of(machine.theta));
  for (Index m = 0; m < 30; ++m)
    rows.row(m) = std::sqrt(1.0 / 30) * flatten(fisher.combine(Eigen::VectorXd::Unit(30, m))).transpose();
  EXPECT_LT((rows * rows.transpose() - fisher.gram()).norm(), 1e-12);
  // A constant added to every score changes nothing; F is symmetric and positive.
  const Doubles x = random_params(machine.sizes(), 1.0, 9);
  const Doubles y = random_params(machine.sizes(), 1.0, 10);
  EXPECT_NEAR(dot(x, fisher.product(y)), dot(y, fisher.product(x)), 1e-12);
  EXPECT_GT(dot(x, fisher.product(x)), 0.0);
  EXPECT_LT(
      relative(
          fisher.combine(Eigen::VectorXd::LinSpaced(30, 0, 1)),
          fisher.combine(
              (Eigen::VectorXd::LinSpaced(30, 0, 1).array() + Eigen::ArrayXd::Constant(30, 5.0)).matrix())),
      1e-10);
}

TEST(FisherMatrix, UniformWeightsAreNoWeights) {
  const Machine machine({5, 4}, 0.8, 6);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 20, 7);
  // Every draw twice with half the weight.
  std::vector<Layer> twice;
  for (const Layer& x : fisher.layers()) {
    twice.emplace_back(x.rows(), 40);
    twice.back() << x, x;
  }
  Eigen::VectorXd weights(40);
  weights << Eigen::VectorXd::Constant(20, 0.2 / 20), Eigen::VectorXd::Constant(20, 0.8 / 20);
  const DenseFisher<double> weighted(twice, weights);
  const Doubles g = random_params(machine.sizes(), 1.0, 11);
  EXPECT_LT(relative(weighted.product(g), fisher.product(g)), 1e-12);
  for (const char* kind : {"sample", "hybrid", "kfac"})
    EXPECT_LT(
        relative(solve(options_of(kind), weighted, g, means), solve(options_of(kind), fisher, g, means)),
        1e-9)
        << kind;
}

// --- 3: invariance -------------------------------------------------------------------------------------

/// Renames units: state x becomes 1 - x where `flipped`. Parameters change so that the law stays.
struct Flip {
  std::vector<Eigen::VectorXd> flipped;  // 1 where a unit flips, else 0

  /// x = f + s x' with s = 1 - 2 f: plain parameters of x' from those of x; for directions as well, since it
  /// is linear.
  [[nodiscard]] Doubles params(const Doubles& theta) const {
    Doubles y = theta;
    std::vector<Eigen::VectorXd> s;
    for (const auto& f : flipped) s.emplace_back((1.0 - 2.0 * f.array()).matrix());
    for (std::size_t k = 0; k < theta.weights.size(); ++k) {
      y.weights[k] = s[k].asDiagonal() * theta.weights[k] * s[k + 1].asDiagonal();
      y.bias[k] += theta.weights[k] * flipped[k + 1];
      y.bias[k + 1] += theta.weights[k].transpose() * flipped[k];
    }
    for (std::size_t k = 0; k < theta.bias.size(); ++k) y.bias[k] = s[k].cwiseProduct(y.bias[k]);
    return y;
  }
  [[nodiscard]] std::vector<Vector> offsets(const std::vector<Vector>& mu) const {
    std::vector<Vector> y;
    for (std::size_t k = 0; k < mu.size(); ++k)
      y.push_back((flipped[k].array() + (1.0 - 2.0 * flipped[k].array()) * mu[k].cast<double>().array())
                      .cast<float>()
                      .matrix());
    return y;
  }
};

/// Gradient of the mean log-likelihood of some states, in centred coordinates, up to what does not matter
/// here: the mean of the data's statistics minus that of the model.
Doubles gradient_of(const Machine& machine, const std::vector<Index>& data,
                    const std::vector<Vector>& offsets) {
  Eigen::VectorXd z = -machine.probabilities();
  for (const Index s : data) z[s] += 1.0 / static_cast<double>(data.size());
  const std::vector<Layer> x = machine.values();
  Doubles g;
  for (const Layer& layer : x) g.bias.emplace_back(layer * z);
  for (std::size_t k = 0; k + 1 < x.size(); ++k)
    g.weights.emplace_back(x[k] * z.asDiagonal() * x[k + 1].transpose());
  centre_gradient(view(offsets), g);
  return g;
}

/// Plain direction of a metric on a machine, for data given as states.
Doubles plain_step(const Machine& machine, const std::string& kind, double damping,
                   const std::vector<Index>& data, const std::vector<Vector>& offsets) {
  const DenseFisher<double> fisher = exact_fisher(machine, offsets);
  Doubles d = solve(options_of(kind, damping), fisher, gradient_of(machine, data, offsets), offsets);
  plain_direction(view(offsets), d);
  return d;
}

class Flips : public testing::TestWithParam<std::string> {};

TEST_P(Flips, DoNotChangeTheStepInCentredCoordinates) {
  const std::string kind = GetParam();
  for (const auto& sizes : {std::vector<Index>{4, 3}, {4, 3, 2}}) {
    Machine machine(sizes, 0.8, 12);
    Flip flip;
    Index mask = 0;
    Index at = 0;
    for (const Index n : sizes) {
      Eigen::VectorXd f(n);
      for (Index i = 0; i < n; ++i, ++at) {
        f[i] = (at * 7 + 3) % 5 < 2 ? 1.0 : 0.0;
        if (f[i] > 0) mask |= Index{1} << at;
      }
      flip.flipped.push_back(f);
    }
    Machine other(sizes, 0.0, 1);
    other.theta = flip.params(machine.theta);
    const std::vector<Index> data = {5, 17, 40, 99};
    std::vector<Index> flipped_data;
    for (const Index s : data) flipped_data.push_back(s ^ mask);
    const auto disagreement = [&](const std::vector<Vector>& offsets, const std::vector<Vector>& others) {
      const Doubles step = plain_step(machine, kind, 0.01, data, offsets);
      return relative(plain_step(other, kind, 0.01, flipped_data, others), flip.params(step));
    };
    // Offsets are kept in float.
    std::vector<Vector> means = machine.means();
    for (Vector& m : means) m = (m * 1024.0F).array().round().matrix() / 1024.0F;
    EXPECT_LT(disagreement(means, flip.offsets(means)), 1e-8) << kind;
    const std::vector<Vector> raw = constant_offsets(sizes, 0.0F);
    EXPECT_GT(disagreement(raw, raw), 1e-3) << "planted: damping in raw coordinates, " << kind;
  }
}
INSTANTIATE_TEST_SUITE_P(Metrics, Flips, testing::ValuesIn(kKinds));

TEST(NaturalGradient, WithoutDampingNeedsNoCentring) {
  const Machine machine({4, 3}, 0.8, 13);
  const std::vector<Index> data = {5, 17, 40, 99};
  const auto step = [&](const std::vector<Vector>& offsets, double damping) {
    return plain_step(machine, "exact", damping, data, offsets);
  };
  const std::vector<Vector> raw = constant_offsets(machine.sizes(), 0.0F);
  EXPECT_LT(relative(step(machine.means(), 1e-13), step(raw, 1e-13)), 1e-6);
  EXPECT_GT(relative(step(machine.means(), 0.01), step(raw, 0.01)), 1e-2);
}

// --- 4: the same solution three ways ---------------------------------------------------------------------

TEST(Metrics, MfngSampleAndExactAreTheSame) {
  for (const auto& sizes : {std::vector<Index>{6, 4}, {5, 4, 3}}) {
    const Machine machine(sizes, 0.9, 14);
    const std::vector<Vector> means = machine.means();
    const Doubles g = random_params(sizes, 1.0, 15);
    for (const double damping : {1e-3, 0.1, 10.0}) {
      for (const bool marginal : {false, true}) {
        if (marginal && sizes.size() > 2) continue;
        const DenseFisher<double> fisher =
            marginal ? marginal_fisher(machine, means) : sampled_fisher(machine, means, 40, 16);
        const Doubles exact = solve(options_of("exact", damping), fisher, g, means);
        EXPECT_LT(relative(solve(options_of("sample", damping), fisher, g, means), exact), 1e-8);
        EXPECT_LT(relative(solve(options_of("mfng", damping), fisher, g, means), exact), 1e-8);
        MetricOptions cg = options_of("mfng", damping);
        cg.solver = "cg";
        EXPECT_LT(relative(solve(cg, fisher, g, means), exact), 1e-8);
        cg.preconditioner = "kfac";
        EXPECT_LT(relative(solve(cg, fisher, g, means), exact), 1e-8);
        EXPECT_GT(relative(solve(options_of("sample", 1.1 * damping), fisher, g, means), exact), 1e-6)
            << "planted: another damping";
      }
    }
    // Large damping: the gradient itself.
    Doubles scaled = g;
    scale(scaled, 1e-6);
    EXPECT_LT(
        relative(solve(options_of("sample", 1e6), sampled_fisher(machine, means, 40, 16), g, means), scaled),
        1e-4);
  }
}

TEST(Metrics, ResidualsOfMinresNeverGrow) {
  const Machine machine({6, 4}, 0.9, 14);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 40, 16);
  const Doubles g = random_params(machine.sizes(), 1.0, 15);
  double last = 1.0;
  for (Index n = 1; n <= 30; ++n) {
    MetricOptions options = options_of("mfng", 0.01);
    options.iterations = n;
    Doubles residual = MfngMetric<double>{options}.apply(fisher, {}, solve(options, fisher, g, means));
    add_scaled(residual, -1.0, g);
    const double now = std::sqrt(dot(residual, residual) / dot(g, g));
    EXPECT_LE(now, last + 1e-12);
    last = now;
  }
  EXPECT_LT(last, 1e-6);
}

// --- 5, 6: factored metrics --------------------------------------------------------------------------------

TEST(Metrics, FactoredOnesAreExactForIndependentUnits) {
  Machine machine({4, 3, 2}, 1.0, 17);
  for (auto& w : machine.theta.weights) w.setZero();
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = exact_fisher(machine, means);
  const Doubles g = random_params(machine.sizes(), 1.0, 18);
  const Doubles exact = solve(options_of("exact", 1e-9), fisher, g, means);
  for (const char* kind : {"diagonal", "kfac", "ekfac", "fang"})
    EXPECT_LT(relative(solve(options_of(kind, 1e-9), fisher, g, means), exact), 1e-5) << kind;
  const Machine coupled({4, 3, 2}, 1.0, 17);
  const std::vector<Vector> other = coupled.means();
  EXPECT_GT(relative(solve(options_of("kfac", 1e-9), exact_fisher(coupled, other), g, other),
                     solve(options_of("exact", 1e-9), exact_fisher(coupled, other), g, other)),
            0.1);
}

TEST(Metrics, EkfacIsNeverFurtherFromTheFisherMatrixThanKfac) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const Machine machine({3, 3}, 0.2 + 0.002 * static_cast<double>(seed), seed);
    const std::vector<Vector> means = machine.means();
    const DenseFisher<double> fisher = exact_fisher(machine, means);
    const Index weights = 9;
    const auto matrix_of = [&](const auto& metric) {
      MetricState<double> state;
      metric.prepare(machine.sizes(), state);
      metric.observe(fisher, state);
      return Eigen::MatrixXd(
          dense([&](const Doubles& x) { return metric.apply(fisher, state, x); }, machine.theta)
              .topLeftCorner(weights, weights));
    };
    const Eigen::MatrixXd exact = dense(fisher, machine.theta).topLeftCorner(weights, weights);
    const Eigen::MatrixXd ekfac = matrix_of(EkfacMetric<double>{options_of("ekfac", 1e-9)});
    EXPECT_LE((ekfac - exact).norm(),
              (matrix_of(KfacMetric<double>{options_of("kfac", 1e-9)}) - exact).norm() + 1e-9);
    EXPECT_NEAR((ekfac.inverse() * exact).trace(), static_cast<double>(weights), 1e-3);
  }
}

TEST(Metrics, FangKeepsMarginalsOfItsCliques) {
  const Machine machine({4, 3}, 1.0, 19);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = exact_fisher(machine, means);
  const FangMetric<double> fang{options_of("fang", 1e-12), view(means)};
  MetricState<double> state;
  fang.prepare(machine.sizes(), state);
  fang.observe(fisher, state);
  const Eigen::MatrixXd p =
      dense([&](const Doubles& x) { return fang.apply(fisher, state, x); }, machine.theta);
  const Eigen::MatrixXd f = dense(fisher, machine.theta);
  EXPECT_LT((p.bottomRightCorner(7, 7) - f.bottomRightCorner(7, 7)).norm(), 1e-7);
  for (Index i = 0; i < 4; ++i) {
    for (Index j = 0; j < 3; ++j) {
      const Index w = i * 3 + j;
      EXPECT_NEAR(p(w, w), f(w, w), 1e-7);
      EXPECT_NEAR(p(w, 12 + i), f(w, 12 + i), 1e-7);
      EXPECT_NEAR(p(w, 16 + j), f(w, 16 + j), 1e-7);
    }
  }
  EXPECT_NEAR((p.inverse() * f).trace(), static_cast<double>(f.rows()), 1e-4);
}

// --- 7: tonga ----------------------------------------------------------------------------------------------

TEST(Metrics, TongaOfFullRankIsExactAndForgets) {
  const Machine machine({4, 3}, 0.9, 20);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> first = sampled_fisher(machine, means, 15, 21);
  const DenseFisher<double> second = sampled_fisher(machine, means, 12, 22);
  TongaMetric<double> tonga{options_of("tonga", 0.1)};
  tonga.options.forgetting = 0.7;
  MetricState<double> state;
  tonga.prepare(machine.sizes(), state);
  tonga.observe(first, state);
  tonga.observe(second, state);
  const auto matrix = [&](double damping) {
    tonga.options.damping = damping;
    return dense([&](const Doubles& x) { return tonga.apply(second, state, x); }, machine.theta);
  };
  const Eigen::MatrixXd expected = 0.7 * dense(first, machine.theta) + 0.3 * dense(second, machine.theta);
  EXPECT_LT((matrix(1e-13) - expected).norm(), 1e-8);
  EXPECT_GT((matrix(1e-13) - 0.5 * dense(first, machine.theta) - 0.5 * dense(second, machine.theta)).norm(),
            1e-2);
  // A truncation leaves out the smallest directions of the whitened matrix.
  tonga.options.rank = 5;
  tonga.options.damping = 1e-13;
  MetricState<double> few;
  tonga.prepare(machine.sizes(), few);
  tonga.observe(first, few);
  const Eigen::MatrixXd kept =
      dense([&](const Doubles& x) { return tonga.apply(first, few, x); }, machine.theta);
  const Eigen::MatrixXd lost = dense(first, machine.theta) - kept;
  EXPECT_GT(Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(lost).eigenvalues().minCoeff(), -1e-9);
  EXPECT_EQ((Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(kept).eigenvalues().array() > 1e-9).count(), 5);
}

// --- 8: what every metric promises -------------------------------------------------------------------------

class EveryMetric : public testing::TestWithParam<std::string> {};

TEST_P(EveryMetric, IsLinearSymmetricPositiveAndUndoesItsOwnApplication) {
  const std::string kind = GetParam();
  for (const auto& sizes : {std::vector<Index>{5, 4}, {4, 3, 2}}) {
    const Machine machine(sizes, 0.8, 23);
    const std::vector<Vector> means = machine.means();
    const DenseFisher<double> fisher = sampled_fisher(machine, means, 60, 24);
    std::visit(
        [&](const auto& metric) {
          MetricState<double> state;
          metric.prepare(sizes, state);
          metric.observe(fisher, state);
          SolveReport report;
          const auto solved = [&](const Doubles& g) { return metric.solve(fisher, state, g, report); };
          const Doubles x = random_params(sizes, 1.0, 25);
          const Doubles y = random_params(sizes, 1.0, 26);
          EXPECT_LT(relative(solved(metric.apply(fisher, state, x)), x), 1e-7);
          Doubles sum = x;
          add_scaled(sum, 2.0, y);
          Doubles of_parts = solved(x);
          add_scaled(of_parts, 2.0, solved(y));
          EXPECT_LT(relative(solved(sum), of_parts), 1e-8);
          EXPECT_NEAR(dot(x, solved(y)), dot(y, solved(x)), 1e-7 * std::abs(dot(x, solved(x))));
          EXPECT_GT(dot(x, solved(x)), 0.0);
          EXPECT_EQ(flatten(solved(zeros_like(x))).norm(), 0.0);
        },
        make_metric<double>(options_of(kind, 0.1), view(means)));
  }
}
INSTANTIATE_TEST_SUITE_P(Metrics, EveryMetric, testing::ValuesIn(kKinds));

/// The kernels' Fisher matrix is the dense one, for any number of threads.
template <class M>
class KernelFishers : public testing::Test {};
using BinaryModels = testing::Types<BernoulliRbm, Dbm>;
TYPED_TEST_SUITE(KernelFishers, BinaryModels);

TYPED_TEST(KernelFishers, AreTheDenseOneForAnyThreads) {
  using M = TypeParam;
  const std::vector<Index> sizes =
      std::is_same_v<M, Dbm> ? std::vector<Index>{37, 29, 18} : std::vector<Index>{37, 29};
  const M model = M::with_layers(sizes, Vector::Zero(37));
  const auto theta = model.initial_params(StreamFactory{2}, 0.4);
  auto offsets = model.initial_offsets(Eigen::VectorXd::LinSpaced(37, 0.2, 0.7));
  LayerParams<float> g = cast<float>(random_params(sizes, 1.0, 27));
  for (const Latents latents : {Latents::kDrawn, Latents::kExpected, Latents::kMoments}) {
    Eigen::VectorXf reference;
    for (const int threads : {1, 2, 3, 5}) {
      const Workers workers(threads);
      auto chains = reference_chains(model, 150, StreamFactory{3}, Purpose::kChains, workers);
      Workspace<M> workspace;
      workspace.fit(model, 150, workers);
      advance(model, theta, 3, StreamFactory{3}, Purpose::kChains, chains, workspace, workers);
      mean_latents(model, theta, chains.blocks, workspace, workers);
      std::vector<std::uint64_t> which;
      for (std::uint64_t c = 0; c < 150; ++c) {
        if (c % 11 != 5) which.push_back(c);
      }
      FisherWorkspace<M> memory;
      const KernelFisher<M> fisher(model, theta, chains.blocks, workspace, which, latents, offsets, memory,
                                   workers);
      const Flat<float> product = flatten(fisher.product(g));
      if (reference.size() == 0) reference = product;
      EXPECT_TRUE(reference == product) << threads;
      std::vector<Layer> layers;
      std::vector<Layer> variances;
      for (const auto& x : fisher.layers()) layers.push_back(x.template cast<double>());
      for (const auto& v : fisher.variances()) variances.push_back(v.template cast<double>());
      const DenseFisher<double> dense(layers, fisher.weights(), variances);
      EXPECT_LT(relative(cast<double>(fisher.product(g)), dense.product(cast<double>(g))), 2e-5);
      EXPECT_LT((fisher.gram() - dense.gram()).norm() / dense.gram().norm(), 1e-5);
      for (const char* kind : {"sample", "kfac", "hybrid"}) {
        const auto metric = make_metric<float>(options_of(kind), M::layer_offsets(offsets));
        const LayerParams<float> d = std::visit(
            [&](const auto& one) {
              MetricState<float> state;
              one.prepare(sizes, state);
              one.observe(fisher, state);
              SolveReport report;
              return one.solve(fisher, state, g, report);
            },
            metric);
        std::vector<Vector> all;
        for (const Vector* o : M::layer_offsets(offsets)) all.push_back(*o);
        EXPECT_LT(relative(cast<double>(d), solve(options_of(kind), dense, cast<double>(g), all)), 1e-3)
            << kind;
      }
    }
  }
}

TEST(Metrics, MomentsWithVariancesAreThoseOfTheJointLaw) {
  // Expected latents of every visible state, with their variances, have the moments of all joint states.
  const Machine machine({5, 4}, 0.9, 28);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> joint = exact_fisher(machine, means);
  const DenseFisher<double> expected = marginal_fisher(machine, means);
  std::vector<Layer> variances(2);
  const Eigen::ArrayXXd mean = (expected.layers()[1].colwise() + means[1].cast<double>()).array();
  variances[1] = (mean * (1.0 - mean)).matrix();
  const DenseFisher<double> moments(expected.layers(), expected.weights(), variances);
  const Doubles g = random_params(machine.sizes(), 1.0, 29);
  for (const char* kind : {"diagonal", "kfac", "ekfac", "fang"}) {
    EXPECT_LT(relative(solve(options_of(kind), moments, g, means), solve(options_of(kind), joint, g, means)),
              1e-9)
        << kind;
    EXPECT_GT(relative(solve(options_of(kind), expected, g, means), solve(options_of(kind), joint, g, means)),
              1e-3)
        << "planted: variances forgotten, " << kind;
  }
}

// --- 9, 10: steps ------------------------------------------------------------------------------------------

double exact_kl(const Machine& machine, const Doubles& step) {
  Doubles there = machine.theta;
  add_scaled(there, 1.0, step);
  const Eigen::VectorXd p = machine.probabilities();
  const std::vector<Layer> x = machine.values();
  return p.dot(Machine::log_weights(x, machine.theta) - Machine::log_weights(x, there)) -
         machine.log_partition(machine.theta) + machine.log_partition(there);
}

TEST(Step, KlRadiusIsKept) {
  const Machine machine({5, 4}, 0.8, 30);
  const std::vector<Vector> zero = constant_offsets(machine.sizes(), 0.0F);
  const DenseFisher<double> fisher = exact_fisher(machine, zero);
  const Doubles g = random_params(machine.sizes(), 0.3, 31);
  const MetricOptions metric = options_of("sample", 1e-3);
  const Doubles d = solve(metric, fisher, g, zero);
  const auto precondition = [&](const Doubles& x) { return solve(metric, fisher, x, zero); };
  double best = 0;
  for (const char* controller : {"kl", "blocks2", "krylov"}) {
    StepOptions options{controller, 1e9, 0.003, 5, 1e-9};
    StepReport report;
    const Doubles step = take_step<double>(options, fisher, g, d, {}, precondition, &report);
    EXPECT_LT(exact_kl(machine, step) / report.predicted_kl, 1.1) << controller;
    EXPECT_GT(exact_kl(machine, step) / report.predicted_kl, 0.9) << controller;
    EXPECT_LE(report.predicted_kl, 0.003 * (1 + 1e-6)) << controller;
    EXPECT_NEAR(report.predicted_gain, dot(g, step), 1e-12);
    // More directions cannot gain less.
    EXPECT_GE(report.predicted_gain, best * (1 - 1e-6)) << controller;
    best = report.predicted_gain;
  }
  StepOptions fixed{"fixed", 0.25, 0.003, 5, 0.1};
  StepReport report;
  Doubles expected = d;
  scale(expected, 0.25);
  EXPECT_LT(relative(take_step<double>(fixed, fisher, g, d, {}, precondition, &report), expected), 1e-14);
}

TEST(Step, SpringIsTheGradientDrawnToTheLastDirection) {
  // argmin |A d - ...|: d = P^-1 (g + l m p) = m p + P^-1 (g - m F p), the two forms of
  // docs/mathematics/metrics.md 4.13.
  const Machine machine({5, 4}, 0.8, 32);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 40, 33);
  const Doubles g = random_params(machine.sizes(), 1.0, 34);
  const Doubles last = random_params(machine.sizes(), 1.0, 35);
  const MetricOptions options = options_of("sample", 0.2);
  Doubles drawn = g;
  add_scaled(drawn, 0.2 * 0.9, last);
  Doubles residual = g;
  add_scaled(residual, -0.9, fisher.product(last));
  Doubles other = solve(options, fisher, residual, means);
  add_scaled(other, 0.9, last);
  EXPECT_LT(relative(solve(options, fisher, drawn, means), other), 1e-9);
}

// --- 14: training ------------------------------------------------------------------------------------------

TEST(NaturalGradient, ReachesTheBoundWhereSgdDoesNot) {
  // Data of a machine of the same kind, so that the bound can be reached.
  const Machine teacher({5, 4}, 1.5, 5);
  const Eigen::VectorXd joint = teacher.probabilities();
  Eigen::VectorXd data = Eigen::VectorXd::Zero(32);
  for (Index s = 0; s < joint.size(); ++s) data[s & 31] += joint[s];
  const double bound = data.dot(data.array().log().matrix());

  const auto run = [&](const std::string& kind, bool marginal, double rate, int updates) {
    Machine machine({5, 4}, 0.3, 36);
    double value = 0;
    for (int t = 0; t <= updates; ++t) {
      const std::vector<Layer> x = machine.values();
      const Eigen::VectorXd p = machine.probabilities();
      Eigen::VectorXd visible = Eigen::VectorXd::Zero(32);
      for (Index s = 0; s < p.size(); ++s) visible[s & 31] += p[s];
      value = data.dot(visible.array().log().matrix());
      std::vector<Vector> offsets;
      Eigen::VectorXd z(p.size());
      Eigen::VectorXd positive(p.size());
      for (Index s = 0; s < p.size(); ++s) {
        positive[s] = p[s] / visible[s & 31] * data[s & 31];
        z[s] = positive[s] - p[s];
      }
      for (const Layer& layer : x) offsets.emplace_back((layer * positive).cast<float>());
      Doubles g;
      for (const Layer& layer : x) g.bias.emplace_back(layer * z);
      g.weights.emplace_back(x[0] * z.asDiagonal() * x[1].transpose());
      centre_gradient(view(offsets), g);
      Doubles step = g;
      if (kind == "sgd") {
        scale(step, rate);
      } else {
        const DenseFisher<double> fisher =
            marginal ? marginal_fisher(machine, offsets) : exact_fisher(machine, offsets);
        StepOptions options{"kl", rate, 0.05, 5, 0.1};
        step = take_step<double>(options, fisher, g, solve(options_of("exact", 1e-3), fisher, g, offsets), {},
                                 nullptr, nullptr);
      }
      plain_direction(view(offsets), step);
      add_scaled(machine.theta, 1.0, step);
    }
    return value;
  };
  const double marginal = run("natural", true, 0.5, 60);
  const double with_joint = run("natural", false, 0.5, 500);
  const double sgd = run("sgd", true, 0.3, 60);
  const double longer = run("sgd", true, 0.3, 2000);
  EXPECT_GT(marginal, bound - 0.03);
  EXPECT_GT(with_joint, bound - 0.03);
  EXPECT_LT(sgd, marginal - 0.05);
  EXPECT_LT(longer, bound - 0.003);
  RecordProperty("bound", std::to_string(bound));
  std::printf("bound %.4f, marginal (60) %.4f, joint (500) %.4f, sgd (60) %.4f, (2000) %.4f\n", bound,
              marginal, with_joint, sgd, longer);
}

}  // namespace
}  // namespace tempera
