// Fisher matrices on machines small enough to enumerate, in double: docs/mathematics/metrics.md 4.1 to 4.3.
#include <gtest/gtest.h>

#include "layer_oracles.hpp"

namespace tempera {
namespace {

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
  for (const MetricKind kind : {kSample, kHybrid, kKfac})
    EXPECT_LT(
        relative(solve(options_of(kind), weighted, g, means), solve(options_of(kind), fisher, g, means)),
        1e-9)
        << name_of(kind);
}

/// The kernels' Fisher matrix is the dense one, for any number of threads.
template <class M>
class KernelFishers : public testing::Test {};
using BinaryModels = testing::Types<BernoulliRbm, Dbm>;
TYPED_TEST_SUITE(KernelFishers, BinaryModels);

TYPED_TEST(KernelFishers, AreTheDenseOneForAnyThreads) {
  using M = TypeParam;
  const std::vector<Index> sizes =
      std::is_same_v<M, Dbm> ? std::vector<Index>{37, 29, 18} : std::vector<Index>{37, 29};
  MachineOptions options;
  options.hidden.assign(sizes.begin() + 1, sizes.end());
  const M model = with_standard_reference<M>(M::shape_from(options, sizes.front()));
  const auto theta = model.initial_params(StreamFactory{2}, random_weights(0.4));
  auto offsets = model.initial_offsets(Eigen::VectorXd::LinSpaced(37, 0.2, 0.7));
  LayerParams<float> g = cast<float>(random_params(sizes, 1.0, 27));
  for (const Latents latents : {Latents::kDrawn, Latents::kExpected, Latents::kMoments}) {
    Eigen::VectorXf reference;
    for (const int threads : {1, 2, 3, 5}) {
      const Executor executor(threads);
      const Engine engine{model, StreamFactory{3}, executor};
      Population<M> population(reference_chains(engine, 150, Purpose::kChains));
      population.fit(engine);
      advance(engine, theta, 3, Purpose::kChains, population);
      mean_latents(engine, theta, population.chains.blocks, population.caches);
      std::vector<std::uint64_t> which;
      for (std::uint64_t c = 0; c < 150; ++c) {
        if (c % 11 != 5) which.push_back(c);
      }
      Caches<M> probe;
      const KernelFisher<M> fisher(engine, theta, population, {which, latents}, offsets, probe);
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
      for (const MetricKind kind : {kSample, kKfac, kHybrid}) {
        const auto metric = make_metric<float>(options_of(kind), M::layer_offsets(offsets));
        AnyMetricState<float> state = prepare(metric, sizes);
        observe<float>(metric, fisher, state);
        SolveReport report;
        const LayerParams<float> d = solve<float>(metric, fisher, state, g, {}, report);
        std::vector<Vector> all;
        for (const Vector* o : M::layer_offsets(offsets)) all.push_back(*o);
        EXPECT_LT(relative(cast<double>(d), solve(options_of(kind), dense, cast<double>(g), all)), 1e-3)
            << name_of(kind);
      }
    }
  }
}

}  // namespace
}  // namespace tempera
