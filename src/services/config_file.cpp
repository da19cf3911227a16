#include "tempera/services/config_file.hpp"

#include <algorithm>
#include <sstream>
#include <toml.hpp>

#include "tempera/io/files.hpp"
#include "tempera/services/sweep.hpp"

namespace tempera {
namespace {

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// The text of a value as `assign` understands it; nothing of tables and dates.
std::optional<std::string> plain_text(const toml::value& value) {
  if (value.is_string()) return std::string(value.as_string());
  if (value.is_boolean()) return text_of(value.as_boolean());
  if (value.is_integer()) return text_of(std::int64_t{value.as_integer()});
  if (value.is_floating()) return text_of(double{value.as_floating()});
  if (!value.is_array()) return std::nullopt;
  std::string all;
  for (const toml::value& part : value.as_array()) {
    const auto text = part.is_array() ? std::nullopt : plain_text(part);
    if (!text) return std::nullopt;
    all += (all.empty() ? "" : ",") + *text;
  }
  return all;
}

/// Whether a value may stand for a field: a text for names, a number for numbers, an array for lists.
template <class T>
bool has_type(const T&, const toml::value& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_same_v<T, std::int64_t>) return value.is_integer();
  if constexpr (std::is_same_v<T, double>) return value.is_integer() || value.is_floating();
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    if (!value.is_array()) return value.is_integer();
    return std::all_of(value.as_array().begin(), value.as_array().end(),
                       [](const toml::value& part) { return part.is_integer(); });
  }
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return value.is_array();
  return !value.is_array() && !value.is_boolean();
}

void read_value(const std::string& key, const toml::value& value, TrainOptions& options,
                std::vector<Violation>& violations) {
  bool known = false;
  TrainOptions::visit(
      [&](const OptionText& text, auto& field) {
        if (key != text.name && (text.old == nullptr || key != text.old)) return;
        known = true;
        using Field = std::remove_cvref_t<decltype(field)>;
        const auto words = plain_text(value);
        if (!words || !has_type(field, value)) {
          violations.push_back({key, one_line(toml::format(value)), "has the wrong type"});
        } else if (!assign(field, *words, text.none)) {
          violations.push_back({key, "'" + *words + "'", "must be " + OptionKind<Field>::words()});
        }
      },
      options);
  if (!known) violations.push_back({key, one_line(toml::format(value)), "is not a known option"});
}

bool is_section(const std::string& key) {
  const TrainOptions any;
  bool found = false;
  TrainOptions::visit_sections([&](const char* name, const auto&) { found = found || key == name; }, any);
  return found;
}

/// Throws where arrays and tables are nested so deeply that the parser, which recurses, would run out of
/// memory. A configuration has no reason to nest.
void refuse_nesting(const std::filesystem::path& path, const std::string& content) {
  int depth = 0;
  for (const char c : content) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth > 16)
      throw ConfigError({{path.string(), "not TOML", "arrays and tables are nested too deeply"}});
  }
}

/// Bytes of the character of UTF-8 that begins a text; 0 where none does (RFC 3629: the second byte says that
/// a character is no longer than it must be, no surrogate, and no more than U+10FFFF).
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(text[k]); };
  const unsigned lead = byte(0);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xC2 ? 0
                             : lead < 0xE0 ? 2
                             : lead < 0xF0 ? 3
                             : lead < 0xF5 ? 4
                                           : 0;
  if (length > text.size()) return 0;
  const unsigned least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (length > 1 && (byte(1) < least || byte(1) > most)) return 0;
  for (std::size_t k = 2; k < length; ++k) {
    if (byte(k) < 0x80 || byte(k) > 0xBF) return 0;
  }
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// A field as TOML writes it.
template <class T>
std::string toml_of(const T& field, const char* none) {
  if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::vector<std::string>>) {
    return toml::format(toml::value(field));
  } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    return field.size() == 1 ? text_of(field) : "[" + text_of(field) + "]";
  } else {
    std::string text = text_of(field, none);
    std::int64_t whole = 0;
    double number = 0.0;
    if (text == "true" || text == "false") return text;
    if (!assign(number, text)) return '"' + text + '"';
    // A real number keeps its point, so that TOML sees what it is.
    if constexpr (std::is_same_v<T, double>) {
      if (assign(whole, text)) text += ".0";
    }
    return text;
  }
}

}  // namespace

