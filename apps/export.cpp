// tempera export
#include <memory>

#include "listener.hpp"
#include "option_binding.hpp"
#include "options.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/exporting.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  ExportOptions how;
};

int run(const Options& options) {
  require_output(options.out, {options.model});
  ConsoleListener listener(options.common.quiet);
  const ExportResult result = export_model(read_model(options.model, listener), options.how, options.out);
  print_result(options.common,
               {{"out", options.out},
                {"format", std::string(name_of(result.format))},
                {"log_partition_offset", result.log_partition_offset}},
               result.words());
  return 0;
}

}  // namespace

void setup_export(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("export", "a model as a file of another toolkit, exactly");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out, "file of that toolkit: .h5 of rbms, else .npz")->required();
  bind_options(app, options->how);
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
