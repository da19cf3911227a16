#include "listener.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <iostream>

#include "options.hpp"
#include "ranks.hpp"
#include "tempera/core/format.hpp"

namespace tempera::apps {
namespace {

volatile std::sig_atomic_t g_signal = 0;

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};

/// After this the first of these signals only sets a flag; the second ends the program at once. One that
/// whoever started the program has it ignore (nohup) stays ignored.
void catch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int number) {
    g_signal = number;
    for (const int other : kSignals) std::signal(other, SIG_DFL);
  };
  for (const int number : kSignals) {
    struct sigaction before {};
    if (g_signal == 0 && sigaction(number, nullptr, &before) == 0 && before.sa_handler != SIG_IGN)
      sigaction(number, &action, nullptr);
  }
}

/// Columns of the terminal that progress is told on.
std::size_t terminal_width() {
  constexpr std::size_t kUsual = 80;
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsual;
}

}  // namespace

ConsoleListener::ConsoleListener(bool quiet)
    : silent_(world().rank() > 0), quiet_(quiet || silent_), terminal_(isatty(STDERR_FILENO) != 0) {}

ConsoleListener::~ConsoleListener() { end_line(); }

void ConsoleListener::begins_with(const std::string& what, const std::function<std::uint64_t()>& digest) {
  if (world().size() > 1) require_same(what, digest());
}

void ConsoleListener::warn(const std::string& words) {
  if (silent_) return;
  end_line();
  std::cerr << "tempera: warning: " << printable(words) << '\n';
}

void ConsoleListener::note(const std::string& words) {
  if (quiet_) return;
  end_line();
  std::cerr << printable(words) << '\n';
}

Control ConsoleListener::progress(const std::string& stage, double fraction, const std::string& detail) {
  // A stage may come again.
  if (stage_.empty() || stage != stage_ || fraction < last_fraction_) {
    catch_signals();
    begin(stage, fraction);
  }
  last_fraction_ = fraction;
  draw_now_and_then(fraction, detail);
  return world().any(g_signal != 0) ? Control::kStop : Control::kContinue;
}

void ConsoleListener::reading(const std::string& file, double fraction) {
  const std::string stage = "reading " + printable(file);
  if (stage != stage_ || fraction < last_fraction_) begin(stage, fraction);
  last_fraction_ = fraction;
  draw_now_and_then(fraction, "");
  if (fraction >= 1.0) end_line();
}

void ConsoleListener::draw_now_and_then(double fraction, const std::string& detail) {
  const Clock::time_point now = Clock::now();
  if (!quiet_ && std::chrono::duration<double>(now - last_).count() >= (terminal_ ? 0.1 : 5.0))
    draw(fraction, detail, now);
}

void ConsoleListener::begin(const std::string& stage, double fraction) {
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
    const int full = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * kWidth));
    bar = " [" + std::string(static_cast<std::size_t>(full), '#') +
          std::string(static_cast<std::size_t>(kWidth - full), ' ') + "]";
  }
  std::string text = stage_ + bar + tempera::format(" %3.0f %%, %.0f s left", 100.0 * fraction, left) +
                     (detail.empty() ? "" : ", " + detail);
  // A line that wraps cannot be drawn over.
  if (terminal_) text.resize(std::min(text.size(), terminal_width() - 1));
  std::cerr << (terminal_ ? "\r\033[K" : "") << text << (terminal_ ? "" : "\n") << std::flush;
  drawn_ = true;
}

void ConsoleListener::end_line() {
  if (drawn_ && terminal_) std::cerr << "\r\033[K";
  drawn_ = false;
}

}  // namespace tempera::apps
