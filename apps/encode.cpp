// tempera encode
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "ranks.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/encode.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  EncodeOptions encode;
};

int run(const Options& options) {
  require_table(options.out, {options.model, options.encode.data.name});
  const Executor executor = shared_executor(options.common);
  EncodeResult result;
  {
    ConsoleListener listener(options.common.quiet);
    result = encode_data(read_model(options.model, listener), options.encode, executor, listener);
  }
  write_codes(result, options.out);
  Json json = {{"out", options.out}};
  for (const EncodedSplit& encoded : result.splits) {
    for (const auto& [name, values] : encoded.codes)
      json["codes"][encoded.split][name] = {values.rows(), values.cols()};
  }
  print_result(options.common, json, words(result, options.out));
  return 0;
}

}  // namespace

void setup_encode(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("encode",
                                          "expected latents of data: hidden units or spikes (also g, h, "
                                          "gate), spike times slab, and norm of each spike's "
                                          "slabs; the labels go along");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  bind_options(app, options->encode);
  app.get_option("--data")->required();
  app.get_option("--seed")->check(CLI::NonNegativeNumber);
  app.add_option("--out", options->out,
                 "file of the codes: .h5 with /<split>/<code> (n, size) float32 and /<split>/y, .npz, or of "
                 "one split .csv, of one array .npy")
      ->required();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
