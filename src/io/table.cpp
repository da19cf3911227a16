#include <algorithm>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/random.hpp"
#include "tempera/io/data_files.hpp"

namespace tempera {
namespace {

bool is_binary(const Table& table) {
  return std::all_of(table.bytes.begin(), table.bytes.end(), [](std::uint8_t x) { return x <= 1; }) &&
         std::all_of(table.floats.begin(), table.floats.end(),
                     [](float x) { return x == 0.0F || x == 1.0F; });
}

}  // namespace

const Table& DataFile::split(const std::string& wanted) const {
  const auto found = splits.find(wanted);
  if (found != splits.end()) return found->second;
  std::string names;
  for (const auto& [split_name, table] : splits) names += (names.empty() ? "" : ", ") + split_name;
  throw DataError(name + ": has no split '" + wanted + "', only " + names);
}

Table rows_of(const Table& table, std::span<const Index> rows) {
  Table part;
  part.rows = static_cast<Index>(rows.size());
  part.columns = table.columns;
  for (const Index n : rows) {
    const Index first = n * table.columns;
    if (table.is_bytes()) {
      part.bytes.insert(part.bytes.end(), table.bytes.begin() + first,
                        table.bytes.begin() + first + table.columns);
    } else {
      part.floats.insert(part.floats.end(), table.floats.begin() + first,
                         table.floats.begin() + first + table.columns);
    }
  }
  return part;
}

Matrix real_rows(const Table& table) {
  Matrix rows(table.rows, table.columns);
  for (Index k = 0; k < rows.size(); ++k) rows.data()[k] = static_cast<float>(table.at(k));
  return rows;
}

Binarization binarization_for(const DataFile& data, BinarizeMethod method, std::uint64_t seed) {
  double maximum = 1.0;
  bool binary = true;
  for (const auto& [split_name, table] : data.splits) {
    binary = binary && is_binary(table);
    for (Index k = 0; k < table.rows * table.columns; ++k) {
      const double x = table.at(k);
      if (!std::isfinite(x))
        throw DataError(data.name + ": /" + split_name + "/x: found a number that is not finite");
      if (x < 0 && method != BinarizeMethod::kNone) {
        throw DataError(data.name + ": /" + split_name + "/x: grey values must not be negative, found " +
                        std::to_string(x));
      }
      maximum = std::max(maximum, x);
    }
  }
  if (binary) return {};
  if (method == BinarizeMethod::kNone) {
    throw DataError(data.name + ": values are not all 0 or 1; say --binarize threshold or --binarize sample");
  }
  return {method, maximum, seed};
}

BinaryData binarize(const DataFile& data, const std::string& split, const Binarization& rule) {
  const Table& table = data.split(split);
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(table.rows * table.columns));
  const auto split_number = static_cast<std::uint64_t>(split == "train" ? 0 : split == "valid" ? 1 : 2);
  for (Index n = 0; n < table.rows; ++n) {
    StreamEngine random =
        StreamFactory{rule.seed}.engine(Purpose::kBinarize, split_number, static_cast<std::uint32_t>(n));
    for (Index i = 0; i < table.columns; ++i) {
      const Index k = n * table.columns + i;
      const double x = table.at(k);
      bool on = false;
      if (rule.method == BinarizeMethod::kSample) {
        on = (static_cast<double>(random()) + 0.5) * 0x1p-32 < x / rule.maximum;
      } else if (rule.method == BinarizeMethod::kThreshold) {
        on = x > rule.maximum / 2;
      } else {
        if (x != 0.0 && x != 1.0) {
          throw DataError(data.name +
                          ": values are not all 0 or 1; say --binarize threshold or --binarize sample");
        }
        on = x != 0.0;
      }
      bits[static_cast<std::size_t>(k)] = on ? 1 : 0;
    }
  }
  return {table.rows, table.columns, bits};
}

}  // namespace tempera
