// Models and checkpoints in files: the place where the kind of a file meets the type of a model.
#pragma once

#include <cmath>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "options.hpp"
#include "tempera/estimate/log_partition.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/io/preprocessing.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera::apps {

template <class M>
struct ModelFile {
  std::filesystem::path path;  // the HDF5 file that was read
  M model;
  typename M::Params theta;
  bool has_reference = false;
  std::vector<std::int64_t> visible_shape;
  Binarization binarization;  // of the data it was trained on
  Preprocessing preprocessing;

  /// Values of a raw case.
  [[nodiscard]] Index n_raw() const {
    return preprocessing.empty() ? model.n_visible() : static_cast<Index>(preprocessing.n_inputs);
  }
};

/// The HDF5 file behind a MODEL argument: the file itself, or the latest checkpoint of a run directory.
std::filesystem::path resolve_model(const std::filesystem::path& argument);

template <class First, class... Rest>
struct DropFirst {
  using Variant = std::variant<Rest...>;
};

/// A model of any kind.
#define TEMPERA_FILE_OF(M) , ModelFile<M>
using AnyModelFile = DropFirst<void TEMPERA_FOR_EACH_MODEL(TEMPERA_FILE_OF)>::Variant;
#undef TEMPERA_FILE_OF

/// A model of ours or, converted, of another toolkit (foreign_models.hpp). Throws NoInputError or DataError.
AnyModelFile read_model(const std::filesystem::path& argument);

/// A model of the kind that is known. Throws DataError where the file holds another.
template <class M>
ModelFile<M> read_model_as(const std::filesystem::path& argument);

/// Snapshots of an sml-ptt run in a checkpoint, earliest first, without the reference machine; empty for any
/// other file. Throws DataError.
template <class M>
std::vector<typename M::Params> read_snapshots(const ModelFile<M>& file);

/// The tracker of a checkpoint; none where log Z was not tracked with chains of its own.
template <class M>
std::optional<Tracker<M>> read_tracker(const ModelFile<M>& file);

/// What surrounds the parameters in a file that this program writes.
struct ModelNotes {
  std::vector<std::int64_t> visible_shape;
  Binarization binarization;
  Preprocessing preprocessing;
  std::string command_line;
  std::int64_t seed = 0;
  std::optional<LogPartition> log_partition;  // where it is tracked
  bool log_partition_trusted = true;          // false where the data contradict it
};

template <class M>
void write_checkpoint(const std::filesystem::path& path, const M& model, const TrainState<M>& state,
                      const ModelNotes& notes);

/// A model alone, without training state; `origin` is what it was made from.
template <class M>
void write_model(const std::filesystem::path& path, const ModelFile<M>& file, const std::string& origin);

/// Fills a state made by initial_state, whose shapes the file must have. Throws DataError.
template <class M>
void read_checkpoint(const std::filesystem::path& path, const M& model, TrainState<M>& state);

/// Provenance attributes of any file that this program writes.
void write_provenance(Hdf5Writer& file, const std::string& command_line, std::int64_t seed);

/// The words of this process' command line.
std::string command_line();

/// A split for a model of real values: as it is where the data were made by the model's own preprocessing,
/// else raw cases, which the model's preprocessing is applied to. Throws DataError where neither fits. For a
/// model of bits: grey values are converted as `method` says (with `seed`), or as the model's own file says
/// where that is "none". Throws DataError where the widths differ, or where the data goes beyond the largest
/// grey value that the model's rule knows.
template <class M>
typename M::Data data_for_model(const ModelFile<M>& file, const DataFile& data, const std::string& split,
                                const std::string& method, std::int64_t seed);

/// Values of a split as a model takes them, unseen: bits by a rule, or real numbers.
template <class M>
typename M::Data values_of(const DataFile& data, const std::string& split, const Binarization& rule) {
  if constexpr (std::is_same_v<typename M::Data, BinaryData>) {
    return binarize(data, split, rule);
  } else {
    return RealData(real_rows(data.split(split)));
  }
}

/// Whether a checkpoint's log Z, where it has one, is not marked as contradicted.
bool is_trusted(const std::filesystem::path& checkpoint);

/// Refuses machines that are seen to have no law; tells where that cannot be seen.
template <class M>
void require_law(const ModelFile<M>& file) {
  if constexpr (HasProjection<M>) {
    if (file.model.is_improper(file.theta)) throw NumericalError(file.path.string() + ": " + kImproper);
    if (!file.model.is_seen(file.theta))
      warn(file.path.string() +
           ": not every state of the latents was looked at, and the machine is beyond what training allows: "
           "it "
           "may be improper, and have no law");
  }
}

/// Refuses values that the model says are impossible: outside of its box.
template <class M>
void require_in_box(const M& model, const typename M::Data& data, const std::string& split) {
  if constexpr (std::is_same_v<typename M::Data, RealData>) {
    const auto box = static_cast<float>(model.shape().box);
    for (Index n = 0; box > 0 && n < data.n_cases(); ++n) {
      for (const float x : data.row(n)) {
        if (!(std::abs(x) <= box))
          throw DataError(split + ": case " + std::to_string(n) + " has a value of " + std::to_string(x) +
                          ", outside of the model's box of " + std::to_string(box));
      }
    }
  }
}

/// The same model with the reference machine that fits these cases best.
template <class M>
M with_fitted_reference(const M& model, const typename M::Data& train) {
  if constexpr (HasLayers<M>) {
    return M::with_layers(model.layer_sizes(), smoothed_logits(train.means(), train.n_cases()));
  } else {
    return M(model.shape(), M::fit_reference(train));
  }
}

}  // namespace tempera::apps
