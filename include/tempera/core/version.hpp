#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tempera {

/// Version of this library, e.g. "0.1.0".
const char* version();

/// What a file's provenance says about the build: version, git revision, compiler, libraries.
std::vector<std::pair<std::string, std::string>> build_provenance();

}  // namespace tempera
