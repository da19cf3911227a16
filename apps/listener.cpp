#include "listener.hpp"

#include <unistd.h>

#include <csignal>
#include <iostream>

#include "tempera/core/format.hpp"

namespace tempera::apps {
namespace {

volatile std::sig_atomic_t g_signal = 0;

/// After this, SIGINT and SIGTERM only set a flag.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { g_signal = number; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

ConsoleListener::ConsoleListener(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0) {}

ConsoleListener::~ConsoleListener() { end_line(); }

void ConsoleListener::warn(const std::string& words) {
  end_line();
  std::cerr << "tempera: warning: " << words << '\n';
}

void ConsoleListener::note(const std::string& words) {
  if (quiet_) return;
  end_line();
  std::cerr << words << '\n';
}

Control ConsoleListener::progress(const std::string& stage, double fraction, const std::string& detail) {
  // A stage may come again.
  if (stage_.empty() || stage != stage_ || fraction < last_fraction_) begin(stage, fraction);
  last_fraction_ = fraction;
  const Clock::time_point now = Clock::now();
  if (!quiet_ && std::chrono::duration<double>(now - last_).count() >= (terminal_ ? 0.1 : 5.0))
    draw(fraction, detail, now);
  return g_signal != 0 ? Control::kStop : Control::kContinue;
}

void ConsoleListener::begin(const std::string& stage, double fraction) {
  catch_signals();
  end_line();
  stage_ = stage;
  start_ = fraction;
  begin_ = last_ = Clock::now();
}

void ConsoleListener::draw(double fraction, const std::string& detail, Clock::time_point now) {
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  const double left = fraction > start_ ? elapsed * (1.0 - fraction) / (fraction - start_) : 0.0;
  std::string bar;
  if (terminal_) {
    constexpr int kWidth = 24;
    const int full = static_cast<int>(fraction * kWidth);
    bar = " [" + std::string(static_cast<std::size_t>(full), '#') +
          std::string(static_cast<std::size_t>(kWidth - full), ' ') + "]";
  }
  const std::string text = stage_ + bar + tempera::format(" %3.0f %%, %.0f s left", 100.0 * fraction, left) +
                           (detail.empty() ? "" : ", " + detail);
  std::cerr << (terminal_ ? "\r\033[K" : "") << text << (terminal_ ? "" : "\n") << std::flush;
  drawn_ = true;
}

void ConsoleListener::end_line() {
  if (drawn_ && terminal_) std::cerr << '\n';
  drawn_ = false;
}

}  // namespace tempera::apps
