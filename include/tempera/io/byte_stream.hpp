// The bytes of a file in order, unpacked where it is compressed by gzip, so that no reader needs a whole file
// in memory or to know how it is packed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "tempera/core/reading.hpp"

namespace tempera {

class ByteStream {
 public:
  /// Gives at most so many bytes; 0 at the end, below 0 where they cannot be read.
  using Source = std::function<std::ptrdiff_t(char* out, std::size_t most)>;

  /// A regular file, plain or gzip. Throws NoInputError where there is none, DataError where it is something
  /// else (a folder, a pipe, a device), which it names.
  explicit ByteStream(const std::filesystem::path& path, ReadingProgress told = {});
  /// Bytes from an archive, `most` at most.
  ByteStream(std::string name, Source source, double most);

  /// Fewer than asked for only at the end. Throws DataError where bytes cannot be read or packed ones are
  /// damaged, or unpack to more than a quarter of the memory of this machine.
  std::size_t read(char* out, std::size_t count);
  /// Exactly so many. Throws DataError that says what is `missing`.
  void read_exactly(char* out, std::size_t count, const std::string& missing);
  /// The next bytes, fewer only at the end; they are still to be read.
  std::string_view peek(std::size_t count);
  /// All that are left.
  std::string rest();
  /// Throws DataError that says what is `missing` where so many bytes cannot be left, by the size of the file
  /// and by what it can unpack to: before memory is taken for them.
  void require_left(double count, const std::string& missing) const;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool packed() const { return packed_; }
  /// Bytes so far.
  [[nodiscard]] double count() const { return unpacked_; }

 private:
  std::string name_;
  Source source_;
  bool packed_ = false;
  std::string ahead_;  // peeked at
  double unpacked_ = 0.0;
  double most_;  // that there can be in all
};

/// Bytes that one packed byte can unpack to at most, by the method of gzip and of archives.
inline constexpr double kLargestRatio = 1032.0;

}  // namespace tempera
