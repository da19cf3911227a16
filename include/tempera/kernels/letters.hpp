// Products of real weights with letters, of which every site has one: rows of weights are added, and most of
// them are not looked at.
//
// Sums run over the sites, or the chains, in order, one vector beside another: they are the same bits on
// every instruction set (docs/performance.md).
#pragma once

#include <span>
#include <vector>

#include "tempera/kernels/products.hpp"

namespace tempera {

/// The letters of a panel as numbers of rows, chain after chain. Memory grows on first use.
struct PackedLetters {
  std::vector<std::uint32_t> rows;  // n_blocks x 64 x n_sites; n_places where a lane has no letter
  std::size_t n_sites = 0;
  std::size_t n_places = 0;
  std::size_t n_blocks = 0;
};

/// Packs blocks of a layer of sites with `most` places each; any number of blocks. Cost: n_sites x 64 bits.
void pack_letters(std::span<const BitBlock> blocks, Index most, PackedLetters& packed);

/// Units that these products do at a time.
inline constexpr Index kLetterUnits = 32;

/// As input_from_rows: out[b](j, c) = bias(j) + sum over the sites of the weights of the row that chain c has
/// there, for the columns j of a range. Cost: n_sites additions of the range for each chain, and a copy of
/// its columns.
void input_from_letters(const Matrix& weights, const PackedLetters& letters, UnitRange columns,
                        const Vector& bias, std::span<float* const> out, ProductScratch& scratch);

/// As add_products, for rows most of which are 0 in a chain. Cost: for each block and row one addition of the
/// range for each chain where it is 1, and one of the sums.
void add_letter_products(std::span<const WeightedBlock> blocks, UnitRange columns, Sums mode, Matrix& sums,
                         ProductScratch& scratch);

}  // namespace tempera
