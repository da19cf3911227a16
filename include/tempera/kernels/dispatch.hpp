// Which instruction set the kernels use: the best that this CPU has, chosen when the program runs.
#pragma once

#include <string>
#include <vector>

namespace tempera {

/// Instruction sets that were compiled and that this CPU has, best first, e.g. {"AVX3", "AVX2", "SSE2"}.
[[nodiscard]] std::vector<std::string> instruction_sets();

/// The one in use.
[[nodiscard]] std::string instruction_set();

/// Uses this one from now on; not while kernels run. For tests and measurements. Throws UsageError where it
/// is not one of instruction_sets().
void use_instruction_set(const std::string& name);

}  // namespace tempera
