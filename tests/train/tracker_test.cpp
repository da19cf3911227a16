#include "tempera/train/tracker.hpp"

#include <gtest/gtest.h>

#include <boost/random/normal_distribution.hpp>
#include <cmath>

#include "tempera/core/math.hpp"
#include "training.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 10;
constexpr Index kHidden = 8;

/// Cases of four random prototypes with a twentieth of the bits flipped.
BinaryData clustered_data(std::uint64_t seed) {
  StreamEngine random = StreamFactory{seed}.engine(Purpose::kDataSet, 0);
  std::vector<std::uint8_t> prototypes(4 * kVisible);
  for (std::uint8_t& x : prototypes) x = static_cast<std::uint8_t>(random() % 2);
  std::vector<std::uint8_t> bytes;
  for (int k = 0; k < 500; ++k) {
    const std::size_t which = random() % 4;
    for (Index i = 0; i < kVisible; ++i) {
      const std::uint8_t bit = prototypes[which * kVisible + static_cast<std::size_t>(i)];
      bytes.push_back(random() % 20 == 0 ? 1 - bit : bit);
    }
  }
  return {500, kVisible, bytes};
}

/// The machine of these data.
BernoulliRbm machine_of(const BinaryData& data) {
  return {{kVisible, kHidden}, BernoulliRbm::fit_reference(data)};
}

TrainOptions short_run(Tracking how) {
  TrainOptions options;
  options.chains.batch = 50;
  options.rate.updates = 500;
  options.run.report_every = 500;
  options.rate.lr = 0.05;
  options.rate.schedule = Schedule::kConstant;
  options.init.weights = 0.1;
  options.gradient.average = false;
  options.tracking.track_log_z = how;
  options.tracking.every = 1;
  options.chains.jump = 0.0;
  if (how == Tracking::kShared) {
    options.chains.trainer = Trainer::kSmlPt;
    options.ladder.rungs = 6;
    options.ladder.ensembles = 20;
  }
  return options;
}

template <class M>
double exact(const M& model, const typename M::Params& theta) {
  const Executor executor(1);
  return log_partition_from_chunks(
             model.exact_chunks(), [&](Index chunk) { return model.log_partition_chunk(theta, 1.0, chunk); },
             executor)
      .value;
}

struct Scores {
  MeanVariance z;
  MeanVariance error;
  MeanVariance reported;

  [[nodiscard]] double deviation() const { return std::sqrt(z.variance()); }
};

/// log Z as tracked at the end of a training.
template <EnergyModel M>
LogPartition tracked_in_training(const Training<M>& training, TrainState<M>& state) {
  LogPartition tracked;
  training.observed(state, [&tracked](const UpdateReport& report, const TrainState<M>&) {
    if (report.update == report.total) tracked = report.log_partition;
  });
  return tracked;
}

/// The same with a bias of shared chains that is held at 0.
LogPartition tracked_without_bias(const Training<BernoulliRbm>& training, TrainState<BernoulliRbm>& state) {
  LogPartition tracked;
  training.meddled(state, [&tracked](const UpdateReport& report, TrainState<BernoulliRbm>& now) {
    pin(now.tracker.belief.mean.size() - 1, 0.0, now.tracker.belief);
    if (report.update == report.total) tracked = report.log_partition;
  });
  return tracked;
}

/// z-scores of log Z at the end of short trainings, each of its own data.
Scores calibrate(TrainOptions options, int runs, bool with_bias = true) {
  Scores scores;
  const Executor executor(1);
  for (int run = 0; run < runs; ++run) {
    options.run.seed = run + 1;
    const BinaryData data = clustered_data(static_cast<std::uint64_t>(run) + 1000);
    const BernoulliRbm model = machine_of(data);
    const Training training(model, data, options, executor);
    TrainState<BernoulliRbm> state = training.start();
    const LogPartition tracked =
        with_bias ? tracked_in_training(training, state) : tracked_without_bias(training, state);
    const double error = tracked.value - exact(model, state.result());
    scores.z.add(error / tracked.standard_error);
    scores.error.add(error);
    scores.reported.add(tracked.standard_error);
  }
  return scores;
}

TEST(Tracker, ErrorBarsAreTrue) {
  // 200 runs: a mean of z-scores beyond 0.2 of 0 has probability 0.005, a deviation out of [0.8, 1.3] less.
  const Scores scores = calibrate(short_run(Tracking::kLattice), 200);
  EXPECT_LT(std::abs(scores.z.mean()), 0.2);
  EXPECT_GT(scores.deviation(), 0.8);
  EXPECT_LT(scores.deviation(), 1.3);
  EXPECT_LT(scores.reported.mean(), 0.03);

  // Planted: particles alone have no temperature measurements, and their variance grows with time.
  const Scores drifting = calibrate(short_run(Tracking::kSmc), 100);
  EXPECT_GT(drifting.reported.mean(), 2.0 * scores.reported.mean());
  TrainOptions half = short_run(Tracking::kSmc);
  half.rate.updates = half.run.report_every = 250;
  EXPECT_LT(std::pow(calibrate(half, 100).reported.mean() / drifting.reported.mean(), 2), 0.6);
  // They say so themselves.
  EXPECT_LT(std::abs(drifting.z.mean()), 0.3);
  EXPECT_GT(drifting.deviation(), 0.8);
  EXPECT_LT(drifting.deviation(), 1.3);
}

