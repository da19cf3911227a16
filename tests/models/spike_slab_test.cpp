// What machines whose filters have amplitudes owe beside the obligations of every model (model_test.cpp).
#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>
#include <cmath>

#include "model_checks.hpp"
#include "tempera/core/truncated_normal.hpp"
#include "tempera/mcmc/annealing.hpp"

namespace tempera {
namespace {

/// log Z and moments of the law of a machine over a grid of points.
struct Quadrature {
  double log_z;
  Moments moments;
};
template <class M>
Quadrature quadrature(const M& model, const typename M::Params& theta, double beta,
                      const WeightedPoints& points) {
  using S = Specimen<M>;
  std::vector<double> log_weights;
  LogSumExp z;
  for (const auto& [p, measure] : points) {
    LogSumExp sum;
    for (unsigned s = 0; s < S::kStates; ++s) sum.add(S::log_weight(model, theta, beta, p, s));
    log_weights.push_back(sum.value() + std::log(measure));
    z.add(log_weights.back());
  }
  Moments moments = Moments::Zero();
  for (std::size_t n = 0; n < points.size(); ++n)
    moments += std::exp(log_weights[n] - z.value()) * moments_of(points[n].first);
  return {z.value(), moments};
}

/// First values without biases and without precisions of spikes.
InitialValues flat_start() {
  InitialValues values;
  values.spike_bias = 0.0;
  values.spike_precision = 0.0;
  values.slab_precision = 1.0;
  return values;
}

template <class M>
class SpikeSlabFamily : public testing::Test {};
using Family = testing::Types<GaussianRbm, SpikeSlabRbm, BinarySpikeSlabRbm, SparseSpikeSlabRbm,
                              BilinearSpikeSlabRbm, BinaryBilinearSpikeSlabRbm>;
class FamilyNames {
 public:
  template <class M>
  static std::string GetName(int) {
    return std::string(M::kKind);
  }
};
TYPED_TEST_SUITE(SpikeSlabFamily, Family, FamilyNames);

TYPED_TEST(SpikeSlabFamily, ExpectedGatesEqualBruteForce) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 6);
  const std::vector<Point> cases = S::cases();
  for_every_block<TypeParam>(model, cases, [&](std::size_t, typename TypeParam::State& x) {
    OneBlock<TypeParam> block(model, x, 1.0F);
    block.infer(model, theta);
    for (std::size_t n = 0; n < cases.size(); ++n) {
      Eigen::VectorXd gates = Eigen::VectorXd::Zero(model.filters());
      const double all = log_weight_of<S>(theta, 1.0, cases[n]);
      for (unsigned s = 0; s < S::kStates; ++s) {
        const double p = std::exp(S::log_weight(theta, 1.0, cases[n], s) - all);
        for (Index m = 0; m < gates.size(); ++m) gates[m] += S::gate(s, m) ? p : 0.0;
      }
      const auto lane = static_cast<Index>(n);
      EXPECT_LT((block.cache.gate.col(lane).template cast<double>() - gates).cwiseAbs().maxCoeff(), 2e-6);
    }
  });
}

template <class M>
class SlabFamily : public testing::Test {};
using WithSlabs = testing::Types<SpikeSlabRbm, BinarySpikeSlabRbm, SparseSpikeSlabRbm, BilinearSpikeSlabRbm,
                                 BinaryBilinearSpikeSlabRbm>;
TYPED_TEST_SUITE(SlabFamily, WithSlabs, FamilyNames);

TYPED_TEST(SlabFamily, ChainsKnowTheVarianceOfSlabs) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 7);
  const Moments exact = quadrature(model, theta, 1.0, S::points(0.3)).moments;
  EXPECT_LT(chain_deviation(model, theta, 1.0F, Uniforms::kIndependent, exact), kSurprise);
  auto faulty = theta;
  faulty.latent.slab_precision = theta.latent.slab_precision.array().square().matrix();
  EXPECT_GT(chain_deviation(model, faulty, 1.0F, Uniforms::kIndependent, exact), kSurprise)
      << "planted: slab variance 1 / alpha^2";
}

