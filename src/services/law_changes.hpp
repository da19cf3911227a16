// Which law samples are asked of: units held, and powers.
#pragma once

#include "tempera/services/sampling.hpp"

namespace tempera {

/// Whether options ask for another law than the machine's own, or for missing values.
bool changes_law(const SamplingOptions& options);

/// Whether the observed values of cases are held.
bool asks_for_observed(const SamplingOptions& options);

/// The change that options describe, but for values of cases. Throws UsageError where the machine has no such
/// unit, value or law.
template <EnergyModel M>
LawChange law_change(const ModelFile<M>& file, const SamplingOptions& options, Listener& listener);

/// A machine of the changed law. No data, run or snapshots are its own.
template <EnergyModel M>
ModelFile<M> changed_machine(const ModelFile<M>& file, const LawChange& change);

/// Cases with missing values, and what of the others is held.
struct HeldCases {
  std::vector<Index> cases;       // of the split
  std::vector<HeldUnits> values;  // of each
};

/// Units of either, those of the former where both have one.
HeldUnits both(const HeldUnits& former, const HeldUnits& latter);

/// Throws UsageError where there are no data, or no case has missing values.
template <EnergyModel M>
HeldCases observed_values(const ModelFile<M>& file, const SamplingOptions& options, Listener& listener);

}  // namespace tempera
