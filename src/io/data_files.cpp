#include "tempera/io/data_files.hpp"

#include <zip.h>
#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <sstream>

#include "tempera/core/errors.hpp"
#include "tempera/core/memory.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void bad(const std::string& name, const std::string& problem) {
  throw DataError(name + ": " + problem);
}

/// rows x columns from a shape of any rank: the first axis counts cases, the others are one case.
void set_shape(const std::string& name, const Shape& shape, std::size_t least_axes, Table& table) {
  double total = 1.0;
  for (const std::uint64_t n : shape) total *= static_cast<double>(n);
  if (shape.size() < least_axes) bad(name, "expected cases x values, found shape " + to_string(shape));
  if (total == 0) bad(name, "is empty: shape " + to_string(shape));
  if (total > 0x1p40) bad(name, "shape " + to_string(shape) + " is too large");
  table.rows = static_cast<Index>(shape[0]);
  table.columns = static_cast<Index>(total / static_cast<double>(shape[0]));
}

/// Floats that are whole numbers in [0, 255] become bytes, so that 0/1 data is the same whatever stored it.
void compact(Table& table) {
  if (table.floats.empty()) return;
  for (const float x : table.floats) {
    if (!(x >= 0 && x <= 255) || x != std::floor(x)) return;
  }
  table.bytes.resize(table.floats.size());
  std::transform(table.floats.begin(), table.floats.end(), table.bytes.begin(),
                 [](float x) { return static_cast<std::uint8_t>(x); });
  table.floats.clear();
}

/// Everything that read(buffer, size) gives until it returns 0, piece by piece: what an archive claims of its
/// size is not believed, and one that unpacks to more than a quarter of the memory is refused.
template <class Read>
std::string unpack(const std::string& name, Read&& read) {
  std::string bytes;
  std::string buffer(std::size_t{1} << 20, '\0');
  for (;;) {
    const std::ptrdiff_t n = read(buffer.data(), buffer.size());
    if (n < 0) bad(name, "truncated or damaged compressed data");
    if (n == 0) return bytes;
    bytes.append(buffer, 0, static_cast<std::size_t>(n));
    if (static_cast<double>(bytes.size()) > 0.25 * physical_memory())
      bad(name, "unpacks to more than the memory of this machine allows");
  }
}

// --- NumPy: magic, version, header length, a Python dictionary, raw numbers ---------------------------

