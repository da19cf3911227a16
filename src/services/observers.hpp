// The observers of a training run: small classes that see a const state. What they remember stands in
// ObserverMemory, and with it in checkpoints.
#pragma once

#include <chrono>
#include <set>

#include "tempera/services/cases.hpp"
#include "tempera/services/checkpoint.hpp"
#include "tempera/services/run_directory.hpp"
#include "tempera/services/training_run.hpp"
#include "tempera/services/units.hpp"
#include "tempera/services/verdict.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera {

/// Seconds of a run, those of earlier sessions included.
class Stopwatch {
 public:
  explicit Stopwatch(double before) : before_(before), begin_(std::chrono::steady_clock::now()) {}
  [[nodiscard]] double here() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  [[nodiscard]] double total() const { return before_ + here(); }

 private:
  double before_;
  std::chrono::steady_clock::time_point begin_;
};

/// The rows of metrics.csv up to an update, and the seconds that they tell.
struct KeptMetrics {
  std::string text;
  double seconds = 0.0;
};

/// metrics.csv without a row.
KeptMetrics empty_metrics();

/// What is left of a file's rows: those after `update` belong to work that the checkpoint does not hold, and
/// a last line that was cut short to none. Throws DataError where a row is no row of metrics.csv.
KeptMetrics metrics_until(const std::filesystem::path& path, std::uint64_t update);

/// A line of metrics.csv by the names of its columns: numbers, NaN where a cell is empty, and lists.
Facts facts_of_metrics(const std::string& line);

/// Writes the rows of metrics.csv.
template <EnergyModel M>
class Recorder {
 public:
  Recorder(std::filesystem::path path, RecorderMemory& memory) : path_(std::move(path)), memory_(memory) {}
  /// The line that it has written.
  std::string write(const UpdateReport& report, const Assessment& found, const TrainState<M>& s,
                    double seconds);

 private:
  std::filesystem::path path_;
  RecorderMemory& memory_;
};

/// Cases of a data set that are looked at again and again, with the memory that it takes.
template <EnergyModel M>
class Cases {
 public:
  /// At most `most` of them, drawn at random.
  Cases(const Engine<M>& engine, const typename M::Data& data, Index most);

  /// Mean log-likelihood; nothing of no cases. `possible` becomes false where distinct cases have more than
  /// probability 1: log Z is then far too low, since chains have not found what the model likes best.
  [[nodiscard]] Likelihood likelihood(const Engine<M>& engine, const typename M::Params& theta,
                                      const LogPartition& z, bool& possible);

 private:
  Index n_;
  CaseWeights weights_;
  std::vector<double> log_volumes_;  // what their log densities exceed those in their own units by
  std::vector<std::size_t> distinct_;
  std::vector<Chains<M>> panels_;
  Caches<M> caches_;
};

/// The tracked log Z in the data's units, nothing where it is not tracked; and what speaks against it.
struct LogZNote {
  std::optional<LogPartition> log_partition;
  LogZDoubt doubt = LogZDoubt::kNone;
};

/// What is known of log Z and of likelihoods at a report, and whether it is to be trusted: the tracked value
/// is held against what the cases say and, where that is cheap, against the exact one.
template <EnergyModel M>
class LogZAudit {
 public:
  struct Data {
    const typename M::Data& train;
    const typename M::Data& valid;
  };
  /// `units`: of the data, in which it speaks.
  LogZAudit(const Engine<M>& engine, const Plan& plan, Data data, const Standardisation& units,
            AuditMemory& memory, Listener& listener);

