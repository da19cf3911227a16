// How much memory there is, for refusing what cannot fit before it is tried.
#pragma once

#include <string>

namespace tempera {

/// Bytes of physical memory of this machine.
[[nodiscard]] double physical_memory();

/// Bytes in GiB, with three digits, for messages.
[[nodiscard]] std::string in_gibibytes(double bytes);

}  // namespace tempera
