// Models of other toolkits.
#include <cstdlib>

#include "input_file.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/services/foreign_models.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace tempera;
  try {
    static_cast<void>(read_foreign(input_file(bytes, size)));
  } catch (const Error&) {
  }
  return 0;
}
