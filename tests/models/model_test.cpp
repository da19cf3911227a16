// The obligations of every model, checked by enumeration. A new model adds a Specimen and its name below.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "specimens.hpp"
#include "tempera/mcmc/chains.hpp"

namespace tempera {
namespace {

template <class M>
class EveryModel : public testing::Test {
 protected:
  using S = Specimen<M>;
  using Params = typename M::Params;
  static constexpr unsigned kVisibles = 1U << S::kVisible;
  static constexpr unsigned kLatents = 1U << S::kLatent;

  static double log_weight(const Params& theta, double beta, unsigned v) {
    LogSumExp sum;
    for (unsigned h = 0; h < kLatents; ++h) sum.add(-S::energy(theta, beta, v, h));
    return sum.value();
  }
  static double brute_log_z(const Params& theta, double beta) {
    LogSumExp sum;
    for (unsigned v = 0; v < kVisibles; ++v) sum.add(log_weight(theta, beta, v));
    return sum.value();
  }
  static double exact_log_z(const M& model, const Params& theta, double beta) {
    LogSumExp sum;
    for (Index k = 0; k < model.exact_chunks(); ++k) sum.add(model.log_partition_chunk(theta, beta, k));
    return sum.value();
  }

  /// Calls visit(first, x) with a block whose lane c holds visible state first + c, until all were there.
  static void for_every_visible(const M& model,
                                const std::function<void(unsigned, typename M::State&)>& visit) {
    for (unsigned first = 0; first < kVisibles; first += kLanes) {
      auto x = model.new_state();
      for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, (first + c) % kVisibles, 0);
      visit(first, x);
    }
  }

  /// A block as a panel, all its chains at the same beta.
  struct OneBlock {
    OneBlock(const M& model, typename M::State& x, float beta)
        : work(model.new_work(kLanes)), betas{constant_beta(beta)}, panel{{&x, 1}, {&work, 1}, betas} {}
    typename M::Work work;
    typename M::Scratch scratch;
    std::vector<LaneFloats> betas;
    Panel<M> panel;
  };

  static typename M::Work inferred(const M& model, const Params& theta, typename M::State& x) {
    OneBlock block(model, x, 1.0F);
    model.infer({0, model.latents()}, theta, block.panel, block.scratch);
    return block.work;
  }

  /// Weighted sums of -dE/dtheta over all visibles, over all slices.
  static Params statistics(const M& model, const Params& theta,
                           const std::vector<double>& weight_of_visible) {
    Params total = model.zero_params();
    for_every_visible(model, [&](unsigned first, typename M::State& x) {
      OneBlock block(model, x, 1.0F);
      model.infer({0, model.latents()}, theta, block.panel, block.scratch);
      model.mean_latents({0, model.latents()}, theta, block.panel);
      std::vector<LaneFloats> weights(1);
      for (unsigned c = 0; c < kLanes && first + c < kVisibles; ++c)
        weights[0][c] = static_cast<float>(weight_of_visible[first + c]);
      for (Index slice = 0; slice < model.slices(); ++slice)
        model.accumulate(theta, block.panel.states, block.panel.works, weights, slice, Sums::kAdd,
                         block.scratch, total);
    });
    return total;
  }

  /// Which uniforms a chain meets.
  enum class Draws { kIndependent, kRepeated };

