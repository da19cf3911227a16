// tempera info
#include <memory>

#include "foreign_models.hpp"
#include "run.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string file;
};

int run(const Options& options) {
  const std::filesystem::path path = resolve_model(options.file);
  if (const auto foreign = read_foreign(path)) {
    print_result(options.common,
                 {{"file", path.string()},
                  {"format", foreign->format},
                  {"n_visible", foreign->theta.weights.rows()},
                  {"n_hidden", foreign->theta.weights.cols()}},
                 format("%s\n  model of %s: %lld visible, %lld hidden units", path.c_str(),
                        foreign->format.c_str(), static_cast<long long>(foreign->theta.weights.rows()),
                        static_cast<long long>(foreign->theta.weights.cols())));
    return 0;
  }
  const Hdf5Reader file(path);
  Json json = {{"file", path.string()}};
  std::string text = path.string();
  const auto say = [&](const std::string& name, const auto& value, const std::string& words) {
    json[name] = value;
    text += "\n  " + words;
  };
  if (const auto content = file.text_attribute("/", "content"))
    say("content", *content, "content: " + *content);
  if (file.has("/model")) {
    const ModelFile model = read_model(path);
    say("kind", std::string(Model::kKind), "kind: " + std::string(Model::kKind));
    say("n_visible", model.model.n_visible(), "n_visible: " + std::to_string(model.model.n_visible()));
    say("n_hidden", model.model.n_hidden(), "n_hidden: " + std::to_string(model.model.n_hidden()));
    const double rms = std::sqrt(model.theta.weights.cast<double>().squaredNorm() /
                                 static_cast<double>(model.theta.weights.size()));
    say("weight_rms", rms, format("root mean square weight: %.4f", rms));
    if (const auto update = file.number_attribute("/state", "update"); file.has("/state") && update) {
      say("update", static_cast<std::int64_t>(*update), format("update: %.0f", *update));
    }
  }
  if (file.has("/log_partition")) {
    if (const auto value = file.number_attribute("/log_partition", "value")) {
      const auto error = file.number_attribute("/log_partition", "standard_error");
      say("log_partition", *value,
          format("log Z: %.4f", *value) + (error ? format(" (standard error %.4f)", *error) : ""));
    }
  }
  for (const char* group : {"/train", "/valid", "/test", "/samples"}) {
    if (!file.has(group)) continue;
    const auto shape_of = [&](const std::string& name) {
      const Shape shape = file.shape(name);
      say(name, shape, name + ": " + to_string(shape));
    };
    const std::vector<std::string> names = file.children(group);
    if (names.empty()) shape_of(group);
    for (const std::string& name : names) shape_of(std::string(group) + "/" + name);
  }
  if (file.has("/provenance")) {
    for (const char* name : {"version", "git_revision", "command_line"}) {
      if (const auto value = file.text_attribute("/provenance", name))
        say(name, *value, std::string(name) + ": " + *value);
    }
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
