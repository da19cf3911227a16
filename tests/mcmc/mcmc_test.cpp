#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/population.hpp"
#include "tempera/models/rbm.hpp"

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
  const BernoulliRbm model({8, 6}, {Vector::Constant(8, -0.3F)});
  const auto theta = model.initial_params(StreamFactory{1}, random_weights(1.2));
  LogSumExp exact;
  for (Index k = 0; k < model.exact_chunks(); ++k) exact.add(model.log_partition_chunk(theta, 1.0, k));
  const Executor executor(2);
  const Engine engine{model, StreamFactory{2}, executor};
  const auto weights =
      annealed_log_weights(engine, theta, published_betas(500),
                           reference_chains(engine, 640, Purpose::kAnnealing), Purpose::kAnnealing);
  ASSERT_EQ(weights.size(), 640U);
  const LogPartition estimate = log_partition_from_weights(model.reference_log_partition(), weights);
  EXPECT_NEAR(estimate.value, exact.value(), 4 * estimate.standard_error);
  EXPECT_LT(estimate.standard_error, 0.03);
  // Planted fault: the wrong log Z at beta = 0.
  const LogPartition wrong =
      log_partition_from_weights(model.reference_log_partition() + std::log(2.0), weights);
  EXPECT_GT(std::abs(wrong.value - exact.value()), 4 * wrong.standard_error);
}

}  // namespace
}  // namespace tempera
