#include "options.hpp"

#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <iostream>

#include "tempera/core/errors.hpp"
#include "tempera/core/memory.hpp"

namespace tempera::apps {
namespace {

volatile std::sig_atomic_t g_signal = 0;

void on_signal(int number) { g_signal = number; }

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& common) {
  app.add_flag("--json", common.json, "one JSON object on standard output and nothing else there");
  app.add_flag("--quiet", common.quiet, "no progress, only errors and warnings");
  app.add_option("--threads", common.threads, "threads; 0 takes every core")
      ->check(whole_number())
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
}

const CLI::Validator& whole_number() {
  static const CLI::Validator validator(
      [](std::string& text) {
        std::int64_t value = 0;
        const char* first = text.data() + (!text.empty() && text.front() == '+' ? 1 : 0);
        const auto [end, status] = std::from_chars(first, text.data() + text.size(), value);
        if (status == std::errc() && end == text.data() + text.size()) return std::string();
        return "'" + text + "' is not a whole number that 64 bits hold";
      },
      "", "whole number");
  return validator;
}

void log(const CommonOptions& common, const std::string& line) {
  if (!common.quiet) std::cerr << line << '\n';
}

void warn(const std::string& line) { std::cerr << "tempera: warning: " << line << '\n'; }

void print_result(const CommonOptions& common, const Json& json, const std::string& text) {
  // Names of files may hold any bytes; JSON holds UTF-8.
  std::cout << (common.json ? json.dump(-1, ' ', false, Json::error_handler_t::replace) : text) << std::endl;
  if (!std::cout) throw WriteError("standard output: cannot be written");
}

void require_between(std::vector<Violation>& violations, const std::string& field, std::int64_t value,
                     std::int64_t least, std::int64_t most) {
  if (value < least)
    violations.push_back({field, std::to_string(value), "must be at least " + std::to_string(least)});
  if (value > most)
    violations.push_back({field, std::to_string(value), "must be at most " + std::to_string(most)});
}

void require_memory(const std::string& field, std::int64_t value, double bytes) {
  if (bytes <= physical_memory()) return;
  throw ConfigError({{field, std::to_string(value),
                      format("needs about %.3g GiB of memory, this machine has %.3g", bytes / 0x1p30,
                             physical_memory() / 0x1p30)}});
}

std::string format(const char* pattern, ...) {
  va_list arguments;
  va_list again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  std::string text(static_cast<std::size_t>(std::max(0, std::vsnprintf(nullptr, 0, pattern, arguments))),
                   ' ');
  std::vsnprintf(text.data(), text.size() + 1, pattern, again);
  va_end(again);
  va_end(arguments);
  return text;
}

ProgressLine::ProgressLine(const CommonOptions& common, std::string label)
    : enabled_(!common.quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      label_(std::move(label)),
      begin_(std::chrono::steady_clock::now()),
      last_(begin_) {}

ProgressLine::~ProgressLine() {
  if (drawn_ && terminal_) std::cerr << '\n';
}

void ProgressLine::show(double fraction, const std::string& note, double start) {
  if (!enabled_) return;
  const auto now = std::chrono::steady_clock::now();
  const double since = std::chrono::duration<double>(now - last_).count();
  if (since < (terminal_ ? 0.1 : 5.0)) return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double left = fraction > start ? elapsed * (1.0 - fraction) / (fraction - start) : 0.0;
  std::string bar;
  if (terminal_) {
    constexpr int kWidth = 24;
    const int full = static_cast<int>(fraction * kWidth);
    bar = " [" + std::string(static_cast<std::size_t>(full), '#') +
          std::string(static_cast<std::size_t>(kWidth - full), ' ') + "]";
  }
  const std::string text = label_ + bar + format(" %3.0f %%, %.0f s left", 100.0 * fraction, left) +
                           (note.empty() ? "" : ", " + note);
  std::cerr << (terminal_ ? "\r\033[K" : "") << text << (terminal_ ? "" : "\n") << std::flush;
  drawn_ = true;
}

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_signal != 0; }

Progress show_on(ProgressLine& line) {
  return [&line](double fraction) {
    line.show(fraction);
    if (interrupted()) throw Error(ExitCode::kInterrupted, "stopped by a signal");
    return Control::kContinue;
  };
}

}  // namespace tempera::apps
