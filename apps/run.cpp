#include "run.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>

#include "config_file.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/image.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/trajectory.hpp"
#include "tempera/train/staged.hpp"

namespace tempera::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetricsHeader =
    "update,epoch,seconds,learning_rate,gradient_norm,step_norm,data_free_energy,chain_free_energy,"
    "train_log_likelihood,train_standard_error,validation_log_likelihood,validation_standard_error,"
    "log_partition,log_partition_standard_error,"
    "effective_fraction,rungs,barrier,rejection,round_trip_rate,round_trip_optimum,flow,r_hat,"
    "autocorrelation_time,effective_sample_size,cluster_variation,predicted_kl,predicted_gain,cosine,"
    "solver_iterations,live_units,projections";

/// A picture with more filters than this shows none of them.
constexpr std::size_t kMaxTiles = 1024;

/// Validation likelihoods during training: exact up to this many enumerated units, AIS beyond.
constexpr Index kExactValidationUnits = 14;
/// A tracked log Z is compared with the exact one at checkpoints and validations where at most this many
/// units are to be enumerated; further apart than this many standard errors and nats it is not to be trusted.
constexpr Index kCheckedUnits = 12;
constexpr double kCheckedErrors = 5.0;
constexpr double kCheckedNats = 0.5;
constexpr std::uint64_t kValidationChains = 64;
constexpr Index kValidationBetas = 1000;
/// What rounding of free energies may add to the log of a total probability.
constexpr double kProbabilityRounding = 1e-4;
/// A report whose log Z has a larger error bar, in nats, decides nothing.
constexpr double kLargestError = 1.0;
/// Training cases at most whose likelihood is reported.
constexpr Index kReportedCases = 10000;

/// A number, or nothing where it is none.
std::string cell(const char* form, double value) { return std::isnan(value) ? "" : format(form, value); }

std::string mixing_cells(const UpdateReport& report) {
  return cell("%.4f", report.r_hat) + "," + cell("%.1f", report.autocorrelation_time) + "," +
         cell("%.0f", report.effective_sample_size) + "," + cell("%.4f", report.cluster_variation);
}

/// Of a metric's step; live units of the hidden layers, with spaces between.
std::string step_cells(const UpdateReport& report) {
  std::string all = cell("%.6g", report.natural.predicted_kl) + "," +
                    cell("%.6g", report.natural.predicted_gain) + "," + cell("%.4f", report.natural.cosine) +
                    ",";
  if (report.solve.iterations > 0) all += format("%lld", static_cast<long long>(report.solve.iterations));
  all += ",";
  for (const Index live : report.live_units)
    all += format(all.back() == ',' ? "%lld" : " %lld", static_cast<long long>(live));
  return all + "," + cell("%.0f", report.projections);
}

/// What metrics.csv says of a ladder; round trips count from one report to the next.
template <class M>
class LadderReport {
 public:
  std::string cells(const TrainState<M>& state) {
    if (!state.snapshots.trajectory.rejections.empty()) {
      const Trajectory<M>& trajectory = state.snapshots.trajectory;
      if (state.snapshots.frozen != frozen_) counted_ = round_trips_ = 0;  // a freeze counts anew
      frozen_ = state.snapshots.frozen;
      return cells(trajectory.rejections, trajectory.n_ensembles, trajectory.counted,
                   trajectory.round_trips) +
             ",";
    }
    const TemperatureLadder& ladder = state.ladder;
    if (ladder.n_rungs == 0) return ",,,,,";
    std::string all = cells(ladder.rejections, ladder.n_ensembles, ladder.counted, ladder.round_trips) + ",";
    for (const double f : flow(ladder)) all += format(all.back() == ',' ? "%.3f" : " %.3f", f);
    return all;
  }

 private:
  std::string cells(const std::vector<double>& rejections, std::uint64_t ensembles, std::uint64_t counted,
                    std::uint64_t round_trips) {
    const double rounds = static_cast<double>(counted - counted_) * static_cast<double>(ensembles);
    const double rate = rounds > 0 ? static_cast<double>(round_trips - round_trips_) / rounds : 0.0;
    counted_ = counted;
    round_trips_ = round_trips;
    return format("%zu,%.4f,%.4f,%.6f,%.6f", rejections.size() + 1, cumulative_barrier(rejections).back(),
                  mean_rejection(rejections), rate, optimal_round_trip_rate(rejections));
  }

