// What every subcommand shares: common options, output, signals.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "tempera/core/errors.hpp"
#include "tempera/core/observer.hpp"

namespace tempera::apps {

using Json = nlohmann::ordered_json;

struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;
};

void add_common_options(CLI::App& app, CommonOptions& common);

/// Refuses integers that 64 bits do not hold: the parser would take the nearest one that they do.
const CLI::Validator& whole_number();

/// A line on standard error, unless --quiet.
void log(const CommonOptions& common, const std::string& line);
/// A warning on standard error, always.
void warn(const std::string& line);
/// The result of a command: `json` with --json, else `text`, on standard output.
void print_result(const CommonOptions& common, const Json& json, const std::string& text);

/// The chain of a draw has 32 bits.
inline constexpr std::int64_t kMaxChains = std::int64_t{1} << 31;

/// Adds a violation where a value is out of [least, most].
void require_between(std::vector<Violation>& violations, const std::string& field, std::int64_t value,
                     std::int64_t least, std::int64_t most);
/// Throws ConfigError where `bytes`, the need of this value of a field, go beyond the machine's memory.
void require_memory(const std::string& field, std::int64_t value, double bytes);

/// A count that has been checked not to be negative.
inline std::uint64_t as_count(std::int64_t n) { return static_cast<std::uint64_t>(n); }

std::string format(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

/// A progress line: redrawn on a terminal, a plain line now and then in a pipe.
class ProgressLine {
 public:
  ProgressLine(const CommonOptions& common, std::string label);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// fraction in [0, 1] of the work done, of which `start` was done before this line began.
  void show(double fraction, const std::string& note = "", double start = 0.0);

 private:
  bool enabled_;
  bool terminal_;
  bool drawn_ = false;
  std::string label_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point last_;
};

/// After this, SIGINT and SIGTERM only set a flag.
void catch_signals();
bool interrupted();

/// Progress of an estimate, which a signal ends (exit 130).
Progress show_on(ProgressLine& line);

// One per subcommand: adds it to the program; running it stores the exit code.
void setup_train(CLI::App& program, int& exit_code);
void setup_resume(CLI::App& program, int& exit_code);
void setup_loglik(CLI::App& program, int& exit_code);
void setup_sample(CLI::App& program, int& exit_code);
void setup_features(CLI::App& program, int& exit_code);
void setup_info(CLI::App& program, int& exit_code);
void setup_import(CLI::App& program, int& exit_code);
void setup_data(CLI::App& program, int& exit_code);
void setup_bench(CLI::App& program, int& exit_code);
void setup_prune(CLI::App& program, int& exit_code);
void setup_encode(CLI::App& program, int& exit_code);

}  // namespace tempera::apps
