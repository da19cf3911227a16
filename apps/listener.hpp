// The listener of every command: progress and words on standard error, signals as a wish to stop.
#pragma once

#include <chrono>
#include <string>

#include "tempera/services/listener.hpp"

namespace tempera::apps {

/// Draws one progress line for the stage at work: redrawn on a terminal, a plain line now and then in a pipe.
/// Prints notes and progress unless `quiet`, warnings always; nothing on ranks but the first. From the first
/// progress on, SIGINT, SIGTERM and SIGHUP stop the work instead of ending the program; while files are read
/// before it, they end it.
class ConsoleListener : public Listener {
 public:
  explicit ConsoleListener(bool quiet);
  ~ConsoleListener() override;
  ConsoleListener(const ConsoleListener&) = delete;
  ConsoleListener& operator=(const ConsoleListener&) = delete;

  void warn(const std::string& words) override;
  void note(const std::string& words) override;
  void reading(const std::string& file, double fraction) override;
  void begins_with(const std::string& what, const std::function<std::uint64_t()>& digest) override;
  /// kStop on every rank where any has caught a signal.
  Control progress(const std::string& stage, double fraction, const std::string& detail) override;

 private:
  using Clock = std::chrono::steady_clock;

  void begin(const std::string& stage, double fraction);
  void draw_now_and_then(double fraction, const std::string& detail);
  void draw(double fraction, const std::string& detail, Clock::time_point now);
  void end_line();

  bool silent_;  // warnings too
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::string stage_;
  double start_ = 0.0;  // part of the stage that was done before it was first heard of
  double last_fraction_ = 0.0;
  Clock::time_point begin_;
  Clock::time_point last_;
};

}  // namespace tempera::apps
