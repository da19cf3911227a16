// Readers of files that hold one table.
#pragma once

#include "tempera/io/data_files.hpp"

namespace tempera {

Table read_idx(const std::filesystem::path& path, std::vector<std::int64_t>& visible_shape,
               std::size_t least_axes, const ReadingProgress& told = {});

/// What a text file holds: a table of numbers, and columns of words beside it.
struct TextTable {
  Table table;                     // of the columns of numbers; a missing value is no number (NaN)
  std::vector<std::string> names;  // of its columns; empty where the file has none
  std::map<std::string, std::vector<std::string>> words;  // columns of words, by their names
  std::vector<std::string> cases;  // names of the cases, where the first column has them
  std::vector<std::string> remarks;
};
/// `words_alone`: whether a table without any number is one.
TextTable read_text(const std::filesystem::path& path, HeaderRule header, bool words_alone,
                    const ReadingProgress& told);

/// Whether a cell is left empty, or says that its value is missing.
bool is_missing(std::string_view cell);

/// Bits and how often each was seen, of a JSON text as {"0101": 12, "1100": 3}. Throws DataError.
Table read_counts(const std::filesystem::path& path);

}  // namespace tempera
