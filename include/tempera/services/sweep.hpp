// Many runs of one plan: which settings there are, what has become of each, and which is best.
#pragma once

#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tempera/train/options.hpp"

namespace tempera {

/// One run of a sweep.
struct SweepSetting {
  std::string name;                                         // of its directory: "hidden=25,seed=1"
  std::vector<std::pair<std::string, std::string>> varied;  // options that are not the same in all
  TrainOptions options;
};

/// Settings that a TOML file asks for: options that hold for all, every combination of the lists of [grid],
/// and the tables of [[list]], each with each. Throws NoInputError, or ConfigError naming every violation.
std::vector<SweepSetting> read_sweep(const std::filesystem::path& spec);

enum class SweepState { kNotBegun, kStopped, kFinished };
template <>
struct Names<SweepState> {
  static constexpr std::array<NamedValue<SweepState>, 3> table = {{{SweepState::kNotBegun, "not begun", ""},
                                                                   {SweepState::kStopped, "stopped", ""},
                                                                   {SweepState::kFinished, "finished", ""}}};
};

/// What the files of a run tell of the model that it offers.
struct SweepResult {
  SweepState state = SweepState::kNotBegun;
  std::uint64_t update = 0;    // of the model
  bool of_validation = false;  // whether the likelihood is of validation cases, else of training cases
  double likelihood = std::numeric_limits<double>::quiet_NaN();      // nats a case
  double standard_error = std::numeric_limits<double>::quiet_NaN();  // of both sources of error
  std::string verdict;
  bool is_best = false;
  bool is_near = false;  // within one standard error of the best
};

/// Throws ConfigError naming every setting that cannot be trained.
void require_sound(const std::vector<SweepSetting>& settings);

/// What a setting was begun with, as a configuration.
std::filesystem::path config_of(const SweepSetting& setting, const std::filesystem::path& sweep);

/// Throws ConfigError naming every run that was begun with other options than the plan has now: its results
/// would be taken for those of the plan.
void require_same(const std::vector<SweepSetting>& settings, const std::filesystem::path& sweep);

/// Where the run of a setting stands.
std::filesystem::path directory_of(const SweepSetting& setting, const std::filesystem::path& sweep);

/// What has become of every setting; the best has the largest likelihood of those that are finished and may
/// be trusted.
std::vector<SweepResult> results_of(const std::vector<SweepSetting>& settings,
                                    const std::filesystem::path& sweep);

/// The table of results, a line for each setting; `csv_of` also of those that have not begun.
std::string csv_of(const std::vector<SweepSetting>& settings, const std::vector<SweepResult>& results);
std::string words(const std::vector<SweepSetting>& settings, const std::vector<SweepResult>& results);

}  // namespace tempera
