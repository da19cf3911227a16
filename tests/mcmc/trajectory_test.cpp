#include "tempera/mcmc/trajectory.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "../models/specimens.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/estimate/path.hpp"
#include "tempera/train/snapshots.hpp"

namespace tempera {
namespace {

using Machine = Specimen<BernoulliRbm>;
using Params = BernoulliRbm::Params;

constexpr std::size_t kStates = std::size_t{1} << Machine::kVisible;

/// Probabilities of every visible state, and log Z, by brute force.
struct Exact {
  std::vector<double> law = std::vector<double>(kStates);
  double log_partition = 0.0;

  explicit Exact(const Params& theta) {
    LogSumExp total;
    std::vector<double> logs(kStates);
    for (unsigned v = 0; v < kStates; ++v) {
      LogSumExp sum;
      for (unsigned h = 0; h < (1U << Machine::kLatent); ++h) sum.add(-Machine::energy(theta, 1.0, v, h));
      logs[v] = sum.value();
      total.add(logs[v]);
    }
    log_partition = total.value();
    for (std::size_t v = 0; v < kStates; ++v) law[v] = std::exp(logs[v] - log_partition);
  }
};

/// A machine with two modes that a sweep hardly connects: all visibles and latents 0, or all 1.
Params two_modes(double coupling) {
  Params theta = Machine::model().zero_params();
  theta.weights.setConstant(static_cast<float>(coupling));
  theta.visible_bias.setConstant(static_cast<float>(-0.5 * coupling * Machine::kLatent));
  theta.hidden_bias.setConstant(static_cast<float>(-0.5 * coupling * Machine::kVisible));
  theta.visible_bias[0] += 0.3F;
  return theta;
}

constexpr StreamFactory kStreams{5};
constexpr TrajectoryRound kRound{{Purpose::kSnapshots, Purpose::kSwaps}};

/// A trajectory of the specimen, and what rounds of it need.
class Path {
 public:
  explicit Path(int threads = 1) : executor_(threads) {}

  [[nodiscard]] Engine<BernoulliRbm> engine() const { return {model_, kStreams, executor_}; }
  [[nodiscard]] const BernoulliRbm& model() const { return model_; }
  void begin(std::uint64_t n_ensembles) {
    trajectory = reference_trajectory(engine(), n_ensembles, Purpose::kSampling);
  }
  /// A machine after the last one, its replicas all in the mode of zeros.
  void append(const Params& theta) {
    insert_rung(trajectory.n_rungs(), theta, {model_.new_state()}, trajectory);
  }
  void tune_within(const TrajectoryLimits& limits) {
    tune(engine(), kRound, {}, limits, trajectory, caches_);
  }
  void round(std::vector<EnergyDifferences>* differences = nullptr) {
    temper(engine(), kRound, {}, trajectory, caches_, differences);
  }

  Trajectory<BernoulliRbm> trajectory;

