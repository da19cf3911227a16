// tempera resume
#include <memory>

#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/io/data_files.hpp"
#include "training_result.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string directory;
  TrainOptions changes;
};

/// The run's own values, and those of the command line over them.
TrainOptions combined(const Options& options, const CLI::App& app) {
  TrainOptions result = resumed_options(options.directory);
  TrainOptions::visit(
      [&app](const OptionText& text, auto& chosen, const auto& given) {
        if (may_change(text.name) && app.count(std::string("--") + text.name) > 0) chosen = given;
      },
      result, options.changes);
  if (app.count("--updates") > 0) result.rate.epochs.reset();
  // A rate that is asked for is what it says.
  if (app.count("--lr") > 0 && app.count("--early-rate") == 0) result.rate.early_rate.reset();
  result.data.data.name = absolute_data(result.data.data.name);
  return result;
}

}  // namespace

void setup_resume(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "resume", "continue a run from its latest checkpoint, with its own options or others");
  app.add_option("DIR", options->directory, "run directory")->required();
  bind_options(app, options->changes);
  TrainOptions::visit(
      [&app](const OptionText& text, const auto&) {
        CLI::Option* const option = app.get_option(std::string("--") + text.name);
        if (!may_change(text.name)) {
          app.remove_option(option);
        } else {
          option->default_str("as the run has it");
        }
      },
      options->changes);
  app.get_option("--updates")->description("total number of updates to reach")->check(CLI::PositiveNumber);
  add_common_options(app, options->common);
  app.callback([options, &app, &exit_code] {
    exit_code =
        train_and_print(options->directory, combined(*options, app),
                        app.count("--updates") > 0 ? Start::kFurther : Start::kCheckpoint, options->common);
  });
}

}  // namespace tempera::apps
