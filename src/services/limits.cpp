#include "tempera/services/limits.hpp"

#include "tempera/core/format.hpp"
#include "tempera/core/memory.hpp"

namespace tempera {

void require_between(std::vector<Violation>& violations, const std::string& field, std::int64_t value,
                     std::int64_t least, std::int64_t most) {
  if (value < least)
    violations.push_back({field, std::to_string(value), "must be at least " + std::to_string(least)});
  if (value > most)
    violations.push_back({field, std::to_string(value), "must be at most " + std::to_string(most)});
}

void require_none(const std::vector<Violation>& violations) {
  if (!violations.empty()) throw ConfigError(violations);
}

void require_memory(const std::string& field, std::int64_t value, double bytes) {
  if (bytes <= physical_memory()) return;
  throw ConfigError({{field, std::to_string(value),
                      format("needs about %.3g GiB of memory, this machine has %.3g", bytes / 0x1p30,
                             physical_memory() / 0x1p30)}});
}

}  // namespace tempera
