// Whole files: read, and written so that no reader ever sees half of one.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace tempera {

/// How a change of files is made: by this process, as long as nobody says otherwise. Where several processes
/// do the same work in step, one of them makes it and all see it succeed or fail.
using FileChange = std::function<void(const std::function<void()>& change)>;

/// What this program does instead from here on; called once, before any file is written.
void set_file_change(FileChange how);

/// Makes a change of files in that way. Everything below that changes files does.
void change_files(const std::function<void()>& change);

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

/// Removes a file, where it is there. Throws WriteError.
void remove_file(const std::filesystem::path& path);

/// Keeps other processes of this program out of a directory for its lifetime. Throws WriteError where another
/// has it. Leaves no file behind.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory);
  ~DirectoryLock();
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;

 private:
  int fd_ = -1;  // of the process that changes files
};

/// Throws NoInputError where nothing of that name exists.
void require_exists(const std::filesystem::path& path);

/// Throws NoInputError where nothing of that name exists, DataError that says what there is where it is no
/// regular file: a folder, a pipe, a device.
void require_regular_file(const std::filesystem::path& path);

}  // namespace tempera
