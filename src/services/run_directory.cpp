#include "tempera/services/run_directory.hpp"

#include <algorithm>
#include <cstdlib>

#include "tempera/core/errors.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

/// Updates of the checkpoints in a history, latest first. Other files are nobody's business.
std::vector<std::uint64_t> checkpoint_updates(const fs::path& history) {
  std::vector<std::uint64_t> updates;
  if (!fs::exists(history)) return updates;
  for (const auto& entry : fs::directory_iterator(history)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".h5" && stem.find_first_not_of("0123456789") == std::string::npos)
      updates.push_back(std::strtoull(stem.c_str(), nullptr, 10));
  }
  std::sort(updates.rbegin(), updates.rend());
  return updates;
}

fs::path history_of(const fs::path& directory) { return directory / "checkpoints"; }

fs::path checkpoint_of(const fs::path& directory, std::uint64_t update) {
  return history_of(directory) / (std::to_string(update) + ".h5");
}

void remove_temporaries_here(const fs::path& directory) {
  if (!fs::exists(directory)) return;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!is_temporary(entry.path()) || !entry.is_regular_file() || entry.is_symlink()) continue;
    // Only those of this program's own files.
    const std::string of = entry.path().stem().stem().string();
    const bool own = of == "checkpoint" || of == "best" || of == "config" || of == "metrics" ||
                     of == "data" || of == "curves" || of == "features" || of == "samples" ||
                     of.find_first_not_of("0123456789") == std::string::npos;
    if (own) fs::remove(entry.path());
  }
}

void remove_temporaries(const fs::path& directory) {
  change_files([&] { remove_temporaries_here(directory); });
}

}  // namespace

bool holds_run(const fs::path& directory) {
  for (const char* name : {"config.toml", "checkpoint.h5"}) {
    std::error_code error;
    if (fs::exists(directory / name, error)) return true;
    if (error) throw WriteError(directory.string() + ": cannot be used: " + error.message());
  }
  return false;
}

std::vector<fs::path> kept_checkpoints(const fs::path& directory) {
  std::vector<fs::path> paths;
  for (const std::uint64_t update : checkpoint_updates(history_of(directory)))
    paths.push_back(checkpoint_of(directory, update));
  std::reverse(paths.begin(), paths.end());
  return paths;
}

RunDirectory::RunDirectory(fs::path directory) : directory_(std::move(directory)) {
  make_directories(history_of(directory_));
  lock_.emplace(directory_);
  remove_temporaries(directory_);
  remove_temporaries(history_of(directory_));
}

fs::path RunDirectory::kept(std::uint64_t update) const { return checkpoint_of(directory_, update); }

// What there is to remove is seen by who removes it: other processes may see a directory as it was.

void RunDirectory::remove_best_but(std::uint64_t update) const {
  change_files([&] {
    if (!fs::exists(best())) return;
    std::optional<double> found;
    try {
      found = Hdf5Reader(best()).number_attribute("/state", "update");
    } catch (const DataError&) {
      return;  // nobody's model, which the end of the run says
    }
    if (found && *found != static_cast<double>(update)) remove_file(best());
  });
}

void RunDirectory::remove_products(const fs::path& trained_on) const {
  change_files([&] {
    for (const std::uint64_t update : checkpoint_updates(history_of(directory_))) remove_file(kept(update));
    for (const fs::path& path : {best(), metrics(), curves(), features(), samples()}) remove_file(path);
    if (trained_on != fs::absolute(data())) remove_file(data());
  });
}

void RunDirectory::prune(std::uint64_t keep) const {
  change_files([&] {
    const std::vector<std::uint64_t> updates = checkpoint_updates(history_of(directory_));
    for (std::size_t i = static_cast<std::size_t>(keep); i < updates.size(); ++i)
      remove_file(kept(updates[i]));
  });
}

}  // namespace tempera
