// HDF5 files, read defensively and written as one piece.
//
// A writer builds the file in memory and hands the bytes to write_file: the HDF5 library never sees a disk
// that fills up, and a reader never sees half a file. A reader treats every file as untrusted: type, shape
// and size are checked before memory is taken, and every error names file, dataset, what was expected and
// what was found.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/field_shapes.hpp"
#include "tempera/core/fields.hpp"
#include "tempera/core/reading.hpp"

namespace tempera {

/// The newest version of the format that is read. Files are written with the oldest that says what they hold.
inline constexpr std::int64_t kFormatVersion = 2;

using Shape = ArrayShape;

/// Bytes of a text in a list of texts at most: an untrusted file may claim anything.
inline constexpr std::size_t kLongestText = std::size_t{1} << 16;

/// Shape of an array in a file: (rows, columns) of a matrix, (size) of a vector.
template <class A>
Shape shape_of(const A& array) {
  if constexpr (requires { requires A::ColsAtCompileTime != 1; }) {
    return {static_cast<std::uint64_t>(array.rows()), static_cast<std::uint64_t>(array.cols())};
  } else {
    return {static_cast<std::uint64_t>(array.size())};
  }
}

/// Types of numbers in files.
template <class T>
concept FileNumber = std::is_same_v<T, float> || std::is_same_v<T, double> ||
    std::is_same_v<T, std::uint8_t> || std::is_same_v<T, std::uint64_t> || std::is_same_v<T, std::int64_t>;

/// Of a file that is another toolkit's.
struct OtherFormat {};

class Hdf5Writer {
 public:
  /// Starts a file without attributes.
  explicit Hdf5Writer(OtherFormat);
  /// Starts a file with the root attributes of the format; content is "model", "checkpoint", "samples",
  /// "data", "codes", "features" or "scores".
  explicit Hdf5Writer(const std::string& content, std::int64_t version = 1);
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  /// Attributes of a group, which is created where it is missing.
  void attribute(const std::string& group, const std::string& name, const std::string& value);
  void attribute(const std::string& group, const std::string& name, std::int64_t value);
  void attribute(const std::string& group, const std::string& name, double value);
  void attribute(const std::string& group, const std::string& name, const std::vector<std::int64_t>& value);

  /// A dataset in C order; groups on the way are created. Large ones are compressed.
  template <FileNumber T>
  void dataset(const std::string& path, const Shape& shape, const T* values);

  /// A dataset of texts of any length, which may be empty texts; and one text, which has no axis.
  void texts(const std::string& path, const std::vector<std::string>& values);
  void text(const std::string& path, const std::string& value);

  /// Every field of a struct below `group`: arrays as datasets, scalars as attributes, nested structs as
  /// groups, a variant as the struct that it holds; a vector of structs as one dataset per field with a
  /// leading axis. Empty arrays are left out.
  template <class T>
  void fields(const std::string& group, const T& value) {
    for_each_field([&](std::string_view name, const auto& field) { field_(group, std::string(name), field); },
                   value);
  }

  /// Writes the file. Throws WriteError.
  void write(const std::filesystem::path& path);

 private:
  void texts_(const std::string& path, const std::vector<std::string>& values, bool alone);
  template <class F>
  void field_(const std::string& group, const std::string& name, const F& field) {
    if constexpr (Fielded<F>) {
      fields(group + "/" + name, field);
    } else if constexpr (VariantOfFielded<F>) {
      std::visit([&](const auto& held) { fields(group + "/" + name, held); }, field);
    } else if constexpr (VectorOfFielded<F>) {
      if (field.empty()) return;
      for_each_field(
          [&](std::string_view inner, const auto& first) {
            if (first.size() == 0) return;
            using Element = std::remove_cvref_t<decltype(*first.data())>;
            std::vector<Element> all;
            for (const auto& block : field) {
              for_each_field(
                  [&](std::string_view other, const auto& part) {
                    if (other == inner) all.insert(all.end(), part.data(), part.data() + part.size());
                  },
                  block);
            }
            dataset(group + "/" + name + "/" + std::string(inner),
                    {field.size(), static_cast<std::uint64_t>(first.size())}, all.data());
          },
          field.front());
    } else if constexpr (Scalar<F>) {
      if constexpr (std::is_floating_point_v<F>) {
        attribute(group, name, static_cast<double>(field));
      } else {
        attribute(group, name, static_cast<std::int64_t>(field));
      }
    } else {
      if (field.size() == 0) return;
      dataset(group + "/" + name, shape_of(field), field.data());
    }
  }

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// What a dataset is, without its values.
struct DatasetInfo {
  enum class Kind { kNumbers, kTexts, kOther };

