#include "tempera/io/files.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tempera/core/errors.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

/// What the name of a temporary file adds to that of its target, before the number of the process.
constexpr const char* kTemporary = ".tmp-";

[[noreturn]] void fail(const fs::path& path, int error) {
  throw WriteError(path.string() + ": cannot be written: " + std::strerror(error));
}

/// Closes on destruction; a descriptor of its own so that every error is seen.
class Descriptor {
 public:
  Descriptor(const fs::path& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  bool write_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// Everything up to the end; false where it cannot be read.
  bool read_all(std::string& bytes) const {
    std::string buffer(std::size_t{1} << 18, '\0');
    for (;;) {
      const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n == 0;
      bytes.append(buffer, 0, static_cast<std::size_t>(n));
    }
  }
  void permit(mode_t mode) const { static_cast<void>(::fchmod(fd_, mode)); }
  [[nodiscard]] bool sync() const { return ::fsync(fd_) == 0; }
  bool close() {
    const int fd = fd_;
    fd_ = -1;
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

}  // namespace

namespace {

FileChange& file_change() {
  static FileChange how = [](const std::function<void()>& change) { change(); };
  return how;
}

void write_here(const fs::path& target, std::string_view bytes) {
  // A link is followed, and what is no file (a device, say) is not replaced by one.
  std::error_code unknown;
  fs::path path = target;
  for (int links = 0; links < 40 && fs::is_symlink(path, unknown); ++links)
    path = path.parent_path() / fs::read_symlink(path, unknown);
  if (fs::exists(path, unknown) && !fs::is_regular_file(path, unknown))
    throw WriteError(path.string() + ": cannot be written: there is something that is no regular file");
  fs::path temporary = path;
  temporary += kTemporary + std::to_string(::getpid());
  ::unlink(temporary.c_str());  // that of a process of this number, long gone
  Descriptor file(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW);
  if (!file.is_open()) fail(path, errno);
  // Who may read what was there before may read what replaces it.
  struct stat before {};
  if (::stat(path.c_str(), &before) == 0) file.permit(before.st_mode & 07777);
  if (!file.write_all(bytes) || !file.sync() || !file.close() ||
      ::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    fail(path, error);
  }
  const Descriptor directory(path.has_parent_path() ? path.parent_path() : fs::path("."),
                             O_RDONLY | O_DIRECTORY);
  if (directory.is_open() && !directory.sync()) fail(path, errno);
}

}  // namespace

void set_file_change(FileChange how) { file_change() = std::move(how); }

void change_files(const std::function<void()>& change) { file_change()(change); }

void write_file(const fs::path& path, std::string_view bytes) {
  change_files([&] { write_here(path, bytes); });
}

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  const std::size_t at = name.rfind(kTemporary);
  const std::size_t digits = at + std::strlen(kTemporary);
  return at != std::string::npos && digits < name.size() &&
         name.find_first_not_of("0123456789", digits) == std::string::npos;
}

void append_line(const fs::path& path, const std::string& line) {
  change_files([&] {
    Descriptor file(path, O_WRONLY | O_CREAT | O_APPEND);
    if (!file.is_open() || !file.write_all(line + "\n") || !file.close()) fail(path, errno);
  });
}

std::string read_file(const fs::path& path) {
  require_regular_file(path);
  const Descriptor file(path, O_RDONLY);
  std::string bytes;
  if (!file.is_open() || !file.read_all(bytes))
    throw DataError(path.string() + ": cannot be read: " + std::strerror(errno));
  return bytes;
}

void make_directories(const fs::path& path) {
  change_files([&] {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) throw WriteError(path.string() + ": cannot be created: " + error.message());
  });
}

void remove_file(const fs::path& path) {
  change_files([&] {
    std::error_code error;
    fs::remove(path, error);
    if (error) throw WriteError(path.string() + ": cannot be removed: " + error.message());
  });
}

void require_exists(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) throw NoInputError(path.string() + ": no such file");
}

void require_regular_file(const fs::path& path) {
  require_exists(path);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  const char* const what = fs::is_directory(status)                                     ? "a folder"
                           : fs::is_fifo(status)                                        ? "a pipe"
                           : fs::is_socket(status)                                      ? "a socket"
                           : fs::is_block_file(status) || fs::is_character_file(status) ? "a device"
                                                                                        : nullptr;
  if (what != nullptr) throw DataError(path.string() + ": is " + what + ", where a file is expected");
}

DirectoryLock::DirectoryLock(const fs::path& directory) {
  change_files([&] {
    fd_ = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ < 0) fail(directory, errno);
    if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
    ::close(fd_);
    throw WriteError(directory.string() + ": another process is training here");
  });
}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace tempera
