// Metrics on machines small enough to enumerate, in double: the formulas of docs/mathematics/metrics.md.
#include <gtest/gtest.h>

#include "layer_oracles.hpp"

namespace tempera {
namespace {

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
Doubles plain_step(const Machine& machine, MetricKind kind, double damping, const std::vector<Index>& data,
                   const std::vector<Vector>& offsets) {
  const DenseFisher<double> fisher = exact_fisher(machine, offsets);
  Doubles d = solve(options_of(kind, damping), fisher, gradient_of(machine, data, offsets), offsets);
  uncentred_direction(view(offsets), d);
  return d;
}

class Flips : public testing::TestWithParam<MetricKind> {};

TEST_P(Flips, DoNotChangeTheStepInCentredCoordinates) {
  const MetricKind kind = GetParam();
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
    EXPECT_LT(disagreement(means, flip.offsets(means)), 1e-8) << name_of(kind);
    const std::vector<Vector> raw = constant_offsets(sizes, 0.0F);
    EXPECT_GT(disagreement(raw, raw), 1e-3) << "planted: damping in raw coordinates, " << name_of(kind);
  }
}
INSTANTIATE_TEST_SUITE_P(Metrics, Flips, testing::ValuesIn(kKinds));

TEST(NaturalGradient, WithoutDampingNeedsNoCentring) {
  const Machine machine({4, 3}, 0.8, 13);
  const std::vector<Index> data = {5, 17, 40, 99};
  const auto step = [&](const std::vector<Vector>& offsets, double damping) {
    return plain_step(machine, kExact, damping, data, offsets);
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
        const Doubles exact = solve(options_of(kExact, damping), fisher, g, means);
        EXPECT_LT(relative(solve(options_of(kSample, damping), fisher, g, means), exact), 1e-8);
        EXPECT_LT(relative(solve(options_of(kMfng, damping), fisher, g, means), exact), 1e-8);
        auto cg = options_of<MfngOptions>(damping);
        cg.solver = MfngSolver::kCg;
        EXPECT_LT(relative(solve(cg, fisher, g, means), exact), 1e-8);
        cg.preconditioner = MfngPreconditioner::kKfac;
        EXPECT_LT(relative(solve(cg, fisher, g, means), exact), 1e-8);
        EXPECT_GT(relative(solve(options_of(kSample, 1.1 * damping), fisher, g, means), exact), 1e-6)
            << "planted: another damping";
      }
    }
    // Large damping: the gradient itself.
    Doubles scaled = g;
    scale(scaled, 1e-6);
    EXPECT_LT(
        relative(solve(options_of(kSample, 1e6), sampled_fisher(machine, means, 40, 16), g, means), scaled),
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
    auto options = options_of<MfngOptions>(0.01);
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
  const Doubles exact = solve(options_of(kExact, 1e-9), fisher, g, means);
  for (const MetricKind kind : {kDiagonal, kKfac, kEkfac, kFang})
    EXPECT_LT(relative(solve(options_of(kind, 1e-9), fisher, g, means), exact), 1e-5) << name_of(kind);
  const Machine coupled({4, 3, 2}, 1.0, 17);
  const std::vector<Vector> other = coupled.means();
  EXPECT_GT(relative(solve(options_of(kKfac, 1e-9), exact_fisher(coupled, other), g, other),
                     solve(options_of(kExact, 1e-9), exact_fisher(coupled, other), g, other)),
            0.1);
}

TEST(Metrics, EkfacIsNeverFurtherFromTheFisherMatrixThanKfac) {
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const Machine machine({3, 3}, 0.2 + 0.002 * static_cast<double>(seed), seed);
    const std::vector<Vector> means = machine.means();
    const DenseFisher<double> fisher = exact_fisher(machine, means);
    const Index weights = 9;
    const auto matrix_of = [&](const auto& metric) {
      typename std::remove_cvref_t<decltype(metric)>::State state;
      metric.prepare(machine.sizes(), state);
      metric.observe(fisher, state);
      return Eigen::MatrixXd(
          dense([&](const Doubles& x) { return metric.apply(fisher, state, x); }, machine.theta)
              .topLeftCorner(weights, weights));
    };
    const Eigen::MatrixXd exact = dense(fisher, machine.theta).topLeftCorner(weights, weights);
    const Eigen::MatrixXd ekfac = matrix_of(EkfacMetric<double>{options_of<EkfacOptions>(1e-9)});
    EXPECT_LE((ekfac - exact).norm(),
              (matrix_of(KfacMetric<double>{options_of<KfacOptions>(1e-9)}) - exact).norm() + 1e-9);
    EXPECT_NEAR((ekfac.inverse() * exact).trace(), static_cast<double>(weights), 1e-3);
  }
}

TEST(Metrics, FangKeepsMarginalsOfItsCliques) {
  const Machine machine({4, 3}, 1.0, 19);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = exact_fisher(machine, means);
  const FangMetric<double> fang{options_of<FangOptions>(1e-12), view(means)};
  FangState<double> state;
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
  TongaMetric<double> tonga{options_of<TongaOptions>(0.1)};
  tonga.options.forgetting = 0.7;
  TongaState<double> state;
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
  TongaState<double> few;
  tonga.prepare(machine.sizes(), few);
  tonga.observe(first, few);
  const Eigen::MatrixXd kept =
      dense([&](const Doubles& x) { return tonga.apply(first, few, x); }, machine.theta);
  const Eigen::MatrixXd lost = dense(first, machine.theta) - kept;
  EXPECT_GT(Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(lost).eigenvalues().minCoeff(), -1e-9);
  EXPECT_EQ((Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(kept).eigenvalues().array() > 1e-9).count(), 5);
}