 private:
  BernoulliRbm model_ = Machine::model();
  Executor executor_;
  TrajectoryCaches<BernoulliRbm> caches_;
};

/// From the reference machine to `theta` by way of midpoints.
Trajectory<BernoulliRbm> path_to(const Params& theta, int threads = 1) {
  Path path(threads);
  path.begin(64);
  path.append(theta);
  path.tune_within({0.5, 0.9});
  return path.trajectory;
}

/// Largest deviation of the visited states of the last rung from a law, in standard errors. Draws of one
/// ensemble are autocorrelated: its mean over the rounds is one number.
double deviation(Trajectory<BernoulliRbm> trajectory, const Exact& exact, std::uint64_t rounds) {
  Path path;
  path.trajectory = std::move(trajectory);
  std::vector<std::vector<double>> visits(64, std::vector<double>(kStates));
  for (std::uint64_t t = 0; t < rounds; ++t) {
    path.round();
    for (unsigned c = 0; c < 64; ++c)
      visits[c][Machine::visible(path.trajectory.replicas.back(), c)] += 1.0 / static_cast<double>(rounds);
  }
  double largest = 0.0;
  for (std::size_t v = 0; v < kStates; ++v) {
    if (exact.law[v] < 0.01) continue;
    MeanVariance mean;
    for (const auto& ensemble : visits) mean.add(ensemble[v]);
    largest = std::max(largest, std::abs(mean.mean() - exact.law[v]) / mean.standard_error());
  }
  return largest;
}

TEST(Trajectory, VisitsEveryStateAsOftenAsItShouldWhereSweepsAloneDoNot) {
  const Params theta = two_modes(3.0);
  const auto trajectory = path_to(theta);
  EXPECT_GE(trajectory.n_rungs(), 3U);
  EXPECT_LT(deviation(trajectory, Exact(theta), 4000), 4.0);
  EXPECT_GT(trajectory.rounds, 0U);

  // The same number of sweeps alone leave most chains in the mode where they start.
  const Path here;
  Population<BernoulliRbm> alone(empty_chains(here.model(), 64));
  alone.fit(here.engine());
  advance(here.engine(), theta, 4000, Purpose::kSampling, alone);
  double ones = 0;
  for (unsigned c = 0; c < 64; ++c)
    ones += Machine::visible(alone.chains.blocks[0], c) == kStates - 1 ? 1 : 0;
  const double mass = Exact(theta).law[kStates - 1];
  EXPECT_LT(ones, 64 * mass - 4 * std::sqrt(64 * mass * (1 - mass)));
  // Another law is told apart.
  Params other = theta;
  other.visible_bias[0] += 0.3F;
  EXPECT_GT(deviation(trajectory, Exact(other), 4000), 6.0);
}

TEST(Trajectory, EveryRungHasItsOwnLawAndRoundTripsHappen) {
  const BernoulliRbm model = Machine::model();
  Path path;
  path.trajectory = path_to(two_modes(2.0));
  for (int t = 0; t < 500; ++t) path.round();
  const Trajectory<BernoulliRbm>& trajectory = path.trajectory;
  EXPECT_EQ(trajectory.rounds_counted, 500U);
  EXPECT_GT(trajectory.round_trips, 100U);
  EXPECT_GT(round_trip_rate(trajectory), 0.3 * optimal_round_trip_rate(trajectory.rejections));
  EXPECT_LT(round_trip_rate(trajectory), 1.05 * optimal_round_trip_rate(trajectory.rejections));
  // The first rung stays at the reference machine.
  const Exact reference(model.reference_params());
  EXPECT_NEAR(reference.log_partition, model.reference_log_partition(), 1e-6);
  for (std::uint64_t e = 0; e < 64; ++e)
    EXPECT_EQ(trajectory.origin[(trajectory.n_rungs() - 1) * 64 + e], TemperatureLadder::kUp);
}

TEST(Trajectory, RungsComeAndGoWithTheirReplicas) {
  const BernoulliRbm model = Machine::model();
  Path path;
  path.begin(70);
  Trajectory<BernoulliRbm>& trajectory = path.trajectory;
  EXPECT_EQ(trajectory.n_ensembles, 128U);
  const Params theta = Machine::params(1.0, 3);
  std::vector<BernoulliRbm::State> marked(2, model.new_state());
  for (auto& block : marked) block.visible[2] = ~Word{0};
  insert_rung(1, theta, marked, trajectory);
  insert_midpoint(1, trajectory);
  ASSERT_EQ(trajectory.n_rungs(), 3U);
  EXPECT_EQ(trajectory.replicas.size(), 6U);
  EXPECT_EQ(trajectory.rejections.size(), 2U);
  EXPECT_EQ(trajectory.origin.size(), 3U * 128U);
  EXPECT_TRUE(equal_fields(replicas_of(trajectory, 1).blocks[1], marked[1]));
  EXPECT_TRUE((2.0F * trajectory.rungs[1].weights).isApprox(theta.weights));
  EXPECT_EQ(trajectory_fault(model, trajectory), nullptr);
  trajectory.rejections = {0.25, 0.5};
  remove_rung(1, trajectory);
  EXPECT_EQ(trajectory.rejections, std::vector<double>{0.75});
  EXPECT_TRUE(equal_fields(trajectory.rungs[1], theta));
  EXPECT_TRUE(equal_fields(replicas_of(trajectory, 1).blocks[0], marked[0]));

  trajectory.rejections[0] = 1.5;
  EXPECT_STREQ(trajectory_fault(model, trajectory), "rejections");
  trajectory.rejections[0] = 0.5;
  trajectory.origin[3] = 9;
  EXPECT_STREQ(trajectory_fault(model, trajectory), "origin");
  trajectory.rungs.erase(trajectory.rungs.begin());
  EXPECT_STREQ(trajectory_fault(model, trajectory), "rungs");
}

TEST(Trajectory, TuningPutsMidpointsIntoGapsAndTakesWhatIsNotNeededOut) {
  const Params theta = two_modes(3.0);
  Path path;
  path.trajectory = path_to(theta);
  for (int t = 0; t < 100; ++t) path.round();
  for (const double rejection : path.trajectory.rejections) EXPECT_LT(rejection, 0.6);

  // Many copies of one machine: all but one can go.
  for (int copy = 0; copy < 5; ++copy) path.append(theta);
  const std::uint64_t before = path.trajectory.n_rungs();
  path.tune_within({0.5, 0.9});
  EXPECT_LE(path.trajectory.n_rungs(), before - 4);
  EXPECT_TRUE(equal_fields(path.trajectory.rungs.back(), theta));

  // No more midpoints than there is room for.
  path.begin(64);
  path.append(two_modes(8.0));
  path.tune_within({0.9, 0.95, 4});
  EXPECT_EQ(path.trajectory.n_rungs(), 4U);
}

TEST(Trajectory, ThreadsDoNotMatter) {
  const auto one = path_to(two_modes(2.0), 1);
  const auto three = path_to(two_modes(2.0), 3);
  EXPECT_TRUE(equal_fields(one, three));
}

TEST(Bennett, LogZAlongATrajectoryIsThatOfEnumeration) {
  const Params theta = two_modes(2.0);
  Path path;
  path.trajectory = path_to(theta);
  std::vector<EnergyDifferences> differences(path.trajectory.rejections.size());
  for (int t = 0; t < 1000; ++t) path.round(&differences);
  const LogPartition z =
      bennett_log_partition(path.model().reference_log_partition(), log_weight_path(differences), 64);
  EXPECT_LT(z.standard_error, 0.05);
  EXPECT_GT(z.standard_error, 0.0005);
  EXPECT_LT(std::abs(z.value - Exact(theta).log_partition), 4 * z.standard_error);
}

/// Chains drawn exactly from one machine, a reservoir drawn exactly from another, and what becomes of them.
class Exchanges {
 public:
  Exchanges() {
    snapshots_ = initial_snapshots(Engine{model_, StreamFactory{1}, executor_}, 640);
    insert_rung(1, last_, {snapshots_.trajectory.replicas}, snapshots_.trajectory);
    chains_ = empty_chains(model_, 620);  // the last block is not full
    chains_.sweeps = 7;
  }

