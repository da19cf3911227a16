#include "tempera/core/format.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

namespace tempera {

std::string format(const char* pattern, ...) {
  va_list arguments;
  va_list again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  std::string text(static_cast<std::size_t>(std::max(0, std::vsnprintf(nullptr, 0, pattern, arguments))),
                   ' ');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  va_end(arguments);
  return text;
}

}  // namespace tempera