  std::uint64_t counted_ = 0;
  std::uint64_t round_trips_ = 0;
  std::uint64_t frozen_ = 0;
};

/// What is known of the model at a report; NaN where it is not.
struct Assessment {
  Likelihood train{std::nan(""), std::nan(""), 0};
  Likelihood validation = train;
  LogPartition log_partition{std::nan(""), std::nan(""), std::nan("")};
  bool possible = true;  // whether distinct cases have no more than probability 1

  [[nodiscard]] std::string cells() const {
    std::string all;
    for (const double value : {train.log_likelihood, train.standard_error, validation.log_likelihood,
                               validation.standard_error, log_partition.value, log_partition.standard_error})
      all += cell("%.6f", value) + ",";
    return all + cell("%.4f", log_partition.effective_fraction);
  }

  /// For the progress line.
  [[nodiscard]] std::string words() const {
    std::string all;
    if (!std::isnan(log_partition.value))
      all += format(", log Z %.2f (%.2f)", log_partition.value, log_partition.standard_error);
    if (!std::isnan(train.log_likelihood)) all += format(", train %.2f", train.log_likelihood);
    if (!std::isnan(validation.log_likelihood))
      all += format(", validation %.3f nats", validation.log_likelihood);
    return all;
  }
};

/// Cases of a data set that are looked at again and again, with the memory that it takes.
template <class M>
class Cases {
 public:
  /// At most `most` of them, evenly spaced.
  Cases(const M& model, const typename M::Data& data, Index most) : n_(std::min(most, data.n_cases())) {
    using Value = std::remove_const_t<typename decltype(data.row(0))::element_type>;
    std::set<std::vector<Value>> seen;
    for (Index first = 0; first < n_; first += kLanes) {
      std::vector<Index> which;
      for (Index i = first; i < std::min(n_, first + kLanes); ++i) {
        which.push_back(i * data.n_cases() / n_);
        const auto row = data.row(which.back());
        if (kDiscrete && seen.insert({row.begin(), row.end()}).second)
          distinct_.push_back(static_cast<std::size_t>(i));
      }
      if (first % (kPanel * kLanes) == 0) panels_.emplace_back();
      panels_.back().push_back(model.new_state());
      model.load(data, which, panels_.back().back());
    }
  }

  /// Mean log-likelihood; nothing of no cases. `possible` becomes false where distinct cases have more than
  /// probability 1: log Z is then far too low, since chains have not found what the model likes best.
  [[nodiscard]] Likelihood likelihood(const M& model, const typename M::Params& theta, const LogPartition& z,
                                      bool& possible, const Workers& workers) {
    if (n_ == 0) return Assessment().train;
    std::vector<double> energies;
    for (std::vector<typename M::State>& panel : panels_) {
      const Index lanes = std::min<Index>(n_ - static_cast<Index>(energies.size()), kPanel * kLanes);
      workspace_.fit(model, as_count(lanes), workers);
      infer_cases(model, theta, kMeanFieldSweeps, panel, workspace_, workers);
      std::vector<LaneDoubles> blocks(panel.size());
      workers.for_each(static_cast<Index>(panel.size()), [&](Index block) {
        const auto b = static_cast<std::size_t>(block);
        case_free_energy(model, theta, panel[b], workspace_.works[b], blocks[b]);
      });
      for (const LaneDoubles& block : blocks) energies.insert(energies.end(), block.begin(), block.end());
    }
    energies.resize(static_cast<std::size_t>(n_));
    std::vector<double> distinct;
    for (const std::size_t i : distinct_) distinct.push_back(energies[i]);
    possible = possible && (!kDiscrete || log_total_probability(distinct, z) <=
                                              3.0 * z.standard_error + kProbabilityRounding);
    return mean_log_likelihood(energies, z);
  }

 private:
  /// Densities may be above 1.
  static constexpr bool kDiscrete = std::is_same_v<typename M::Data, BinaryData>;
  static constexpr Index kPanel = 64;  // blocks whose caches are in memory at a time

