#include <gtest/gtest.h>

#include <algorithm>
#include <boost/random/normal_distribution.hpp>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/random.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/estimate/path.hpp"

namespace tempera {
namespace {

TEST(Estimate, StandardErrorOfLogNormalWeights) {
  // relvar of exp(N(0, s^2)) is exp(s^2) - 1.
  StreamEngine random = StreamFactory{5}.engine(Purpose::kDataSet, 0);
  std::vector<double> weights;
  for (int i = 0; i < 20000; ++i) {
    double sum = -6.0;
    for (int k = 0; k < 12; ++k) sum += random() * 0x1p-32;
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

/// Log-weights between N(0, 1) and exp(3) N(2, 1), and back, of chains whose draws remember the last one.
struct GaussianPair {
  std::vector<double> forward;
  std::vector<double> reverse;

  GaussianPair(std::uint64_t seed, std::size_t n_ensembles, std::size_t draws, double memory) {
    StreamEngine random = StreamFactory{seed}.engine(Purpose::kDataSet, 1);
    boost::random::normal_distribution<double> normal;
    const auto log_weight = [](double x) {
      return 3.0 + 2.0 * x - 2.0;
    };  // log (e^3 N(x; 2, 1) / N(x; 0, 1))
    for (const double mean : {0.0, 2.0}) {
      std::vector<double> chains(n_ensembles);
      for (double& x : chains) x = normal(random);
      for (std::size_t t = 0; t < draws; ++t) {
        for (double& x : chains) {
          x = memory * x + std::sqrt(1 - memory * memory) * normal(random);
          if (mean == 0.0) {
            forward.push_back(log_weight(x));
          } else {
            reverse.push_back(-log_weight(mean + x));
          }
        }
      }
    }
  }
};

TEST(Bennett, TheRatioOfTwoGaussiansIsKnown) {
  const GaussianPair pair(1, 64, 1000, 0.0);
  EXPECT_NEAR(bennett_log_ratio({pair.forward, pair.reverse}), 3.0, 0.02);
  // With unequal numbers of draws too.
  const std::span<const double> few = std::span(pair.forward).first(6400);
  EXPECT_NEAR(bennett_log_ratio({few, pair.reverse}), 3.0, 0.05);
  std::vector<double> bad = pair.forward;
  bad[7] = std::numeric_limits<double>::infinity();
  EXPECT_THROW((void)bennett_log_ratio({bad, pair.reverse}), NumericalError);
}

TEST(Bennett, ErrorBarsAreTrueForAutocorrelatedDrawsAndThoseOfIndependentOnesAreNot) {
  MeanVariance right;
  MeanVariance wrong;
  StreamEngine random = StreamFactory{7}.engine(Purpose::kDataSet, 2);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const GaussianPair pair(100 + seed, 32, 60, 0.9);
    const std::vector<LogWeightPair> path = {{pair.forward, pair.reverse}};
    const LogPartition z = bennett_log_partition(1.0, path, 32);
    right.add((z.value - 4.0) / z.standard_error);
    // Draws that belong to any ensemble, as if they were independent.
    GaussianPair mixed = pair;
    for (std::vector<double>* draws : {&mixed.forward, &mixed.reverse})
      std::shuffle(draws->begin(), draws->end(), random);
    const std::vector<LogWeightPair> shuffled = {{mixed.forward, mixed.reverse}};
    const LogPartition naive = bennett_log_partition(1.0, shuffled, 32);
    wrong.add((naive.value - 4.0) / naive.standard_error);
  }
  EXPECT_LT(std::abs(right.mean()), 0.2);
  EXPECT_GT(std::sqrt(right.variance()), 0.8);
  EXPECT_LT(std::sqrt(right.variance()), 1.3);
  EXPECT_GT(std::sqrt(wrong.variance()), 2.0);
}

}  // namespace
}  // namespace tempera
