// Every kernel against a plain scalar reference, on shapes that are no multiple of anything.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/dispatch.hpp"
#include "tempera/kernels/letters.hpp"
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

/// Every test runs with every instruction set that this CPU has.
class Kernels : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    best_ = instruction_set();
    use_instruction_set(GetParam());
  }
  void TearDown() override { use_instruction_set(best_); }

 private:
  std::string best_;
};

INSTANTIATE_TEST_SUITE_P(InstructionSets, Kernels, testing::ValuesIn(instruction_sets()),
                         [](const auto& set) { return set.param; });

/// Shapes that are no multiple of any tile, strip, group or vector.
const std::vector<std::pair<Index, Index>> kShapes = {{1, 1},   {3, 1},    {1, 5},   {2, 9},    {31, 4},
                                                      {32, 6},  {33, 17},  {65, 33}, {161, 16}, {127, 70},
                                                      {7, 161}, {320, 15}, {193, 47}};

struct Blocks {
  std::vector<BitLayer> layers;
  std::vector<BitBlock> bits;
};

/// n units of some blocks; the last has 37 chains, and 65 chains are 64 + 1.
Blocks random_blocks(Index n, std::size_t count, Index last, std::uint32_t chain) {
  Blocks blocks;
  for (std::size_t b = 0; b < count; ++b)
    blocks.layers.push_back(random_bits(n, chain + static_cast<std::uint32_t>(b)));
  for (std::size_t b = 0; b < count; ++b)
    blocks.bits.push_back({blocks.layers[b], b + 1 == count ? last : kLanes});
  return blocks;
}

/// One letter of every site and chain, but none in some: the last letter of a site is never taken.
BitLayer random_letters(Index sites, Index most, std::uint32_t chain) {
  StreamEngine engine = StreamFactory{7}.engine(Purpose::kDataSet, 98, chain);
  BitLayer layer(static_cast<std::size_t>(sites * most));
  for (Index s = 0; s < sites; ++s) {
    for (Index c = 0; c < kLanes; ++c) {
      const auto letter =
          static_cast<Index>(engine() % static_cast<std::uint32_t>(std::max<Index>(1, most - 1)));
      if (engine() % 11 != 0) layer[static_cast<std::size_t>(s * most + letter)] |= Word{1} << c;
    }
  }
  return layer;
}