  Index n_;
  std::vector<std::size_t> distinct_;
  std::vector<std::vector<typename M::State>> panels_;
  Workspace<M> workspace_;
};

/// Drops the rows after `update`: they belong to work that the checkpoint does not hold. Returns the seconds
/// so far.
double truncate_metrics(const fs::path& path, std::uint64_t update) {
  if (!fs::exists(path)) {
    write_file(path, std::string(kMetricsHeader) + "\n");
    return 0.0;
  }
  std::istringstream lines(read_file(path));
  std::string kept = std::string(kMetricsHeader) + "\n";
  double seconds = 0.0;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && !lines.eof()) {
    std::istringstream cells(line);
    std::string cell;
    std::getline(cells, cell, ',');
    if (std::strtoull(cell.c_str(), nullptr, 10) > update) break;
    std::getline(cells, cell, ',');
    std::getline(cells, cell, ',');
    seconds = std::strtod(cell.c_str(), nullptr);
    kept += line + "\n";
  }
  write_file(path, kept);
  return seconds;
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) throw WriteError(path.string() + ": cannot be removed: " + error.message());
}

/// Updates of the checkpoints in a history, latest first. Other files are nobody's business.
std::vector<std::uint64_t> checkpoint_updates(const fs::path& history) {
  std::vector<std::uint64_t> updates;
  if (!fs::exists(history)) return updates;
  for (const auto& entry : fs::directory_iterator(history)) {
    const std::string stem = entry.path().stem().string();
    if (entry.path().extension() == ".h5" && stem.find_first_not_of("0123456789") == std::string::npos) {
      updates.push_back(std::strtoull(stem.c_str(), nullptr, 10));
    }
  }
  std::sort(updates.rbegin(), updates.rend());
  return updates;
}

fs::path checkpoint_of(const fs::path& history, std::uint64_t update) {
  return history / (std::to_string(update) + ".h5");
}

/// What a run leaves beside its latest checkpoint and its configuration.
void remove_products(const fs::path& directory) {
  for (const std::uint64_t update : checkpoint_updates(directory / "checkpoints"))
    remove_file(checkpoint_of(directory / "checkpoints", update));
  for (const char* name : {"metrics.csv", "features.png", "samples.png"}) remove_file(directory / name);
}

void remove_temporaries(const fs::path& directory) {
  if (!fs::exists(directory)) return;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().filename().string().find(".tmp-") != std::string::npos) fs::remove(entry.path());
  }
}

void prune_checkpoints(const fs::path& directory, std::int64_t keep, std::uint64_t best) {
  const std::vector<std::uint64_t> updates = checkpoint_updates(directory);
  for (std::size_t i = static_cast<std::size_t>(keep); i < updates.size(); ++i) {
    if (updates[i] != best) remove_file(checkpoint_of(directory, updates[i]));
  }
}

}  // namespace

bool holds_run(const fs::path& directory) {
  for (const char* name : {"config.toml", "checkpoint.h5"}) {
    std::error_code error;
    if (fs::exists(directory / name, error)) return true;
    if (error) throw WriteError(directory.string() + ": cannot be used: " + error.message());
  }
  return false;
}

std::vector<fs::path> kept_checkpoints(const fs::path& directory) {
  const fs::path history = directory / "checkpoints";
  std::vector<fs::path> paths;
  for (const std::uint64_t update : checkpoint_updates(history))
    paths.push_back(checkpoint_of(history, update));
  std::reverse(paths.begin(), paths.end());
  return paths;
}

template <class M>
std::vector<double> free_energies(const M& model, const typename M::Params& theta,
                                  const typename M::Data& data, const Workers& workers) {
  std::vector<double> values(static_cast<std::size_t>(data.n_cases()));
  workers.for_each(words_for(data.n_cases()), [&](Index b) {
    const Index last = std::min(data.n_cases(), (b + 1) * kLanes);
    if (!is_bound(model)) {
      for (Index n = b * kLanes; n < last; ++n)
        values[static_cast<std::size_t>(n)] = model.free_energy(theta, data.row(n));
      return;
    }
    std::vector<Index> cases(static_cast<std::size_t>(last - b * kLanes));
    std::iota(cases.begin(), cases.end(), b * kLanes);
    std::vector<typename M::State> block(1, model.new_state());
    model.load(data, cases, block.front());
    const Workers here(1);
    Workspace<M> workspace;
    workspace.fit(model, cases.size(), here);
    infer_cases(model, theta, kMeanFieldSweeps, block, workspace, here);
    LaneDoubles bounds;
    case_free_energy(model, theta, block.front(), workspace.works.front(), bounds);
    std::copy_n(bounds.begin(), cases.size(), values.begin() + b * kLanes);
  });
  return values;
}