  std::string path;
  Shape shape;
  Kind kind = Kind::kOther;
  std::string type;  // "float32", "uint8", "bool", "text", "compound", ...
};

class Hdf5Reader {
 public:
  /// A file, perhaps packed by gzip. Throws NoInputError where it does not exist, DataError where it is not
  /// HDF5.
  explicit Hdf5Reader(const std::filesystem::path& path);
  ~Hdf5Reader();
  Hdf5Reader(const Hdf5Reader&) = delete;
  Hdf5Reader& operator=(const Hdf5Reader&) = delete;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] bool has(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> children(const std::string& group) const;
  /// Every dataset of the file, in the order of the names; the first some thousand of an absurd one.
  [[nodiscard]] std::vector<DatasetInfo> datasets() const;

  [[nodiscard]] std::optional<std::string> text_attribute(const std::string& group,
                                                          const std::string& name) const;
  /// Of a dataset with one string, of fixed or variable length.
  [[nodiscard]] std::optional<std::string> text_dataset(const std::string& path) const;
  [[nodiscard]] std::optional<double> number_attribute(const std::string& group,
                                                       const std::string& name) const;
  [[nodiscard]] std::vector<std::int64_t> integers_attribute(const std::string& group,
                                                             const std::string& name) const;

  /// Names and shapes of the datasets of one group, and the numeric attributes of another. Of a dataset that
  /// `shape` would refuse, the refusal.
  [[nodiscard]] FieldShapes field_shapes(const std::string& fields_group,
                                         const std::string& attributes_group) const;

  /// Shape of a dataset. Throws DataError where there is none, where it would not fit into memory or the file
  /// cannot hold so much, and where its values are in other files or packed by a filter that is not there.
  [[nodiscard]] Shape shape(const std::string& path) const;
  [[nodiscard]] bool is_integer(const std::string& path) const;
  [[nodiscard]] bool is_byte(const std::string& path) const;
  /// Whether it holds truths as h5py writes them, which `dataset` reads as bytes.
  [[nodiscard]] bool is_bool(const std::string& path) const;

  /// Reads a dataset of so many texts, each of fixed or variable length. Throws DataError where it is none,
  /// or where texts are longer than kLongestText.
  [[nodiscard]] std::vector<std::string> texts(const std::string& path, std::uint64_t count) const;

  /// Reads a dataset of exactly this shape; float targets take float32 and float64, finite values only;
  /// integer targets take integers. `told` hears which part has been read.
  template <FileNumber T>
  void dataset(const std::string& path, const Shape& shape, T* values, bool allow_non_finite = false,
               const ReadingProgress& told = {}) const;

  /// Fills every field of a struct whose arrays have the shapes that the file must have, and whose variants
  /// hold the struct that it must have. Arrays of size 0 are skipped.
  template <class T>
  void fields(const std::string& group, T& value) const {
    for_each_field([&](std::string_view name, auto& field) { field_(group, std::string(name), field); },
                   value);
  }

  /// Fills one field, e.g. a vector of structs, below `group`.
  template <class F>
  void field(const std::string& group, const std::string& name, F& value) const {
    field_(group, name, value);
  }

  /// DataError about one dataset of this file.
  [[noreturn]] void fail(const std::string& path, const std::string& problem) const;

 private:
  template <class F>
  void field_(const std::string& group, const std::string& name, F& field) const {
    if constexpr (Fielded<F>) {
      fields(group + "/" + name, field);
    } else if constexpr (VariantOfFielded<F>) {
      std::visit([&](auto& held) { fields(group + "/" + name, held); }, field);
    } else if constexpr (VectorOfFielded<F>) {
      if (field.empty()) return;
      for_each_field(
          [&](std::string_view inner, const auto& first) {
            if (first.size() == 0) return;
            using Element = std::remove_cvref_t<decltype(*first.data())>;
            const std::string path = group + "/" + name + "/" + std::string(inner);
            const auto width = static_cast<std::size_t>(first.size());
            std::vector<Element> all(field.size() * width);
            dataset(path, {field.size(), width}, all.data());
            std::size_t row = 0;
            for (auto& block : field) {
              for_each_field(
                  [&](std::string_view other, auto& part) {
                    if (other == inner) std::copy_n(all.data() + row * width, width, part.data());
                  },
                  block);
              ++row;
            }
          },
          field.front());
    } else if constexpr (Scalar<F>) {
      const auto found = number_attribute(group, name);
      if (!found) fail(group, "attribute '" + name + "' is missing");
      // Counts are whole numbers that a double holds exactly.
      if (std::is_integral_v<F> && !(*found >= 0 && *found <= 0x1p53 && *found == std::floor(*found)))
        fail(group, "attribute '" + name + "': expected a count, found " + std::to_string(*found));
      field = static_cast<F>(*found);
    } else {
      if (field.size() == 0) return;
      dataset(group + "/" + name, shape_of(field), field.data());
    }
  }

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Whether a file is there and is one of HDF5.
[[nodiscard]] bool is_hdf5(const std::filesystem::path& path);

/// Version of the HDF5 library, e.g. "1.10.8".
std::string hdf5_version();

}  // namespace tempera
