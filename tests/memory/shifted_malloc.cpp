// An allocator to be preloaded: memory begins so many bytes after a multiple of 64 as TEMPERA_SHIFT says
// (0, 16, 32 or 48), as far as who asks for it leaves the choice, and is full of a byte that goes with it.
//
// A block of glibc's allocator holds a header, which says where it begins and what was asked for, and behind
// it what is handed out.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

extern "C" {
void* __libc_malloc(std::size_t size);
void __libc_free(void* block);
}

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kLeast = 16;  // alignment of every block

struct Header {
  void* block;
  std::size_t size;
};
static_assert(sizeof(Header) == kLeast);

/// Nothing is kept before there is an environment to look it up in: the loader allocates too.
std::size_t shift() {
  static constinit std::atomic<int> known = -1;
  int bytes = known.load(std::memory_order_relaxed);
  if (bytes < 0) {
    const char* text = std::getenv("TEMPERA_SHIFT");
    if (text == nullptr) return 0;
    bytes = std::atoi(text) / 16 % 4 * 16;
    known.store(bytes, std::memory_order_relaxed);
  }
  return static_cast<std::size_t>(bytes);
}

/// 0x0f, 0x5f, 0xaf or 0xff: the last makes numbers that are not finite.
int filling() { return static_cast<int>(5 * shift() + 15); }

Header& header_of(void* memory) { return static_cast<Header*>(memory)[-1]; }

void* allocate(std::size_t size, std::size_t alignment) {
  alignment = std::max(alignment, kLeast);
  const std::size_t step = std::max(alignment, kLine);
  const std::size_t more = sizeof(Header) + step + kLine;
  void* block = size > SIZE_MAX - more ? nullptr : __libc_malloc(size + more);
  if (block == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(block) + sizeof(Header);
  void* memory = reinterpret_cast<void*>((begin + step - 1) / step * step + (shift() & ~(alignment - 1)));
  header_of(memory) = {block, size};
  return memory;
}

void* filled(std::size_t size, std::size_t alignment, int byte) {
  void* memory = allocate(size, alignment);
  if (memory != nullptr) std::memset(memory, byte, size);
  return memory;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) noexcept { return filled(size, kLeast, filling()); }

void free(void* memory) noexcept {
  if (memory != nullptr) __libc_free(header_of(memory).block);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, size, &all)) {
    errno = ENOMEM;
    return nullptr;
  }
  return filled(all, kLeast, 0);
}

void* realloc(void* memory, std::size_t size) noexcept {
  if (memory == nullptr) return malloc(size);
  if (size == 0) {
    free(memory);
    return nullptr;
  }
  void* moved = malloc(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, memory, std::min(size, header_of(memory).size));
  free(memory);
  return moved;
}

void* reallocarray(void* memory, std::size_t count, std::size_t size) noexcept {
  std::size_t all = 0;
  if (__builtin_mul_overflow(count, size, &all)) {
    errno = ENOMEM;
    return nullptr;
  }
  return realloc(memory, all);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  return filled(size, alignment, filling());
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept { return memalign(alignment, size); }

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  if (alignment % sizeof(void*) != 0 || (alignment & (alignment - 1)) != 0 || alignment == 0) return EINVAL;
  void* found = memalign(alignment, size);
  if (found == nullptr) return ENOMEM;
  *memory = found;
  return 0;
}

void* valloc(std::size_t size) noexcept { return memalign(4096, size); }

void* pvalloc(std::size_t size) noexcept { return memalign(4096, (size + 4095) / 4096 * 4096); }

std::size_t malloc_usable_size(void* memory) noexcept {
  return memory == nullptr ? 0 : header_of(memory).size;
}

}  // extern "C"
