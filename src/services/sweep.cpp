#include "tempera/services/sweep.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/format.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/metrics.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

/// The verdict of a run that has ended; nothing of one that has not.
std::optional<std::string> verdict_of(const fs::path& run) {
  const fs::path latest = run / "checkpoint.h5";
  if (!fs::exists(latest)) return std::nullopt;
  return Hdf5Reader(latest).text_attribute("/provenance", "verdict");
}

SweepResult result_of(const fs::path& run) {
  SweepResult result;
  if (!fs::exists(run / "checkpoint.h5")) return result;
  const std::optional<std::string> verdict = verdict_of(run);
  result.state = verdict ? SweepState::kFinished : SweepState::kStopped;
  result.verdict = verdict.value_or("");
  const Metrics metrics = read_metrics(run / "metrics.csv");
  const std::vector<double> update = metrics.column("update");
  const std::vector<double> trusted = metrics.column("trusted");
  const auto take = [&](std::size_t k, const char* split) {
    result.update = static_cast<std::uint64_t>(update[k]);
    result.likelihood = metrics.column(std::string(split) + "_log_likelihood")[k];
    result.standard_error = metrics.column(std::string(split) + "_standard_error")[k];
  };
  const std::vector<double> validation = metrics.column("validation_log_likelihood");
  // That of the model that is offered, where the run has chosen one.
  const double offered = Hdf5Reader(run / "checkpoint.h5")
                             .number_attribute("/state/observers/early_stopping", "best_update")
                             .value_or(0.0);
  for (std::size_t k = 0; k < update.size(); ++k) {
    if (std::isnan(validation[k]) || trusted[k] == 0.0 || (offered > 0.0 && update[k] != offered)) continue;
    if (!result.of_validation || validation[k] > result.likelihood) take(k, "validation");
    result.of_validation = true;
  }
  if (!result.of_validation && !update.empty() && trusted.back() != 0.0) take(update.size() - 1, "train");
  return result;
}

/// A cell of a CSV file.
std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string number(const char* form, double value) { return std::isnan(value) ? "" : format(form, value); }

}  // namespace

void require_sound(const std::vector<SweepSetting>& settings) {
  std::vector<Violation> violations;
  for (const SweepSetting& setting : settings) {
    for (const Violation& found : check(setting.options)) violations.push_back(found);
  }
  if (!violations.empty()) throw ConfigError(violations);
}

fs::path config_of(const SweepSetting& setting, const fs::path& sweep) {
  return sweep / "settings" / (setting.name + ".toml");
}

void require_same(const std::vector<SweepSetting>& settings, const fs::path& sweep) {
  std::vector<Violation> violations;
  for (const SweepSetting& setting : settings) {
    const fs::path config = config_of(setting, sweep);
    if (!fs::exists(config) || !fs::exists(directory_of(setting, sweep) / "checkpoint.h5")) continue;
    TrainOptions begun;
    read_config(config, begun);
    TrainOptions::visit(
        [&](const OptionText& option, const auto& now, const auto& then) {
          const std::string before = text_of(then, option.none);
          if (text_of(now, option.none) != before)
            violations.push_back({option.name, text_of(now, option.none),
                                  setting.name + " was begun with " + before + "; take another --out"});
        },
        setting.options, begun);
  }
  if (!violations.empty()) throw ConfigError(violations);
}

fs::path directory_of(const SweepSetting& setting, const fs::path& sweep) {
  return sweep / "runs" / setting.name;
}

std::vector<SweepResult> results_of(const std::vector<SweepSetting>& settings, const fs::path& sweep) {
  std::vector<SweepResult> results;
  for (const SweepSetting& setting : settings) results.push_back(result_of(directory_of(setting, sweep)));
  const bool validated =
      std::any_of(results.begin(), results.end(), [](const SweepResult& r) { return r.of_validation; });
  SweepResult* best = nullptr;
  for (SweepResult& result : results) {
    const bool counts = result.state == SweepState::kFinished && !std::isnan(result.likelihood) &&
                        result.of_validation == validated;
    if (counts && (best == nullptr || result.likelihood > best->likelihood)) best = &result;
  }
  if (best == nullptr) return results;
  best->is_best = true;
  const double least = best->likelihood - (std::isnan(best->standard_error) ? 0.0 : best->standard_error);
  for (SweepResult& result : results)
    result.is_near = result.state == SweepState::kFinished && result.of_validation == validated &&
                     result.likelihood >= least;
  return results;
}

std::string csv_of(const std::vector<SweepSetting>& settings, const std::vector<SweepResult>& results) {
  std::string text = "name";
  for (const auto& [option, value] : settings.front().varied) text += "," + option;
  text += ",state,update,split,log_likelihood,standard_error,best,verdict\n";
  for (std::size_t k = 0; k < settings.size(); ++k) {
    const SweepResult& result = results[k];
    text += cell(settings[k].name);
    for (const auto& [option, value] : settings[k].varied) text += "," + cell(value);
    text += "," + text_of(result.state) + "," + std::to_string(result.update) + "," +
            (std::isnan(result.likelihood) ? ""
             : result.of_validation        ? "valid"
                                           : "train") +
            "," + number("%.6f", result.likelihood) + "," + number("%.6f", result.standard_error) + "," +
            (result.is_best   ? "best"
             : result.is_near ? "near"
                              : "") +
            "," + cell(result.verdict) + "\n";
  }
  return text;
}

std::string words(const std::vector<SweepSetting>& settings, const std::vector<SweepResult>& results) {
  std::size_t width = 4;
  for (const SweepSetting& setting : settings) width = std::max(width, setting.name.size());
  std::string text;
  for (std::size_t k = 0; k < settings.size(); ++k) {
    const SweepResult& result = results[k];
    text += settings[k].name + std::string(width + 2 - settings[k].name.size(), ' ');
    text += std::isnan(result.likelihood)
                ? text_of(result.state)
                : format("%10.4f +- %.4f %s%s", result.likelihood,
                         std::isnan(result.standard_error) ? 0.0 : result.standard_error,
                         result.of_validation ? "valid" : "train",
                         result.is_best   ? "  best"
                         : result.is_near ? "  within one error of the best"
                                          : "");
    text += "\n";
  }
  text.pop_back();
  return text;
}

}  // namespace tempera