template <class M>
void fit_reference(ModelFile<M>& file, const typename M::Data& train, const CommonOptions& common) {
  file.model = with_fitted_reference(file.model, train);
  log(common, "reference machine: the file holds none, fitted to the train split");
}

template <class M>
LogPartition exact_log_partition(const M& model, const typename M::Params& theta, const Workers& workers,
                                 const Progress& progress) {
  if constexpr (requires { model.shape().box; }) {
    if (model.shape().box > 0)
      throw ConfigError({{"method", "exact", "there is none for visibles in a box; use --method ais"}});
  }
  if (model.enumerated_units() > M::kMaxEnumeratedUnits) {
    throw ConfigError({{"method", "exact",
                        "needs at most " + std::to_string(M::kMaxEnumeratedUnits) +
                            " units in the smaller layer, this model has " +
                            std::to_string(model.enumerated_units()) + "; use --method ais"}});
  }
  const LogPartition z = log_partition_from_chunks(
      model.exact_chunks(), [&](Index chunk) { return model.log_partition_chunk(theta, 1.0, chunk); },
      workers, progress);
  if (!std::isfinite(z.value)) {
    throw NumericalError(
        std::string(kImproper) +
        " and no log Z (the filters are too strong for the precisions of visibles and slabs)");
  }
  return z;
}

std::pair<Index, Index> picture_shape(const std::vector<std::int64_t>& visible_shape, Index n_visible) {
  if (visible_shape.size() == 2) return {visible_shape[0], visible_shape[1]};
  return {1, n_visible};
}

std::vector<std::int64_t> parse_shape(const std::string& text, Index n_visible) {
  long long height = 0;
  long long width = 0;
  char rest = 0;
  if (std::sscanf(text.c_str(), "%lldx%lld%c", &height, &width, &rest) != 2 ||
      !is_shape_of({height, width}, n_visible)) {
    throw UsageError("--shape " + text + ": expected HEIGHTxWIDTH with " + std::to_string(n_visible) +
                     " values in all");
  }
  return {height, width};
}

template <class M>
Matrix raw_filters(const ModelFile<M>& file) {
  const Matrix filters = M::filters(file.theta).transpose();
  return file.preprocessing.empty() ? filters : file.preprocessing.invert(filters, false);
}

template <class M>
Vector filter_norms(const ModelFile<M>& file) {
  return M::filters(file.theta).colwise().norm();
}

namespace {

/// Whether the filters are cells of tables.
template <class M>
constexpr bool is_table(const M& model) {
  return requires { model.shape().latents.n_blocks; };
}

/// Filters that belong together, and in how many columns a picture shows them (0: as it likes).
template <class M>
std::pair<Index, Index> filter_groups(const M& model) {
  if constexpr (requires { model.shape().latents.n_blocks; }) {
    const auto& s = model.shape().latents;
    return {s.n_g * s.n_h, s.n_h};
  } else if constexpr (requires { model.shape().latents.n_slabs; }) {
    const auto& s = model.shape().latents;
    if (s.n_slabs > 1)
      return {s.n_slabs,
              s.n_slabs * std::max<Index>(
                              1, static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(s.n_spikes) /
                                                                        static_cast<double>(s.n_slabs)))))};
  }
  return {1, 0};
}

}  // namespace