/// Sums in order, in float: the same bits on every instruction set, in parts or not.
TEST_P(Kernels, LettersAddRowsOfWeights) {
  for (const auto& [sites, most, m] :
       {std::tuple<Index, Index, Index>{1, 2, 1}, {3, 5, 9}, {7, 21, 33}, {40, 4, 70}, {2, 256, 64}}) {
    for (const auto& [count, last] :
         {std::pair<std::size_t, Index>{1, 64}, {1, 1}, {2, 37}, {5, 17}, {16, 64}}) {
      std::srand(2);
      const Index n = sites * most;
      const Matrix weights = Matrix::Random(n, m);
      const Vector bias = Vector::Random(m);
      Blocks blocks;
      std::vector<LaneMatrix> columns;
      std::vector<LaneFloats> of_chain(count);
      for (std::size_t b = 0; b < count; ++b) {
        blocks.layers.push_back(random_letters(sites, most, static_cast<std::uint32_t>(b)));
        columns.push_back(LaneMatrix::Random(m, kLanes));
        for (float& w : of_chain[b]) w = static_cast<float>(std::rand() % 7);
      }
      std::vector<WeightedBlock> weighted;
      for (std::size_t b = 0; b < count; ++b) {
        blocks.bits.push_back({blocks.layers[b], b + 1 == count ? last : kLanes});
        weighted.push_back({blocks.layers[b].data(), columns[b].data(), of_chain[b].data(),
                            static_cast<std::size_t>(blocks.bits[b].lanes)});
      }
      ProductScratch scratch;
      PackedLetters packed;
      pack_letters(blocks.bits, most, packed);
      std::vector<LaneMatrix> found(count, LaneMatrix::Constant(m, kLanes, NAN));
      Matrix sums = Matrix::Constant(n, m, 0.25F);
      const Index middle = m / 2 / kUnitAlignment * kUnitAlignment;
      for (const UnitRange part : {UnitRange{0, middle}, UnitRange{middle, m}}) {
        if (part.size() == 0) continue;
        std::vector<float*> out;
        for (std::size_t b = 0; b < count; ++b) out.push_back(found[b].row(part.first).data());
        input_from_letters(weights, packed, part, bias, out, scratch);
        add_letter_products(weighted, part, Sums::kAdd, sums, scratch);
      }
      Matrix alone = Matrix::Constant(n, m, NAN);
      add_letter_products(weighted, {0, m}, Sums::kSet, alone, scratch);
      std::vector<Matrix> of_block;
      for (std::size_t b = 0; b < count; ++b) {
        Matrix& own = of_block.emplace_back(Matrix::Zero(n, m));
        for (Index j = 0; j < m; ++j) {
          for (Index c = 0; c < kLanes; ++c) {
            float sum = bias[j];
            for (Index i = 0; i < n; ++i) {
              if (c >= blocks.bits[b].lanes || bit(blocks.layers[b], i, c) == 0.0F) continue;
              sum += weights(i, j);
              own(i, j) += of_chain[b][static_cast<std::size_t>(c)] * columns[b](j, c);
            }
            ASSERT_EQ(found[b](j, c), sum) << sites << " sites, block " << b << ", chain " << c;
          }
        }
      }
      const Matrix expected = sum_tree(
          static_cast<Index>(count), [&](Index b) { return of_block[static_cast<std::size_t>(b)]; },
          [](Matrix& into, const Matrix& from) { into += from; });
      ASSERT_EQ(alone, expected) << sites << " sites, " << count << " blocks";
      ASSERT_EQ(sums, (expected.array() + 0.25F).matrix());
    }
  }
}

TEST_P(Kernels, InputsEqualScalarSums) {
  for (const auto& [n, m] : kShapes) {
    for (const auto& [count, last] :
         {std::pair<std::size_t, Index>{1, 64}, {1, 1}, {2, 1}, {3, 37}, {16, 17}}) {
      std::srand(1);
      const Matrix weights = Matrix::Random(n, m);
      const Vector row_bias = Vector::Random(n);
      const Vector column_bias = Vector::Random(m);
      const Blocks rows = random_blocks(n, count, last, 1);
      const Blocks columns = random_blocks(m, count, last, 100);
      std::vector<LaneMatrix> to_columns(count, LaneMatrix::Constant(m, kLanes, NAN));
      std::vector<LaneMatrix> to_rows(count, LaneMatrix::Constant(n, kLanes, NAN));
      ProductScratch scratch;
      PackedPanel packed;
      // In two parts, as threads that share a layer do it.
      const auto in_parts = [count = count](Index units, std::vector<LaneMatrix>& out, const auto& run) {
        const Index middle = units / 2 / kUnitAlignment * kUnitAlignment;
        for (const UnitRange part : {UnitRange{0, middle}, UnitRange{middle, units}}) {
          if (part.size() == 0) continue;
          std::vector<float*> first;
          for (std::size_t b = 0; b < count; ++b) first.push_back(out[b].row(part.first).data());
          run(part, first);
        }
      };
      pack(rows.bits, packed);
      in_parts(m, to_columns, [&](UnitRange part, std::span<float* const> out) {
        input_from_rows(weights, packed, part, column_bias, out, scratch);
      });
      pack(columns.bits, packed);
      in_parts(n, to_rows, [&](UnitRange part, std::span<float* const> out) {
        input_from_columns(weights, packed, part, row_bias, out, scratch);
      });
      const double tolerance = 1e-6 * std::sqrt(static_cast<double>(n + m)) + 1e-6;
      for (std::size_t b = 0; b < count; ++b) {
        for (Index c = 0; c < rows.bits[b].lanes; ++c) {
          for (Index j = 0; j < m; ++j) {
            double sum = column_bias[j];
            for (Index i = 0; i < n; ++i) sum += weights(i, j) * bit(rows.layers[b], i, c);
            ASSERT_NEAR(to_columns[b](j, c), sum, tolerance) << n << " x " << m << " block " << b;
          }
          for (Index i = 0; i < n; ++i) {
            double sum = row_bias[i];
            for (Index j = 0; j < m; ++j) sum += weights(i, j) * bit(columns.layers[b], j, c);
            ASSERT_NEAR(to_rows[b](i, c), sum, tolerance) << n << " x " << m << " block " << b;
          }
        }
      }
    }
  }
}

