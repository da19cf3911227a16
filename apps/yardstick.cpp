#include "yardstick.hpp"

#include <chrono>
#include <cstring>
#include <vector>

namespace tempera::apps {

const Yardstick& yardstick_base();
#ifdef TEMPERA_X86
const Yardstick& yardstick_avx512();
const Yardstick& yardstick_avx2();
#endif

const Yardstick& yardstick_for([[maybe_unused]] const std::string& instruction_set) {
#ifdef TEMPERA_X86
  if (instruction_set == "AVX3") return yardstick_avx512();
  if (instruction_set == "AVX2") return yardstick_avx2();
#endif
  return yardstick_base();
}

double copy_rate() {
  constexpr std::size_t kBytes = std::size_t{128} << 20;
  const std::vector<char> from(kBytes, 1);
  std::vector<char> to(kBytes, 2);
  double best = 0.0;
  for (int repeat = 0; repeat < 5; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    std::memcpy(to.data(), from.data(), kBytes);
    asm volatile("" : : "r"(to.data()) : "memory");
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = std::max(best, 2.0 * static_cast<double>(kBytes) / seconds);
  }
  return best;
}

}  // namespace tempera::apps
