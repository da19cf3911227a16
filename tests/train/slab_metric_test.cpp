// Metrics of machines with real values or slabs: their statistics against the models' gradients, differences
// of energies and brute force.
#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>
#include <functional>

#include "../models/slab_specimens.hpp"
#include "tempera/core/math.hpp"
#include "tempera/train/metrics/all_metrics.hpp"

namespace tempera {
namespace {

using enum MetricKind;
using Doubles = LayerParams<double>;

Doubles random_direction(const LayerShape& shape, std::uint64_t seed) {
  StreamEngine random = StreamFactory{seed}.engine(Purpose::kParameters, 0);
  Doubles x = zero_layers<double>(shape);
  for_each_flat(
      [&](auto a) {
        for (auto& value : a) value = 2.0 * uniform_53(random) - 1.0;
      },
      x);
  return x;
}

double relative(const Doubles& x, const Doubles& y) {
  return (flatten(x) - flatten(y)).norm() / flatten(y).norm();
}

DenseFisher<double> in_double(const DenseFisher<float>& fisher) {
  std::vector<Fisher<double>::Layer> layers;
  for (const auto& x : fisher.layers()) layers.push_back(x.cast<double>());
  return {fisher.shape(), std::move(layers), fisher.weights()};
}

/// Chains of a small random machine, some of which are draws.
template <class M>
struct Drawn {
  static constexpr std::uint64_t kChains = 150;
  M model = Specimen<M>::model();
  typename M::Params theta = Specimen<M>::random(model, 4);
  Executor executor;
  Population<M> population;
  std::vector<std::uint64_t> which;

