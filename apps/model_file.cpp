#include "model_file.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "foreign_models.hpp"
#include "options.hpp"

#include "tempera/core/version.hpp"
#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

namespace fs = std::filesystem;

const std::string kTrajectory = "/state/snapshots/trajectory";

/// Rungs of a trajectory in a checkpoint.
template <class M>
std::uint64_t snapshots_in(const Hdf5Reader& file) {
  const std::string biases = kTrajectory + "/rungs/" + std::string(M::kVisibleBias);
  const Shape rungs = file.shape(biases);
  if (rungs.size() != 2 || rungs[0] < 1 || rungs[0] > kMaxRungs)
    file.fail(biases, "expected 1 to " + std::to_string(kMaxRungs) + " rungs");
  return rungs[0];
}

constexpr const char* kParams = "/model/params/";

/// Shape of a parameter that must be two-dimensional and not empty.
Shape matrix_shape(const Hdf5Reader& file, const std::string& path) {
  const Shape shape = file.shape(path);
  if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0) {
    file.fail(path, "expected shape (n_visible, n_hidden), found " + to_string(shape));
  }
  return shape;
}

std::string kind_of(const Hdf5Reader& file) {
  const auto kind = file.text_attribute("/model", "kind");
  if (!file.has("/model")) file.fail("/model", "expected a model, found nothing");
  if (!kind) file.fail("/model", "attribute 'kind' is missing or no text");
  return *kind;
}

void require_bias(const Hdf5Reader& file, const std::string& name, std::uint64_t size, const Shape& weights) {
  const Shape found = file.shape(kParams + name);
  if (found != Shape{size}) {
    file.fail(kParams + name, "expected shape " + to_string(Shape{size}) + " as weights has shape " +
                                  to_string(weights) + ", found " + to_string(found));
  }
}

/// Units of every layer, from the shapes of the parameters, which must fit each other.
std::vector<Index> layers_of(const Hdf5Reader& file, std::type_identity<BernoulliRbm>) {
  const Shape shape = matrix_shape(file, kParams + std::string("weights"));
  require_bias(file, "visible_bias", shape[0], shape);
  require_bias(file, "hidden_bias", shape[1], shape);
  return {static_cast<Index>(shape[0]), static_cast<Index>(shape[1])};
}

std::vector<Index> layers_of(const Hdf5Reader& file, std::type_identity<Dbm>) {
  std::vector<Index> sizes;
  for (std::size_t k = 1; k == 1 || file.has(kParams + ("weights_" + std::to_string(k))); ++k) {
    const std::string name = kParams + ("weights_" + std::to_string(k));
    if (k > Dbm::kMaxHidden) file.fail(name, "at most " + std::to_string(Dbm::kMaxHidden) + " hidden layers");
    const Shape shape = matrix_shape(file, name);
    if (sizes.empty()) {
      sizes.push_back(static_cast<Index>(shape[0]));
      require_bias(file, "bias_0", shape[0], shape);
    }
    if (static_cast<Index>(shape[0]) != sizes.back())
      file.fail(name, "expected " + std::to_string(sizes.back()) +
                          " rows as the layer below has units, found " + to_string(shape));
    require_bias(file, "bias_" + std::to_string(k), shape[1], shape);
    sizes.push_back(static_cast<Index>(shape[1]));
  }
  return sizes;
}

/// Shape of a machine of the spike-and-slab family, from the shapes of its parameters.
template <class M>
typename M::Shape slab_shape(const Hdf5Reader& file) {
  typename M::Shape shape;
  const std::string path = kParams + std::string("weights");
  const Shape found = file.shape(path);
  const auto need = [&](std::size_t axes, const char* names) {
    bool good = found.size() == axes;
    for (const std::uint64_t n : found) good = good && n > 0;
    if (!good) file.fail(path, "expected shape " + std::string(names) + ", found " + to_string(found));
  };
  const auto size = [&](std::size_t axis) { return static_cast<Index>(found[axis]); };
  if constexpr (std::is_same_v<M, GaussianRbm>) {
    need(2, "(n_visible, n_hidden)");
    shape.latents = {size(1)};
  } else if constexpr (requires { shape.latents.n_blocks; }) {
    need(4, "(n_visible, n_blocks, n_g, n_h)");
    shape.latents = {size(1), size(2), size(3), file.has(kParams + std::string("gate_bias"))};
    if (std::min(size(2), size(3)) > BilinearBlocks::kMaxGroup)
      file.fail(path, "the smaller group of a block has at most " +
                          std::to_string(BilinearBlocks::kMaxGroup) + " factors");
  } else {
    need(3, "(n_visible, n_spikes, n_slabs)");
    shape.latents = {size(1), size(2)};
  }
  shape.n_visible = size(0);
  shape.joint_slabs = file.number_attribute("/model", "joint_slabs").value_or(0.0) != 0.0;
  shape.box = file.number_attribute("/model", "box").value_or(0.0);
  if (!(shape.box >= 0) || !std::isfinite(shape.box))
    file.fail("/model", "attribute 'box': expected a number of at least 0");
  if (shape.box > 0 &&
      (!std::is_same_v<typename M::Reference, GaussianVisibles::Reference> || shape.joint_slabs))
    file.fail("/model", "attribute 'box': is for Gaussian visibles without joint slabs");
  return shape;
}

