// NumPy arrays and archives of them, from the documented layout: magic, version, length of the header, a
// Python dictionary, raw numbers.
#include <zip.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <sstream>

#include "arrays.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

[[noreturn]] void bad(const std::string& name, const std::string& problem) {
  throw DataError(name + ": " + problem);
}

/// Longest header that is read: one of a plain array has some 100 bytes.
constexpr std::size_t kLongestHeader = std::size_t{1} << 20;

struct Header {
  std::string type;  // "<f4"; the whole description where it is none
  bool fortran = false;
  Shape shape;

  [[nodiscard]] char kind() const { return type.size() > 1 ? type[1] : '?'; }
  [[nodiscard]] std::size_t item() const {
    return type.size() > 2 ? std::strtoull(type.c_str() + 2, nullptr, 10) : 0;
  }
  [[nodiscard]] bool swapped() const {
    return type.front() == (std::endian::native == std::endian::little ? '>' : '<');
  }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t n = 1;
    for (const std::uint64_t axis : shape) n *= axis;
    return n;
  }
};

/// What follows a key of the dictionary.
std::string value_after(const std::string& name, const std::string& header, const std::string& key) {
  const std::size_t at = header.find("'" + key + "'");
  const std::size_t colon = at == std::string::npos ? at : header.find(':', at);
  const std::size_t value = colon == std::string::npos ? colon : header.find_first_not_of(' ', colon + 1);
  if (value == std::string::npos) bad(name, "NumPy header lacks '" + key + "'");
  return header.substr(value);
}

Header read_header(ByteStream& stream) {
  const std::string& name = stream.name();
  char start[12];
  stream.read_exactly(start, 8, "expected a NumPy array, found something else");
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) bad(name, "expected a NumPy array, found something else");
  const std::size_t digits = start[6] > 1 ? 4 : 2;
  stream.read_exactly(start + 8, digits, "truncated NumPy header");
  std::size_t length = 0;
  for (std::size_t k = digits; k-- > 0;) length = length << 8 | static_cast<unsigned char>(start[8 + k]);
  if (length > kLongestHeader) bad(name, "NumPy header of an absurd length");
  std::string text(length, '\0');
  stream.read_exactly(text.data(), length, "truncated NumPy header");

  Header header;
  const std::string type = value_after(name, text, "descr");
  header.type = type;
  if (type.front() == '\'') header.type = type.substr(1, type.find('\'', 1) - 1);
  // A structured array has a list in its place.
  if (header.type.empty() || (type.front() != '\'' && type.front() != '['))
    bad(name, "NumPy header names no type of numbers");
  header.fortran = value_after(name, text, "fortran_order").rfind("True", 0) == 0;
  std::string dims = value_after(name, text, "shape");
  dims = dims.substr(dims.find('(') + 1);
  dims = dims.substr(0, dims.find(')'));
  std::istringstream in(dims);
  double total = 1.0;
  for (std::string part; std::getline(in, part, ',');) {
    if (part.find_first_not_of(' ') == std::string::npos) continue;
    header.shape.push_back(std::strtoull(part.c_str(), nullptr, 10));
    total *= static_cast<double>(header.shape.back());
  }
  if (total > 0x1p40) bad(name, "shape " + to_string(header.shape) + " is too large");
  return header;
}

float from_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const auto fraction = static_cast<float>(bits & 1023);
  const float magnitude = exponent == 0    ? std::ldexp(fraction, -24)
                          : exponent == 31 ? (fraction == 0.0F ? HUGE_VALF : NAN)
                                           : std::ldexp(1.0F + fraction / 1024.0F, exponent - 15);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

template <class T>
T number_at(const char* at, bool swapped) {
  std::array<char, sizeof(T)> bytes;
  std::copy_n(at, sizeof(T), bytes.begin());
  if (swapped) std::reverse(bytes.begin(), bytes.end());
  return std::bit_cast<T>(bytes);
}

/// Converts so many numbers of T, one after another.
template <class T>
void convert(const char* raw, std::size_t count, bool swapped, float* out) {
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(number_at<T>(raw + i * sizeof(T), swapped));
  }
}

using Converter = void (*)(const char*, std::size_t, bool, float*);

void convert_halves(const char* raw, std::size_t count, bool swapped, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = from_half(number_at<std::uint16_t>(raw + 2 * i, swapped));
}

