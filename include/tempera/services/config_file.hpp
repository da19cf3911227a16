// Options of a training run as TOML.
#pragma once

#include <filesystem>
#include <string>

#include "tempera/train/options.hpp"

namespace tempera {

/// Overrides the options that the file names, in sections or without, by today's names or older ones. Throws
/// NoInputError, or ConfigError naming every unknown key and every value of a wrong type at once.
void read_config(const std::filesystem::path& path, TrainOptions& options);

/// The data set that a run was trained on and how it was read, as its config.toml says. Throws as read_config
/// does.
DataOptions data_of_run(const std::filesystem::path& directory);

/// Data with their columns as they are given, else those of a run; no data where there is neither.
DataOptions data_or_of_run(const DataSource& data, const ColumnOptions& columns,
                           const std::filesystem::path& run);

/// Throws ConfigError where texts of options, such as names of files, are not UTF-8: a file of them could not
/// be read back.
void require_utf8(const TrainOptions& options);

/// Every option in its section, with its help as a comment.
std::string to_toml(const TrainOptions& options);

}  // namespace tempera
