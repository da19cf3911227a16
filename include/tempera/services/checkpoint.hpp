// Checkpoints: a model with the state of its training, and what observers remember.
#pragma once

#include "tempera/services/model_io.hpp"
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

/// The best validation so far.
struct EarlyStoppingMemory {
  double best_validation = -std::numeric_limits<double>::infinity();
  std::uint64_t best_update = 0;
  std::uint64_t validations_since_best = 0;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("best_validation", s.best_validation...);
    f("best_update", s.best_update...);
    f("validations_since_best", s.validations_since_best...);
  }
};

/// States at most that an audit remembers.
inline constexpr std::size_t kRememberedModes = 32;

/// What speaks against the tracked log Z.
struct AuditMemory {
  std::uint64_t impossible = 0;  // 1 where the data or a bound contradict log Z
  double missed = 0.0;           // what the exact log Z has beyond the tracked one, where that matters
  // The heaviest distinct states that searches of modes have found, one a row, packed as cases are.
  Eigen::Matrix<Word, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> modes;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("impossible", s.impossible...);
    f("missed", s.missed...);
    f("modes", s.modes...);
  }
};

/// Memory of the observers of a run: with it a resumed run stops where an unbroken one does.
struct ObserverMemory {
  RecorderMemory recorder;
  EarlyStoppingMemory early_stopping;
  AuditMemory audit;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("recorder", s.recorder...);
    f("early_stopping", s.early_stopping...);
    f("audit", s.audit...);
  }
};

/// What surrounds the state in a checkpoint.
struct CheckpointNotes {
  std::vector<std::int64_t> visible_shape;
  Binarization binarization;
  Preprocessing preprocessing;
  std::int64_t seed = 0;
  std::optional<LogPartition> log_partition;  // where it is tracked
  bool log_partition_trusted = true;
};

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