TEST(Tracker, ErrorBarsAreTrueWhereReplicasJump) {
  TrainOptions options = short_run(Tracking::kLattice);
  options.chains.jump = JumpRule::kAuto;
  const Scores scores = calibrate(options, 100);
  EXPECT_LT(std::abs(scores.z.mean()), 0.3);
  EXPECT_GT(scores.deviation(), 0.8);
  EXPECT_LT(scores.deviation(), 1.3);
  EXPECT_LT(scores.reported.mean(), 0.03);
}

TEST(Tracker, ErrorBarsAreTrueOfAveragedModelsAndAtHigherRates) {
  TrainOptions options = short_run(Tracking::kLattice);
  options.gradient.average = true;
  const Scores averaged = calibrate(options, 100);
  EXPECT_LT(std::abs(averaged.z.mean()), 0.5);
  EXPECT_LT(averaged.deviation(), 1.3);
  options = short_run(Tracking::kLattice);
  options.rate.lr = 0.2;
  const Scores fast = calibrate(options, 100);
  EXPECT_LT(std::abs(fast.z.mean()), 0.6);
  EXPECT_LT(fast.deviation(), 1.3);
}

/// Cases of random directions, each with a normal amplitude, and noise.
RealData mixed_directions(Index n_visible, std::uint64_t seed) {
  constexpr Index kCases = 500;
  constexpr Index kDirections = 5;
  StreamEngine random = StreamFactory{seed}.engine(Purpose::kDataSet, 0);
  boost::random::normal_distribution<float> normal;
  Matrix directions(kDirections, n_visible);
  for (float& x : directions.reshaped()) x = normal(random);
  directions.rowwise().normalize();
  Matrix cases(kCases, n_visible);
  for (Index n = 0; n < kCases; ++n) {
    cases.row(n) = 2.0F * normal(random) * directions.row(static_cast<Index>(random() % kDirections));
    for (Index d = 0; d < n_visible; ++d) cases(n, d) += normal(random);
  }
  return RealData(cases);
}

TEST(Tracker, ErrorBarsHoldForSpikeAndSlabMachines) {
  // 6 to 12 spikes, 4 to 64 visibles, with and without Phi, at a rate that chains can follow. Weights of wide
  // Gaussians have heavy tails, so that an estimate that is low comes with an error bar that is small: scores
  // lean to below 0 and their mean is not tested. Of 40 scores one beyond 4.5 has probability 3e-4.
  constexpr int kRuns = 40;
  MeanVariance squares;
  MeanVariance wrong;
  double largest = 0.0;
  double largest_error = 0.0;
  const Executor executor(1);
  for (int run = 0; run < kRuns; ++run) {
    StreamEngine random = StreamFactory{static_cast<std::uint64_t>(run)}.engine(Purpose::kDataSet, 1);
    const auto spikes = static_cast<Index>(6 + random() % 7);
    const auto visibles = static_cast<Index>(4 + random() % 61);
    const RealData data = mixed_directions(visibles, static_cast<std::uint64_t>(run) + 1000);
    TrainOptions options = short_run(Tracking::kLattice);
    options.rate.lr = 1e-4;
    options.init.spike_precision = run % 2 == 0 ? 0.0 : 0.3;
    options.run.seed = run + 1;
    const SpikeSlabRbm model({visibles, {spikes, 1}, true}, SpikeSlabRbm::fit_reference(data));
    const Training training(model, data, options, executor);
    TrainState<SpikeSlabRbm> state = training.start();
    const LogPartition tracked = tracked_in_training(training, state);
    auto theta = state.result();
    const double error = tracked.value - exact(model, theta);
    const double score = error / tracked.standard_error;
    squares.add(score * score);
    largest = std::max(largest, std::abs(score));
    largest_error = std::max(largest_error, std::abs(error));
    theta.latent.spike_bias.array() += 0.05F;
    const double planted = (tracked.value - exact(model, theta)) / tracked.standard_error;
    wrong.add(planted * planted);
  }
  EXPECT_LT(largest, 4.5);
  EXPECT_GT(squares.mean(), 0.4) << "error bars that are far too large";
  EXPECT_LT(squares.mean(), 2.5);
  EXPECT_LT(largest_error, 0.05);
  EXPECT_GT(wrong.mean(), 25.0) << "planted: biases that are 0.05 higher";
}

TEST(Tracker, SharedChainsNeedTheBias) {
  const Scores shared = calibrate(short_run(Tracking::kShared), 100);
  EXPECT_LT(std::abs(shared.z.mean()), 0.3);
  EXPECT_LT(shared.deviation(), 1.3);
  // Planted: a bias that is held at 0.
  const Scores without = calibrate(short_run(Tracking::kShared), 100, false);
  EXPECT_LT(without.z.mean(), -3.0);
}

