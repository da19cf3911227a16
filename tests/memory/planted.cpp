// A program with the fault that test_memory.py looks for: a sum that depends on where memory lies. It prints
// where a vector begins, in bytes after a multiple of 64; whether memory that asks for an alignment gets it;
// and the sum of the vector, which adds by sixteens from the first multiple of 64 on.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

namespace {

std::size_t beyond_line(const void* memory) { return reinterpret_cast<std::uintptr_t>(memory) % 64; }

struct alignas(64) Line {
  std::array<float, 16> numbers;
};

/// As a library does that adds by vectors of 16 where memory is aligned, and one by one before and behind.
float sum_by_lines(const std::vector<float>& x) {
  const std::size_t before = (64 - beyond_line(x.data())) % 64 / sizeof(float);
  std::array<float, 16> sums{};
  std::size_t i = before;
  for (; i + 16 <= x.size(); i += 16) {
    for (std::size_t k = 0; k < 16; ++k) sums[k] += x[i + k];
  }
  float sum = 0;
  for (const float s : sums) sum += s;
  for (std::size_t k = 0; k < before; ++k) sum += x[k];
  for (; i < x.size(); ++i) sum += x[i];
  return sum;
}

}  // namespace

int main() {
  bool kept = true;
  std::vector<std::unique_ptr<Line>> lines;
  for (int n = 0; n < 100; ++n) {
    lines.push_back(std::make_unique<Line>());
    kept = kept && beyond_line(lines.back().get()) == 0;
  }
  for (const std::size_t alignment : {32, 64, 128, 4096}) {
    void* memory = nullptr;
    if (posix_memalign(&memory, alignment, 100) != 0) return 1;
    kept = kept && reinterpret_cast<std::uintptr_t>(memory) % alignment == 0;
    std::free(memory);
  }
  // Grown from nothing, so that it moves.
  std::vector<float> x;
  for (int n = 1; n <= 1000; ++n) x.push_back(1.0F / static_cast<float>(n));
  std::printf("{\"begin\": %zu, \"aligned\": %s, \"sum\": %.9g}\n", beyond_line(x.data()),
              kept ? "true" : "false", static_cast<double>(sum_by_lines(x)));
}
