// Options as structs whose fields know their names: the command line, TOML files, messages and documents all
// read one list.
//
// An options struct has one static member
//
//   template <class F, class... S>
//   static void visit(F&& f, S&&... s) { f(OptionText{"batch", "cases per update"}, s.batch...); }
//
// Fields are bool, std::int64_t, double, std::string, an enum with Names, a std::optional of one of these
// (nothing: the program decides, or the option is off), a std::variant of an enum with Names and a number or
// a text (a rule, or what else it may be), a Leveled of an enum with Names (a rule that may have a number of
// its own), or a std::vector of whole numbers or of names.
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <variant>
#include <vector>

#include "tempera/core/names.hpp"

namespace tempera {

struct OptionText {
  const char* name;
  const char* help;
  bool common = false;        // whether most runs need it
  const char* none = "auto";  // what nothing is called where the field is optional
  const char* old = nullptr;  // a name that it had before, which is still understood
};

/// A rule that may have a number of its own: "threshold", "threshold:0.2".
template <Named E>
struct Leveled {
  E rule{};
  std::optional<double> level = std::nullopt;

  bool operator==(const Leveled&) const = default;
};

/// The shortest text that is read back as the same number.
std::string text_of(double value);
inline std::string text_of(std::int64_t value) { return std::to_string(value); }
inline std::string text_of(bool value) { return value ? "true" : "false"; }
inline std::string text_of(const std::string& value) { return value; }
template <Named E>
std::string text_of(E value) {
  return std::string(name_of(value));
}
template <Named E, class Number>
std::string text_of(const std::variant<E, Number>& value) {
  return std::visit([](const auto& x) { return text_of(x); }, value);
}
template <Named E>
std::string text_of(const Leveled<E>& value) {
  return text_of(value.rule) + (value.level ? ":" + text_of(*value.level) : "");
}
template <class T>
std::string text_of(const std::vector<T>& values) {
  std::string all;
  for (const T& value : values) all += (all.empty() ? "" : ",") + text_of(value);
  return all;
}
/// `none` is what nothing is called.
template <class T>
std::string text_of(const T& value, const char*) {
  return text_of(value);
}
template <class T>
std::string text_of(const std::optional<T>& value, const char* none) {
  return value ? text_of(*value) : std::string(none);
}

/// Sets a field from its text; false where it is none of this type.
bool assign(std::int64_t& field, std::string_view text);
bool assign(double& field, std::string_view text);
bool assign(bool& field, std::string_view text);
bool assign(std::string& field, std::string_view text);
bool assign(std::vector<std::int64_t>& field, std::string_view text);
bool assign(std::vector<std::string>& field, std::string_view text);
template <Named E>
bool assign(E& field, std::string_view text) {
  const std::optional<E> value = named<E>(text);
  if (value) field = *value;
  return value.has_value();
}
/// "auto" is the first rule. Where there is a rule for none, 0 is another word for it.
template <Named E, class Number>
bool assign(std::variant<E, Number>& field, std::string_view text) {
  Number number{};
  if (const std::optional<E> rule = named<E>(text)) {
    field = *rule;
  } else if (text == "auto") {
    field = Names<E>::table.front().value;
  } else if (assign(number, text)) {
    field = number;
    if constexpr (requires { E::kNone; }) {
      if (number == Number{0}) field = E::kNone;
    }
  } else {
    return false;
  }
  return true;
}

template <Named E>
bool assign(Leveled<E>& field, std::string_view text) {
  Leveled<E> value;
  const std::size_t colon = text.find(':');
  if (!assign(value.rule, text.substr(0, colon))) return false;
  if (colon != std::string_view::npos && !assign(value.level.emplace(), text.substr(colon + 1))) return false;
  field = value;
  return true;
}

/// The same where `none` is what nothing is called. "auto", "none" and 0 are understood as nothing too: no
/// optional number of this program may be 0.
template <class T>
bool assign(T& field, std::string_view text, const char*) {
  return assign(field, text);
}
template <class T>
bool assign(std::optional<T>& field, std::string_view text, const char* none) {
  T value{};
  const bool is_value = assign(value, text);
  bool is_nothing = text == none || (!is_value && (text == "auto" || text == "none"));
  if constexpr (std::is_arithmetic_v<T>) is_nothing = is_nothing || (is_value && value == T{0});
  if (is_nothing) {
    field.reset();
  } else if (is_value) {
    field = value;
  }
  return is_nothing || is_value;
}

/// What a field may be, for messages.
template <class T>
struct OptionKind {
  static std::string words() { return "a text"; }
};
template <>
struct OptionKind<bool> {
  static std::string words() { return "true or false"; }
};
template <>
struct OptionKind<std::int64_t> {
  static std::string words() { return "a whole number"; }
};
template <>
struct OptionKind<double> {
  static std::string words() { return "a number"; }
};
template <Named E>
struct OptionKind<E> {
  static std::string words() { return "one of " + all_names<E>(); }
};
template <Named E, class Number>
struct OptionKind<std::variant<E, Number>> {
  static std::string words() { return "a number or one of " + all_names<E>(); }
};
template <Named E>
struct OptionKind<std::variant<E, std::string>> {
  static std::string words() { return "a text or one of " + all_names<E>(); }
};
template <Named E>
struct OptionKind<Leveled<E>> {
  static std::string words() { return "one of " + all_names<E>() + ", with :NUMBER where it takes one"; }
};
template <class T>
struct OptionKind<std::optional<T>> {
  static std::string words() { return OptionKind<T>::words() + ", or auto"; }
};
template <>
struct OptionKind<std::vector<std::int64_t>> {
  static std::string words() { return "whole numbers with commas between"; }
};
template <>
struct OptionKind<std::vector<std::string>> {
  static std::string words() { return "names with commas between"; }
};

/// Whether a field is one of a list of names, so that another text is a value that is not allowed.
template <class T>
inline constexpr bool kIsChoice = Named<T>;
template <class T>
inline constexpr bool kIsChoice<std::optional<T>> = kIsChoice<T>;
template <Named E, class Number>
inline constexpr bool kIsChoice<std::variant<E, Number>> = true;
template <Named E>
inline constexpr bool kIsChoice<Leveled<E>> = true;

}  // namespace tempera
