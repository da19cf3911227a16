#include "option_binding.hpp"

namespace tempera::apps {
namespace detail {

std::string flags_of(const OptionText& text) {
  const std::string flag = "--" + std::string(text.name);
  return text.old == nullptr ? flag : flag + ",--" + text.old;
}

std::string help_of(const OptionText& text, const std::string& choices) {
  return choices.empty() ? text.help : std::string(text.help) + ": " + choices;
}

}  // namespace detail

const CLI::Validator& whole_number() {
  static const CLI::Validator validator(
      [](std::string& text) {
        std::int64_t value = 0;
        return assign(value, text) ? std::string() : "'" + text + "' is not a whole number that 64 bits hold";
      },
      "", "whole number");
  return validator;
}

}  // namespace tempera::apps