/// Slabs in files are themselves; the code of slabs is their expectation.
TYPED_TEST(SlabFamily, CodesAndFilesHoldSlabsThemselves) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 7);
  auto x = model.new_state();
  x.latent.slabs.setOnes();
  std::vector<typename TypeParam::State> blocks = {x};
  model.unstandardise(theta, blocks);
  for (Index m = 0; m < model.filters(); ++m)
    EXPECT_FLOAT_EQ(blocks[0].latent.slabs(m, 3), 1.0F / std::sqrt(theta.latent.slab_precision.data()[m]));
  S::put(x, 0, S::cases()[1], 0);
  OneBlock<TypeParam> block(model, x, 1.0F);
  block.infer(model, theta);
  const std::vector<Code> codes = model.codes();
  for (std::size_t k = 0; k < codes.size(); ++k) {
    LaneMatrix values;
    model.code_values(k, x, block.cache, values);
    if (codes[k].name == "spike_slab") {
      for (Index m = 0; m < model.filters(); ++m) {
        const double alpha = theta.latent.slab_precision.data()[m];
        const double input = theta.weights.col(m).template cast<double>().dot(S::cases()[1]);
        EXPECT_NEAR(values(m, 0),
                    static_cast<double>(block.cache.gate(m, 0)) *
                        (static_cast<double>(theta.latent.slab_mean.data()[m]) + input / alpha),
                    2e-6);
      }
    }
    if (codes[k].name == "pooled_norm") {
      for (Index i = 0; i < values.rows(); ++i)
        EXPECT_NEAR(values(i, 0), block.cache.amplitude.col(0).segment(2 * i, 2).norm(), 1e-6);
    }
  }
}

// --- one kind alone ---------------------------------------------------------------------------------------

TEST(SpikeSlabRbm, TwoBlocksHaveTheMomentsOfTheMixture) {
  using S = Specimen<SpikeSlabRbm>;
  auto shape = S::model().shape();
  shape.joint_slabs = true;
  const SpikeSlabRbm model = S::model(shape);
  const auto theta = S::random(model, 7);
  auto faulty = theta;
  faulty.latent.slab_precision *= 1.5F;
  for (const float beta : {0.5F, 1.0F}) {
    const Moments exact = quadrature(model, theta, static_cast<double>(beta), S::points(0.3)).moments;
    EXPECT_LT(chain_deviation(model, theta, beta, Uniforms::kIndependent, exact), kSurprise);
    if (beta == 1.0F) {
      EXPECT_GT(chain_deviation(model, faulty, beta, Uniforms::kIndependent, exact), kSurprise)
          << "planted: another slab precision";
    }
  }
}

/// Smallest eigenvalue of the precision of the visibles over all states of the spikes.
double least_eigenvalue(const SpikeSlabRbm& model, const SpikeSlabRbm::Params& t) {
  double least = 1e300;
  const Index n = model.shape().latents.n_spikes;
  const Index slabs = model.shape().latents.n_slabs;
  for (unsigned h = 0; h < 1U << n; ++h) {
    Eigen::MatrixXd c = t.visible.visible_precision.cast<double>().asDiagonal();
    for (Index i = 0; i < n; ++i) {
      if ((h >> i & 1) == 0) continue;
      c += Eigen::MatrixXd(t.latent.spike_precision.col(i).cast<double>().asDiagonal());
      for (Index k = 0; k < slabs; ++k) {
        const Eigen::VectorXd w = t.weights.col(i * slabs + k).cast<double>();
        c -= w * w.transpose() / static_cast<double>(t.latent.slab_precision(i, k));
      }
    }
    least = std::min(least, Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(c).eigenvalues()[0]);
  }
  return least;
}

TEST(SpikeSlabRbm, ProjectionMakesEveryStateProper) {
  for (const Index slabs : {1, 2}) {
    for (const double phi : {0.0, 0.3}) {
      const auto model = with_standard_reference<SpikeSlabRbm>({7, {4, slabs}});
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        InitialValues values = flat_start();
        values.weights = 1.0;
        values.slab_precision = 0.7;
        values.spike_precision = phi;
        auto theta = model.initial_params(StreamFactory{seed}, values);
        ASSERT_LT(least_eigenvalue(model, theta), 0.0);
        double z = -1e300;
        for (Index k = 0; k < model.exact_chunks(); ++k)
          z = std::max(z, model.log_partition_chunk(theta, 1.0, k));
        EXPECT_TRUE(std::isinf(z)) << "an improper machine must not have a log Z";
        Vector direction;
        EXPECT_TRUE(model.project(theta, direction, false));
        EXPECT_GT(least_eigenvalue(model, theta), 0.0) << slabs << " " << phi << " " << seed;
        EXPECT_FALSE(model.project(theta, direction, false)) << "what is proper stays";
      }
    }
  }
}