/// Statistics of a machine that has a shape of them; empty for others.
template <class M>
LayerShape shape_of_statistics(const M& model, const typename M::Params& theta) {
  if constexpr (HasStatistics<M>) {
    return model.statistics_shape(theta);
  } else {
    return {};
  }
}

/// Refuses parameters that no machine of this kind can have.
template <class M>
void require_precisions(const Hdf5Reader& file, const std::string& group, const M& model,
                        const typename M::Params& theta) {
  if constexpr (!HasLayers<M>) {
    if (const std::string_view wrong = model.fault(theta); !wrong.empty())
      file.fail(group + std::string(wrong), "precisions must be positive");
  }
}

/// Parameters have the axes that the format names; a spike_precision that is not there is 0.
template <class M>
typename M::Params read_params(const Hdf5Reader& file, const M& model) {
  typename M::Params theta = model.zero_params();
  if constexpr (HasLayers<M>) {
    file.fields("/model/params", theta);
  } else {
    for_each_field(
        [&](std::string_view name, auto& field) {
          const std::string path = kParams + std::string(name);
          if (field.size() == 0 || (name == "spike_precision" && !file.has(path))) return;
          const Shape shape = model.file_shape(name);
          file.dataset(path, shape.empty() ? shape_of(field) : shape, field.data());
        },
        theta);
    require_precisions(file, kParams, model, theta);
  }
  return theta;
}

template <class M>
void write_params(Hdf5Writer& file, const M& model, const typename M::Params& theta) {
  if constexpr (HasLayers<M>) {
    file.fields("/model/params", theta);
  } else {
    for_each_field(
        [&](std::string_view name, const auto& field) {
          if (field.size() == 0) return;
          const Shape shape = model.file_shape(name);
          file.dataset(kParams + std::string(name), shape.empty() ? shape_of(field) : shape, field.data());
        },
        theta);
  }
}

template <class M>
M model_of(const Hdf5Reader& file, bool& has_reference) {
  if (const std::string kind = kind_of(file); kind != M::kKind)
    file.fail("/model", "attribute 'kind': expected '" + std::string(M::kKind) + "', found '" + kind + "'");
  const std::string path = "/model/reference/" + std::string(M::kVisibleBias);
  has_reference = file.has(path);
  if constexpr (HasLayers<M>) {
    const std::vector<Index> sizes = layers_of(file, std::type_identity<M>());
    Vector reference = Vector::Zero(sizes.front());
    if (has_reference) file.dataset(path, {static_cast<std::uint64_t>(sizes.front())}, reference.data());
    return M::with_layers(sizes, std::move(reference));
  } else {
    const typename M::Shape shape = slab_shape<M>(file);
    auto reference = M::standard_reference(shape.n_visible);
    if (has_reference) file.fields("/model/reference", reference);
    for_each_field(
        [&](std::string_view name, const auto& field) {
          if (M::is_precision(name) && (field.array() <= 0.0F).any())
            file.fail("/model/reference/" + std::string(name), "precisions must be positive");
        },
        reference);
    return M(shape, std::move(reference));
  }
}

}  // namespace

fs::path resolve_model(const fs::path& argument) {
  require_exists(argument);
  if (!fs::is_directory(argument)) return argument;
  const fs::path checkpoint = argument / "checkpoint.h5";
  if (!fs::exists(checkpoint)) throw NoInputError(argument.string() + ": holds no checkpoint.h5");
  return checkpoint;
}

