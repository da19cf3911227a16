#include "tempera/services/file_info.hpp"

#include <cmath>
#include <set>

#include "tempera/core/format.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/file_kind.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/foreign_models.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {
namespace {

/// Collects facts.
class Description {
 public:
  explicit Description(const Hdf5Reader& file) : file_(file) {}

  void say(const std::string& name, std::variant<Fact, Shape> value, const std::string& words) {
    facts.push_back({name, std::move(value), words});
  }
  void say_text(const std::string& group, const std::string& name) {
    if (const auto text = file_.text_attribute(group, name)) say(name, *text, name + ": " + *text);
  }
  void say_shape(const std::string& path) {
    const Shape shape = file_.shape(path);
    say(path, shape, path + ": " + to_string(shape));
  }
  /// Datasets below a group, or the group itself where it is one.
  void say_shapes(const std::string& group) {
    if (!file_.has(group)) return;
    const std::vector<std::string> names = file_.children(group);
    if (names.empty()) say_shape(group);
    for (const std::string& name : names) say_shape(group + "/" + name);
  }

  std::vector<FileFact> facts;

 private:
  const Hdf5Reader& file_;
};

template <EnergyModel M>
void describe_model(const ModelFile<M>& file, Description& about) {
  about.say("kind", std::string(M::kKind), "kind: " + std::string(M::kKind));
  if (M::kHiddenUnits != kUsualHiddenUnits)
    about.say("hidden_units", std::string(M::kHiddenUnits), "hidden units: " + std::string(M::kHiddenUnits));
  for (const auto& [name, size] : file.model.shape_names())
    about.say(name, std::int64_t{size}, name + ": " + std::to_string(size));
  double squares = 0.0;
  double count = 0.0;
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (!M::is_weight(name)) return;
        squares += field.template cast<double>().squaredNorm();
        count += static_cast<double>(field.size());
      },
      file.theta);
  const double rms = std::sqrt(squares / count);
  about.say("weight_rms", rms, format("root mean square weight: %.4f", rms));
}

/// What a run was trained with.
void describe_run(const std::filesystem::path& directory, Description& about) {
  TrainOptions options;
  read_config(directory / "config.toml", options);
  static const std::set<std::string_view> told = {"data",      "trainer", "batch", "chains",
                                                  "sweeps",    "updates", "lr",    "schedule",
                                                  "optimizer", "metric",  "seed"};
  TrainOptions::visit(
      [&](const OptionText& text, const auto& value) {
        if (told.count(text.name) > 0)
          about.say(text.name, text_of(value, text.none),
                    std::string(text.name) + ": " + text_of(value, text.none));
      },
      options);
}

/// What is inside of a file that is neither ours nor a model of another toolkit; empty for those.
std::string data_arrays(const std::filesystem::path& path) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::kText || kind == FileKind::kIdx || kind == FileKind::kJson ||
      kind == FileKind::kSequences) {
    const DataFile data = load_data(path.string(), {}, true);
    const Table& table = data.splits.begin()->second;
    return "\n  a table of " + std::to_string(table.rows) + " x " + std::to_string(table.columns);
  }
  if (kind == FileKind::kHdf5) {
    const Hdf5Reader file(path);
    const bool known = file.text_attribute("/", "format") || file.has("/model") || file.has("/train") ||
                       file.has("/samples");
    if (known) return "";
  }
  try {
    if (read_foreign(path)) return "";
  } catch (const DataError&) {
    if (kind == FileKind::kHdf5) throw;
  }
  return "\n  " + arrays_in(path, "\n  ");
}

}  // namespace

std::vector<FileFact> describe_file(const std::filesystem::path& argument) {
  const std::filesystem::path path = resolve_model(argument);
  std::vector<FileFact> facts = {{"file", path.string(), path.string()}};
  if (const std::string arrays = data_arrays(path); !arrays.empty()) {
    facts.push_back({"holds", arrays,
                     "it holds" + arrays + "\ntempera data " + path.string() + ":NAME reads one of them"});
    return facts;
  }
  if (const auto foreign = read_foreign(path)) {
    const auto n_visible =
        std::int64_t{(foreign->letters.empty() ? foreign->weights.rows() : foreign->letters.sites())};
    const auto n_hidden = std::int64_t{foreign->weights.cols()};
    facts.push_back({"format", foreign->format,
                     format("model of %s: %lld visible, %lld hidden units", foreign->format.c_str(),
                            static_cast<long long>(n_visible), static_cast<long long>(n_hidden))});
    facts.push_back({"n_visible", n_visible, ""});
    facts.push_back({"n_hidden", n_hidden, ""});
    return facts;
  }
  const Hdf5Reader file(path);
  Description about(file);
  about.facts = std::move(facts);
  about.say_text("/", "content");
  if (file.has("/model")) {
    Listener silent;
    std::visit([&](const auto& model) { describe_model(model, about); }, read_model(path, silent));
    if (const auto update = file.number_attribute("/state", "update"); file.has("/state") && update)
      about.say("update", static_cast<std::int64_t>(*update), format("update: %.0f", *update));
  }
  if (file.has("/log_partition")) {
    if (const auto value = file.number_attribute("/log_partition", "value")) {
      const auto error = file.number_attribute("/log_partition", "standard_error");
      about.say("log_partition", *value,
                format("log Z: %.4f", *value) + (error ? format(" (standard error %.4f)", *error) : ""));
    }
  }
  if (std::filesystem::is_directory(argument) && std::filesystem::exists(argument / "config.toml"))
    describe_run(argument, about);
  for (const char* group : {"/train", "/valid", "/test", "/samples"}) about.say_shapes(group);
  if (file.has("/provenance")) {
    for (const char* name : {"verdict", "version", "git_revision", "command_line"})
      about.say_text("/provenance", name);
  }
  return about.facts;
}

}  // namespace tempera
