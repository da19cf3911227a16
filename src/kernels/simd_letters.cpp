#include "simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd_letters.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "scalar.hpp"

HWY_BEFORE_NAMESPACE();
namespace tempera::simd {
namespace HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

using scalar::LetterInput;
using scalar::LetterSums;
using scalar::WeighColumns;

#else

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using VF = hn::Vec<Floats>;
using Four = hn::FixedTag<float, 4>;
using V4 = hn::Vec<Four>;

constexpr std::size_t kWidth = hn::MaxLanes(Floats());
/// Vectors of a strip of columns, and chains whose sums are in registers at a time.
constexpr std::size_t kVectors = kLetterColumns / kWidth;
constexpr std::size_t kChains = kWidth == 16 ? 8 : kWidth == 8 ? 2 : 1;

/// Four rows of `from` become four columns of `to`.
HWY_INLINE void Transpose4(const float* from, std::size_t from_stride, float* to, std::size_t to_stride) {
  const Four d;
  const hn::Repartition<double, Four> pairs;
  const V4 a = hn::Load(d, from);
  const V4 b = hn::Load(d, from + from_stride);
  const V4 c = hn::Load(d, from + 2 * from_stride);
  const V4 e = hn::Load(d, from + 3 * from_stride);
  const auto low = [&](V4 x, V4 y) { return hn::BitCast(pairs, hn::InterleaveLower(d, x, y)); };
  const auto high = [&](V4 x, V4 y) { return hn::BitCast(pairs, hn::InterleaveUpper(d, x, y)); };
  const auto ab_low = low(a, b);
  const auto ce_low = low(c, e);
  const auto ab_high = high(a, b);
  const auto ce_high = high(c, e);
  hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, ab_low, ce_low)), d, to);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_low, ce_low)), d, to + to_stride);
  hn::Store(hn::BitCast(d, hn::InterleaveLower(pairs, ab_high, ce_high)), d, to + 2 * to_stride);
  hn::Store(hn::BitCast(d, hn::InterleaveUpper(pairs, ab_high, ce_high)), d, to + 3 * to_stride);
}

/// Sums of the rows of kChains chains.
HWY_INLINE void SumRows(const float* table, const float* bias, const std::uint32_t* rows, std::size_t n_sites,
                        float* sums) {
  const Floats d;
  VF total[kChains][kVectors];
  for (std::size_t c = 0; c < kChains; ++c) {
    for (std::size_t k = 0; k < kVectors; ++k) total[c][k] = hn::Load(d, bias + k * kWidth);
  }
  for (std::size_t s = 0; s < n_sites; ++s) {
    for (std::size_t c = 0; c < kChains; ++c) {
      const float* const row = table + std::size_t{rows[c * n_sites + s]} * kLetterColumns;
      for (std::size_t k = 0; k < kVectors; ++k)
        total[c][k] = hn::Add(total[c][k], hn::Load(d, row + k * kWidth));
    }
  }
  for (std::size_t c = 0; c < kChains; ++c) {
    for (std::size_t k = 0; k < kVectors; ++k)
      hn::Store(total[c][k], d, sums + c * kLetterColumns + k * kWidth);
  }
}

