// TrainConfig as TOML.
#pragma once

#include <filesystem>
#include <string>

#include "tempera/train/config.hpp"

namespace tempera::apps {

/// Overrides the fields that the file names. Throws NoInputError, or ConfigError naming every unknown key and
/// every value of a wrong type at once.
void read_config(const std::filesystem::path& path, TrainConfig& config);

/// Every field, with its help as a comment.
std::string to_toml(const TrainConfig& config);

}  // namespace tempera::apps