/// Smallest eigenvalue of the precision of the visibles with every gate on and without Phi, in units of their
/// own precision: where a projection acted it is 1 - 0.99.
template <class M>
double least_with_all_on(const M& model, const typename M::Params& t) {
  Eigen::MatrixXd c = Eigen::MatrixXd::Identity(model.n_visible(), model.n_visible());
  for_each_field(
      [&](std::string_view name, const auto& own) {
        if (name != "visible_precision" && name != "visible_slab_precision") return;
        for (Index m = 0; m < model.filters(); ++m) {
          const Eigen::VectorXd w =
              (t.weights.col(m).array() / own.array().sqrt()).matrix().template cast<double>();
          c -= w * w.transpose() / static_cast<double>(t.latent.slab_precision.data()[m]);
        }
      },
      t.visible);
  return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(c).eigenvalues()[0];
}

template <class M>
void check_projection(const typename M::Shape& shape) {
  const M model = with_standard_reference<M>(shape);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    InitialValues values = flat_start();
    values.weights = 1.0;
    values.slab_precision = 0.7;
    auto theta = model.initial_params(StreamFactory{seed}, values);
    StreamEngine random = StreamFactory{seed}.engine(Purpose::kSampling, 0);
    for_each_field(
        [&](std::string_view name, auto& own) {
          if (!M::is_precision(name)) return;
          for (float& x : own) x = std::exp(static_cast<float>(4.0 * uniform_53(random) - 3.0));
        },
        theta.visible);
    const auto before = theta;
    const double rho = 1.0 - least_with_all_on(model, theta);
    ASSERT_GT(rho, 1.0);
    EXPECT_TRUE(model.is_improper(theta));
    Vector direction;
    EXPECT_TRUE(model.project(theta, direction, false));
    EXPECT_FALSE(model.is_improper(theta));
    // One per cent is left, and not much more: slabs are raised no further than they must be.
    EXPECT_NEAR(least_with_all_on(model, theta), 0.01, 0.002) << seed;
    const Eigen::ArrayXXf raised = theta.latent.slab_precision.array() / before.latent.slab_precision.array();
    EXPECT_LT(raised.maxCoeff(), 3.0 * rho);
    EXPECT_GE(raised.minCoeff(), 1.0F);
    EXPECT_TRUE(equal_fields(theta.visible, before.visible));
    EXPECT_TRUE(theta.weights == before.weights);
    // The same law with smaller filters.
    auto shrunk = before;
    Vector other;
    EXPECT_TRUE(model.project(shrunk, other, true));
    EXPECT_TRUE(shrunk.latent.slab_precision == before.latent.slab_precision);
    std::vector<float> row(static_cast<std::size_t>(shape.n_visible), 0.7F);
    EXPECT_LT(shrunk.weights.norm(), before.weights.norm());
    double constants = 0;
    for (const float k : raised.reshaped()) constants -= 0.5 * std::log(static_cast<double>(k));
    EXPECT_NEAR(model.free_energy(shrunk, row) - model.free_energy(theta, row), constants, 1e-3) << seed;
  }
}

TEST(Projection, LeavesOnePerCentWhateverThePrecisionsOfTheVisibles) {
  check_projection<SpikeSlabRbm>({7, {4, 2}});
  check_projection<SparseSpikeSlabRbm>({7, {4, 2}});
  check_projection<BilinearSpikeSlabRbm>({7, {2, 2, 3, true}});
}

TEST(Projection, AStateBetweenOneSpikeAndAllIsLookedAt) {
  // Spikes that take more than there is two at a time, and a third that gives it back.
  const auto model = with_standard_reference<SpikeSlabRbm>({1, {3, 1}});
  auto theta = model.zero_params();
  theta.visible.visible_precision.setOnes();
  theta.latent.slab_precision.setConstant(1.25F);
  theta.weights << 1.0F, 1.0F, 0.0F;
  theta.latent.spike_precision << 0.0F, 0.0F, 10.0F;
  EXPECT_LT(least_eigenvalue(model, theta), 0.0);
  EXPECT_TRUE(model.is_improper(theta));
  theta.latent.slab_precision.setConstant(2.5F);
  EXPECT_GT(least_eigenvalue(model, theta), 0.0);
  EXPECT_FALSE(model.is_improper(theta));
  EXPECT_TRUE(model.is_seen(theta));
  // More spikes than have all their states looked at: it is told that it cannot be seen.
  const auto large = with_standard_reference<SpikeSlabRbm>({1, {14, 1}});
  auto wide = large.zero_params();
  wide.visible.visible_precision.setOnes();
  wide.latent.slab_precision.setConstant(1.25F);
  wide.weights.leftCols(2).setOnes();
  wide.latent.spike_precision(0, 2) = 10.0F;
  EXPECT_FALSE(large.is_improper(wide));
  EXPECT_FALSE(large.is_seen(wide));
}