void LetterInput(const float* weights, std::ptrdiff_t stride, const float* bias, std::size_t n_columns,
                 const LetterPanel& panel, float* const* out, float* scratch) {
  float* const table = scratch;
  float* const sums = table + (panel.n_places + 1) * kLetterColumns;
  float* const of_bias = sums + kLanes * kLetterColumns;
  for (std::size_t first = 0; first < n_columns; first += kLetterColumns) {
    const std::size_t columns = std::min(kLetterColumns, n_columns - first);
    const std::size_t bytes = columns * sizeof(float);
    if (columns < kLetterColumns) std::fill_n(table, panel.n_places * kLetterColumns, 0.0F);
    for (std::size_t i = 0; i < panel.n_places; ++i)
      std::memcpy(table + i * kLetterColumns, weights + static_cast<std::ptrdiff_t>(i) * stride + first,
                  bytes);
    std::fill_n(table + panel.n_places * kLetterColumns, kLetterColumns, 0.0F);
    std::fill_n(of_bias, kLetterColumns, 0.0F);
    std::memcpy(of_bias, bias + first, bytes);
    for (std::size_t b = 0; b < panel.n_blocks; ++b) {
      const std::uint32_t* const rows = panel.rows + b * kLanes * panel.n_sites;
      for (std::size_t c = 0; c < kLanes; c += kChains)
        SumRows(table, of_bias, rows + c * panel.n_sites, panel.n_sites, sums + c * kLetterColumns);
      for (std::size_t j = 0; j + 4 <= columns; j += 4) {
        for (std::size_t c = 0; c < kLanes; c += 4)
          Transpose4(sums + c * kLetterColumns + j, kLetterColumns, out[b] + (first + j) * kLanes + c,
                     kLanes);
      }
      for (std::size_t j = columns - columns % 4; j < columns; ++j) {
        for (std::size_t c = 0; c < kLanes; ++c)
          out[b][(first + j) * kLanes + c] = sums[c * kLetterColumns + j];
      }
    }
  }
}

void WeighColumns(const WeightedBlock& block, std::size_t first_column, std::size_t n_columns, float* out) {
  const Floats d;
  const float* const columns = block.columns + first_column * kLanes;
  if (n_columns < kLetterColumns) std::fill_n(out, kLanes * kLetterColumns, 0.0F);
  std::size_t j = 0;
  for (; j + 4 <= n_columns; j += 4) {
    for (std::size_t c = 0; c < kLanes; c += 4)
      Transpose4(columns + j * kLanes + c, kLanes, out + c * kLetterColumns + j, kLetterColumns);
  }
  for (; j < n_columns; ++j) {
    for (std::size_t c = 0; c < kLanes; ++c) out[c * kLetterColumns + j] = columns[j * kLanes + c];
  }
  for (std::size_t c = 0; c < block.lanes; ++c) {
    const VF weight = hn::Set(d, block.weight[c]);
    for (std::size_t k = 0; k < kVectors; ++k) {
      float* const at = out + c * kLetterColumns + k * kWidth;
      hn::Store(hn::Mul(weight, hn::Load(d, at)), d, at);
    }
  }
}

void LetterSums(const float* weighed, const std::uint64_t* bits, std::size_t n_places, std::uint64_t counted,
                float* sums) {
  const Floats d;
  for (std::size_t i = 0; i < n_places; ++i) {
    VF total[kVectors];
    for (std::size_t k = 0; k < kVectors; ++k) total[k] = hn::Zero(d);
    for (std::uint64_t left = bits[i] & counted; left != 0; left &= left - 1) {
      const float* const of_chain = weighed + hwy::Num0BitsBelowLS1Bit_Nonzero64(left) * kLetterColumns;
      for (std::size_t k = 0; k < kVectors; ++k)
        total[k] = hn::Add(total[k], hn::Load(d, of_chain + k * kWidth));
    }
    for (std::size_t k = 0; k < kVectors; ++k) hn::Store(total[k], d, sums + i * kLetterColumns + k * kWidth);
  }
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace tempera::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tempera::simd {

HWY_EXPORT(LetterInput);
HWY_EXPORT(WeighColumns);
HWY_EXPORT(LetterSums);

void letter_input(const float* weights, std::ptrdiff_t stride, const float* bias, std::size_t n_columns,
                  const LetterPanel& panel, float* const* out, float* scratch) {
  HWY_DYNAMIC_DISPATCH(LetterInput)(weights, stride, bias, n_columns, panel, out, scratch);
}

void weigh_columns(const WeightedBlock& block, std::size_t first_column, std::size_t n_columns, float* out) {
  HWY_DYNAMIC_DISPATCH(WeighColumns)(block, first_column, n_columns, out);
}

void letter_sums(const float* weighed, const std::uint64_t* bits, std::size_t n_places, std::uint64_t counted,
                 float* sums) {
  HWY_DYNAMIC_DISPATCH(LetterSums)(weighed, bits, n_places, counted, sums);
}

}  // namespace tempera::simd
#endif
