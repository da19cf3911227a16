#include "tempera/core/memory.hpp"

#include <unistd.h>

#include <cstdio>

namespace tempera {

double physical_memory() {
  return static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
}

std::string in_gibibytes(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", bytes / 0x1p30);
  return text;
}

}  // namespace tempera
