// tempera sample
#include <memory>

#include "config_file.hpp"
#include "run.hpp"
#include "tempera/io/image.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::int64_t count = 100;
  std::int64_t sweeps = 1000;
  std::string ladder = "none";
  std::string start = "reference";
  std::string data;
  std::string binarize = "none";
  std::string out;
  std::string png;
  std::string shape;
  std::int64_t seed = 1;
};

/// Unpacks a layer of every chain: one row of bytes per chain.
void write_layer(Hdf5Writer& file, const std::string& path, const Chains<Model>& chains,
                 BitLayer Model::State::*layer) {
  const std::size_t units = (chains.blocks.front().*layer).size();
  std::vector<std::uint8_t> rows(chains.n_chains * units);
  for (std::uint64_t n = 0; n < chains.n_chains; ++n) {
    const BitLayer& bits = chains.blocks[n / kLanes].*layer;
    for (std::size_t i = 0; i < units; ++i)
      rows[n * units + i] = static_cast<std::uint8_t>(bits[i] >> (n % kLanes) & 1);
  }
  file.dataset(path, {chains.n_chains, units}, rows.data());
}

int run(Options& options) {
  std::vector<Violation> violations;
  require_between(violations, "count", options.count, 1, kMaxChains);
  require_between(violations, "sweeps", options.sweeps, 0, std::int64_t{1} << 53);
  if (!violations.empty()) throw ConfigError(violations);
  if (options.out.empty() && options.png.empty()) throw UsageError("sample: --out or --png is required");
  ModelFile file = read_model(options.model);
  if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.model.n_visible());
  require_memory("count", options.count,
                 12.0 * static_cast<double>(options.count) *
                     static_cast<double>(file.model.n_visible() + file.model.n_hidden()));
  const Workers workers(options.common.threads);
  const StreamFactory streams{static_cast<std::uint64_t>(options.seed)};
  const auto count = static_cast<std::uint64_t>(options.count);

  Chains<Model> chains;
  if (options.start == "data") {
    if (options.data.empty() && std::filesystem::is_directory(options.model)) {
      TrainConfig config;
      read_config(std::filesystem::path(options.model) / "config.toml", config);
      options.data = config.data;
    }
    if (options.data.empty()) throw UsageError("sample: --start data needs --data");
    const BinaryData data =
        data_for_model(file, load_data(options.data), "train", options.binarize, options.seed);
    const std::vector<Index> order = epoch_order(data.n_cases(), streams, 0);
    chains = data_chains(file.model, file.theta, count, data, order, streams, Purpose::kSampling, workers);
  } else {
    chains = reference_chains(file.model, count, streams, Purpose::kSampling, workers);
  }
  catch_signals();
  Workspace<Model> workspace;
  workspace.fit(file.model, count, workers);
  {
    ProgressLine line(options.common, "sampling");
    const Progress progress = show_on(line);
    const auto total = static_cast<std::uint64_t>(options.sweeps);
    constexpr std::uint64_t kStride = 20;
    for (std::uint64_t done = 0; done < total; done += kStride) {
      advance(file.model, file.theta, std::min(kStride, total - done), streams, Purpose::kSampling, chains,
              workspace, workers);
      progress(static_cast<double>(std::min(done + kStride, total)) / static_cast<double>(total));
    }
  }
  if (!options.out.empty()) {
    Hdf5Writer out("samples");
    write_layer(out, "/samples/visible", chains, &Model::State::visible);
    write_layer(out, "/samples/hidden", chains, &Model::State::hidden);
    out.attribute("/diagnostics", "sweeps", options.sweeps);
    out.attribute("/diagnostics", "start", options.start);
    out.attribute("/diagnostics", "ladder", options.ladder);
    if (!file.visible_shape.empty()) out.attribute("/", "visible_shape", file.visible_shape);
    write_provenance(out, command_line(), options.seed);
    out.write(options.out);
  }
  if (!options.png.empty()) {
    const auto [height, width] = picture_shape(file.visible_shape, file.model.n_visible());
    write_png(
        tile_grid(mean_visible_tiles(file.model, file.theta, chains, 100), height, width, ColourMap::kGrey),
        options.png);
  }
  print_result(
      options.common,
      {{"count", options.count}, {"sweeps", options.sweeps}, {"out", options.out}, {"png", options.png}},
      format("%lld samples, %lld sweeps each from the %s", static_cast<long long>(options.count),
             static_cast<long long>(options.sweeps), options.start.c_str()));
  return 0;
}

}  // namespace

void setup_sample(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("sample", "draw samples by Gibbs sampling, to HDF5 and PNG");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--count", options->count, "samples: one chain each")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--sweeps", options->sweeps, "Gibbs sweeps of each chain")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--ladder", options->ladder, "none: plain Gibbs")
      ->check(CLI::IsMember({"none"}))
      ->capture_default_str();
  app.add_option("--start", options->start, "where chains start: reference (independent units) or data")
      ->check(CLI::IsMember({"reference", "data"}))
      ->capture_default_str();
  app.add_option("--data", options->data, "data set of --start data; a run directory knows its own");
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--out", options->out, "HDF5 file of the samples");
  app.add_option("--png", options->png, "picture of P(v = 1 | h) of the first 100 chains");
  app.add_option("--shape", options->shape,
                 "HEIGHTxWIDTH of the visibles in the picture; the file's where not given, else one row");
  app.add_option("--seed", options->seed, "seed")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