Converter converter_of(const Header& header) {
  const std::string kind = header.type.size() > 1 ? header.type.substr(1) : "";
  if (kind == "i1") return convert<std::int8_t>;
  if (kind == "i2") return convert<std::int16_t>;
  if (kind == "u2") return convert<std::uint16_t>;
  if (kind == "i4") return convert<std::int32_t>;
  if (kind == "u4") return convert<std::uint32_t>;
  if (kind == "i8") return convert<std::int64_t>;
  if (kind == "u8") return convert<std::uint64_t>;
  if (kind == "f2") return convert_halves;
  if (kind == "f4") return convert<float>;
  if (kind == "f8") return convert<double>;
  return nullptr;
}

bool is_bytes(const Header& header) {
  return header.type.size() == 3 && (header.type.substr(1) == "u1" || header.type.substr(1) == "b1");
}

/// What an array is that holds no numbers that can be read, in words, or empty.
std::string why_not_numbers(const Header& header) {
  if (is_bytes(header) || converter_of(header) != nullptr) return "";
  if (header.type.front() == '[')
    return "is a structured array; save one field, or np.stack of the fields, as an array of its own";
  if (header.kind() == 'O')
    return "holds Python objects (a pickle); save np.asarray(..., dtype=float) in its place";
  if (header.kind() == 'U' || header.kind() == 'S') return "holds words";
  if (header.kind() == 'c') return "holds complex numbers";
  return "numbers of NumPy type '" + header.type + "' are not supported";
}

Table read_numbers(ByteStream& stream, const Header& header, std::size_t least_axes) {
  const std::string& name = stream.name();
  if (const std::string why = why_not_numbers(header); !why.empty()) bad(name, why);
  Table table;
  set_shape(name, header.shape, least_axes, table);
  const auto count = static_cast<std::size_t>(table.rows * table.columns);
  const std::size_t item = header.item();
  const auto truncated = [&] {
    return "expected " + std::to_string(count * item) + " bytes of numbers, found fewer";
  };
  stream.require_left(static_cast<double>(count) * static_cast<double>(item), truncated());
  if (is_bytes(header)) {
    table.bytes.own().resize(count);
    stream.read_exactly(reinterpret_cast<char*>(table.bytes.own().data()), count, truncated());
  } else {
    const Converter convert_some = converter_of(header);
    table.floats.own().resize(count);
    constexpr std::size_t kPiece = std::size_t{1} << 16;
    std::string raw(std::min(count, kPiece) * item, '\0');
    for (std::size_t done = 0; done < count; done += kPiece) {
      const std::size_t n = std::min(kPiece, count - done);
      stream.read_exactly(raw.data(), n * item, truncated());
      convert_some(raw.data(), n, header.swapped(), table.floats.own().data() + done);
    }
  }
  if (!stream.peek(1).empty()) bad(name, "holds more than its shape " + to_string(header.shape) + " says");
  if (header.fortran) reverse_axes(header.shape, table);
  compact(table);
  return table;
}

/// Texts of a fixed length: bytes, or code points of four bytes, which become UTF-8.
std::vector<std::string> read_texts(ByteStream& stream, const Header& header) {
  const std::string& name = stream.name();
  const bool wide = header.kind() == 'U';
  const std::size_t length = header.item();
  const std::uint64_t count = header.count();
  if ((!wide && header.kind() != 'S') || length > kLongestText)
    bad(name, "expected texts, found something else");
  std::vector<std::string> texts;
  std::string raw(length * (wide ? 4 : 1), '\0');
  if (length == 0) bad(name, "holds texts of no length");
  stream.require_left(static_cast<double>(count) * static_cast<double>(raw.size()), "truncated texts");
  for (std::uint64_t n = 0; n < count; ++n) {
    stream.read_exactly(raw.data(), raw.size(), "truncated texts");
    std::string text;
    for (std::size_t i = 0; i < length; ++i) {
      const std::uint32_t code = wide ? number_at<std::uint32_t>(raw.data() + 4 * i, header.swapped())
                                      : static_cast<unsigned char>(raw[i]);
      if (code == 0) break;
      if (!wide || code < 0x80) {
        text += static_cast<char>(code);
      } else if (code < 0x800) {
        text += {static_cast<char>(0xC0 | code >> 6), static_cast<char>(0x80 | (code & 63))};
      } else if (code < 0x10000) {
        text += {static_cast<char>(0xE0 | code >> 12), static_cast<char>(0x80 | (code >> 6 & 63)),
                 static_cast<char>(0x80 | (code & 63))};
      } else {
        text += {static_cast<char>(0xF0 | (code >> 18 & 7)), static_cast<char>(0x80 | (code >> 12 & 63)),
                 static_cast<char>(0x80 | (code >> 6 & 63)), static_cast<char>(0x80 | (code & 63))};
      }
    }
    texts.push_back(std::move(text));
  }
  return texts;
}

