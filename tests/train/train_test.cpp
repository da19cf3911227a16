#include "tempera/train/trainer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "training.hpp"

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
  StreamEngine random = StreamFactory{9}.engine(Purpose::kDataSet, 0);
  for (int k = 0; k < 300; ++k) {
    std::uint8_t value = 0;
    for (int i = 0; i < 70; ++i) {
      if (random() % 4 == 0) value = static_cast<std::uint8_t>(random() % 3 == 0);
      bytes.push_back(value);
    }
  }
  return {300, 70, bytes};
}

/// The state after a run of 20 hidden units, from the beginning or from another state.
TrainState<BernoulliRbm> trained_on(const BinaryData& data, const TrainOptions& options, int threads = 1,
                                    const TrainState<BernoulliRbm>* start = nullptr) {
  const BernoulliRbm model({70, 20}, BernoulliRbm::fit_reference(data));
  const Executor executor(threads);
  const Training training(model, data, options, executor);
  TrainState<BernoulliRbm> state = start != nullptr ? *start : training.start();
  training.finish(state);
  return state;
}

TrainOptions small_run() {
  TrainOptions options;
  options.chains.batch = 130;
  options.rate.updates = 20;
  return options;
}

TEST(Training, ThreadsDoNotChangeTheStateAndSeedsDo) {
  const BinaryData data = striped_data();
  for (const Trainer trainer : {Trainer::kCd, Trainer::kSml}) {
    TrainOptions options = small_run();
    options.chains.trainer = trainer;
    options.first_order.momentum = 0.5;
    const auto one = trained_on(data, options);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, trained_on(data, options, threads))) << threads << name_of(trainer);
    options.run.seed = 2;
    EXPECT_FALSE(equal_fields(one, trained_on(data, options)));
  }
}

TEST(Training, ALongerRunContinuesAShorterOne) {
  // With averaging, and with adam: no horizon enters the updates but that of the schedule.
  const BinaryData data = striped_data();
  for (const FirstOrder method : {FirstOrder::kSgd, FirstOrder::kAdam}) {
    TrainOptions options = small_run();
    options.first_order.optimizer = method;
    options.rate.schedule = Schedule::kInverse;
    const auto whole = trained_on(data, options);
    options.rate.updates = 10;
    const auto half = trained_on(data, options);
    EXPECT_FALSE(equal_fields(whole, half));
    options.rate.updates = 20;
    EXPECT_TRUE(equal_fields(whole, trained_on(data, options, 1, &half))) << name_of(method);
    // Planted: a schedule with a horizon gives another run.
    options.rate.schedule = Schedule::kLinear;
    options.rate.updates = 10;
    const auto other = trained_on(data, options);
    options.rate.updates = 20;
    EXPECT_FALSE(equal_fields(trained_on(data, options), trained_on(data, options, 1, &other)));
  }
}

TEST(Training, UpdatesThatAreGivenUpAreNotCounted) {
  // Of a state whose updates have all been taken back the next is a first one: the average is what it leaves,
  // and adam's steps have the length of the rate.
  const BinaryData data = striped_data();
  TrainOptions options = small_run();
  options.first_order.optimizer = FirstOrder::kAdam;
  options.rate.schedule = Schedule::kConstant;
  options.rate.lr = 0.01;
  options.gradient.l2 = 0.0;
  options.rate.updates = 1001;
  const BernoulliRbm model({70, 20}, BernoulliRbm::fit_reference(data));
  const Executor executor(1);
  const Training training(model, data, options, executor);
  const auto next = [&](std::uint64_t given_up) {
    TrainState<BernoulliRbm> s = training.start();
    s.update = 1000;
    s.given_up = given_up;
    const Matrix before = s.theta.weights;
    training.finish(s);
    const float step = (s.theta.weights - before).cwiseAbs().maxCoeff();
    const float lag = (s.theta.weights - s.average.weights).cwiseAbs().maxCoeff();
    return std::pair(step, lag);
  };
  EXPECT_NEAR(next(1000).first, 0.01F, 1e-4F);
  EXPECT_EQ(next(1000).second, 0.0F);
  // Planted: none given up.
  EXPECT_GT(next(0).first, 0.015F);
  EXPECT_GT(next(0).second, 0.005F);
}

TEST(Training, CentringChangesThePathNotTheGradientAtZeroOffsets) {
  const BinaryData data = striped_data();
  TrainOptions options = small_run();
  const auto centred = trained_on(data, options);
  options.gradient.centering = false;
  const auto plain = trained_on(data, options);
  EXPECT_FALSE(equal_fields(centred.theta, plain.theta));
  EXPECT_TRUE(plain.offsets.visible.isZero() && plain.offsets.hidden.isZero());
  EXPECT_TRUE(centred.offsets.visible.isApprox(data.means().cast<float>()));
}

/// What tests do to a state between updates they do in the loop of the library.
TEST(Training, UpdatesOneByOneAreThoseOfTheLoop) {
  const BinaryData data = striped_data();
  const BernoulliRbm model({70, 20}, BernoulliRbm::fit_reference(data));
  const Executor executor(1);
  const Training training(model, data, small_run(), executor);
  const auto of_the_loop = trained(training);
  const auto one_by_one = [&training](float moved) {
    TrainState<BernoulliRbm> state = training.start();
    training.meddled(state, [moved](const UpdateReport& report, TrainState<BernoulliRbm>& now) {
      EXPECT_EQ(report.update, now.update);
      if (now.update == 11) now.theta.weights(3, 4) += moved;
    });
    return state;
  };
  EXPECT_TRUE(equal_fields(of_the_loop, one_by_one(0.0F)));
  EXPECT_FALSE(equal_fields(of_the_loop, one_by_one(1e-3F))) << "planted: a weight that is moved";
}

/// Filters of one length and a direction of the data so wide that the projection acts at every update: the
/// mean of what was projected is proper, that of what was not is not.
TEST(Training, TheAverageOfAProjectedMachineIsProper) {
  Matrix rows(400, 20);
  StreamEngine random = StreamFactory{3}.engine(Purpose::kDataSet, 0);
  for (Index n = 0; n < rows.rows(); ++n) {
    for (float& x : rows.row(n)) {
      double sum = -6.0;
      for (int k = 0; k < 12; ++k) sum += uniform_53(random);
      x = static_cast<float>(sum);
    }
    rows(n, 0) *= 20.0F;
  }
  const RealData data(rows);
  TrainOptions options;
  options.chains.trainer = Trainer::kSml;
  options.chains.batch = 100;
  options.rate.updates = 800;
  options.gradient.filter_norm = FilterNorm::kSphere;
  options.init.spike_precision = 0.0;
  options.init.slab_precision = 1.0;
  options.init.visible_precision = 1.0;
  options.rate.lr = 0.02;
  for (const bool natural : {false, true}) {
    if (natural) {
      options.natural.metric = MetricKind::kDiagonal;
      options.natural.step = StepControl::kKl;
    }
    const SpikeSlabRbm model({20, {2, 1}, true}, SpikeSlabRbm::fit_reference(data));
    const Executor executor(1);
    const Training training(model, data, options, executor);
    TrainState<SpikeSlabRbm> state = training.start();
    double acted = 0;
    training.observed(state, [&](const UpdateReport& report, const TrainState<SpikeSlabRbm>& now) {
      acted = report.projections;
      EXPECT_TRUE(model.is_proper(now.theta));
      EXPECT_FALSE(model.is_improper(now.result())) << report.update;
    });
    EXPECT_GT(acted, 200) << (natural ? "diagonal" : "euclid");
  }
}

}  // namespace
}  // namespace tempera
