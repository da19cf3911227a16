// Products of real weights with binary states, for a panel of blocks of 64 chains at a time.
//
// These are the only places where weights meet states, so they are where the time goes. No product
// multiplies: sums of a few weights stand in tables, and the bits of a state are the index
// (docs/performance.md). Sums are in float; their order depends on the shapes and on the CPU's instruction
// set alone, never on threads, panels or parts of a layer.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "tempera/core/types.hpp"
#include "tempera/kernels/weighted_block.hpp"

namespace tempera {

/// A binary layer of one block; lanes past the first `lanes` do not count.
struct BitBlock {
  std::span<const Word> units;
  Index lanes = kLanes;
};

/// The binary layer of a panel, packed by chain: groups of units that are 0 everywhere are left out.
struct PackedPanel {
  Eigen::Array<std::uint32_t, Eigen::Dynamic, 1> bits;
  std::vector<std::uint32_t> groups;
  std::size_t n_strips = 0;
  std::size_t n_units = 0;
  std::size_t n_blocks = 0;
  std::array<std::size_t, kMaxPanel> lanes{};
};

/// Scratch of the products; grows on first use and is then reused. One per task.
struct ProductScratch {
  Vector tables;
  Vector levels;
};

/// Packs up to kMaxPanel blocks of one layer. Cost: 1 % of a product.
void pack(std::span<const BitBlock> blocks, PackedPanel& packed);

/// out[b](j, c) = bias(j) + sum_i weights(i, j) rows_b[i].c for the columns j of a range: the input of the
/// column units from the row units. out[b] points to the first of the range, 64 aligned floats each unit.
/// Shapes: weights n x m, rows n units, bias m. Cost: n m / 4 look-ups of 16 chains with AVX-512.
void input_from_rows(const Matrix& weights, const PackedPanel& rows, UnitRange columns, const Vector& bias,
                     std::span<float* const> out, ProductScratch& scratch);

/// out[b](i, c) = bias(i) + sum_j weights(i, j) columns_b[j].c for the rows i of a range: the input of the
/// row units from the column units. As input_from_rows otherwise.
void input_from_columns(const Matrix& weights, const PackedPanel& columns, UnitRange rows, const Vector& bias,
                        std::span<float* const> out, ProductScratch& scratch);

/// As input_from_rows and input_from_columns, from a real-valued layer of one block: out(j, c) = bias(j) +
/// sum_i weights(i, j) rows(i, c) for a range of columns, or the same with rows and columns in each other's
/// places. `bias` may be null. Each sum runs over the units in order, whatever the range. Cost: n m products
/// of 64 lanes.
void real_input_from_rows(const Matrix& weights, const LaneMatrix& rows, UnitRange columns,
                          const Vector* bias, float* out);
void real_input_from_columns(const Matrix& weights, const LaneMatrix& columns, UnitRange rows,
                             const Vector* bias, float* out);

/// Units that input_from_rows and input_from_columns are best called for at a time, so that their inputs and
/// the weights stay near: a multiple of kUnitAlignment.
inline constexpr Index kProductUnits = 40;

/// Whether sums are added to what is there, or replace it.
enum class Sums { kAdd, kSet };

/// Columns that add_products is best called for at a time.
inline constexpr Index kProductColumns = 16;

/// sums(i, j) += (or =) sum_b sum_c weight_b[c] rows_b[i].c columns_b(j, c) for the columns j of a range:
/// statistics of binary rows with real-valued columns, contracted over the chains; blocks along the fixed
/// tree of core/sum_tree.hpp. With columns(j, c) = y_c h_j.c this is V' diag(y) H, a half of a Fisher
/// product. Any number of blocks. Shapes: rows n units, columns m x 64, sums n x m. Cost: for each block n m
/// look-ups and additions of 4 chains.
void add_products(std::span<const WeightedBlock> blocks, UnitRange columns, Sums mode, Matrix& sums,
                  ProductScratch& scratch);

/// sums(i) += sum_c weight[c] rows[i].c.
void add_bits(std::span<const Word> rows, const LaneFloats& weight, Vector& sums);

/// out[c] += sum_i coefficient(i) units[i].c, in double.
void add_dots(const BitBlock& units, const Vector& coefficient, LaneDoubles& out);

}  // namespace tempera
