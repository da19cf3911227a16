// IDX: two zero bytes, type, rank, sizes and numbers, all big-endian.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "arrays.hpp"
#include "readers.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

[[noreturn]] void bad(const std::string& name, const std::string& problem) {
  throw DataError(name + ": " + problem);
}

template <class T>
float number(const char* at) {
  std::array<char, sizeof(T)> bytes;
  std::reverse_copy(at, at + sizeof(T), bytes.begin());
  return static_cast<float>(std::bit_cast<T>(bytes));
}

struct Type {
  std::size_t bytes;
  float (*number)(const char*);
};

Type type_of(const std::string& name, unsigned char code) {
  switch (code) {
    case 0x08:
      return {1, nullptr};
    case 0x09:
      return {1, number<std::int8_t>};
    case 0x0B:
      return {2, number<std::int16_t>};
    case 0x0C:
      return {4, number<std::int32_t>};
    case 0x0D:
      return {4, number<float>};
    case 0x0E:
      return {8, number<double>};
    default:
      bad(name, "IDX file of an unknown type of number");
  }
}

}  // namespace

Table read_idx(const std::filesystem::path& path, std::vector<std::int64_t>& visible_shape,
               std::size_t least_axes, const ReadingProgress& told) {
  static_assert(std::endian::native == std::endian::little);
  ByteStream stream(path, told);
  const std::string& name = stream.name();
  std::array<unsigned char, 4> start{};
  char* const first = reinterpret_cast<char*>(start.data());
  stream.read_exactly(first, 4, "expected an IDX file, found something else");
  if (start[0] != 0 || start[1] != 0) bad(name, "expected an IDX file, found something else");
  const Type type = type_of(name, start[2]);
  Shape shape;
  for (unsigned char k = 0; k < start[3]; ++k) {
    std::array<unsigned char, 4> size{};
    stream.read_exactly(reinterpret_cast<char*>(size.data()), 4, "truncated IDX header");
    shape.push_back(std::uint64_t{size[0]} << 24 | std::uint64_t{size[1]} << 16 |
                    std::uint64_t{size[2]} << 8 | size[3]);
  }
  if (shape.size() == 1 && least_axes > 1)
    bad(name,
        "is an IDX file of one axis " + to_string(shape) + ", labels it seems; cases have two at least");
  Table table;
  set_shape(name, shape, least_axes, table);
  visible_shape = picture_axes(shape);
  const auto count = static_cast<std::size_t>(table.rows * table.columns);
  const std::string missing = "expected " + std::to_string(count) + " values, found fewer";
  stream.require_left(static_cast<double>(count) * static_cast<double>(type.bytes), missing);
  if (type.number == nullptr) {
    table.bytes.own().resize(count);
    stream.read_exactly(reinterpret_cast<char*>(table.bytes.own().data()), count, missing);
  } else {
    std::vector<float>& numbers = table.floats.own();
    numbers.resize(count);
    std::string raw(type.bytes << 16, '\0');
    for (std::size_t done = 0; done < count;) {
      const std::size_t n = std::min(count - done, std::size_t{1} << 16);
      stream.read_exactly(raw.data(), n * type.bytes, missing);
      for (std::size_t i = 0; i < n; ++i) numbers[done + i] = type.number(raw.data() + i * type.bytes);
      done += n;
    }
    compact(table);
  }
  if (!stream.peek(1).empty()) bad(name, "expected " + std::to_string(count) + " values, found more");
  return table;
}

}  // namespace tempera
