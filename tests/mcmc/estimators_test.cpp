// Estimates of log Z against enumeration, and what their error bars are worth.
#include <gtest/gtest.h>

#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <map>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/estimate/path.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/models/rbm.hpp"

namespace tempera {
namespace {

using Model = BernoulliRbm;

double exact_log_partition(const Model& model, const Model::Params& theta) {
  LogSumExp sum;
  for (Index k = 0; k < model.exact_chunks(); ++k) sum.add(model.log_partition_chunk(theta, 1.0, k));
  return sum.value();
}

/// All fields random; the biases balance the weights so that no unit is frozen.
Model::Params random_params(const Model& model, double scale, std::uint64_t seed) {
  Model::Params theta = model.initial_params(StreamFactory{seed}, random_weights(scale));
  theta.visible_bias = -0.5F * theta.weights.rowwise().sum();
  theta.hidden_bias = -0.5F * theta.weights.colwise().sum().transpose();
  return theta;
}

struct Tempered {
  TemperatureLadder ladder;
  std::vector<EnergyDifferences> differences;
  Eigen::MatrixXd energies;
  Chains<Model> coldest;

  [[nodiscard]] std::vector<LogWeightPair> path() const {
    std::vector<LogWeightPair> pairs;
    for (const EnergyDifferences& pair : differences) pairs.push_back({pair.forward, pair.reverse});
    return pairs;
  }
};

Tempered tempered(const Model& model, const Model::Params& theta, std::uint64_t ensembles, Index rounds,
                  std::uint64_t seed) {
  constexpr Round kRound{1, {Purpose::kSampling, Purpose::kSamplingSwaps}};
  const Executor executor(1);
  const Engine engine{model, StreamFactory{seed}, executor};
  Tempered run;
  run.ladder = linear_ladder(5, ensembles, 0);
  Population<Model> population(reference_chains(engine, run.ladder.n_chains(), Purpose::kSampling));
  tune(engine, theta, kRound, {2, 40}, run.ladder, population);
  run.differences.resize(run.ladder.rejections.size());
  std::vector<Eigen::MatrixXd> parts;
  for (Index t = 0; t < rounds; ++t) {
    temper(engine, theta, kRound, run.ladder, population, &run.differences);
    if (t % 5 == 0) parts.push_back(rung_energies(engine, theta, run.ladder, population));
  }
  run.energies.resize(static_cast<Index>(parts.size()) * parts.front().rows(), parts.front().cols());
  for (std::size_t k = 0; k < parts.size(); ++k)
    run.energies.middleRows(static_cast<Index>(k) * parts[k].rows(), parts[k].rows()) = parts[k];
  std::vector<std::uint64_t> coldest;
  for (std::uint64_t e = 0; e < ensembles; ++e) coldest.push_back(run.ladder.coldest(e));
  run.coldest = select_chains(model, population.chains, coldest);
  run.coldest.sweeps = 1;
  return run;
}

TEST(Estimators, IntervalsCoverEnumerationOnRandomMachines) {
  constexpr int kMachines = 30;
  constexpr std::size_t kEnsembles = 64;
  const Executor executor(2);
  std::map<std::string, int> covered;
  std::map<std::string, double> squares;
  for (int machine = 0; machine < kMachines; ++machine) {
    const auto seed = static_cast<std::uint64_t>(machine);
    const Model model({16, 12}, {Vector::LinSpaced(16, -0.5F, 0.5F)});
    const Engine engine{model, StreamFactory{seed}, executor};
    const double scale = 0.5 + 2.5 * machine / (kMachines - 1);
    const Model::Params theta = random_params(model, scale, 100 + seed);
    const double exact = exact_log_partition(model, theta);
    const Tempered run = tempered(model, theta, kEnsembles, 300, seed);
    const double reference = model.reference_log_partition();
    const auto path = run.path();
    const auto see = [&](const char* method, const LogPartition& z) {
      const double score = (z.value - exact) / z.standard_error;
      covered[method] += std::abs(score) < 1.96 ? 1 : 0;
      squares[method] += score * score / kMachines;
    };
    see("bar", bennett_log_partition(reference, path, kEnsembles));
    see("stepping-stone", stepping_stone_log_partition(reference, path, kEnsembles));
    see("mbar", mbar_log_partition(run.energies, bennett_path(reference, path), kEnsembles));
    const std::vector<double> up = published_betas(500);
    const std::vector<double> down(up.rbegin(), up.rend());
    see("ais", log_partition_from_weights(
                   reference,
                   annealed_log_weights(engine, theta, up, reference_chains(engine, 128, Purpose::kAnnealing),
                                        Purpose::kAnnealing)));
    LogPartition reverse = log_partition_from_weights(
        0.0, annealed_log_weights(engine, theta, down, run.coldest, Purpose::kReverseAnnealing));
    reverse.value = reference - reverse.value;
    see("reverse-ais", reverse);
    // Planted fault: log Z of the reference machine is off by the coin of one unit.
    see("fault", bennett_log_partition(reference + std::log(2.0), path, kEnsembles));
  }
  for (const char* method : {"bar", "stepping-stone", "mbar", "ais", "reverse-ais"}) {
    EXPECT_GE(covered[method], 26) << method << " covers " << covered[method] << " of 30";
    EXPECT_LT(squares[method], 2.0) << method;
  }
  EXPECT_LT(covered["fault"], 5);
}

TEST(Estimators, AisFromBelowAndReverseAisFromAboveBracketWithFewBetas) {
  const Model model({16, 12}, {Vector::Zero(16)});
  const Model::Params theta = random_params(model, 2.0, 7);
  const double exact = exact_log_partition(model, theta);
  const Executor executor(1);
  const Engine engine{model, StreamFactory{1}, executor};
  const Tempered run = tempered(model, theta, 256, 400, 3);
  const std::vector<double> up = published_betas(6);
  const std::vector<double> down(up.rbegin(), up.rend());
  const auto mean_of_logs = [](const std::vector<double>& weights) {
    MeanVariance mean;
    for (const double w : weights) mean.add(w);
    return mean;
  };
  const MeanVariance forward = mean_of_logs(annealed_log_weights(
      engine, theta, up, reference_chains(engine, 512, Purpose::kAnnealing), Purpose::kAnnealing));
  const MeanVariance reverse =
      mean_of_logs(annealed_log_weights(engine, theta, down, run.coldest, Purpose::kReverseAnnealing));
  const double reference = model.reference_log_partition();
  EXPECT_LT(reference + forward.mean() + 4 * forward.standard_error(), exact);
  EXPECT_GT(reference - reverse.mean() - 4 * reverse.standard_error(), exact);
}

TEST(Estimators, BetasChosenByEffectiveSampleSizeKeepItInEveryStep) {
  const Model model({16, 12}, {Vector::Zero(16)});
  const Model::Params theta = random_params(model, 2.0, 8);
  const Executor executor(1);
  const Engine engine{model, StreamFactory{1}, executor};
  const auto betas = effective_betas(engine, theta, 0.99, 256, Purpose::kPilot);
  ASSERT_EQ(betas.front(), 0.0);
  ASSERT_EQ(betas.back(), 1.0);
  for (std::size_t k = 1; k < betas.size(); ++k) ASSERT_GT(betas[k], betas[k - 1]);
  const auto finer = effective_betas(engine, theta, 0.999, 256, Purpose::kPilot);
  EXPECT_GT(finer.size(), 2 * betas.size());
  EXPECT_LT(finer.size(), 5 * betas.size());  // the loss of a step is quadratic in its length
  const Engine other{model, StreamFactory{2}, executor};
  const auto weights = annealed_log_weights(
      other, theta, finer, reference_chains(other, 512, Purpose::kAnnealing), Purpose::kAnnealing);
  const LogPartition z = log_partition_from_weights(model.reference_log_partition(), weights);
  EXPECT_LT(std::abs(z.value - exact_log_partition(model, theta)), 4 * z.standard_error);
}

/// Draws of Gaussians N(k d, 1) with log Z = k, at every one of them.
TEST(Mbar, RatiosOfGaussiansAreKnownAndAllRungsHelp) {
  constexpr Index kRungs = 6;
  constexpr Index kEnsembles = 32;
  constexpr Index kRounds = 60;
  StreamEngine random = StreamFactory{3}.engine(Purpose::kDataSet, 0);
  boost::random::normal_distribution<double> normal;
  Eigen::MatrixXd energies(kRounds * kEnsembles * kRungs, kRungs);
  for (Index n = 0; n < energies.rows(); ++n) {
    const double x = 0.7 * static_cast<double>(n % kRungs) + normal(random);
    for (Index k = 0; k < kRungs; ++k) {
      const double distance = x - 0.7 * static_cast<double>(k);
      energies(n, k) = 0.5 * distance * distance - static_cast<double>(k);
    }
  }
  // From a bad start.
  const LogPartition z = mbar_log_partition(energies, Eigen::VectorXd::Constant(kRungs, 2.0), kEnsembles);
  EXPECT_NEAR(z.value, 2.0 + 5.0, 5 * z.standard_error);
  EXPECT_LT(z.standard_error, 0.08);
  EXPECT_GT(z.standard_error, 0.005);
  energies(3, 2) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW((void)mbar_log_partition(energies, Eigen::VectorXd::Zero(kRungs), kEnsembles), NumericalError);
}

}  // namespace
}  // namespace tempera
