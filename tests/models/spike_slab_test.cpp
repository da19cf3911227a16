// The spike-and-slab family against brute force: every state of the binary latents is summed, slabs are
// integrated on a grid, visibles too. Nothing in the oracle calls the code under test.
#include <gtest/gtest.h>

#include <Eigen/Eigenvalues>

#include <cmath>
#include <functional>
#include <numbers>

#include "slab_oracles.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/truncated_normal.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/chains.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

template <class M>
class SpikeSlabFamily : public testing::Test {
 public:
  using O = Oracle<M>;
  using Params = typename M::Params;

  /// log of the weight of v with one state of the binary latents.
  static double log_weight(const M& model, const Params& t, double beta, const Eigen::Vector2d& v,
                           unsigned state) {
    double sum = beta * O::bias(t, state) - visible_energy(model.reference(), t.visible, beta, v);
    for (Index m = 0; m < model.filters(); ++m) {
      const double x = t.weights.col(m).template cast<double>().dot(v);
      if constexpr (M::kSlabs) {
        const double alpha = t.latent.slab_precision.data()[m];
        sum += std::log(integrated_slab(alpha, t.latent.slab_mean.data()[m], x, beta, O::gate(state, m)));
        sum -= (1 - beta) * 0.5 * std::log(2 * kPi / alpha);
      } else if (O::gate(state, m)) {
        sum += beta * x;
      }
    }
    if constexpr (M::kSpikePrecision) {
      for (Index i = 0; i < 2; ++i) {
        if ((state >> i & 1) == 0) continue;
        for (Index d = 0; d < 2; ++d) sum -= beta * 0.5 * t.latent.spike_precision(d, i) * v[d] * v[d];
      }
    }
    return sum;
  }
  static double log_weight(const M& model, const Params& t, double beta, const Eigen::Vector2d& v) {
    LogSumExp sum;
    for (unsigned s = 0; s < O::kStates; ++s) sum.add(log_weight(model, t, beta, v, s));
    return sum.value();
  }

  /// All visibles with the measure of each: a grid, whole numbers, or both.
  static std::vector<std::pair<Eigen::Vector2d, double>> visibles(double step) {
    std::vector<std::pair<double, double>> line;
    if constexpr (M::kBinary) {
      line = {{0.0, 1.0}, {1.0, 1.0}};
    } else {
      constexpr bool kSparse = std::is_same_v<M, SparseSpikeSlabRbm>;
      if (kSparse) line.emplace_back(0.0, 1.0);
      for (double x = -8.0 - 0.3 * step; x < 8.0; x += step) line.emplace_back(x, step);
    }
    std::vector<std::pair<Eigen::Vector2d, double>> all;
    for (const auto& [x, dx] : line) {
      for (const auto& [y, dy] : line) all.emplace_back(Eigen::Vector2d(x, y), dx * dy);
    }
    return all;
  }

  static double exact_log_z(const M& model, const Params& t, double beta) {
    LogSumExp sum;
    for (Index k = 0; k < model.exact_chunks(); ++k) sum.add(model.log_partition_chunk(t, beta, k));
    return sum.value();
  }

  static typename M::Data data_of(const std::vector<Eigen::Vector2d>& cases) {
    if constexpr (M::kBinary) {
      std::vector<std::uint8_t> bytes;
      for (const auto& v : cases)
        bytes.insert(bytes.end(), {static_cast<std::uint8_t>(v[0]), static_cast<std::uint8_t>(v[1])});
      return {static_cast<Index>(cases.size()), 2, bytes};
    } else {
      Matrix rows(cases.size(), 2);
      for (std::size_t n = 0; n < cases.size(); ++n) rows.row(static_cast<Index>(n)) = cases[n].cast<float>();
      return typename M::Data(rows);
    }
  }

  /// Any number of cases as blocks that are inferred.
  struct Cases {
    std::vector<typename M::State> blocks;
    Workspace<M> workspace;
    Workers workers{1};

