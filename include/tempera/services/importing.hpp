// Models of other toolkits as files of ours.
#pragma once

#include <filesystem>
#include <string>

#include "tempera/core/types.hpp"

namespace tempera {

struct ImportResult {
  std::filesystem::path path;
  std::string format;  // of the file that was read
  Index n_visible = 0;
  Index n_hidden = 0;
  double log_partition_offset = 0.0;  // log Z of the original energies less that of ours

  [[nodiscard]] std::string words() const;
};

/// Converts a model exactly. `update`: of an rbms file, 0 for its last. Throws NoInputError, DataError where
/// the file is of no toolkit that is known, WriteError.
ImportResult import_model(const std::filesystem::path& file, std::uint64_t update,
                          const std::filesystem::path& out);

}  // namespace tempera
