// tempera import
#include <memory>

#include "foreign_models.hpp"
#include "run.hpp"
#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string file;
  std::string out;
  std::int64_t update = 0;
};

int run(const Options& options) {
  require_exists(options.file);
  const auto foreign = read_foreign(options.file, as_count(options.update));
  if (!foreign) {
    throw DataError(
        options.file +
        ": expected a model of rbms, RestrictedBoltzmannMachines.jl, scikit-learn or NumPy arrays W, a, "
        "b; found something else");
  }
  const BernoulliRbm model(foreign->theta.weights.rows(), foreign->theta.weights.cols());
  write_model(options.out, ModelFile<BernoulliRbm>{options.file, model, foreign->theta, false, {}, {}, {}},
              foreign->format);
  print_result(
      options.common,
      {{"out", options.out},
       {"format", foreign->format},
       {"n_visible", model.n_visible()},
       {"n_hidden", model.n_hidden()},
       {"log_partition_offset", foreign->log_partition_offset}},
      format("%lld visible and %lld hidden units from %s: %s", static_cast<long long>(model.n_visible()),
             static_cast<long long>(model.n_hidden()), foreign->format.c_str(), options.out.c_str()) +
          (foreign->log_partition_offset == 0.0
               ? ""
               : format("\nlog Z of the original energies is larger by %.6f nats",
                        foreign->log_partition_offset)));
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
