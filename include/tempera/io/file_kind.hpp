// What a file is, by its first bytes and never by its name.
#pragma once

#include <filesystem>

namespace tempera {

enum class FileKind { kHdf5, kNumpyArray, kArchive, kIdx, kText, kJson, kSequences };

/// Throws NoInputError where there is no file, DataError where it is none or of a kind that nothing here
/// reads: the message says what it is, and what to make of it.
FileKind file_kind(const std::filesystem::path& path);

}  // namespace tempera