/// Many steps of a noisy ascent that wants stronger filters: what training does to a projection.
TEST(SpikeSlabRbm, ProjectionsOneAfterAnotherKeepEveryMachineProper) {
  for (const double phi : {0.0, 0.05}) {
    const auto model = with_standard_reference<SpikeSlabRbm>({8, {10, 1}});
    InitialValues values = flat_start();
    values.weights = 0.1;
    values.slab_precision = 1.0;
    values.spike_precision = phi;
    auto theta = model.initial_params(StreamFactory{5}, values);
    auto unprojected = theta;
    Vector direction;
    StreamEngine random = StreamFactory{6}.engine(Purpose::kParameters, 0);
    double worst = 1.0;
    int acted = 0;
    for (int step = 0; step < 400; ++step) {
      for (Index k = 0; k < theta.weights.size(); ++k) {
        const auto change = static_cast<float>(0.1 * (uniform_53(random) - 0.5));
        theta.weights.data()[k] = 1.01F * theta.weights.data()[k] + change;
        unprojected.weights.data()[k] = 1.01F * unprojected.weights.data()[k] + change;
      }
      acted += model.project(theta, direction, false) ? 1 : 0;
      ASSERT_TRUE(model.is_proper(theta)) << step;
      if (step % 20 == 0) worst = std::min(worst, least_eigenvalue(model, theta));
    }
    EXPECT_GT(worst, 0.0) << phi;
    EXPECT_GT(acted, 20);
    EXPECT_FALSE(model.is_proper(unprojected));
    EXPECT_LT(least_eigenvalue(model, unprojected), 0.0) << "planted: no projection";
  }
}

// --- visibles in a box ------------------------------------------------------------------------------------

/// Machines whose visibles are in [-1.2, 1.2], by the midpoint rule.
constexpr double kBox = 1.2;

template <class M>
M boxed_model() {
  auto shape = Specimen<M>::model().shape();
  shape.box = kBox;
  return Specimen<M>::model(shape);
}

WeightedPoints points_in_the_box() {
  constexpr int kSteps = 60;
  constexpr double kStep = 2 * kBox / kSteps;
  WeightedPoints all;
  for (int i = 0; i < kSteps; ++i) {
    for (int j = 0; j < kSteps; ++j)
      all.emplace_back(Eigen::Vector2d((i + 0.5) * kStep - kBox, (j + 0.5) * kStep - kBox), kStep * kStep);
  }
  return all;
}

template <class M>
void check_box(typename M::Params theta) {
  const M model = boxed_model<M>();
  const WeightedPoints points = points_in_the_box();
  const auto exact = [&](double beta) { return quadrature(model, theta, beta, points); };
  EXPECT_NEAR(exact(0.0).log_z, model.reference_log_partition(), 1e-3);
  for (const float beta : {0.0F, 0.5F, 1.0F})
    EXPECT_LT(
        chain_deviation(model, theta, beta, Uniforms::kIndependent, exact(static_cast<double>(beta)).moments),
        kSurprise)
        << beta;
  EXPECT_GT(chain_deviation(Specimen<M>::model(), theta, 0.5F, Uniforms::kIndependent, exact(0.5).moments),
            kSurprise)
      << "planted: no box";
  const Executor executor(1);
  const StreamFactory streams{9};
  LogSumExp sum;
  for (const double w :
       annealed_log_weights(Engine{model, streams, executor}, theta, published_betas(400),
                            reference_chains(Engine{model, streams, executor}, 1024, Purpose::kAnnealing),
                            Purpose::kAnnealing))
    sum.add(w);
  EXPECT_NEAR(model.reference_log_partition() + sum.value() - std::log(1024.0), exact(1.0).log_z, 0.05);
}

TEST(SpikeSlabInABox, ChainsAndAnnealingFollowTheTruncatedLaw) {
  check_box<GaussianRbm>(Specimen<GaussianRbm>::params(1.0, 7));
  check_box<SpikeSlabRbm>(Specimen<SpikeSlabRbm>::params(1.0, 7));
}

