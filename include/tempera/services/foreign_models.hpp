// Models of other toolkits, converted exactly to ours; docs/formats.md specifies what is read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tempera/core/letters.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

/// Restricted machines of binary hidden units and of visibles that are binary, letters of sites, or real.
struct ForeignModel {
  std::string format;  // "rbms", "RestrictedBoltzmannMachines.jl", "scikit-learn", "numpy"
  Matrix weights;      // n_visible x n_hidden
  Vector visible_bias;
  Vector hidden_bias;
  Letters letters;           // of the sites; empty where visibles are no letters
  Vector visible_precision;  // of real visibles; empty where they are not
  /// log Z of the original energies less that of ours: not 0 where units were -1/+1.
  double log_partition_offset = 0.0;
};

/// A file of another toolkit; nothing where it is none of those known. `update`: of an rbms file, 0 for its
/// last. Throws DataError where it is known but damaged, or holds what a machine of binary units cannot be.
std::optional<ForeignModel> read_foreign(const std::filesystem::path& path, std::uint64_t update = 0);

/// The same as a model of ours; `path` is what it was read from.
AnyModelFile converted(const std::filesystem::path& path, ForeignModel model);

}  // namespace tempera
