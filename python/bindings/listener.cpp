#include "listener.hpp"

namespace tempera::python {

template <class F>
void PythonListener::with_lock(F&& f) {
  const nb::gil_scoped_acquire lock;
  try {
    if (PyErr_CheckSignals() != 0) nb::raise_python_error();
    f();
  } catch (...) {
    if (!raised_) raised_ = std::current_exception();
  }
}

bool PythonListener::is_due() {
  constexpr std::chrono::milliseconds kBetween(100);
  const Clock::time_point now = Clock::now();
  if (now - last_ < kBetween) return false;
  last_ = now;
  return true;
}

void PythonListener::warn(const std::string& words) {
  with_lock([&] { hears_.attr("warn")(words); });
}

void PythonListener::note(const std::string& words) {
  with_lock([&] { hears_.attr("note")(words); });
}

void PythonListener::reading(const std::string& file, double fraction) {
  if (is_due()) with_lock([&] { hears_.attr("reading")(file, fraction); });
}

Control PythonListener::progress(const std::string& stage, double fraction, const std::string& detail) {
  if (fraction >= 1.0 || is_due()) with_lock([&] { hears_.attr("progress")(stage, fraction, detail); });
  return raised_ ? Control::kStop : Control::kContinue;
}

Control PythonListener::report(const Facts& row) {
  bool goes_on = true;
  with_lock([&] { goes_on = nb::cast<bool>(hears_.attr("report")(dict_of(row))); });
  return goes_on && !raised_ ? Control::kContinue : Control::kStop;
}

}  // namespace tempera::python