  Assessment assess(const UpdateReport& report, const TrainState<M>& s);
  /// The assessment of a state whose model is to be chosen: log Z is that of rounds of a copy of the tracker
  /// alone, with draws of their own, until its error is at most this. Without a ladder of its own, or where
  /// so many rounds would be too much work, it stays as it is.
  /// Throws Interrupted.
  Assessment settled(Assessment found, const TrainState<M>& s, double largest_error);
  /// The assessment of the last state: exact where enumeration is no more work than rounds that settle, else
  /// settled where that leaves log Z as well known as it was, and held against it otherwise. Throws
  /// Interrupted.
  Assessment concluded(const Assessment& found, const TrainState<M>& s);
  /// What is to be said of a settled log Z that is offered, after a search of modes of its own: those that
  /// training remembers are of other parameters. Throws Interrupted. Cost: about 4e9 operations.
  LogZDoubt searched(const TrainState<M>& s);
  /// What the checkpoint of a state says of its log Z.
  LogZNote note(const TrainState<M>& s);
  /// Throws NumericalError where training has diverged beyond doubt: at two reports in a row (of ten, where a
  /// bound alone says so) after the first tenth of the updates, training cases are less likely than by
  /// independent units.
  void require_sense(const Assessment& found, const TrainState<M>& s);
  /// Whether that was so at the last report, by a log Z that is trusted or absurd: no state to keep.
  [[nodiscard]] bool may_have_diverged() const;
  /// Likelihoods of the baselines on validation cases, or on training cases where there are none.
  void compare(const Assessment& found, TrainingVerdict& verdict) const;
  /// Whether there is a log Z to be trusted: it is tracked, or estimated at validations.
  [[nodiscard]] bool estimates() const;
  [[nodiscard]] LogZDoubt doubt() const {
    return memory_.missed != 0.0 ? LogZDoubt::kExact : static_cast<LogZDoubt>(memory_.doubt);
  }

 private:
  /// Whether the exact log Z is cheap.
  [[nodiscard]] bool is_compared() const;
  /// The exact log Z where it is cheap; notes and warns where the tracked one is not it.
  std::optional<LogPartition> compare_with_exact(const LogPartition& tracked, const TrainState<M>& s);
  /// As its cost allows, counted in operations.
  [[nodiscard]] std::uint64_t reports_between_comparisons(const TrainState<M>& s) const;
  /// What log Z in the data's units exceeds that of the machine of standardised values by.
  [[nodiscard]] double shift(const TrainState<M>& s) const {
    return log_partition_shift<M>(s.result(), units_);
  }
  /// The tracked log Z of the machine of standardised values.
  std::optional<LogPartition> known(const TrainState<M>& s);
  /// Whether the remembered modes contradict the estimate; then warns.
  bool is_refuted_by_modes(const LogPartition& z, const TrainState<M>& s);
  /// Whether those that a search finds do, or there is no law; then warns. Throws Interrupted.
  bool is_refuted_by_search(const LogPartition& z, const TrainState<M>& s);
  /// Likelihoods that follow from the assessment's log Z, and what speaks against it.
  void weigh(Assessment& found, const TrainState<M>& s);
  /// Whether the tracker's replicas travel, and its ensembles change places.
  LogZDoubt doubt_of_replicas(const TrainState<M>& s);
  /// Independent rounds, at most so many. Throws Interrupted.
  LogPartition independent(const TrainState<M>& s, double largest_error, std::uint64_t most_rounds);
  void remember(const LogPartition& z, const TrainState<M>& s);
  /// What independent rounds, or enumeration, have given for this state.
  std::optional<LogPartition> settled_log_partition(const TrainState<M>& s) const;
  /// The largest likelihood that training cases can have: by a log Z that is trusted, or by the certain lower
  /// bound of the modes; nothing where neither is known.
  [[nodiscard]] std::optional<Likelihood> largest_likelihood(const Assessment& found,
                                                             const TrainState<M>& s) const;
  void warn_once(LogZDoubt doubt, std::uint64_t update, const std::string& why);
  /// Without a tracker: exact, or annealed.
  LogPartition estimated(const typename M::Params& theta);

  const Engine<M>& engine_;
  const Plan& plan_;
  Data data_;
  const Standardisation& units_;
  AuditMemory& memory_;
  Listener& listener_;
  std::optional<double> independent_;  // likelihood of training cases by independent units
  Cases<M> train_;
  Cases<M> valid_;
  std::set<LogZDoubt> warned_;
  bool absurd_ = false;  // log Z of the last report
};

