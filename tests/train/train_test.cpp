#include <gtest/gtest.h>

#include <cmath>

#include "tempera/train/trainer.hpp"

namespace tempera {
namespace {

TEST(Training, EpochOrderIsAPermutationOfItsSeedAndEpoch) {
  const auto order = epoch_order(1000, StreamFactory{1}, 4);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (Index i = 0; i < 1000; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(order, epoch_order(1000, StreamFactory{1}, 4));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{1}, 5));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{2}, 4));
}

/// A small binary data set with structure: 300 cases of 70 values, neighbours alike.
BinaryData striped_data() {
  std::vector<std::uint8_t> bytes;
  StreamEngine engine = StreamFactory{9}.engine(Purpose::kDataSet, 0);
  for (int k = 0; k < 300; ++k) {
    std::uint8_t value = 0;
    for (int i = 0; i < 70; ++i) {
      if (engine() % 4 == 0) value = static_cast<std::uint8_t>(engine() % 3 == 0);
      bytes.push_back(value);
    }
  }
  return {300, 70, bytes};
}

TrainState<BernoulliRbm> trained(const BinaryData& data, const TrainConfig& config, int threads,
                                 TrainState<BernoulliRbm>* start = nullptr) {
  const BernoulliRbm model(70, 20, smoothed_logits(data.means(), data.n_cases()));
  const Workers workers(threads);
  auto state = start != nullptr ? *start : initial_state(model, data, config, workers);
  train<BernoulliRbm>(
      model, data, config, state, [](const auto&, auto&) { return Control::kContinue; }, workers);
  return state;
}

TrainConfig small_config() {
  TrainConfig config;
  config.batch = 130;
  config.updates = 20;
  return config;
}

TEST(Training, ThreadsDoNotChangeTheStateAndSeedsDo) {
  const BinaryData data = striped_data();
  for (const char* trainer : {"cd", "sml"}) {
    TrainConfig config = small_config();
    config.trainer = trainer;
    config.momentum = 0.5;
    const auto one = trained(data, config, 1);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, trained(data, config, threads))) << threads << trainer;
    config.seed = 2;
    EXPECT_FALSE(equal_fields(one, trained(data, config, 1)));
  }
}

TEST(Training, ALongerRunContinuesAShorterOne) {
  // With the default schedule and averaging, and with adam: no horizon enters the updates.
  const BinaryData data = striped_data();
  for (const char* optimizer : {"sgd", "adam"}) {
    TrainConfig config = small_config();
    config.optimizer = optimizer;
    const auto whole = trained(data, config, 1);
    config.updates = 10;
    auto half = trained(data, config, 1);
    EXPECT_FALSE(equal_fields(whole, half));
    config.updates = 20;
    EXPECT_TRUE(equal_fields(whole, trained(data, config, 1, &half))) << optimizer;
    // Planted: a schedule with a horizon gives another run.
    config.schedule = "linear";
    config.updates = 10;
    auto other = trained(data, config, 1);
    config.updates = 20;
    EXPECT_FALSE(equal_fields(trained(data, config, 1), trained(data, config, 1, &other)));
  }
}

TEST(Training, CentringChangesThePathNotTheGradientAtZeroOffsets) {
  const BinaryData data = striped_data();
  TrainConfig config = small_config();
  const auto centred = trained(data, config, 1);
  config.centering = false;
  const auto plain = trained(data, config, 1);
  EXPECT_FALSE(equal_fields(centred.theta, plain.theta));
  EXPECT_TRUE(plain.offsets.visible.isZero() && plain.offsets.hidden.isZero());
  EXPECT_TRUE(centred.offsets.visible.isApprox(data.means().cast<float>()));
}

TEST(Training, SchedulesAreTheStatedFunctions) {
  TrainConfig config;
  config.lr = 0.4;
  config.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(config, 70, 100), 0.4);
  config.schedule = "linear";
  EXPECT_DOUBLE_EQ(learning_rate(config, 0, 100), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(config, 75, 100), 0.1);
  config.schedule = "inverse";
  config.decay_updates = 50;
  EXPECT_DOUBLE_EQ(learning_rate(config, 50, 100), 0.2);
}

TEST(Training, EpochsCountTheShortLastBatch) {
  TrainConfig config;
  config.batch = 130;
  config.epochs = 2;
  EXPECT_EQ(total_updates(config, 300), 6U);
  EXPECT_EQ(total_updates(config, 260), 4U);
  EXPECT_EQ(total_updates(config, 100), 2U) << "a batch is never longer than the data";
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
