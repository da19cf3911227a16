// tempera sample
#include <memory>

#include "facts_json.hpp"
#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/model_arrays.hpp"
#include "tempera/services/sampling.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  bool diagnose = false;
  std::string out;
  std::string png;
  std::string statistics;
  SamplingOptions sample;
};

/// Refuses options that belong to another ladder.
void require_used(const CLI::App& app, SampleLadder ladder) {
  const auto refuse = [&](const char* name, bool used) {
    if (!used && app.get_option(name)->count() > 0) {
      throw UsageError("sample: " + std::string(name) + " means nothing with --ladder " +
                       std::string(name_of(ladder)));
    }
  };
  const bool open = ladder == SampleLadder::kAuto;
  refuse("--rungs", open || ladder == SampleLadder::kTemperature);
  refuse("--swap-every", open || ladder == SampleLadder::kTemperature);
  refuse("--ensembles", ladder != SampleLadder::kNone);
}

Json to_json(const DiagnosisResult& result) {
  Json rows = Json::array();
  for (const QualityPoint& point : result.curve) {
    rows.push_back({{"sweeps", point.sweeps},
                    {"covariance_pearson", point.quality.covariance_pearson},
                    {"data_near_data", point.quality.data_near_data},
                    {"samples_near_samples", point.quality.samples_near_samples}});
  }
  return {{"count", result.count},
          {"quality", rows},
          {"covariance_pearson_se", result.standard_error},
          {"declines", result.declines},
          {"verdict", result.verdict}};
}

int diagnose(const Options& options, const Executor& executor) {
  DiagnosisResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = diagnose_sampling(read_model(options.model, listener), options.sample, executor, listener);
  }
  print_result(options.common, to_json(result), words(result));
  return 0;
}

int run(Options& options) {
  require_none(check(options.sample));
  if (options.diagnose && !(options.out.empty() && options.png.empty() && options.statistics.empty()))
    throw UsageError(
        "sample: --diagnose draws no samples, so it takes neither --out nor --png nor --statistics");
  if (!options.diagnose && options.out.empty() && options.png.empty() && options.statistics.empty())
    throw UsageError("sample: --out, --png or --statistics is required");
  if (!options.statistics.empty()) {
    require_picture(options.statistics);
    require_output(options.statistics, {options.model, options.sample.data.name});
    options.sample.compares = true;
  }
  if (!options.out.empty()) require_table(options.out, {options.model, options.sample.data.name}, true);
  if (!options.png.empty()) require_output(options.png, {options.model, options.sample.data.name});
  if (std::filesystem::is_directory(options.model)) options.sample.run = options.model;
  const Executor executor = shared_executor(options.common);
  if (options.diagnose) return diagnose(options, executor);
  SampleResult result;
  {
    ConsoleListener listener(options.common.quiet);
    AnyModelFile model = read_model(options.model, listener);
    if (!options.out.empty()) require_table(options.out, {}, !describe_model(model).alphabet.empty());
    result = draw_samples(std::move(model), options.sample, executor, listener);
  }
  if (!options.png.empty()) write_picture(result.picture, options.png);
  if (result.agreement) write_agreement(*result.agreement, options.statistics);
  if (!options.out.empty()) write_samples(result, options.out);
  Json json = {{"count", result.count}, {"out", options.out}, {"png", options.png}};
  if (result.stopped_by_listener) json["stopped"] = true;
  add_facts(json, facts(result));
  print_result(options.common, json, words(result));
  if (!result.stopped_by_listener) return 0;
  ConsoleListener(false).note(tempera::format("stopped by a signal: %lld of %lld samples are written",
                                              static_cast<long long>(result.count),
                                              static_cast<long long>(options.sample.count)));
  return static_cast<int>(ExitCode::kInterrupted);
}

}  // namespace

void setup_sample(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "sample", "draw samples by Gibbs sampling, to HDF5 and PNG, and tell whether they mix");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  bind_options(app, options->sample);
  app.get_option("--seed")->check(CLI::NonNegativeNumber);
  app.add_flag(
      "--diagnose", options->diagnose,
      "no samples, but their quality against sweeps from random starts: whether the model was trained in "
      "equilibrium");
  app.add_option("--out", options->out,
                 "file of the samples: .h5 or .npz of all layers, .csv or .npy of the visibles, .fasta or "
                 ".sto of sequences");
  app.add_option("--png", options->png,
                 "picture (PNG; SVG or PDF where the name ends so) of P(v = 1 | h) of the first 100 chains");
  app.add_option("--statistics", options->statistics,
                 "picture (PNG, SVG or PDF) of the covariances of the samples over those of the data");
  add_common_options(app, options->common);
  app.callback([options, &app, &exit_code] {
    require_used(app, options->sample.ladder);
    exit_code = run(*options);
  });
}

}  // namespace tempera::apps
