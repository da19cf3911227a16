// Machines that tests of several layers begin with.
#pragma once

#include <concepts>
#include <type_traits>
#include <vector>

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

/// Cases of so many values that mean nothing.
template <class Data>
Data random_cases(Index n, Index n_visible) {
  StreamEngine random = StreamFactory{6}.engine(Purpose::kDataSet, 0);
  if constexpr (std::same_as<Data, RealData>) {
    Matrix values(n, n_visible);
    for (float& x : values.reshaped()) x = static_cast<float>(uniform_53(random) - 0.5);
    return RealData(values);
  } else {
    const Letters letters = small_letters(n_visible);
    constexpr bool kWords = std::same_as<Data, CategoricalData>;
    std::vector<std::uint8_t> values;
    for (Index k = 0; k < n * (kWords ? letters.sites() : n_visible); ++k)
      values.push_back(static_cast<std::uint8_t>(kWords ? random() % 3 : random() & 1));
    if constexpr (kWords) {
      return {n, letters, values};
    } else {
      return {n, n_visible, values};
    }
  }
}

}  // namespace tempera