template <class M>
ModelFile<M> read_model_as(const fs::path& argument) {
  const Hdf5Reader file(resolve_model(argument));
  bool has_reference = false;
  M model = model_of<M>(file, has_reference);
  typename M::Params theta = read_params(file, model);
  Preprocessing steps = read_preprocessing(file, "/model/preprocessing");
  if (!steps.empty() && steps.n_outputs() != model.n_visible())
    file.fail("/model/preprocessing", "does not fit the visibles of the model");
  Binarization rule;
  if (const auto method = file.text_attribute("/model", "binarize")) {
    rule = {*method, file.number_attribute("/model", "binarize_maximum").value_or(1.0),
            static_cast<std::uint64_t>(
                std::clamp(file.number_attribute("/model", "binarize_seed").value_or(0.0), 0.0, 0x1p53))};
  }
  std::vector<std::int64_t> shape = file.integers_attribute("/model", "visible_shape");
  if (!is_shape_of(shape, steps.empty() ? model.n_visible() : static_cast<Index>(steps.n_inputs)))
    shape.clear();
  return {resolve_model(argument), std::move(model), std::move(theta), has_reference, shape, rule,
          std::move(steps)};
}

AnyModelFile read_model(const fs::path& argument) {
  const fs::path path = resolve_model(argument);
  if (auto foreign = read_foreign(path)) {
    BernoulliRbm model(foreign->theta.weights.rows(), foreign->theta.weights.cols());
    return ModelFile<BernoulliRbm>{path, std::move(model), std::move(foreign->theta), false, {}, {}, {}};
  }
  const Hdf5Reader file(path);
  const std::string kind = kind_of(file);
  std::optional<AnyModelFile> result;
  std::string known;
  const auto try_kind = [&]<class M>(std::type_identity<M>) {
    known += (known.empty() ? "'" : ", '") + std::string(M::kKind) + "'";
    if (kind == M::kKind) result = read_model_as<M>(path);
  };
#define TEMPERA_TRY(M) try_kind(std::type_identity<M>());
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  if (!result) file.fail("/model", "attribute 'kind': expected one of " + known + ", found '" + kind + "'");
  return std::move(*result);
}

namespace {

constexpr const char* kTracker = "/state/tracker";

/// Sizes that a file states beside the arrays that have them.
template <class M>
std::vector<std::uint64_t> sizes_of(const Tracker<M>& tracker) {
  return {tracker.ladder.n_rungs, tracker.ladder.n_ensembles, tracker.chains.n_chains};
}

/// Memory for as many rungs and chains as the file has; checked before it is taken.
template <class M>
Tracker<M> tracker_of(const Hdf5Reader& file, const M& model) {
  const std::string ladder = std::string(kTracker) + "/ladder";
  const auto count = [&](const std::string& group, const char* name, double most) {
    const double n = file.number_attribute(group, name).value_or(-1.0);
    if (!(n >= 0 && n <= most && n == std::floor(n)))
      file.fail(group, "attribute '" + std::string(name) + "': expected a count, at most " +
                           std::to_string(static_cast<std::uint64_t>(most)));
    return static_cast<std::uint64_t>(n);
  };
  TrackerShape shape;
  shape.n_rungs = count(ladder, "n_rungs", static_cast<double>(kMaxRungs));
  shape.n_ensembles =
      shape.n_rungs > 0 ? count(ladder, "n_ensembles", static_cast<double>(kMaxEnsembles)) : 0;
  const std::uint64_t n_chains = count(kTracker + std::string("/chains"), "n_chains", 0x1p31);
  const bool few = shape.n_rungs > 0 ? shape.n_ensembles < 2 : n_chains < 2;
  if (few || shape.n_rungs == 1 || file.shape(kTracker + std::string("/carried")) != Shape{n_chains} ||
      n_chains < shape.n_rungs * shape.n_ensembles)
    file.fail(kTracker, "its rungs, ensembles and chains do not fit each other");
  shape.n_particles = n_chains - shape.n_rungs * shape.n_ensembles;
  // The arrays that need memory are there, of these sizes.
  const auto words = static_cast<std::uint64_t>(words_for(static_cast<Index>(n_chains)));
  const auto require = [&](const std::string& name, const Shape& expected) {
    if (file.shape(kTracker + name) != expected)
      file.fail(kTracker + name, "does not fit the rungs, ensembles and chains of the tracker");
  };
  for_each_field(
      [&](std::string_view name, const auto& layer) {
        if (layer.size() > 0)
          require("/chains/blocks/" + std::string(name), {words, static_cast<std::uint64_t>(layer.size())});
      },
      model.new_state());
  if (shape.n_rungs > 0) require("/belief/influences", {shape.n_rungs, shape.n_ensembles});
  return empty_tracker(model, shape);
}

/// Refuses what was read where it contradicts itself.
template <class M>
void require_sound(const Hdf5Reader& file, const M& model, const Tracker<M>& tracker) {
  if (const char* fault = tracker_fault(tracker))
    file.fail(std::string(kTracker) + "/" + fault, "out of range or inconsistent");
  require_precisions(file, std::string(kTracker) + "/theta/", model, tracker.theta);
}

}  // namespace

