// tempera train
#include <memory>

#include "config_file.hpp"
#include "run.hpp"
#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  TrainConfig config;
  std::string config_file;
  std::string out;
  bool force = false;
};

int run(Options& options, const CLI::App& app) {
  // The file's values, then those of the command line over them.
  TrainConfig config;
  if (!options.config_file.empty()) read_config(options.config_file, config);
  TrainConfig::visit(
      [&app](const std::string& name, const char*, auto& chosen, const auto& given) {
        if (app.count("--" + name) > 0) chosen = given;
      },
      config, options.config);
  // A run remembers its data wherever it is resumed from.
  if (std::error_code error; std::filesystem::exists(config.data, error) && !is_builtin(config.data))
    config.data = std::filesystem::absolute(config.data).string();
  if (const auto violations = validate(config); !violations.empty()) throw ConfigError(violations);
  if (app.count("--updates") > 0 && app.count("--epochs") > 0 && config.epochs > 0)
    throw UsageError("train: --updates and --epochs both say how long; give one");
  if (app.count("--updates") > 0) config.epochs = 0;  // also over the file's
  const std::filesystem::path out = options.out;
  if (holds_run(out) && !options.force)
    throw WriteError(options.out + ": holds a run already; --force replaces it, tempera resume continues it");
  catch_signals();
  return run_training(out, config, Start::kAnew, options.common);
}

}  // namespace

void setup_train(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("train", "train a model into a run directory");
  TrainConfig::visit(
      [&app](const std::string& name, const char* help, auto& field) {
        CLI::Option* option = nullptr;
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, bool>) {
          option = app.add_flag("--" + name + ",!--no-" + name, field, help);
        } else {
          option = app.add_option("--" + name, field, help);
        }
        option->capture_default_str();
        if (name == "track-log-z") option->expected(0, 1)->default_str("lattice");  // alone
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::int64_t>) {
          option->check(whole_number());
        }
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::vector<std::int64_t>>) {
          option->delimiter(',')->check(whole_number());
        }
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::vector<std::string>>) {
          option->delimiter(',');
        }
      },
      options->config);
  app.add_option("--config", options->config_file,
                 "TOML file with any of these options; the command line overrides it");
  app.add_option("--out", options->out, "run directory")->required();
  app.add_flag("--force", options->force, "replace a run that is there already");
  add_common_options(app, options->common);
  app.callback([options, &app, &exit_code] { exit_code = run(*options, app); });
}

}  // namespace tempera::apps
