#include "tempera/services/training_run.hpp"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>

#include "observers.hpp"
#include "tempera/core/digest.hpp"
#include "tempera/core/format.hpp"
#include "tempera/core/permutation.hpp"
#include "tempera/diagnostics/clusters.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/features.hpp"
#include "tempera/services/pictures.hpp"
#include "tempera/services/run_directory.hpp"
#include "tempera/train/staged.hpp"
#include "training_data.hpp"

namespace tempera {

template <EnergyModel M>
void Checkpointer<M>::note(const TrainState<M>& s, LogZAudit<M>& audit) {
  const LogZNote found = audit.note(s);
  notes_.log_partition = found.log_partition;
  notes_.log_partition_doubt = found.doubt;
}

template <EnergyModel M>
void Checkpointer<M>::write(const std::filesystem::path& path, const TrainState<M>& s) const {
  // Only who writes the file makes it.
  change_files([&] { write_checkpoint(path, model_, s, memory_, notes_); });
}

template <EnergyModel M>
void Checkpointer<M>::write_latest(const TrainState<M>& s, LogZAudit<M>* audit) {
  if (audit != nullptr) note(s, *audit);
  write(run_.latest(), s);
}

template <EnergyModel M>
void Checkpointer<M>::save(const TrainState<M>& s, LogZAudit<M>& audit) {
  note(s, audit);
  if (options_.keep > 0) write(run_.kept(s.update), s);
  run_.prune(static_cast<std::uint64_t>(options_.keep));
  write(run_.latest(), s);
}

template <EnergyModel M>
void Checkpointer<M>::save_best(const TrainState<M>& s, LogZAudit<M>& audit) {
  note(s, audit);
  write(run_.best(), s);
}

namespace {

namespace fs = std::filesystem;

/// A model is chosen once its gain is this many standard errors of log Z, and the error at most so many nats.
constexpr double kChoiceErrors = 4.0;
constexpr double kChoiceNats = 0.1;

/// How a line of config.toml begins that tells of a change.
constexpr const char* kChange = "# From update ";

/// The steps and coordinates that a machine is to see real values in; those of its checkpoint where it goes
/// on.
template <HasUnits M>
void fit_coordinates(const RunDirectory& run, const TrainOptions& options, Start start, RunData<M>& data,
                     Listener& listener) {
  if (!goes_on(start) && options.init.from.empty()) return fit_coordinates(options.machine, data, listener);
  data.steps = data.file.preprocessing;
  const ModelFile<M> file =
      read_model_as<M>(goes_on(start) ? run.latest() : std::filesystem::path(options.init.from));
  if (data.steps.empty()) data.steps = file.preprocessing;
  data.units = file.units;
}

/// Draws the valid split of data that have none from the training cases.
void hold_out(double part, std::uint64_t seed, DataFile& data) {
  if (part <= 0.0) return;
  if (data.splits.count("valid") > 0)
    throw ConfigError({{"holdout", format("%g", part), "means nothing where the data has a valid split"}});
  const Table all = std::move(data.splits.at("train"));
  const auto n = static_cast<Index>(std::llround(part * static_cast<double>(all.rows)));
  if (n == 0 || n == all.rows)
    throw ConfigError({{"holdout", format("%g", part), "must leave cases in both splits"}});
  std::vector<Index> order = permutation(all.rows, StreamFactory{seed}.engine(Purpose::kHoldout, 0));
  std::sort(order.begin(), order.begin() + n);
  std::sort(order.begin() + n, order.end());
  const std::span<const Index> rows(order);
  data.splits["valid"] = rows_of(all, rows.first(static_cast<std::size_t>(n)));
  data.splits["train"] = rows_of(all, rows.subspan(static_cast<std::size_t>(n)));
}

/// Cases of a square number of values are drawn as squares where nothing says how else.
void guess_square(DataFile& data, Listener& listener) {
  constexpr std::int64_t kLeastSide = 8;
  const Index values =
      data.preprocessing.empty() ? data.columns() : static_cast<Index>(data.preprocessing.n_inputs);
  const std::int64_t side = std::llround(std::sqrt(static_cast<double>(values)));
  if (!data.visible_shape.empty() || !data.column_names.empty() || !data.alphabet.empty() ||
      side < kLeastSide || side * side != values)
    return;
  data.visible_shape = {side, side};
  listener.note(format("cases are drawn as pictures of %lldx%lld; --shape HEIGHTxWIDTH draws them otherwise",
                       static_cast<long long>(side), static_cast<long long>(side)));
}

Index constant_columns(const RealData& data) { return (data.variances().array() == 0.0).count(); }

template <EnergyModel M>
RunData<M> read_data(const RunDirectory& run, TrainOptions& options, Start start, Listener& listener) {
  RunData<M> data;
  try {
    data.file = read_data_file(options.data.data, {options.data.columns, options.data.shape}, listener);
  } catch (const NoInputError& error) {
    if (!goes_on(start)) throw;
    throw NoInputError(std::string(error.what()) + "; where the data are now: tempera resume " +
                       run.path().string() + " --data FILE");
  }
  guess_square(data.file, listener);
  static_cast<void>(data.file.split("train"));  // which there must be
  hold_out(options.data.holdout, static_cast<std::uint64_t>(options.run.seed), data.file);
  require_values_of<M>(data.file);
  const Table& table = data.file.split("train");
  set_letters<M>(data.file, options.machine);
  if (const auto violations = check(options, table.columns, table.rows); !violations.empty())
    throw ConfigError(violations);
  if (M::kFeatures.has(Feature::kBinarize))
    data.rule =
        binarization_for(data.file, options.data.binarize, static_cast<std::uint64_t>(options.run.seed));
  if constexpr (HasUnits<M>) fit_coordinates(run, options, start, data, listener);
  data.train = values_of<M>(data, "train");
  if constexpr (std::same_as<typename M::Data, BinaryData>) {
    if (data.rule.method == BinarizeMethod::kSampleEach)
      data.train.draw_from(probabilities_of(table, data.rule));
    if (!options.data.allow_constant) require_varying(data.file, table, data.train);
  }
  const bool has_valid = data.file.splits.count("valid") > 0;
  for (const auto& [field, value] : {std::pair{"validate-every", options.run.validate_every},
                                     std::pair{"patience", options.run.patience}}) {
    if (number_of(value) > 0 && !has_valid)
      throw ConfigError(
          {{field, text_of(number_of(value)), "the data has no valid split; --holdout 0.1 makes one"}});
  }
  const bool tracks = options.tracking.track_log_z.value_or(is_tempered(options.chains.trainer)
                                                                ? Tracking::kLattice
                                                                : Tracking::kNone) != Tracking::kNone;
  if (has_valid && (tracks || number_of(options.run.validate_every) > 0))
    data.valid = values_of<M>(data, "valid");
  if (const Index constant = constant_columns(data.train); constant > 0)
    listener.warn(std::to_string(constant) + " of " + std::to_string(data.train.n_visible()) +
                  " columns are constant");
  return data;
}

/// Refuses names that are no parameters of the machine.
template <EnergyModel M>
void check_frozen(const std::vector<std::string>& frozen, const M& model) {
  std::vector<Violation> violations;
  for (const std::string& name : frozen) {
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

/// The state that training goes on from, with what observers remember.
template <EnergyModel M>
TrainState<M> starting_state(const Engine<M>& engine, const TrainOptions& options, const Plan& plan,
                             const typename M::Data& train, Start start, Listener& listener) {
  TrainState<M> state = initial_state(engine, plan, train);
  if (!goes_on(start) && options.init.staged())
    begin_at(engine.model, plan, starting_params(engine, options, train, stage(listener, "finding filters")),
             state);
  if (!goes_on(start) && !options.init.from.empty()) {
    ModelFile<M> file = read_model_as<M>(options.init.from);
    say_which(options.init.from, file.path, listener);
    if (file.model.shape_names() != engine.model.shape_names())
      throw DataError(options.init.from + ": is not of the shape of the machine that is to be trained");
    begin_at(engine.model, plan, std::move(file.theta), state);
  }
  return state;
}

template <EnergyModel M>
void resume_state(const std::filesystem::path& latest, const M& model, const TrainOptions& options,
                  TrainState<M>& state, ObserverMemory& memory) {
  read_checkpoint(latest, model, state, memory);
  const auto* ladder = std::get_if<TemperatureLadder>(&state.ladder);
  if (options.chains.trainer == Trainer::kSmlPt && ladder != nullptr &&
      ladder->n_rungs != static_cast<std::uint64_t>(options.ladder.rungs)) {
    throw DataError(latest.string() + ": /state/ladder has " + std::to_string(ladder->n_rungs) +
                    " rungs, the configuration " + text_of(options.ladder.rungs) +
                    "; the ladder of sml-pt is fixed");
  }
  if (state.update > static_cast<std::uint64_t>(*options.rate.updates)) {
    throw ConfigError({{"updates", text_of(*options.rate.updates),
                        "must be at least " + std::to_string(state.update) + ", the updates already made"}});
  }
}

/// Pictures of the filters and of the chains of a state whose model is in a file.
template <EnergyModel M>
void draw_pictures(const Engine<M>& engine, const RunDirectory& run, const std::filesystem::path& model,
                   const TrainState<M>& state) {
  const ModelFile<M> result = read_model_as<M>(model);
  write_picture(picture_of_filters(features_of(result)), run.features());
  drawing_of_curves(read_metrics(run.metrics())).write(run.curves());
  Population<M> population(reference_chains(engine, 100, Purpose::kSampling));
  if (!state.population.chains.blocks.empty()) {
    population.chains = select_chains(engine.model, state.population.chains, gradient_chains(state));
  } else {
    population.fit(engine);
    advance(engine, result.theta, 1000, Purpose::kSampling, population);
    gather(engine.executor, population.chains);
  }
  write_picture(picture_of_chains(result, population.chains), run.samples());
}

/// Lines of config.toml that tell which values changed at which update, those of earlier resumes first.
std::string changes_of(const RunDirectory& run, const TrainOptions& options, std::uint64_t update,
                       bool goes_on) {
  if (!goes_on) return "";
  const std::string before = read_file(run.config());
  std::string lines;
  std::istringstream all(before);
  for (std::string line; std::getline(all, line);) {
    if (line.rfind(kChange, 0) == 0) lines += line + "\n";
  }
  TrainOptions old;
  read_config(run.config(), old);
  std::string changed;
  TrainOptions::visit(
      [&](const OptionText& text, const auto& now, const auto& then) {
        if (text_of(now, text.none) != text_of(then, text.none))
          changed += std::string(changed.empty() ? "" : ", ") + text.name + " = " + text_of(now, text.none) +
                     " (before " + text_of(then, text.none) + ")";
      },
      options, old);
  if (!changed.empty()) lines += std::string(kChange) + std::to_string(update) + ": " + changed + "\n";
  return lines;
}

/// One run, from what is there to what is left: the observers and the loop that they see.
template <EnergyModel M>
class Run {
 public:
  Run(const Engine<M>& engine, const RunDirectory& run, const TrainOptions& options, const RunData<M>& data,
      Listener& listener)
      : engine_(engine),
        run_(run),
        options_(options),
        plan_(plan_of(options, data.train.n_cases())),
        data_(data),
        listener_(listener) {}

  TrainingResult operator()(Start start);

 private:
  /// What the loop tells, whatever becomes of it.
  void show(const UpdateReport& report, std::uint64_t first, double seconds) {
    const double done = static_cast<double>(report.update) / static_cast<double>(report.total);
    const double speed = static_cast<double>(report.update - first) / std::max(1e-9, seconds);
    const Control wish = listener_.progress("training", done, format("%.0f updates/s", speed) + score_);
    stopped_ = stopped_ || wish == Control::kStop;
  }

  /// A disk that is full for a while costs no work: the next checkpoint is tried again, and the last must
  /// succeed.
  void try_to_save(Checkpointer<M>& checkpointer, TrainState<M>& s, LogZAudit<M>& audit) {
    try {
      gather(engine_.executor, s);
      checkpointer.save(s, audit);
    } catch (const WriteError& error) {
      listener_.warn(format("update %llu: ", static_cast<unsigned long long>(s.update)) + error.what() +
                     "; the next checkpoint is tried again");
    }
  }

  /// There is nothing left to do: all is as it was, but for what config.toml says of the data.
  TrainingResult finished_before(std::uint64_t updates) const {
    write_file(run_.config(), changes_of(run_, options_, updates, true) + to_toml(options_));
    TrainingResult result;
    result.kind = M::kKind;
    result.directory = run_.path();
    result.updates = updates;
    result.finished_before = true;
    return result;
  }

  /// Whether the run chooses among its models by validations.
  [[nodiscard]] bool chooses() const { return number_of(options_.run.validate_every) > 0; }

  /// The state of the best validation, where it is there; a run that chooses among its models offers its
  /// model.
  [[nodiscard]] std::optional<TrainState<M>> best_state(const TrainState<M>& last,
                                                        ObserverMemory& then) const {
    const std::uint64_t best = memory_.early_stopping.best_update;
    if (best == 0) {
      listener_.warn("no validation was to be trusted; the last model is offered");
      return std::nullopt;
    }
    then = memory_;
    if (best == last.update) return last;
    TrainState<M> state = initial_state(engine_, plan_, data_.train);
    state.theta = last.theta;
    bool found = false;
    try {
      if (std::filesystem::exists(run_.best())) read_checkpoint(run_.best(), engine_.model, state, then);
      found = state.update == best;
    } catch (const DataError& error) {
      listener_.warn(error.what());
    }
    // All ranks go on with it, or none.
    if (!engine_.executor.ranks().any(!found)) return state;
    listener_.warn(run_.best().string() + ": is not the model of update " + std::to_string(best) +
                   ", the best validated; the last model is offered");
    return std::nullopt;
  }

  [[nodiscard]] RatePlan cooled() const {
    const EarlyStoppingMemory& memory = memory_.early_stopping;
    const RatePlan rate = plan_of(options_, data_.train.n_cases()).rate;
    const std::uint64_t end = std::min(memory.cooling_end, rate.total);
    return cooling(rate, memory.cooled_from, memory.cooling_begin, end - memory.cooling_begin);
  }

  /// Whether there is an end of a way back that training is to go beyond, by the schedule of the run.
  bool goes_beyond(Start start, const TrainState<M>& state) {
    EarlyStoppingMemory& memory = memory_.early_stopping;
    if (!memory.cools()) return false;
    const RatePlan rate = cooled();
    if (start == Start::kFurther && state.update == rate.total && rate.total < plan_.rate.total) {
      memory.cooled_from = memory.cooling_begin = memory.cooling_end = 0;
      memory.validations_since_best = 0;
      return true;
    }
    plan_.rate = rate;
    return false;
  }

  /// The state becomes that of the best model, from which the rate falls to 0 in so many updates. False where
  /// there are none, or the best model is not there: nothing has changed then.
  bool go_back(std::uint64_t updates, TrainState<M>& state) {
    EarlyStoppingMemory memory = memory_.early_stopping;
    memory.cooled_from = memory.best_update;
    memory.cooling_begin = state.update;
    memory.cooling_end = state.update + updates;
    if (memory.cooling_end == memory.cooling_begin) return false;
    ObserverMemory then;
    std::optional<TrainState<M>> best = best_state(state, then);
    if (!best) return false;
    state = std::move(*best);
    state.given_up += memory.cooling_begin - memory.cooled_from;
    state.update = memory.cooling_begin;
    memory_.recorder = then.recorder;
    memory_.audit = then.audit;
    memory_.early_stopping = memory;
    plan_.rate = cooled();
    listener_.note(
        format("validation was best at update %llu; training goes back to it, and its rate falls to 0 "
               "in %llu updates",
               static_cast<unsigned long long>(memory.cooled_from),
               static_cast<unsigned long long>(memory.cooling_end - memory.cooling_begin)));
    return true;
  }

  /// The verdict becomes that of the model that is offered where it is not the last.
  void speak_of(std::uint64_t best_update, double error) {
    verdict_.likelihood = memory_.early_stopping.best_validation;
    verdict_.likelihood_error = error;
    verdict_.trusted = true;
    verdict_.overfitting.reset();
    verdict_.rising.reset();
    verdict_.offered_update = best_update;
    const Metrics metrics = read_metrics(run_.metrics());
    const std::vector<double> updates = metrics.column("update");
    const auto row = std::find(updates.begin(), updates.end(), static_cast<double>(best_update));
    const auto of_row = [&](std::string_view name) {
      return row == updates.end() ? std::nan("")
                                  : metrics.column(name)[static_cast<std::size_t>(row - updates.begin())];
    };
    verdict_.r_hat = of_row("r_hat");
    verdict_.effective_draws = of_row("effective_sample_size");
    verdict_.cluster_variation = of_row("cluster_variation");
    score_ = format(", validation %.3f nats", verdict_.likelihood);
    listener_.note("the model of the best validation likelihood, that of update " +
                   std::to_string(best_update) + ", is " + run_.best().string() + "; the last one is " +
                   run_.latest().string());
  }

  const Engine<M>& engine_;
  const RunDirectory& run_;
  const TrainOptions& options_;
  Plan plan_;
  const RunData<M>& data_;
  Listener& listener_;
  ObserverMemory memory_;
  std::string score_;
  TrainingVerdict verdict_;
  bool stopped_ = false;
};

template <EnergyModel M>
TrainingResult Run<M>::operator()(Start start) {
  const bool resumed = goes_on(start);
  bool beyond = false;
  TrainState<M> state = starting_state(engine_, options_, plan_, data_.train, start, listener_);
  std::optional<UpdateReport> pending;
  if (resumed) {
    resume_state(run_.latest(), engine_.model, options_, state, memory_);
    if (!memory_.pending.empty()) pending = report_of(memory_.pending);
    beyond = goes_beyond(pending ? Start::kCheckpoint : start, state);
    if (state.update == plan_.rate.total && !pending) return finished_before(state.update);
  }
  listener_.begins_with("state", [&] { return digest(state); });
  Checkpointer<M> checkpointer(engine_.model, run_, options_.run,
                               {data_.file.visible_shape,
                                data_.rule,
                                data_.steps,
                                data_.units,
                                data_.file.alphabet,
                                options_.run.seed,
                                {},
                                {},
                                LogZDoubt::kNone},
                               memory_);
  // The row of a report that is still to be seen is not there yet.
  const KeptMetrics kept =
      resumed ? metrics_until(run_.metrics(), state.update - (pending ? 1 : 0)) : empty_metrics();
  // Like rows of metrics.csv, the best model may be work that the checkpoint does not hold.
  if (resumed) run_.remove_best_but(memory_.early_stopping.best_update);
  // A kill between two files leaves a run that goes on: settings come before the checkpoint that needs them.
  // Those of an old run that is replaced go once the first checkpoint of the new one is safe.
  const bool anew = !resumed && !fs::exists(run_.latest());
  const std::string settings = changes_of(run_, options_, state.update, resumed) + to_toml(options_);
  if (anew) write_file(run_.config(), settings);
  if (!resumed) checkpointer.write_latest(state, nullptr);
  if (!anew) write_file(run_.config(), settings);
  if (!resumed) run_.remove_products(options_.data.data.name);
  if (options_.data.data.arrays != nullptr) write_data(*options_.data.data.arrays, run_.data());

  write_file(run_.metrics(), kept.text);
  const Stopwatch watch(kept.seconds);
  Recorder<M> recorder(run_.metrics(), memory_.recorder);
  LogZAudit<M> audit(engine_, plan_, {data_.train, data_.valid}, data_.units, memory_.audit, listener_);
  // It is so whatever becomes of this session.
  if (beyond) checkpointer.write_latest(state, &audit);
  EarlyStopping stopping(options_.run, plan_.rate, memory_.early_stopping, listener_);
  const std::uint64_t first = state.update;

  std::optional<Assessment> last;
  std::optional<UpdateReport> last_report;
  ObserverMemory before;  // the last report
  bool cut_short = false;
  const auto see = [&](const UpdateReport& report, const TrainState<M>& s) {
    before = memory_;
    last_report = report;
    Assessment found = audit.assess(report, s);
    const auto gain = stopping.gain(found, s.update);
    // Of many noisy reports the luckiest would be chosen.
    if (gain && chooses() && is_validated(plan_, report.update)) {
      found = has_fallen(plan_.rate, report.update)
                  ? audit.concluded(found, s)
                  : audit.settled(std::move(found), s, std::min(*gain / kChoiceErrors, kChoiceNats));
    }
    last = found;
    score_ = found.words();
    const std::string row = recorder.write(report, found, s, watch.total());
    stopped_ = listener_.report(facts_of_metrics(row)) == Control::kStop;
    verdict_.r_hat = report.r_hat;
    verdict_.effective_draws = report.effective_sample_size;
    verdict_.cluster_variation = report.cluster_variation;
    audit.require_sense(found, s);
    if (is_validated(plan_, report.update) && stopping.is_best(found, s.update)) {
      gather(engine_.executor, state);
      checkpointer.save_best(s, audit);
    }
  };
  const auto observe = [&](const UpdateReport& report, const TrainState<M>& s) {
    try {
      if (is_reported(plan_, report.update)) see(report, s);
    } catch (const Interrupted&) {
      cut_short = stopped_ = true;
      return Control::kStop;
    }
    show(report, first, watch.here());
    const bool ends = stopped_ || stopping.stops() || report.update == report.total;
    if (!ends && checkpointer.is_due(report.update) && !audit.may_have_diverged())
      try_to_save(checkpointer, state, audit);
    return stopped_ || stopping.stops() ? Control::kStop : Control::kContinue;
  };
  memory_.pending.clear();
  // What was due when the run was cut is done before any other update.
  if (pending ? observe(*pending, state) == Control::kContinue : !stopping.stops())
    train<M>(engine_, plan_, data_.train, state, observe);
  gather(engine_.executor, state);
  if (!stopped_ && stopping.stops() && go_back(stopping.way_back(state.update), state)) {
    checkpointer.save(state,
                      audit);  // from before the turn it could not be made again once best.h5 is another
    train<M>(engine_, plan_, data_.train, state, observe);
    gather(engine_.executor, state);
  }
  if (last && !stopped_ && !stopping.stops()) {
    try {
      last = audit.concluded(*last, state);
      score_ = last->words();
    } catch (const Interrupted&) {
      cut_short = stopped_ = true;
    }
  }
  // What follows the last report belongs to it: a run that is stopped there sees it again when it goes on.
  const bool at_its_end = cut_short || stopping.stops() || state.update == plan_.rate.total;
  if (stopped_ && at_its_end && last_report && last_report->update == state.update) {
    memory_ = before;
    memory_.pending = numbers_of(*last_report);
  }
  if (last && !stopped_) audit.compare(*last, verdict_);
  if (audit.estimates()) verdict_.trusted = audit.doubt() == LogZDoubt::kNone;
  verdict_.watched = data_.valid.n_cases() > 0;
  read_curves(curve_of(read_metrics(run_.metrics())), verdict_);
  const bool cooled = memory_.early_stopping.cools();
  if (cooled) verdict_.rising.reset();
  const bool stops = cooled || stopping.stops();
  std::optional<TrainState<M>> best;
  ObserverMemory then;  // of the best state
  if (!stopped_ && chooses()) best = best_state(state, then);
  if (best && best->update != state.update) speak_of(best->update, then.audit.settled_error);
  if (best) {
    std::swap(memory_, then);
    try {
      verdict_.trusted = audit.searched(*best) == LogZDoubt::kNone;
    } catch (const Interrupted&) {
      // All is done but for this.
    }
    std::swap(memory_, then);
    if (best->update == state.update) {
      memory_.audit.doubt = then.audit.doubt;
      verdict_.overfitting.reset();  // not beyond what its likelihood is known to
    }
  }
  if (!stopped_) checkpointer.note_verdict(verdict_.words());
  if (best) {
    std::swap(memory_, then);
    try {
      checkpointer.save_best(*best, audit);
    } catch (const WriteError& error) {
      listener_.warn(error.what());  // it is there, without the verdict
    }
    std::swap(memory_, then);
  }
  // A run that has stopped by itself goes on when it is asked to.
  if (!stopped_ && stopping.stops()) memory_.early_stopping.validations_since_best = 0;
  checkpointer.save(state, audit);

  TrainingResult result;
  result.kind = M::kKind;
  result.directory = run_.path();
  result.updates = state.update;
  result.seconds = watch.total();
  result.stopped_by_listener = stopped_;
  result.validates = chooses();
  result.stopped_early = stops;
  if (audit.estimates()) result.trusted = best ? verdict_.trusted : audit.doubt() == LogZDoubt::kNone;
  result.best_validation = memory_.early_stopping.best_validation;
  result.best_update = memory_.early_stopping.best_update;
  result.score = score_;
  result.verdict = verdict_;
  if (!stopped_ && options_.run.pictures)
    draw_pictures(engine_, run_, best ? run_.best() : run_.latest(), best ? *best : state);
  return result;
}

template <EnergyModel M>
TrainingResult run_training_of(const std::filesystem::path& directory, const TrainOptions& options,
                               Start start, const Executor& executor, Listener& listener) {
  const RunDirectory run(directory);
  // Under its lock: two that begin at once do not both find nothing.
  if (start == Start::kAnew && holds_run(directory))
    throw WriteError(directory.string() +
                     ": holds a run already; --force replaces it, tempera resume continues it");
  TrainOptions asked = options;
  const RunData<M> data = read_data<M>(run, asked, start, listener);
  TrainOptions resolved =
      resolve<M>(asked, data.train.n_visible(), data.train.n_cases(), variance_of(data.train),
                 data.file.splits.count("valid") > 0, data.train.weights());
  // Arrays of the calling program stay with the run.
  if (resolved.data.data.arrays != nullptr) resolved.data.data.name = fs::absolute(run.data()).string();
  typename M::Shape shape = M::shape_from(resolved.machine, data.train.n_visible());
  if constexpr (HasUnits<M>) shape = M::in_units(std::move(shape), data.units);
  const M model(std::move(shape), M::fit_reference(data.train));
  require_possible_values(model, data.train, data.file.name + ", train");
  if (data.valid.n_cases() > 0) require_possible_values(model, data.valid, data.file.name + ", valid");
  check_frozen(resolved.gradient.freeze, model);
  const Engine<M> engine{model, StreamFactory{static_cast<std::uint64_t>(resolved.run.seed)}, executor};
  if (listener.progress("training", 0.0, "") == Control::kStop) throw Interrupted();
  return Run<M>(engine, run, resolved, data, listener)(start);
}

}  // namespace

bool may_change(std::string_view option) {
  static const std::set<std::string_view> names = {"data",
                                                   "updates",
                                                   "lr",
                                                   "schedule",
                                                   "decay-updates",
                                                   "warmup",
                                                   "early-rate",
                                                   "report-every",
                                                   "validate-every",
                                                   "patience",
                                                   "checkpoint-every",
                                                   "keep",
                                                   "l1",
                                                   "l1b",
                                                   "l2-fields",
                                                   "l2",
                                                   "clip",
                                                   "check"};
  return names.count(option) > 0;
}

TrainOptions resumed_options(const std::filesystem::path& directory, std::optional<std::int64_t> updates) {
  require_exists(directory);
  if (!std::filesystem::exists(directory / "config.toml"))
    throw NoInputError(directory.string() + ": no checkpoint of a run to resume (no config.toml)");
  if (!std::filesystem::exists(directory / "checkpoint.h5")) {
    throw NoInputError(
        directory.string() +
        ": holds no checkpoint.h5; copy the latest file of checkpoints/ there to go on from it");
  }
  TrainOptions options;
  read_config(directory / "config.toml", options);
  if (updates) {
    options.rate.updates = *updates;
    options.rate.epochs.reset();
  }
  return options;
}

TrainingResult run_training(const std::filesystem::path& directory, const TrainOptions& options, Start start,
                            const Executor& executor, Listener& listener) {
  if (const auto violations = check(options); !violations.empty()) throw ConfigError(violations);
  require_utf8(options);
#define TEMPERA_TRY(M)                                                                     \
  if (options.machine.kind == M::kKind && options.machine.hidden_units == M::kHiddenUnits) \
    return run_training_of<M>(directory, options, start, executor, listener);
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  throw ConfigError({{"model", "'" + options.machine.kind + "'", "is no kind of model"}});
}

}  // namespace tempera