/// Writes checkpoints, and keeps as many as are wanted. Chains of all ranks must have been gathered.
template <EnergyModel M>
class Checkpointer {
 public:
  Checkpointer(const M& model, const RunDirectory& run, const RunOptions& options, CheckpointNotes notes,
               const ObserverMemory& memory)
      : model_(model), run_(run), options_(options), notes_(std::move(notes)), memory_(memory) {}

  /// The latest checkpoint alone: at the start of a run, or where an early stop goes back.
  void write_latest(const TrainState<M>& s, LogZAudit<M>* audit);
  /// The latest one, and one for the history.
  void save(const TrainState<M>& s, LogZAudit<M>& audit);
  /// What checkpoints from here on say of the run.
  void note_verdict(const std::string& verdict) { notes_.verdict = verdict; }
  /// The best validated model so far.
  void save_best(const TrainState<M>& s, LogZAudit<M>& audit);
  [[nodiscard]] bool is_due(std::uint64_t update) const {
    return update % static_cast<std::uint64_t>(options_.checkpoint_every) == 0;
  }

 private:
  void note(const TrainState<M>& s, LogZAudit<M>& audit);
  void write(const std::filesystem::path& path, const TrainState<M>& s) const;

  const M& model_;
  const RunDirectory& run_;
  const RunOptions& options_;
  CheckpointNotes notes_;
  const ObserverMemory& memory_;
};

/// Remembers the best validation likelihood, and says when it has been long ago. A model whose rate has
/// fallen to 0 is taken for the best where its likelihood is within one standard error of the best, by the
/// one-standard-error rule (Breiman et al. 1984), and within half a percent or a quarter of a nat: the masses
/// of its modes are settled. While a rate falls by itself, only validations that are worse by more than a
/// standard error count against patience; the first of the last tenth of the updates exhausts it where it is
/// not as good as that.
class EarlyStopping {
 public:
  EarlyStopping(const RunOptions& options, const RatePlan& rate, EarlyStoppingMemory& memory,
                Listener& listener)
      : options_(options), rate_(rate), memory_(memory), listener_(listener) {}

  /// By how much this would be the best so far; nothing where it would not, or is not to be trusted.
  [[nodiscard]] std::optional<double> gain(const Assessment& found, std::uint64_t update) const {
    return lead(found, has_fallen(rate_, update));
  }
  /// Whether this is the best so far. Estimates that are not to be trusted never are.
  bool is_best(const Assessment& found, std::uint64_t update);
  [[nodiscard]] bool stops() const {
    const auto patience = static_cast<std::uint64_t>(number_of(options_.patience));
    return patience > 0 && memory_.best_update > 0 && memory_.validations_since_best >= patience &&
           !memory_.cools();
  }
  /// In how many updates the rate falls to 0 where the run goes back now: as many as led to the best model,
  /// at least those between two validations; in the last tenth of the updates all that are left.
  [[nodiscard]] std::uint64_t way_back(std::uint64_t update) const;

 private:
  /// That of a model whose rate has fallen to 0 (`settled`), or has not.
  [[nodiscard]] std::optional<double> lead(const Assessment& found, bool settled) const;
  /// Whether this is the first validation of the last tenth of the updates, in which the rate of an earlier
  /// best model can still fall to 0.
  [[nodiscard]] bool is_last_turn(std::uint64_t update) const;
  [[nodiscard]] bool is_in_last_part(std::uint64_t update) const;
  [[nodiscard]] std::uint64_t every() const {
    return static_cast<std::uint64_t>(number_of(options_.validate_every));
  }

  const RunOptions& options_;
  const RatePlan& rate_;
  EarlyStoppingMemory& memory_;
  Listener& listener_;
  bool warned_ = false;
};

}  // namespace tempera
