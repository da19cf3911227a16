// tempera resume
#include <memory>

#include "option_binding.hpp"
#include "options.hpp"
#include "training_result.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string directory;
  std::optional<std::int64_t> updates;
};

int run(const Options& options) {
  const TrainOptions training = resumed_options(options.directory, options.updates);
  return train_and_print(options.directory, training, Start::kCheckpoint, options.common);
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
