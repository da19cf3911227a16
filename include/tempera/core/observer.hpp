// The one thing that comes back from an observer, and progress of work that takes long.
#pragma once

#include <functional>

namespace tempera {

enum class Control { kContinue, kStop };

/// Called now and then from the thread that asked for the work, with the fraction done in [0, 1].
/// kStop ends the work early; what that means is stated where a Progress is taken.
using Progress = std::function<Control(double fraction)>;

}  // namespace tempera