  /// Chi-square statistic over all states (v, h) of independent chains that start from the exact law of
  /// `theta` at beta and make three sweeps with the parameters `used`, beside its degrees of freedom. States
  /// that expect fewer than 5 visits are one class.
  static std::pair<double, double> chi_square_after_sweeps(const M& model, const Params& theta,
                                                           const Params& used, float beta,
                                                           Draws draws = Draws::kIndependent) {
    constexpr unsigned kBlocks = 1500;
    const double log_z = brute_log_z(theta, beta);
    std::vector<double> probability;
    for (unsigned v = 0; v < kVisibles; ++v) {
      for (unsigned h = 0; h < kLatents; ++h)
        probability.push_back(std::exp(-S::energy(theta, beta, v, h) - log_z));
    }
    const StreamFactory streams{11};
    std::vector<double> counts(probability.size());
    auto x = model.new_state();
    OneBlock block(model, x, beta);
    for (unsigned b = 0; b < kBlocks; ++b) {
      for (unsigned c = 0; c < kLanes; ++c) {
        double u = streams.engine(Purpose::kDataSet, 1, b * 64 + c)() * 0x1p-32;
        unsigned state = 0;
        while (state + 1 < probability.size() && u >= probability[state]) u -= probability[state++];
        S::set(x, c, state / kLatents, state % kLatents);
      }
      for (std::uint64_t k = 1; k <= 3; ++k) {
        const std::uint64_t step = draws == Draws::kRepeated ? 1 : k;
        for (Index stage = 0; stage < model.stages(); ++stage) {
          model.resample(stage, {0, model.stage_units(stage)}, used, block.panel, block.scratch,
                         streams.lanes(Purpose::kSampling, step, b * 64));
        }
      }
      for (unsigned c = 0; c < kLanes; ++c) counts[S::visible(x, c) * kLatents + S::latent(x, c)] += 1;
    }
    double statistic = 0;
    double degrees = -1;
    double rare = 0;
    double rare_expected = 0;
    for (std::size_t k = 0; k < counts.size(); ++k) {
      const double expected = probability[k] * kBlocks * kLanes;
      if (expected < 5) {
        rare += counts[k];
        rare_expected += expected;
        continue;
      }
      statistic += (counts[k] - expected) * (counts[k] - expected) / expected;
      degrees += 1;
    }
    if (rare_expected > 0) {
      statistic += (rare - rare_expected) * (rare - rare_expected) / rare_expected;
      degrees += 1;
    }
    return {statistic, degrees};
  }

  /// Wilson-Hilferty normal score of a chi-square statistic; above 3.72 has p < 1e-4.
  static double score(const std::pair<double, double>& chi_square) {
    const auto [statistic, degrees] = chi_square;
    return (std::cbrt(statistic / degrees) - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
  }
  static constexpr double kRejected = 3.72;
};

using Models = testing::Types<BernoulliRbm, Dbm>;

class ModelNames {
 public:
  template <class M>
  static std::string GetName(int) {
    return std::string(M::kKind);
  }
};
TYPED_TEST_SUITE(EveryModel, Models, ModelNames);

TYPED_TEST(EveryModel, ExactLogZEqualsBruteForceAtEveryBeta) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.5, 3);
  for (const double beta : {0.0, 0.35, 1.0})
    EXPECT_NEAR(this->exact_log_z(model, theta, beta), this->brute_log_z(theta, beta), 1e-10);
  EXPECT_NEAR(model.reference_log_partition(), this->brute_log_z(theta, 0.0), 1e-6);
}

TYPED_TEST(EveryModel, FreeEnergySumsTheLatentsOut) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  this->for_every_visible(model, [&](unsigned first, typename TypeParam::State& x) {
    const auto work = this->inferred(model, theta, x);
    for (const float beta : {0.0F, 0.6F, 1.0F}) {
      LaneDoubles free;
      model.free_energy(theta, constant_beta(beta), x, work, free);
      for (unsigned c = 0; c < kLanes && first + c < this->kVisibles; ++c)
        EXPECT_NEAR(free[c], -this->log_weight(theta, beta, first + c), 1e-5);
    }
  });
}

TYPED_TEST(EveryModel, FreeEnergyKnowsEachChainsBeta) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  LaneFloats beta;
  for (unsigned c = 0; c < kLanes; ++c) beta[c] = static_cast<float>(c) / 63.0F;
  auto x = model.new_state();
  for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, c % this->kVisibles, 0);
  const auto work = this->inferred(model, theta, x);
  LaneDoubles free;
  model.free_energy(theta, beta, x, work, free);
  for (unsigned c = 0; c < kLanes; ++c)
    EXPECT_NEAR(free[c], -this->log_weight(theta, beta[c], c % this->kVisibles), 1e-5);
}

TYPED_TEST(EveryModel, OneCaseExactlyEqualsTheSumOverLatents) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  for (unsigned v = 0; v < 1U << S::kData; ++v) {
    LogSumExp sum;
    for (unsigned rest = 0; rest < 1U << (S::kVisible - S::kData); ++rest)
      sum.add(this->log_weight(theta, 1.0, v | rest << S::kData));
    const Word row = v;
    EXPECT_NEAR(model.free_energy(theta, {&row, 1}), -sum.value(), 1e-12);
  }
}