ArrayInfo info_of(const std::string& name, const Header& header) {
  ArrayInfo info;
  info.name = name;
  info.shape = header.shape;
  info.type = header.type.front() == '[' ? "structured" : header.type;
  info.why = why_not_numbers(header);
  const bool words = header.kind() == 'U' || header.kind() == 'S';
  if (!info.why.empty()) info.kind = words ? ArrayInfo::Kind::kTexts : ArrayInfo::Kind::kOther;
  return info;
}

// --- one array ---------------------------------------------------------------------------------------------

class NumpyArray : public ArraySource {
 public:
  NumpyArray(std::filesystem::path path, ReadingProgress told)
      : path_(std::move(path)), name_(path_.string()), told_(std::move(told)) {}

  const std::string& name() const override { return name_; }
  std::vector<ArrayInfo> arrays() const override {
    ByteStream stream(path_);
    std::filesystem::path stem = path_.filename();
    while (!stem.extension().empty()) stem = stem.stem();
    return {info_of(stem.string(), read_header(stream))};
  }
  Table numbers(const ArrayInfo&, bool) const override {
    ByteStream stream(path_, told_);
    const Header header = read_header(stream);
    return read_numbers(stream, header, 1);
  }
  std::vector<std::string> texts(const ArrayInfo&) const override {
    ByteStream stream(path_);
    const Header header = read_header(stream);
    return read_texts(stream, header);
  }

 private:
  std::filesystem::path path_;
  std::string name_;
  ReadingProgress told_;
};

// --- archives ----------------------------------------------------------------------------------------------

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

