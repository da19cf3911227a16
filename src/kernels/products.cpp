#include "tempera/kernels/products.hpp"

#include <algorithm>
#include <bit>

#include "simd.hpp"

namespace tempera {
namespace {

static_assert(kProductUnits == simd::kNearUnits && kProductUnits % kUnitAlignment == 0);
static_assert(kProductColumns == simd::kOuterColumns);

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

void grow(Vector& memory, std::size_t floats) {
  if (size(memory.size()) < floats) memory.resize(static_cast<Index>(floats));
}

/// Words of one block in a packed panel.
std::size_t block_stride(std::size_t n_units) { return simd::max_strips(n_units) * simd::kLanes; }

void look_up(const simd::LookupOperand& weights, const PackedPanel& packed, Index n_out,
             std::span<float* const> out, ProductScratch& scratch) {
  grow(scratch.tables, simd::kLookupTableFloats);
  simd::look_up(weights, size(n_out),
                {packed.bits.data(), block_stride(packed.n_units), packed.groups.data(), packed.n_strips,
                 packed.n_blocks, packed.lanes.data(), out.data()},
                scratch.tables.data());
}

}  // namespace

void pack(std::span<const BitBlock> blocks, PackedPanel& packed) {
  packed.n_blocks = blocks.size();
  packed.n_units = blocks.front().units.size();
  const std::size_t stride = block_stride(packed.n_units);
  if (size(packed.bits.size()) < stride * packed.n_blocks)
    packed.bits.resize(static_cast<Index>(stride * packed.n_blocks));
  const std::size_t groups = simd::max_strips(packed.n_units) * simd::kMaxGroupsPerStrip;
  if (packed.groups.size() < groups) packed.groups.resize(groups);
  std::array<const Word*, kMaxPanel> units;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    units[b] = blocks[b].units.data();
    packed.lanes[b] = size(blocks[b].lanes);
  }
  packed.n_strips = simd::pack(units.data(), packed.n_blocks, packed.n_units, packed.lanes.data(),
                               packed.bits.data(), stride, packed.groups.data());
}

void input_from_rows(const Matrix& weights, const PackedPanel& rows, UnitRange columns, const Vector& bias,
                     std::span<float* const> out, ProductScratch& scratch) {
  look_up({weights.data() + columns.first, weights.cols(), false, rows.n_units, bias.data() + columns.first},
          rows, columns.size(), out, scratch);
}

void input_from_columns(const Matrix& weights, const PackedPanel& columns, UnitRange rows, const Vector& bias,
                        std::span<float* const> out, ProductScratch& scratch) {
  look_up({weights.data() + rows.first * weights.cols(), weights.cols(), true, columns.n_units,
           bias.data() + rows.first},
          columns, rows.size(), out, scratch);
}

void add_products(std::span<const WeightedBlock> blocks, UnitRange columns, Sums mode, Matrix& sums,
                  ProductScratch& scratch) {
  const std::size_t n = blocks.size();
  const std::size_t rows = size(sums.rows());
  grow(scratch.tables, simd::kOuterScratchFloats);
  // Partial sums alive at a time: one for each level of the tree above pairs of blocks.
  grow(scratch.levels, (std::bit_width((n + 1) / 2) + 1) * rows * simd::kOuterColumns);
  for (Index j = columns.first; j < columns.last; j += kProductColumns) {
    simd::add_outer(blocks.data(), n, rows, size(j), size(std::min(kProductColumns, columns.last - j)),
                    mode == Sums::kSet, sums.data() + j, sums.cols(), scratch.tables.data(),
                    scratch.levels.data());
  }
}

void add_bits(std::span<const Word> rows, const LaneFloats& weight, Vector& sums) {
  simd::add_bits(rows.data(), rows.size(), weight.data(), sums.data());
}

void add_dots(const BitBlock& units, const Vector& coefficient, LaneDoubles& out) {
  simd::add_dots(units.units.data(), coefficient.data(), units.units.size(), size(units.lanes), out.data());
}

void real_input_from_rows(const Matrix& weights, const LaneMatrix& rows, UnitRange columns,
                          const Vector* bias, float* out) {
  simd::real_product(
      {weights.data() + columns.first, weights.cols(), 1, static_cast<std::size_t>(weights.rows()),
       bias == nullptr ? nullptr : bias->data() + columns.first},
      static_cast<std::size_t>(columns.size()), rows.data(), out);
}

void real_input_from_columns(const Matrix& weights, const LaneMatrix& columns, UnitRange rows,
                             const Vector* bias, float* out) {
  simd::real_product(
      {weights.data() + rows.first * weights.cols(), 1, weights.cols(),
       static_cast<std::size_t>(weights.cols()), bias == nullptr ? nullptr : bias->data() + rows.first},
      static_cast<std::size_t>(rows.size()), columns.data(), out);
}

}  // namespace tempera
