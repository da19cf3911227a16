// tempera loglik
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "tempera/services/likelihood.hpp"
#include "tempera/services/limits.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  LikelihoodOptions likelihood;
};

Json to_json(const LikelihoodResult& result) {
  const LogPartitionEstimate& first = result.first();
  Json json = {{"method", name_of(result.method)},
               {"log_partition", first.log_partition.value},
               {"log_partition_se", first.log_partition.standard_error}};
  if (result.estimates.size() > 1) {
    Json table = Json::array();
    for (const LogPartitionEstimate& estimate : result.estimates) {
      table.push_back({{"method", name_of(estimate.method)},
                       {"log_partition", estimate.log_partition.value},
                       {"log_partition_se", estimate.log_partition.standard_error},
                       {"trusted", estimate.trusted()}});
    }
    json["estimates"] = table;
    json["disagreements"] = result.disagreements;
  } else if (first.method != LikelihoodMethod::kExact) {
    json["effective_fraction"] = first.log_partition.effective_fraction;
  }
  if (result.stopped_by_listener) json["stopped"] = true;
  json["trusted"] = first.trusted();
  if (!first.trusted()) json["doubt"] = first.doubt;
  if (!first.confirmation.empty()) json["confirmed_because"] = first.confirmation;
  if (!first.reason.empty()) json["chosen_because"] = first.reason;
  if (first.lower_bound) json["log_partition_at_least"] = first.lower_bound->value;
  if (first.probable_lower_bound) json["log_partition_probably_at_least"] = *first.probable_lower_bound;
  if (!result.data) return json;
  json["log_likelihood"] = result.data->likelihood.log_likelihood;
  json["log_likelihood_se"] =
      result.data->likelihood.n_cases > 1 ? Json(result.data->likelihood.standard_error) : Json();
  json["n"] = result.data->likelihood.n_cases;
  json["split"] = result.data->split;
  if (result.data->upper) json["upper"] = *result.data->upper;
  if (result.data->lower) json["lower"] = *result.data->lower;
  json["variational"] = result.data->variational;
  if (result.data->independent) json["independent_log_likelihood"] = *result.data->independent;
  if (result.data->gaussian) json["gaussian_log_likelihood"] = *result.data->gaussian;
  return json;
}

int run(const Options& options) {
  require_none(check(options.likelihood.estimate));
  const Executor executor = shared_executor(options.common);
  LikelihoodResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = estimate_likelihood(read_model(options.model, listener), options.likelihood, executor, listener);
  }
  print_result(options.common, to_json(result), words(result));
  if (result.stopped_by_listener) return static_cast<int>(ExitCode::kInterrupted);
  return 0;
}

}  // namespace

void setup_loglik(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("loglik", "log Z of a model and mean log-likelihood of data, in nats");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  bind_options(app, options->likelihood);
  app.get_option("--seed")->check(CLI::NonNegativeNumber);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
