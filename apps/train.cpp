// tempera train
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/services/config_file.hpp"
#include "training_result.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  TrainOptions train;
  std::vector<Violation> bad_choices;
  std::string config_file;
  std::string out;
  bool force = false;
};

/// The file's values, then those of the command line over them.
TrainOptions combined(const Options& options, const CLI::App& app) {
  TrainOptions result;
  if (!options.config_file.empty()) read_config(options.config_file, result);
  TrainOptions::visit(
      [&app](const OptionText& text, auto& chosen, const auto& given) {
        if (app.count(std::string("--") + text.name) > 0) chosen = given;
      },
      result, options.train);
  const bool updates = app.count("--updates") > 0;
  const bool epochs = app.count("--epochs") > 0 && result.rate.epochs;
  if (updates && epochs && check(result).empty())
    throw UsageError("train: --updates and --epochs both say how long; give one");
  if (updates && !epochs) result.rate.epochs.reset();  // also over the file's
  // A run remembers its data wherever it is resumed from.
  result.data.data.name = absolute_data(result.data.data.name);
  result.init.from = absolute_data(result.init.from);
  return result;
}

int run(const Options& options, const CLI::App& app) {
  const TrainOptions training = combined(options, app);
  std::vector<Violation> violations = options.bad_choices;
  for (const Violation& found : check(training)) violations.push_back(found);
  if (!violations.empty()) throw ConfigError(violations);
  return train_and_print(options.out, training, options.force ? Start::kReplace : Start::kAnew,
                         options.common);
}

/// Options stand under their concern, or of those that few runs need only where all are shown. An option
/// without a group has no name in messages, so that none is hidden but for the help itself.
void group_options(CLI::App& app, bool all) {
  const TrainOptions any;
  TrainOptions::visit_sections(
      [&]<class Section>(const char* section, const Section& fields) {
        std::string group = section;
        group.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(group.front())));
        Section::visit(
            [&](const OptionText& text, const auto&) {
              app.get_option(std::string("--") + text.name)->group(all || text.common ? group : "");
            },
            fields);
      },
      any);
}

}  // namespace

void setup_train(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("train", "train a model into a run directory");
  app.set_help_flag();
  app.add_flag_callback(
      "-h,--help",
      [&app] {
        group_options(app, false);
        throw CLI::CallForHelp();
      },
      "Print the options that most runs need and exit");
  bind_options(app, options->train, &options->bad_choices);
  app.get_option("--track-log-z")->expected(0, 1)->default_str("lattice");  // alone
  group_options(app, true);
  app.add_option("--config", options->config_file,
                 "TOML file with any of these options; the command line overrides it");
  app.add_option("--out", options->out, "run directory")->required();
  app.add_flag("--force", options->force, "replace a run that is there already");
  add_common_options(app, options->common);
  app.callback([options, &app, &exit_code] { exit_code = run(*options, app); });
}

}  // namespace tempera::apps
