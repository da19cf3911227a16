// Whole files: read, and written so that no reader ever sees half of one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace tempera {

/// Writes `bytes` to a temporary name in the same directory, flushes, fsyncs and renames. Throws WriteError,
/// leaving what was there before and no temporary file.
void write_file(const std::filesystem::path& path, std::string_view bytes);

/// Whether a name is one that write_file gives a file while it is written.
bool is_temporary(const std::filesystem::path& path);

/// Appends one line and flushes it to the system. Throws WriteError.
void append_line(const std::filesystem::path& path, const std::string& line);

/// The whole file. Throws NoInputError where it does not exist, DataError where it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Creates a directory and its parents. Throws WriteError.
void make_directories(const std::filesystem::path& path);

/// Keeps other processes of this program out of a directory for its lifetime. Throws WriteError where another
/// has it. Leaves no file behind.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_;
};

/// Throws NoInputError where nothing of that name exists.
void require_exists(const std::filesystem::path& path);

/// Throws NoInputError where nothing of that name exists, DataError that says what there is where it is no
/// regular file: a folder, a pipe, a device.
void require_regular_file(const std::filesystem::path& path);

}  // namespace tempera
