#include "tempera/io/file_kind.hpp"

#include <algorithm>
#include <string>

#include "tempera/core/errors.hpp"
#include "tempera/io/byte_stream.hpp"

namespace tempera {
namespace {

using namespace std::string_view_literals;

/// Bytes that are looked at: the superblock of HDF5 may stand behind a block of its user.
constexpr std::size_t kLooked = 8200;

struct Known {
  std::string_view begin;
  const char* what;  // and what to do
};
constexpr Known kRefused[] = {
    {"MATLAB 5.0 MAT-file"sv,
     "is a MATLAB file of version 5; save it with -v7.3 in MATLAB, or by scipy.io.loadmat and np.savez"},
    {"\xFF\xFE"sv, "is text in UTF-16; save it as UTF-8"},
    {"\xFE\xFF"sv, "is text in UTF-16; save it as UTF-8"},
    {"\x89PNG"sv, "is a picture; save pictures as one array with np.save"},
    {"\xFF\xD8\xFF"sv, "is a picture; save pictures as one array with np.save"},
    {"GIF8"sv, "is a picture; save pictures as one array with np.save"},
    {"BZh"sv, "is packed by bzip2; unpack it, or pack it with gzip"},
    {"\xFD"
     "7zXZ"sv,
     "is packed by xz; unpack it, or pack it with gzip"},
    {"\x28\xB5\x2F\xFD"sv, "is packed by zstd; unpack it, or pack it with gzip"},
    {"PAR1"sv, "is a Parquet file; save it with pandas.DataFrame.to_csv, or its values with np.save"},
    {"ARROW1"sv, "is an Arrow file; save it with pandas.DataFrame.to_csv, or its values with np.save"},
    {"SQLite format 3"sv, "is a data base of SQLite; export the table as CSV"},
    {"%PDF"sv, "is a PDF document"},
    {"CDF\x01"sv, "is a NetCDF-3 file; save it as NetCDF-4 (HDF5), or its values with np.save"},
    {"CDF\x02"sv, "is a NetCDF-3 file; save it as NetCDF-4 (HDF5), or its values with np.save"},
    {"RDX2"sv, "is an R data file; save the matrix with write.csv"},
    {"RDX3"sv, "is an R data file; save the matrix with write.csv"},
    {"RDA"sv, "is an R data file; save the matrix with write.csv"},
    {"X\n"sv, "is an R data file (rds); save the matrix with write.csv"},
};

bool begins(std::string_view bytes, std::string_view with) { return bytes.substr(0, with.size()) == with; }

/// HDF5 allows its superblock at 0, 512, 1024, ...
bool has_superblock(std::string_view bytes) {
  constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n"sv;
  for (std::size_t at = 0; at + kSignature.size() <= bytes.size(); at = std::max<std::size_t>(512, 2 * at)) {
    if (bytes.substr(at, kSignature.size()) == kSignature) return true;
  }
  return false;
}

bool is_pickle(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

bool is_idx(std::string_view bytes) {
  return bytes.size() >= 8 && bytes[0] == 0 && bytes[1] == 0 && bytes[2] >= 8 && bytes[2] <= 14 &&
         bytes[3] >= 1 && bytes[3] <= 8;
}

}  // namespace

FileKind file_kind(const std::filesystem::path& path) {
  ByteStream stream(path);
  const std::string_view bytes = stream.peek(kLooked);
  const auto refuse = [&](const std::string& what) { throw DataError(path.string() + ": " + what); };
  if (bytes.empty()) refuse("is empty");
  if (has_superblock(bytes)) return FileKind::kHdf5;
  if (begins(bytes, "\x93NUMPY"sv)) return FileKind::kNumpyArray;
  if (begins(bytes, "PK\x03\x04"sv) || begins(bytes, "PK\x05\x06"sv)) return FileKind::kArchive;
  for (const Known& known : kRefused) {
    if (begins(bytes, known.begin)) refuse(known.what);
  }
  if (is_pickle(bytes)) {
    refuse(
        "is a pickle of Python, which only Python can read; save arrays in its place: np.savez(file, W=..., "
        "a=..., b=...) of a "
        "model, np.save of data (docs/formats.md)");
  }
  if (is_idx(bytes)) return FileKind::kIdx;
  if (bytes.find('\0') != std::string_view::npos) {
    refuse(
        "is none of the kinds of file that are read (HDF5, NumPy, IDX, text), or is damaged at its "
        "beginning");
  }
  const std::size_t mark = begins(bytes, "\xEF\xBB\xBF"sv) ? 3 : 0;
  const std::size_t first = bytes.find_first_not_of(" \t\r\n"sv, mark);
  if (first == std::string_view::npos) return FileKind::kText;
  if (bytes[first] == '>' || begins(bytes.substr(mark), "# STOCKHOLM"sv)) return FileKind::kSequences;
  return bytes[first] == '{' ? FileKind::kJson : FileKind::kText;
}

}  // namespace tempera
