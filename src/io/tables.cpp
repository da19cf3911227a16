#include "tempera/io/tables.hpp"

#include <zip.h>

#include <algorithm>
#include <bit>
#include <memory>

#include "tempera/core/errors.hpp"
#include "tempera/core/option.hpp"
#include "tempera/io/files.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

template <class T>
const char* numpy_type() {
  static_assert(std::endian::native == std::endian::little);
  if constexpr (std::is_same_v<T, std::uint8_t>) return "|u1";
  if constexpr (std::is_same_v<T, std::int64_t>) return "<i8";
  if constexpr (std::is_same_v<T, float>) return "<f4";
  if constexpr (std::is_same_v<T, double>) return "<f8";
}

/// Version 1 of the format: the header ends at a multiple of 64 bytes.
std::string npy_header(const std::string& type, const ArrayShape& shape) {
  std::string text = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (";
  for (const std::uint64_t n : shape) text += std::to_string(n) + ",";
  text += "), }";
  constexpr std::size_t kStart = 10;
  text.append((64 - (kStart + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  const std::size_t size = text.size();
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(size & 255) + static_cast<char>(size >> 8) +
         text;
}

std::string npy_of(const NamedArray& array) {
  return std::visit(
      [&]<class T>(std::span<const T> values) {
        if constexpr (std::is_same_v<T, std::string>) {
          std::size_t longest = 1;
          for (const std::string& text : values) longest = std::max(longest, text.size());
          std::string bytes = npy_header("|S" + std::to_string(longest), array.shape);
          for (const std::string& text : values) bytes += text + std::string(longest - text.size(), '\0');
          return bytes;
        } else {
          return npy_header(numpy_type<T>(), array.shape)
              .append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
        }
      },
      array.values);
}

std::string npz_of(const std::vector<NamedArray>& arrays) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* const source = zip_source_buffer_create(nullptr, 0, 0, &error);
  zip_t* const archive =
      source == nullptr ? nullptr : zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &error);
  zip_error_fini(&error);
  if (archive == nullptr) throw WriteError("an archive cannot be made");
  zip_source_keep(source);
  const std::unique_ptr<zip_source_t, void (*)(zip_source_t*)> kept(source, zip_source_free);
  std::vector<std::string> members;
  members.reserve(arrays.size());
  for (const NamedArray& array : arrays) {
    const std::string& bytes = members.emplace_back(npy_of(array));
    zip_source_t* const member = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, (array.name + ".npy").c_str(), member, ZIP_FL_ENC_UTF_8);
    // The same bytes whenever it is written.
    if (index < 0 || zip_file_set_mtime(archive, static_cast<zip_uint64_t>(index), 315532800, 0) != 0)
      throw WriteError("an archive cannot be made");
  }
  if (zip_close(archive) != 0) throw WriteError("an archive cannot be made");
  zip_stat_t about;
  zip_stat_init(&about);
  if (zip_source_stat(source, &about) != 0 || zip_source_open(source) != 0)
    throw WriteError("an archive cannot be made");
  std::string bytes(about.size, '\0');
  if (zip_source_read(source, bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()))
    throw WriteError("an archive cannot be made");
  zip_source_close(source);
  return bytes;
}

std::string cell_of(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}
std::string cell_of(double value) { return text_of(value); }
std::string cell_of(float value) {
  char buffer[32];
  const auto [end, status] = std::to_chars(buffer, buffer + sizeof buffer, value);
  static_cast<void>(status);
  return {buffer, end};
}
std::string cell_of(std::int64_t value) { return std::to_string(value); }
std::string cell_of(std::uint8_t value) { return std::to_string(value); }

std::uint64_t columns_of(const NamedArray& array) {
  std::uint64_t columns = 1;
  for (std::size_t k = 1; k < array.shape.size(); ++k) columns *= array.shape[k];
  return columns;
}

}  // namespace

