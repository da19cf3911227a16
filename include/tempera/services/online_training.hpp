// Training batch by batch, by whoever has the batches: no run directory, no end, no schedule.
#pragma once

#include <memory>

#include "tempera/parallel/tasks.hpp"
#include "tempera/services/listener.hpp"
#include "tempera/services/model_io.hpp"
#include "tempera/train/options.hpp"

namespace tempera {

/// A machine that is trained with the batches that it is given, one update each, at a constant rate.
class OnlineTraining {
 public:
  virtual ~OnlineTraining() = default;
  /// One update with all cases of a batch, of any number. Throws DataError where they are not of the first
  /// batch's width or kind, NumericalError where a gradient or a step is not finite.
  virtual void update(const DataSource& batch, Listener& listener) = 0;
  /// The machine as it is now.
  [[nodiscard]] virtual AnyModelFile model() const = 0;
  [[nodiscard]] virtual std::uint64_t updates() const = 0;
};

/// Training that has not begun: of a machine for data like the first batch, which coordinates and the
/// reference machine are fitted to. Reads of the options what an update needs: neither schedule nor length,
/// validation or tracking. Throws ConfigError, DataError.
std::unique_ptr<OnlineTraining> begin_online_training(TrainOptions options, int threads, Listener& listener);

}  // namespace tempera
