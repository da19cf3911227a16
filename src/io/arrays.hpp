// Files that hold arrays with names: .npy, .npz, HDF5. Each says what is inside, and reads what is chosen.
#pragma once

#include <memory>

#include "tempera/io/byte_stream.hpp"
#include "tempera/io/data_files.hpp"

namespace tempera {

/// An array of a file, not read yet.
struct ArrayInfo {
  enum class Kind { kNumbers, kTexts, kOther };

  std::string name;
  Shape shape;
  std::string type;  // in the words of the file's own kind
  Kind kind = Kind::kNumbers;
  std::string why;          // kOther: why it cannot be read
  bool transposed = false;  // stored with its axes reversed, as MATLAB does; `shape` is as its user sees it

  [[nodiscard]] std::uint64_t count() const;
};

class ArraySource {
 public:
  virtual ~ArraySource() = default;
  [[nodiscard]] virtual const std::string& name() const = 0;
  /// What is inside, in the order of the file.
  [[nodiscard]] virtual std::vector<ArrayInfo> arrays() const = 0;
  /// Numbers in C order as a table: the first axis counts cases. Throws DataError.
  [[nodiscard]] virtual Table numbers(const ArrayInfo& array, bool allow_non_finite) const = 0;
  /// Whole numbers, one for each element.
  [[nodiscard]] virtual std::vector<std::string> texts(const ArrayInfo& array) const = 0;
};

/// rows x columns of a shape of any rank: the first axis counts cases, the others are one case. Throws
/// DataError where the shape has fewer axes, is empty or absurd.
void set_shape(const std::string& name, const Shape& shape, std::size_t least_axes, Table& table);

/// Floats that are whole numbers in [0, 255] become bytes, so that 0/1 data is the same whatever stored it.
void compact(Table& table);

/// Values with their axes in the reverse order, in C order: `shape` is the one that they are to have.
void reverse_axes(const Shape& shape, Table& table);

/// One array of NumPy. `least_axes`: 1 lets a single axis be a column.
Table read_npy(ByteStream& stream, std::vector<std::int64_t>& visible_shape, std::size_t least_axes);

std::unique_ptr<ArraySource> numpy_array(const std::filesystem::path& path, const ReadingProgress& told);
/// An archive of NumPy arrays, of those of a sparse matrix of SciPy, or of anything else that is refused by
/// name.
std::unique_ptr<ArraySource> numpy_archive(const std::filesystem::path& path, const ReadingProgress& told);
std::unique_ptr<ArraySource> hdf5_arrays(const std::filesystem::path& path, const ReadingProgress& told);

/// The shape of a case as a picture, from that of an array of pictures: one channel has no axis of its own.
std::vector<std::int64_t> picture_axes(const Shape& shape);

/// A list of what is inside, with shapes and types.
std::string listing(const std::vector<ArrayInfo>& arrays, const char* between = ", ");

/// Dense rows of a sparse matrix whose nonzero values are `values` at the columns `indices`, those of row n
/// from `starts[n]` up. `by_columns`: rows and columns change places. Throws DataError where it does not fit.
Table dense(const std::string& name, Index rows, Index columns, bool by_columns,
            const std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& indices,
            const std::vector<float>& values);

}  // namespace tempera
