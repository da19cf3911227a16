// Configurations of runs: what is read is written and read again.
#include <cstdlib>

#include "input_file.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/services/config_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace tempera;
  TrainOptions options;
  try {
    read_config(input_file(bytes, size), options);
  } catch (const Error&) {
    return 0;
  }
  const std::string text = to_toml(options);
  TrainOptions again;
  read_config(input_file(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()), again);
  if (to_toml(again) != text) std::abort();
  return 0;
}
