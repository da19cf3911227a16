// What is in a file, in words.
#pragma once

#include <filesystem>

#include "tempera/services/facts.hpp"

namespace tempera {

/// Something that is true of a file: a name and a value, and how to say it.
struct FileFact {
  std::string name;
  std::variant<Fact, Shape> value;
  std::string words;
};

/// Content, sizes, provenance and log Z of any HDF5 file of this program, of a run directory, or of a model
/// of another toolkit. The first fact is the file's name. Throws NoInputError or DataError.
std::vector<FileFact> describe_file(const std::filesystem::path& file);

}  // namespace tempera
