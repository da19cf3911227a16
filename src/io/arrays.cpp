#include "arrays.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/core/memory.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {

std::uint64_t ArrayInfo::count() const {
  std::uint64_t n = 1;
  for (const std::uint64_t axis : shape) n *= axis;
  return n;
}

void set_shape(const std::string& name, const Shape& shape, std::size_t least_axes, Table& table) {
  double total = 1.0;
  for (const std::uint64_t n : shape) total *= static_cast<double>(n);
  if (shape.size() < least_axes)
    throw DataError(name + ": expected cases x values, found shape " + to_string(shape));
  if (total == 0) throw DataError(name + ": is empty: shape " + to_string(shape));
  if (total > 0x1p40 || 12.0 * total > 0.8 * physical_memory())
    throw DataError(name + ": shape " + to_string(shape) + " is too large");
  table.rows = static_cast<Index>(shape[0]);
  table.columns = static_cast<Index>(total / static_cast<double>(shape[0]));
}

void compact(Table& table) {
  if (table.floats.empty()) return;
  for (const float x : table.floats) {
    if (!(x >= 0 && x <= 255) || x != std::floor(x)) return;
  }
  std::vector<std::uint8_t> bytes(table.floats.size());
  std::transform(table.floats.begin(), table.floats.end(), bytes.begin(),
                 [](float x) { return static_cast<std::uint8_t>(x); });
  table.bytes = std::move(bytes);
  table.floats = {};
}

void reverse_axes(const Shape& shape, Table& table) {
  const auto place = [&](auto& values) {
    auto moved = values;
    std::vector<std::uint64_t> at(shape.size(), 0);
    // Element (i, j, ...) of the result stands where the first axis runs fastest.
    for (auto& out : values) {
      std::uint64_t from = 0;
      for (std::size_t k = shape.size(); k-- > 0;) from = from * shape[k] + at[k];
      out = moved[from];
      for (std::size_t k = shape.size(); k-- > 0;) {
        if (++at[k] < shape[k]) break;
        at[k] = 0;
      }
    }
  };
  if (table.is_bytes()) {
    place(table.bytes.own());
  } else {
    place(table.floats.own());
  }
}

std::vector<std::int64_t> picture_axes(const Shape& shape) {
  if (shape.size() < 3) return {};
  std::vector<std::int64_t> axes(shape.begin() + 1, shape.end());
  if (axes.size() == 3 && axes.back() == 1) axes.pop_back();
  if (axes.size() == 3 && axes.front() == 1) axes.erase(axes.begin());
  return axes;
}

std::string listing(const std::vector<ArrayInfo>& arrays, const char* between) {
  constexpr std::size_t kMost = 40;
  std::string text;
  for (std::size_t k = 0; k < std::min(kMost, arrays.size()); ++k)
    text +=
        (k == 0 ? "" : between) + arrays[k].name + " " + to_string(arrays[k].shape) + " " + arrays[k].type;
  if (arrays.size() > kMost) text += between + std::to_string(arrays.size() - kMost) + " more";
  return text;
}

Table dense(const std::string& name, Index rows, Index columns, bool by_columns,
            const std::vector<std::int64_t>& starts, const std::vector<std::int64_t>& indices,
            const std::vector<float>& values) {
  Table table;
  set_shape(name, {static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns)}, 2, table);
  const Index outer = by_columns ? columns : rows;
  const Index inner = by_columns ? rows : columns;
  const auto stored = static_cast<std::int64_t>(values.size());
  if (static_cast<Index>(starts.size()) != outer + 1 || indices.size() != values.size() ||
      starts.front() != 0 || starts.back() != stored)
    throw DataError(name + ": the parts of a sparse matrix do not fit together");
  std::vector<float> numbers(static_cast<std::size_t>(rows * columns), 0.0F);
  for (Index i = 0; i < outer; ++i) {
    const std::int64_t begin = starts[static_cast<std::size_t>(i)];
    const std::int64_t end = starts[static_cast<std::size_t>(i) + 1];
    if (begin < 0 || begin > end || end > stored)
      throw DataError(name + ": the parts of a sparse matrix do not fit together");
    for (std::int64_t k = begin; k < end; ++k) {
      const std::int64_t j = indices[static_cast<std::size_t>(k)];
      if (j < 0 || j >= inner) throw DataError(name + ": an index of a sparse matrix is out of range");
      const Index at = by_columns ? j * columns + i : i * columns + j;
      numbers[static_cast<std::size_t>(at)] += values[static_cast<std::size_t>(k)];
    }
  }
  table.floats = std::move(numbers);
  compact(table);
  return table;
}

}  // namespace tempera
