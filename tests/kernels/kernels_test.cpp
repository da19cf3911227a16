// Every kernel against a plain scalar reference, on shapes that are no multiple of anything.
#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/products.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

BitLayer random_bits(Index n, std::uint32_t chain) {
  StreamEngine engine = StreamFactory{1}.engine(Purpose::kDataSet, 99, chain);
  BitLayer layer(static_cast<std::size_t>(n));
  for (Word& word : layer) word = Word{engine()} << 32 | engine();
  return layer;
}

float bit(const BitLayer& layer, Index i, Index c) {
  return static_cast<float>(layer[static_cast<std::size_t>(i)] >> c & 1);
}

TEST(Bits, TransposeMovesEveryBit) {
  const BitLayer before = random_bits(64, 0);
  std::array<Word, 64> matrix;
  std::copy(before.begin(), before.end(), matrix.begin());
  transpose_bits(matrix);
  for (std::size_t r = 0; r < 64; ++r) {
    for (std::size_t c = 0; c < 64; ++c) ASSERT_EQ(matrix[c] >> r & 1, before[r] >> c & 1);
  }
}

TEST(Bits, LoadedCasesKeepTheirValues) {
  for (const Index n : {1, 3, 64, 65, 130}) {
    std::vector<std::uint8_t> bytes;
    StreamEngine engine = StreamFactory{2}.engine(Purpose::kDataSet, 0);
    for (Index k = 0; k < 70 * n; ++k) bytes.push_back(static_cast<std::uint8_t>(engine() & 1));
    const BinaryData data(70, n, bytes);
    const std::vector<Index> cases = {69, 0, 13};
    BitLayer layer;
    load_cases(data, cases, layer);
    for (Index i = 0; i < n; ++i) {
      for (std::size_t c = 0; c < cases.size(); ++c) {
        ASSERT_EQ(bit(layer, i, static_cast<Index>(c)) != 0, data.value(cases[c], i));
      }
      ASSERT_EQ(layer[static_cast<std::size_t>(i)] >> 3, 0U) << "lanes without a case are 0";
    }
  }
}

class Products : public testing::TestWithParam<std::pair<Index, Index>> {};

TEST_P(Products, EqualScalarSums) {
  const auto [n, m] = GetParam();
  std::srand(1);
  const Matrix weights = Matrix::Random(n, m);
  const Vector row_bias = Vector::Random(n);
  const Vector column_bias = Vector::Random(m);
  const BitLayer rows = random_bits(n, 1);
  const BitLayer columns = random_bits(m, 2);
  ProductScratch scratch;
  LaneMatrix to_columns;
  LaneMatrix to_rows;
  input_from_rows(weights, rows, column_bias, to_columns, scratch);
  input_from_columns(weights, columns, row_bias, to_rows, scratch);
  const LaneMatrix real = LaneMatrix::Random(m, kLanes);
  LaneFloats weight;
  for (std::size_t c = 0; c < 64; ++c) weight[c] = c < 37 ? 0.25F : 0.0F;
  Matrix sums = Matrix::Ones(n, m);
  add_products(rows, real, weight, sums, scratch);
  const double tolerance = 1e-5 * std::sqrt(static_cast<double>(n + m));
  for (Index c = 0; c < kLanes; ++c) {
    for (Index j = 0; j < m; ++j) {
      double sum = column_bias[j];
      for (Index i = 0; i < n; ++i) sum += weights(i, j) * bit(rows, i, c);
      ASSERT_NEAR(to_columns(j, c), sum, tolerance);
    }
    for (Index i = 0; i < n; ++i) {
      double sum = row_bias[i];
      for (Index j = 0; j < m; ++j) sum += weights(i, j) * bit(columns, j, c);
      ASSERT_NEAR(to_rows(i, c), sum, tolerance);
    }
  }
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < m; ++j) {
      double sum = 1.0;
      for (Index c = 0; c < 37; ++c) sum += 0.25 * bit(rows, i, c) * real(j, c);
      ASSERT_NEAR(sums(i, j), sum, 1e-5);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Products,
                         testing::Values(std::pair<Index, Index>{1, 1}, std::pair<Index, Index>{3, 1},
                                         std::pair<Index, Index>{1, 5}, std::pair<Index, Index>{65, 33},
                                         std::pair<Index, Index>{127, 70}));

TEST(Sampling, DrawsAreRandom123sWords) {
  const LaneStream stream{0x123456789abcdef0ULL, Purpose::kAnnealing, (std::uint64_t{5} << 40) + 77, 128};
  QuadDraws draws;
  draw_quad(stream, 9, draws);
  for (std::uint32_t c = 0; c < 64; ++c) {
    const auto words = r123::Philox4x32()(stream.counter(9, c), stream.key());
    for (std::size_t k = 0; k < 4; ++k) ASSERT_EQ(draws[k][c], words[k]);
  }
}

TEST(Sampling, BitsAreTheStatedComparison) {
  LaneMatrix input = LaneMatrix::Random(7, kLanes) * 4.0F;
  input(0, 0) = 200.0F;
  input(1, 0) = -200.0F;
  LaneFloats beta;
  for (std::size_t c = 0; c < 64; ++c) beta[c] = static_cast<float>(c) / 63.0F;
  const std::vector<float> reference = {0.3F, -1.0F, 2.0F, 0.0F, 0.5F, -0.5F, 1.0F};
  const LaneStream stream{3, Purpose::kChains, 11, 64};
  BitLayer bits;
  sample_units(input, beta, reference, stream, 8, bits);
  int differing = 0;
  for (Index i = 0; i < 7; ++i) {
    for (std::uint32_t c = 0; c < 64; ++c) {
      const auto words =
          r123::Philox4x32()(stream.counter(static_cast<std::uint32_t>(2 + i / 4), c), stream.key());
      const double u = (static_cast<double>(words[static_cast<std::size_t>(i % 4)] >> 8) + 0.5) * 0x1p-24;
      const double b = beta[c];
      const double p = sigmoid(b * input(i, c) + (1 - b) * reference[static_cast<std::size_t>(i)]);
      if (std::abs(u - p) > 1e-6) differing += (u < p) != (bit(bits, i, c) != 0) ? 1 : 0;
    }
  }
  EXPECT_EQ(differing, 0);
}

TEST(Sampling, SoftplusSumsAndMeans) {
  LaneMatrix input = LaneMatrix::Random(33, kLanes) * 20.0F;
  LaneFloats beta;
  beta.fill(0.7F);
  LaneDoubles sums{};
  add_softplus(input, beta, sums);
  LaneMatrix mean;
  mean_units(input, beta, mean);
  for (std::size_t c = 0; c < 64; ++c) {
    double expected = 0;
    for (Index i = 0; i < 33; ++i) {
      const double x = 0.7F * input(i, static_cast<Index>(c));
      expected += softplus(x);
      ASSERT_NEAR(mean(i, static_cast<Index>(c)), sigmoid(x), 3e-7);
    }
    ASSERT_NEAR(sums[c], expected, 1e-5 * expected + 1e-5);
  }
}

}  // namespace
}  // namespace tempera
