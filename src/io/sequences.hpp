// Files of aligned sequences: FASTA, A2M, A3M and Stockholm.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tempera/io/data_files.hpp"

namespace tempera {

/// Sequences of one length as codes.
struct Sequences {
  Table table;
  Alphabet alphabet;
  std::vector<std::string> names;
  std::vector<std::string> remarks;  // what was left out or changed
};

/// Lower-case letters and '.' are insertions, and left out, where all sequences have one length without them.
/// Throws DataError where sequences have different lengths, or letters that are not known.
Sequences read_sequences(const std::filesystem::path& path, const ReadingOptions& reading);

/// The letters that are chosen; none where the file or its columns decide. Throws UsageError where letters
/// are less than two, or one comes twice.
std::string letters_of(const AlphabetChoice& choice);

}  // namespace tempera
