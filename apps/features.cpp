// tempera features
#include <algorithm>
#include <memory>

#include "run.hpp"

#include "tempera/estimate/generalised_gaussian.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  std::string shape;
  std::string sort = "norm";
  std::string data;
  std::string samples;
};

/// Generalised Gaussians of the responses of filters of length 1 to cases, a filter each.
struct Responses {
  std::vector<float> mean;
  std::vector<float> scale;
  std::vector<float> shape;
};

Responses fit_responses(const Matrix& filters, const Matrix& cases) {
  Responses found;
  for (Index m = 0; m < filters.cols(); ++m) {
    const float norm = filters.col(m).norm();
    const Vector values = cases * (filters.col(m) / (norm > 0 ? norm : 1.0F));
    const GeneralisedGaussian law =
        fit_generalised_gaussian({values.data(), static_cast<std::size_t>(values.size())});
    found.mean.push_back(static_cast<float>(law.mean));
    found.scale.push_back(static_cast<float>(law.scale));
    found.shape.push_back(static_cast<float>(law.shape));
  }
  return found;
}

/// Visibles of a file that `tempera sample` wrote.
Matrix read_samples(const std::filesystem::path& path, Index n_visible) {
  const Hdf5Reader file(path);
  const std::string name = "/samples/visible";
  const Shape shape = file.shape(name);
  if (shape.size() != 2 || shape[0] == 0 || shape[1] != static_cast<std::uint64_t>(n_visible))
    file.fail(name, "expected shape (n, " + std::to_string(n_visible) + "), found " + to_string(shape));
  Matrix rows(static_cast<Index>(shape[0]), n_visible);
  file.dataset(name, shape, rows.data());
  return rows;
}

/// Natural-image statistics: responses to the test split (train where there is none) and to samples.
template <class M>
std::vector<std::pair<std::string, Responses>> responses_of(const Options& options,
                                                            const ModelFile<M>& file) {
  if (!options.samples.empty() && options.data.empty())
    throw UsageError("features: --samples is compared with --data");
  std::vector<std::pair<std::string, Responses>> all;
  if (options.data.empty()) return all;
  if constexpr (std::is_same_v<typename M::Data, RealData>) {
    const DataFile data = load_data(options.data);
    const std::string split = data.splits.count("test") > 0 ? "test" : "train";
    const RealData cases = data_for_model(file, data, split, "none", 0);
    Matrix rows(cases.n_cases(), cases.n_visible());
    for (Index n = 0; n < cases.n_cases(); ++n)
      rows.row(n) = Eigen::Map<const Vector>(cases.row(n).data(), cases.n_visible()).transpose();
    const Matrix filters = M::filters(file.theta);
    all.emplace_back("data", fit_responses(filters, rows));
    if (!options.samples.empty())
      all.emplace_back("samples", fit_responses(filters, read_samples(options.samples, cases.n_visible())));
  } else {
    throw UsageError("features: --data is for models of real values");
  }
  return all;
}

float median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

template <class M>
int run(const Options& options, ModelFile<M> file) {
  if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.n_raw());
  Vector importance = filter_norms(file);
  const auto responses = responses_of(options, file);
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
    for (const auto& [name, law] : responses) {
      const Shape shape = {law.shape.size()};
      out.dataset("/responses/" + name + "/mean", shape, law.mean.data());
      out.dataset("/responses/" + name + "/scale", shape, law.scale.data());
      out.dataset("/responses/" + name + "/shape", shape, law.shape.data());
    }
    if (!file.visible_shape.empty()) out.attribute("/", "visible_shape", file.visible_shape);
    write_provenance(out, command_line(), 0);
    out.write(options.out);
  } else {
    write_features(file, importance, options.out);
  }
  const bool all = std::filesystem::path(options.out).extension() == ".h5";
  Json json = {{"out", options.out}, {"filters", importance.size()}};
  std::string text =
      format("%lld filters, %s: %s", static_cast<long long>(importance.size()),
             all ? "in the order of the hidden units" : ("largest " + options.sort + " first").c_str(),
             options.out.c_str());
  for (const auto& [name, law] : responses) {
    const float shape = median_of(law.shape);
    const float scale = median_of(law.scale);
    json["responses"][name] = {{"shape", shape}, {"scale", scale}};
    text +=
        format("\nresponses to %s, generalised Gaussian, medians: shape %.3f (a Gaussian has 2), scale %.3f",
               name.c_str(), static_cast<double>(shape), static_cast<double>(scale));
  }
  print_result(options.common, json, text);
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
  app.add_option(
      "--data", options->data,
      "real-valued data: generalised Gaussians are fitted to the responses of the filters (each of "
      "length 1) to its test split");
  app.add_option("--samples", options->samples,
                 "samples of the model (tempera sample --out), whose responses are fitted beside");
  add_common_options(app, options->common);
  app.callback([options, &exit_code] {
    exit_code =
        std::visit([&](auto&& file) { return run(*options, std::move(file)); }, read_model(options->model));
  });
}

}  // namespace tempera::apps
