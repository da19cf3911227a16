// Options structs from Python: texts by the names that the command gives them, so that both read one list.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/option.hpp"

namespace tempera::python {

using Texts = std::map<std::string, std::string>;

/// What is known of an option.
struct OptionFacts {
  std::string name;
  std::string help;
  std::string kind;  // "a number", ...
  std::string usual;
  bool common = false;
};

template <class Options>
std::vector<OptionFacts> facts_of_options() {
  std::vector<OptionFacts> all;
  const Options usual;
  Options::visit(
      [&all]<class T>(const OptionText& text, const T& field) {
        all.push_back({text.name, text.help, OptionKind<T>::words(), text_of(field, text.none), text.common});
      },
      usual);
  return all;
}

/// Sets the options of these names. Throws ConfigError naming all that there are not, and all values that
/// are none.
template <class Options>
void set_options(const Texts& texts, Options& options) {
  std::vector<Violation> violations;
  Texts unknown = texts;
  Options::visit(
      [&]<class T>(const OptionText& text, T& field) {
        const auto given = texts.find(text.name);
        if (given == texts.end()) return;
        unknown.erase(text.name);
        if (!assign(field, given->second, text.none))
          violations.push_back({text.name, "'" + given->second + "'", "must be " + OptionKind<T>::words()});
      },
      options);
  for (const auto& [name, value] : unknown) violations.push_back({name, "'" + value + "'", "is no option"});
  if (!violations.empty()) throw ConfigError(violations);
}

template <class Options>
Options options_of(const Texts& texts) {
  Options options;
  set_options(texts, options);
  return options;
}

}  // namespace tempera::python