template <class T>
void append_numbers(std::string_view raw, std::vector<float>& out) {
  const std::size_t count = raw.size() / sizeof(T);
  out.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, raw.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

Table parse_npy(const std::string& name, std::string_view bytes, std::vector<std::int64_t>& visible_shape,
                std::size_t least_axes = 2) {
  if (bytes.size() < 12 || bytes.substr(0, 6) != "\x93NUMPY")
    bad(name, "expected a NumPy array, found something else");
  const bool long_header = bytes[6] > 1;
  const auto byte = [&](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(bytes[i]));
  };
  const std::size_t start = long_header ? 12 : 10;
  std::size_t length = byte(8) | byte(9) << 8;
  if (long_header) length |= byte(10) << 16 | byte(11) << 24;
  if (start + length > bytes.size()) bad(name, "truncated NumPy header");
  const std::string header(bytes.substr(start, length));
  const auto value_after = [&](const std::string& key) {
    const std::size_t at = header.find("'" + key + "'");
    if (at == std::string::npos) bad(name, "NumPy header lacks '" + key + "'");
    return header.substr(header.find(':', at) + 1);
  };
  std::string type = value_after("descr");
  type = type.substr(type.find('\'') + 1);
  type = type.substr(0, type.find('\''));
  const bool fortran = value_after("fortran_order").find("True") < 3;
  std::string dims = value_after("shape");
  dims = dims.substr(dims.find('(') + 1);
  dims = dims.substr(0, dims.find(')'));
  Shape shape;
  std::istringstream in(dims);
  for (std::string part; std::getline(in, part, ',');) {
    if (part.find_first_not_of(' ') != std::string::npos)
      shape.push_back(std::strtoull(part.c_str(), nullptr, 10));
  }
  Table table;
  set_shape(name, shape, least_axes, table);
  if (shape.size() > 2) visible_shape.assign(shape.begin() + 1, shape.end());
  const auto count = static_cast<std::size_t>(table.rows * table.columns);
  const std::size_t item = type.size() == 3 ? static_cast<std::size_t>(type[2] - '0') : 0;
  const std::string_view raw = bytes.substr(start + length);
  if (item == 0 || item > 8 || type[0] == '>')
    bad(name, "numbers of NumPy type '" + type + "' are not supported");
  if (raw.size() != count * item) {
    bad(name, "expected " + std::to_string(count * item) + " bytes of numbers, found " +
                  std::to_string(raw.size()));
  }
  const std::string kind = type.substr(1);
  if (kind == "u1" || kind == "b1") {
    table.bytes.assign(raw.begin(), raw.end());
  } else if (kind == "i1") {
    append_numbers<std::int8_t>(raw, table.floats);
  } else if (kind == "i2") {
    append_numbers<std::int16_t>(raw, table.floats);
  } else if (kind == "u2") {
    append_numbers<std::uint16_t>(raw, table.floats);
  } else if (kind == "i4") {
    append_numbers<std::int32_t>(raw, table.floats);
  } else if (kind == "u4") {
    append_numbers<std::uint32_t>(raw, table.floats);
  } else if (kind == "i8") {
    append_numbers<std::int64_t>(raw, table.floats);
  } else if (kind == "f4") {
    append_numbers<float>(raw, table.floats);
  } else if (kind == "f8") {
    append_numbers<double>(raw, table.floats);
  } else {
    bad(name, "numbers of NumPy type '" + type + "' are not supported");
  }
  if (fortran) {
    if (shape.size() != 2) bad(name, "Fortran order is supported for two axes only");
    const auto transpose = [&](auto& values) {
      auto copy = values;
      for (Index r = 0; r < table.rows; ++r) {
        for (Index c = 0; c < table.columns; ++c) {
          values[static_cast<std::size_t>(r * table.columns + c)] =
              copy[static_cast<std::size_t>(c * table.rows + r)];
        }
      }
    };
    if (table.is_bytes()) {
      transpose(table.bytes);
    } else {
      transpose(table.floats);
    }
  }
  compact(table);
  return table;
}

/// Calls f(name of the member, its bytes) for every member of a .npz archive that `wanted` accepts; returns
/// how many there are.
template <class Wanted, class F>
zip_int64_t for_each_member(const std::string& name, Wanted&& wanted, F&& f) {
  int error = 0;
  const std::unique_ptr<zip_t, int (*)(zip_t*)> archive(zip_open(name.c_str(), ZIP_RDONLY, &error),
                                                        zip_close);
  if (!archive) bad(name, "expected a .npz archive, found something else or a truncated one");
  const zip_int64_t count = zip_get_num_entries(archive.get(), 0);
  for (zip_int64_t i = 0; i < count; ++i) {
    zip_stat_t entry;
    if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(i), 0, &entry) != 0)
      bad(name, "damaged archive");
    const std::string member = entry.name;
    if (!wanted(member, count)) continue;
    const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
        zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(i), 0), zip_fclose);
    if (!file) bad(name, member + " cannot be unpacked");
    const std::string bytes = unpack(name, [&file](char* buffer, std::size_t size) {
      return static_cast<std::ptrdiff_t>(zip_fread(file.get(), buffer, size));
    });
    if (bytes.size() != entry.size) bad(name, member + " has not the size that the archive claims");
    f(member, bytes);
  }
  return count;
}

