#include "tempera/core/errors.hpp"

#include <utility>

namespace tempera {
namespace {

std::string describe(const std::vector<Violation>& violations) {
  std::string text;
  for (const Violation& v : violations) {
    if (!text.empty()) text += "; ";
    text += v.field + " = " + v.value + ": " + v.constraint;
  }
  return text;
}

}  // namespace

ConfigError::ConfigError(std::vector<Violation> violations)
    : Error(ExitCode::kBadConfig, describe(violations)), violations_(std::move(violations)) {}

}  // namespace tempera
