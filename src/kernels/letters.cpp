#include "tempera/kernels/letters.hpp"

#include <algorithm>
#include <bit>

#include "simd.hpp"
#include "tempera/core/sum_tree.hpp"

namespace tempera {
namespace {

static_assert(kLetterUnits == static_cast<Index>(simd::kLetterColumns) && kLetterUnits % kUnitAlignment == 0);

std::size_t size(Index n) { return static_cast<std::size_t>(n); }

void grow(Vector& memory, std::size_t floats) {
  if (size(memory.size()) < floats) memory.resize(static_cast<Index>(floats));
}

/// Places whose sums are made at a time, so that they stay near.
constexpr Index kNearPlaces = 128;

/// The bits of the first lanes.
Word counted(Index lanes) { return lanes >= kLanes ? ~Word{0} : (Word{1} << lanes) - 1; }

/// Rows of one block: of chain c those from c * n_sites on.
void find_rows(std::span<const Word> bits, Index lanes, std::size_t most, std::uint32_t* rows) {
  const std::size_t n_sites = bits.size() / most;
  std::fill_n(rows, simd::kLanes * n_sites, static_cast<std::uint32_t>(bits.size()));
  const Word of_chains = counted(lanes);
  for (std::size_t i = 0; i < bits.size(); ++i) {
    for (Word left = bits[i] & of_chains; left != 0; left &= left - 1)
      rows[size(std::countr_zero(left)) * n_sites + i / most] = static_cast<std::uint32_t>(i);
  }
}

}  // namespace

void pack_letters(std::span<const BitBlock> blocks, Index most, PackedLetters& packed) {
  packed.n_places = blocks.front().units.size();
  packed.n_sites = packed.n_places / size(most);
  packed.n_blocks = blocks.size();
  const std::size_t each = simd::kLanes * packed.n_sites;
  if (packed.rows.size() < each * blocks.size()) packed.rows.resize(each * blocks.size());
  for (std::size_t b = 0; b < blocks.size(); ++b)
    find_rows(blocks[b].units, blocks[b].lanes, size(most), packed.rows.data() + b * each);
}

void input_from_letters(const Matrix& weights, const PackedLetters& letters, UnitRange columns,
                        const Vector& bias, std::span<float* const> out, ProductScratch& scratch) {
  grow(scratch.tables, simd::letter_scratch_floats(letters.n_places));
  simd::letter_input(weights.data() + columns.first, weights.cols(), bias.data() + columns.first,
                     size(columns.size()),
                     {letters.rows.data(), letters.n_sites, letters.n_places, letters.n_blocks}, out.data(),
                     scratch.tables.data());
}

void add_letter_products(std::span<const WeightedBlock> blocks, UnitRange columns, Sums mode, Matrix& sums,
                         ProductScratch& scratch) {
  constexpr std::size_t kBlockFloats = simd::kLanes * simd::kLetterColumns;
  constexpr auto kFloats = static_cast<Index>(kNearPlaces * simd::kLetterColumns);
  grow(scratch.tables, blocks.size() * kBlockFloats);
  grow(scratch.levels, (size(static_cast<Index>(std::bit_width(blocks.size()))) + 1) * size(kFloats));
  const auto level = [&](std::size_t k) {
    return Eigen::Map<Vector>(scratch.levels.data() + k * size(kFloats), kFloats);
  };
  for (Index j = columns.first; j < columns.last; j += kLetterUnits) {
    const Index n = std::min(kLetterUnits, columns.last - j);
    for (std::size_t b = 0; b < blocks.size(); ++b)
      simd::weigh_columns(blocks[b], size(j), size(n), scratch.tables.data() + b * kBlockFloats);
    for (Index first = 0; first < sums.rows(); first += kNearPlaces) {
      const Index places = std::min<Index>(kNearPlaces, sums.rows() - first);
      // The tree of sum_tree (core/sum_tree.hpp).
      std::size_t alive = 0;
      const auto merge = [&] {
        level(alive - 2) += level(alive - 1);
        --alive;
      };
      for (std::size_t b = 0; b < blocks.size(); ++b) {
        simd::letter_sums(scratch.tables.data() + b * kBlockFloats, blocks[b].rows + first, size(places),
                          counted(static_cast<Index>(blocks[b].lanes)), level(alive).data());
        ++alive;
        for (std::size_t done = b + 1; done % 2 == 0; done /= 2) merge();
      }
      while (alive > 1) merge();
      const Eigen::Map<const Matrix> found(level(0).data(), places, kLetterUnits);
      auto into = sums.block(first, j, places, n);
      if (mode == Sums::kSet) {
        into = found.leftCols(n);
      } else {
        into += found.leftCols(n);
      }
    }
  }
}

}  // namespace tempera