TEST_P(Kernels, InputsAreExactWhereSumsAre) {
  // Whole numbers: every order of additions gives the same bits.
  const Index n = 129;
  const Index m = 23;
  Matrix weights(n, m);
  for (Index k = 0; k < weights.size(); ++k) weights.data()[k] = static_cast<float>(k % 61 - 30);
  const Blocks rows = random_blocks(n, 2, 50, 7);
  std::vector<LaneMatrix> out(2, LaneMatrix(m, kLanes));
  PackedPanel packed;
  ProductScratch scratch;
  pack(rows.bits, packed);
  input_from_rows(weights, packed, {0, m}, Vector::Zero(m), std::vector<float*>{out[0].data(), out[1].data()},
                  scratch);
  for (std::size_t b = 0; b < 2; ++b) {
    for (Index c = 0; c < rows.bits[b].lanes; ++c) {
      for (Index j = 0; j < m; ++j) {
        float sum = 0;
        for (Index i = 0; i < n; ++i) sum += weights(i, j) * bit(rows.layers[b], i, c);
        ASSERT_EQ(out[b](j, c), sum);
      }
    }
  }
}

TEST_P(Kernels, ProductsEqualScalarSums) {
  for (const auto& [n, m] : kShapes) {
    for (const auto& [count, last] :
         {std::pair<std::size_t, Index>{1, 64}, {1, 1}, {2, 37}, {3, 3}, {4, 64}, {7, 50}, {8, 64}}) {
      std::srand(2);
      const Blocks rows = random_blocks(n, count, last, 3);
      std::vector<LaneMatrix> columns;
      std::vector<LaneFloats> weights(count);
      std::vector<WeightedBlock> blocks;
      for (std::size_t b = 0; b < count; ++b) {
        columns.push_back(LaneMatrix::Random(m, kLanes));
        columns.back().rightCols(kLanes - rows.bits[b].lanes).setConstant(NAN);  // must not be read
        for (std::size_t c = 0; c < 64; ++c) weights[b][c] = 0.25F + static_cast<float>(c) / 64.0F;
      }
      for (std::size_t b = 0; b < count; ++b) {
        blocks.push_back({rows.layers[b].data(), columns[b].data(), weights[b].data(),
                          static_cast<std::size_t>(rows.bits[b].lanes)});
      }
      Matrix sums = Matrix::Ones(n, m);
      ProductScratch scratch;
      const Index middle = std::min<Index>(m, kProductColumns);
      add_products(blocks, {0, middle}, Sums::kAdd, sums, scratch);
      add_products(blocks, {middle, m}, Sums::kAdd, sums, scratch);
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < m; ++j) {
          double sum = 1.0;
          double terms = 1.0;
          for (std::size_t b = 0; b < count; ++b) {
            for (Index c = 0; c < rows.bits[b].lanes; ++c) {
              const double term =
                  weights[b][static_cast<std::size_t>(c)] * bit(rows.layers[b], i, c) * columns[b](j, c);
              sum += term;
              terms += std::abs(term);
            }
          }
          ASSERT_NEAR(sums(i, j), sum, 3e-7 * terms) << n << " x " << m << ", " << count << " blocks";
        }
      }
    }
  }
}