    Cases(const M& model, const Params& t, const std::vector<Eigen::Vector2d>& v) {
      const auto data = data_of(v);
      for (Index first = 0; first < data.n_cases(); first += kLanes) {
        std::vector<Index> which;
        for (Index n = first; n < std::min(data.n_cases(), first + kLanes); ++n) which.push_back(n);
        blocks.push_back(model.new_state());
        model.load(data, which, blocks.back());
      }
      workspace.fit(model, v.size(), workers);
      infer_cases(model, t, 1, blocks, workspace, workers);
    }
  };

  static Params statistics(const M& model, const Params& t, const std::vector<Eigen::Vector2d>& v,
                           const std::vector<double>& weight) {
    Cases cases(model, t, v);
    std::vector<LaneFloats> weights(cases.blocks.size(), LaneFloats{});
    for (std::size_t n = 0; n < v.size(); ++n)
      weights[n / kLanes][n % kLanes] = static_cast<float>(weight[n]);
    Params sums = model.zero_params();
    typename M::Scratch scratch;
    for (Index slice = 0; slice < model.slices(); ++slice)
      model.accumulate(t, cases.blocks, cases.workspace.works, weights, slice, Sums::kSet, scratch, sums);
    return sums;
  }

  /// Cases that a machine might see.
  static std::vector<Eigen::Vector2d> some_cases() {
    if constexpr (M::kBinary) return {{0, 1}, {1, 1}, {1, 0}, {0, 0}, {1, 1}};
    std::vector<Eigen::Vector2d> v = {{0.3, -1.2}, {1.4, 0.7}, {-0.6, 0.2}, {2.0, -0.4}};
    if (std::is_same_v<M, SparseSpikeSlabRbm>) v.insert(v.end(), {{0.0, 0.9}, {-0.7, 0.0}, {0.0, 0.0}});
    return v;
  }
};

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

TYPED_TEST(SpikeSlabFamily, FreeEnergyIsTheSumOverStatesAndTheIntegralOverSlabs) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  const auto theta = O::random(model, 3);
  const auto cases = this->some_cases();
  typename TestFixture::Cases loaded(model, theta, cases);
  for (const float beta : {0.0F, 0.45F, 1.0F}) {
    LaneDoubles free;
    model.free_energy(theta, constant_beta(beta), loaded.blocks[0], loaded.workspace.works[0], free);
    for (std::size_t n = 0; n < cases.size(); ++n)
      EXPECT_NEAR(free[n], -this->log_weight(model, theta, beta, cases[n]), 3e-6) << beta << " " << n;
  }
  const auto data = this->data_of(cases);
  for (std::size_t n = 0; n < cases.size(); ++n)
    EXPECT_NEAR(model.free_energy(theta, data.row(static_cast<Index>(n))),
                -this->log_weight(model, theta, 1.0, cases[n]), 1e-6);
}

TYPED_TEST(SpikeSlabFamily, LogZOfTheMixtureEqualsQuadrature) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  const auto theta = O::random(model, 4);
  for (const double beta : {0.0, 0.4, 1.0}) {
    LogSumExp sum;
    for (const auto& [v, measure] : this->visibles(0.25))
      sum.add(this->log_weight(model, theta, beta, v) + std::log(measure));
    constexpr double kTolerance = std::is_same_v<TypeParam, SparseSpikeSlabRbm> ? 2e-6 : 1e-9;
    EXPECT_NEAR(this->exact_log_z(model, theta, beta), sum.value(), kTolerance) << beta;
  }
  EXPECT_NEAR(this->exact_log_z(model, theta, 0.0), model.reference_log_partition(), 1e-6);
  EXPECT_NEAR(this->exact_log_z(model, model.reference_params(), 1.0), model.reference_log_partition(), 1e-5);
}