/// Arrays x, or train_x, valid_x, test_x, or the only one.
void load_npz(const std::string& name, DataFile& data) {
  std::string split;
  for_each_member(
      name,
      [&split](const std::string& member, zip_int64_t count) {
        split.clear();
        for (const char* known : {"train", "valid", "test"}) {
          if (member == std::string(known) + "_x.npy" || member == std::string(known) + "/x.npy")
            split = known;
        }
        if (member == "x.npy" || count == 1) split = "train";
        return !split.empty();
      },
      [&](const std::string& member, const std::string& bytes) {
        data.splits[split] = parse_npy(name + ":" + member, bytes, data.visible_shape);
      });
  if (data.splits.empty()) bad(name, "holds no array named x or train_x");
}

// --- IDX: two zero bytes, type, rank, big-endian sizes, raw bytes -------------------------------------

std::string gunzip(const std::string& name) {
  require_exists(name);
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(name.c_str(), "rb"), gzclose);
  if (!file) bad(name, "cannot be opened");
  const std::string bytes = unpack(name, [&file](char* buffer, std::size_t size) {
    return static_cast<std::ptrdiff_t>(gzread(file.get(), buffer, static_cast<unsigned>(size)));
  });
  int error = Z_OK;
  gzerror(file.get(), &error);
  if ((error != Z_OK && error != Z_STREAM_END)) bad(name, "truncated or damaged gzip data");
  return bytes;
}

Table parse_idx(const std::string& name, const std::string& bytes, std::vector<std::int64_t>& visible_shape) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i]));
  };
  if (bytes.size() < 4 || byte(0) != 0 || byte(1) != 0 || byte(2) != 8) {
    bad(name, "expected an IDX file of unsigned bytes, found something else");
  }
  const std::size_t rank = byte(3);
  if (bytes.size() < 4 + 4 * rank) bad(name, "truncated IDX header");
  Shape shape;
  for (std::size_t k = 0; k < rank; ++k) {
    const std::size_t at = 4 + 4 * k;
    shape.push_back(byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3));
  }
  Table table;
  set_shape(name, shape, 2, table);
  if (rank > 2) visible_shape.assign(shape.begin() + 1, shape.end());
  const auto count = static_cast<std::size_t>(table.rows * table.columns);
  if (bytes.size() != 4 + 4 * rank + count) {
    bad(name, "expected " + std::to_string(count) + " values, found " +
                  std::to_string(bytes.size() - 4 - 4 * rank));
  }
  table.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(4 + 4 * rank), bytes.end());
  return table;
}

// --- CSV: one case a line; a first line that is no numbers is a header --------------------------------

Table parse_csv(const std::string& name, const std::string& text) {
  Table table;
  std::istringstream lines(text.rfind("\xEF\xBB\xBF", 0) == 0 ? text.substr(3) : text);
  Index number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    Index count = 0;
    line += ',';  // so that an empty last cell is a cell
    std::istringstream cells(line);
    bool may_be_header = number == 1;
    Index words = 0;
    for (std::string cell; std::getline(cells, cell, ',');) {
      const std::size_t start = cell.find_first_not_of(" \t");
      const std::size_t end = cell.find_last_not_of(" \t");
      float value = 0;
      const char* first = start == std::string::npos ? cell.data() : cell.data() + start;
      const char* last = start == std::string::npos ? cell.data() : cell.data() + end + 1;
      const auto [stop, status] = std::from_chars(first, last, value);
      if (first == last || status != std::errc() || stop != last) {
        ++words;
        if (may_be_header && count == 0) continue;  // a header is words alone
        bad(name, "line " + std::to_string(number) + ": expected a number, found '" + cell + "'");
      }
      if (words > 0) bad(name, "line 1: words and numbers are mixed: neither a header nor a case");
      table.floats.push_back(value);
      ++count;
    }
    if (words > 0) continue;
    if (table.columns == 0) table.columns = count;
    if (count != table.columns) {
      bad(name, "line " + std::to_string(number) + ": expected " + std::to_string(table.columns) +
                    " values, found " + std::to_string(count));
    }
    ++table.rows;
  }
  if (table.rows == 0) bad(name, "is empty");
  compact(table);
  return table;
}