  explicit Drawn(int threads = 1)
      : executor(threads), population(reference_chains(engine(), kChains, Purpose::kChains)) {
    population.fit(engine());
    advance(engine(), theta, 3, Purpose::kChains, population);
    mean_latents(engine(), theta, population.chains.blocks, population.caches);
    for (std::uint64_t c = 0; c < kChains; ++c) {
      if (c % 11 != 5) which.push_back(c);
    }
  }
  [[nodiscard]] Engine<M> engine() const { return {model, StreamFactory{3}, executor}; }
  [[nodiscard]] const typename M::State& block(std::uint64_t chain) const {
    return population.chains.blocks[block_of(chain)];
  }
  [[nodiscard]] DenseFisher<float> fisher(bool joint) const {
    return statistics_fisher(engine(), theta, population,
                             {which, joint ? Latents::kDrawn : Latents::kExpected});
  }
  /// Gradient of -F of one chain's visibles.
  LayerParams<float> gradient(std::uint64_t chain) {
    PerChain<float> weights(population.chains.blocks.size());
    weights[chain] = 1.0F;
    auto sums = model.zero_params();
    accumulate(engine(), theta, population, weights, sums);
    return model.to_statistics(theta, sums);
  }
  /// Statistics of draw m as one vector of the parameter space.
  static Flat<float> statistics(const DenseFisher<float>& fisher, Index m) {
    LayerParams<float> s = zero_layers<float>(fisher.shape());
    const auto& x = fisher.layers();
    for (std::size_t k = 0; k < s.weights.size(); ++k) {
      if (s.weights[k].size() > 0) s.weights[k] = x[k].col(m) * x[k + 1].col(m).transpose();
    }
    for (std::size_t k = 0; k < s.bias.size(); ++k) {
      if (s.bias[k].size() > 0) s.bias[k] = x[k].col(m);
    }
    return flatten(s);
  }
};

template <class M>
class SlabStatistics : public testing::Test {};
using Models = testing::Types<GaussianRbm, SpikeSlabRbm, BinarySpikeSlabRbm, SparseSpikeSlabRbm,
                              BilinearSpikeSlabRbm, BinaryBilinearSpikeSlabRbm>;
TYPED_TEST_SUITE(SlabStatistics, Models);

/// Up to constants, which a covariance does not see.
TYPED_TEST(SlabStatistics, ExpectedOnesAreTheGradientOfTheLogLikelihood) {
  Drawn<TypeParam> drawn;
  const DenseFisher<float> fisher = drawn.fisher(false);
  EXPECT_EQ(fisher.shape().parameters(), static_cast<Index>(size_of(drawn.theta)));
  const Flat<float> constant =
      flatten(drawn.gradient(drawn.which[0])) - Drawn<TypeParam>::statistics(fisher, 0);
  const DenseFisher<float> joint = drawn.fisher(true);
  float of_joint = 0.0F;
  for (std::size_t m = 1; m < drawn.which.size(); m += 7) {
    const auto draw = static_cast<Index>(m);
    const Flat<float> gradient = flatten(drawn.gradient(drawn.which[m])) - constant;
    EXPECT_LT((gradient - Drawn<TypeParam>::statistics(fisher, draw)).norm(),
              2e-5F * (1.0F + gradient.norm()));
    of_joint = std::max(of_joint, (gradient - Drawn<TypeParam>::statistics(joint, draw)).norm());
  }
  EXPECT_GT(of_joint, 0.3F);
}

/// -log of the joint weight of a chain's visibles, binary latents and slabs; unseen slabs of sparse visibles
/// are summed out. Slabs are those of the machine `drawn_by`, whatever the parameters.
template <class M>
double joint_energy(const M& model, const typename M::Params& theta, const typename M::Params& drawn_by,
                    const typename M::State& x, Index c) {
  unsigned state = 0;
  unsigned bit = 0;
  for_each_field(
      [&](std::string_view, const auto& field) {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, BitLayer>) {
          for (const Word bits : field) state |= static_cast<unsigned>(bits >> c & 1) << bit++;
        }
      },
      x.latent);
  Eigen::Vector2d v;
  for (Index d = 0; d < 2; ++d) {
    if constexpr (M::kDiscrete) {
      v[d] = static_cast<double>(x.visible[static_cast<std::size_t>(d)] >> c & 1);
    } else {
      v[d] = static_cast<double>(x.visible(d, c));
    }
  }
  double energy = visible_energy(model.reference(), theta.visible, 1.0, v) - Specimen<M>::bias(theta, state);
  for (Index m = 0; m < model.filters(); ++m) {
    const double input = theta.weights.col(m).template cast<double>().dot(v);
    const bool on = Specimen<M>::gate(state, m);
    if constexpr (M::Latents::kSlabs) {
      const double alpha = theta.latent.slab_precision.data()[m];
      const double mu = theta.latent.slab_mean.data()[m];
      const double s = static_cast<double>(x.latent.slabs(m, c)) /
                       std::sqrt(static_cast<double>(drawn_by.latent.slab_precision.data()[m]));
      energy += 0.5 * alpha * s * s;
      if (on) energy += 0.5 * alpha * mu * mu - s * (input + alpha * mu);
    } else if (on) {
      energy -= input;
    }
  }
  if constexpr (M::kSpikePrecision) {
    for (Index i = 0; i < 2; ++i) {
      if ((state >> i & 1) == 0) continue;
      for (Index d = 0; d < 2; ++d)
        energy += 0.5 * static_cast<double>(theta.latent.spike_precision(d, i)) * v[d] * v[d];
    }
  }
  return energy;
}

TYPED_TEST(SlabStatistics, DrawnOnesAreDerivativesOfTheJointEnergy) {
  using M = TypeParam;
  Drawn<M> drawn;
  const DenseFisher<float> fisher = drawn.fisher(true);
  const Flat<float> mean = [&] {
    Flat<float> sum = Drawn<M>::statistics(fisher, 0);
    for (Index m = 1; m < fisher.draws(); ++m) sum += Drawn<M>::statistics(fisher, m);
    return Flat<float>(sum / static_cast<float>(fisher.draws()));
  }();
  constexpr float kStep = 2e-3F;
  const auto derivative = [&](Index parameter, std::uint64_t chain) {
    const auto moved = [&](float by) {
      LayerParams<float> step = zero_layers<float>(fisher.shape());
      unflatten(Flat<float>(by * Flat<float>::Unit(mean.size(), parameter)), step);
      auto theta = drawn.theta;
      drawn.model.move(step, theta);
      return joint_energy(drawn.model, theta, drawn.theta, drawn.block(chain),
                          static_cast<Index>(chain % kLanes));
    };
    return -(moved(kStep) - moved(-kStep)) / (2.0 * static_cast<double>(kStep));
  };
  for (Index parameter = 0; parameter < mean.size(); ++parameter) {
    // Differences between draws: constants do not matter.
    for (const std::size_t m : {std::size_t{3}, std::size_t{77}}) {
      const double expected = derivative(parameter, drawn.which[m]) - derivative(parameter, drawn.which[10]);
      const double found =
          static_cast<double>(Drawn<M>::statistics(fisher, static_cast<Index>(m))[parameter]) -
          static_cast<double>(Drawn<M>::statistics(fisher, 10)[parameter]);
      EXPECT_NEAR(found, expected, 3e-3 * (1.0 + std::abs(expected))) << parameter;
    }
  }
}

TYPED_TEST(SlabStatistics, StepsAreDualToGradients) {
  using M = TypeParam;
  Drawn<M> drawn;
  const LayerShape shape = drawn.model.statistics_shape(drawn.theta);
  const Doubles d = random_direction(shape, 8);
  for (const std::uint64_t chain : {std::uint64_t{2}, std::uint64_t{70}}) {
    Eigen::VectorXd v(2);
    std::vector<typename M::Visibles::Value> row;
    const auto& visible = drawn.block(chain).visible;
    if constexpr (M::kDiscrete) {
      Word bits = 0;
      for (std::size_t k = 0; k < 2; ++k) bits |= (visible[k] >> (chain % kLanes) & 1) << k;
      row = {bits};
    } else {
      for (Index k = 0; k < 2; ++k) row.push_back(visible(k, static_cast<Index>(chain % kLanes)));
    }
    const auto free_energy = [&](double t) {
      LayerParams<float> step = cast<float>(d);
      scale(step, t);
      auto theta = drawn.theta;
      drawn.model.move(step, theta);
      return drawn.model.free_energy(theta, row);
    };
    constexpr double kStep = 2e-3;
    const double expected = -(free_energy(kStep) - free_energy(-kStep)) / (2.0 * kStep);
    EXPECT_NEAR(dot(cast<double>(drawn.gradient(chain)), d), expected, 1e-2 * (1.0 + std::abs(expected)));
  }
}

TYPED_TEST(SlabStatistics, PrecisionsStayPositiveAndZerosStay) {
  using M = TypeParam;
  const M model = Specimen<M>::model();
  auto theta = Specimen<M>::random(model, 4);
  if constexpr (M::kSpikePrecision) theta.latent.spike_precision.col(1).setZero();
  const auto before = theta;
  LayerParams<float> step = zero_layers<float>(model.statistics_shape(theta));
  for_each_flat([](auto a) { a.setConstant(-50.0F); }, step);
  model.move(step, theta);
  EXPECT_EQ(model.fault(theta), "");
  if constexpr (M::kSpikePrecision) {
    EXPECT_TRUE((theta.latent.spike_precision.col(1).array() == 0.0F).all());
    EXPECT_TRUE(
        (theta.latent.spike_precision.col(0).array() < before.latent.spike_precision.col(0).array()).all());
  }
}

TYPED_TEST(SlabStatistics, AreTheSameForAnyThreads) {
  const Drawn<TypeParam> one(1);
  const Drawn<TypeParam> three(3);
  for (const bool joint : {false, true}) {
    const DenseFisher<float> a = one.fisher(joint);
    const DenseFisher<float> b = three.fisher(joint);
    for (std::size_t k = 0; k < a.layers().size(); ++k) EXPECT_TRUE(a.layers()[k] == b.layers()[k]) << k;
  }
}

/// With the model for data the curvature of the expected log-likelihood is the Fisher matrix of the expected
/// statistics, and not that of the joint law: visibles are enumerated, the likelihood is exact.
template <class M>
class BinarySlabFisher : public testing::Test {};
using BinaryModels = testing::Types<BinarySpikeSlabRbm, BinaryBilinearSpikeSlabRbm>;
TYPED_TEST_SUITE(BinarySlabFisher, BinaryModels);

TYPED_TEST(BinarySlabFisher, IsTheCurvatureOfTheLikelihood) {
  using M = TypeParam;
  const M model = Specimen<M>::model();
  const auto theta = Specimen<M>::random(model, 6);
  const auto log_law = [&](const typename M::Params& at) {
    Eigen::Vector4d w;
    for (Word v = 0; v < 4; ++v)
      w[static_cast<Index>(v)] = -model.free_energy(at, std::span<const Word>(&v, 1));
    LogSumExp total;
    for (const double x : w) total.add(x);
    return Eigen::Vector4d(w.array() - total.value());
  };
  const Eigen::Vector4d p = log_law(theta).array().exp();

  const Executor executor(1);
  const Engine engine{model, {}, executor};
  Population<M> population(empty_chains(model, 4));
  population.fit(engine);
  auto& blocks = population.chains.blocks;
  for (Word v = 0; v < 4; ++v) {
    for (std::size_t d = 0; d < 2; ++d) blocks[0].visible[d] |= (v >> d & 1) << v;
  }
  latent_input(engine, theta, blocks, population.caches);
  mean_latents(engine, theta, blocks, population.caches);
  const DenseFisher<float> equal =
      statistics_fisher(engine, theta, population, {{0, 1, 2, 3}, Latents::kExpected});
  std::vector<Fisher<double>::Layer> layers;
  for (const auto& x : equal.layers()) layers.push_back(x.template cast<double>());
  const DenseFisher<double> fisher(equal.shape(), layers, p);

  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const Doubles d = random_direction(fisher.shape(), seed);
    const auto expected = [&](double t) {
      LayerParams<float> step = cast<float>(d);
      scale(step, t);
      auto at = theta;
      model.move(step, at);
      return p.dot(log_law(at));
    };
    constexpr double kStep = 0.02;
    const double curvature = -(expected(kStep) - 2.0 * expected(0) + expected(-kStep)) / (kStep * kStep);
    EXPECT_NEAR(fisher.quadratic(d), curvature, 0.01 * curvature + 1e-4) << seed;
    // Planted: responses that forget their gates are no statistics of this machine.
    auto wrong = layers;
    for (Index m = 0; m < wrong[1].rows(); ++m) wrong[1].row(m).array() += 0.5;
    EXPECT_GT(std::abs(DenseFisher<double>(equal.shape(), wrong, p).quadratic(d) - curvature),
              0.02 * curvature);
  }
}