class NumpyArchive : public ArraySource {
 public:
  NumpyArchive(const std::filesystem::path& path, ReadingProgress told)
      : name_(path.string()), told_(std::move(told)) {
    int error = 0;
    ByteStream packed(path);
    if (packed.packed()) {
      bytes_ = packed.rest();
      zip_error_t why;
      zip_error_init(&why);
      zip_source_t* source = zip_source_buffer_create(bytes_.data(), bytes_.size(), 0, &why);
      archive_.reset(source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &why));
      if (archive_ == nullptr && source != nullptr) zip_source_free(source);
      zip_error_fini(&why);
    } else {
      archive_.reset(zip_open(name_.c_str(), ZIP_RDONLY, &error));
    }
    if (!archive_) bad(name_, "expected a .npz archive, found something else or a truncated one");
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* const member = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      if (member == nullptr) bad(name_, "damaged archive");
      members_.emplace_back(member);
    }
    for (const std::string& member : members_) {
      if (ends_with(member, "data.pkl"))
        bad(name_, "is an archive of torch; save arrays in its place: np.savez(file, W=..., a=..., b=...)");
      if (member == "[Content_Types].xml") bad(name_, "is a spreadsheet; save it as CSV");
      if (member == "metadata.json" || member == "model.weights.h5")
        bad(name_, "is a model of Keras; save arrays in its place (np.savez)");
    }
  }

  const std::string& name() const override { return name_; }

  std::vector<ArrayInfo> arrays() const override {
    std::vector<ArrayInfo> found;
    std::vector<ArrayInfo> parts;
    for (const std::string& member : members_) {
      if (!ends_with(member, ".npy")) continue;
      ByteStream stream = open(member);
      parts.push_back(info_of(member.substr(0, member.size() - 4), read_header(stream)));
    }
    // The arrays of a sparse matrix of SciPy are one array.
    if (const auto sparse = sparse_shape(parts)) {
      ArrayInfo info;
      info.name = kSparse;
      info.shape = *sparse;
      info.type = "sparse";
      return {info};
    }
    if (parts.empty()) bad(name_, "is an archive that holds no arrays of NumPy");
    return parts;
  }

  Table numbers(const ArrayInfo& array, bool) const override {
    if (array.name == kSparse && array.type == "sparse") return sparse();
    const std::string member = array.name + ".npy";
    ByteStream stream = open(member);
    const Header header = read_header(stream);
    Table table = read_numbers(stream, header, 1);
    zip_stat_t entry;
    if (zip_stat(archive_.get(), member.c_str(), 0, &entry) != 0 ||
        static_cast<double>(entry.size) != stream.count())
      bad(name_, member + " has not the size that the archive claims");
    return table;
  }
  std::vector<std::string> texts(const ArrayInfo& array) const override {
    ByteStream stream = open(array.name + ".npy");
    const Header header = read_header(stream);
    return read_texts(stream, header);
  }

 private:
  static constexpr const char* kSparse = "sparse matrix";

  [[nodiscard]] ByteStream open(const std::string& member) const {
    const std::shared_ptr<zip_file_t> file(zip_fopen(archive_.get(), member.c_str(), 0),
                                           [](zip_file_t* open) {
                                             if (open != nullptr) zip_fclose(open);
                                           });
    zip_stat_t about;
    if (!file || zip_stat(archive_.get(), member.c_str(), 0, &about) != 0)
      bad(name_, member + " cannot be unpacked");
    const auto size = static_cast<double>(std::max<zip_uint64_t>(1, about.size));
    // Other methods have no bound that is worth having.
    const bool bounded = about.comp_method == ZIP_CM_STORE || about.comp_method == ZIP_CM_DEFLATE;
    const double most = bounded ? kLargestRatio * static_cast<double>(about.comp_size)
                                : std::numeric_limits<double>::infinity();
    return {name_ + ":" + member,
            [file, told = told_, size, done = 0.0](char* out, std::size_t most) mutable {
              const auto n = static_cast<std::ptrdiff_t>(
                  zip_fread(file.get(), out, std::min(most, std::size_t{1} << 24)));
              done += static_cast<double>(std::max<std::ptrdiff_t>(0, n));
              if (told) told(std::min(1.0, done / size));
              return n;
            },
            most};
  }

  [[nodiscard]] std::vector<std::int64_t> whole_numbers(const std::string& part) const {
    ByteStream stream = open(part + ".npy");
    const Header header = read_header(stream);
    // Counts may be larger than a float holds.
    const std::size_t item = header.item();
    if ((header.kind() != 'i' && header.kind() != 'u') || (item != 4 && item != 8))
      bad(stream.name(), "expected whole numbers of 4 or 8 bytes");
    std::vector<std::int64_t> values(header.count());
    std::string raw(values.size() * item, '\0');
    stream.read_exactly(raw.data(), raw.size(), "truncated numbers");
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = item == 4 ? number_at<std::int32_t>(raw.data() + 4 * i, header.swapped())
                            : number_at<std::int64_t>(raw.data() + 8 * i, header.swapped());
    return values;
  }

  [[nodiscard]] std::optional<Shape> sparse_shape(const std::vector<ArrayInfo>& parts) const {
    const auto has = [&](const char* part) {
      return std::any_of(parts.begin(), parts.end(),
                         [part](const ArrayInfo& one) { return one.name == part; });
    };
    if (!has("shape") || !has("data") || !has("format")) return std::nullopt;
    const std::vector<std::int64_t> shape = whole_numbers("shape");
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1) bad(name_, "is a sparse matrix of no shape");
    return Shape(shape.begin(), shape.end());
  }

  [[nodiscard]] Table sparse() const {
    ByteStream format_stream = open("format.npy");
    const Header header = read_header(format_stream);
    const std::vector<std::string> formats = read_texts(format_stream, header);
    if (formats.size() != 1) bad(name_, "is a sparse matrix that does not name one format");
    const std::string& format = formats.front();
    const std::vector<std::int64_t> shape = whole_numbers("shape");
    if (format != "csr" && format != "csc")
      bad(name_, "is a sparse matrix of format '" + format + "'; save its .tocsr()");
    ByteStream data = open("data.npy");
    const Header of_data = read_header(data);
    const Table values = read_numbers(data, of_data, 1);
    std::vector<float> floats(static_cast<std::size_t>(values.rows * values.columns));
    for (std::size_t k = 0; k < floats.size(); ++k)
      floats[k] = static_cast<float>(values.at(static_cast<Index>(k)));
    return dense(name_, shape[0], shape[1], format == "csc", whole_numbers("indptr"),
                 whole_numbers("indices"), floats);
  }

  std::string name_;
  ReadingProgress told_;
  std::string bytes_;  // of an archive that was packed once more
  std::unique_ptr<zip_t, int (*)(zip_t*)> archive_{nullptr, [](zip_t* open) {
                                                     if (open != nullptr) zip_discard(open);
                                                     return 0;
                                                   }};
  std::vector<std::string> members_;
};

}  // namespace

Table read_npy(ByteStream& stream, std::vector<std::int64_t>& visible_shape, std::size_t least_axes) {
  const Header header = read_header(stream);
  visible_shape = picture_axes(header.shape);
  return read_numbers(stream, header, least_axes);
}

std::unique_ptr<ArraySource> numpy_array(const std::filesystem::path& path, const ReadingProgress& told) {
  return std::make_unique<NumpyArray>(path, told);
}

std::unique_ptr<ArraySource> numpy_archive(const std::filesystem::path& path, const ReadingProgress& told) {
  return std::make_unique<NumpyArchive>(path, told);
}

}  // namespace tempera