TYPED_TEST(SpikeSlabFamily, StatisticsAreTheGradientOfTheExactLogLikelihood) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  auto theta = O::random(model, 5);
  const auto cases = this->some_cases();
  const auto data = this->data_of(cases);
  const auto log_likelihood = [&] {
    double sum = 0;
    for (Index n = 0; n < data.n_cases(); ++n) sum -= model.free_energy(theta, data.row(n));
    return sum / static_cast<double>(data.n_cases()) - this->exact_log_z(model, theta, 1.0);
  };
  std::vector<Eigen::Vector2d> grid;
  std::vector<double> weight;
  const double log_z = this->exact_log_z(model, theta, 1.0);
  for (const auto& [v, measure] : this->visibles(0.3)) {
    const auto row = this->data_of({v});
    grid.push_back(v);
    weight.push_back(measure * std::exp(-model.free_energy(theta, row.row(0)) - log_z));
  }
  auto gradient = this->statistics(
      model, theta, cases, std::vector<double>(cases.size(), 1.0 / static_cast<double>(cases.size())));
  add_scaled(gradient, -1.0F, this->statistics(model, theta, grid, weight));
  double largest = 0;
  for_each_field(
      [&](std::string_view name, auto& parameter, const auto& derivative) {
        for (Index k = 0; k < parameter.size(); ++k) {
          const float saved = parameter.data()[k];
          constexpr float kStep = 1.0F / 128;
          parameter.data()[k] = saved + kStep;
          const double up = log_likelihood();
          parameter.data()[k] = saved - kStep;
          const double down = log_likelihood();
          parameter.data()[k] = saved;
          EXPECT_NEAR(derivative.data()[k], (up - down) / (2.0 * kStep), 4e-4) << name << " " << k;
          largest = std::max(largest, std::abs(static_cast<double>(derivative.data()[k])));
        }
      },
      theta, gradient);
  EXPECT_GT(largest, 0.05) << "a gradient of zeros would pass any tolerance";
}

TYPED_TEST(SpikeSlabFamily, ExpectedUnitsAndGatesEqualBruteForce) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  const auto theta = O::random(model, 6);
  const auto cases = this->some_cases();
  typename TestFixture::Cases loaded(model, theta, cases);
  const auto& work = loaded.workspace.works[0];
  for (std::size_t n = 0; n < cases.size(); ++n) {
    Eigen::VectorXd units = Eigen::VectorXd::Zero(work.units.rows());
    Eigen::VectorXd gates = Eigen::VectorXd::Zero(model.filters());
    const double all = this->log_weight(model, theta, 1.0, cases[n]);
    for (unsigned s = 0; s < O::kStates; ++s) {
      const double p = std::exp(this->log_weight(model, theta, 1.0, cases[n], s) - all);
      for (Index i = 0; i < units.size(); ++i) units[i] += p * (s >> i & 1);
      for (Index m = 0; m < gates.size(); ++m) gates[m] += O::gate(s, m) ? p : 0.0;
    }
    const auto lane = static_cast<Index>(n);
    EXPECT_LT((work.units.col(lane).template cast<double>() - units).cwiseAbs().maxCoeff(), 2e-6);
    EXPECT_LT((work.gate.col(lane).template cast<double>() - gates).cwiseAbs().maxCoeff(), 2e-6);
  }
}