namespace {

/// The root of a file. Throws NoInputError, ConfigError.
toml::value parsed(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  refuse_nesting(path, content);
  // The parser would read beyond its end.
  if (!is_utf8(content)) throw ConfigError({{path.string(), "not TOML", "holds text that is not UTF-8"}});
  std::istringstream text(content);
  try {
    return toml::parse(text, path.string());
  } catch (const std::exception& error) {
    throw ConfigError({{path.string(), "not TOML", one_line(error.what())}});
  }
}

/// An option by its name, or those of a section.
void read_entry(const std::string& key, const toml::value& value, TrainOptions& options,
                std::vector<Violation>& violations) {
  if (!value.is_table() || !is_section(key)) return read_value(key, value, options, violations);
  for (const auto& [inner, field] : value.as_table()) read_value(inner, field, options, violations);
}

/// An option and the values that it is to have.
struct Axis {
  std::string option;
  std::vector<toml::value> values;
};

/// Tables of [[list]], or one without options.
std::vector<std::vector<Axis>> listed(const toml::value& root, std::vector<Violation>& violations) {
  std::vector<std::vector<Axis>> all;
  const auto found = root.as_table().find("list");
  if (found == root.as_table().end()) return {{}};
  if (!found->second.is_array()) {
    violations.push_back({"list", one_line(toml::format(found->second)), "must be tables: [[list]]"});
    return {{}};
  }
  for (const toml::value& one : found->second.as_array()) {
    std::vector<Axis>& axes = all.emplace_back();
    if (!one.is_table()) {
      violations.push_back({"list", one_line(toml::format(one)), "must be a table: [[list]]"});
      continue;
    }
    for (const auto& [option, value] : one.as_table()) axes.push_back({option, {value}});
  }
  return all;
}

/// Lists of [grid].
std::vector<Axis> grid_of(const toml::value& root, std::vector<Violation>& violations) {
  std::vector<Axis> axes;
  const auto found = root.as_table().find("grid");
  if (found == root.as_table().end()) return axes;
  if (!found->second.is_table()) {
    violations.push_back({"grid", one_line(toml::format(found->second)), "must be a table of lists: [grid]"});
    return axes;
  }
  for (const auto& [option, values] : found->second.as_table()) {
    if (!values.is_array() || values.as_array().empty()) {
      violations.push_back({"grid." + option, one_line(toml::format(values)), "must be a list of values"});
    } else {
      axes.push_back({option, {values.as_array().begin(), values.as_array().end()}});
    }
  }
  return axes;
}

/// A value in the name of a directory.
std::string name_part(const toml::value& value) {
  std::string text = plain_text(value).value_or("");
  for (char& c : text) {
    const bool is_plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '+';
    if (!is_plain) c = '_';
  }
  return text;
}

}  // namespace

std::vector<SweepSetting> read_sweep(const std::filesystem::path& spec) {
  constexpr std::size_t kMost = 100000;
  const toml::value root = parsed(spec);
  std::vector<Violation> violations;
  TrainOptions base;
  for (const auto& [key, value] : root.as_table()) {
    if (key != "grid" && key != "list") read_entry(key, value, base, violations);
  }
  const std::vector<Axis> grid = grid_of(root, violations);
  std::size_t count = 1;
  for (const Axis& axis : grid) count = std::min(kMost + 1, count * axis.values.size());
  std::vector<SweepSetting> settings;
  for (const std::vector<Axis>& one : listed(root, violations)) {
    if (count * (settings.size() / count + 1) > kMost) {
      violations.push_back({spec.string(), "more than " + std::to_string(kMost) + " runs", "is too many"});
      break;
    }
    for (std::size_t k = 0; k < count; ++k) {
      SweepSetting setting{"", {}, base};
      std::vector<std::pair<std::string, const toml::value*>> chosen;
      for (const Axis& axis : one) chosen.emplace_back(axis.option, &axis.values.front());
      std::size_t rest = k;
      for (const Axis& axis : grid) {
        chosen.emplace_back(axis.option, &axis.values[rest % axis.values.size()]);
        rest /= axis.values.size();
      }
      // Tables have no order.
      std::sort(chosen.begin(), chosen.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (const auto& [option, value] : chosen) {
        read_value(option, *value, setting.options, violations);
        setting.varied.emplace_back(option, plain_text(*value).value_or(""));
        setting.name += (setting.name.empty() ? "" : ",") + option + "=" + name_part(*value);
      }
      if (setting.name.empty()) setting.name = "run";
      settings.push_back(std::move(setting));
    }
  }
  const auto same_options = [](const SweepSetting& a, const SweepSetting& b) {
    return std::equal(a.varied.begin(), a.varied.end(), b.varied.begin(), b.varied.end(),
                      [](const auto& x, const auto& y) { return x.first == y.first; });
  };
  std::sort(settings.begin(), settings.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (std::size_t k = 1; k < settings.size(); ++k) {
    if (settings[k].name == settings[k - 1].name)
      violations.push_back({spec.string(), settings[k].name, "is asked for twice"});
    if (!same_options(settings[k], settings.front()))
      violations.push_back({"list", settings[k].name, "must name the same options in every table"});
  }
  if (!violations.empty()) throw ConfigError(violations);
  return settings;
}

void read_config(const std::filesystem::path& path, TrainOptions& options) {
  const toml::value root = parsed(path);
  std::vector<Violation> violations;
  for (const auto& [key, value] : root.as_table()) read_entry(key, value, options, violations);
  if (!violations.empty()) throw ConfigError(violations);
}

DataOptions data_of_run(const std::filesystem::path& directory) {
  TrainOptions options;
  read_config(directory / "config.toml", options);
  return options.data;
}

DataOptions data_or_of_run(const DataSource& data, const ColumnOptions& columns,
                           const std::filesystem::path& run) {
  if (data.empty() && !run.empty()) return data_of_run(run);
  DataOptions given;
  given.data = data;
  given.columns = columns;
  return given;
}

void require_utf8(const TrainOptions& options) {
  std::vector<Violation> violations;
  TrainOptions::visit_sections(
      [&]<class Section>(const char*, const Section& section) {
        Section::visit(
            [&](const OptionText& option, const auto& field) {
              if (const std::string text = text_of(field, option.none); !is_utf8(text))
                violations.push_back(
                    {option.name, "'" + text + "'", "is not UTF-8, which config.toml holds"});
            },
            section);
      },
      options);
  if (!violations.empty()) throw ConfigError(violations);
}

std::string to_toml(const TrainOptions& options) {
  std::string text = "# Every value of this run. tempera train --config FILE --out DIR repeats it.\n";
  TrainOptions::visit_sections(
      [&text]<class Section>(const char* name, const Section& section) {
        text += std::string("\n[") + name + "]\n";
        Section::visit(
            [&text](const OptionText& option, const auto& field) {
              text += std::string("\n# ") + option.help + "\n" + option.name + " = " +
                      toml_of(field, option.none) + "\n";
            },
            section);
      },
      options);
  return text;
}

}  // namespace tempera
