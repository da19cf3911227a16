// metrics.csv, as it is read again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/services/verdict.hpp"

namespace tempera {

/// Whether the cells of a column are lists, with blanks between their numbers.
bool is_list(std::string_view column);

/// The columns of a table of numbers.
struct Metrics {
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;  // cells, which may be empty or lists with blanks between

  /// The numbers of a column: NaN where a cell is empty, or where there is no such column.
  [[nodiscard]] std::vector<double> column(std::string_view name) const;
};

/// Rows that are whole; none where there is no file. A run that goes on may be read. Throws DataError.
Metrics read_metrics(const std::filesystem::path& path);

/// What the rows say of likelihoods that are trusted, without those of updates that were given up later.
std::vector<CurvePoint> curve_of(const Metrics& metrics);

}  // namespace tempera
