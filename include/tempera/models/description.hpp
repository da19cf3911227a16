// What a machine says of itself as data, so that nobody has to ask which kind it is.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// The rule that turns a gradient into a step where no metric does.
enum class FirstOrder { kSgd, kAdam };

/// Where the latents given a case come from in the positive phase.
enum class Inference { kExact, kMeanField, kSampled };

/// What training takes where nothing is said.
struct MachineDefaults {
  double learning_rate = 0.3;          // of first-order rules
  bool begins_high = false;            // at that rate also where it is to be less later
  double natural_learning_rate = 0.3;  // of metrics
  FirstOrder first_order = FirstOrder::kSgd;
  Inference inference = Inference::kExact;
  double decay = 0.0;       // l2 of its first-order rule, times the training cases
  double most_jumps = 0.5;  // probability of a jump at most where nobody says how many: what they cost
};

/// Numbers that a machine of some shape takes, for estimates of memory. Doubles: a shape may be absurd.
struct MachineMemory {
  double parameters = 0.0;    // numbers in the parameters
  double statistics = 0.0;    // units of the layers that metrics see
  double chain_floats = 0.0;  // floats of a chain with what is cached of it
};

/// How filters are laid out in a picture.
struct FilterGrid {
  Index group = 1;     // filters that belong together, side by side
  Index columns = 0;   // of the picture; 0: as it likes
  bool table = false;  // whether the filters are cells of a table, whose order stays
};

/// A number that a file states beside the parameters, or several.
struct ShapeAttribute {
  std::string name;
  std::variant<std::int64_t, double, std::vector<std::int64_t>> value;
};

/// A code of the data: expected latents, or something made of them.
struct Code {
  std::string name;
  Index size = 0;
};

/// A value of a case that a machine can never have.
struct ImpossibleValue {
  Index n_case = 0;
  double value = 0.0;
  std::string constraint;  // "outside of the model's box of 1.2"
};

/// Places of a machine whose filters are cells of tables: blocks of rows g and columns h.
struct FilterTable {
  Index n_blocks = 0;
  Index n_g = 0;
  Index n_h = 0;
  [[nodiscard]] Index places() const { return n_blocks * n_g * n_h; }
};

/// enumerated_units() of a machine whose states are infinitely many.
inline constexpr Index kNotEnumerable = 1 << 30;

}  // namespace tempera