TYPED_TEST(EveryModel, StatisticsAreTheGradientOfTheExactLogLikelihood) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  auto theta = S::params(0.7, 6);
  const std::vector<unsigned> cases = {3, 17, 30, 8};
  const auto log_likelihood = [&] {
    double sum = 0;
    for (const unsigned v : cases) sum += this->log_weight(theta, 1.0, v);
    return sum / static_cast<double>(cases.size()) - this->brute_log_z(theta, 1.0);
  };
  std::vector<double> data_weight(this->kVisibles);
  std::vector<double> model_weight(this->kVisibles);
  for (const unsigned v : cases) data_weight[v] += 1.0 / static_cast<double>(cases.size());
  for (unsigned v = 0; v < this->kVisibles; ++v)
    model_weight[v] = std::exp(this->log_weight(theta, 1.0, v) - this->brute_log_z(theta, 1.0));
  auto gradient = this->statistics(model, theta, data_weight);
  add_scaled(gradient, -1.0F, this->statistics(model, theta, model_weight));
  Index checked = 0;
  double largest = 0;
  for_each_field(
      [&](std::string_view name, auto& parameter, const auto& derivative) {
        for (Index k = 0; k < parameter.size(); ++k) {
          const float saved = parameter.data()[k];
          constexpr float kStep = 1.0F / 64;
          parameter.data()[k] = saved + kStep;
          const double up = log_likelihood();
          parameter.data()[k] = saved - kStep;
          const double down = log_likelihood();
          parameter.data()[k] = saved;
          EXPECT_NEAR(derivative.data()[k], (up - down) / (2.0 * kStep), 2e-4) << name << " " << k;
          largest = std::max(largest, std::abs(static_cast<double>(derivative.data()[k])));
          ++checked;
        }
      },
      theta, gradient);
  Index parameters = 0;
  for_each_field([&](std::string_view, const auto& field) { parameters += field.size(); }, theta);
  EXPECT_EQ(checked, parameters);
  EXPECT_GT(largest, 0.05) << "a gradient of zeros would pass any tolerance";
}

TYPED_TEST(EveryModel, LatentsAreDrawnFromTheirLawGivenTheVisibles) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 13);
  constexpr unsigned kVisible = 11;
  constexpr unsigned kBlocks = 400;
  const float beta = 0.7F;
  std::vector<double> counts(this->kLatents);
  auto x = model.new_state();
  for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, kVisible, 0);
  const auto work = this->inferred(model, theta, x);
  for (unsigned b = 0; b < kBlocks; ++b) {
    model.sample_latents(theta, constant_beta(beta), x, work, StreamFactory{14}.lanes(Purpose::kSampling, b));
    for (unsigned c = 0; c < kLanes; ++c) counts[S::latent(x, c)] += 1;
  }
  const auto test = [&](double at) {
    double statistic = 0;
    for (unsigned h = 0; h < this->kLatents; ++h) {
      const double expected =
          kBlocks * kLanes *
          std::exp(-S::energy(theta, at, kVisible, h) - this->log_weight(theta, at, kVisible));
      statistic += (counts[h] - expected) * (counts[h] - expected) / expected;
    }
    return this->score({statistic, this->kLatents - 1.0});
  };
  EXPECT_LT(test(beta), this->kRejected);
  EXPECT_GT(test(1.0), this->kRejected) << "planted: another beta";
}

TYPED_TEST(EveryModel, PartsAndPanelsDoNotChangeASweep) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.9, 15);
  const auto run = [&](int threads, std::uint64_t n) {
    const Workers workers(threads);
    auto chains = reference_chains(model, n, StreamFactory{16}, Purpose::kChains, workers);
    Workspace<TypeParam> workspace;
    workspace.fit(model, n, workers);
    advance(model, theta, 3, StreamFactory{16}, Purpose::kChains, chains, workspace, workers);
    return chains;
  };
  for (const std::uint64_t n : {1U, 63U, 65U, 320U, 1300U}) {
    const auto one = run(1, n);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, run(threads, n))) << n << " " << threads;
  }
  // The draws of a chain do not depend on how many there are.
  EXPECT_TRUE(equal_fields(run(1, 1300).blocks[1], run(2, 128).blocks[1]));
}