std::string csv_of(const fs::path& path, const std::vector<NamedArray>& arrays) {
  const std::uint64_t rows = arrays.front().shape[0];
  std::string text;
  for (const NamedArray& array : arrays) {
    if (array.shape[0] != rows)
      throw UsageError(path.string() + ": a CSV file holds one table, and " + arrays.front().name + " and " +
                       array.name + " are two; say .npz or .h5");
    const std::uint64_t columns = columns_of(array);
    for (std::uint64_t i = 0; i < columns; ++i)
      text += (text.empty() ? "" : ",") + cell_of(array.name + (columns > 1 ? "_" + std::to_string(i) : ""));
  }
  text += '\n';
  for (std::uint64_t n = 0; n < rows; ++n) {
    bool first = true;
    for (const NamedArray& array : arrays) {
      const std::uint64_t columns = columns_of(array);
      std::visit(
          [&](const auto values) {
            for (std::uint64_t i = 0; i < columns; ++i) {
              if (!first) text += ',';
              first = false;
              text += cell_of(values[n * columns + i]);
            }
          },
          array.values);
    }
    text += '\n';
  }
  return text;
}

TableFormat table_format(const fs::path& path) {
  const std::string ending = path.extension().string();
  if (ending == ".h5" || ending == ".hdf5") return TableFormat::kHdf5;
  if (ending == ".csv") return TableFormat::kCsv;
  if (ending == ".npy") return TableFormat::kNpy;
  if (ending == ".npz") return TableFormat::kNpz;
  if (ending == ".fasta" || ending == ".fa") return TableFormat::kFasta;
  if (ending == ".sto" || ending == ".stockholm") return TableFormat::kStockholm;
  throw UsageError("--out " + path.string() + ": expected an ending of .h5, .csv, .npz or .npy");
}

void require_output(const fs::path& path, const std::vector<fs::path>& inputs) {
  std::error_code error;
  for (const fs::path& input : inputs) {
    if (input.empty() || !fs::exists(input, error)) continue;
    if (fs::equivalent(path, input, error))
      throw UsageError(path.string() + ": is what is read; write elsewhere");
  }
  // A run's own files are its memory.
  const fs::path folder = path.has_parent_path() ? path.parent_path() : fs::path(".");
  static const std::vector<std::string> own = {"checkpoint.h5", "best.h5", "config.toml", "metrics.csv"};
  const bool is_run = fs::exists(folder / "config.toml", error) && fs::exists(folder / "metrics.csv", error);
  if (is_run && std::find(own.begin(), own.end(), path.filename().string()) != own.end())
    throw UsageError(path.string() + ": is a file of a run; write elsewhere");
  if (!fs::is_directory(folder, error))
    throw WriteError(path.string() + ": cannot be written: there is no folder " + folder.string());
}

void require_table(const fs::path& path, const std::vector<fs::path>& inputs, bool letters) {
  if (is_sequences(table_format(path)) && !letters)
    throw UsageError("--out " + path.string() + ": holds sequences of letters, which these are not");
  require_output(path, inputs);
}

void write_arrays(const fs::path& path, const std::vector<NamedArray>& arrays) {
  switch (table_format(path)) {
    case TableFormat::kNpy:
      if (arrays.size() != 1)
        throw UsageError(path.string() + ": an .npy file holds one array, and these are " +
                         std::to_string(arrays.size()) + "; say .npz or .h5");
      return write_file(path, npy_of(arrays.front()));
    case TableFormat::kFasta:
    case TableFormat::kStockholm:
      throw UsageError("--out " + path.string() + ": holds sequences of letters, which these are not");
    case TableFormat::kNpz:
      return write_file(path, npz_of(arrays));
    case TableFormat::kCsv:
      return write_file(path, csv_of(path, arrays));
    case TableFormat::kHdf5:
      throw std::invalid_argument("write_arrays: HDF5 has a writer of its own");
  }
}

}  // namespace tempera
