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

template <class M>
int run(const Options& options, ModelFile<M> file) {
  if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.n_raw());
  Vector importance = filter_norms(file);
  if (options.sort == "usage") {
    if constexpr (!HasLayers<M>) throw UsageError("--sort usage means nothing with " + std::string(M::kKind));
    const Hdf5Reader checkpoint(file.path);
    std::string means;
    if constexpr (HasLayers<M>) means = "/state/offsets/" + std::string(M::kFirstHidden);
    if (!checkpoint.has(means)) {
      throw UsageError("--sort usage needs a checkpoint, which holds the mean of each hidden unit");
    }
    checkpoint.dataset(means, {static_cast<std::uint64_t>(importance.size())}, importance.data());
  }
  if (std::filesystem::path(options.out).extension() == ".h5") {
    Hdf5Writer out("features");
    const Matrix filters = raw_filters(file);
    out.dataset("/features/filters", shape_of(filters), filters.data());
    out.dataset("/features/" + options.sort, shape_of(importance), importance.data());
    if (!file.visible_shape.empty()) out.attribute("/", "visible_shape", file.visible_shape);
    write_provenance(out, command_line(), 0);
    out.write(options.out);
  } else {
    write_features(file, importance, options.out);
  }
  const bool all = std::filesystem::path(options.out).extension() == ".h5";
  print_result(
      options.common, {{"out", options.out}, {"filters", importance.size()}},
      format("%lld filters, %s: %s", static_cast<long long>(importance.size()),
             all ? "in the order of the hidden units" : ("largest " + options.sort + " first").c_str(),
             options.out.c_str()));
  return 0;
}

}  // namespace

void setup_features(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("features", "learned filters, as a picture (each normalised) or HDF5");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out,
                 "PNG file, or .h5: /features/filters (n_hidden, n_visible) with what --sort measures")
      ->required();
  app.add_option("--shape", options->shape,
                 "HEIGHTxWIDTH of the visibles; the file's where not given, else one row");
  app.add_option("--sort", options->sort,
                 "order: norm of the filter, or usage (mean of the hidden unit over the data)")
      ->check(CLI::IsMember({"norm", "usage"}))
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] {
    exit_code =
        std::visit([&](auto&& file) { return run(*options, std::move(file)); }, read_model(options->model));
  });
}

}  // namespace tempera::apps
