#include "tempera/estimate/lattice.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <boost/random/normal_distribution.hpp>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/core/random.hpp"

namespace tempera {
namespace {

using Square = LatticeBelief::Square;

LatticeMeasurement measured(double value, double variance) { return {value, variance, variance, 0.0, {}}; }

double smallest_eigenvalue(const Square& p) {
  return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(p).eigenvalues().minCoeff();
}

TEST(Lattice, BridgeRatioIsRightWhateverIsExpected) {
  // All states of two laws as draws, each counting in proportion to its probability.
  constexpr int kCopies = 4000;
  const std::vector<double> log_p = {0.3, -1.0, 2.0, 0.5, -2.0, 1.1};
  const std::vector<double> log_q = {1.3, 0.4, -0.5, 2.5, 1.0, -0.2};
  std::vector<double> forward, reverse, weight_p, weight_q;
  LogSumExp z_p, z_q;
  for (std::size_t x = 0; x < log_p.size(); ++x) {
    z_p.add(log_p[x]);
    z_q.add(log_q[x]);
    for (int k = 0; k < kCopies; ++k) {
      forward.push_back(log_q[x] - log_p[x]);
      reverse.push_back(log_p[x] - log_q[x]);
      weight_p.push_back(log_p[x]);
      weight_q.push_back(log_q[x]);
    }
  }
  const double exact = z_q.value() - z_p.value();
  for (const double expected : {-4.0, 0.0, exact, 5.0}) {
    EXPECT_NEAR(bridge_ratio({forward, reverse}, weight_p, weight_q, expected).value, exact, 2e-3)
        << expected;
    // Planted: draws that all count alike are those of another law.
    EXPECT_GT(std::abs(bridge_ratio({forward, reverse}, {}, {}, expected).value - exact), 0.005);
  }
}

TEST(Lattice, BridgeRatioStaysAmongTheDrawsWhereOneChainThatCountsIsFarFromTheOthers) {
  // Chains of which all but one have come to another mode, where the one that counts has not: the variance is
  // beyond all measure, and a bias of half of it would be too.
  const std::vector<double> forward = {-40.0, 2.0, 2.5, 1.5};
  const std::vector<double> reverse = {-2.0, -1.5, -2.5, -2.0};
  const std::vector<double> carried = {60.0, 0.0, 0.0, 0.0};
  const BridgeRatio ratio = bridge_ratio({forward, reverse}, carried, {}, 0.0);
  EXPECT_GT(ratio.variance, 1e6);
  EXPECT_GT(ratio.value, -41.0);
  EXPECT_LT(ratio.value, 3.0);
}

TEST(Lattice, AShiftOfTheEnergyShiftsIncrementsByIt) {
  const std::vector<double> log_weights = {0.1, -0.4, 0.3, 0.2};
  const std::vector<double> carried = {0.0, 0.5, -0.2, 0.1};
  std::vector<double> shifted = log_weights;
  for (double& w : shifted) w += 700.0;
  EXPECT_NEAR(log_mean(shifted, carried).value, log_mean(log_weights, carried).value + 700.0, 1e-11);
  EXPECT_NEAR(log_mean(shifted, carried).variance, log_mean(log_weights, carried).variance, 1e-12);
  // A machine that stays where it is moves nothing, exactly.
  const std::vector<double> nothing(4, 0.0);
  EXPECT_EQ(log_mean(nothing, carried).value, 0.0);
  EXPECT_EQ(log_mean(nothing, carried).variance, 0.0);
}

/// The paper's joint form: a prior of standard deviation `wide` for the steps of log Z, conditioned on the
/// increments, then on the ratios. Entries: log Z of n rungs at the last time and at this one, with a bias.
LatticeBelief joint_form(const LatticeBelief& belief, const std::vector<LatticeMeasurement>& increments,
                         const std::vector<LatticeMeasurement>& ratios, double bias_step, double wide) {
  const auto n = static_cast<Index>(increments.size());
  const Index m = n + 1;
  Eigen::MatrixXd p = Eigen::MatrixXd::Zero(2 * m, 2 * m);
  p.topLeftCorner(m, m) = p.bottomRightCorner(m, m) = p.topRightCorner(m, m) = p.bottomLeftCorner(m, m) =
      belief.covariance;
  for (Index k = 0; k < n; ++k) p(m + k, m + k) += wide * wide;
  p(2 * m - 1, 2 * m - 1) += bias_step * bias_step;
  Eigen::VectorXd x(2 * m);
  x << belief.mean, belief.mean;
  const auto condition = [&](const Eigen::VectorXd& h, const LatticeMeasurement& on) {
    const Eigen::VectorXd gain = p * h / (h.dot(p * h) + on.variance);
    x += gain * (on.value - h.dot(x));
    p -= gain * (h.transpose() * p).eval();
  };
  for (Index k = 0; k < n; ++k) {
    Eigen::VectorXd h = Eigen::VectorXd::Zero(2 * m);
    h[k] = -1.0;
    h[m + k] = 1.0;
    if (k == n - 1) h[2 * m - 1] = 1.0;  // the increment is too large by the bias
    condition(h, increments[static_cast<std::size_t>(k)]);
  }
  for (Index k = 0; k + 1 < n; ++k) {
    Eigen::VectorXd h = Eigen::VectorXd::Zero(2 * m);
    h[m + k] = -1.0;
    h[m + k + 1] = 1.0;
    condition(h, ratios[static_cast<std::size_t>(k)]);
  }
  LatticeBelief result = belief;
  result.mean = x.tail(m);
  result.covariance = p.bottomRightCorner(m, m);
  return result;
}

TEST(Lattice, TheControlFormIsTheLimitOfThePapersJointForm) {
  constexpr double kBiasStep = 0.01;
  LatticeBelief belief = exact_belief(Eigen::VectorXd::LinSpaced(4, 5.0, 8.0), 0, true);
  LatticeBelief joint = belief;
  std::vector<LatticeMeasurement> increments, ratios;
  for (int k = 0; k < 4; ++k) increments.push_back(measured(0.1 * k, 0.01 * (k + 1)));
  for (int k = 0; k < 3; ++k) ratios.push_back(measured(1.0 + 0.1 * k, 0.05));
  for (int t = 0; t < 5; ++t) {
    joint = joint_form(joint, increments, ratios, kBiasStep, 1e3);
    advance_belief(increments, kBiasStep, belief);
    for (Index k = 0; k < 3; ++k) measure_ratio(k, ratios[static_cast<std::size_t>(k)], belief);
    EXPECT_LT((belief.mean - joint.mean).cwiseAbs().maxCoeff(), 1e-4);
    EXPECT_LT((belief.covariance - joint.covariance).cwiseAbs().maxCoeff(), 1e-4);
  }
  EXPECT_GT(std::abs(belief.mean[4]), 1e-4);  // the bias has been moved at all
}

TEST(Lattice, CovariancesStaySoundAndTheReferenceStaysPinned) {
  LatticeBelief belief = exact_belief(Eigen::VectorXd::Constant(5, 7.0), 0);
  for (int t = 0; t < 1000; ++t) {
    std::vector<LatticeMeasurement> increments(5, measured(0.01, 1e-3));
    increments[0] = measured(0.0, 0.0);
    advance_belief(increments, 0.0, belief);
    for (Index k = t % 2; k < 4; k += 2)
      measure_ratio(k, measured(0.0, 1e-2 * static_cast<double>(k + 1)), belief);
    if (t == 300) insert_rung(2, belief);
    if (t == 300) remove_rung(3, belief);
    ASSERT_LT((belief.covariance - belief.covariance.transpose()).cwiseAbs().maxCoeff(), 1e-15);
    ASSERT_GE(smallest_eigenvalue(belief.covariance), -1e-12);
    ASSERT_GE(smallest_eigenvalue(belief.rest), -1e-12);
  }
  EXPECT_EQ(belief.mean[0], 7.0);
  EXPECT_EQ(belief.covariance(0, 0), 0.0);
  pin(3, 9.0, belief);
  EXPECT_EQ(belief.at(3).value, 9.0);
  EXPECT_EQ(belief.at(3).standard_error, 0.0);
}

TEST(Lattice, WithoutRatiosTheVarianceGrowsWithTimeAndWithThemItDoesNot) {
  const auto variance_after = [](int updates, bool ratios) {
    LatticeBelief belief = exact_belief(Eigen::VectorXd::Zero(4), 0);
    std::vector<LatticeMeasurement> increments(4, measured(0.0, 1e-3));
    increments[0] = measured(0.0, 0.0);
    for (int t = 0; t < updates; ++t) {
      advance_belief(increments, 0.0, belief);
      for (Index k = 0; ratios && k < 3; ++k) measure_ratio(k, measured(0.0, 1e-2), belief);
    }
    return std::pow(belief.at(3).standard_error, 2);
  };
  EXPECT_NEAR(variance_after(800, false), 0.8, 1e-9);
  EXPECT_NEAR(variance_after(1600, false) / variance_after(800, false), 2.0, 1e-9);
  EXPECT_NEAR(variance_after(1600, true) / variance_after(800, true), 1.0, 1e-3);
  EXPECT_LT(variance_after(800, true), 0.02);
}

TEST(Lattice, ACopiedRungKeepsItsErrorAndTheOthersTheirs) {
  LatticeBelief belief = exact_belief(Eigen::VectorXd::LinSpaced(3, 0.0, 2.0), 2);
  std::vector<LatticeMeasurement> increments(3, {0.5, 0.1, 0.0, 0.0, {0.3, -0.3}});
  increments[2].influences = {-1.0, 1.0};
  advance_belief(increments, 0.0, belief);
  const LatticeBelief before = belief;
  insert_rung(2, belief);
  ASSERT_EQ(belief.mean.size(), 4);
  for (const Index k : {2, 3}) {
    EXPECT_EQ(belief.at(k).value, before.at(2).value);
    EXPECT_EQ(belief.at(k).standard_error, before.at(2).standard_error);
  }
  EXPECT_EQ(belief.covariance(2, 3), before.covariance(2, 2));  // the same machine twice
  remove_rung(2, belief);
  EXPECT_EQ(belief.mean, before.mean);
  EXPECT_EQ(belief.covariance, before.covariance);
  EXPECT_EQ(belief.influences, before.influences);
}

TEST(Lattice, InfluencesSeeWhatTheFilterDoesNot) {
  // One law at two rungs whose log Z never moves; every ensemble has errors that last for fifty updates and
  // enter increments and ratios alike, as those of slow chains do.
  constexpr int kRuns = 300;
  constexpr std::size_t kEnsembles = 20;
  constexpr double kMemory = 0.98;
  MeanVariance z, filter_z;
  for (int run = 0; run < kRuns; ++run) {
    StreamEngine random = StreamFactory{static_cast<std::uint64_t>(run)}.engine(Purpose::kDataSet, 3);
    boost::random::normal_distribution<double> normal;
    LatticeBelief belief = exact_belief(Eigen::VectorXd::Zero(2), kEnsembles);
    std::vector<double> errors(kEnsembles);
    for (double& e : errors) e = normal(random);
    for (int t = 0; t < 300; ++t) {
      double mean = 0.0;
      for (double& e : errors) {
        e = kMemory * e + std::sqrt(1 - kMemory * kMemory) * normal(random);
        mean += e / kEnsembles;
      }
      std::vector<double> influences = errors;
      for (double& i : influences) i -= mean;
      LatticeMeasurement ratio{mean, 1.0 / kEnsembles, 0.0, 0.0, influences};
      LatticeMeasurement increment{0.05 * mean, 0.0025 / kEnsembles, 0.0, 0.0, influences};
      for (double& i : increment.influences) i *= 0.05;
      const std::vector<LatticeMeasurement> increments = {measured(0.0, 0.0), increment};
      advance_belief(increments, 0.0, belief);
      measure_ratio(0, ratio, belief);
    }
    z.add(belief.at(1).value / belief.at(1).standard_error);
    filter_z.add(belief.mean[1] / std::sqrt(belief.covariance(1, 1)));
  }
  EXPECT_LT(std::abs(z.mean()), 0.2);
  EXPECT_GT(std::sqrt(z.variance()), 0.85);
  EXPECT_LT(std::sqrt(z.variance()), 1.2);
  // Planted: the filter's own error bar, which takes all errors for independent.
  EXPECT_GT(std::sqrt(filter_z.variance()), 2.0);
}

}  // namespace
}  // namespace tempera