TEST(Tracker, StaysWithItsMachineThroughRungsThatComeAndGo) {
  const BinaryData data = clustered_data(1);
  const Executor executor(1);
  TrainOptions options = short_run(Tracking::kLattice);
  options.rate.lr = 0.2;
  options.rate.updates = 1000;
  const BernoulliRbm model = machine_of(data);
  const Training training(model, data, options, executor);
  TrainState<BernoulliRbm> state = training.start();
  std::vector<std::uint64_t> rungs;
  training.observed(state, [&](const UpdateReport& report, const TrainState<BernoulliRbm>& now) {
    const Tracker<BernoulliRbm>& tracker = now.tracker;
    if (rungs.empty() || rungs.back() != tracker.ladder.n_rungs) rungs.push_back(tracker.ladder.n_rungs);
    EXPECT_EQ(static_cast<std::uint64_t>(tracker.belief.mean.size()), tracker.ladder.n_rungs);
    EXPECT_EQ(tracker.accumulated_log_weight.size(), tracker.population.chains.n_chains);
    EXPECT_EQ(tracker.belief.mean[0], model.reference_log_partition());
    EXPECT_EQ(tracker_fault(tracker), nullptr) << report.update;
  });
  EXPECT_GT(rungs.size(), 3U);
  // Every rung's log Z, not only the last one's.
  for (Index k = 0; k < state.tracker.belief.mean.size(); ++k) {
    const double beta = state.tracker.ladder.betas[static_cast<std::size_t>(k)];
    const double log_z =
        log_partition_from_chunks(
            model.exact_chunks(), [&](Index c) { return model.log_partition_chunk(state.result(), beta, c); },
            executor)
            .value;
    const LogPartition tracked = state.tracker.belief.at(k);
    EXPECT_LT(std::abs(tracked.value - log_z), 4.0 * tracked.standard_error + 1e-5) << k;
  }
  EXPECT_LT(state.tracker.belief.at(state.tracker.belief.mean.size() - 1).standard_error, 0.5);
}

TEST(Tracker, MachinesThatStandStillAreKnownEverBetter) {
  const BinaryData data = clustered_data(2);
  const Executor executor(1);
  const BernoulliRbm model = machine_of(data);
  const Training training(model, data, short_run(Tracking::kLattice), executor);
  TrainState<BernoulliRbm> state = trained(training);
  const Engine engine{model, StreamFactory{1}, executor};
  refresh(engine, 200, state.tracker);
  const LogPartition once = tracked_log_partition(engine, state.result(), state.tracker);
  refresh(engine, 3000, state.tracker);
  const LogPartition often = tracked_log_partition(engine, state.result(), state.tracker);
  EXPECT_LT(often.standard_error, 0.6 * once.standard_error);
  EXPECT_LT(std::abs(often.value - exact(model, state.result())), 4.0 * often.standard_error);
}

TEST(Tracker, LooksAheadWithoutMoving) {
  const BinaryData data = clustered_data(3);
  const Executor executor(1);
  TrainOptions options = short_run(Tracking::kLattice);
  options.rate.updates = 103;
  options.tracking.every = 4;  // the last step was made three updates ago
  const BernoulliRbm model = machine_of(data);
  const Training training(model, data, options, executor);
  TrainState<BernoulliRbm> state = training.start();
  LogPartition reported;
  training.observed(state, [&](const UpdateReport& report, const auto&) { reported = report.log_partition; });
  EXPECT_FALSE(equal_fields(state.tracker.theta, state.result()));
  EXPECT_LT(std::abs(reported.value - exact(model, state.result())), 4.0 * reported.standard_error);
  const Tracker<BernoulliRbm> before = state.tracker;
  const LogPartition again = tracked_log_partition(training.engine, state.result(), state.tracker);
  EXPECT_EQ(again.value, reported.value);
  EXPECT_TRUE(equal_fields(before, state.tracker));
  // A run to 104 goes on as one that was asked for at once: what was looked at left no trace.
  options.rate.updates = 104;
  const Training longer(model, data, options, executor);
  longer.finish(state);
  EXPECT_TRUE(equal_fields(state, trained(longer)));
}

TEST(Tracker, ThreadsDoNotChangeIt) {
  const BinaryData data = clustered_data(4);
  const BernoulliRbm model = machine_of(data);
  for (const Tracking how : {Tracking::kLattice, Tracking::kSmc, Tracking::kShared}) {
    TrainOptions options = short_run(how);
    options.rate.updates = 120;
    std::vector<TrainState<BernoulliRbm>> states;
    for (const int threads : {1, 2, 3, 5}) {
      const Executor executor(threads);
      states.push_back(trained(Training(model, data, options, executor)));
      EXPECT_TRUE(equal_fields(states.front(), states.back())) << name_of(how) << threads;
    }
  }
}

}  // namespace
}  // namespace tempera
