// The files of a run: where they are, which go, and who may write them.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "tempera/io/files.hpp"

namespace tempera {

/// Whether a directory holds files of a run. Throws WriteError where that cannot be seen.
bool holds_run(const std::filesystem::path& directory);

/// Checkpoints that a run keeps beside its latest one, earliest first.
std::vector<std::filesystem::path> kept_checkpoints(const std::filesystem::path& directory);

/// A run directory that this process writes to, and no other for as long as this lives.
class RunDirectory {
 public:
  /// Creates what is missing and removes temporary files that a killed process has left. Throws WriteError.
  explicit RunDirectory(std::filesystem::path directory);

  [[nodiscard]] const std::filesystem::path& path() const { return directory_; }
  [[nodiscard]] std::filesystem::path config() const { return directory_ / "config.toml"; }
  [[nodiscard]] std::filesystem::path latest() const { return directory_ / "checkpoint.h5"; }
  /// The best validated model so far, of a run that validates.
  [[nodiscard]] std::filesystem::path best() const { return directory_ / "best.h5"; }
  /// Removes a best model of another update.
  void remove_best_but(std::uint64_t update) const;
  [[nodiscard]] std::filesystem::path kept(std::uint64_t update) const;
  [[nodiscard]] std::filesystem::path metrics() const { return directory_ / "metrics.csv"; }
  /// What a run was trained on that was given arrays.
  [[nodiscard]] std::filesystem::path data() const { return directory_ / "data.h5"; }
  [[nodiscard]] std::filesystem::path curves() const { return directory_ / "curves.png"; }
  [[nodiscard]] std::filesystem::path features() const { return directory_ / "features.png"; }
  [[nodiscard]] std::filesystem::path samples() const { return directory_ / "samples.png"; }

  /// Removes what an earlier run left beside its latest checkpoint and its configuration, but for the data
  /// that the new one is trained on.
  void remove_products(const std::filesystem::path& trained_on) const;
  /// Removes kept checkpoints but for the `keep` latest ones.
  void prune(std::uint64_t keep) const;

 private:
  std::filesystem::path directory_;
  std::optional<DirectoryLock> lock_;
};

}  // namespace tempera
