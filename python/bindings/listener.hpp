// What a service says, told to a Python object; and Python's wish to stop, told to the service.
#pragma once

#include <chrono>
#include <exception>

#include "tempera/services/listener.hpp"
#include "values.hpp"

namespace tempera::python {

/// Tells an object with the methods warn(words), note(words), reading(file, fraction), progress(stage,
/// fraction, detail) and report(row). Progress is told ten times a second at most. An exception of one of
/// them, or of a signal's handler, ends the work: `finish` raises it. Lives without the interpreter's lock,
/// and takes it for what it says.
class PythonListener : public Listener {
 public:
  explicit PythonListener(nb::object hears) : hears_(std::move(hears)) {}

  void warn(const std::string& words) override;
  void note(const std::string& words) override;
  void reading(const std::string& file, double fraction) override;
  Control progress(const std::string& stage, double fraction, const std::string& detail) override;
  Control report(const Facts& row) override;

  /// Raises what was raised meanwhile.
  void finish() const {
    if (raised_) std::rethrow_exception(raised_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  /// Calls f with the lock, and keeps what it raises.
  template <class F>
  void with_lock(F&& f);
  [[nodiscard]] bool is_due();

  nb::object hears_;
  std::exception_ptr raised_;
  Clock::time_point last_;
};

/// Calls a service without the interpreter's lock, as service(listener). What the listener was told to raise
/// is raised after it, whatever else it throws.
template <class Service>
auto without_lock(const nb::object& hears, Service&& service) {
  PythonListener listener(hears);
  try {
    auto result = [&] {
      const nb::gil_scoped_release released;
      return service(listener);
    }();
    listener.finish();
    return result;
  } catch (const Interrupted&) {
    listener.finish();
    throw;
  }
}

}  // namespace tempera::python
