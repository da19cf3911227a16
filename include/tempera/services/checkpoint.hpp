// Checkpoints: a model with the state of its training, and what observers remember.
#pragma once

#include "tempera/services/log_z_doubt.hpp"
#include "tempera/services/model_io.hpp"
#include "tempera/train/report.hpp"
#include "tempera/train/state.hpp"

namespace tempera {

/// What metrics.csv counts from one report to the next.
struct RecorderMemory {
  std::uint64_t rounds_counted = 0;  // of the ladder, and the round trips in them
  std::uint64_t round_trips = 0;
  std::uint64_t frozen = 0;  // update of the last snapshot

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("rounds_counted", s.rounds_counted...);
    f("round_trips", s.round_trips...);
    f("frozen", s.frozen...);
  }
};

/// The best validation so far, and the way back from it: training that went on from the state of update
/// `cooled_from` after `cooling_begin` updates, until there are `cooling_end`. 0: it did not go back.
struct EarlyStoppingMemory {
  double best_validation = -std::numeric_limits<double>::infinity();
  std::uint64_t best_update = 0;
  std::uint64_t validations_since_best = 0;  // or since one that was as good within its standard error
  std::uint64_t cooled_from = 0;
  std::uint64_t cooling_begin = 0;
  std::uint64_t cooling_end = 0;

  [[nodiscard]] bool cools() const { return cooling_end > 0; }

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("best_validation", s.best_validation...);
    f("best_update", s.best_update...);
    f("validations_since_best", s.validations_since_best...);
    f("cooled_from", s.cooled_from...);
    f("cooling_begin", s.cooling_begin...);
    f("cooling_end", s.cooling_end...);
  }
};

/// Reports that the places of a tracker's ensembles are remembered for.
inline constexpr std::size_t kRememberedReports = 16;

/// The most that an audit counts of reports that speak of divergence before it ends the run.
inline constexpr std::uint64_t kMostBelow = 10;

/// What speaks against the tracked log Z.
struct AuditMemory {
  std::uint64_t doubt = 0;  // a LogZDoubt: of the last report
  double missed = 0.0;      // what the exact log Z has beyond the tracked one, where that matters
  std::uint64_t below =
      0;  // counts reports in a row whose training cases were less likely than by independent units
  // Of an update, the log Z that independent rounds have given.
  std::uint64_t settled_update = 0;
  double settled_value = 0.0;
  double settled_error = 0.0;
  // Round trips of the tracker's replicas and its rounds, when they were looked at last; whether they stood
  // still since the time before.
  std::uint64_t round_trips = 0;
  std::uint64_t rounds = 0;
  std::uint64_t standing = 0;
  // Reports x ensembles: the rank that the coldest replica of each had in free energy among all.
  Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> ranks;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("doubt", s.doubt...);
    f("missed", s.missed...);
    f("below", s.below...);
    f("settled_update", s.settled_update...);
    f("settled_value", s.settled_value...);
    f("settled_error", s.settled_error...);
    f("round_trips", s.round_trips...);
    f("rounds", s.rounds...);
    f("standing", s.standing...);
    f("ranks", s.ranks...);
  }
};

/// Memory of the observers of a run: with it a resumed run stops where an unbroken one does.
struct ObserverMemory {
  RecorderMemory recorder;
  EarlyStoppingMemory early_stopping;
  AuditMemory audit;
  /// The report that a signal kept the observers from: numbers_of it, or nothing. It is the first that a
  /// resumed run sees.
  std::vector<double> pending;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("recorder", s.recorder...);
    f("early_stopping", s.early_stopping...);
    f("audit", s.audit...);
    f("pending", s.pending...);
  }
};

/// All that a report says, in numbers, and the report that says it. Throws std::invalid_argument where they
/// are none.
std::vector<double> numbers_of(const UpdateReport& report);
UpdateReport report_of(std::span<const double> numbers);

/// What surrounds the state in a checkpoint.
struct CheckpointNotes {
  std::vector<std::int64_t> visible_shape;
  Binarization binarization;
  Preprocessing preprocessing;
  Standardisation units;
  Alphabet alphabet;
  std::int64_t seed = 0;
  std::string verdict;                        // of a run that has ended
  std::optional<LogPartition> log_partition;  // where it is tracked
  LogZDoubt log_partition_doubt = LogZDoubt::kNone;
};

/// The modes that searches during training have left in a checkpoint; none in another file. Those that are no
/// states of the machine are left out.
template <EnergyModel M>
std::vector<PackedState> read_modes(const ModelFile<M>& model_file);

/// Throws WriteError.
template <EnergyModel M>
void write_checkpoint(const std::filesystem::path& path, const M& model, const TrainState<M>& state,
                      const ObserverMemory& observers, const CheckpointNotes& notes);

/// Fills a state made by initial_state, whose shapes the file must have, and what observers remember. Throws
/// DataError; also where the file is of format version 1, whose state has another layout.
template <EnergyModel M>
void read_checkpoint(const std::filesystem::path& path, const M& model, TrainState<M>& state,
                     ObserverMemory& observers);

}  // namespace tempera
