// Enums that people write: one table per enum says how each value is called in options and files, and what it
// means. Commands, validation, messages and files all read it, so that a name is spelled once and one that is
// not in the table is no value at all.
//
//   enum class Colour { kRed, kBlue };
//   template <>
//   struct Names<Colour> {
//     static constexpr std::array<NamedValue<Colour>, 2> table{
//         {{Colour::kRed, "red", "of long waves"}, {Colour::kBlue, "blue", "of short ones"}}};
//   };
#pragma once

#include <array>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tempera {

/// One row of a table: a value, its name in options and files, and what it means in a few words.
template <class E>
struct NamedValue {
  E value;
  std::string_view name;
  std::string_view help;
};

/// Specialised for every enum that has names: `static constexpr std::array<NamedValue<E>, n> table`.
template <class E>
struct Names;

template <class E>
concept Named = requires {
  Names<E>::table;
};

/// The name of a value. Throws std::logic_error where the table leaves the value out.
template <Named E>
constexpr std::string_view name_of(E value) {
  for (const NamedValue<E>& row : Names<E>::table) {
    if (row.value == value) return row.name;
  }
  throw std::logic_error("a value of an enum is missing from its table of names");
}

/// What a value means, in a few words. Throws std::logic_error where the table leaves the value out.
template <Named E>
constexpr std::string_view help_of(E value) {
  for (const NamedValue<E>& row : Names<E>::table) {
    if (row.value == value) return row.help;
  }
  throw std::logic_error("a value of an enum is missing from its table of names");
}

/// The value of a name, spelled exactly; nullopt where there is none.
template <Named E>
constexpr std::optional<E> named(std::string_view name) {
  for (const NamedValue<E>& row : Names<E>::table) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

/// Every name in the order of the table, "red, blue": for messages and help.
template <Named E>
std::string all_names() {
  std::string list;
  for (const NamedValue<E>& row : Names<E>::table) {
    if (!list.empty()) list += ", ";
    list += row.name;
  }
  return list;
}

/// The same with what each means, "red (of long waves), blue (of short ones)": for help.
template <Named E>
std::string all_names_with_help() {
  std::string list;
  for (const NamedValue<E>& row : Names<E>::table) {
    if (!list.empty()) list += ", ";
    list += row.name;
    if (!row.help.empty()) list += " (" + std::string(row.help) + ")";
  }
  return list;
}

}  // namespace tempera