  /// Largest deviation of the chains' and of the reservoir's visible states from their laws after exchanges
  /// of fresh draws, in standard errors. `faulty`: the exchange is told the machines the wrong way round.
  std::pair<double, double> deviations(bool faulty) {
    const Engine engine{model_, StreamFactory{2}, executor_};
    const Exact live(live_);
    const Exact last(last_);
    std::vector<double> chain_visits(kStates);
    std::vector<double> reservoir_visits(kStates);
    constexpr int kRepeats = 200;
    if (faulty) snapshots_.trajectory.rungs.back() = live_;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      StreamEngine random = StreamFactory{9}.engine(Purpose::kDataSet, static_cast<std::uint64_t>(repeat));
      for (unsigned c = 0; c < chains_.n_chains; ++c)
        Machine::set(chains_.blocks[c / 64], c % 64, draw(live, random), 0);
      for (unsigned c = 0; c < snapshots_.reservoir.n_chains; ++c)
        Machine::set(snapshots_.reservoir.blocks[c / 64], c % 64, draw(last, random), 0);
      exchange_with_reservoir(engine, faulty ? last_ : live_, static_cast<std::uint64_t>(repeat), chains_,
                              snapshots_, caches_);
      for (unsigned c = 0; c < chains_.n_chains; ++c)
        ++chain_visits[Machine::visible(chains_.blocks[c / 64], c % 64)];
      for (unsigned c = 0; c < snapshots_.reservoir.n_chains; ++c)
        ++reservoir_visits[Machine::visible(snapshots_.reservoir.blocks[c / 64], c % 64)];
    }
    const auto largest = [&](const std::vector<double>& visits, const Exact& exact, double n) {
      double worst = 0.0;
      for (std::size_t v = 0; v < kStates; ++v) {
        const double p = exact.law[v];
        if (n * p < 20) continue;
        worst = std::max(worst, std::abs(visits[v] - n * p) / std::sqrt(n * p * (1 - p)));
      }
      return worst;
    };
    return {largest(chain_visits, live, kRepeats * 620.0),
            largest(reservoir_visits, last, kRepeats * 6400.0)};
  }

