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
    std::visit(
        [&]<class M>(const ModelFile<M>& model) {
          say("kind", std::string(M::kKind), "kind: " + std::string(M::kKind));
          for (const auto& [name, size] : model.model.shape_names())
            say(name, size, name + ": " + std::to_string(size));
          double squares = 0.0;
          double count = 0.0;
          for_each_field(
              [&](std::string_view name, const auto& field) {
                if (!M::is_weight(name)) return;
                squares += field.template cast<double>().squaredNorm();
                count += static_cast<double>(field.size());
              },
              model.theta);
          const double rms = std::sqrt(squares / count);
          say("weight_rms", rms, format("root mean square weight: %.4f", rms));
        },
        read_model(path));
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
