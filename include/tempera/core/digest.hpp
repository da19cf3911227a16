// Digests: numbers that tell contents apart. Not for security.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "tempera/core/fields.hpp"

namespace tempera {

/// A digest of bytes that follow those of another one.
std::uint64_t digest(std::span<const std::byte> bytes, std::uint64_t before = 0);
inline std::uint64_t digest(std::string_view text, std::uint64_t before = 0) {
  return digest(std::as_bytes(std::span(text)), before);
}
template <Scalar T>
std::uint64_t digest(const T& number, std::uint64_t before = 0) {
  return digest(std::as_bytes(std::span(&number, 1)), before);
}

/// Of every number of every field, and of how many there are.
template <Fielded T>
std::uint64_t digest(const T& value, std::uint64_t before = 0) {
  std::uint64_t now = before;
  for_each_field(
      [&now]<class Field>(std::string_view, const Field& field) {
        if constexpr (Fielded<Field> || Scalar<Field>) {
          now = digest(field, now);
        } else if constexpr (VectorOfFielded<Field>) {
          now = digest(field.size(), now);
          for (const auto& one : field) now = digest(one, now);
        } else if constexpr (VariantOfFielded<Field>) {
          now = std::visit([&](const auto& held) { return digest(held, digest(field.index(), now)); }, field);
        } else {
          now = digest(std::as_bytes(std::span(field.data(), static_cast<std::size_t>(field.size()))),
                       digest(static_cast<std::uint64_t>(field.size()), now));
        }
      },
      value);
  return now;
}

}  // namespace tempera
