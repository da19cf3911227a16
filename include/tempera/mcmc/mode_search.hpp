// Modes of a machine, and what they prove of log Z.
//
// A mode is a state of the collapsed machine (models/collapsed_machine.hpp) whose weight no flip of a single
// unit raises. Ascents begin at random states of every density and at given ones. The weights of distinct
// states, of modes and of what lies around the heaviest, add up to no more than Z; so does what a mean field
// that starts at a mode gives. Both are certain: they prove that an estimate below them has missed mass.
//
// Formulas: docs/mathematics/log-partition.md 3.19.
#pragma once

#include <functional>

#include "tempera/core/observer.hpp"
#include "tempera/mcmc/population.hpp"

namespace tempera {

struct Mode {
  PackedState state;
  double log_weight = 0.0;
};

/// A search ends with a round of starts that finds no new mode, or when its operations are spent. These are
/// counted, not clocked: what it finds depends on neither machine nor threads.
struct ModeSearchOptions {
  Index round = 32;  // starts
  Index most_starts = 512;
  double operations = 3e9;  // floating-point operations; those of a round may exceed it
  std::uint64_t step = 0;   // of the random draws
};

/// Modes at most that training remembers.
inline constexpr std::size_t kRememberedModes = 32;

struct ModeSearch {
  std::vector<Mode> modes;  // distinct, the heaviest first
  Index starts = 0;
  bool improper = false;  // some state has an infinite weight: the machine has no law, no mode is told
};

/// Every call gives a collapsed machine of its own.
using CollapsedFactory = std::function<std::unique_ptr<CollapsedMachine>()>;

/// Ascents by flips of single units, and of pairs where that is cheap, from the given states, then from
/// random ones. Cost: `operations` of the options; a sweep of an
/// ascent takes units() x cost().
ModeSearch search_modes(const CollapsedFactory& machine, const StreamFactory& streams,
                        const Executor& executor, std::span<const PackedState> starts,
                        const ModeSearchOptions& options = {}, const Progress& progress = {});

/// Certain lower bounds of log Z; +infinity where a state shows that the machine is improper.
struct LowerBounds {
  double states = -std::numeric_limits<double>::infinity();  // log of the summed weights of distinct states
  double mean_field = -std::numeric_limits<double>::infinity();  // the best of the mean fields
  [[nodiscard]] double best() const { return std::max(states, mean_field); }
};

/// Sums the weights of distinct modes and of the neighbours of the heaviest states, again and again, and lets
/// mean fields ascend from the heaviest modes. Cost: at most so many floating-point operations, half for
/// each.
inline constexpr double kBoundOperations = 1e9;
LowerBounds lower_bounds(CollapsedMachine& machine, std::span<const Mode> modes,
                         double operations = kBoundOperations);

/// Units of the collapsed machine of a model.
template <EnergyModel M>
Index collapsed_units(const M& model) {
  const std::vector<Index> sizes = model.layer_sizes();
  Index units = 0;
  for (const Index layer : model.collapsed_layers()) units += sizes[static_cast<std::size_t>(layer)];
  return units;
}

/// Log of the summed weights of distinct states of a machine, which moves to the last of them.
double log_weight_of(CollapsedMachine& machine, std::span<const PackedState> distinct);

/// Packed states as the rows of an array, and back.
using PackedRows = Eigen::Matrix<Word, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
PackedRows rows_of(std::span<const PackedState> states, Index units);
std::vector<PackedState> states_of(const PackedRows& rows);

/// At most `most` of so many cases, evenly spread and then moved on by `shift`: rows may have a period.
std::vector<Index> spread_cases(Index n_cases, Index most, std::uint64_t shift);

/// The states that these cases put the collapsed machine in: units are on that are more likely so than not,
/// after this many sweeps of the mean field where the latents given a case have no other law. Cost: a product
/// for every block of cases.
template <EnergyModel M>
std::vector<PackedState> states_of_cases(const Engine<M>& engine, const typename M::Params& theta,
                                         const typename M::Data& data, std::span<const Index> which,
                                         Index sweeps);

}  // namespace tempera