// --- 8: what every metric promises -------------------------------------------------------------------------

class EveryMetric : public testing::TestWithParam<MetricKind> {};

TEST_P(EveryMetric, IsLinearSymmetricPositiveAndUndoesItsOwnApplication) {
  const MetricKind kind = GetParam();
  for (const auto& sizes : {std::vector<Index>{5, 4}, {4, 3, 2}}) {
    const Machine machine(sizes, 0.8, 23);
    const std::vector<Vector> means = machine.means();
    const DenseFisher<double> fisher = sampled_fisher(machine, means, 60, 24);
    const AnyMetric<double> metric = make_metric<double>(options_of(kind, 0.1), view(means));
    AnyMetricState<double> state = prepare(metric, sizes);
    observe(metric, fisher, state);
    SolveReport report;
    const auto solved = [&](const Doubles& g) { return solve(metric, fisher, state, g, {}, report); };
    const Doubles x = random_params(sizes, 1.0, 25);
    const Doubles y = random_params(sizes, 1.0, 26);
    EXPECT_LT(relative(solved(apply(metric, fisher, state, x)), x), 1e-7);
    Doubles sum = x;
    add_scaled(sum, 2.0, y);
    Doubles of_parts = solved(x);
    add_scaled(of_parts, 2.0, solved(y));
    EXPECT_LT(relative(solved(sum), of_parts), 1e-8);
    EXPECT_NEAR(dot(x, solved(y)), dot(y, solved(x)), 1e-7 * std::abs(dot(x, solved(x))));
    EXPECT_GT(dot(x, solved(x)), 0.0);
    EXPECT_EQ(flatten(solved(zeros_like(x))).norm(), 0.0);
  }
}
INSTANTIATE_TEST_SUITE_P(Metrics, EveryMetric, testing::ValuesIn(kKinds));

TEST(Metrics, EveryKindHasItsNameAndMakesItself) {
  for (const MetricKind kind : kKinds) {
    EXPECT_EQ(named<MetricKind>(name_of(kind)), kind);
    EXPECT_EQ(kind_of(default_options(kind)), kind);
    const AnyMetric<double> metric = make_metric<double>(default_options(kind), {});
    std::visit([kind](const auto& one) { EXPECT_EQ(one.kKind, kind); }, metric);
  }
  EXPECT_EQ(named<MetricKind>("kfacs"), std::nullopt);
  EXPECT_DOUBLE_EQ(damping_of(options_of(kTonga, 0.3)), 0.3);
  EXPECT_DOUBLE_EQ(damping_of(HybridOptions{{0.4}, 0.6}), 0.4);
}

TEST(Metrics, AStateOfAnotherMetricIsRefused) {
  const Machine machine({3, 2}, 0.8, 23);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 10, 24);
  for (std::size_t k = 0; k < kKinds.size(); ++k) {
    const MetricKind other = kKinds[(k + 1) % kKinds.size()];
    const AnyMetric<double> metric = make_metric<double>(options_of(kKinds[k]), view(means));
    AnyMetricState<double> none;
    AnyMetricState<double> wrong =
        prepare(make_metric<double>(options_of(other), view(means)), machine.sizes());
    SolveReport report;
    for (AnyMetricState<double>* state : {&none, &wrong}) {
      EXPECT_THROW(observe<double>(metric, fisher, *state), std::logic_error) << name_of(kKinds[k]);
      EXPECT_THROW(solve<double>(metric, fisher, *state, machine.theta, {}, report), std::logic_error);
      EXPECT_THROW(apply<double>(metric, fisher, *state, machine.theta), std::logic_error);
    }
  }
}

TEST(Metrics, MfngBeginsAtItsGuessWhereAWarmStartIsAskedFor) {
  const Machine machine({5, 4}, 0.8, 23);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 40, 24);
  const Doubles g = random_params(machine.sizes(), 1.0, 25);
  auto options = options_of<MfngOptions>(0.1);
  const auto iterations = [&](const Flat<double>& guess) {
    SolveReport report;
    MfngMetric<double>{options}.solve(fisher, {}, g, guess, report);
    return report.iterations;
  };
  const Flat<double> solution = flatten(solve(options, fisher, g, means));
  options.tolerance = 1e-6;
  const Index cold = iterations({});
  EXPECT_GT(cold, 3);
  EXPECT_EQ(iterations(solution), cold) << "planted: no warm start is asked for";
  options.warm_start = true;
  EXPECT_LE(iterations(solution), 1);
  EXPECT_EQ(iterations({}), cold);
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
  for (const MetricKind kind : {kDiagonal, kKfac, kEkfac, kFang}) {
    EXPECT_LT(relative(solve(options_of(kind), moments, g, means), solve(options_of(kind), joint, g, means)),
              1e-9)
        << name_of(kind);
    EXPECT_GT(relative(solve(options_of(kind), expected, g, means), solve(options_of(kind), joint, g, means)),
              1e-3)
        << "planted: variances forgotten, " << name_of(kind);
  }
}

}  // namespace
}  // namespace tempera