TEST(SpikeSlabInABox, NoStateOutsideOfItIsPossible) {
  const auto model = boxed_model<GaussianRbm>();
  const auto data = [](float value) {
    Matrix rows = Matrix::Zero(3, 2);
    rows(2, 1) = value;
    return RealData(rows);
  };
  EXPECT_FALSE(model.impossible_value(data(1.2F)).has_value());
  for (const float value : {1.3F, -1.3F, NAN}) {
    const auto found = model.impossible_value(data(value));
    ASSERT_TRUE(found.has_value());
    EXPECT_EQ(found->n_case, 2);
    EXPECT_NE(found->constraint.find("box of 1.2"), std::string::npos);
  }
  EXPECT_FALSE(Specimen<GaussianRbm>::model().impossible_value(data(99.0F)).has_value());
  EXPECT_NE(model.why_not_enumerable().find("box"), std::string::npos);
}

TEST(SpikeSlabInABox, AMachineThatWouldBeImproperHasALaw) {
  auto theta = Specimen<SpikeSlabRbm>::params(1.0, 7);
  theta.latent.slab_precision.setConstant(0.6F);
  theta.latent.spike_precision.setZero();
  const auto model = boxed_model<SpikeSlabRbm>();
  ASSERT_LT(least_eigenvalue(Specimen<SpikeSlabRbm>::model(), theta), 0.0);
  EXPECT_TRUE(model.is_proper(theta));
  EXPECT_FALSE(Specimen<SpikeSlabRbm>::model().is_proper(theta));
  Vector direction;
  EXPECT_FALSE(model.project(theta, direction, false));
  check_box<SpikeSlabRbm>(theta);
}

TEST(SpikeSlabInABox, DrawsFarOutsideLieWhereTheTailIs) {
  GaussianRbm::Shape shape{1, {1}};
  shape.box = 1.0;
  const auto model = with_standard_reference<GaussianRbm>(shape);
  auto theta = model.zero_params();
  theta.visible.visible_precision.setOnes();
  const Executor executor(1);
  for (const float mean : {1.0F, 6.0F, 11.0F, 41.0F, -41.0F}) {
    theta.visible.visible_bias[0] = mean;
    const Engine engine{model, StreamFactory{2}, executor};
    Population<GaussianRbm> population(reference_chains(engine, 4096, Purpose::kChains));
    population.fit(engine);
    MeanVariance seen;
    for (int k = 0; k < 10; ++k) {
      advance(engine, theta, 1, Purpose::kChains, population);
      for (const auto& block : population.chains.blocks) {
        for (Index c = 0; c < kLanes; ++c) {
          ASSERT_LE(std::abs(block.visible(0, c)), 1.0F);
          seen.add(static_cast<double>(block.visible(0, c)));
        }
      }
    }
    const double sign = mean > 0 ? 1.0 : -1.0;
    const double away = std::abs(static_cast<double>(mean)) - 1.0;
    const double expected = sign * (away + 1.0 - truncated_normal_mean(away, away + 2.0));
    EXPECT_NEAR(seen.mean(), expected, 4.5 * seen.standard_error() + 1e-6) << mean;
    EXPECT_GT(seen.variance(), 0.5 / (1.0 + away * away) * 0.5) << "draws collapse onto the bound";
  }
}

TEST(SpikeSlabRbm, ASlabWithoutFilterIsNoSlab) {
  const auto one = with_standard_reference<SpikeSlabRbm>({2, {2, 1}});
  const auto two = with_standard_reference<SpikeSlabRbm>({2, {2, 2}});
  const auto small = Specimen<SpikeSlabRbm>::random(one, 3);
  auto large = two.zero_params();
  large.visible = small.visible;
  large.latent.spike_bias = small.latent.spike_bias;
  large.latent.spike_precision = small.latent.spike_precision;
  large.latent.slab_precision.setConstant(static_cast<float>(2 * kPi));
  for (Index i = 0; i < 2; ++i) {
    large.weights.col(2 * i) = small.weights.col(i);
    large.latent.slab_mean(i, 0) = small.latent.slab_mean(i, 0);
    large.latent.slab_precision(i, 0) = small.latent.slab_precision(i, 0);
  }
  for (const auto& row : {std::array<float, 2>{0.3F, -1.0F}, {2.0F, 0.5F}})
    EXPECT_NEAR(one.free_energy(small, row), two.free_energy(large, row), 1e-5);
  // Forgetting the sum over a spike's slabs would leave the first slab alone.
  large.weights.col(1).setConstant(0.7F);
  EXPECT_GT(std::abs(one.free_energy(small, std::array<float, 2>{2.0F, 0.5F}) -
                     two.free_energy(large, std::array<float, 2>{2.0F, 0.5F})),
            1e-2);
}