/// Moments of the visibles and their products: E v, E v v', of the exact law by quadrature, and of long
/// chains. Returns the largest deviation in standard errors.
template <class M, class Fixture>
double chain_deviation(const M& model, const typename M::Params& theta, const typename M::Params& used,
                       float beta, bool repeated) {
  using Moments = Eigen::Matrix<double, 6, 1>;
  const auto moments_of = [](const Eigen::Vector2d& v) {
    Moments m;
    m << v[0], v[1], v[0] * v[0], v[0] * v[1], v[1] * v[1], (v[0] != 0.0 ? 1.0 : 0.0);
    return m;
  };
  Moments exact = Moments::Zero();
  const double log_z = Fixture::exact_log_z(model, theta, static_cast<double>(beta));
  for (const auto& [v, measure] : Fixture::visibles(0.3))
    exact += measure * std::exp(Fixture::log_weight(model, theta, static_cast<double>(beta), v) - log_z) *
             moments_of(v);
  constexpr std::uint64_t kChains = 2048;
  const StreamFactory streams{21};
  const Workers workers(1);
  Chains<M> chains = reference_chains(model, kChains, streams, Purpose::kSampling, workers);
  Workspace<M> workspace;
  workspace.fit(model, kChains, workers);
  for (LaneFloats& betas : workspace.betas) betas = constant_beta(beta);
  std::vector<Moments> sums(kChains, Moments::Zero());
  constexpr int kBurn = 60;
  constexpr int kDraws = 90;
  for (int k = 0; k < kBurn + kDraws; ++k) {
    if (repeated && k >= kBurn) chains.sweeps = 7;
    advance(model, used, 1, streams, Purpose::kSampling, chains, workspace, workers);
    if (k < kBurn) continue;
    for (std::uint64_t c = 0; c < kChains; ++c) {
      const auto& layer = M::visibles_of(chains.blocks[c / kLanes]);
      Eigen::Vector2d v;
      for (Index d = 0; d < 2; ++d) {
        if constexpr (M::kBinary) {
          v[d] = static_cast<double>(layer[static_cast<std::size_t>(d)] >> (c % kLanes) & 1);
        } else {
          v[d] = layer(d, static_cast<Index>(c % kLanes));
        }
      }
      sums[c] += moments_of(v) / kDraws;
    }
  }
  double worst = 0;
  for (Index k = 0; k < 6; ++k) {
    MeanVariance mean;
    for (const Moments& m : sums) mean.add(m[k]);
    if (mean.standard_error() > 0)
      worst = std::max(worst, std::abs(mean.mean() - exact[k]) / mean.standard_error());
  }
  return worst;
}

/// Of 6 moments at two betas: 4.5 standard errors have p < 1e-4.
constexpr double kSurprise = 4.5;

TYPED_TEST(SpikeSlabFamily, ChainsHaveTheMomentsOfTheMixture) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  const auto theta = O::random(model, 7);
  for (const float beta : {0.5F, 1.0F})
    EXPECT_LT((chain_deviation<TypeParam, TestFixture>(model, theta, theta, beta, false)), kSurprise) << beta;
  auto faulty = theta;
  faulty.weights(0, 0) += 0.4F;
  EXPECT_GT((chain_deviation<TypeParam, TestFixture>(model, theta, faulty, 1.0F, false)), kSurprise)
      << "planted: one wrong weight";
  // Chains of bits find each other's states with the same uniforms: their law stays right.
  if constexpr (!TypeParam::kBinary) {
    EXPECT_GT((chain_deviation<TypeParam, TestFixture>(model, theta, theta, 1.0F, true)), kSurprise)
        << "planted: the same uniforms every sweep";
  }
  if constexpr (TypeParam::kSlabs) {
    faulty = theta;
    faulty.latent.slab_precision = theta.latent.slab_precision.array().square().matrix();
    EXPECT_GT((chain_deviation<TypeParam, TestFixture>(model, theta, faulty, 1.0F, false)), kSurprise)
        << "planted: slab variance 1 / alpha^2";
  }
}

TYPED_TEST(SpikeSlabFamily, AnnealingFindsTheExactLogZ) {
  using O = Oracle<TypeParam>;
  const TypeParam model = O::model();
  const auto theta = O::random(model, 8);
  const Workers workers(1);
  const StreamFactory streams{9};
  const auto weights = annealed_log_weights(
      model, theta, published_betas(200), reference_chains(model, 512, streams, Purpose::kAnnealing, workers),
      streams, Purpose::kAnnealing, workers);
  LogSumExp sum;
  MeanVariance spread;
  for (const double w : weights) {
    sum.add(w);
    spread.add(w);
  }
  const double estimate = model.reference_log_partition() + sum.value() - std::log(512.0);
  const double error = std::sqrt(spread.variance() / 512.0);
  EXPECT_NEAR(estimate, this->exact_log_z(model, theta, 1.0), 4.0 * error + 1e-4);
  EXPECT_LT(error, 0.1);
}