template <class M>
void write_features(const ModelFile<M>& file, const Vector& importance, const fs::path& png) {
  const Matrix filters = raw_filters(file);
  const auto [height, width] = picture_shape(file.visible_shape, filters.cols());
  std::vector<Index> order(static_cast<std::size_t>(importance.size()));
  std::iota(order.begin(), order.end(), Index{0});
  // Filters of one spike stay side by side, those of a block in its table.
  const auto [group, columns] = filter_groups(file.model);
  const auto of_group = [&, group = group](Index j) {
    return importance.segment(j / group * group, group).maxCoeff();
  };
  if (!is_table(file.model))
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return of_group(a) > of_group(b); });
  std::vector<std::vector<float>> tiles;
  order.resize(std::min<std::size_t>(order.size(), kMaxTiles));
  for (const Index j : order) {
    const Vector filter = filters.row(j);
    tiles.emplace_back(filter.begin(), filter.end());
  }
  write_png(tile_grid(tiles, height, width, ColourMap::kDiverging, columns), png);
}

template <class M>
std::vector<std::vector<float>> mean_visible_tiles(const M& model, const typename M::Params& theta,
                                                   const Preprocessing& preprocessing,
                                                   const Chains<M>& chains, Index count) {
  std::vector<std::vector<float>> tiles;
  typename M::Scratch scratch;
  LaneMatrix mean;
  count = std::min<Index>(count, static_cast<Index>(chains.n_chains));
  for (Index n = 0; n < count; ++n) {
    if (n % kLanes == 0)
      model.mean_visible(theta, chains.blocks[static_cast<std::size_t>(n / kLanes)], scratch, mean);
    Matrix tile = mean.col(n % kLanes).transpose();
    if (!preprocessing.empty()) tile = preprocessing.invert(tile, true);
    tiles.emplace_back(tile.data(), tile.data() + tile.size());
  }
  return tiles;
}

