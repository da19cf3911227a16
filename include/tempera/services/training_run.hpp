// A training run in a directory: from its start or from its checkpoint, until its end, early stopping, or a
// stop by the listener.
#pragma once

#include <filesystem>
#include <limits>

#include "tempera/estimate/likelihood.hpp"
#include "tempera/parallel/tasks.hpp"
#include "tempera/services/facts.hpp"
#include "tempera/services/listener.hpp"
#include "tempera/services/log_z_doubt.hpp"
#include "tempera/services/verdict.hpp"
#include "tempera/train/options.hpp"

namespace tempera {

enum class Start {
  kAnew,        // where there is no run yet
  kReplace,     // an earlier run goes once the first checkpoint of the new one is written
  kCheckpoint,  // from the latest checkpoint
  kFurther,     // from there to as many updates as the options say, even where the run was done with fewer
};
inline bool goes_on(Start start) { return start == Start::kCheckpoint || start == Start::kFurther; }

/// What is known of a model at a report; NaN where it is not.
struct Assessment {
  Likelihood train{kUnknown, kUnknown, 0};
  Likelihood validation{kUnknown, kUnknown, 0};
  LogPartition log_partition{kUnknown, kUnknown, kUnknown};  // of the machine of standardised values
  double shift = 0.0;                                        // what log Z in the data's units exceeds it by
  LogZDoubt doubt = LogZDoubt::kNone;

  [[nodiscard]] bool trusted() const { return doubt == LogZDoubt::kNone; }
  /// ", log Z 68.00 (0.01), train -16.90, validation -17.575 nats"; what is not known is left out.
  [[nodiscard]] std::string words() const;

 private:
  static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
};

struct TrainingResult {
  std::string kind;
  std::filesystem::path directory;
  std::uint64_t updates = 0;
  double seconds = 0.0;  // of all sessions of the run
  bool stopped_by_listener = false;
  bool stopped_early = false;
  bool finished_before = false;  // the run had made its updates: nothing was done
  std::optional<bool> trusted;   // whether nothing speaks against log Z; nothing where it is not estimated
  bool validates = false;
  double best_validation = -std::numeric_limits<double>::infinity();
  std::uint64_t best_update = 0;
  std::string score;  // of the model that is offered, in words
  TrainingVerdict verdict;

  [[nodiscard]] std::string words() const;
};

/// All of it by names, as --json prints it. What is not known is NaN.
Facts facts(const TrainingResult& result);

/// Trains into a directory, and leaves a checkpoint whatever ends it. Arrays that it is given stay there as
/// data.h5, so that the run can be resumed and looked at. Throws ConfigError naming every
/// violation, DataError, NumericalError (the last good checkpoint is kept) or WriteError. Interrupted where
/// the listener stops before the first checkpoint is due to change.
TrainingResult run_training(const std::filesystem::path& directory, const TrainOptions& options, Start start,
                            const Executor& executor, Listener& listener);

/// Options that a run was started with, `updates` in all where given. Throws NoInputError where the directory
/// holds no run to resume.
TrainOptions resumed_options(const std::filesystem::path& directory,
                             std::optional<std::int64_t> updates = {});

/// Whether a run that goes on may take another value of this option. What else it is, it stays.
bool may_change(std::string_view option);

}  // namespace tempera
