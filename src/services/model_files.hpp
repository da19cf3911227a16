// Parts of model files that models and checkpoints share.
#pragma once

#include "tempera/services/model_arrays.hpp"

namespace tempera {

inline constexpr const char* kParamsGroup = "/model/params/";

/// What surrounds the parameters of a machine in a file.
struct MachineNotes {
  const std::vector<std::int64_t>& visible_shape;
  const Binarization& binarization;
  const Preprocessing& preprocessing;
  const Standardisation& units;
  const Alphabet& alphabet;
};

template <EnergyModel M>
struct StoredMachine {
  M model;
  bool has_reference = false;
  Standardisation units;
};

/// The machine of a file, of the kind that is expected. Throws DataError.
template <EnergyModel M>
StoredMachine<M> read_machine(const Hdf5Reader& file);
template <EnergyModel M>
void write_machine(Hdf5Writer& file, const M& model, const MachineNotes& notes);

/// Parameters with the axes that the format names: files hold those of the data's units. Throws DataError.
template <EnergyModel M>
typename M::Params read_params(const Hdf5Reader& file, const M& model, const Standardisation& units);
template <EnergyModel M>
std::vector<ParameterArray> arrays_of(const M& model, const typename M::Params& theta,
                                      const Standardisation& units);
template <EnergyModel M>
void write_params(Hdf5Writer& file, const M& model, const typename M::Params& theta,
                  const Standardisation& units);
/// A model without training state; `origin` is what it was made from.
template <EnergyModel M>
void write_whole_model(Hdf5Writer& file, const ModelFile<M>& model, const std::string& origin);
/// The version of the format that a file with such latents has.
std::int64_t format_version(std::string_view hidden_units);
template <EnergyModel M>
void write_reference(Hdf5Writer& file, const M& model, const Standardisation& units);

/// Refuses parameters that no machine of this kind can have; `group` is where they stand.
template <EnergyModel M>
void require_sound_params(const Hdf5Reader& file, const std::string& group, const typename M::Params& theta);

}  // namespace tempera
