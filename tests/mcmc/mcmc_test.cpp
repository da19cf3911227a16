#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/chains.hpp"
#include "tempera/models/bernoulli_rbm.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera {
namespace {

TEST(Annealing, PublishedScheduleIsDenseNearOne) {
  const auto betas = published_betas(10001);
  EXPECT_EQ(betas.front(), 0.0);
  EXPECT_EQ(betas.back(), 1.0);
  for (std::size_t k = 1; k < betas.size(); ++k) ASSERT_GT(betas[k], betas[k - 1]);
  const auto below = [&](double x) {
    return std::lower_bound(betas.begin(), betas.end(), x) - betas.begin();
  };
  EXPECT_NEAR(static_cast<double>(below(0.5)), 10001.0 / 21, 3);
  EXPECT_NEAR(static_cast<double>(below(0.9)), 10001.0 * 11 / 21, 3);
  EXPECT_EQ(published_betas(2), (std::vector<double>{0.0, 1.0}));
}

TEST(Annealing, AgreesWithEnumerationAndSeesAFault) {
  const BernoulliRbm model(8, 6, Vector::Constant(8, -0.3F));
  const auto theta = model.initial_params(StreamFactory{1}, 1.2);
  LogSumExp exact;
  for (Index k = 0; k < model.exact_chunks(); ++k) exact.add(model.log_partition_chunk(theta, 1.0, k));
  const Workers workers(2);
  const auto weights = annealed_log_weights(model, theta, published_betas(500), 640, StreamFactory{2},
                                            Purpose::kAnnealing, workers);
  ASSERT_EQ(weights.size(), 640U);
  const LogPartition estimate = log_partition_from_weights(model.reference_log_partition(), weights);
  EXPECT_NEAR(estimate.value, exact.value(), 4 * estimate.standard_error);
  EXPECT_LT(estimate.standard_error, 0.03);
  // Planted fault: the wrong log Z at beta = 0.
  const LogPartition wrong =
      log_partition_from_weights(model.reference_log_partition() + std::log(2.0), weights);
  EXPECT_GT(std::abs(wrong.value - exact.value()), 4 * wrong.standard_error);
}

TEST(Estimate, StandardErrorOfLogNormalWeights) {
  // relvar of exp(N(0, s^2)) is exp(s^2) - 1.
  StreamEngine engine = StreamFactory{5}.engine(Purpose::kDataSet, 0);
  std::vector<double> weights;
  for (int i = 0; i < 20000; ++i) {
    double sum = -6.0;
    for (int k = 0; k < 12; ++k) sum += engine() * 0x1p-32;
    weights.push_back(0.5 * sum + 700.0);
  }
  const LogPartition estimate = log_partition_from_weights(0.0, weights);
  EXPECT_NEAR(estimate.value, 700.0 + 0.125, 0.02);
  EXPECT_NEAR(estimate.standard_error, std::sqrt((std::exp(0.25) - 1) / 20000), 2e-4);
  EXPECT_NEAR(estimate.effective_fraction, std::exp(-0.25), 0.02);
}

TEST(Estimate, RefusesATotalProbabilityAboveOne) {
  const std::vector<double> energies = {-3.0, -3.0};
  EXPECT_NO_THROW(require_possible(energies, {3.0 + std::log(2.0), 0.0, 1.0}));
  EXPECT_NO_THROW(require_possible(energies, {3.0, 0.5, 1.0}));
  EXPECT_THROW(require_possible(energies, {3.0, 0.1, 1.0}), NumericalError);
}

TEST(Training, EpochOrderIsAPermutationOfItsSeedAndEpoch) {
  const auto order = epoch_order(1000, StreamFactory{1}, 4);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (Index i = 0; i < 1000; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(order, epoch_order(1000, StreamFactory{1}, 4));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{1}, 5));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{2}, 4));
}

TEST(Training, ThreadsDoNotChangeTheStateAndSeedsDo) {
  std::vector<std::uint8_t> bytes;
  StreamEngine engine = StreamFactory{9}.engine(Purpose::kDataSet, 0);
  for (int k = 0; k < 300 * 70; ++k) bytes.push_back(static_cast<std::uint8_t>(engine() % 3 == 0));
  const BinaryData data(300, 70, bytes);
  const BernoulliRbm model(70, 20, smoothed_logits(data.means(), 300));
  const auto run = [&](int threads, std::int64_t seed, const char* trainer) {
    TrainConfig config;
    config.trainer = trainer;
    config.batch = 130;
    config.updates = 20;
    config.momentum = 0.5;
    config.seed = seed;
    const Workers workers(threads);
    auto state = initial_state(model, data, config, workers);
    train<BernoulliRbm>(
        model, data, config, state, [](const auto&, auto&) { return Control::kContinue; }, workers);
    return state;
  };
  for (const char* trainer : {"cd", "sml"}) {
    const auto one = run(1, 1, trainer);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, run(threads, 1, trainer))) << threads << trainer;
    EXPECT_FALSE(equal_fields(one, run(1, 2, trainer)));
  }
}

TEST(Config, ReportsEveryViolationAtOnce) {
  TrainConfig config;
  config.data = "digits";
  EXPECT_TRUE(validate(config).empty());
  config.lr = -1;
  config.hidden = {0};
  config.trainer = "magic";
  EXPECT_EQ(validate(config).size(), 3U);
}

}  // namespace
}  // namespace tempera
