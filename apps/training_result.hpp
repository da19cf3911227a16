// What `train` and `resume` print.
#pragma once

#include "options.hpp"
#include "tempera/services/training_run.hpp"

namespace tempera::apps {

/// Trains until the configured end, a signal, or early stopping; prints the summary and returns the exit
/// code.
int train_and_print(const std::filesystem::path& directory, const TrainOptions& training, Start start,
                    const CommonOptions& common);

}  // namespace tempera::apps
