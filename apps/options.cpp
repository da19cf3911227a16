#include "options.hpp"

#include <iostream>

#include "option_binding.hpp"

namespace tempera::apps {
void add_common_options(CLI::App& app, CommonOptions& common) {
  app.add_flag("--json", common.json, "one JSON object on standard output and nothing else there");
  app.add_flag("--quiet", common.quiet, "no progress, only errors and warnings");
  app.add_option("--threads", common.threads, "threads; 0 takes every core")
      ->check(whole_number())
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

std::string printable(const std::string& text) {
  std::string shown;
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if ((code < 32 && c != '\n' && c != '\t') || code == 127) {
      constexpr const char* kDigits = "0123456789abcdef";
      shown += std::string("\\x") + kDigits[code >> 4] + kDigits[code & 15];
    } else {
      shown += c;
    }
  }
  return shown;
}

void print_result(const CommonOptions& common, const Json& json, const std::string& text) {
  // Names of files may hold any bytes; JSON holds UTF-8.
  std::cout << (common.json ? json.dump(-1, ' ', false, Json::error_handler_t::replace) : printable(text))
            << std::endl;
  if (!std::cout) throw WriteError("standard output: cannot be written");
}

void print_table(const CommonOptions& common, const Json& json, std::string table) {
  table.pop_back();  // the end of its last line, which is printed
  print_result(common, json, table);
}

}  // namespace tempera::apps