TYPED_TEST(SpikeSlabFamily, PartsAndPanelsDoNotChangeASweep) {
  using M = TypeParam;
  auto shape = Oracle<M>::model().shape();
  shape.n_visible = 70;
  if constexpr (requires { shape.latents.n_blocks; }) {
    shape.latents.n_blocks = 20;
  } else if constexpr (requires { shape.latents.n_spikes; }) {
    shape.latents.n_spikes = 37;
  } else {
    shape.latents.n_hidden = 51;
  }
  const M model(shape, M::standard_reference(70));
  InitialValues values;
  values.weights = 0.1;
  values.spike_precision = 0.2;
  values.slab_precision = 8.0;
  auto theta = model.initial_params(StreamFactory{3}, values);
  Vector direction;
  model.project(theta, direction, false);
  const auto run = [&](int threads, std::uint64_t n) {
    const Workers workers(threads);
    auto chains = reference_chains(model, n, StreamFactory{16}, Purpose::kChains, workers);
    Workspace<M> workspace;
    workspace.fit(model, n, workers);
    advance(model, theta, 3, StreamFactory{16}, Purpose::kChains, chains, workspace, workers);
    return chains;
  };
  for (const std::uint64_t n : {1U, 65U, 320U}) {
    const auto one = run(1, n);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, run(threads, n))) << n << " " << threads;
  }
  EXPECT_TRUE(equal_fields(run(1, 320).blocks[1], run(2, 128).blocks[1]))
      << "draws depend on the other chains";
}

TYPED_TEST(SpikeSlabFamily, LanesWithoutAChainAreZero) {
  using M = TypeParam;
  const M model = Oracle<M>::model();
  const auto theta = Oracle<M>::random(model, 9);
  const Workers workers(1);
  auto chains = reference_chains(model, 70, StreamFactory{18}, Purpose::kChains, workers);
  Workspace<M> workspace;
  workspace.fit(model, 70, workers);
  advance(model, theta, 2, StreamFactory{18}, Purpose::kChains, chains, workspace, workers);
  for_each_field(
      [](std::string_view name, const auto& layer) {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer)>, BitLayer>) {
          for (const Word unit : layer) EXPECT_EQ(unit >> 6, 0U) << name;
        } else {
          EXPECT_EQ(layer.rightCols(kLanes - 6).cwiseAbs().maxCoeff(), 0.0F) << name;
        }
      },
      chains.blocks[1]);
}

// --- one kind alone ---------------------------------------------------------------------------------------