// --- HDF5 ----------------------------------------------------------------------------------------------

Table read_table(const Hdf5Reader& file, const std::string& path, bool allow_non_finite) {
  Table table;
  const Shape shape = file.shape(path);
  set_shape(file.name() + ": " + path, shape, 2, table);
  const auto count = static_cast<std::size_t>(table.rows * table.columns);
  if (file.is_byte(path)) {
    table.bytes.resize(count);
    file.dataset(path, shape, table.bytes.data());
  } else if (file.is_integer(path)) {
    std::vector<std::int64_t> values(count);
    file.dataset(path, shape, values.data());
    table.floats.assign(values.begin(), values.end());
  } else {
    table.floats.resize(count);
    file.dataset(path, shape, table.floats.data(), allow_non_finite);
  }
  compact(table);
  return table;
}

/// Labels: one whole number per case, of any type of number.
std::vector<std::int64_t> read_labels(const Hdf5Reader& file, const std::string& path, Index rows) {
  const Shape shape{static_cast<std::uint64_t>(rows)};
  std::vector<std::int64_t> labels(static_cast<std::size_t>(rows));
  if (file.is_integer(path)) {
    file.dataset(path, shape, labels.data());
    return labels;
  }
  std::vector<double> values(labels.size());
  file.dataset(path, shape, values.data());
  for (std::size_t n = 0; n < labels.size(); ++n) {
    if (values[n] != std::floor(values[n]) || std::abs(values[n]) > 0x1p53)
      file.fail(path, "expected whole numbers as labels, found " + std::to_string(values[n]));
    labels[n] = static_cast<std::int64_t>(values[n]);
  }
  return labels;
}

void load_hdf5(const std::string& name, bool allow_non_finite, DataFile& data) {
  const Hdf5Reader file(name);
  for (const char* split : {"train", "valid", "test"}) {
    const std::string group = "/" + std::string(split);
    if (!file.has(group + "/x")) continue;
    data.splits[split] = read_table(file, group + "/x", allow_non_finite);
    if (file.has(group + "/y"))
      data.labels[split] = read_labels(file, group + "/y", data.splits.at(split).rows);
    if (file.has(group + "/name"))
      data.names[split] = file.texts(group + "/name", static_cast<std::uint64_t>(data.splits.at(split).rows));
  }
  if (data.splits.empty() && file.has("/samples") && !file.has("/samples/visible")) {
    data.splits["train"] = read_table(file, "/samples", allow_non_finite);
  } else if (data.splits.empty() && file.has("/samples/visible")) {
    data.splits["train"] = read_table(file, "/samples/visible", allow_non_finite);
  }
  if (data.splits.count("train") > 0 && data.labels.empty() && file.has("/labels"))
    data.labels["train"] = read_labels(file, "/labels", data.splits.at("train").rows);
  if (data.splits.empty()) bad(name, "holds no /train/x, /valid/x, /test/x or /samples");
  data.visible_shape = file.integers_attribute("/", "visible_shape");
  if (data.visible_shape.empty()) data.visible_shape = file.integers_attribute("/", "image_shape");
  for (const char* note : {"source", "licence"}) {
    if (const auto text = file.text_attribute("/", note)) data.notes[note] = *text;
  }
  data.preprocessing = read_preprocessing(file, "/preprocessing");
  if (!data.preprocessing.empty() && data.preprocessing.n_outputs() != data.columns())
    bad(name, "/preprocessing does not fit the columns of the data");
}

