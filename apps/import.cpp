// tempera import
#include <memory>

#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/services/importing.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string file;
  std::string out;
  std::int64_t update = 0;
};

int run(const Options& options) {
  const ImportResult result =
      import_model(options.file, static_cast<std::uint64_t>(options.update), options.out);
  print_result(options.common,
               {{"out", options.out},
                {"format", result.format},
                {"n_visible", result.n_visible},
                {"n_hidden", result.n_hidden},
                {"log_partition_offset", result.log_partition_offset}},
               result.words());
  return 0;
}

}  // namespace

void setup_import(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("import", "convert a model of another toolkit, exactly");
  app.add_option("FILE", options->file,
                 "HDF5 of rbms or RestrictedBoltzmannMachines.jl, .npz of scikit-learn's BernoulliRBM or of "
                 "W, a, b, or "
                 "W.npy with a.npy and b.npy beside it (docs/formats.md)")
      ->required();
  app.add_option("--out", options->out, "model file")->required();
  app.add_option("--update", options->update, "of an rbms file: the update to take; 0 takes the last")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
