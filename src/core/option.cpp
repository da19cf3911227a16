#include "tempera/core/option.hpp"

#include <array>

namespace tempera {
namespace {

/// f(part) for the parts between commas, of which an empty text has none; false as soon as f says so.
template <class F>
bool for_each_part(std::string_view text, F&& f) {
  if (text.empty()) return true;
  for (std::size_t comma = text.find(','); comma != std::string_view::npos; comma = text.find(',')) {
    if (!f(text.substr(0, comma))) return false;
    text.remove_prefix(comma + 1);
  }
  return f(text);
}

template <class Number>
bool assign_number(Number& field, std::string_view text) {
  if (text.starts_with('+') && !text.starts_with("+-")) text.remove_prefix(1);
  Number value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size()) return false;
  field = value;
  return true;
}

}  // namespace

std::string text_of(double value) {
  std::array<char, 32> buffer{};
  const auto [end, status] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return {buffer.data(), status == std::errc() ? end : buffer.data()};
}

bool assign(std::int64_t& field, std::string_view text) { return assign_number(field, text); }
bool assign(double& field, std::string_view text) { return assign_number(field, text); }

bool assign(bool& field, std::string_view text) {
  if (text != "true" && text != "false") return false;
  field = text == "true";
  return true;
}

bool assign(std::string& field, std::string_view text) {
  field = text;
  return true;
}

bool assign(std::vector<std::int64_t>& field, std::string_view text) {
  std::vector<std::int64_t> values;
  const bool good =
      for_each_part(text, [&](std::string_view part) { return assign(values.emplace_back(), part); });
  if (good) field = values;
  return good;
}

bool assign(std::vector<std::string>& field, std::string_view text) {
  std::vector<std::string> values;
  const bool good = for_each_part(text, [&](std::string_view part) {
    values.emplace_back(part);
    return !part.empty();
  });
  if (good) field = values;
  return good;
}

}  // namespace tempera
