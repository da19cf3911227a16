// Machines that tests of several layers begin with.
#pragma once

#include <type_traits>

#include "tempera/models/all_models.hpp"

namespace tempera {

/// f(std::type_identity<M>()) for every kind of machine.
template <class F>
void for_each_kind(F&& f) {
#define TEMPERA_CALL(M) f(std::type_identity<M>());
  TEMPERA_FOR_EACH_MODEL(TEMPERA_CALL)
#undef TEMPERA_CALL
}

/// Options of a small machine of this kind: one hidden layer of 20 units where the kind has one, else 6
/// and 5.
template <EnergyModel M>
MachineOptions small_options() {
  MachineOptions options;
  options.kind = M::kKind;
  options.hidden_units = M::kHiddenUnits;
  options.hidden = {20};
  if (!M::check(options, {}).empty()) options.hidden = {6, 5};
  return options;
}

/// Sites of three letters in so many places.
inline Letters small_letters(Index places) { return alike_letters(places / 3, 3); }

/// That machine, of which nothing is known of the data.
template <EnergyModel M>
M small_machine(Index n_visible) {
  MachineOptions options = small_options<M>();
  if constexpr (HasLetters<M>) options.letters = small_letters(n_visible);
  return with_standard_reference<M>(M::shape_from(options, n_visible));
}

}  // namespace tempera
