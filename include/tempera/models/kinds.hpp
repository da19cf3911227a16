// The kinds of models as data: what may be known and checked of a kind by its name, without its type.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/core/errors.hpp"
#include "tempera/models/description.hpp"
#include "tempera/models/features.hpp"
#include "tempera/models/machine_options.hpp"

namespace tempera {

/// What a model says of its kind (models/energy_model.hpp, MachineOptionsKnown).
struct Kind {
  std::string_view kind;
  std::string_view hidden_units;
  bool discrete;  // whether the visibles have probabilities, not densities
  FeatureSet features;
  MachineDefaults defaults;
  std::vector<Violation> (*check)(const MachineOptions&, const InitialValues&);
  std::string_view (*law_field)(const MachineOptions&);
  double (*default_weight_scale)(const InitialValues&, Index n_visible);
  /// Of options that `check` found nothing wrong with.
  MachineMemory (*memory)(const MachineOptions&, Index n_visible);

  /// The kind, with its hidden units where these are not Bernoulli: "ssrbm", "bernoulli-rbm (gaussian)".
  [[nodiscard]] std::string name() const;
};

/// Every kind, in the order of models/all_models.hpp.
std::span<const Kind> all_kinds();

/// The kind of these names, or nullptr.
const Kind* find_kind(std::string_view kind, std::string_view hidden_units);

/// Names of the kinds that have a feature, in words: "ssrbm, binary-ssrbm and sparse-ssrbm".
std::string kinds_with(Feature feature);

/// The part of a feature's name before its value: the option.
std::string option_of(Feature feature);

/// Everything that is wrong with a machine but for ranges of numbers: a kind that there is not, options that
/// mean nothing with it, and what breaks the kind's own rules. Fields are called as the options are.
std::vector<Violation> check_machine(const MachineOptions& options, const InitialValues& initial);

}  // namespace tempera