TYPED_TEST(EveryModel, LanesWithoutAChainAreZeroAndUnread) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.9, 17);
  const Workers workers(1);
  auto chains = reference_chains(model, 70, StreamFactory{18}, Purpose::kChains, workers);
  Workspace<TypeParam> workspace;
  workspace.fit(model, 70, workers);
  advance(model, theta, 2, StreamFactory{18}, Purpose::kChains, chains, workspace, workers);
  for (unsigned c = 6; c < kLanes; ++c) {
    EXPECT_EQ(S::visible(chains.blocks[1], c), 0U);
    EXPECT_EQ(S::latent(chains.blocks[1], c), 0U);
  }
  const auto sums = [&](float poison) {
    mean_latents(model, theta, chains.blocks, workspace, workers);
    auto total = model.zero_params();
    const std::vector<LaneFloats> weights = {lane_weights(70, 0, 0.5F), lane_weights(70, 1, 0.5F)};
    S::poison(workspace.works[1], 6, poison);
    typename TypeParam::Scratch scratch;
    for (Index slice = 0; slice < model.slices(); ++slice)
      model.accumulate(theta, chains.blocks, workspace.works, weights, slice, Sums::kAdd, scratch, total);
    return total;
  };
  EXPECT_TRUE(equal_fields(sums(0.0F), sums(NAN)));
}

TYPED_TEST(EveryModel, SweepLeavesTheTemperedLawInvariant) {
  using S = Specimen<TypeParam>;
  using Base = EveryModel<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.8, 9);
  auto faulty = theta;
  bool planted = false;
  for_each_field(
      [&planted](std::string_view, auto& field) {
        if (!planted) field.data()[0] += 0.5F;
        planted = true;
      },
      faulty);
  for (const float beta : {0.5F, 1.0F}) {
    const auto run = [&](const auto& used, auto draws) {
      return this->score(this->chi_square_after_sweeps(model, theta, used, beta, draws));
    };
    EXPECT_LT(run(theta, Base::Draws::kIndependent), this->kRejected);
    EXPECT_GT(run(faulty, Base::Draws::kIndependent), this->kRejected) << "planted: one wrong parameter";
    EXPECT_GT(run(theta, Base::Draws::kRepeated), this->kRejected)
        << "planted: the same uniforms every sweep";
  }
}

TYPED_TEST(EveryModel, ReferenceDrawsFollowTheLawAtBetaZero) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.8, 10);
  const Workers workers(1);
  const auto chains = reference_chains(model, 96000, StreamFactory{12}, Purpose::kSampling, workers);
  std::vector<double> counts(this->kVisibles);
  for (const auto& x : chains.blocks) {
    for (unsigned c = 0; c < kLanes; ++c) counts[S::visible(x, c)] += 1;
  }
  const auto test = [&](double beta) {
    double statistic = 0;
    for (unsigned v = 0; v < this->kVisibles; ++v) {
      const double expected =
          96000 * std::exp(this->log_weight(theta, beta, v) - this->brute_log_z(theta, beta));
      statistic += (counts[v] - expected) * (counts[v] - expected) / expected;
    }
    return this->score({statistic, this->kVisibles - 1.0});
  };
  EXPECT_LT(test(0.0), this->kRejected);
  EXPECT_GT(test(0.1), this->kRejected) << "planted: draws of another beta";
}

TYPED_TEST(EveryModel, ScoresAreStatisticsAlongADirection) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.9, 21);
  auto direction = S::params(1.1, 22);
  this->for_every_visible(model, [&](unsigned, typename TypeParam::State& x) {
    typename TestFixture::OneBlock block(model, x, 1.0F);
    typename TestFixture::OneBlock probe(model, x, 1.0F);
    for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, S::visible(x, c), (5 * c + 3) % this->kLatents);
    const UnitRange latents{0, model.latents()};
    model.infer(latents, theta, block.panel, block.scratch);
    model.mean_latents(latents, theta, block.panel);
    model.infer(latents, direction, probe.panel, probe.scratch);
    for (const bool drawn : {false, true}) {
      if (drawn) model.unpack_latents(x, block.work);
      LaneDoubles scores;
      model.score(direction, x, probe.work, block.work, scores);
      for (unsigned c = 0; c < kLanes; c += 7) {
        std::vector<LaneFloats> weights(1);
        weights[0].fill(0.0F);
        weights[0][c] = 1.0F;
        auto statistics = model.zero_params();
        for (Index slice = 0; slice < model.slices(); ++slice)
          model.accumulate(theta, block.panel.states, block.panel.works, weights, slice, Sums::kAdd,
                           block.scratch, statistics);
        double expected = 0;
        for_each_field(
            [&](std::string_view, const auto& d, const auto& s) {
              for (Index k = 0; k < d.size(); ++k) expected += static_cast<double>(d.data()[k] * s.data()[k]);
            },
            direction, statistics);
        EXPECT_NEAR(scores[c], expected, 1e-5) << c << drawn;
        if (drawn) {
          EXPECT_NEAR(expected, -S::energy(direction, 1.0, S::visible(x, c), S::latent(x, c)), 1e-5);
        }
      }
    }
  });
}

