#include "tempera/kernels/dispatch.hpp"

#include "simd_targets.hpp"

#include <hwy/targets.h>

#include "tempera/core/errors.hpp"

namespace tempera {

namespace {

/// Of this program and CPU, whatever is in use.
const std::vector<std::int64_t>& targets() {
  static const std::vector<std::int64_t> found = hwy::SupportedAndGeneratedTargets();
  return found;
}

}  // namespace

std::vector<std::string> instruction_sets() {
  std::vector<std::string> names;
  for (const std::int64_t target : targets()) names.emplace_back(hwy::TargetName(target));
  return names;
}

std::string instruction_set() { return hwy::TargetName(hwy::SupportedAndGeneratedTargets().front()); }

void use_instruction_set(const std::string& name) {
  std::string known;
  for (const std::int64_t target : targets()) {
    if (name == hwy::TargetName(target)) {
      hwy::SetSupportedTargetsForTest(target);
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      return;
    }
    known += (known.empty() ? "" : ", ") + std::string(hwy::TargetName(target));
  }
  throw UsageError("instruction set '" + name + "': this program has " + known + " for this CPU");
}

}  // namespace tempera