TEST_P(Kernels, BlocksAreSummedAlongTheFixedTree) {
  // The sum of many blocks must equal sum_tree of the sums of one, to the bit.
  const Index n = 19;
  for (const std::size_t count : {1U, 2U, 3U, 5U, 6U, 7U, 12U, 13U}) {
    std::srand(3);
    const Blocks rows = random_blocks(n, count, 64, 9);
    std::vector<LaneMatrix> columns;
    const LaneFloats weight = [] {
      LaneFloats w;
      w.fill(1.0F / 3.0F);
      return w;
    }();
    std::vector<WeightedBlock> blocks;
    for (std::size_t b = 0; b < count; ++b) columns.push_back(LaneMatrix::Random(5, kLanes));
    for (std::size_t b = 0; b < count; ++b)
      blocks.push_back({rows.layers[b].data(), columns[b].data(), weight.data(), 64});
    ProductScratch scratch;
    Matrix together = Matrix::Zero(n, 5);
    add_products(blocks, {0, 5}, Sums::kAdd, together, scratch);
    const Matrix tree = sum_tree(
        static_cast<Index>(count),
        [&](Index b) {
          Matrix one = Matrix::Zero(n, 5);
          add_products({&blocks[static_cast<std::size_t>(b)], 1}, {0, 5}, Sums::kAdd, one, scratch);
          return one;
        },
        [](Matrix& into, const Matrix& from) { into += from; });
    EXPECT_EQ(together, tree) << count;
    if (count < 4) continue;  // three in a row are a tree
    Matrix in_a_row = Matrix::Zero(n, 5);
    for (const WeightedBlock& block : blocks)
      add_products({&block, 1}, {0, 5}, Sums::kAdd, in_a_row, scratch);
    EXPECT_NE(together, in_a_row) << "another order of additions must be seen";
  }
}

TEST_P(Kernels, FisherSumsEqualScalarSums) {
  // V' diag(y) H, with a number for every chain.
  const Index n = 67;
  const Index m = 21;
  const Index lanes = 45;
  const Blocks v = random_blocks(n, 1, lanes, 1);
  const Blocks h = random_blocks(m, 1, lanes, 2);
  ProductScratch scratch;
  LaneMatrix real(m, kLanes);
  for (Index j = 0; j < m; ++j) {
    for (Index c = 0; c < kLanes; ++c) real(j, c) = bit(h.layers[0], j, c);
  }
  LaneFloats y{};
  for (std::size_t c = 0; c < 45; ++c) y[c] = 0.01F * static_cast<float>(c) - 0.2F;
  Matrix outer = Matrix::Constant(n, m, NAN);
  const WeightedBlock block{v.layers[0].data(), real.data(), y.data(), 45};
  add_products({&block, 1}, {0, m}, Sums::kSet, outer, scratch);
  Eigen::MatrixXd expected = Eigen::MatrixXd::Zero(n, m);
  for (Index c = 0; c < lanes; ++c) {
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < m; ++j)
        expected(i, j) += bit(v.layers[0], i, c) * bit(h.layers[0], j, c) * y[static_cast<std::size_t>(c)];
    }
  }
  EXPECT_LT((outer.cast<double>() - expected).cwiseAbs().maxCoeff(), 1e-5);
}

TEST_P(Kernels, SumsOverBits) {
  const Index n = 77;
  std::srand(5);
  const BitLayer units = random_bits(n, 4);
  const Vector coefficient = Vector::Random(n);
  LaneFloats weight;
  for (std::size_t c = 0; c < 64; ++c) weight[c] = static_cast<float>(c) * 0.03F;
  Vector sums = Vector::Ones(n);
  add_bits(units, weight, sums);
  LaneDoubles dots{};
  add_dots({units, 39}, coefficient, dots);
  for (Index i = 0; i < n; ++i) {
    double sum = 1.0;
    for (Index c = 0; c < kLanes; ++c) sum += bit(units, i, c) * weight[static_cast<std::size_t>(c)];
    EXPECT_NEAR(sums[i], sum, 1e-5);
  }
  for (Index c = 0; c < 39; ++c) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += static_cast<double>(bit(units, i, c)) * coefficient[i];
    EXPECT_NEAR(dots[static_cast<std::size_t>(c)], sum, 1e-12);
  }
}

