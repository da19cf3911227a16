// tempera resume
#include <memory>

#include "config_file.hpp"
#include "run.hpp"
#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string directory;
  std::int64_t updates = 0;
};

int run(const Options& options) {
  const std::filesystem::path directory = options.directory;
  require_exists(directory);
  if (!std::filesystem::exists(directory / "config.toml")) {
    throw NoInputError(options.directory + ": no checkpoint of a run to resume (no config.toml)");
  }
  if (!std::filesystem::exists(directory / "checkpoint.h5")) {
    throw NoInputError(
        options.directory +
        ": holds no checkpoint.h5; copy the latest file of checkpoints/ there to go on from it");
  }
  TrainConfig config;
  read_config(directory / "config.toml", config);
  if (options.updates > 0) {
    config.updates = options.updates;
    config.epochs = 0;
  }
  catch_signals();
  return run_training(directory, config, Start::kCheckpoint, options.common);
}

}  // namespace

void setup_resume(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("resume", "continue a run from its latest checkpoint");
  app.add_option("DIR", options->directory, "run directory")->required();
  app.add_option("--updates", options->updates,
                 "total number of updates to reach; as configured where not given")
      ->check(whole_number())
      ->check(CLI::PositiveNumber);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
