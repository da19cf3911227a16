// tempera score
#include <memory>

#include "facts_json.hpp"
#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "tempera/io/canvas.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/score.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  std::string distances;
  ScoreOptions score;
};

/// Scores themselves, where no file takes them.
void add_cases(Json& json, const ScoreResult& result) {
  if (!result.names.empty()) json["name"] = result.names;
  json["free_energy"] = result.free_energies;
  if (!result.relative.empty()) json["relative"] = result.relative;
  if (!result.difference.empty()) json["difference"] = result.difference;
  if (result.nearest) json["distance"] = result.nearest->distance;
  if (result.posterior) {
    for (std::size_t v = 0; v < result.posterior->values.size(); ++v)
      json["posterior"][result.posterior->values[v]] = result.posterior->probabilities[v];
  }
  if (!result.log_partition) return;
  Json log_likelihoods = Json::array();
  for (std::size_t n = 0; n < result.free_energies.size(); ++n)
    log_likelihoods.push_back(result.log_likelihood(n));
  json["log_likelihoods"] = log_likelihoods;
}

int run(Options& options) {
  require_none(check(options.score.estimate));
  const ScoreOptions& asked = options.score;
  const std::vector<std::filesystem::path> read = {options.model, asked.data.name, asked.nearest_to.name,
                                                   asked.minus, asked.relative_to};
  if (!options.out.empty()) {
    require_table(options.out, read);
    const bool more = !asked.posterior.empty() || !asked.nearest_to.empty() || !asked.minus.empty() ||
                      !asked.relative_to.empty() || !asked.mutations.empty();
    if (more && table_format(options.out) == TableFormat::kNpy)
      throw UsageError("score: --out " + options.out +
                       ": has room for free energies and log p alone; take .csv, .npz or .h5");
  }
  if (!options.distances.empty()) {
    if (options.score.nearest_to.empty())
      throw UsageError("score: --distances needs --nearest-to, the data that distances are to");
    require_picture(options.distances);
    require_output(options.distances, read);
    options.score.background = true;
  }
  const Executor executor = shared_executor(options.common);
  ScoreResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = score_cases(read_model(options.model, listener), options.score, executor, listener);
    if (options.out.empty()) listener.note(words(result));
  }
  if (!options.distances.empty()) write_distances(result, options.distances);
  Json json = {{"out", options.out}};
  if (!options.distances.empty()) json["distances"] = options.distances;
  add_facts(json, facts(result));
  if (options.out.empty()) {
    add_cases(json, result);
    print_table(options.common, json, csv_of(result));
  } else {
    write_scores(result, options.out);
    print_result(options.common, json, words(result) + "\n" + options.out);
  }
  return 0;
}

}  // namespace

void setup_score(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("score",
                                          "free energy F and log p = -F - log Z of every case, in nats. All "
                                          "cases share one log Z, so differences "
                                          "between cases carry no error of it. Of models with too many "
                                          "latents to sum out, F is an upper bound and "
                                          "log p a lower one");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  bind_options(app, options->score);
  app.get_option("--data")->required();
  app.get_option("--seed")->check(CLI::NonNegativeNumber);
  app.add_option(
      "--out", options->out,
      "F.csv, .npz, .npy (free energies and log p alone), or F.h5 (docs/formats.md); without it the table "
      "is printed");
  app.add_option("--distances", options->distances,
                 "picture (PNG, SVG or PDF) of the distances of --nearest-to over log p, with those of that "
                 "data's own cases");
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
