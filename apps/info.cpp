// tempera info
#include <memory>

#include "options.hpp"
#include "tempera/services/file_info.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string file;
};

int run(const Options& options) {
  Json json = Json::object();
  std::string text;
  for (const FileFact& fact : describe_file(options.file)) {
    const auto put = [&](const auto& value) { json[fact.name] = value; };
    if (const auto* shape = std::get_if<Shape>(&fact.value)) {
      put(*shape);
    } else {
      std::visit(put, std::get<Fact>(fact.value));
    }
    if (!fact.words.empty()) text += (text.empty() ? "" : "\n  ") + fact.words;
  }
  print_result(options.common, json, text);
  return 0;
}

}  // namespace

void setup_info(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand("info", "what is in a file, in words");
  app.add_option("FILE", options->file, "any HDF5 file of this program, or a run directory")->required();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