TEST_P(Kernels, DrawsAreRandom123sWords) {
  const LaneStream stream{0x123456789abcdef0ULL, Purpose::kAnnealing, (std::uint64_t{5} << 40) + 77, 128};
  for (const LaneStream& at :
       {stream, LaneStream{7, Purpose::kChains, 0, 0xffffffd0U}}) {  // chains wrap around
    for (const std::uint32_t quad : {0U, 9U, 0x80000003U, 0xffffffffU}) {
      QuadDraws draws;
      draw_quad(at, quad, draws);
      for (std::uint32_t c = 0; c < 64; ++c) {
        const auto words = r123::Philox4x32()(at.counter(quad, c), at.key());
        for (std::size_t k = 0; k < 4; ++k) ASSERT_EQ(draws[k][c], words[k]);
      }
    }
  }
}

/// The uniform of a unit, as core/random.hpp states it, from Random123.
double uniform(const LaneStream& stream, std::uint32_t site, std::uint32_t c) {
  const auto words = r123::Philox4x32()(stream.counter(site / 8, c), stream.key());
  const std::uint32_t high = words[site % 8 / 2] >> (site % 2 * 16) & 0xffff;
  const auto more = r123::Philox4x32()(stream.counter(0x80000000U | site / 4, c), stream.key());
  return (high + (more[site % 4] + 0.5) * 0x1p-32) * 0x1p-16;
}

TEST_P(Kernels, BitsAreTheStatedComparison) {
  const std::vector<float> reference = {0.3F, -1.0F, 2.0F, 0.0F, 0.5F, -0.5F, 1.0F, 0.1F, 0.2F, -2.0F, 0.7F};
  const Index n = 11;
  LaneFloats beta;
  for (std::size_t c = 0; c < 64; ++c) beta[c] = static_cast<float>(c) / 63.0F;
  int differing = 0;
  int open = 0;
  for (std::uint64_t step = 0; step < 600; ++step) {
    LaneMatrix input = LaneMatrix::Random(n, kLanes) * 8.0F;
    input(0, 63) = 200.0F;
    input(1, 63) = -200.0F;
    const LaneStream stream{3, Purpose::kChains, step, 64};
    BitLayer bits(static_cast<std::size_t>(n));
    sample_units(input.data(), {0, n}, beta, reference, kLanes, stream, 16, bits);
    for (std::uint32_t i = 0; i < n; ++i) {
      for (std::uint32_t c = 0; c < 64; ++c) {
        const double u = uniform(stream, 16 + i, c);
        const double b = beta[c];
        const double x = b * input(i, c) + (1 - b) * reference[i];
        const double p = sigmoid(x);
        // The stated error of the sigmoid, and that of the logit in float.
        if (std::abs(u - p) < (3e-7 + 7e-8 * std::abs(x)) * p + 2e-7 * std::abs(x) * p * (1 - p)) continue;
        open += std::floor(u * 65536) == std::floor(p * 65536) ? 1 : 0;
        differing += (u < p) != (bit(bits, i, c) != 0) ? 1 : 0;
      }
    }
    EXPECT_EQ(bits[0] >> 63, 1U);
    EXPECT_EQ(bits[1] >> 63, 0U);
  }
  EXPECT_EQ(differing, 0);
  EXPECT_GT(open, 0) << "some units must have needed their second draw";
}

TEST_P(Kernels, PartsOfALayerAreSampledAlike) {
  const Index n = 27;
  std::srand(6);
  const LaneMatrix input = LaneMatrix::Random(n, kLanes) * 3.0F;
  LaneFloats beta;
  beta.fill(1.0F);
  const LaneStream stream{3, Purpose::kChains, 5, 0};
  BitLayer whole(27);
  BitLayer parts(27);
  sample_units(input.data(), {0, n}, beta, {}, 41, stream, 8, whole);
  sample_units(input.data(), {0, 16}, beta, {}, 41, stream, 8, parts);
  sample_units(input.row(16).data(), {16, n}, beta, {}, 41, stream, 8, parts);
  EXPECT_EQ(whole, parts);
  for (const Word word : whole) EXPECT_EQ(word >> 41, 0U);
}