bool ends_with(const std::string& name, std::string_view end) {
  return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

std::map<std::string, Table> load_numpy_arrays(const std::filesystem::path& path,
                                               const std::vector<std::string>& wanted) {
  require_exists(path);
  std::map<std::string, Table> arrays;
  std::vector<std::int64_t> shape;
  if (path.extension() == ".npy") {
    arrays[path.stem().string()] = parse_npy(path.string(), read_file(path), shape, 1);
    return arrays;
  }
  for_each_member(
      path.string(),
      [&wanted](const std::string& member, zip_int64_t) {
        return ends_with(member, ".npy") &&
               std::find(wanted.begin(), wanted.end(), member.substr(0, member.size() - 4)) != wanted.end();
      },
      [&](const std::string& member, const std::string& bytes) {
        arrays[member.substr(0, member.size() - 4)] =
            parse_npy(path.string() + ":" + member, bytes, shape, 1);
      });
  return arrays;
}

DataFile load_data(const std::string& name, bool allow_non_finite) {
  DataFile data;
  data.name = name;
  if (!load_builtin(name, data)) {
    require_exists(name);
    if (ends_with(name, ".npy")) {
      data.splits["train"] = parse_npy(name, read_file(name), data.visible_shape);
    } else if (ends_with(name, ".npz")) {
      load_npz(name, data);
    } else if (ends_with(name, ".csv")) {
      data.splits["train"] = parse_csv(name, read_file(name));
    } else if (ends_with(name, ".gz") || ends_with(name, "ubyte") ||
               fs::path(name).filename().string().find("idx") != std::string::npos) {
      data.splits["train"] = parse_idx(name, gunzip(name), data.visible_shape);
    } else {
      load_hdf5(name, allow_non_finite, data);
    }
  }
  for (const auto& [split, table] : data.splits) {
    if (table.columns != data.columns()) {
      bad(name, "/" + split + "/x has " + std::to_string(table.columns) + " columns, other splits " +
                    std::to_string(data.columns()));
    }
    for (const float x : table.floats) {
      if (!allow_non_finite && !std::isfinite(x))
        bad(name, "/" + split + "/x: found a number that is not finite");
    }
  }
  const Index shown =
      data.preprocessing.empty() ? data.columns() : static_cast<Index>(data.preprocessing.n_inputs);
  if (!is_shape_of(data.visible_shape, shown)) data.visible_shape.clear();
  return data;
}

std::vector<std::int64_t> load_idx_labels(const std::string& name, Index rows) {
  const std::string bytes = gunzip(name);
  const auto count = static_cast<std::size_t>(rows);
  if (bytes.size() != 8 + count || bytes.compare(0, 4, std::string("\0\0\x08\x01", 4)) != 0)
    bad(name, "expected an IDX file of " + std::to_string(rows) + " labels");
  std::vector<std::int64_t> labels;
  for (std::size_t n = 0; n < count; ++n) labels.push_back(static_cast<unsigned char>(bytes[8 + n]));
  return labels;
}

void write_data(const DataFile& data, const fs::path& path) {
  Hdf5Writer file("data");
  for (const auto& [split, table] : data.splits) {
    const Shape shape{static_cast<std::uint64_t>(table.rows), static_cast<std::uint64_t>(table.columns)};
    if (table.is_bytes()) {
      file.dataset("/" + split + "/x", shape, table.bytes.data());
    } else {
      file.dataset("/" + split + "/x", shape, table.floats.data());
    }
  }
  for (const auto& [split, y] : data.labels) file.dataset("/" + split + "/y", {y.size()}, y.data());
  for (const auto& [split, names] : data.names) {
    // Cases that were cut or dealt out anew have lost theirs.
    if (static_cast<Index>(names.size()) == data.split(split).rows) file.texts("/" + split + "/name", names);
  }
  if (!data.visible_shape.empty()) file.attribute("/", "visible_shape", data.visible_shape);
  for (const auto& [note, text] : data.notes) file.attribute("/", note, text);
  write_preprocessing(file, "/preprocessing", data.preprocessing);
  file.write(path);
}

}  // namespace tempera
