// tempera prune
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/services/pruning.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  PruneOptions prune;
};

int run(const Options& options) {
  if (const auto violations = check(options.prune); !violations.empty()) throw ConfigError(violations);
  const Executor executor(options.common.threads);
  PruneResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = prune_model(read_model(options.model, listener), options.prune, options.out, executor, listener);
  }
  Json rounds = Json::array();
  for (const PruneRound& round : result.rounds) {
    Json row = {{"density", round.density}};
    if (round.likelihood) {
      row["log_likelihood"] = round.likelihood->log_likelihood;
      row["log_likelihood_se"] = round.likelihood->standard_error;
      row["log_partition_se"] = round.log_partition_error;
    }
    rounds.push_back(row);
  }
  print_result(options.common,
               {{"out", options.out}, {"criterion", name_of(result.criterion)}, {"rounds", rounds}},
               result.words());
  return 0;
}

}  // namespace

void setup_prune(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "prune", "take out the connections, or hidden units, that a model can best do without");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out, "model file of the pruned machine")->required();
  bind_options(app, options->prune);
  app.get_option("--density")->required()->default_str("");
  app.get_option("--seed")->check(CLI::NonNegativeNumber);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
