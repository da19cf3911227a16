// What training sees of data, and how it came to be that.
#pragma once

#include "tempera/services/model_io.hpp"

namespace tempera {

/// Training and validation cases, and how grey ones became binary.
template <EnergyModel M>
struct RunData {
  DataFile file;
  Binarization rule;
  Preprocessing steps;  // of the machine, and the coordinates that it sees their outcome in: of real values
  Standardisation units;
  typename M::Data train;
  typename M::Data valid;  // no cases where none are needed
};

/// Rows of a split, raw ones with the machine's own steps applied.
template <EnergyModel M>
Matrix prepared_rows(const RunData<M>& data, const std::string& split) {
  Matrix rows = real_rows(data.file.split(split));
  return data.file.preprocessing.empty() && !data.steps.empty() ? data.steps.apply(std::move(rows)) : rows;
}

/// What data say of the machine that is to be trained on them.
template <EnergyModel M>
void set_letters(const DataFile& data, MachineOptions& machine) {
  if constexpr (HasLetters<M>) machine.letters = data.alphabet.letters(data.columns());
}

/// Values of a split as a machine takes them, unseen: bits by a rule, letters, or real numbers, standardised.
template <EnergyModel M>
typename M::Data values_of(const RunData<M>& data, const std::string& split) {
  if constexpr (HasUnits<M>) {
    return standardised<M>(prepared_rows(data, split), data.units, weights_of(data.file.split(split)));
  } else if constexpr (HasLetters<M>) {
    return categorical(data.file, split);
  } else {
    return binarize(data.file, split, data.rule);
  }
}

/// The steps and coordinates of a machine that begins. Values whose machines know no centre are centred by a
/// step, unless there are steps or exact zeros.
template <HasUnits M>
void fit_coordinates(const MachineOptions& machine, RunData<M>& data, Listener& listener) {
  data.steps = data.file.preprocessing;
  const CaseWeights weights = weights_of(data.file.split("train"));
  const Matrix rows = real_rows(data.file.split("train"));
  const UnitFreedom freedom = with_standard_reference<M>(M::shape_from(machine, rows.cols())).unit_freedom();
  if (freedom == UnitFreedom::kScale && !M::kExactZeros && !machine.box && data.steps.empty()) {
    PreprocessingRequest request;
    request.centre = true;
    data.steps = fit_preprocessing(rows, request, weights);
    listener.note("the mean of the train split is subtracted from every case; it stays in the model");
  }
  data.units = fit_standardisation(prepared_rows(data, "train"), freedom, M::kExactZeros, weights);
}

/// Variance along the direction in which cases vary most; known of bits alone.
inline double variance_of(const BinaryData& data) {
  return largest_variance(data, StreamFactory().engine(Purpose::kClusters, 0));
}
inline double variance_of(const RealData&) { return 0.0; }

}  // namespace tempera
