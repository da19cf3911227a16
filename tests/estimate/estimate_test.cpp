#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/random.hpp"
#include "tempera/estimate/likelihood.hpp"

namespace tempera {
namespace {

TEST(Estimate, StandardErrorOfLogNormalWeights) {
  // relvar of exp(N(0, s^2)) is exp(s^2) - 1.
  StreamEngine engine = StreamFactory{5}.engine(Purpose::kDataSet, 0);
  std::vector<double> weights;
  for (int i = 0; i < 20000; ++i) {
    double sum = -6.0;
    for (int k = 0; k < 12; ++k) sum += engine() * 0x1p-32;
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

}  // namespace
}  // namespace tempera
