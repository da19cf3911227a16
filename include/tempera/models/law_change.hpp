// Laws that follow from a machine's and that machines of its kind have: some units held, the energy
// multiplied, the law of the visibles to a power.
//
// Formulas: docs/mathematics/energies.md 1.11.
#pragma once

#include <string>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// Units of a layer that have a value once and for all.
struct HeldUnits {
  std::vector<Index> units;   // in ascending order; of letters, sites
  std::vector<float> values;  // 0 or 1 of bits; of letters, their numbers

  [[nodiscard]] bool empty() const { return units.empty(); }
  /// The other units of a layer of n.
  [[nodiscard]] std::vector<Index> others(Index n) const;
  /// Those, or -1 where there are none.
  [[nodiscard]] std::vector<Index> left(Index n) const;
  /// Those that are not held at 0.
  [[nodiscard]] std::vector<Index> ones() const;
};

struct LawChange {
  double beta = 1.0;            // exp(-beta E), E of all units
  Index copies = 1;             // p(v)^copies: that many copies of all latents
  std::vector<HeldUnits> held;  // of layer_names(); empty: none anywhere
  /// Letters that sites may take, in ascending order; of a site that may take all, or of all sites, empty.
  std::vector<std::vector<Index>> letters;

  [[nodiscard]] const HeldUnits& held_of(std::size_t layer) const;
};

/// What is wrong with units that are held above the visibles, where all are bits; or empty.
std::string why_not_bits(const LawChange& change);

/// A row of a matrix for each number, a column alike; -1: zeros.
Matrix selected(const Matrix& from, const std::vector<Index>& rows, const std::vector<Index>& columns);
Vector selected(const Vector& from, const std::vector<Index>& rows);
/// n copies, one after another.
std::vector<Index> repeated(const std::vector<Index>& from, Index n);
/// Bits of all units: those that are left (-1: none) from a block where they alone are, and those held at 1.
BitLayer restored(const BitLayer& from, const std::vector<Index>& left, const std::vector<Index>& ones,
                  Index n);
/// Numbers 0 ... n - 1.
std::vector<Index> all_units(Index n);

}  // namespace tempera
