// Data of every kind: what a file is, its content says.
#include <cstdlib>

#include "input_file.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/data_files.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace tempera;
  const std::string path = input_file(bytes, size).string();
  ReadingOptions as_asked;
  as_asked.columns.missing = MissingRule::kMean;
  as_asked.columns.labels = "0";
  for (const ReadingOptions& reading : {ReadingOptions(), as_asked}) {
    try {
      const DataFile data = load_data(path, reading);
      for (const auto& [split, table] : data.splits) {
        const auto cells = static_cast<std::size_t>(table.rows * table.columns);
        if (cells == 0 || (table.is_bytes() ? table.bytes.size() : table.floats.size()) != cells)
          std::abort();
        if (!table.weights.empty() && table.weights.size() != static_cast<std::size_t>(table.rows))
          std::abort();
      }
    } catch (const Error&) {
    }
  }
  try {
    static_cast<void>(arrays_in(path));
  } catch (const Error&) {
  }
  return 0;
}
