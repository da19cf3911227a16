// What a user may say about a machine. The struct fields are the only place where defaults stand.
#pragma once

#include <array>

#include "tempera/core/letters.hpp"
#include "tempera/core/option.hpp"

namespace tempera {

/// In how many steps a sweep draws the units of a machine with slabs.
enum class Gibbs { kThreeBlock, kTwoBlock };
template <>
struct Names<Gibbs> {
  static constexpr std::array<NamedValue<Gibbs>, 2> table = {
      {{Gibbs::kThreeBlock, "three-block", "spikes, slabs, visibles"},
       {Gibbs::kTwoBlock, "two-block", "spikes, then slabs and visibles jointly"}}};
};

/// Hidden units of a machine that does not name them, and of files that do not.
inline constexpr std::string_view kUsualHiddenUnits = "bernoulli";

/// The shape of a machine but for its visibles, which are as many as the values of a case. Fields that a kind
/// does not have are not read; `Feature` (models/features.hpp) says which kinds have them.
struct MachineOptions {
  std::string kind = "bernoulli-rbm";
  std::string hidden_units{kUsualHiddenUnits};
  std::vector<std::int64_t> hidden = {500};  // units of every hidden layer, or of the groups of a block
  std::int64_t slabs = 1;                    // of a spike
  std::int64_t blocks = 1;                   // of factor groups
  bool gate = false;                         // of every block
  Gibbs gibbs = Gibbs::kThreeBlock;
  std::optional<double> box;  // bound of the absolute value of every visible
  Letters letters;            // of the sites of the data, which say them; no option

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"model", "kind of model", true}, s.kind...);
    f(OptionText{"hidden-units", "kind of the hidden units", true}, s.hidden_units...);
    f(OptionText{"hidden", "hidden units; of a deep machine those of every layer, as 500,100", true},
      s.hidden...);
    f(OptionText{"slabs", "slabs of a spike (subspace ssrbm above 1)"}, s.slabs...);
    f(OptionText{"blocks", "blocks of bilinear-ssrbm, each of --hidden G,H factors"}, s.blocks...);
    f(OptionText{"gate", "a gate for every block of bilinear-ssrbm"}, s.gate...);
    f(OptionText{"gibbs", "sweeps of machines with slabs"}, s.gibbs...);
    f(OptionText{"box", "restrict real visibles to [-box, box], which makes every machine proper", false,
                 "none"},
      s.box...);
  }
};

/// Where training begins. Fields that a kind does not have are not read.
struct InitialValues {
  std::optional<double> weights;  // standard deviation of normal weights; none: what the kind prefers
  std::optional<double> visible_precision;  // none: that of the data
  double spike_bias = -1.0;                 // of all binary latents of machines with real values or slabs
  double spike_precision = 0.3;             // that a spike gives to the visibles; 0: none, also later
  double slab_mean = 0.0;
  double slab_precision = 10.0;
};

/// Random weights of this standard deviation; the rest as usual.
inline InitialValues random_weights(double standard_deviation) {
  InitialValues values;
  values.weights = standard_deviation;
  return values;
}

}  // namespace tempera
