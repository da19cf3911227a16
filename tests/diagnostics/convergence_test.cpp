#include "tempera/diagnostics/convergence.hpp"

#include <gtest/gtest.h>

#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "tempera/core/random.hpp"
#include "tempera/diagnostics/trace.hpp"

namespace tempera {
namespace {

std::vector<std::vector<double>> autoregressive(double rho, std::size_t n_chains, std::size_t length,
                                                double offset) {
  std::vector<std::vector<double>> series(n_chains, std::vector<double>(length));
  for (std::size_t c = 0; c < n_chains; ++c) {
    StreamEngine random = StreamFactory{77}.engine(Purpose::kSampling, 0, static_cast<std::uint32_t>(c));
    boost::random::normal_distribution<double> normal;
    double x = normal(random) / std::sqrt(1 - rho * rho);
    for (double& value : series[c]) {
      x = rho * x + normal(random);
      value = x + (c == 0 ? offset : 0.0);
    }
  }
  return series;
}

TEST(Convergence, AutocorrelationTimeOfAnAutoregressionIsKnown) {
  for (const double rho : {0.0, 0.5, 0.9}) {
    const Convergence c = convergence(autoregressive(rho, 4, 20000, 0.0));
    const double exact = (1 + rho) / (1 - rho);
    EXPECT_NEAR(c.autocorrelation_time, exact, 0.1 * exact);
    EXPECT_NEAR(c.effective_sample_size * c.autocorrelation_time, 80000, 1);
    EXPECT_LT(c.r_hat, 1.01);
  }
}

TEST(Convergence, RHatSeesAChainElsewhereAndOneOfOtherSpread) {
  EXPECT_GT(convergence(autoregressive(0.5, 4, 1000, 2.0)).r_hat, 1.1);
  auto series = autoregressive(0.0, 4, 1000, 0.0);
  EXPECT_LT(convergence(series).r_hat, 1.01);
  for (double& x : series[0]) x *= 4;  // where the chains lie does not tell
  for (const auto& chain : series) {
    const double mean = std::accumulate(chain.begin(), chain.end(), 0.0) / static_cast<double>(chain.size());
    EXPECT_LT(std::abs(mean), 4 * 4 / std::sqrt(static_cast<double>(chain.size())));
  }
  EXPECT_GT(convergence(series).r_hat, 1.05);
}

TEST(Convergence, ChainsThatStandStillApartHaveFewEffectiveDraws) {
  const std::vector<std::vector<double>> stuck = {std::vector<double>(500, 0.0),
                                                  std::vector<double>(500, 1.0)};
  const Convergence c = convergence(stuck);
  EXPECT_GT(c.r_hat, 2.0);
  EXPECT_LT(c.effective_sample_size, 10.0);
  EXPECT_TRUE(std::isnan(convergence({std::vector<double>(100, 1.0)}).r_hat));
}

TEST(Judge, AGapBetweenWarmAndColdChainsIsSeenWhereRHatDoesNotSeeIt) {
  for (const double gap : {0.0, 0.4}) {
    Trace trace;
    trace.free_energy = autoregressive(0.0, 8, 1000, 0.0);
    for (std::size_t c = 0; c < 4; ++c) {
      for (double& x : trace.free_energy[c]) x += gap;
    }
    trace.mean_visible = autoregressive(0.3, 8, 1000, 0.0);
    const MixingReport report = assess_mixing(trace, 4);
    EXPECT_LT(report.r_hat, 1.05);
    EXPECT_TRUE(report.starts_compared);
    EXPECT_EQ(report.mixed, gap == 0.0) << report.verdict;
    EXPECT_EQ(report.starts_disagree > 5, gap > 0.0);
    // All chains from one kind of start: the verdict says that nothing was compared.
    EXPECT_NE(assess_mixing(trace, 0).verdict.find("one kind of start"), std::string::npos);
  }
}

TEST(Judge, NumbersThatAreNoneAreNotMixed) {
  Trace trace;
  trace.free_energy = autoregressive(0.0, 4, 100, 0.0);
  trace.mean_visible = trace.free_energy;
  trace.free_energy[1][7] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(assess_mixing(trace, 2).mixed);
  EXPECT_FALSE(assess_mixing(Trace(), 0).mixed);
}

}  // namespace
}  // namespace tempera
