#include "tempera/services/checkpoint.hpp"

#include <cmath>
#include <limits>
#include <set>

#include "model_files.hpp"
#include "tempera/mcmc/mode_search.hpp"
#include "tempera/train/coordinates.hpp"

namespace tempera {
namespace {

/// " a b": parameters that are all 0 in one of two and not in the other.
template <class T>
std::string turned(const T& one, const T& other) {
  std::string names;
  for_each_field(
      [&names]<class Field>(std::string_view name, const Field& x, const Field& y) {
        if constexpr (Fielded<Field>) {
          names += turned(x, y);
        } else if constexpr (requires { x.isZero(0); }) {
          if (x.isZero(0) != y.isZero(0)) names += " " + std::string(name);
        }
      },
      one, other);
  return names;
}

namespace fs = std::filesystem;

constexpr const char* kTracker = "/state/tracker";
constexpr const char* kLadder = "/state/ladder";
constexpr const char* kModes = "/state/modes";
constexpr const char* kPending = "/state/observers/pending";
/// Numbers of a report at most.
constexpr std::uint64_t kMostPending = 256;
/// More than there can be between two reports.
constexpr std::uint64_t kMostLooks = 4096;

/// Where the trajectory of an sml-ptt run stands: in files of version 1 and in those of today.
std::string trajectory_group(const Hdf5Reader& file) {
  return file.has("/state/snapshots/trajectory/rungs") ? "/state/snapshots/trajectory"
                                                       : std::string(kLadder) + "/trajectory";
}

/// The first field of the reference machine: the visible biases.
template <EnergyModel M>
std::string visible_bias_field(const M& model) {
  std::string first;
  for_each_field(
      [&first](std::string_view name, const auto&) {
        if (first.empty()) first = name;
      },
      model.reference());
  return first;
}

/// Rungs of a trajectory in a checkpoint.
template <EnergyModel M>
std::uint64_t rungs_in(const Hdf5Reader& file, const M& model, const std::string& trajectory) {
  const std::string biases = trajectory + "/rungs/" + visible_bias_field(model);
  const Shape rungs = file.shape(biases);
  if (rungs.size() != 2 || rungs[0] < 1 || rungs[0] > kMaxRungs)
    file.fail(biases, "expected 1 to " + std::to_string(kMaxRungs) + " rungs");
  return rungs[0];
}

/// A count that a file states, of at most `most`.
std::uint64_t count_in(const Hdf5Reader& file, const std::string& group, const char* name, double most) {
  const double n = file.number_attribute(group, name).value_or(-1.0);
  if (!(n >= 0 && n <= most && n == std::floor(n)))
    file.fail(group, "attribute '" + std::string(name) + "': expected a count, at most " +
                         std::to_string(static_cast<std::uint64_t>(most)));
  return static_cast<std::uint64_t>(n);
}

/// Sizes that a file states beside the arrays that have them.
template <EnergyModel M>
std::vector<std::uint64_t> sizes_of(const Tracker<M>& tracker) {
  return {tracker.ladder.n_rungs, tracker.ladder.n_ensembles, tracker.population.chains.n_chains};
}

/// Memory for as many rungs and chains as the file has; checked before it is taken.
template <EnergyModel M>
Tracker<M> tracker_of(const Hdf5Reader& file, const M& model) {
  const std::string group = kTracker;
  const std::string ladder = group + "/ladder";
  TrackerShape shape;
  shape.n_rungs = count_in(file, ladder, "n_rungs", static_cast<double>(kMaxRungs));
  shape.n_ensembles =
      shape.n_rungs > 0 ? count_in(file, ladder, "n_ensembles", static_cast<double>(kMaxEnsembles)) : 0;
  const std::uint64_t n_chains = count_in(file, group + "/chains", "n_chains", 0x1p31);
  const bool few = shape.n_rungs > 0 ? shape.n_ensembles < 2 : n_chains < 2;
  if (few || shape.n_rungs == 1 || file.shape(group + "/accumulated_log_weight") != Shape{n_chains} ||
      n_chains < shape.n_rungs * shape.n_ensembles)
    file.fail(group, "its rungs, ensembles and chains do not fit each other");
  shape.n_particles = n_chains - shape.n_rungs * shape.n_ensembles;
  // The arrays that need memory are there, of these sizes.
  const auto words = static_cast<std::uint64_t>(words_for(static_cast<Index>(n_chains)));
  const auto require = [&](const std::string& name, const Shape& expected) {
    if (file.shape(group + name) != expected)
      file.fail(group + name, "does not fit the rungs, ensembles and chains of the tracker");
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

/// Refuses a tracker that contradicts itself.
template <EnergyModel M>
void require_sound(const Hdf5Reader& file, const Tracker<M>& tracker) {
  if (const char* fault = tracker_fault(tracker))
    file.fail(std::string(kTracker) + "/" + fault, "out of range or inconsistent");
  require_sound_params<M>(file, std::string(kTracker) + "/theta/", tracker.theta);
}

/// Makes memory for the ladder that a file has, as far as it may differ from the one that training began
/// with; then, what was read is held against what the configuration says.
template <EnergyModel M>
class LadderReader {
 public:
  LadderReader(const Hdf5Reader& file, const M& model, TrainState<M>& state)
      : file_(file), model_(model), state_(state), n_chains_(state.population.chains.n_chains) {}

  void prepare() {
    std::visit([this](auto& ladder) { make_room(ladder); }, state_.ladder);
  }
  void check() const {
    std::visit([this](const auto& ladder) { require_sound(ladder); }, state_.ladder);
    if (state_.population.chains.n_chains != n_chains_) {
      file_.fail("/state/chains", "expected " + std::to_string(n_chains_) + " chains, found " +
                                      std::to_string(state_.population.chains.n_chains));
    }
  }

 private:
  void make_room(NoLadder&) {}
  /// An adaptive ladder may have any number of rungs, and chains for them.
  void make_room(TemperatureLadder& ladder) {
    const double rungs = file_.number_attribute(kLadder, "n_rungs").value_or(0.0);
    if (!(rungs >= 2 && rungs <= static_cast<double>(kMaxRungs) && rungs == std::floor(rungs)))
      file_.fail(kLadder, "attribute 'n_rungs': expected 2 to " + std::to_string(kMaxRungs));
    n_rungs_ = static_cast<std::uint64_t>(rungs);
    n_ensembles_ = ladder.n_ensembles;
    // Before memory is taken for it.
    if (file_.shape(std::string(kLadder) + "/chains") != Shape{n_rungs_ * n_ensembles_})
      file_.fail(std::string(kLadder) + "/chains",
                 "does not fit 'n_rungs' and the ensembles of the configuration");
    ladder = empty_ladder(n_rungs_, n_ensembles_, ladder.free_chains.size());
    n_chains_ = ladder.n_chains();
    state_.population.chains = empty_chains(model_, n_chains_);
  }
  void make_room(Snapshots<M>& snapshots) {
    snapshots = empty_snapshots(model_, rungs_in(file_, model_, trajectory_group(file_)), n_chains_);
    n_ensembles_ = snapshots.trajectory.n_ensembles;
    n_draws_ = snapshots.reservoir.n_chains;
  }

  void require_sound(const NoLadder&) const {}
  void require_sound(const TemperatureLadder& ladder) const {
    if (ladder.n_rungs != n_rungs_ || ladder.n_ensembles != n_ensembles_) {
      file_.fail(kLadder, "expected " + std::to_string(n_ensembles_) + " ensembles of " +
                              std::to_string(n_rungs_) + " rungs, found " +
                              std::to_string(ladder.n_ensembles) + " of " + std::to_string(ladder.n_rungs));
    }
    if (const char* fault = ladder_fault(ladder))
      file_.fail(std::string(kLadder) + "/" + fault, "out of range or inconsistent");
  }
  void require_sound(const Snapshots<M>& snapshots) const {
    for (const auto& theta : snapshots.trajectory.rungs)
      require_sound_params<M>(file_, std::string(kLadder) + "/trajectory/rungs/", theta);
    if (snapshots.trajectory.n_ensembles != n_ensembles_ || snapshots.reservoir.n_chains != n_draws_)
      file_.fail(kLadder, "does not fit the chains of the configuration");
    if (const char* fault = snapshots_fault(model_, snapshots, state_.update))
      file_.fail(kLadder, "'" + std::string(fault) + "' is out of range or inconsistent");
  }

  const Hdf5Reader& file_;
  const M& model_;
  TrainState<M>& state_;
  std::uint64_t n_chains_;
  std::uint64_t n_rungs_ = 0;
  std::uint64_t n_ensembles_ = 0;
  std::uint64_t n_draws_ = 0;
};

/// Calls f(number) for every number of a report, but for the list of live units.
template <class Report, class F>
void visit_numbers(Report& report, const F& f) {
  f(report.update);
  f(report.total);
  f(report.epoch);
  f(report.learning_rate);
  f(report.gradient_norm);
  f(report.step_norm);
  f(report.natural.predicted_kl);
  f(report.natural.predicted_gain);
  f(report.natural.cosine);
  f(report.solve.iterations);
  f(report.solve.residual);
  f(report.projections);
  f(report.data_free_energy);
  f(report.chain_free_energy);
  f(report.r_hat);
  f(report.autocorrelation_time);
  f(report.effective_sample_size);
  f(report.cluster_variation);
  f(report.log_partition.value);
  f(report.log_partition.standard_error);
  f(report.log_partition.effective_fraction);
}

}  // namespace

std::vector<double> numbers_of(const UpdateReport& report) {
  std::vector<double> numbers;
  // Files hold finite numbers alone: each stands behind a 1, none behind a 0, the sign of infinity behind
  // a 2.
  const auto add = [&](const auto& number) {
    const auto x = static_cast<double>(number);
    if (std::isnan(x)) {
      numbers.insert(numbers.end(), {0.0, 0.0});
    } else if (std::isinf(x)) {
      numbers.insert(numbers.end(), {2.0, x > 0.0 ? 1.0 : -1.0});
    } else {
      numbers.insert(numbers.end(), {1.0, x});
    }
  };
  visit_numbers(report, add);
  for (const Index live : report.live_units) add(live);
  return numbers;
}

UpdateReport report_of(std::span<const double> numbers) {
  UpdateReport report;
  std::size_t at = 0;
  const auto next = [&]<class Number>(Number& number) {
    if (at + 2 > numbers.size()) throw std::invalid_argument("too few numbers for a report");
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const double x = numbers[at] == 0.0   ? kNotKnown
                     : numbers[at] == 2.0 ? numbers[at + 1] * kInfinity
                                          : numbers[at + 1];
    at += 2;
    if constexpr (std::is_integral_v<Number>) {
      if (!(x >= 0.0 && x <= 0x1p53 && x == std::floor(x)))
        throw std::invalid_argument("expected a count in a report");
    }
    number = static_cast<Number>(x);
  };
  visit_numbers(report, next);
  while (at < numbers.size()) next(report.live_units.emplace_back());
  return report;
}

template <EnergyModel M>
std::vector<typename M::Params> read_snapshots(const ModelFile<M>& model_file) {
  if (!is_hdf5(model_file.path)) return {};
  const Hdf5Reader file(model_file.path);
  const std::string trajectory = trajectory_group(file);
  if (!file.has(trajectory + "/rungs")) return {};
  std::vector<typename M::Params> rungs(
      static_cast<std::size_t>(rungs_in(file, model_file.model, trajectory)), model_file.model.zero_params());
  file.field(trajectory, "rungs", rungs);
  for (const auto& theta : rungs) require_sound_params<M>(file, trajectory + "/rungs/", theta);
  rungs.erase(rungs.begin());
  return rungs;
}

template <EnergyModel M>
std::optional<Tracker<M>> read_tracker(const ModelFile<M>& model_file) {
  if (!is_hdf5(model_file.path)) return {};
  const Hdf5Reader file(model_file.path);
  if (!file.has(std::string(kTracker) + "/accumulated_log_weight") ||
      !file.has(std::string(kTracker) + "/chains/blocks"))
    return {};
  Tracker<M> tracker = tracker_of(file, model_file.model);
  const std::vector<std::uint64_t> sizes = sizes_of(tracker);
  file.field("/state", "tracker", tracker);
  if (sizes_of(tracker) != sizes)
    file.fail(kTracker, "its rungs, ensembles and chains do not fit each other");
  require_sound(file, tracker);
  return tracker;
}

/// Memory for an array of as many rows and columns as a file has, within limits; none where it has none.
template <class Rows>
void size_rows(const Hdf5Reader& file, const std::string& path, std::uint64_t most_rows,
               std::uint64_t most_columns, Rows& rows) {
  rows.resize(0, 0);
  if (!file.has(path)) return;
  const Shape shape = file.shape(path);
  if (shape.size() != 2 || shape[0] > most_rows || shape[1] > most_columns)
    file.fail(path, "does not fit the machine");
  rows.resize(static_cast<Index>(shape[0]), static_cast<Index>(shape[1]));
}

template <EnergyModel M>
void size_modes(const Hdf5Reader& file, const M& model, PackedRows& modes) {
  size_rows(file, kModes, kRememberedModes, static_cast<std::uint64_t>(words_for(collapsed_units(model))),
            modes);
}

/// Fails where an audit remembers what cannot be.
void require_sound_audit(const Hdf5Reader& file, const AuditMemory& audit) {
  if (audit.doubt >= Names<LogZDoubt>::table.size() || audit.below > kMostBelow || !audit.ranks.allFinite() ||
      !(audit.settled_error >= 0.0) || !std::isfinite(audit.settled_value))
    file.fail("/state/observers/audit", "out of range or inconsistent");
}

/// Whether a packed state has no bit beyond the units.
bool is_state(std::span<const Word> state, Index units) {
  for (Index i = units; i < static_cast<Index>(state.size()) * kLanes; ++i) {
    if (is_on(state, i)) return false;
  }
  return true;
}

/// Fails where modes are no states of the machine, or are there twice: a bound would count them twice.
template <EnergyModel M>
void require_distinct_modes(const Hdf5Reader& file, const M& model, const PackedRows& modes) {
  std::set<PackedState> seen;
  const Index units = collapsed_units(model);
  if (modes.rows() > 0 && modes.cols() != words_for(units)) file.fail(kModes, "does not fit the machine");
  for (const PackedState& state : states_of(modes)) {
    if (!is_state(state, units) || !seen.insert(state).second)
      file.fail(kModes, "holds a row that is no mode of its own");
  }
}

template <EnergyModel M>
std::vector<PackedState> read_modes(const ModelFile<M>& model_file) {
  if (!is_hdf5(model_file.path)) return {};  // a model of another toolkit
  const Hdf5Reader file(model_file.path);
  if (!model_file.model.why_not_collapsible().empty() || !file.has(kModes)) return {};
  PackedRows modes;
  size_modes(file, model_file.model, modes);
  file.field("/state", "modes", modes);
  const Index units = collapsed_units(model_file.model);
  std::vector<PackedState> states;
  for (PackedState& state : states_of(modes)) {
    if (static_cast<Index>(state.size()) == words_for(units) && is_state(state, units))
      states.push_back(std::move(state));
  }
  return states;
}

template <EnergyModel M>
void write_checkpoint(const fs::path& path, const M& model, const TrainState<M>& state,
                      const ObserverMemory& observers, const CheckpointNotes& notes) {
  Hdf5Writer file("checkpoint", kFormatVersion);
  write_machine(file, model,
                {notes.visible_shape, notes.binarization, notes.preprocessing, notes.units, notes.alphabet});
  write_params(file, model, state.result(), notes.units);
  write_reference(file, model, notes.units);
  if (notes.log_partition) {
    file.attribute("/log_partition", "value", notes.log_partition->value);
    file.attribute("/log_partition", "standard_error", notes.log_partition->standard_error);
    file.attribute("/log_partition", "method", std::string("tracked"));
    file.attribute("/log_partition", "update", static_cast<std::int64_t>(state.update));
    const bool trusted = notes.log_partition_doubt == LogZDoubt::kNone;
    file.attribute("/log_partition", "trusted", static_cast<std::int64_t>(trusted));
    if (!trusted) file.attribute("/log_partition", "doubt", std::string(help_of(notes.log_partition_doubt)));
  }
  const typename M::Params configured = state.theta;
  file.fields("/state", state);
  file.fields("/state/observers", observers);
  write_provenance(file, notes.seed);
  if (!notes.verdict.empty()) file.attribute("/provenance", "verdict", notes.verdict);
  file.write(path);
}

template <EnergyModel M>
void read_checkpoint(const fs::path& path, const M& model, TrainState<M>& state, ObserverMemory& observers) {
  const Hdf5Reader file(path);
  if (!file.has("/state"))
    file.fail("/state", "expected the state of a training run, found nothing: no checkpoint");
  if (file.number_attribute("/", "format_version").value_or(1.0) < 2.0)
    file.fail("/state",
              "a checkpoint of format version 1 cannot be resumed; its model is read by every "
              "other command, and tempera train --config " +
                  (path.parent_path() / "config.toml").string() + " --out DIR repeats the run");
  const StoredMachine<M> machine = read_machine<M>(file);
  if (!(machine.model == model)) file.fail("/model", "does not fit the configuration and data of this run");
  read_params(file, model, machine.units);  // refused where damaged, although training goes on from /state
  LadderReader<M> ladder(file, model, state);
  ladder.prepare();
  const bool has_tracker = state.tracker.population.chains.n_chains > 0;
  if (has_tracker) {
    const std::vector<std::uint64_t> wanted = sizes_of(state.tracker);
    const std::uint64_t n_particles = state.tracker.ladder.free_chains.size();
    state.tracker = tracker_of(file, model);
    if (state.tracker.ladder.free_chains.size() != n_particles ||
        (state.tracker.ladder.n_rungs > 0) != (wanted[0] > 0) ||
        state.tracker.ladder.n_ensembles != wanted[1])
      file.fail(kTracker, "does not fit the configuration");
  }
  const std::vector<std::uint64_t> tracked = sizes_of(state.tracker);
  const LayerShape statistics = Coordinates<M>::shape(model, state.theta);
  const typename M::Params configured = state.theta;
  size_modes(file, model, state.modes);
  size_rows(file, "/state/looks", kMostLooks, 3 * kFollowedChains, state.looks);
  const std::uint64_t metric_chains = state.metric_population.chains.n_chains;
  file.fields("/state", state);
  if (state.metric_population.chains.n_chains != metric_chains) {
    file.fail("/state/metric_chains", "attribute 'n_chains': expected " + std::to_string(metric_chains) +
                                          ", found " +
                                          std::to_string(state.metric_population.chains.n_chains));
  }
  observers.pending.clear();
  if (file.has(kPending)) {
    const Shape shape = file.shape(kPending);
    if (shape.size() != 1 || shape[0] > kMostPending) file.fail(kPending, "is no report of an update");
    observers.pending.resize(static_cast<std::size_t>(shape[0]));
  }
  size_rows(file, "/state/observers/audit/ranks", kRememberedReports, kMaxEnsembles, observers.audit.ranks);
  file.fields("/state/observers", observers);
  require_sound_audit(file, observers.audit);
  try {
    if (!observers.pending.empty() && report_of(observers.pending).update != state.update)
      file.fail(kPending, "is of another update than the checkpoint");
  } catch (const std::invalid_argument&) {
    file.fail(kPending, "is no report of an update");
  }
  if (state.given_up > state.update) file.fail("/state", "attribute 'given_up' is larger than 'update'");
  const EarlyStoppingMemory& stopping = observers.early_stopping;
  if (stopping.best_update > state.update)
    file.fail("/state/observers/early_stopping", "attribute 'best_update' is later than the checkpoint");
  if (stopping.cools() && !(0 < stopping.cooled_from && stopping.cooled_from < stopping.cooling_begin &&
                            stopping.cooling_begin <= state.update && state.update <= stopping.cooling_end))
    file.fail("/state/observers/early_stopping", "attributes of its cooling do not fit the checkpoint");
  require_distinct_modes(file, model, state.modes);
  // What a metric remembers has this shape.
  if (Coordinates<M>::shape(model, state.theta).coupled != statistics.coupled)
    file.fail("/state/theta",
              "has other statistics than the configuration, from" + turned(configured, state.theta));
  require_sound_params<M>(file, "/state/theta/", state.theta);
  if (size_of(state.average) > 0) require_sound_params<M>(file, "/state/average/", state.average);
  ladder.check();
  if (sizes_of(state.tracker) != tracked)
    file.fail(kTracker, "does not fit the rungs and chains of the configuration");
  if (has_tracker) require_sound(file, state.tracker);
  if (!is_consistent(state.jumps)) file.fail("/state/jumps", "out of range or inconsistent");
}

#define TEMPERA_INSTANTIATE(M)                                                                 \
  template std::vector<M::Params> read_snapshots(const ModelFile<M>&);                         \
  template std::optional<Tracker<M>> read_tracker(const ModelFile<M>&);                        \
  template std::vector<PackedState> read_modes(const ModelFile<M>&);                           \
  template void write_checkpoint(const std::filesystem::path&, const M&, const TrainState<M>&, \
                                 const ObserverMemory&, const CheckpointNotes&);               \
  template void read_checkpoint(const std::filesystem::path&, const M&, TrainState<M>&, ObserverMemory&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