// --- metrics where not every layer has biases or couplings -----------------------------------------------

/// Fang is for Bernoulli units alone.
constexpr std::array kSlabKinds = {kDiagonal, kMfng, kSample, kKfac, kEkfac, kTonga, kHybrid, kExact};

/// Of what `memory` updates saw, 1: of what is observed now alone, refreshed every so many updates.
AnyMetricOptions options_of(MetricKind kind, double memory = 1.0, std::uint64_t refresh = 1) {
  AnyMetricOptions options = default_options(kind);
  const auto set = [&](auto& one) {
    if constexpr (requires { one.memory; }) one.memory = memory;
    if constexpr (requires { one.refresh; }) one.refresh = refresh;
    if constexpr (requires { one.forgetting; }) one.forgetting = 0.0;
    if constexpr (requires { one.tolerance; }) one.tolerance = 1e-13;
    if constexpr (requires { one.iterations; }) one.iterations = 1000;
    if constexpr (requires { one.rank; }) one.rank = 30;
  };
  std::visit(
      [&](auto& one) {
        set(one);
        if constexpr (requires { one.factors; }) set(one.factors);
        if constexpr (requires { one.damping; }) one.damping = 0.1;
      },
      options);
  return options;
}

/// Calls f(metric, state) for a metric that has observed this Fisher matrix once.
template <class F>
void with_metric(MetricKind kind, const Fisher<double>& fisher, F&& f) {
  const AnyMetric<double> metric = make_metric<double>(options_of(kind), {});
  AnyMetricState<double> state = prepare(metric, fisher.shape());
  observe(metric, fisher, state);
  f(metric, state);
}

