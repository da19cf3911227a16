// tempera features
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/services/features.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  FeatureOptions features;
};

int run(const Options& options) {
  require_features(options.out);
  ConsoleListener listener(options.common.quiet);
  const FeatureResult result = find_features(read_model(options.model, listener), options.features, listener);
  write_features(result, options.out);
  Json json = {{"out", options.out}, {"filters", result.importance.size()}};
  for (const Responses& law : result.responses)
    json["responses"][law.to] = {{"shape", median_of(law.shape)}, {"scale", median_of(law.scale)}};
  print_result(options.common, json, words(result, options.out));
  return 0;
}

}  // namespace

void setup_features(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("features", "learned filters, as a picture (each normalised) or HDF5");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out,
                 "picture (.png, .svg or .pdf), or .h5: /features/filters (n_hidden, n_visible) with what "
                 "--sort measures")
      ->required();
  bind_options(app, options->features);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
