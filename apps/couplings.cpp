// tempera couplings
#include <memory>

#include "facts_json.hpp"
#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/couplings.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  CouplingOptions couplings;
};

int run(Options& options) {
  if (std::filesystem::is_directory(options.model)) options.couplings.run = options.model;
  if (!options.out.empty()) require_table(options.out, {options.model, options.couplings.data.name});
  const Executor executor(options.common.threads);
  CouplingResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = rank_couplings(read_model(options.model, listener), options.couplings, executor, listener);
    if (options.out.empty()) listener.note(words(result));
  }
  Json json = {{"out", options.out}};
  add_facts(json, facts(result));
  if (options.out.empty()) {
    Json pairs = Json::array();
    for (const CoupledPair& pair : result.pairs) pairs.push_back({pair.first, pair.second, pair.score});
    json["ranked"] = pairs;
    print_table(options.common, json, csv_of(result));
  } else {
    write_couplings(result, options.out);
    print_result(options.common, json, words(result) + "\n" + options.out);
  }
  return 0;
}

}  // namespace

void setup_couplings(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "couplings",
      "pairs of sites of a machine of letters, by how strongly they are coupled; against contacts, the "
      "part of the first pairs that is one");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  bind_options(app, options->couplings);
  app.add_option(
      "--out", options->out,
      "F.csv or F.npz of first, second (sites from 1), score, norm, contact, or F.h5 with the couplings "
      "themselves; without it the table is printed");
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