void expect_what_every_metric_promises(const Fisher<double>& fisher) {
  const Doubles x = random_direction(fisher.shape(), 25);
  const Doubles y = random_direction(fisher.shape(), 26);
  for (const MetricKind kind : kSlabKinds) {
    with_metric(kind, fisher, [&](const auto& metric, const auto& state) {
      SolveReport report;
      const auto solved = [&](const Doubles& g) { return solve(metric, fisher, state, g, {}, report); };
      EXPECT_LT(relative(solved(apply(metric, fisher, state, x)), x), 1e-6) << name_of(kind);
      Doubles sum = x;
      add_scaled(sum, 2.0, y);
      Doubles of_parts = solved(x);
      add_scaled(of_parts, 2.0, solved(y));
      EXPECT_LT(relative(solved(sum), of_parts), 1e-7) << name_of(kind);
      EXPECT_NEAR(dot(x, solved(y)), dot(y, solved(x)), 1e-7 * std::abs(dot(x, solved(x)))) << name_of(kind);
      EXPECT_GT(dot(x, solved(x)), 0.0) << name_of(kind);
    });
  }
}

TYPED_TEST(SlabStatistics, EveryMetricIsLinearSymmetricPositiveAndUndoesItsOwnApplication) {
  const Drawn<TypeParam> drawn;
  for (const bool joint : {false, true}) expect_what_every_metric_promises(in_double(drawn.fisher(joint)));
}

