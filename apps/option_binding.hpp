// Options structs on the command line: one option for each field that a struct visits (core/option.hpp).
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/core/option.hpp"

namespace tempera::apps {

/// Refuses integers that 64 bits do not hold: the parser would take the nearest one that they do.
const CLI::Validator& whole_number();

namespace detail {

/// "--name", with the name that it had before beside it.
std::string flags_of(const OptionText& text);
/// What the help says of a field: its help, and its choices where there are any.
std::string help_of(const OptionText& text, const std::string& choices);
/// Names of choices with what they mean, or nothing.
template <class T>
struct Choices {
  static std::string words() { return ""; }
};
template <Named E>
struct Choices<E> {
  static std::string words() { return all_names_with_help<E>(); }
};
template <class T>
struct Choices<std::optional<T>> : Choices<T> {};
template <Named E>
struct Choices<Leveled<E>> : Choices<E> {};
template <Named E, class Number>
struct Choices<std::variant<E, Number>> {
  static std::string words() { return "a number, or " + all_names_with_help<E>(); }
};

template <Named E>
struct Choices<std::variant<E, std::string>> {
  static std::string words() { return "a text, or " + all_names_with_help<E>(); }
};

/// Types that the parser converts itself.
template <class T>
inline constexpr bool kIsPlain =
    std::is_same_v<T, std::int64_t> || std::is_same_v<T, double> || std::is_same_v<T, std::string> ||
    std::is_same_v<T, std::vector<std::int64_t>> || std::is_same_v<T, std::vector<std::string>>;

template <class T>
void bind_plain(CLI::App& app, const OptionText& text, T& field) {
  CLI::Option* const option = app.add_option(flags_of(text), field, text.help)->capture_default_str();
  if constexpr (std::is_same_v<T, std::vector<std::int64_t>> || std::is_same_v<T, std::vector<std::string>>)
    option->delimiter(',');
  if constexpr (std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::vector<std::int64_t>>)
    option->check(whole_number());
}

/// Fields that the parser does not know: read as text. A text that is none of the choices is a violation
/// where `bad_choices` takes them, else a usage error, as every text is that is no number where one is meant.
template <class T>
void bind_text(CLI::App& app, const OptionText& text, T& field, std::vector<Violation>* bad_choices) {
  const std::string name = text.name;
  const char* const none = text.none;
  const auto set = [&field, name, none, bad_choices](const std::string& given) {
    if (assign(field, given, none)) return;
    const std::string constraint = "must be " + OptionKind<T>::words();
    if (!kIsChoice<T> || bad_choices == nullptr)
      throw CLI::ValidationError("--" + name, "'" + given + "' " + constraint);
    bad_choices->push_back({name, "'" + given + "'", constraint});
  };
  CLI::Option* const option =
      app.add_option_function<std::string>(flags_of(text), set, help_of(text, Choices<T>::words()));
  option->default_str(text_of(field, none));
}

}  // namespace detail

/// Adds every option of a struct to a command, with the values that it has as defaults. A bool is a flag and
/// its contrary, --no-name. `options` and `bad_choices` must outlive the parse. Where `bad_choices` is given,
/// texts that are none of an option's choices are added to it, so that a command can report them with all
/// other violations; else they are usage errors.
template <class Options>
void bind_options(CLI::App& app, Options& options, std::vector<Violation>* bad_choices = nullptr) {
  Options::visit(
      [&app, bad_choices]<class T>(const OptionText& text, T& field) {
        if constexpr (std::is_same_v<T, bool>) {
          const std::string name = text.name;
          app.add_flag("--" + name + ",!--no-" + name, field, text.help)->capture_default_str();
        } else if constexpr (detail::kIsPlain<T>) {
          detail::bind_plain(app, text, field);
        } else {
          detail::bind_text(app, text, field, bad_choices);
        }
      },
      options);
}

}  // namespace tempera::apps
