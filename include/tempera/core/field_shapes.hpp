// What a model needs to know of a stored model in order to find its own shape: names and sizes, no values. A
// file reader fills it in, so that models know of no file format and file readers of no model.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace tempera {

/// Sizes of an array along its axes, in C order.
using ArrayShape = std::vector<std::uint64_t>;

std::string to_string(const ArrayShape& shape);  // "(784, 500)"

/// The arrays and the numbers that a file says a model has. A plain value: an untrusted file may claim
/// anything, so whoever reads it checks.
struct FieldShapes {
  std::string source;                          // what messages call the file
  std::string fields_group = "/model/params";  // where the arrays stand in it
  std::string attributes_group = "/model";     // where the numbers do
  std::map<std::string, ArrayShape> fields;
  std::map<std::string, double> attributes;
  std::map<std::string, std::vector<std::int64_t>> lists;  // attributes that are several integers
  /// Things that bear the name of a field but are no array of usable size, with the message that says so.
  std::map<std::string, std::string> unusable;

  /// Whether anything bears this name.
  [[nodiscard]] bool has(const std::string& name) const;
  /// Shape of a field. Throws DataError where there is none.
  [[nodiscard]] const ArrayShape& shape(const std::string& name) const;
  /// A number, or `fallback` where the file has none of this name.
  [[nodiscard]] double attribute(const std::string& name, double fallback) const;

  /// Throws the DataError of a field, or of an attribute, that is not what it must be.
  [[noreturn]] void fail(const std::string& name, const std::string& problem) const;
  [[noreturn]] void fail_attribute(const std::string& name, const std::string& problem) const;
};

}  // namespace tempera
