// Models of other toolkits, converted exactly to ours; docs/formats.md specifies what is read.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "tempera/models/rbm.hpp"

namespace tempera {

/// Restricted machines of binary units, which is what these toolkits have in common with ours.
struct ForeignModel {
  using Machine = BernoulliRbm;
  std::string format;  // "rbms", "RestrictedBoltzmannMachines.jl", "scikit-learn", "numpy"
  Machine::Params theta;
  /// log Z of the original energies less that of ours: not 0 where units were -1/+1.
  double log_partition_offset = 0.0;
};

/// A file of another toolkit; nothing where it is none of those known. `update`: of an rbms file, 0 for its
/// last. Throws DataError where it is known but damaged, or holds what a machine of binary units cannot be.
std::optional<ForeignModel> read_foreign(const std::filesystem::path& path, std::uint64_t update = 0);

}  // namespace tempera
