#include "tempera/io/byte_stream.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "tempera/core/errors.hpp"
#include "tempera/core/memory.hpp"
#include "tempera/io/files.hpp"

namespace tempera {
namespace {

constexpr unsigned kBuffer = 1U << 18;
constexpr std::size_t kMostAtOnce = std::size_t{1} << 24;

}  // namespace

ByteStream::ByteStream(const std::filesystem::path& path, ReadingProgress told) : name_(path.string()) {
  require_regular_file(path);
  // zlib passes on what is not compressed.
  std::shared_ptr<gzFile_s> file(gzopen(path.c_str(), "rb"), [](gzFile open) {
    if (open != nullptr) gzclose(open);
  });
  if (!file) throw DataError(name_ + ": cannot be opened: " + std::strerror(errno));
  gzbuffer(file.get(), kBuffer);
  packed_ = gzdirect(file.get()) == 0;
  const auto size = static_cast<double>(std::filesystem::file_size(path));
  most_ = packed_ ? kLargestRatio * size : size;
  source_ = [file, told = std::move(told), size](char* out, std::size_t most) -> std::ptrdiff_t {
    const int n = gzread(file.get(), out, static_cast<unsigned>(std::min(most, kMostAtOnce)));
    if (told) told(std::min(1.0, static_cast<double>(gzoffset(file.get())) / std::max(1.0, size)));
    if (n != 0) return n;
    int error = Z_OK;
    gzerror(file.get(), &error);  // the end of a packed file that has none
    return error == Z_OK || error == Z_STREAM_END ? 0 : -1;
  };
}

ByteStream::ByteStream(std::string name, Source source, double most)
    : name_(std::move(name)), source_(std::move(source)), packed_(true), most_(most) {}

void ByteStream::require_left(double count, const std::string& missing) const {
  if (count > most_ - unpacked_ + static_cast<double>(ahead_.size())) throw DataError(name_ + ": " + missing);
}

std::size_t ByteStream::read(char* out, std::size_t count) {
  std::size_t done = std::min(count, ahead_.size());
  std::copy_n(ahead_.data(), done, out);
  ahead_.erase(0, done);
  while (done < count) {
    const std::ptrdiff_t n = source_(out + done, count - done);
    if (n < 0)
      throw DataError(name_ + (packed_ ? ": truncated or damaged compressed data" : ": cannot be read"));
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
    unpacked_ += static_cast<double>(n);
    // What an archive claims of its size is not believed.
    if (packed_ && unpacked_ > 0.25 * physical_memory())
      throw DataError(name_ + ": unpacks to more than the memory of this machine allows");
  }
  return done;
}

void ByteStream::read_exactly(char* out, std::size_t count, const std::string& missing) {
  if (read(out, count) < count) throw DataError(name_ + ": " + missing);
}

std::string_view ByteStream::peek(std::size_t count) {
  if (ahead_.size() < count) {
    std::string more(count - ahead_.size(), '\0');
    const std::string kept = std::move(ahead_);
    ahead_.clear();
    more.resize(read(more.data(), more.size()));
    ahead_ = kept + more;
  }
  return std::string_view(ahead_).substr(0, count);
}

std::string ByteStream::rest() {
  std::string bytes;
  std::string buffer(std::size_t{1} << 20, '\0');
  for (std::size_t n = read(buffer.data(), buffer.size()); n > 0; n = read(buffer.data(), buffer.size()))
    bytes.append(buffer, 0, n);
  return bytes;
}

}  // namespace tempera