using Bilinear = BilinearSpikeSlabRbm;

TEST(BilinearSpikeSlabRbm, OneFactorThatIsAlwaysOnLeavesASpikeSlabRbm) {
  const auto model = with_standard_reference<Bilinear>({2, {1, 3, 1, false}});
  auto theta = Specimen<Bilinear>::random(model, 5);
  theta.latent.h_bias(0, 0) = 40.0F;
  const auto plain = with_standard_reference<SpikeSlabRbm>({2, {3, 1}});
  auto same = plain.zero_params();
  same.weights = theta.weights;
  same.visible = theta.visible;
  same.latent.spike_bias = theta.latent.g_bias.row(0).transpose();
  same.latent.slab_mean = theta.latent.slab_mean.reshaped<Eigen::RowMajor>(3, 1);
  same.latent.slab_precision = theta.latent.slab_precision.reshaped<Eigen::RowMajor>(3, 1);
  for (const auto& row : {std::array<float, 2>{0.3F, -1.0F}, {2.0F, 0.5F}, {0.0F, 0.0F}})
    EXPECT_NEAR(model.free_energy(theta, row) + 40.0, plain.free_energy(same, row), 1e-5);
}

TEST(BilinearSpikeSlabRbm, TheTwoGroupsMayChangePlaces) {
  const auto model = with_standard_reference<Bilinear>({2, {2, 2, 3, false}});
  const auto turned = with_standard_reference<Bilinear>({2, {2, 3, 2, false}});
  const auto theta = Specimen<Bilinear>::random(model, 6);
  auto other = turned.zero_params();
  other.visible = theta.visible;
  other.latent.g_bias = theta.latent.h_bias;
  other.latent.h_bias = theta.latent.g_bias;
  for (Index k = 0; k < 2; ++k) {
    for (Index i = 0; i < 2; ++i) {
      for (Index j = 0; j < 3; ++j) {
        other.weights.col(k * 6 + j * 2 + i) = theta.weights.col(k * 6 + i * 3 + j);
        other.latent.slab_mean(k, j * 2 + i) = theta.latent.slab_mean(k, i * 3 + j);
        other.latent.slab_precision(k, j * 2 + i) = theta.latent.slab_precision(k, i * 3 + j);
      }
    }
  }
  for (const auto& row : {std::array<float, 2>{0.3F, -1.0F}, {2.0F, 0.5F}})
    EXPECT_NEAR(model.free_energy(theta, row), turned.free_energy(other, row), 1e-9);
}

TEST(BilinearSpikeSlabRbm, MeanFieldBoundsTheFreeEnergyAndNeverFalls) {
  for (const bool gated : {false, true}) {
    const auto model = with_standard_reference<Bilinear>({2, {2, 2, 3, gated}});
    auto theta = Specimen<Bilinear>::random(model, 7);
    theta.weights *= 2.0F;
    const std::vector<Point> cases = Specimen<Bilinear>::cases();
    double gap = 0;
    for (const bool h_first : {false, true}) {
      auto x = model.new_state();
      for (unsigned c = 0; c < kLanes; ++c) Specimen<Bilinear>::put(x, c, cases[c % cases.size()], 0);
      OneBlock<Bilinear> block(model, x, 1.0F);
      block.infer(model, theta);
      auto& cache = block.cache;
      LaneDoubles exact;
      model.free_energy(theta, constant_beta(1.0F), x, cache, exact);
      LaneDoubles last;
      last.fill(1e300);
      for (const Index sweeps : {0, 1, 2, 5, 60}) {
        model.mean_field(sweeps, h_first, theta, cache, block.scratch);
        LaneDoubles bound;
        model.variational_free_energy(theta, x, cache, bound);
        for (std::size_t n = 0; n < cases.size(); ++n) {
          EXPECT_GE(bound[n], exact[n] - 1e-5);
          EXPECT_LE(bound[n], last[n] + 1e-5) << sweeps;
          gap = std::max(gap, bound[n] - exact[n]);
        }
        last = bound;
      }
      gap = last[0] - exact[0];
    }
    EXPECT_GT(gap, 1e-4) << "a bound that is always exact bounds something else";
  }
}

}  // namespace
}  // namespace tempera
