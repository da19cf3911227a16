#include "tempera/core/memory.hpp"

#include <unistd.h>

namespace tempera {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

}  // namespace tempera