TEST_P(Kernels, SmallProbabilitiesKeepTheirSize) {
  // P = sigmoid(-12) = 6.1e-6 is below the resolution of 16 bits. 2^24 draws expect 103; mean +- 5 sigma. A
  // generator that stopped at 16 bits would give 0 or 256.
  const Index n = 64;
  const LaneMatrix input = LaneMatrix::Constant(n, kLanes, -12.0F);
  LaneFloats beta;
  beta.fill(1.0F);
  BitLayer bits(64);
  double on = 0;
  const std::uint64_t steps = 4096;
  for (std::uint64_t step = 0; step < steps; ++step) {
    sample_units(input.data(), {0, n}, beta, {}, kLanes, {9, Purpose::kChains, step, 0}, 0, bits);
    for (const Word word : bits) on += static_cast<double>(std::popcount(word));
  }
  const double expected = static_cast<double>(steps) * 64 * 64 * sigmoid(-12.0);
  EXPECT_NEAR(on, expected, 5 * std::sqrt(expected));
}

TEST_P(Kernels, SoftplusSumsAndMeans) {
  for (const Index n : {1, 33, 1100}) {
    std::srand(7);
    LaneMatrix input = LaneMatrix::Random(n, kLanes) * 20.0F;
    input(0, 0) = 500.0F;
    input(0, 1) = -500.0F;
    LaneFloats beta;
    beta.fill(0.7F);
    const Index lanes = 45;
    LaneDoubles sums{};
    add_softplus(input, beta, lanes, sums);
    LaneMatrix mean(n, kLanes);
    mean_units(input, {0, n}, beta, lanes, mean);
    for (Index c = 0; c < lanes; ++c) {
      double expected = 0;
      for (Index i = 0; i < n; ++i) {
        const double x = 0.7F * input(i, c);
        expected += softplus(x);
        ASSERT_NEAR(mean(i, c), sigmoid(x), 1.2e-7);
        ASSERT_NEAR(mean(i, c), sigmoid(x), (3e-7 + 7e-8 * std::abs(x)) * sigmoid(x) + 1e-37);
      }
      ASSERT_NEAR(sums[static_cast<std::size_t>(c)], expected, 2e-7 * expected + 1e-6);
    }
  }
}

TEST_P(Kernels, RealInputsEqualSumsWhateverThePart) {
  for (const auto& [n, m] : kShapes) {
    std::srand(3);
    const Matrix weights = Matrix::Random(n, m);
    const Vector bias = Vector::Random(m);
    const LaneMatrix rows = LaneMatrix::Random(n, kLanes);
    const LaneMatrix columns = LaneMatrix::Random(m, kLanes);
    LaneMatrix to_columns(m, kLanes);
    LaneMatrix to_rows(n, kLanes);
    real_input_from_rows(weights, rows, {0, m}, &bias, to_columns.data());
    real_input_from_columns(weights, columns, {0, n}, nullptr, to_rows.data());
    const Eigen::MatrixXd w = weights.cast<double>();
    const Eigen::MatrixXd expected = (w.transpose() * rows.cast<double>()).colwise() + bias.cast<double>();
    EXPECT_LT((to_columns.cast<double>() - expected).cwiseAbs().maxCoeff(),
              1e-6 * static_cast<double>(n + 3));
    EXPECT_LT((to_rows.cast<double>() - w * columns.cast<double>()).cwiseAbs().maxCoeff(),
              1e-6 * static_cast<double>(m + 3));
    LaneMatrix part(1, kLanes);
    for (Index j = 0; j < m; ++j) {
      real_input_from_rows(weights, rows, {j, j + 1}, &bias, part.data());
      ASSERT_TRUE((part.row(0).array() == to_columns.row(j).array()).all()) << j;
    }
    for (Index i = 0; i < n; ++i) {
      real_input_from_columns(weights, columns, {i, i + 1}, nullptr, part.data());
      ASSERT_TRUE((part.row(0).array() == to_rows.row(i).array()).all()) << i;
    }
  }
}

