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
  ReadingOptions as_letters;
  as_letters.columns.alphabet = AlphabetRule::kColumns;
  ReadingOptions with_holes;
  with_holes.columns.unknown = UnknownRule::kDrop;
  with_holes.keeps_missing = true;
  for (const ReadingOptions& reading : {ReadingOptions(), as_asked, as_letters, with_holes}) {
    try {
      const DataFile data = load_data(path, reading);
      for (const auto& [split, table] : data.splits) {
        const auto cells = static_cast<std::size_t>(table.rows * table.columns);
        if (cells == 0 || (table.is_bytes() ? table.bytes.size() : table.floats.size()) != cells)
          std::abort();
        // Codes are letters of their alphabet.
        const Letters letters = data.alphabet.letters(table.columns);
        for (Index k = 0; !data.alphabet.empty() && k < table.rows * table.columns; ++k) {
          const double code = table.at(k);
          if (!(code >= 0.0) || code >= static_cast<double>(letters.of(k % table.columns))) std::abort();
        }
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
