// Tables of numbers as files that other programs read: HDF5 apart, CSV and NumPy's .npy and .npz.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "tempera/core/field_shapes.hpp"

namespace tempera {

/// Numbers with a name and a shape, which belong to somebody else, or texts.
struct NamedArray {
  std::string name;
  ArrayShape shape;
  std::variant<std::span<const std::uint8_t>, std::span<const std::int64_t>, std::span<const float>,
               std::span<const double>, std::span<const std::string>>
      values;
};

enum class TableFormat { kHdf5, kCsv, kNpy, kNpz, kFasta, kStockholm };

/// Whether a format holds sequences of letters alone.
inline bool is_sequences(TableFormat format) {
  return format == TableFormat::kFasta || format == TableFormat::kStockholm;
}

/// The format of an output, by its ending. Throws UsageError where the ending is none of them.
TableFormat table_format(const std::filesystem::path& path);

/// Refuses, before any work is done, an output that is one of these inputs or a run's own file, or whose
/// folder is not there. Throws UsageError, WriteError.
void require_output(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs);

/// The same of a table, which must have an ending that can be written; those of sequences are for `letters`.
void require_table(const std::filesystem::path& path, const std::vector<std::filesystem::path>& inputs,
                   bool letters = false);

/// .npz: every array. .npy: the one that there is. .csv: arrays of as many rows side by side, with a first
/// line of their names; numbered where one has several columns. Throws UsageError where they do not go into
/// such a file, WriteError.
void write_arrays(const std::filesystem::path& path, const std::vector<NamedArray>& arrays);

/// The text of such a .csv file; `path` is for messages.
std::string csv_of(const std::filesystem::path& path, const std::vector<NamedArray>& arrays);

}  // namespace tempera
