// Which instruction sets the kernels are compiled for. Include before Highway.
#pragma once

// All of this CPU family that a program may meet, and plain C++ (SCALAR; scalar.hpp) also in place of
// Highway's emulated vectors, so that there is one fallback.
#define HWY_COMPILE_ALL_ATTAINABLE
#define HWY_BROKEN_EMU128 1

#include <hwy/detect_targets.h>

// On x86 SSE4 (the least that the build asks for), AVX2 and the common AVX-512 (AVX3 in the names of
// Highway). Vectors of unknown length (SVE, RVV) cannot be kept in arrays.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