template <class M>
std::vector<typename M::Params> read_snapshots(const ModelFile<M>& model_file) {
  const Hdf5Reader file(model_file.path);
  if (!file.has(kTrajectory + "/rungs")) return {};
  std::vector<typename M::Params> rungs(static_cast<std::size_t>(snapshots_in<M>(file)),
                                        model_file.model.zero_params());
  file.field(kTrajectory, "rungs", rungs);
  for (const auto& theta : rungs) require_precisions(file, kTrajectory + "/rungs/", model_file.model, theta);
  rungs.erase(rungs.begin());
  return rungs;
}

template <class M>
std::optional<Tracker<M>> read_tracker(const ModelFile<M>& model_file) {
  const Hdf5Reader file(model_file.path);
  if (!file.has(std::string(kTracker) + "/carried") || !file.has(std::string(kTracker) + "/chains/blocks"))
    return {};
  Tracker<M> tracker = tracker_of(file, model_file.model);
  const std::vector<std::uint64_t> sizes = sizes_of(tracker);
  file.field("/state", "tracker", tracker);
  if (sizes_of(tracker) != sizes)
    file.fail(kTracker, "its rungs, ensembles and chains do not fit each other");
  require_sound(file, model_file.model, tracker);
  return tracker;
}

void write_provenance(Hdf5Writer& file, const std::string& command, std::int64_t seed) {
  for (const auto& [name, value] : build_provenance()) {
    file.attribute("/provenance", name, name == "libraries" ? value + ", HDF5 " + hdf5_version() : value);
  }
  file.attribute("/provenance", "command_line", command);
  file.attribute("/provenance", "seed", seed);
}

namespace {

template <class M>
void write_shape(Hdf5Writer& file, const M& model, const std::vector<std::int64_t>& visible_shape,
                 const Binarization& rule, const Preprocessing& steps) {
  file.attribute("/model", "kind", std::string(M::kKind));
  write_preprocessing(file, "/model/preprocessing", steps);
  for (const auto& [name, size] : model.shape_names())
    file.attribute("/model", name, static_cast<std::int64_t>(size));
  if constexpr (!HasLayers<M>) {
    file.attribute("/model", "joint_slabs", std::int64_t{model.shape().joint_slabs});
    file.attribute("/model", "box", model.shape().box);
  }
  if (!visible_shape.empty()) file.attribute("/model", "visible_shape", visible_shape);
  file.attribute("/model", "binarize", rule.method);
  file.attribute("/model", "binarize_maximum", rule.maximum);
  file.attribute("/model", "binarize_seed", static_cast<std::int64_t>(rule.seed));
}

template <class M>
void write_reference(Hdf5Writer& file, const M& model) {
  if constexpr (HasLayers<M>) {
    file.dataset("/model/reference/" + std::string(M::kVisibleBias),
                 {static_cast<std::uint64_t>(model.n_visible())}, model.reference_bias().data());
  } else {
    file.fields("/model/reference", model.reference());
  }
}

}  // namespace

template <class M>
void write_model(const fs::path& path, const ModelFile<M>& model, const std::string& origin) {
  Hdf5Writer file("model");
  write_shape(file, model.model, model.visible_shape, model.binarization, model.preprocessing);
  file.attribute("/model", "converted_from", origin);
  write_params(file, model.model, model.theta);
  if (model.has_reference) write_reference(file, model.model);
  write_provenance(file, command_line(), 0);
  file.write(path);
}

template <class M>
void write_checkpoint(const fs::path& path, const M& model, const TrainState<M>& state,
                      const ModelNotes& notes) {
  Hdf5Writer file("checkpoint");
  write_shape(file, model, notes.visible_shape, notes.binarization, notes.preprocessing);
  write_params(file, model, state.result());
  write_reference(file, model);
  if (notes.log_partition) {
    file.attribute("/log_partition", "value", notes.log_partition->value);
    file.attribute("/log_partition", "standard_error", notes.log_partition->standard_error);
    file.attribute("/log_partition", "method", std::string("tracked"));
    file.attribute("/log_partition", "update", static_cast<std::int64_t>(state.update));
    file.attribute("/log_partition", "trusted", static_cast<std::int64_t>(notes.log_partition_trusted));
  }
  file.fields("/state", state);
  write_provenance(file, notes.command_line, notes.seed);
  file.write(path);
}

