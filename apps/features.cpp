// tempera features
#include <memory>

#include "run.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  std::string shape;
  std::string sort = "norm";
};

int run(const Options& options) {
  ModelFile file = read_model(options.model);
  if (!options.shape.empty()) {
    long long height = 0;
    long long width = 0;
    char rest = 0;
    if (std::sscanf(options.shape.c_str(), "%lldx%lld%c", &height, &width, &rest) != 2 || height < 1 ||
        width < 1 || height > file.model.n_visible() || width > file.model.n_visible() ||
        height * width != file.model.n_visible()) {
      throw UsageError("--shape " + options.shape + ": expected HEIGHTxWIDTH with " +
                       std::to_string(file.model.n_visible()) + " values in all");
    }
    file.visible_shape = {height, width};
  }
  Vector importance = filter_norms(file);
  if (options.sort == "usage") {
    const Hdf5Reader checkpoint(file.path);
    if (!checkpoint.has("/state/offsets/hidden")) {
      throw UsageError("--sort usage needs a checkpoint, which holds the mean of each hidden unit");
    }
    checkpoint.dataset("/state/offsets/hidden", {static_cast<std::uint64_t>(importance.size())},
                       importance.data());
  }
  write_features(file, importance, options.out);
  print_result(options.common, {{"out", options.out}, {"filters", file.model.n_hidden()}},
               format("%lld filters, largest %s first: %s", static_cast<long long>(file.model.n_hidden()),
                      options.sort.c_str(), options.out.c_str()));
  return 0;
}

}  // namespace

void setup_features(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("features", "picture of the learned filters, each normalised");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out, "PNG file")->required();
  app.add_option("--shape", options->shape,
                 "HEIGHTxWIDTH of the visibles; the file's where not given, else one row");
  app.add_option("--sort", options->sort,
                 "order: norm of the filter, or usage (mean of the hidden unit over the data)")
      ->check(CLI::IsMember({"norm", "usage"}))
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
