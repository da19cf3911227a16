#include "tempera/core/digest.hpp"

#include <algorithm>
#include <cstring>

namespace tempera {
namespace {

/// The last step of SplitMix64: every bit of the result depends on every bit of x.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
  return x ^ (x >> 31);
}

}  // namespace

std::uint64_t digest(std::span<const std::byte> bytes, std::uint64_t before) {
  std::uint64_t now = mixed(before + 0x9E3779B97F4A7C15U * (bytes.size() + 1));
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t n = std::min(bytes.size(), sizeof(word));
    std::memcpy(&word, bytes.data(), n);
    now = mixed(now ^ word) + 0x9E3779B97F4A7C15U;
    bytes = bytes.subspan(n);
  }
  return now;
}

}  // namespace tempera
