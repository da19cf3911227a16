// A run directory: train into it, from its start or from its checkpoint.
#pragma once

#include <filesystem>

#include "model_file.hpp"
#include "options.hpp"

namespace tempera::apps {

/// Even hidden units of a deep machine that are enumerated for the likelihood of each case; beyond, a mean
/// field bounds it, after this many sweeps.
inline constexpr Index kExactCaseUnits = 10;
inline constexpr Index kMeanFieldSweeps = 50;

/// Whether a directory holds files of a run.
bool holds_run(const std::filesystem::path& directory);

/// Checkpoints that a run keeps beside its latest one, earliest first.
std::vector<std::filesystem::path> kept_checkpoints(const std::filesystem::path& directory);

enum class Start {
  kAnew,        // an earlier run goes once the first checkpoint of the new one is written
  kCheckpoint,  // from the latest checkpoint
};

/// Trains until the configured end, a signal, or early stopping. Prints the summary and returns the exit
/// code.
int run_training(const std::filesystem::path& directory, const TrainConfig& config, Start start_from,
                 const CommonOptions& common);

/// Filters as rows, in the raw values where the model has a preprocessing.
template <class M>
Matrix raw_filters(const ModelFile<M>& file);

/// Euclidean norm of the filter of each hidden unit.
template <class M>
Vector filter_norms(const ModelFile<M>& file);

/// Picture of the filters, most important first, at most 1024 of them.
template <class M>
void write_features(const ModelFile<M>& file, const Vector& importance, const std::filesystem::path& png);

/// Height and width of the visibles as a picture: the file's, or one row of n.
std::pair<Index, Index> picture_shape(const std::vector<std::int64_t>& visible_shape, Index n_visible);

/// Shape given as HEIGHTxWIDTH, which must hold n_visible values. Throws UsageError.
std::vector<std::int64_t> parse_shape(const std::string& text, Index n_visible);

/// Expected visibles of the first chains given their latents (P(v = 1 | h) of binary ones), as tiles; with
/// preprocessing, in the raw values.
template <class M>
std::vector<std::vector<float>> mean_visible_tiles(const M& model, const typename M::Params& theta,
                                                   const Preprocessing& preprocessing,
                                                   const Chains<M>& chains, Index count);

/// Whether free energies of cases are bounds: mean fields of machines with too many latents to enumerate.
template <class M>
bool is_bound(const M& model) {
  return model.case_units() > kExactCaseUnits;
}

/// Free energies of every case, in parallel: exact, in double, or upper bounds.
template <class M>
std::vector<double> free_energies(const M& model, const typename M::Params& theta,
                                  const typename M::Data& data, const Workers& workers);

/// Gives a model whose file holds no reference machine the best independent one for these cases, and says so.
template <class M>
void fit_reference(ModelFile<M>& file, const typename M::Data& train, const CommonOptions& common);

/// log Z by enumeration. Throws ConfigError where the smaller layer is too large.
template <class M>
LogPartition exact_log_partition(const M& model, const typename M::Params& theta, const Workers& workers,
                                 const Progress& progress);

}  // namespace tempera::apps