// --- obligations of one kind alone ---------------------------------------------------------------------

TEST(BernoulliRbm, ExactLogZOfEveryShape) {
  for (const auto& [visible, hidden] : {std::pair<Index, Index>{3, 6}, {1, 1}, {13, 3}}) {
    const BernoulliRbm model(visible, hidden, Vector::Constant(visible, 0.4F));
    auto theta = model.initial_params(StreamFactory{3}, 1.5);
    theta.hidden_bias = theta.weights.row(0).transpose();
    LogSumExp total;
    for (unsigned v = 0; v < 1U << visible; ++v) {
      const Word row = v;
      total.add(-model.free_energy(theta, {&row, 1}));
    }
    LogSumExp exact;
    for (Index k = 0; k < model.exact_chunks(); ++k) exact.add(model.log_partition_chunk(theta, 1.0, k));
    EXPECT_NEAR(exact.value(), total.value(), 1e-10);
  }
}

TEST(BernoulliRbm, ChunksOfAnEnumerationAddUp) {
  const BernoulliRbm model(14, 15);
  const auto theta = model.initial_params(StreamFactory{4}, 0.8);
  ASSERT_GT(model.exact_chunks(), 1);
  LogSumExp total;
  for (unsigned v = 0; v < 1U << 14; ++v) {
    const Word row = v;
    total.add(-model.free_energy(theta, {&row, 1}));
  }
  LogSumExp exact;
  for (Index k = 0; k < model.exact_chunks(); ++k) exact.add(model.log_partition_chunk(theta, 1.0, k));
  EXPECT_NEAR(exact.value(), total.value(), 1e-9);
}

/// Exact log p(v) of a specimen's data, up to log Z, beside the bound that a mean field gives.
struct MeanFieldCase {
  double exact;
  double bound;
};

MeanFieldCase mean_field_case(const Dbm& model, const Dbm::Params& theta, unsigned v, Index sweeps) {
  const Workers workers(1);
  std::vector<Dbm::State> blocks(1, model.new_state());
  const Word row = v;
  for (std::size_t i = 0; i < blocks[0].layers[0].size(); ++i) blocks[0].layers[0][i] = row >> i & 1;
  Workspace<Dbm> workspace;
  workspace.fit(model, 1, workers);
  infer_cases(model, theta, sweeps, blocks, workspace, workers);
  LaneDoubles bound;
  case_free_energy(model, theta, blocks[0], workspace.works[0], bound);
  return {-model.free_energy(theta, {&row, 1}), -bound[0]};
}

TEST(Dbm, MeanFieldBoundsTheLikelihoodAndNeverFalls) {
  using S = Specimen<Dbm>;
  for (const auto& [model, theta] :
       {std::pair{S::model(), S::params(1.2, 31)},
        std::pair{Dbm({6, 4, 3}), Dbm({6, 4, 3}).initial_params(StreamFactory{5}, 1.5)}}) {
    double gap = 0;
    for (unsigned v = 0; v < 1U << model.n_visible(); ++v) {
      double last = -1e9;
      for (const Index sweeps : {0, 1, 2, 5, 50}) {
        const MeanFieldCase found = mean_field_case(model, theta, v, sweeps);
        EXPECT_LE(found.bound, found.exact + 1e-5);
        EXPECT_GE(found.bound, last - 1e-5) << sweeps;
        last = found.bound;
        if (sweeps == 50) gap = std::max(gap, found.exact - found.bound);
      }
    }
    EXPECT_GT(gap, 1e-3) << "a bound that is always exact bounds something else";
  }
}

TEST(Dbm, MeanFieldIsExactWithOneHiddenLayer) {
  const Dbm model({5, 4});
  const auto theta = model.initial_params(StreamFactory{6}, 1.0);
  for (unsigned v = 0; v < 32; ++v) {
    const MeanFieldCase found = mean_field_case(model, theta, v, 3);
    EXPECT_NEAR(found.bound, found.exact, 1e-5);
  }
}

