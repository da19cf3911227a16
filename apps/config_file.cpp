#include "config_file.hpp"

#include <sstream>
#include <toml.hpp>

#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

std::string one_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

template <class T>
bool assign(const toml::value& value, T& field) {
  if constexpr (std::is_same_v<T, double>) {
    if (value.is_integer()) {
      field = static_cast<double>(value.as_integer());
      return true;
    }
  }
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>>) {
    if (value.is_integer()) {
      field = {value.as_integer()};
      return true;
    }
  }
  if constexpr (std::is_same_v<T, std::string>) {
    if (value.is_integer() || value.is_floating()) {
      field = one_line(toml::format(value));
      return true;
    }
  }
  try {
    field = toml::get<T>(value);
    return true;
  } catch (const toml::exception&) {
    return false;
  }
}

}  // namespace

void read_config(const std::filesystem::path& path, TrainConfig& config) {
  const std::string content = read_file(path);
  // The parser recurses; a configuration has no reason to nest.
  int depth = 0;
  for (const char c : content) {
    depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    if (depth > 16)
      throw ConfigError({{path.string(), "not TOML", "arrays and tables are nested too deeply"}});
  }
  std::istringstream text(content);
  toml::value root;
  try {
    root = toml::parse(text, path.string());
  } catch (const std::exception& error) {
    throw ConfigError({{path.string(), "not TOML", one_line(error.what())}});
  }
  std::vector<Violation> violations;
  for (const auto& [key, value] : root.as_table()) {
    bool known = false;
    TrainConfig::visit(
        [&, &key = key, &value = value](const char* name, const char*, auto& field) {
          if (key != name) return;
          known = true;
          if (!assign(value, field))
            violations.push_back({key, one_line(toml::format(value)), "has the wrong type"});
        },
        config);
    if (!known) violations.push_back({key, one_line(toml::format(value)), "is not a known option"});
  }
  if (!violations.empty()) throw ConfigError(violations);
}

std::string to_toml(const TrainConfig& config) {
  std::string text = "# Every value of this run. tempera train --config FILE --out DIR repeats it.\n";
  TrainConfig::visit(
      [&text](const char* name, const char* help, const auto& field) {
        toml::value value(field);
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(field)>, std::vector<std::int64_t>>) {
          if (field.size() == 1) value = field.front();  // one layer reads better as a number
        }
        text += std::string("\n# ") + help + "\n" + name + " = " + toml::format(value) + "\n";
      },
      config);
  return text;
}

}  // namespace tempera::apps
