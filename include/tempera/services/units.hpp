// Between a machine's own coordinates and the units of data and files. Machines of real values see
// standardised cases; files hold the machine of the data's units, beside the transform.
#pragma once

#include "tempera/core/standardisation.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {

/// The arrays of a struct in double, each with a row for every row (or number) of its field.
template <Fielded T>
DoubleFields doubles_of(const T& value) {
  DoubleFields fields;
  for_each_field(
      [&fields](std::string_view name, const auto& field) {
        fields.emplace(name, field.template cast<double>().array());
      },
      value);
  return fields;
}

/// The way back, rounded to float.
template <Fielded T>
void set_fields(const DoubleFields& fields, T& value) {
  for_each_field(
      [&fields](std::string_view name, auto& field) {
        field = fields.find(name)->second.template cast<float>().matrix();
      },
      value);
}

/// What log Z of the machine of the data's units exceeds that of the machine of standardised values by. The
/// free energy of a case in the data's units is less by as much than the one that `free_energies` gives.
template <EnergyModel M>
[[nodiscard]] double log_partition_shift(const typename M::Params& theta, const Standardisation& units) {
  if constexpr (HasUnits<M>) {
    if (units.empty()) return 0.0;
    DoubleFields fields = doubles_of(theta);
    return units.log_volume() + M::change_units(units.inverse(), fields);
  } else {
    return 0.0;
  }
}

/// Rows of real values as a machine of this kind sees them.
template <HasUnits M>
[[nodiscard]] RealData standardised(Matrix rows, const Standardisation& units, CaseWeights weights = {}) {
  return {std::move(rows), units, M::kExactZeros, std::move(weights)};
}

/// The group `path` of a file: nothing where it is missing. Throws DataError.
Standardisation read_standardisation(const Hdf5Reader& file, const std::string& path, Index n_visible);
void write_standardisation(Hdf5Writer& file, const std::string& path, const Standardisation& units);

}  // namespace tempera
