// The bytes of a fuzzer as a file, since readers take files.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

namespace tempera {

/// One file for each process, in memory where there is such a place; every input takes its place.
inline std::filesystem::path input_file(const std::uint8_t* bytes, std::size_t size) {
  static const std::filesystem::path path = [] {
    const std::filesystem::path memory = "/dev/shm";
    const auto folder = std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
    return folder / ("tempera-fuzz-" + std::to_string(getpid()));
  }();
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) std::abort();
  std::fwrite(bytes, 1, size, file);
  std::fclose(file);
  return path;
}

}  // namespace tempera
