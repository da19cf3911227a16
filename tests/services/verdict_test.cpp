#include "tempera/services/verdict.hpp"

#include <gtest/gtest.h>

#include <random>

#include "../models/slab_specimens.hpp"
#include "tempera/services/baselines.hpp"
#include "tempera/services/metrics.hpp"

namespace tempera {
namespace {

std::vector<CurvePoint> curve_of(const std::vector<double>& validations, double error) {
  std::vector<CurvePoint> curve;
  for (std::size_t k = 0; k < validations.size(); ++k)
    curve.push_back({100 * (k + 1), validations[k] + 1.0, validations[k], error});
  return curve;
}

TEST(Verdict, TellsOverfittingFromNoise) {
  TrainingVerdict verdict;
  read_curves(curve_of({-20.0, -15.0, -15.5, -17.0}, 0.05), verdict);
  ASSERT_TRUE(verdict.overfitting.has_value());
  EXPECT_NEAR(*verdict.overfitting, 2.0, 1e-12);
  EXPECT_EQ(verdict.best_update, 200);
  EXPECT_NE(verdict.words().find("OVERFITTING"), std::string::npos);
  // Planted: the same fall within the error of log Z.
  TrainingVerdict noisy;
  read_curves(curve_of({-20.0, -15.0, -15.5, -17.0}, 1.0), noisy);
  EXPECT_FALSE(noisy.overfitting.has_value());
}

TEST(Verdict, TellsWhetherTheLikelihoodStillRises) {
  TrainingVerdict rising;
  read_curves(curve_of({-20.0, -18.0, -16.0, -14.0}, 0.05), rising);
  ASSERT_TRUE(rising.rising.has_value());
  EXPECT_NEAR(*rising.rising, 2.0, 1e-12);
  TrainingVerdict settled;
  read_curves(curve_of({-20.0, -14.1, -14.05, -14.0}, 0.05), settled);
  EXPECT_FALSE(settled.rising.has_value());
}

/// Updates and how many of them had been given up, as rows of metrics.csv.
Metrics metrics_of(const std::vector<std::pair<int, int>>& updates) {
  Metrics metrics{{"update", "trusted", "given_up"}, {}};
  for (const auto& [update, given_up] : updates)
    metrics.rows.push_back({std::to_string(update), "1", std::to_string(given_up)});
  return metrics;
}

std::vector<std::uint64_t> updates_of(const std::vector<CurvePoint>& curve) {
  std::vector<std::uint64_t> updates;
  for (const CurvePoint& point : curve) updates.push_back(point.update);
  return updates;
}

TEST(Verdict, IsNotReadFromUpdatesThatWereGivenUp) {
  using Updates = std::vector<std::uint64_t>;
  // At 60 training goes back to 20; what follows has 20 updates behind it, and then more.
  Metrics metrics = metrics_of({{20, 0}, {40, 0}, {60, 0}, {80, 40}, {100, 40}, {120, 40}});
  EXPECT_EQ(updates_of(curve_of(metrics)), (Updates{20, 80, 100, 120}));
  // At 120 it goes back once more: to 100, which has 60 behind it, or to 20 again.
  Metrics again = metrics;
  again.rows.push_back({"140", "1", "60"});
  EXPECT_EQ(updates_of(curve_of(again)), (Updates{20, 80, 100, 140}));
  again.rows.back()[2] = "100";
  EXPECT_EQ(updates_of(curve_of(again)), (Updates{20, 140}));
  // What is not trusted is left out, whether it was given up or the last before a way back.
  metrics.rows[2][1] = metrics.rows[3][1] = "0";
  EXPECT_EQ(updates_of(curve_of(metrics)), (Updates{20, 100, 120}));
  // A file of before has no such column: nothing was given up that it could tell.
  metrics.names[2] = "another";
  EXPECT_EQ(updates_of(curve_of(metrics)), (Updates{20, 40, 100, 120}));
}

TEST(Verdict, SaysWhereABaselineIsBetter) {
  TrainingVerdict verdict;
  verdict.likelihood = -12.0;
  verdict.likelihood_error = 0.1;
  verdict.independent = -15.0;
  verdict.gaussian = -11.0;
  EXPECT_EQ(
      verdict.words(),
      "3.00 nats above independent units, 1.00 nats BELOW a full Gaussian (training), nothing watches for "
      "overfitting (--holdout 0.1 would)");
  verdict.gaussian = -12.2;
  EXPECT_NE(verdict.words().find("no different from a full Gaussian"), std::string::npos);
}

/// Correlated normal values, of which the full Gaussian knows more than independent columns.
TEST(Baselines, AFullGaussianIsBetterWhereColumnsAreCorrelated) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  Matrix rows(400, 3);
  for (Index n = 0; n < rows.rows(); ++n) {
    const float common = normal(random);
    for (Index d = 0; d < 3; ++d) rows(n, d) = 5.0F + 2.0F * common + 0.5F * normal(random);
  }
  const RealData train(rows.topRows(300));
  const RealData held(rows.bottomRows(100));
  const auto gaussian = gaussian_likelihood<GaussianRbm>(train, held);
  ASSERT_TRUE(gaussian.has_value());
  // By hand: covariance 4 + 0.25 on the diagonal, 4 off it; eigenvalues 12.25, 0.25 and 0.25.
  const double entropy = 1.5 * (1.0 + std::log(2.0 * M_PI)) + 0.5 * std::log(12.25 * 0.25 * 0.25);
  EXPECT_NEAR(gaussian->log_likelihood, -entropy, 0.25);

  const GaussianRbm model({3, {2}}, GaussianRbm::fit_reference(train));
  const Executor executor(1);
  const Likelihood independent = independent_likelihood(Engine<GaussianRbm>{model, {1}, executor}, held);
  EXPECT_NEAR(independent.log_likelihood, -1.5 * (1.0 + std::log(2.0 * M_PI * 4.25)), 0.25);
  EXPECT_GT(gaussian->log_likelihood, independent.log_likelihood + 2.0);
  EXPECT_FALSE(gaussian_likelihood<BernoulliRbm>(BinaryData(), BinaryData()).has_value());
}

}  // namespace
}  // namespace tempera
