// What every subcommand shares: common options, output, signals.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tempera/core/errors.hpp"

namespace tempera::apps {

using Json = nlohmann::ordered_json;

struct CommonOptions {
  bool json = false;
  bool quiet = false;
  int threads = 0;
};

void add_common_options(CLI::App& app, CommonOptions& common);

/// Text that may come from a file, without the characters that make a terminal do things.
std::string printable(const std::string& text);

/// The result of a command: `json` with --json, else `text`, on standard output.
void print_result(const CommonOptions& common, const Json& json, const std::string& text);
/// The same of a table in lines.
void print_table(const CommonOptions& common, const Json& json, std::string table);

// One per subcommand: adds it to the program; running it stores the exit code.
void setup_train(CLI::App& program, int& exit_code);
void setup_resume(CLI::App& program, int& exit_code);
void setup_loglik(CLI::App& program, int& exit_code);
void setup_couplings(CLI::App& program, int& exit_code);
void setup_export(CLI::App& program, int& exit_code);
void setup_score(CLI::App& program, int& exit_code);
void setup_sample(CLI::App& program, int& exit_code);
void setup_features(CLI::App& program, int& exit_code);
void setup_info(CLI::App& program, int& exit_code);
void setup_import(CLI::App& program, int& exit_code);
void setup_data(CLI::App& program, int& exit_code);
void setup_bench(CLI::App& program, int& exit_code);
void setup_manual(CLI::App& program, int& exit_code);
void setup_sweep(CLI::App& program, int& exit_code);
void setup_report(CLI::App& program, int& exit_code);
void setup_prune(CLI::App& program, int& exit_code);
void setup_encode(CLI::App& program, int& exit_code);

}  // namespace tempera::apps
