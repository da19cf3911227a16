// What the options of services are checked against before any work begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tempera/core/errors.hpp"

namespace tempera {

/// The chain of a draw has 32 bits.
inline constexpr std::int64_t kMaxChains = std::int64_t{1} << 31;

/// Adds a violation where a value is out of [least, most].
void require_between(std::vector<Violation>& violations, const std::string& field, std::int64_t value,
                     std::int64_t least, std::int64_t most);

/// Throws ConfigError where there are violations.
void require_none(const std::vector<Violation>& violations);

/// Throws ConfigError where `bytes`, the need of this value of a field, go beyond the machine's memory.
void require_memory(const std::string& field, std::int64_t value, double bytes);

/// A count that has been checked not to be negative.
inline std::uint64_t as_count(std::int64_t n) { return static_cast<std::uint64_t>(n); }

}  // namespace tempera