template <class M>
void read_checkpoint(const fs::path& path, const M& model, TrainState<M>& state) {
  const Hdf5Reader file(path);
  if (!file.has("/state"))
    file.fail("/state", "expected the state of a training run, found nothing: no checkpoint");
  bool has_reference = false;
  if (!(model_of<M>(file, has_reference) == model)) {
    file.fail("/model", "does not fit the configuration and data of this run");
  }
  read_params(file, model);  // refused where damaged, although training goes on from /state
  if (state.ladder.n_rungs > 0) {
    // An adaptive ladder may have any number of rungs, and chains for them.
    const double rungs = file.number_attribute("/state/ladder", "n_rungs").value_or(0.0);
    if (!(rungs >= 2 && rungs <= static_cast<double>(kMaxRungs) && rungs == std::floor(rungs)))
      file.fail("/state/ladder", "attribute 'n_rungs': expected 2 to " + std::to_string(kMaxRungs));
    // Before memory is taken for it.
    if (file.shape("/state/ladder/chains") !=
        Shape{static_cast<std::uint64_t>(rungs) * state.ladder.n_ensembles})
      file.fail("/state/ladder/chains", "does not fit 'n_rungs' and the ensembles of the configuration");
    state.ladder =
        empty_ladder(static_cast<std::uint64_t>(rungs), state.ladder.n_ensembles, state.ladder.plain.size());
    state.chains.n_chains = state.ladder.n_chains();
    state.chains.blocks.resize(static_cast<std::size_t>(words_for(static_cast<Index>(state.chains.n_chains))),
                               model.new_state());
  }
  const bool has_snapshots = !state.snapshots.trajectory.rungs.empty();
  if (has_snapshots) {
    state.snapshots = empty_snapshots(model, snapshots_in<M>(file), state.chains.n_chains);
  }
  const bool has_tracker = state.tracker.chains.n_chains > 0;
  if (has_tracker) {
    const std::vector<std::uint64_t> wanted = sizes_of(state.tracker);
    const std::uint64_t n_particles = state.tracker.ladder.plain.size();
    state.tracker = tracker_of(file, model);
    if (state.tracker.ladder.plain.size() != n_particles ||
        (state.tracker.ladder.n_rungs > 0) != (wanted[0] > 0) ||
        state.tracker.ladder.n_ensembles != wanted[1])
      file.fail(kTracker, "does not fit the configuration");
  }
  const std::vector<std::uint64_t> tracked = sizes_of(state.tracker);
  const TemperatureLadder expected = state.ladder;
  const std::uint64_t n_chains = state.chains.n_chains;
  const std::uint64_t n_ensembles = state.snapshots.trajectory.n_ensembles;
  const std::uint64_t n_draws = state.snapshots.reservoir.n_chains;
  const LayerShape statistics = shape_of_statistics(model, state.theta);
  file.fields("/state", state);
  // What a metric remembers has this shape.
  if (shape_of_statistics(model, state.theta).coupled != statistics.coupled)
    file.fail("/state/theta/spike_precision",
              "is there in the file or in the configuration, and not in both");
  require_precisions(file, "/state/theta/", model, state.theta);
  if (size_of(state.average) > 0) require_precisions(file, "/state/average/", model, state.average);
  for (const auto& theta : state.snapshots.trajectory.rungs)
    require_precisions(file, kTrajectory + "/rungs/", model, theta);
  if (has_snapshots) {
    if (state.snapshots.trajectory.n_ensembles != n_ensembles ||
        state.snapshots.reservoir.n_chains != n_draws)
      file.fail("/state/snapshots", "does not fit the chains of the configuration");
    if (const char* fault = snapshots_fault(model, state.snapshots, state.update))
      file.fail("/state/snapshots", "'" + std::string(fault) + "' is out of range or inconsistent");
  }
  if (state.ladder.n_rungs != expected.n_rungs || state.ladder.n_ensembles != expected.n_ensembles) {
    file.fail("/state/ladder", "expected " + std::to_string(expected.n_ensembles) + " ensembles of " +
                                   std::to_string(expected.n_rungs) + " rungs, found " +
                                   std::to_string(state.ladder.n_ensembles) + " of " +
                                   std::to_string(state.ladder.n_rungs));
  }
  if (sizes_of(state.tracker) != tracked)
    file.fail("/state/tracker", "does not fit the rungs and chains of the configuration");
  if (has_tracker) require_sound(file, model, state.tracker);
  if (!is_consistent(state.jumps)) file.fail("/state/jumps", "out of range or inconsistent");
  if (state.ladder.n_rungs > 0) {
    if (const char* fault = ladder_fault(state.ladder))
      file.fail("/state/ladder/" + std::string(fault), "out of range or inconsistent");
  }
  if (state.chains.n_chains != n_chains) {
    file.fail("/state/chains", "expected " + std::to_string(n_chains) + " chains, found " +
                                   std::to_string(state.chains.n_chains));
  }
}

