// tempera loglik
#include <memory>

#include "run.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/mcmc/annealing.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string data;
  std::string split = "test";
  std::string binarize = "none";
  std::string method = "ais";
  std::int64_t chains = 128;
  std::int64_t betas = 10000;
  std::int64_t seed = 1;
};

int run(const Options& options) {
  std::vector<Violation> violations;
  require_between(violations, "chains", options.chains, 2, kMaxChains);
  require_between(violations, "betas", options.betas, 2, std::int64_t{1} << 31);
  if (!violations.empty()) throw ConfigError(violations);

  ModelFile file = read_model(options.model);
  require_memory("chains", options.chains,
                 8.0 * static_cast<double>(options.chains) *
                     static_cast<double>(file.model.n_visible() + file.model.n_hidden()));
  const Workers workers(options.common.threads);
  BinaryData cases;
  if (!options.data.empty()) {
    const DataFile data = load_data(options.data);
    cases = data_for_model(file, data, options.split, options.binarize, options.seed);
    if (!file.has_reference && data.splits.count("train") > 0) {
      const BinaryData train = data_for_model(file, data, "train", options.binarize, options.seed);
      fit_reference(file, train, options.common);
    }
  }

  catch_signals();
  LogPartition log_partition;
  {
    ProgressLine line(options.common, options.method);
    if (options.method == "exact") {
      log_partition = exact_log_partition(file.model, file.theta, workers, show_on(line));
    } else {
      const auto weights = annealed_log_weights(file.model, file.theta, published_betas(options.betas),
                                                static_cast<std::uint64_t>(options.chains),
                                                StreamFactory{static_cast<std::uint64_t>(options.seed)},
                                                Purpose::kAnnealing, workers, show_on(line));
      log_partition = log_partition_from_weights(file.model.reference_log_partition(), weights);
    }
  }
  if (log_partition.effective_fraction < kLowEffectiveFraction) {
    warn(format(
        "only %.1f %% of the AIS chains count (effective sample size); log Z is probably too low and the "
        "likelihood too high: use more --betas",
        100.0 * log_partition.effective_fraction));
  }

  Json json = {{"method", options.method},
               {"log_partition", log_partition.value},
               {"log_partition_se", log_partition.standard_error}};
  std::string text = format("log Z            %.5f +- %.5f nats (%s)", log_partition.value,
                            log_partition.standard_error, options.method.c_str());
  if (options.method == "ais") {
    json["effective_fraction"] = log_partition.effective_fraction;
    text += format("\neffective chains %.1f of %lld",
                   log_partition.effective_fraction * static_cast<double>(options.chains),
                   static_cast<long long>(options.chains));
  }
  if (!options.data.empty()) {
    const std::vector<double> energies = free_energies(file.model, file.theta, cases, workers);
    std::vector<double> distinct;
    for (const Index n : cases.distinct_cases()) distinct.push_back(energies[static_cast<std::size_t>(n)]);
    require_possible(distinct, log_partition);
    const Likelihood likelihood = mean_log_likelihood(energies, log_partition);
    json["log_likelihood"] = likelihood.log_likelihood;
    json["log_likelihood_se"] = likelihood.standard_error;
    json["n"] = likelihood.n_cases;
    json["split"] = options.split;
    text += format("\nlog-likelihood   %.5f +- %.5f nats per case (%llu cases, split %s)",
                   likelihood.log_likelihood, likelihood.standard_error,
                   static_cast<unsigned long long>(likelihood.n_cases), options.split.c_str());
  }
  print_result(options.common, json, text);
  return 0;
}

}  // namespace

void setup_loglik(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("loglik", "log Z of a model and mean log-likelihood of data, in nats");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--data", options->data, "data set; without it log Z alone is estimated");
  app.add_option("--split", options->split, "train, valid or test")->capture_default_str();
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--method", options->method, "exact (enumeration, smaller layer up to 25 units) or ais")
      ->check(CLI::IsMember({"exact", "ais"}))
      ->capture_default_str();
  app.add_option("--chains", options->chains, "AIS chains")->check(whole_number())->capture_default_str();
  app.add_option("--betas", options->betas, "AIS inverse temperatures, dense near 1")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--seed", options->seed, "seed")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
