// tempera data
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/services/data_conversion.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string data;
  ConversionOptions conversion;
};

Json to_json(const SplitSummary& split) {
  Json row = {{"rows", split.rows},
              {"binary", split.binary},
              {"mean", split.mean},
              {"constant_columns", split.constant_columns},
              {"not_finite", split.not_finite}};
  if (split.binary) row["density_of_ones"] = split.mean;
  if (split.minimum <= split.maximum) {
    row["minimum"] = split.minimum;
    row["maximum"] = split.maximum;
  }
  return row;
}

int run(const Options& options) {
  ConsoleListener listener(options.common.quiet);
  const ConversionResult result =
      convert_data(options.data, options.conversion, Executor(options.common.threads), listener);
  Json json = {{"data", options.data}, {"columns", result.columns}};
  if (!result.visible_shape.empty()) json["visible_shape"] = result.visible_shape;
  for (const SplitSummary& split : result.splits) json["splits"][split.name] = to_json(split);
  if (result.alignment)
    json["alignment"] = {{"letters", result.alignment->letters},
                         {"effective", result.alignment->effective},
                         {"gaps", result.alignment->gaps},
                         {"gaps_of_site", result.alignment->gaps_of_site},
                         {"conservation_bits", result.alignment->conservation}};
  if (!result.remarks.empty()) json["remarks"] = result.remarks;
  if (!result.out.empty()) json["out"] = result.out;
  print_result(options.common, json, result.words());
  return 0;
}

}  // namespace

void setup_data(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("data", "describe a data set, convert it to HDF5, split it, binarise it");
  app.add_option("DATA", options->data,
                 "built-in name or file (HDF5, IDX, .npy, .npz, .csv, FASTA, A2M, A3M, Stockholm)")
      ->required();
  bind_options(app, options->conversion);
  for (const char* name : {"--valid", "--test", "--max-gaps", "--max-column-gaps", "--split-identity"})
    app.get_option(name)->check(CLI::Range(0.0, 1.0));
  for (const char* name : {"--contrast-floor", "--whiten-regularisation", "--components", "--seed"})
    app.get_option(name)->check(CLI::NonNegativeNumber);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