bool is_trusted(const fs::path& checkpoint) {
  const Hdf5Reader file(checkpoint);
  return !file.has("/log_partition") ||
         file.number_attribute("/log_partition", "trusted").value_or(1.0) != 0.0;
}

std::string command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::ostringstream words;
  words << in.rdbuf();
  std::string text = words.str();
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

namespace {

template <class M>
RealData real_data_for_model(const ModelFile<M>& file, const DataFile& data, const std::string& split) {
  const Table& table = data.split(split);
  const Preprocessing& own = file.preprocessing;
  if (!data.preprocessing.empty() && !(data.preprocessing == own)) {
    throw DataError(
        data.name + ": was made by a preprocessing that is not the model's" +
        (own.empty() ? ", which has none" : "; give raw cases, or data of the same preprocessing"));
  }
  const bool raw = !own.empty() && data.preprocessing.empty();
  const Index expected = raw ? static_cast<Index>(own.n_inputs) : file.model.n_visible();
  if (table.columns != expected) {
    throw DataError(data.name + ": has " + std::to_string(table.columns) + " columns, the model takes " +
                    std::to_string(expected) + (raw ? " raw ones" : ""));
  }
  Matrix rows = real_rows(table);
  if (raw && own.dequantised)
    warn(data.name + ": raw grey levels, where the model was trained on dequantised ones; likelihoods need " +
         "'tempera data --dequantise' and the model's other steps");
  return RealData(raw ? own.apply(std::move(rows)) : std::move(rows));
}

}  // namespace

template <class M>
typename M::Data data_for_model(const ModelFile<M>& file, const DataFile& data, const std::string& split,
                                const std::string& method, std::int64_t seed) {
  if constexpr (std::is_same_v<typename M::Data, RealData>) {
    if (method != "none") throw UsageError("--binarize means nothing with " + std::string(M::kKind));
    RealData values = real_data_for_model(file, data, split);
    require_in_box(file.model, values, data.name + ", " + split);
    return values;
  } else {
    const Table& table = data.split(split);
    if (table.columns != file.model.n_visible()) {
      throw DataError(data.name + ": has " + std::to_string(table.columns) + " columns, the model has " +
                      std::to_string(file.model.n_visible()) + " visible units");
    }
    const bool own_rule = method == "none" && file.binarization.method != "none";
    Binarization rule = binarization_for(data, own_rule ? file.binarization.method : method,
                                         static_cast<std::uint64_t>(seed));
    if (own_rule && rule.method != "none") {
      if (rule.maximum > file.binarization.maximum) {
        throw DataError(data.name +
                        format(": largest value %g, but the model was trained on grey values up to %g; "
                               "say --binarize threshold or --binarize sample for this data's own range",
                               rule.maximum, file.binarization.maximum));
      }
      rule = file.binarization;
    }
    return binarize(data, split, rule);
  }
}

#define TEMPERA_INSTANTIATE(M)                                                                      \
  template ModelFile<M> read_model_as(const std::filesystem::path&);                                \
  template std::vector<M::Params> read_snapshots(const ModelFile<M>&);                              \
  template std::optional<Tracker<M>> read_tracker(const ModelFile<M>&);                             \
  template void write_checkpoint(const std::filesystem::path&, const M&, const TrainState<M>&,      \
                                 const ModelNotes&);                                                \
  template void write_model(const std::filesystem::path&, const ModelFile<M>&, const std::string&); \
  template void read_checkpoint(const std::filesystem::path&, const M&, TrainState<M>&);            \
  template M::Data data_for_model(const ModelFile<M>&, const DataFile&, const std::string&,         \
                                  const std::string&, std::int64_t);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera::apps
