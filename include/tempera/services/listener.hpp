// What a service says while it works. A service prints nothing, never exits and touches no signal: whoever
// calls it decides what becomes of its words.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tempera/core/errors.hpp"
#include "tempera/core/observer.hpp"
#include "tempera/services/facts.hpp"

namespace tempera {

/// Hears warnings, notes and progress. This one keeps them to itself.
class Listener {
 public:
  virtual ~Listener() = default;
  /// Something that the user should know of the result.
  virtual void warn(const std::string& /*words*/) {}
  /// Something that was done on the way.
  virtual void note(const std::string& /*words*/) {}
  /// The part of a file that has been read. Reading cannot be stopped: nothing is lost by its end, and a
  /// damaged file must not hold the program.
  virtual void reading(const std::string& /*file*/, double /*fraction*/) {}
  /// What work begins with has been read, or made of what was: processes that work in step compare its
  /// digest, which is costly, and throw where they differ.
  virtual void begins_with(const std::string& /*what*/, const std::function<std::uint64_t()>& /*digest*/) {}
  /// The part of a stage that is done, in [0, 1], and what there is to say of it. kStop ends the work: a
  /// service then throws Interrupted, unless it says that it keeps what is finished.
  virtual Control progress(const std::string& /*stage*/, double /*fraction*/, const std::string& /*detail*/) {
    return Control::kContinue;
  }
  /// A row of metrics.csv that has been written; what is not known is NaN, flow and live units are lists.
  /// kStop ends the training after this update, with a checkpoint.
  virtual Control report(const Facts& /*row*/) { return Control::kContinue; }
};

/// The listener stopped the work.
struct Interrupted : Error {
  Interrupted() : Error(ExitCode::kInterrupted, "stopped by a signal") {}
};

/// Progress of one stage of the work, told to a listener, which must outlive it. Throws Interrupted where the
/// listener stops.
inline Progress stage(Listener& listener, std::string name) {
  return [&listener, name = std::move(name)](double fraction) {
    if (listener.progress(name, fraction, "") == Control::kStop) throw Interrupted();
    return Control::kContinue;
  };
}

}  // namespace tempera