TEST(SpikeSlabRbm, TwoBlocksHaveTheMomentsOfTheMixture) {
  using O = Oracle<SpikeSlabRbm>;
  auto shape = O::model().shape();
  shape.joint_slabs = true;
  const SpikeSlabRbm model = OracleOf<SpikeSlabRbm>::model(shape);
  const auto theta = O::random(model, 7);
  for (const float beta : {0.5F, 1.0F})
    EXPECT_LT(
        (chain_deviation<SpikeSlabRbm, SpikeSlabFamily<SpikeSlabRbm>>(model, theta, theta, beta, false)),
        kSurprise);
  auto faulty = theta;
  faulty.latent.slab_precision *= 1.5F;
  EXPECT_GT((chain_deviation<SpikeSlabRbm, SpikeSlabFamily<SpikeSlabRbm>>(model, theta, faulty, 1.0F, false)),
            kSurprise)
      << "planted: another slab precision";
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
      const SpikeSlabRbm model({7, {4, slabs}}, SpikeSlabRbm::standard_reference(7));
      for (std::uint64_t seed = 0; seed < 20; ++seed) {
        InitialValues values;
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
  const M model(shape, M::standard_reference(shape.n_visible));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    InitialValues values;
    values.weights = 1.0;
    values.slab_precision = 0.7;
    auto theta = model.initial_params(StreamFactory{seed}, values);
    StreamEngine engine = StreamFactory{seed}.engine(Purpose::kSampling, 0);
    for_each_field(
        [&](std::string_view name, auto& own) {
          if (!M::is_precision(name)) return;
          for (float& x : own) x = std::exp(static_cast<float>(4.0 * uniform_53(engine) - 3.0));
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
  const SpikeSlabRbm model({1, {3, 1}}, SpikeSlabRbm::standard_reference(1));
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
  const SpikeSlabRbm large({1, {14, 1}}, SpikeSlabRbm::standard_reference(1));
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
    const SpikeSlabRbm model({8, {10, 1}}, SpikeSlabRbm::standard_reference(8));
    InitialValues values;
    values.weights = 0.1;
    values.slab_precision = 1.0;
    values.spike_precision = phi;
    auto theta = model.initial_params(StreamFactory{5}, values);
    auto unprojected = theta;
    Vector direction;
    StreamEngine engine = StreamFactory{6}.engine(Purpose::kParameters, 0);
    double worst = 1.0;
    int acted = 0;
    for (int step = 0; step < 400; ++step) {
      for (Index k = 0; k < theta.weights.size(); ++k) {
        const auto change = static_cast<float>(0.1 * (uniform_53(engine) - 0.5));
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

/// The oracle of machines whose visibles are in [-1.2, 1.2], by the midpoint rule.
template <class M>
struct BoxedFamily : SpikeSlabFamily<M> {
  static constexpr double kBox = 1.2;

  static M model() {
    auto shape = Oracle<M>::model().shape();
    shape.box = kBox;
    return OracleOf<M>::model(shape);
  }
  static std::vector<std::pair<Eigen::Vector2d, double>> visibles(double) {
    constexpr int kSteps = 60;
    constexpr double kStep = 2 * kBox / kSteps;
    std::vector<std::pair<Eigen::Vector2d, double>> all;
    for (int i = 0; i < kSteps; ++i) {
      for (int j = 0; j < kSteps; ++j)
        all.emplace_back(Eigen::Vector2d((i + 0.5) * kStep - kBox, (j + 0.5) * kStep - kBox), kStep * kStep);
    }
    return all;
  }
  static double exact_log_z(const M& model, const typename M::Params& t, double beta) {
    LogSumExp sum;
    for (const auto& [v, measure] : visibles(0))
      sum.add(SpikeSlabFamily<M>::log_weight(model, t, beta, v) + std::log(measure));
    return sum.value();
  }
};

template <class M>
void check_box(typename M::Params theta) {
  using F = BoxedFamily<M>;
  const M model = F::model();
  EXPECT_NEAR(F::exact_log_z(model, theta, 0.0), model.reference_log_partition(), 1e-3);
  for (const float beta : {0.0F, 0.5F, 1.0F})
    EXPECT_LT((chain_deviation<M, F>(model, theta, theta, beta, false)), kSurprise) << beta;
  const M free = Oracle<M>::model();
  EXPECT_GT((chain_deviation<M, F>(free, theta, theta, 0.5F, false)), kSurprise) << "planted: no box";
  const Workers workers(1);
  const StreamFactory streams{9};
  LogSumExp sum;
  for (const double w :
       annealed_log_weights(model, theta, published_betas(400),
                            reference_chains(model, 1024, streams, Purpose::kAnnealing, workers), streams,
                            Purpose::kAnnealing, workers))
    sum.add(w);
  EXPECT_NEAR(model.reference_log_partition() + sum.value() - std::log(1024.0),
              F::exact_log_z(model, theta, 1.0), 0.05);
}

TEST(SpikeSlabInABox, ChainsAndAnnealingFollowTheTruncatedLaw) {
  check_box<GaussianRbm>(Oracle<GaussianRbm>::random(Oracle<GaussianRbm>::model(), 7));
  check_box<SpikeSlabRbm>(Oracle<SpikeSlabRbm>::random(Oracle<SpikeSlabRbm>::model(), 7));
}

TEST(SpikeSlabInABox, AMachineThatWouldBeImproperHasALaw) {
  auto theta = Oracle<SpikeSlabRbm>::random(Oracle<SpikeSlabRbm>::model(), 7);
  theta.latent.slab_precision.setConstant(0.6F);
  theta.latent.spike_precision.setZero();
  const auto model = BoxedFamily<SpikeSlabRbm>::model();
  ASSERT_LT(least_eigenvalue(Oracle<SpikeSlabRbm>::model(), theta), 0.0);
  EXPECT_TRUE(model.is_proper(theta));
  EXPECT_FALSE(Oracle<SpikeSlabRbm>::model().is_proper(theta));
  Vector direction;
  EXPECT_FALSE(model.project(theta, direction, false));
  check_box<SpikeSlabRbm>(theta);
}

TEST(SpikeSlabInABox, DrawsFarOutsideLieWhereTheTailIs) {
  GaussianRbm::Shape shape{1, {1}};
  shape.box = 1.0;
  const GaussianRbm model(shape, GaussianRbm::standard_reference(1));
  auto theta = model.zero_params();
  theta.visible.visible_precision.setOnes();
  const Workers workers(1);
  for (const float mean : {1.0F, 6.0F, 11.0F, 41.0F, -41.0F}) {
    theta.visible.visible_bias[0] = mean;
    auto chains = reference_chains(model, 4096, StreamFactory{2}, Purpose::kChains, workers);
    Workspace<GaussianRbm> workspace;
    workspace.fit(model, 4096, workers);
    MeanVariance seen;
    for (int k = 0; k < 10; ++k) {
      advance(model, theta, 1, StreamFactory{2}, Purpose::kChains, chains, workspace, workers);
      for (const auto& block : chains.blocks) {
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
  const SpikeSlabRbm one({2, {2, 1}}, SpikeSlabRbm::standard_reference(2));
  const SpikeSlabRbm two({2, {2, 2}}, SpikeSlabRbm::standard_reference(2));
  const auto small = OracleOf<SpikeSlabRbm>::random(one, 3);
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
  const Bilinear model({2, {1, 3, 1, false}}, Bilinear::standard_reference(2));
  auto theta = OracleOf<Bilinear>::random(model, 5);
  theta.latent.h_bias(0, 0) = 40.0F;
  const SpikeSlabRbm plain({2, {3, 1}}, SpikeSlabRbm::standard_reference(2));
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
  const Bilinear model({2, {2, 2, 3, false}}, Bilinear::standard_reference(2));
  const Bilinear turned({2, {2, 3, 2, false}}, Bilinear::standard_reference(2));
  const auto theta = OracleOf<Bilinear>::random(model, 6);
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
    const Bilinear model({2, {2, 2, 3, gated}}, Bilinear::standard_reference(2));
    auto theta = OracleOf<Bilinear>::random(model, 7);
    theta.weights *= 2.0F;
    const std::vector<Eigen::Vector2d> cases = SpikeSlabFamily<Bilinear>::some_cases();
    double gap = 0;
    for (const bool h_first : {false, true}) {
      SpikeSlabFamily<Bilinear>::Cases loaded(model, theta, cases);
      auto& work = loaded.workspace.works[0];
      LaneDoubles exact;
      model.free_energy(theta, constant_beta(1.0F), loaded.blocks[0], work, exact);
      LaneDoubles last;
      last.fill(1e300);
      for (const Index sweeps : {0, 1, 2, 5, 60}) {
        model.mean_field(sweeps, h_first, theta, work);
        LaneDoubles bound;
        model.variational_free_energy(theta, loaded.blocks[0], work, bound);
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