TEST_P(Kernels, NormalsAreBoxMullerOfTheirWords) {
  const LaneStream stream{7, Purpose::kSampling, 3, 100};
  constexpr Index kUnits = 19;
  LaneMatrix normals(kUnits, kLanes);
  sample_normals({8, 8 + kUnits}, stream, 16, normals.data());
  for (Index k = 0; k < kUnits; ++k) {
    const auto site = static_cast<std::uint32_t>(24 + k);
    for (std::uint32_t c = 0; c < kLanes; ++c) {
      const auto words = r123::Philox4x32()(stream.counter(kNormalDraws | site / 4, c), stream.key());
      const double u = (static_cast<double>(words[site % 4 / 2 * 2] >> 1) + 0.5) * 0x1p-31;
      const double angle =
          static_cast<double>(static_cast<std::int32_t>(words[site % 4 / 2 * 2 + 1])) * 0x1p-31 * M_PI;
      const double radius = std::sqrt(-2 * std::log(u));
      ASSERT_NEAR(normals(k, c), radius * (site % 2 == 0 ? std::cos(angle) : std::sin(angle)), 3e-6);
    }
  }
}

TEST_P(Kernels, NormalsAreNormal) {
  // Moments of 640,000 draws, and the fractions beyond 1, 2, 3 and 4.
  constexpr Index kUnits = 1000;
  LaneMatrix z(kUnits, kLanes);
  Eigen::Array4d moments = Eigen::Array4d::Zero();
  Eigen::Array4d beyond = Eigen::Array4d::Zero();
  double product = 0;
  for (std::uint64_t step = 0; step < 10; ++step) {
    sample_normals({0, kUnits}, {11, Purpose::kSampling, step, 0}, 0, z.data());
    const Eigen::ArrayXXd x = z.cast<double>().array();
    moments += Eigen::Array4d(x.sum(), x.square().sum(), x.cube().sum(), x.square().square().sum());
    for (Index k = 0; k < 4; ++k)
      beyond[k] += static_cast<double>((x.abs() > static_cast<double>(k + 1)).count());
    for (Index i = 0; i + 1 < kUnits; i += 2) product += (x.row(i) * x.row(i + 1)).sum();
  }
  const double n = 640000;
  EXPECT_NEAR(moments[0] / n, 0.0, 4.0 / std::sqrt(n));
  EXPECT_NEAR(moments[1] / n, 1.0, 4.0 * std::sqrt(2.0 / n));
  EXPECT_NEAR(moments[2] / n, 0.0, 4.0 * std::sqrt(15.0 / n));
  EXPECT_NEAR(moments[3] / n, 3.0, 4.0 * std::sqrt(96.0 / n));
  EXPECT_NEAR(product / (n / 2), 0.0, 4.0 / std::sqrt(n / 2)) << "cosine and sine of one angle";
  for (Index k = 0; k < 4; ++k) {
    const double p = std::erfc(static_cast<double>(k + 1) / std::sqrt(2.0));
    EXPECT_NEAR(beyond[k] / n, p, 4.0 * std::sqrt(p / n));
  }
}

TEST(Dispatch, KnowsWhatItHas) {
  const auto sets = instruction_sets();
  ASSERT_FALSE(sets.empty());
  EXPECT_EQ(instruction_set(), sets.front());
  EXPECT_THROW(use_instruction_set("abacus"), UsageError);
  use_instruction_set(sets.back());
  EXPECT_EQ(instruction_set(), sets.back());
  EXPECT_EQ(instruction_sets(), sets);
  use_instruction_set(sets.front());
}

}  // namespace
}  // namespace tempera