/// Statistics in a mean field are those of the independent law q: checked against the bound's own derivative,
/// since at its optimum d bound / d theta = E_q[-dE/dtheta].
TEST(Dbm, MeanFieldStatisticsAreTheDerivativeOfTheBound) {
  const Dbm model = Specimen<Dbm>::model();
  auto theta = Specimen<Dbm>::params(0.8, 33);
  constexpr unsigned kCase = 9;
  constexpr Index kSweeps = 300;
  const Workers workers(1);
  std::vector<Dbm::State> blocks(1, model.new_state());
  for (std::size_t i = 0; i < 4; ++i) blocks[0].layers[0][i] = kCase >> i & 1;
  Workspace<Dbm> workspace;
  workspace.fit(model, 1, workers);
  infer_cases(model, theta, kSweeps, blocks, workspace, workers);
  std::vector<LaneFloats> weights(1);
  weights[0].fill(0.0F);
  weights[0][0] = 1.0F;
  auto statistics = model.zero_params();
  Dbm::Scratch scratch;
  for (Index slice = 0; slice < model.slices(); ++slice)
    model.accumulate(theta, blocks, workspace.works, weights, slice, Sums::kAdd, scratch, statistics);
  LaneMatrix values;
  for (Index layer = 0; layer < 4; ++layer) {
    const auto k = static_cast<std::size_t>(layer);
    values.resize(statistics.bias[k].size(), kLanes);
    model.layer_values(layer, blocks[0], workspace.works[0], values);
    EXPECT_LT((values.col(0) - statistics.bias[k]).norm(), 1e-6) << layer;
  }
  for_each_field(
      [&](std::string_view name, auto& parameter, const auto& derivative) {
        for (Index k = 0; k < parameter.size(); ++k) {
          const float saved = parameter.data()[k];
          constexpr float kStep = 1.0F / 64;
          parameter.data()[k] = saved + kStep;
          const double up = mean_field_case(model, theta, kCase, kSweeps).bound;
          parameter.data()[k] = saved - kStep;
          const double down = mean_field_case(model, theta, kCase, kSweeps).bound;
          parameter.data()[k] = saved;
          EXPECT_NEAR(derivative.data()[k], (up - down) / (2.0 * kStep), 5e-4) << name << " " << k;
        }
      },
      theta, statistics);
}

TEST(Dbm, ClampedSweepsDrawTheLatentsOfACase) {
  using S = Specimen<Dbm>;
  const Dbm model = S::model();
  const auto theta = S::params(1.0, 35);
  constexpr unsigned kCase = 6;
  // Probability of each state of the layers above, from the exact law given the visibles.
  std::vector<double> probability(1U << (S::kVisible - S::kData));
  LogSumExp total;
  for (unsigned u = 0; u < probability.size(); ++u) {
    LogSumExp sum;
    for (unsigned h = 0; h < 1U << S::kLatent; ++h) sum.add(-S::energy(theta, 1.0, kCase | u << S::kData, h));
    probability[u] = sum.value();
    total.add(sum.value());
  }
  std::vector<double> counts(probability.size());
  auto x = model.new_state();
  auto work = model.new_work(kLanes);
  Dbm::Scratch scratch;
  const LaneFloats beta = constant_beta(1.0F);
  const Panel<Dbm> panel{{&x, 1}, {&work, 1}, {&beta, 1}};
  constexpr unsigned kBlocks = 300;
  for (unsigned b = 0; b < kBlocks; ++b) {
    for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, kCase, 0);
    for (std::uint64_t k = 0; k < 12; ++k) {
      const auto stream = StreamFactory{3}.lanes(Purpose::kPositiveChains, k, b * 64);
      if (k > 0) model.resample(0, model.clamped_units(), theta, panel, scratch, stream);
      model.resample(1, {0, model.stage_units(1)}, theta, panel, scratch, stream);
    }
    for (unsigned c = 0; c < kLanes; ++c) {
      EXPECT_EQ(S::visible(x, c) & 15U, kCase);
      counts[S::visible(x, c) >> S::kData] += 1;
    }
  }
  double statistic = 0;
  for (unsigned u = 0; u < probability.size(); ++u) {
    const double expected = kBlocks * kLanes * std::exp(probability[u] - total.value());
    statistic += (counts[u] - expected) * (counts[u] - expected) / expected;
  }
  EXPECT_LT(statistic, 21.1);  // p = 1e-4 for 3 degrees of freedom
}

}  // namespace
}  // namespace tempera
