// How much memory there is, for refusing what cannot fit before it is tried.
#pragma once

namespace tempera {

/// Bytes of physical memory of this machine.
[[nodiscard]] double physical_memory();

}  // namespace tempera
