// Mutants of a sequence, by the names that people give them.
#pragma once

#include <string>
#include <vector>

#include "tempera/core/dataset.hpp"

namespace tempera {

/// Sequences that differ from one by some letters, and their names: "A24G", "A24G:K30R" (the letter that was,
/// the site from 1, the letter that is).
struct Mutants {
  CategoricalData cases;
  std::vector<std::string> names;
};

/// `which`: "singles" for every single mutant (of sites without a gap, by letters other than the gap), or a
/// list as A24G:K30R,L5P. Throws UsageError where a mutation does not fit the sequence, which is case
/// `parent`.
Mutants mutants_of(const CategoricalData& cases, Index parent, const Alphabet& alphabet,
                   const std::string& which);

}  // namespace tempera