/// Between refreshes what a metric remembers was made of other draws, whose statistics had other sizes.
TEST(SlabMetrics, StayPositiveBetweenTheirRefreshes) {
  const Drawn<BinarySpikeSlabRbm> drawn;
  const DenseFisher<double> first = in_double(drawn.fisher(false));
  auto larger = first.layers();
  for (auto& x : larger) x *= 3.0;
  const DenseFisher<double> second(first.shape(), larger, first.weights());
  const Doubles x = random_direction(first.shape(), 25);
  const Doubles y = random_direction(first.shape(), 26);
  for (const MetricKind kind : kSlabKinds) {
    const AnyMetric<double> metric = make_metric<double>(options_of(kind, 2.0, 10), {});
    AnyMetricState<double> state = prepare(metric, first.shape());
    observe<double>(metric, first, state);
    for (int k = 0; k < 2; ++k) observe<double>(metric, second, state);
    SolveReport report;
    const Doubles of_x = solve<double>(metric, second, state, x, {}, report);
    EXPECT_GT(dot(x, of_x), 0.0) << name_of(kind);
    EXPECT_NEAR(dot(y, of_x), dot(x, solve<double>(metric, second, state, y, {}, report)),
                1e-6 * dot(x, of_x))
        << name_of(kind);
    EXPECT_LT(relative(apply<double>(metric, second, state, of_x), x), 1e-6) << name_of(kind);
  }
}

Doubles solved_by(MetricKind kind, const Fisher<double>& fisher, const Doubles& g) {
  Doubles d;
  with_metric(kind, fisher, [&](const auto& metric, const auto& state) {
    SolveReport report;
    d = solve(metric, fisher, state, g, {}, report);
  });
  return d;
}

TYPED_TEST(SlabStatistics, MatrixFreeDrawsAndDenseGiveOneDirection) {
  const Drawn<TypeParam> drawn;
  const DenseFisher<double> fisher = in_double(drawn.fisher(false));
  const Doubles g = random_direction(fisher.shape(), 31);
  const Doubles exact = solved_by(kExact, fisher, g);
  for (const MetricKind kind : {kSample, kMfng})
    EXPECT_LT(relative(solved_by(kind, fisher, g), exact), 1e-8) << name_of(kind);
}

/// kfac is the exact covariance between biases, and a product of two of them for weights.
TEST(SlabMetrics, KfacHasTheCovarianceOfLinearStatisticsAndAProductForFilters) {
  const Drawn<SpikeSlabRbm> drawn;
  const DenseFisher<double> fisher = in_double(drawn.fisher(false));
  const auto covariance = [&](const Eigen::MatrixXd& a) -> Eigen::MatrixXd {
    const Eigen::MatrixXd c = a.colwise() - a.rowwise().mean();
    return c * c.transpose() / static_cast<double>(a.cols());
  };
  const auto& x = fisher.layers();
  with_metric(kKfac, fisher, [&](const auto& metric, const auto& state) {
    Doubles d = zero_layers<double>(fisher.shape());
    d.weights[0](1, 2) = 1.0;
    d.bias[3][1] = 1.0;
    const Doubles applied = apply<double>(metric, fisher, state, d);
    const auto damped = [&](std::size_t k) -> Eigen::MatrixXd {
      return x[k] * x[k].transpose() / static_cast<double>(x[k].cols()) +
             0.1 * Eigen::MatrixXd::Identity(x[k].rows(), x[k].rows());
    };
    EXPECT_LT((applied.weights[0] - damped(0).col(1) * damped(1).row(2)).norm(), 1e-9);
    // The covariance of a spike's bias with the precisions of the visibles.
    Eigen::MatrixXd both(x[2].rows() + x[3].rows(), x[2].cols());
    both << x[2], x[3];
    EXPECT_LT((applied.bias[2] - covariance(both).topRightCorner(x[2].rows(), x[3].rows()).col(1)).norm(),
              1e-9);
    EXPECT_EQ(applied.weights[2].norm(), 0.0);
  });
}

}  // namespace
}  // namespace tempera