  [[nodiscard]] double acceptance() const { return snapshots_.acceptance; }

 private:
  static unsigned draw(const Exact& exact, StreamEngine& random) {
    double u = uniform_53(random);
    unsigned v = 0;
    while (v + 1 < kStates && u >= exact.law[v]) u -= exact.law[v++];
    return v;
  }

  BernoulliRbm model_ = Machine::model();
  Executor executor_{1};
  Params live_ = Machine::params(1.2, 4);
  Params last_ = Machine::params(0.8, 4);
  Snapshots<BernoulliRbm> snapshots_;
  Chains<BernoulliRbm> chains_;
  TrajectoryCaches<BernoulliRbm> caches_;
};

TEST(Snapshots, ExchangesLeaveTheLawsOfChainsAndReservoirAloneAndAFaultIsSeen) {
  Exchanges right;
  const auto [chains, reservoir] = right.deviations(false);
  EXPECT_LT(chains, 4.5);
  EXPECT_LT(reservoir, 4.5);
  EXPECT_GT(right.acceptance(), 0.3);
  EXPECT_LT(right.acceptance(), 0.999);
  EXPECT_GT(Exchanges().deviations(true).first, 10.0);
}

TEST(Snapshots, AMachineThatGoesAstrayIsTakenBackAtHalfTheRateUntilTrainingGivesUp) {
  const Executor executor(1);
  const BernoulliRbm model = Machine::model();
  const Engine engine{model, StreamFactory{3}, executor};
  auto snapshots = initial_snapshots(engine, 100);
  Chains<BernoulliRbm> chains = reference_chains(engine, 100, Purpose::kChains);
  const JumpMemory no_jumps;
  TrajectoryCaches<BernoulliRbm> caches;
  Params theta = Machine::params(0.3, 6);
  snapshots.acceptance = 0.2;
  ASSERT_TRUE(is_due(snapshots));
  ASSERT_TRUE(freeze(engine, theta, {50, 0.0, no_jumps}, chains, snapshots, caches));
  EXPECT_EQ(snapshots.trajectory.n_rungs(), 2U);
  EXPECT_EQ(chains.n_chains, 100U);
  EXPECT_EQ(chains.blocks.back().visible[0] >> 36, 0U);
  EXPECT_EQ(snapshots.reservoir.n_chains, 1280U);
  EXPECT_EQ(snapshots.acceptance, 1.0);
  EXPECT_LT(std::abs(snapshots.log_partition - Exact(theta).log_partition), 4 * snapshots.log_partition_se);

  const Params good = theta;
  // Without a way back: no new snapshot.
  EXPECT_EQ(snapshots_fault(model, snapshots, 50), nullptr);
  EXPECT_STREQ(snapshots_fault(model, snapshots, 49), "frozen");
  auto damaged = snapshots;
  damaged.rate = -5.0;
  EXPECT_STREQ(snapshots_fault(model, damaged, 50), "rate");
  theta.visible_bias.setConstant(40.0F);
  theta.visible_bias[1] = -40.0F;
  theta.visible_bias[3] = -40.0F;
  EXPECT_FALSE(freeze(engine, theta, {90, 0.0, no_jumps}, chains, snapshots, caches));
  EXPECT_EQ(snapshots.trajectory.n_rungs(), 2U);
  roll_back(90, theta, chains, snapshots);
  EXPECT_TRUE(equal_fields(theta, good));
  EXPECT_EQ(snapshots.rate, 0.5);
  EXPECT_EQ(chains.blocks.back().visible[0] >> 36, 0U);
  for (std::uint64_t k = 1; k < kMostRollbacks; ++k) roll_back(91, theta, chains, snapshots);
  EXPECT_THROW(roll_back(92, theta, chains, snapshots), NumericalError);
}

}  // namespace
}  // namespace tempera
