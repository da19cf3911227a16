#include <gtest/gtest.h>

#include "tempera/core/random.hpp"
#include "tempera/diagnostics/quality.hpp"

namespace tempera {
namespace {

/// Cases whose values come in equal pairs with this probability; `chain` numbers independent sets.
BinaryData paired(std::uint32_t chain, Index n, double equal) {
  StreamEngine random = StreamFactory{4}.engine(Purpose::kDataSet, 0, chain);
  std::vector<std::uint8_t> bytes;
  for (Index k = 0; k < n * 10; ++k) {
    const auto first = static_cast<std::uint8_t>(random() & 1);
    bytes.push_back(first);
    bytes.push_back(uniform_53(random) < equal ? first : static_cast<std::uint8_t>(random() & 1));
  }
  return {n, 20, bytes};
}

TEST(SampleQuality, TheSameLawCannotBeToldApart) {
  const SampleQuality q = sample_quality(paired(0, 600, 0.8), paired(1, 600, 0.8));
  EXPECT_GT(q.covariance_pearson, 0.9);
  EXPECT_NEAR(q.data_near_data, 0.5, 0.08);
  EXPECT_NEAR(q.samples_near_samples, 0.5, 0.08);
}

TEST(SampleQuality, LostCorrelationsAndCopiesAreSeen) {
  const BinaryData data = paired(0, 600, 0.8);
  EXPECT_LT(sample_quality(data, paired(1, 600, 0.0)).covariance_pearson, 0.3);
  const SampleQuality copies = sample_quality(data, data);
  EXPECT_LT(copies.data_near_data, 0.2);  // a copy is nearer than any other case
  // Samples that are all alike lie near each other.
  const BinaryData constant(600, 20, std::vector<std::uint8_t>(600 * 20, 1));
  EXPECT_GT(sample_quality(data, constant).samples_near_samples, 0.9);
  EXPECT_EQ(sample_quality(data, constant).covariance_pearson, 0.0);
}

TEST(SampleQuality, ADeclineIsMeasuredFromTheBest) {
  EXPECT_FALSE(declines({0.1, 0.5, 0.8, 0.85}, 0.005));
  EXPECT_FALSE(declines({0.1, 0.5, 0.85, 0.849}, 0.005));
  EXPECT_TRUE(declines({0.1, 0.9, 0.85, 0.7}, 0.005));
  EXPECT_FALSE(declines({}, 0.005));
}

}  // namespace
}  // namespace tempera
