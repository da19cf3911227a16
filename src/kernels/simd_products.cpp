#include "simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd_products.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <type_traits>

#include "scalar.hpp"

HWY_BEFORE_NAMESPACE();
namespace tempera::simd {
namespace HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

using scalar::AddBits;
using scalar::AddDots;
using scalar::AddOuter;
using scalar::LookUp;
using scalar::Pack;

#else

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using VF = hn::Vec<Floats>;
using VU = hn::Vec<Words>;

constexpr std::size_t kWidth = hn::MaxLanes(Floats());
static_assert(kWidth >= 4 && kWidth <= 16, "tables index 4, 8 or 16 sums");
/// Units whose sums one table holds.
constexpr std::size_t kGroup = kWidth == 16 ? 4 : kWidth == 8 ? 3 : 2;
constexpr std::size_t kGroupsPerStrip = 32 / kGroup;
/// Vectors of chains in a tile: with kTileUnits units they fill the registers.
constexpr std::size_t kTileVectors = kWidth == 16 ? 4 : 2;
/// Whether a look-up in a register reads no more bits of an index than it needs.
constexpr bool kIgnoresHighBits = !HWY_IS_DEBUG_BUILD && (HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3);

/// Entry n of vector k is bit k of n, as a float.
alignas(64) constexpr float kBitOf[4][16] = {
    {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1},
    {0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1},
    {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1},
    {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
};

/// Lane c holds bit c.
template <class D>
HWY_INLINE hn::Vec<D> LaneBits(D d) {
  alignas(64) hn::TFromD<D> bits[hn::MaxLanes(D())];
  for (std::size_t c = 0; c < hn::MaxLanes(D()); ++c) bits[c] = hn::TFromD<D>{1} << c;
  return hn::Load(d, bits);
}

// --- packing ------------------------------------------------------------------------------------------

std::size_t Pack(const std::uint64_t* const* units, std::size_t n_blocks, std::size_t n_units,
                 const std::size_t* lanes, std::uint32_t* packed, std::size_t block_stride,
                 std::uint32_t* groups) {
  std::size_t active = 0;
  for (std::size_t first = 0; first < n_units; first += kGroup) {
    std::uint64_t any = 0;
    for (std::size_t b = 0; b < n_blocks; ++b) {
      for (std::size_t i = first; i < std::min(n_units, first + kGroup); ++i) any |= units[b][i];
    }
    if (any != 0) groups[active++] = static_cast<std::uint32_t>(first);
  }
  while (active % kGroupsPerStrip != 0) groups[active++] = kNoGroup;

  const Words d;
  const VU lane_bit = LaneBits(d);
  const std::size_t strips = active / kGroupsPerStrip;
  for (std::size_t s = 0; s < strips; ++s, groups += kGroupsPerStrip) {
    for (std::size_t b = 0; b < n_blocks; ++b) {
      for (std::size_t c = 0; c < lanes[b]; c += kWidth) {
        VU strip = hn::Zero(d);
        for (std::size_t g = 0; g < kGroupsPerStrip && groups[g] != kNoGroup; ++g) {
          for (std::size_t k = 0; k < kGroup && groups[g] + k < n_units; ++k) {
            const auto bits = static_cast<std::uint32_t>(units[b][groups[g] + k] >> c);
            const auto on = hn::TestBit(hn::Set(d, bits), lane_bit);
            strip = hn::Or(strip, hn::IfThenElseZero(on, hn::Set(d, 1U << (g * kGroup + k))));
          }
        }
        hn::Store(strip, d, packed + b * block_stride + s * kLanes + c);
      }
    }
  }
  return strips;
}

// --- look-ups in registers ----------------------------------------------------------------------------

/// Sums of kCount consecutive units for kUnits outputs: kUnits tables. kAlong: the units of an output lie
/// together and `stride` is from output to output; otherwise the outputs lie together and it is from unit to
/// unit. (With two strides that the compiler does not know, addresses cost more than sums.)
template <bool kAlong, std::size_t kUnits, std::size_t kCount>
HWY_INLINE void BuildGroup(const float* HWY_RESTRICT weights, std::ptrdiff_t stride,
                           const VF (&bit_of)[kGroup], float* HWY_RESTRICT tables) {
  const Floats d;
  constexpr std::size_t kLines = kAlong ? kUnits : kCount;
  const float* line[kLines];
  for (std::size_t l = 0; l < kLines; ++l) line[l] = weights + static_cast<std::ptrdiff_t>(l) * stride;
  if constexpr (!kAlong) {
    // A line gives kUnits numbers here and the next ones to the next tile, which is asked for now.
    for (std::size_t l = 0; l < kLines; ++l) hwy::Prefetch(line[l] + 2 * kTileUnits);
  }
  for (std::size_t j = 0; j < kUnits; ++j) {
    const auto weight = [&](std::size_t k) { return hn::Set(d, kAlong ? line[j][k] : line[k][j]); };
    VF sums = hn::Mul(bit_of[0], weight(0));
    for (std::size_t k = 1; k < kCount; ++k) sums = hn::MulAdd(bit_of[k], weight(k), sums);
    hn::Store(sums, d, tables + j * kWidth);
  }
}

/// Tables of the groups of some strips for kUnits outputs, in the order in which Tile reads them.
template <bool kAlong, std::size_t kUnits>
HWY_NOINLINE void BuildTables(const float* HWY_RESTRICT weights, std::ptrdiff_t stride, std::size_t n_units,
                              const std::uint32_t* HWY_RESTRICT groups, std::size_t n_groups,
                              float* HWY_RESTRICT tables) {
  const Floats d;
  VF bit_of[kGroup];
  for (std::size_t k = 0; k < kGroup; ++k) bit_of[k] = hn::Load(d, kBitOf[k]);
  for (std::size_t g = 0; g < n_groups; ++g, tables += kUnits * kWidth) {
    if (groups[g] == kNoGroup) {
      std::fill_n(tables, kUnits * kWidth, 0.0F);
      continue;
    }
    const float* first = weights + static_cast<std::ptrdiff_t>(groups[g]) * (kAlong ? 1 : stride);
    const std::size_t left = n_units - groups[g];
    if (left >= kGroup) {
      BuildGroup<kAlong, kUnits, kGroup>(first, stride, bit_of, tables);
    } else if (left == 1) {
      BuildGroup<kAlong, kUnits, 1>(first, stride, bit_of, tables);
    } else if (left == 2) {
      BuildGroup<kAlong, kUnits, 2>(first, stride, bit_of, tables);
    } else {
      BuildGroup<kAlong, kUnits, std::min<std::size_t>(3, kGroup)>(first, stride, bit_of, tables);
    }
  }
}

/// One tile: kUnits outputs x kVectors vectors of chains, over `strips` strips.
template <std::size_t kUnits, std::size_t kVectors>
HWY_INLINE void Tile(const float* HWY_RESTRICT tables, const std::uint32_t* HWY_RESTRICT packed,
                     std::size_t strips, float* HWY_RESTRICT out) {
  const Floats d;
  const Words du;
  VF sum[kUnits][kVectors];
  for (std::size_t j = 0; j < kUnits; ++j) {
    for (std::size_t v = 0; v < kVectors; ++v) sum[j][v] = hn::Load(d, out + j * kLanes + v * kWidth);
  }
  // x * 1 + sum is sum + x to the bit; half of the additions go that way because some CPUs have units that
  // multiply and add beside units that only add.
  const VF one = hn::Set(d, 1.0F);
  for (std::size_t s = 0; s < strips; ++s, packed += kLanes) {
    VU index[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) index[v] = hn::Load(du, packed + v * kWidth);
    for (std::size_t g = 0; g < kGroupsPerStrip; ++g) {
      for (std::size_t j = 0; j < kUnits; ++j, tables += kWidth) {
        const VF table = hn::Load(d, tables);
        for (std::size_t v = 0; v < kVectors; ++v) {
          const VU entry = kIgnoresHighBits ? index[v] : hn::And(index[v], hn::Set(du, kWidth - 1));
          const VF x = hn::TableLookupLanes(table, hn::IndicesFromVec(d, entry));
          if (HWY_NATIVE_FMA && (j + v) % 2 == 0) {
            sum[j][v] = hn::MulAdd(x, one, sum[j][v]);
          } else {
            sum[j][v] = hn::Add(sum[j][v], x);
          }
        }
      }
      for (std::size_t v = 0; v < kVectors; ++v) index[v] = hn::ShiftRight<kGroup>(index[v]);
    }
  }
  for (std::size_t j = 0; j < kUnits; ++j) {
    for (std::size_t v = 0; v < kVectors; ++v) hn::Store(sum[j][v], d, out + j * kLanes + v * kWidth);
  }
}

template <std::size_t kUnits, std::size_t kVectors>
HWY_NOINLINE void TilesOfBlock(const float* tables, const std::uint32_t* packed, std::size_t strips,
                               std::size_t vectors, float* out) {
  std::size_t v = 0;
  for (; v + kVectors <= vectors; v += kVectors)
    Tile<kUnits, kVectors>(tables, packed + v * kWidth, strips, out + v * kWidth);
  if constexpr (kVectors > 1) {
    if (v < vectors)
      TilesOfBlock<kUnits, kVectors - 1>(tables, packed + v * kWidth, strips, vectors - v, out + v * kWidth);
  }
}

/// Adds what the groups of some strips give to kUnits outputs of every block.
template <bool kAlong, std::size_t kUnits>
HWY_INLINE void LookUpUnits(const LookupOperand& w, std::size_t first_out, const LookupPanel& panel,
                            std::size_t first_strip, std::size_t strips, float* tables) {
  BuildTables<kAlong, kUnits>(w.weights + static_cast<std::ptrdiff_t>(first_out) * (kAlong ? w.stride : 1),
                              w.stride, w.n_units, panel.groups + first_strip * kGroupsPerStrip,
                              strips * kGroupsPerStrip, tables);
  for (std::size_t b = 0; b < panel.n_blocks; ++b) {
    TilesOfBlock<kUnits, kTileVectors>(tables, panel.packed + b * panel.block_stride + first_strip * kLanes,
                                       strips, (panel.lanes[b] + kWidth - 1) / kWidth,
                                       panel.out[b] + first_out * kLanes);
  }
}

template <bool kAlong>
HWY_INLINE void LookUpAll(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel,
                          float* tables) {
  const Floats d;
  for (std::size_t b = 0; b < panel.n_blocks; ++b) {
    for (std::size_t j = 0; j < n_out; ++j) {
      for (std::size_t c = 0; c < kLanes; c += kWidth)
        hn::Store(hn::Set(d, w.bias[j]), d, panel.out[b] + j * kLanes + c);
    }
  }
  // Outputs by the dozen, and for them strips by the handful: the weights of a few strips stay near while all
  // of these outputs make their tables of them.
  for (std::size_t first = 0; first < n_out; first += kNearUnits) {
    const std::size_t last = std::min(n_out, first + kNearUnits);
    for (std::size_t s = 0; s < panel.n_strips; s += kChunkStrips) {
      const std::size_t strips = std::min(kChunkStrips, panel.n_strips - s);
      for (std::size_t j = first; j < last; j += kTileUnits) {
        switch (last - j) {
          case 1:
            LookUpUnits<kAlong, 1>(w, j, panel, s, strips, tables);
            break;
          case 2:
            LookUpUnits<kAlong, 2>(w, j, panel, s, strips, tables);
            break;
          case 3:
            LookUpUnits<kAlong, 3>(w, j, panel, s, strips, tables);
            break;
          case 4:
            LookUpUnits<kAlong, 4>(w, j, panel, s, strips, tables);
            break;
          default:
            LookUpUnits<kAlong, kTileUnits>(w, j, panel, s, strips, tables);
            break;
        }
      }
    }
  }
}

void LookUp(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel, float* tables) {
  if (w.along) {
    LookUpAll<true>(w, n_out, panel, tables);
  } else {
    LookUpAll<false>(w, n_out, panel, tables);
  }
}

// --- tables in memory ---------------------------------------------------------------------------------

/// turned[c * 16 + j] = weight[c] columns[j * 64 + c]; 0 beyond n_columns and beyond `lanes`.
void TurnColumns(const float* columns, const float* weight, std::size_t n_columns, std::size_t lanes,
                 float* turned) {
  const Floats d;
  alignas(64) float quads[4 * kWidth];
  for (std::size_t j = 0; j < kOuterColumns; j += 4) {
    for (std::size_t c = 0; c < lanes; c += kWidth) {
      const VF w = hn::LoadU(d, weight + c);
      const auto row = [&](std::size_t k) {
        return j + k < n_columns ? hn::Mul(w, hn::Load(d, columns + (j + k) * kLanes + c)) : hn::Zero(d);
      };
      hn::StoreInterleaved4(row(0), row(1), row(2), row(3), d, quads);
      for (std::size_t k = 0; k < kWidth; ++k)
        std::copy_n(quads + 4 * k, 4, turned + (c + k) * kOuterColumns + j);
    }
  }
  for (std::size_t c = lanes; c < (lanes + 3) / 4 * 4; ++c)
    std::fill_n(turned + c * kOuterColumns, kOuterColumns, 0.0F);
}

/// tables[(g * 16 + n) * 16 + j]: sum of the chains of group g whose bit in n is set.
void BuildOuterTables(const float* HWY_RESTRICT turned, std::size_t groups, float* HWY_RESTRICT tables) {
  const Floats d;
  for (std::size_t g = 0; g < groups; ++g, turned += 4 * kOuterColumns, tables += 16 * kOuterColumns) {
    for (std::size_t j = 0; j < kOuterColumns; j += kWidth) {
      VF sum[16];
      sum[0] = hn::Zero(d);
      for (std::size_t k = 0; k < 4; ++k) {
        const VF x = hn::Load(d, turned + k * kOuterColumns + j);
        for (std::size_t n = 0; n < (std::size_t{1} << k); ++n)
          sum[n + (std::size_t{1} << k)] = hn::Add(sum[n], x);
      }
      for (std::size_t n = 0; n < 16; ++n) hn::Store(sum[n], d, tables + n * kOuterColumns + j);
    }
  }
}

constexpr std::size_t kOuterVectors = kOuterColumns / kWidth;

/// Sum of the entries of one row in the tables of one block.
template <std::size_t kGroups>
HWY_INLINE void LookUpRow(std::uint64_t bits, const float* HWY_RESTRICT tables, VF (&sum)[kOuterVectors]) {
  const Floats d;
  for (std::size_t v = 0; v < kOuterVectors; ++v)
    sum[v] = hn::Load(d, tables + (bits & 15) * kOuterColumns + v * kWidth);
  HWY_UNROLL(16)
  for (std::size_t g = 1; g < kGroups; ++g) {
    const float* entry = tables + (g * 16 + ((bits >> (4 * g)) & 15)) * kOuterColumns;
    for (std::size_t v = 0; v < kOuterVectors; ++v) sum[v] = hn::Add(sum[v], hn::Load(d, entry + v * kWidth));
  }
}

/// Where sums go: row-major, added to what is there, or instead of it.
struct OuterTarget {
  float* sums;
  std::ptrdiff_t stride;
  std::size_t n_columns;
  bool fresh;

  HWY_INLINE void Put(std::size_t i, VF (&sum)[kOuterVectors]) const {
    const Floats d;
    float* row = sums + static_cast<std::ptrdiff_t>(i) * stride;
    // Rows are far apart and may straddle two lines; a prefetch beyond the matrix does nothing.
    __builtin_prefetch(row + 12 * stride, 1);
    __builtin_prefetch(row + 12 * stride + kOuterColumns - 1, 1);
    if (n_columns == kOuterColumns) {
      for (std::size_t v = 0; v < kOuterVectors; ++v) {
        float* out = row + v * kWidth;
        hn::StoreU(fresh ? sum[v] : hn::Add(hn::LoadU(d, out), sum[v]), d, out);
      }
    } else {
      alignas(64) float part[kOuterColumns];
      for (std::size_t v = 0; v < kOuterVectors; ++v) hn::Store(sum[v], d, part + v * kWidth);
      for (std::size_t j = 0; j < n_columns; ++j) row[j] = fresh ? part[j] : row[j] + part[j];
    }
  }
};

/// Rows of one block with kGroups groups of chains, or of two of which the first is full.
template <std::size_t kGroups, class Put>
HWY_INLINE void OuterRows(const WeightedBlock* blocks, std::size_t n_rows, const float* tables,
                          const Put& put) {
  const std::uint64_t* HWY_RESTRICT rows = blocks[0].rows;
  const std::uint64_t* HWY_RESTRICT others = kGroups > 16 ? blocks[1].rows : nullptr;
  for (std::size_t i = 0; i < n_rows; ++i) {
    VF sum[kOuterVectors];
    std::uint64_t any = rows[i];
    if constexpr (kGroups > 16) any |= others[i];
    if (any == 0) {  // pictures have borders
      for (std::size_t v = 0; v < kOuterVectors; ++v) sum[v] = hn::Zero(Floats());
      put(i, sum);
      continue;
    }
    LookUpRow<std::min<std::size_t>(kGroups, 16)>(rows[i], tables, sum);
    if constexpr (kGroups > 16) {
      VF other[kOuterVectors];
      LookUpRow<kGroups - 16>(others[i], tables + kOuterTableFloats / 2, other);
      for (std::size_t v = 0; v < kOuterVectors; ++v) sum[v] = hn::Add(sum[v], other[v]);
    }
    put(i, sum);
  }
}

/// Calls OuterRows with as many groups as there are; every number has code of its own.
template <std::size_t kGroups = 1, class Put>
HWY_INLINE void OuterRowsOf(std::size_t groups, const WeightedBlock* blocks, std::size_t n_rows,
                            const float* tables, const Put& put) {
  if (groups == kGroups) {
    OuterRows<kGroups>(blocks, n_rows, tables, put);
  } else if constexpr (kGroups < 32) {
    OuterRowsOf<kGroups + 1>(groups, blocks, n_rows, tables, put);
  }
}

/// Sums of one or two blocks, handed to put(i, sum).
template <class Put>
HWY_NOINLINE void OuterPair(const WeightedBlock* blocks, std::size_t count, std::size_t n_rows,
                            std::size_t first_column, std::size_t n_columns, float* scratch, const Put& put) {
  float* turned = scratch + kOuterTableFloats;
  std::size_t groups = 0;
  for (std::size_t b = 0; b < count; ++b) {
    const std::size_t in_block = (blocks[b].lanes + 3) / 4;
    TurnColumns(blocks[b].columns + first_column * kLanes, blocks[b].weight, n_columns, blocks[b].lanes,
                turned);
    BuildOuterTables(turned, in_block, scratch + b * kOuterTableFloats / 2);
    groups += in_block;
  }
  OuterRowsOf(groups, blocks, n_rows, scratch, put);
}

void AddOuter(const WeightedBlock* blocks, std::size_t n_blocks, std::size_t n_rows, std::size_t first_column,
              std::size_t n_columns, bool fresh, float* sums, std::ptrdiff_t stride, float* scratch,
              float* levels) {
  const Floats d;
  const OuterTarget target{sums, stride, n_columns, fresh};
  if (n_blocks <= 2) {
    OuterPair(blocks, n_blocks, n_rows, first_column, n_columns, scratch,
              [&](std::size_t i, VF(&sum)[kOuterVectors]) { target.Put(i, sum); });
    return;
  }
  // The tree of sum_tree (core/sum_tree.hpp), pairs being its lowest level.
  const std::size_t size = n_rows * kOuterColumns;
  const auto merge = [&](std::size_t alive) {
    float* HWY_RESTRICT into = levels + (alive - 2) * size;
    const float* HWY_RESTRICT from = levels + (alive - 1) * size;
    for (std::size_t k = 0; k < size; k += kWidth)
      hn::Store(hn::Add(hn::Load(d, into + k), hn::Load(d, from + k)), d, into + k);
  };
  std::size_t alive = 0;
  const std::size_t pairs = (n_blocks + 1) / 2;
  for (std::size_t p = 0; p < pairs; ++p) {
    const std::size_t count = std::min<std::size_t>(2, n_blocks - 2 * p);
    float* level = levels + alive++ * size;
    OuterPair(blocks + 2 * p, count, n_rows, first_column, n_columns, scratch,
              [&](std::size_t i, VF(&sum)[kOuterVectors]) {
                for (std::size_t v = 0; v < kOuterVectors; ++v)
                  hn::Store(sum[v], d, level + i * kOuterColumns + v * kWidth);
              });
    if (count < 2) break;  // the incomplete right edge is added last
    for (std::size_t done = p + 1; done % 2 == 0; done /= 2) merge(alive--);
  }
  while (alive > 1) merge(alive--);
  for (std::size_t i = 0; i < n_rows; ++i) {
    VF sum[kOuterVectors];
    for (std::size_t v = 0; v < kOuterVectors; ++v)
      sum[v] = hn::Load(d, levels + i * kOuterColumns + v * kWidth);
    target.Put(i, sum);
  }
}

// --- sums over bits -----------------------------------------------------------------------------------

void AddBits(const std::uint64_t* units, std::size_t n_units, const float* weight, float* sums) {
  const Floats d;
  const Words du;
  const VU lane_bit = LaneBits(du);
  for (std::size_t i = 0; i < n_units; ++i) {
    VF sum = hn::Zero(d);
    for (std::size_t c = 0; c < kLanes; c += kWidth) {
      const auto on = hn::TestBit(hn::Set(du, static_cast<std::uint32_t>(units[i] >> c)), lane_bit);
      sum = hn::Add(sum, hn::IfThenElseZero(hn::RebindMask(d, on), hn::LoadU(d, weight + c)));
    }
    sums[i] += hn::GetLane(hn::SumOfLanes(d, sum));
  }
}

// --- sums per chain, in double ------------------------------------------------------------------------

using Doubles = hn::ScalableTag<double>;
using VD = hn::Vec<Doubles>;
constexpr std::size_t kDoubles = hn::MaxLanes(Doubles());

/// Adds to sum[c] the value of each unit whose bit c is set; value(i, c) is a vector of doubles for chains c
/// ...
template <class Value>
HWY_INLINE void AddWhereSet(const std::uint64_t* units, std::size_t n_units, std::size_t lanes, double* out,
                            const Value& value) {
  const Doubles d;
  const hn::RebindToUnsigned<Doubles> du;
  const auto lane_bit = LaneBits(du);
  for (std::size_t c = 0; c < lanes; c += kDoubles) {
    VD sum = hn::LoadU(d, out + c);
    for (std::size_t i = 0; i < n_units; ++i) {
      const auto on = hn::RebindMask(d, hn::TestBit(hn::Set(du, units[i] >> c), lane_bit));
      sum = hn::Add(sum, hn::IfThenElseZero(on, value(i, c)));
    }
    hn::StoreU(sum, d, out + c);
  }
}

void AddDots(const std::uint64_t* units, const float* coefficient, std::size_t n_units, std::size_t lanes,
             double* out) {
  const Doubles d;
  AddWhereSet(units, n_units, lanes, out,
              [&](std::size_t i, std::size_t) { return hn::Set(d, static_cast<double>(coefficient[i])); });
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace tempera::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tempera::simd {

HWY_EXPORT(Pack);
HWY_EXPORT(LookUp);
HWY_EXPORT(AddOuter);
HWY_EXPORT(AddBits);
HWY_EXPORT(AddDots);

std::size_t pack(const std::uint64_t* const* units, std::size_t n_blocks, std::size_t n_units,
                 const std::size_t* lanes, std::uint32_t* packed, std::size_t block_stride,
                 std::uint32_t* groups) {
  return HWY_DYNAMIC_DISPATCH(Pack)(units, n_blocks, n_units, lanes, packed, block_stride, groups);
}

void look_up(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel, float* tables) {
  HWY_DYNAMIC_DISPATCH(LookUp)(w, n_out, panel, tables);
}

void add_outer(const WeightedBlock* blocks, std::size_t n_blocks, std::size_t n_rows,
               std::size_t first_column, std::size_t n_columns, bool fresh, float* sums,
               std::ptrdiff_t stride, float* scratch, float* levels) {
  HWY_DYNAMIC_DISPATCH(AddOuter)
  (blocks, n_blocks, n_rows, first_column, n_columns, fresh, sums, stride, scratch, levels);
}

void add_bits(const std::uint64_t* units, std::size_t n_units, const float* weight, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddBits)(units, n_units, weight, sums);
}

void add_dots(const std::uint64_t* units, const float* coefficient, std::size_t n_units, std::size_t lanes,
              double* out) {
  HWY_DYNAMIC_DISPATCH(AddDots)(units, coefficient, n_units, lanes, out);
}

}  // namespace tempera::simd
#endif
