// Models in files: the place where the kind of a file meets the type of a machine.
#pragma once

#include <filesystem>
#include <optional>
#include <variant>

#include "tempera/estimate/log_partition.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/io/image.hpp"
#include "tempera/io/preprocessing.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/parallel/tasks.hpp"
#include "tempera/services/listener.hpp"
#include "tempera/services/units.hpp"
#include "tempera/train/tracker.hpp"

namespace tempera {

/// A machine with its parameters and what is known of the data that it was trained on.
template <EnergyModel M>
struct ModelFile {
  std::filesystem::path path;  // the file that was read
  M model;
  typename M::Params theta;
  bool has_reference = false;               // whether the file holds the machine at beta = 0
  std::vector<std::int64_t> visible_shape;  // of pictures, else empty
  Binarization binarization;
  Preprocessing preprocessing;
  Standardisation units;  // of what the preprocessing gives, which the machine sees standardised
  Alphabet alphabet;      // of letters; empty where values are none

  /// log Z in the data's units less log Z of the machine as it is here.
  [[nodiscard]] double log_partition_shift() const { return tempera::log_partition_shift<M>(theta, units); }
  /// Values of a raw case.
  /// Of the visibles as a picture: letters are a row for each site.
  [[nodiscard]] std::vector<std::int64_t> drawn_shape() const {
    if constexpr (HasLetters<M>) return {model.letters().sites(), model.letters().most()};
    return visible_shape;
  }
  [[nodiscard]] Index n_raw() const {
    if constexpr (HasLetters<M>) return model.letters().sites();
    return preprocessing.empty() ? model.n_visible() : static_cast<Index>(preprocessing.n_inputs);
  }
};

namespace detail {
template <class First, class... Rest>
struct DropFirst {
  using Variant = std::variant<Rest...>;
};
}  // namespace detail

/// A model of any kind.
#define TEMPERA_FILE_OF(M) , ModelFile<M>
using AnyModelFile = detail::DropFirst<void TEMPERA_FOR_EACH_MODEL(TEMPERA_FILE_OF)>::Variant;
#undef TEMPERA_FILE_OF

/// The file behind a MODEL argument: the file itself, or of a run directory the best validated model, and the
/// latest checkpoint where there is none. Throws NoInputError.
std::filesystem::path resolve_model(const std::filesystem::path& argument);

/// Tells a listener which model of a run a file is, where there are two.
void say_which(const std::filesystem::path& argument, const std::filesystem::path& path, Listener& listener);

/// A model of ours or, converted, of another toolkit (services/foreign_models.hpp). Tells a listener which
/// model of a run it is where there are two. Throws NoInputError or DataError.
AnyModelFile read_model(const std::filesystem::path& argument, Listener& listener);

/// A model of the kind that is known. Throws DataError where the file holds another.
template <EnergyModel M>
ModelFile<M> read_model_as(const std::filesystem::path& argument);

/// Snapshots of an sml-ptt run in a checkpoint, earliest first, without the reference machine; empty for any
/// other file. Throws DataError.
template <EnergyModel M>
std::vector<typename M::Params> read_snapshots(const ModelFile<M>& file);

/// The tracker of a checkpoint; none where log Z was not tracked with chains of its own. Throws DataError.
template <EnergyModel M>
std::optional<Tracker<M>> read_tracker(const ModelFile<M>& file);

/// Writes a model alone, without training state; `origin` is what it was made from.
template <EnergyModel M>
void write_model(const std::filesystem::path& path, const ModelFile<M>& file, const std::string& origin);

/// Writes provenance attributes: versions, this process' command line, seed.
void write_provenance(Hdf5Writer& file, std::int64_t seed);

/// A data set, with what is remarkable of it told to the listener. Throws as load_data.
DataFile read_data_file(const DataSource& data, const ReadingOptions& reading, Listener& listener);

/// Columns as options say, with the letters of the model where these are left open.
template <EnergyModel M>
ColumnOptions columns_for(const ModelFile<M>& file, ColumnOptions columns);
ColumnOptions columns_for(const AnyModelFile& model, const ColumnOptions& columns);

/// Which cases of a data set a model is to see, and how grey ones become binary: `method` and `seed`, or as
/// the model's own file says where the method is kNone.
struct SplitRequest {
  std::string split = "test";
  BinarizeChoice method = {};
  std::uint64_t seed = 0;
};

/// Refuses letters where a machine takes numbers. Throws DataError.
template <EnergyModel M>
void require_values_of(const DataFile& data);

/// A split as a model takes it: letters as the codes of the model's alphabet; real values as they are where
/// the data were made by the model's own preprocessing, else raw cases, which the model's preprocessing is
/// applied to; bits by a rule. Throws DataError where widths, preprocessing, grey range or box do not fit,
/// UsageError where a rule means nothing.
template <EnergyModel M>
typename M::Data data_for_model(const ModelFile<M>& file, const DataFile& data, const SplitRequest& request,
                                Listener& listener);

/// Free energies of every case in the data's units, as `free_energies` gives them for the machine's own.
template <EnergyModel M>
std::vector<double> free_energies_in_units(const ModelFile<M>& file, const Executor& executor,
                                           const typename M::Data& cases);

/// Refuses values that the model says are impossible, such as those outside of its box. Throws DataError,
/// which begins with `split`.
template <EnergyModel M>
void require_possible_values(const M& model, const typename M::Data& data, const std::string& split);

/// Refuses machines that are seen to have no law; warns where that cannot be seen. Throws NumericalError.
template <EnergyModel M>
void require_law(const ModelFile<M>& file, Listener& listener);

/// Why training did not trust the log Z that it left in a checkpoint, or empty.
std::string stored_doubt(const Hdf5Reader& file);

/// Gives a model whose file holds no reference machine the best independent one for these cases, and says so.
template <EnergyModel M>
void fit_reference(ModelFile<M>& file, const typename M::Data& train, Listener& listener);

/// The visibles as a picture: of two axes, or of three, the last or else the first of which are colours; or
/// one row of n.
PictureShape picture_shape(const std::vector<std::int64_t>& visible_shape, Index n_visible);

}  // namespace tempera
