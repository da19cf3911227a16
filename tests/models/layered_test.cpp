// What machines of layers of Bernoulli units owe beside the obligations of every model (model_test.cpp).
#include <gtest/gtest.h>

#include "specimens.hpp"
#include "tempera/mcmc/population.hpp"
#include "tempera/services/cases.hpp"

namespace tempera {
namespace {

TEST(BernoulliRbm, ExactLogZOfEveryShape) {
  for (const auto& [visible, hidden] : {std::pair<Index, Index>{3, 6}, {1, 1}, {13, 3}}) {
    const BernoulliRbm model({visible, hidden}, {Vector::Constant(visible, 0.4F)});
    auto theta = model.initial_params(StreamFactory{3}, random_weights(1.5));
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

/// Of 6 letters in 5 sites: 7,776 states in two chunks, or 2^hidden of the other side.
TEST(PottsRbm, BothSidesOfAnEnumerationAgree) {
  const Letters letters({6, 6, 5, 6, 6});
  Vector reference = Vector::LinSpaced(30, -0.5F, 0.5F);
  reference[17] = 0.0F;
  const Executor executor(1);
  std::vector<double> found;
  for (const Index hidden : {12, 14}) {
    // Hidden units beyond the twelfth have no weight, and a bias that is known.
    const PottsRbm model({30, hidden, letters}, {reference});
    const PottsRbm twelve({30, 12, letters}, {reference});
    auto theta = model.zero_params();
    const auto drawn = twelve.initial_params(StreamFactory{3}, random_weights(0.8));
    theta.weights.leftCols(12) = drawn.weights;
    theta.visible_bias = drawn.visible_bias;
    EXPECT_EQ(model.enumerated_units(), std::min<Index>(hidden, 13));
    const Engine<PottsRbm> engine{model, {}, executor};
    found.push_back(exact_log_partition(engine, theta, {}).value -
                    static_cast<double>(hidden) * std::log(2.0));
  }
  EXPECT_NEAR(found[0], found[1], 1e-9);
}

TEST(PottsRbm, TheGaugeChangesNoLaw) {
  const Letters letters({3, 4, 2});
  const PottsRbm model = with_standard_reference<PottsRbm>({12, 5, letters});
  auto theta = model.zero_params();
  StreamEngine random = StreamFactory{4}.engine(Purpose::kDataSet, 0);
  for (const Index row : {0, 1, 2, 4, 5, 6, 7, 8, 9}) {
    theta.visible_bias[row] = static_cast<float>(4.0 * uniform_53(random));
    for (Index j = 0; j < 5; ++j) theta.weights(row, j) = static_cast<float>(3.0 * uniform_53(random) - 1.0);
  }
  auto fixed = theta;
  model.fix_gauge(fixed);
  for (const auto& [first, n] : {std::pair{0, 3}, {4, 4}, {8, 2}}) {
    EXPECT_NEAR(fixed.visible_bias.segment(first, n).sum(), 0.0F, 1e-5F);
    EXPECT_LT(fixed.weights.middleRows(first, n).colwise().sum().cwiseAbs().maxCoeff(), 1e-5F);
  }
  EXPECT_GT(fixed.hidden_bias.cwiseAbs().maxCoeff(), 0.1F);
  std::vector<std::uint8_t> codes;
  for (int k = 0; k < 24; ++k) {
    for (const int letter : {k % 3, k / 3 % 4, k / 12}) codes.push_back(static_cast<std::uint8_t>(letter));
  }
  const CategoricalData all(24, letters, codes);
  const double first = model.free_energy(fixed, all.row(0)) - model.free_energy(theta, all.row(0));
  auto forgotten = fixed;  // planted: weights move, hidden biases do not
  forgotten.hidden_bias = theta.hidden_bias;
  double worst = 0.0;
  for (Index n = 0; n < 24; ++n) {
    EXPECT_NEAR(model.free_energy(fixed, all.row(n)) - model.free_energy(theta, all.row(n)), first, 1e-5);
    worst = std::max(
        worst, std::abs(model.free_energy(forgotten, all.row(n)) - model.free_energy(theta, all.row(n)) -
                        (model.free_energy(forgotten, all.row(0)) - model.free_energy(theta, all.row(0)))));
  }
  EXPECT_GT(worst, 1e-2);
}

TEST(BernoulliRbm, ChunksOfAnEnumerationAddUp) {
  const auto model = with_standard_reference<BernoulliRbm>({14, 15});
  const auto theta = model.initial_params(StreamFactory{4}, random_weights(0.8));
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
  const Executor executor(1);
  std::vector<Dbm::State> blocks(1, model.new_state());
  const Word row = v;
  for (std::size_t i = 0; i < blocks[0].layers[0].size(); ++i) blocks[0].layers[0][i] = row >> i & 1;
  Caches<Dbm> caches;
  caches.fit(model, 1, executor);
  infer_cases(Engine{model, {}, executor}, theta, sweeps, blocks, caches);
  LaneDoubles bound;
  case_free_energy(model, theta, blocks[0], caches.blocks[0], bound);
  return {-model.free_energy(theta, {&row, 1}), -bound[0]};
}

TEST(Dbm, MeanFieldBoundsTheLikelihoodAndNeverFalls) {
  using S = Specimen<Dbm>;
  const auto three = with_standard_reference<Dbm>({{6, 4, 3}});
  for (const auto& [model, theta] :
       {std::pair{S::model(), S::params(1.2, 31)},
        std::pair{three, three.initial_params(StreamFactory{5}, random_weights(1.5))}}) {
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
  const auto model = with_standard_reference<Dbm>({{5, 4}});
  const auto theta = model.initial_params(StreamFactory{6}, random_weights(1.0));
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
  const Executor executor(1);
  std::vector<Dbm::State> blocks(1, model.new_state());
  for (std::size_t i = 0; i < 4; ++i) blocks[0].layers[0][i] = kCase >> i & 1;
  Caches<Dbm> caches;
  caches.fit(model, 1, executor);
  infer_cases(Engine{model, {}, executor}, theta, kSweeps, blocks, caches);
  std::vector<LaneFloats> weights(1);
  weights[0].fill(0.0F);
  weights[0][0] = 1.0F;
  auto statistics = model.zero_params();
  Dbm::Scratch scratch;
  for (Index slice = 0; slice < model.slices(); ++slice)
    model.accumulate(theta, blocks, caches.blocks, weights, slice, Sums::kAdd, scratch, statistics);
  LaneMatrix values;
  for (Index layer = 0; layer < 4; ++layer) {
    const auto k = static_cast<std::size_t>(layer);
    values.resize(statistics.bias[k].size(), kLanes);
    model.layer_values(layer, blocks[0], caches.blocks[0], values);
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
  auto cache = model.new_cache(kLanes);
  Dbm::Scratch scratch;
  const LaneFloats beta = constant_beta(1.0F);
  const Panel<Dbm> panel{{&x, 1}, {&cache, 1}, {&beta, 1}};
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