namespace {

Index constant_columns(const BinaryData& data) {
  const Eigen::VectorXd means = data.means();
  return ((means.array() == 0.0) || (means.array() == 1.0)).count();
}
Index constant_columns(const RealData& data) { return (data.variances().array() == 0.0).count(); }

/// The model that a configuration asks for, with the reference machine that fits the data.
template <class M>
M new_model(const TrainConfig& config, const typename M::Data& train) {
  if constexpr (HasLayers<M>) {
    std::vector<Index> layers = {train.n_visible()};
    for (const std::int64_t n : config.hidden) layers.push_back(static_cast<Index>(n));
    return M::with_layers(layers, smoothed_logits(train.means(), train.n_cases()));
  } else {
    typename M::Shape shape;
    shape.n_visible = train.n_visible();
    shape.joint_slabs = config.gibbs == "two-block";
    shape.box = config.box;
    if constexpr (std::is_same_v<M, GaussianRbm>) {
      shape.latents = {config.hidden[0]};
    } else if constexpr (requires { shape.latents.n_blocks; }) {
      shape.latents = {config.blocks, config.hidden[0], config.hidden[1], config.gate};
    } else {
      shape.latents = {config.hidden[0], config.slabs};
    }
    return M(shape, M::fit_reference(train));
  }
}

/// Refuses names that are no parameters of the model.
template <class M>
void check_frozen(const TrainConfig& config, const M& model) {
  std::vector<Violation> violations;
  for (const std::string& name : config.freeze) {
    bool known = false;
    std::string all;
    for_each_field(
        [&](std::string_view field, const auto& array) {
          if (array.size() == 0) return;
          known = known || field == name;
          all += (all.empty() ? "" : ", ") + std::string(field);
        },
        model.zero_params());
    if (!known) violations.push_back({"freeze", "'" + name + "'", "must be one of " + all});
  }
  if (!violations.empty()) throw ConfigError(violations);
}

template <class M>
int run_training_of(const fs::path& directory, const TrainConfig& config, Start start_from,
                    const CommonOptions& common) {
  const DataFile data = load_data(config.data);
  const Table& table = data.split("train");
  if (const auto violations = validate(config, table.columns, table.rows); !violations.empty()) {
    throw ConfigError(violations);
  }
  const auto seed = static_cast<std::uint64_t>(config.seed);
  constexpr bool kBinary = std::is_same_v<typename M::Data, BinaryData>;
  if (!kBinary && config.binarize != "none")
    throw ConfigError({{"binarize", "'" + config.binarize + "'", "means nothing with " + config.model}});
  const Binarization rule = kBinary ? binarization_for(data, config.binarize, seed) : Binarization();
  const typename M::Data train_data = values_of<M>(data, "train", rule);
  const bool validates = config.validate_every > 0;
  if (validates && data.splits.count("valid") == 0) {
    throw ConfigError(
        {{"validate-every", std::to_string(config.validate_every), "the data has no valid split"}});
  }
  const bool tracks = tracking(config) != "none";
  const bool has_valid = validates || (tracks && data.splits.count("valid") > 0);
  const typename M::Data valid_data = has_valid ? values_of<M>(data, "valid", rule) : typename M::Data();

  const Workers workers(common.threads);
  const Index constant = constant_columns(train_data);
  if (constant > 0 && !common.quiet) {
    warn(std::to_string(constant) + " of " + std::to_string(train_data.n_visible()) +
         " columns are constant");
  }
  const M model = new_model<M>(config, train_data);
  require_in_box(model, train_data, data.name + ", train");
  if (has_valid) require_in_box(model, valid_data, data.name + ", valid");
  check_frozen(config, model);
  TrainState<M> state = initial_state<M>(model, train_data, config, workers);
  const fs::path latest = directory / "checkpoint.h5";
  const fs::path history = directory / "checkpoints";
  const fs::path metrics = directory / "metrics.csv";
  const bool goes_on = start_from == Start::kCheckpoint;
  if (goes_on) {
    read_checkpoint(latest, model, state);
    if (config.trainer == "sml-pt" && state.ladder.n_rungs != as_count(config.rungs)) {
      throw DataError(latest.string() + ": /state/ladder has " + std::to_string(state.ladder.n_rungs) +
                      " rungs, the configuration " + std::to_string(config.rungs) +
                      "; the ladder of sml-pt is fixed");
    }
    if (state.update > total_updates(config, train_data.n_cases())) {
      throw ConfigError(
          {{"updates", std::to_string(config.updates),
            "must be at least " + std::to_string(state.update) + ", the updates already made"}});
    }
  }

  if constexpr (requires { model.shape().latents.n_blocks; }) {
    if (!goes_on && is_staged(config)) {
      ProgressLine line(common, "finding filters");
      begin_at(model, config, staged_params(model, train_data, config, show_on(line), workers), state);
    }
  }

  ModelNotes notes{data.visible_shape, rule, data.preprocessing, command_line(), config.seed, {}};
  make_directories(history);
  const DirectoryLock lock(directory);
  remove_temporaries(directory);
  remove_temporaries(history);
  // An old run that is replaced goes once the first checkpoint of the new one is safe.
  if (!goes_on) write_checkpoint(latest, model, state, notes);
  write_file(directory / "config.toml", to_toml(config));
  if (!goes_on) remove_products(directory);
  const double seconds_before = truncate_metrics(metrics, state.update);

  // What speaks against a tracked log Z: cases whose total probability would be above 1, and what the exact
  // value has beyond it.
  bool possible = !goes_on || is_trusted(latest);
  double missed = 0.0;
  bool warned_missed = false;
  const auto compare_with_exact = [&](const LogPartition& tracked) -> std::optional<LogPartition> {
    if (model.enumerated_units() > kCheckedUnits) return std::nullopt;
    const LogPartition exact = exact_log_partition(model, state.result(), workers, {});
    missed = exact.value - tracked.value;
    if (std::abs(missed) <= kCheckedNats + kCheckedErrors * tracked.standard_error) missed = 0.0;
    if (missed != 0.0 && !warned_missed) {
      warn(format(
          "update %llu: the exact log Z is %.2f nats from the tracked one: the chains do not see all of the "
          "machine's mass, so its gradient is wrong; a lower --lr, a rate that decays or early stopping "
          "(--validate-every, --patience) may help",
          static_cast<unsigned long long>(state.update), missed));
      warned_missed = true;
    }
    return exact;
  };
  TrackerWorkspace<M> tracking_workspace;
  const auto note_log_partition = [&] {
    if (!tracks || state.update == 0) return;
    try {
      notes.log_partition =
          tracked_log_partition(model, state.result(), state.tracker, tracking_workspace, workers);
      compare_with_exact(*notes.log_partition);
    } catch (const NumericalError&) {
      notes.log_partition.reset();  // a checkpoint is worth more than this note
    }
    notes.log_partition_trusted = possible && missed == 0.0;
  };
  const auto save = [&] {
    note_log_partition();
    if (config.keep > 0) write_checkpoint(checkpoint_of(history, state.update), model, state, notes);
    prune_checkpoints(history, config.keep, config.patience > 0 ? state.best_update : 0);
    write_checkpoint(latest, model, state, notes);
  };
  Cases<M> train_cases(model, train_data, tracks ? kReportedCases : 0);
  Cases<M> valid_cases(model, valid_data, valid_data.n_cases());
  const auto assess = [&](const UpdateReport& report) {
    Assessment result;
    const typename M::Params& theta = state.result();
    if (tracks) {
      result.log_partition = report.log_partition;
      // Once it was seen to be wrong, at every report until it is right again.
      if (missed != 0.0 || is_validated(config, report.update, report.total)) {
        const auto exact = compare_with_exact(report.log_partition);
        if (missed != 0.0) result.log_partition = *exact;
      }
      result.train = train_cases.likelihood(model, theta, result.log_partition, result.possible, workers);
    } else if (!is_validated(config, report.update, report.total)) {
      return result;
    } else if (model.enumerated_units() <= kExactValidationUnits) {
      result.log_partition = exact_log_partition(model, theta, workers, {});
    } else {
      const auto weights = annealed_log_weights(
          model, theta, published_betas(kValidationBetas),
          reference_chains(model, kValidationChains, StreamFactory{seed}, Purpose::kValidation, workers),
          StreamFactory{seed}, Purpose::kValidation, workers);
      result.log_partition = log_partition_from_weights(model.reference_log_partition(), weights);
    }
    result.validation = valid_cases.likelihood(model, theta, result.log_partition, result.possible, workers);
    return result;
  };

  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return seconds_before + std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const double start =
      static_cast<double>(state.update) / static_cast<double>(total_updates(config, train_data.n_cases()));
  bool stopped_early = false;
  bool stopped_by_signal = false;
  bool warned = false;
  bool warned_impossible = false;
  // Whether the model is the best so far, by its validation likelihood, and whether to go on.
  const auto compare_with_best = [&](const Assessment& found, TrainState<M>& now) {
    ++now.validations_since_best;
    const bool trusted = found.possible && found.log_partition.standard_error <= kLargestError &&
                         found.log_partition.effective_fraction >= kLowEffectiveFraction;
    if (found.log_partition.effective_fraction < kLowEffectiveFraction && !warned) {
      warn(format(
          "validation at update %llu: only %.1f %% of the AIS chains count; such estimates flatter "
          "the model and are never taken as the best",
          static_cast<unsigned long long>(now.update), 100.0 * found.log_partition.effective_fraction));
      warned = true;
    }
    if (trusted && found.validation.log_likelihood > now.best_validation) {
      now.best_validation = found.validation.log_likelihood;
      now.best_update = now.update;
      now.validations_since_best = 0;
      if (config.patience > 0) {
        note_log_partition();
        write_checkpoint(checkpoint_of(history, now.update), model, now, notes);
        prune_checkpoints(history, config.keep, now.best_update);
      }
    }
    stopped_early =
        config.patience > 0 && now.validations_since_best >= static_cast<std::uint64_t>(config.patience);
  };
  LadderReport<M> ladder;
  ladder.cells(state);  // what was before does not count
  std::string score;
  {
    ProgressLine line(common, "training");
    train<M>(
        model, train_data, config, state,
        [&](const UpdateReport& report, TrainState<M>& now) {
          const bool last = report.update == report.total;
          if (is_reported(config, report.update, report.total)) {
            const Assessment found = assess(report);
            score = found.words();
            possible = found.possible;
            if (!found.possible && !warned_impossible) {
              warn(format(
                  "update %llu: log Z is too low, distinct cases would have more than probability 1: the "
                  "chains have lost what the model likes best (--jump may help); such reports are never "
                  "taken "
                  "as the best",
                  static_cast<unsigned long long>(report.update)));
              warned_impossible = true;
            }
            append_line(metrics, format("%llu,%llu,%.3f,%.6g,%.6g,%.6g,%.6f,%.6f,",
                                        static_cast<unsigned long long>(report.update),
                                        static_cast<unsigned long long>(report.epoch), seconds(),
                                        report.learning_rate, report.gradient_norm, report.step_norm,
                                        report.data_free_energy, report.chain_free_energy) +
                                     found.cells() + "," + ladder.cells(now) + "," + mixing_cells(report) +
                                     "," + step_cells(report));
            if (is_validated(config, report.update, report.total)) compare_with_best(found, now);
          }
          const double rate = static_cast<double>(report.update) / static_cast<double>(report.total);
          line.show(rate,
                    format("%.0f updates/s", (rate - start) * static_cast<double>(report.total) /
                                                 std::max(1e-9, seconds() - seconds_before)) +
                        score,
                    start);
          stopped_by_signal = interrupted();
          if (!last && !stopped_early && !stopped_by_signal &&
              report.update % static_cast<std::uint64_t>(config.checkpoint_every) == 0) {
            save();
          }
          return stopped_early || stopped_by_signal ? Control::kStop : Control::kContinue;
        },
        workers);
  }
  save();
  if (stopped_by_signal) {
    log(common, "stopped by a signal at update " + std::to_string(state.update) + "; tempera resume " +
                    directory.string() + " goes on");
    return static_cast<int>(ExitCode::kInterrupted);
  }
  if (stopped_early && state.best_update == 0)
    warn("early stopping: no validation was to be trusted; the last model is kept");
  if (stopped_early && state.best_update != 0 && state.best_update != state.update) {
    read_checkpoint(checkpoint_of(history, state.best_update), model, state);
    possible = true;  // else it would not be the best
    note_log_partition();
    write_checkpoint(latest, model, state, notes);
    score = format(", validation %.3f nats", state.best_validation);
    log(common,
        "early stopping: back to the best validation likelihood, at update " + std::to_string(state.update));
  }

  const ModelFile<M> result = read_model_as<M>(latest);
  write_features(result, filter_norms(result), directory / "features.png");
  Chains<M> chains = reference_chains(model, 100, StreamFactory{seed}, Purpose::kSampling, workers);
  Workspace<M> workspace;
  workspace.fit(model, chains.n_chains, workers);
  if (!state.chains.blocks.empty()) {
    chains = state.ladder.n_rungs > 0 ? select_chains(model, state.chains, state.ladder.plain) : state.chains;
  } else {
    advance(model, result.theta, 1000, StreamFactory{seed}, Purpose::kSampling, chains, workspace, workers);
  }
  const auto [height, width] = picture_shape(result.visible_shape, result.n_raw());
  write_png(tile_grid(mean_visible_tiles(model, result.theta, data.preprocessing, chains, 100), height, width,
                      kBinary ? ColourMap::kGrey : ColourMap::kStretched),
            directory / "samples.png");

  Json json = {{"out", directory.string()}, {"updates", state.update}, {"seconds", seconds()}};
  if (validates) json["best_validation_log_likelihood"] = state.best_validation;
  print_result(common, json,
               format("trained %s for %llu updates in %.1f s: %s", std::string(M::kKind).c_str(),
                      static_cast<unsigned long long>(state.update), seconds(), directory.c_str()) +
                   score);
  return 0;
}

}  // namespace

int run_training(const fs::path& directory, const TrainConfig& config, Start start_from,
                 const CommonOptions& common) {
#define TEMPERA_TRY(M) \
  if (config.model == M::kKind) return run_training_of<M>(directory, config, start_from, common);
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  throw ConfigError({{"model", "'" + config.model + "'", "is no kind of model"}});
}

#define TEMPERA_INSTANTIATE(M)                                                                            \
  template Vector filter_norms(const ModelFile<M>&);                                                      \
  template void write_features(const ModelFile<M>&, const Vector&, const std::filesystem::path&);         \
  template Matrix raw_filters(const ModelFile<M>&);                                                       \
  template std::vector<std::vector<float>> mean_visible_tiles(                                            \
      const M&, const M::Params&, const Preprocessing&, const Chains<M>&, Index);                         \
  template std::vector<double> free_energies(const M&, const M::Params&, const M::Data&, const Workers&); \
  template void fit_reference(ModelFile<M>&, const M::Data&, const CommonOptions&);                       \
  template LogPartition exact_log_partition(const M&, const M::Params&, const Workers&, const Progress&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera::apps
