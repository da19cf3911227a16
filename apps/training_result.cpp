#include "training_result.hpp"

#include <cmath>

#include "listener.hpp"

namespace tempera::apps {
namespace {

Json known(double value) { return std::isnan(value) ? Json() : Json(value); }

}  // namespace

int train_and_print(const std::filesystem::path& directory, const TrainOptions& training, Start start,
                    const CommonOptions& common) {
  const Executor executor(common.threads);
  TrainingResult result;
  {
    ConsoleListener listener(common.quiet);
    result = run_training(directory, training, start, executor, listener);
    if (result.stopped_by_listener)
      listener.note("stopped by a signal at update " + std::to_string(result.updates) + "; tempera resume " +
                    directory.string() + " goes on");
  }
  if (result.stopped_by_listener) return static_cast<int>(ExitCode::kInterrupted);
  Json json = {{"out", directory.string()}, {"updates", result.updates}, {"seconds", result.seconds}};
  if (result.trusted) json["trusted"] = *result.trusted;
  if (result.validates) json["best_validation_log_likelihood"] = result.best_validation;
  const TrainingVerdict& verdict = result.verdict;
  json["verdict"] = verdict.words();
  // Of the model that is offered; what is not known is null.
  json["split"] = verdict.of_validation ? "valid" : "train";
  json["log_likelihood"] = known(verdict.likelihood);
  json["log_partition_se"] = known(verdict.likelihood_error);
  json["independent_log_likelihood"] = known(verdict.independent);
  if (verdict.gaussian) json["gaussian_log_likelihood"] = *verdict.gaussian;
  json["r_hat"] = known(verdict.r_hat);
  json["effective_draws"] = known(verdict.effective_draws);
  json["cluster_variation"] = known(verdict.cluster_variation);
  if (verdict.overfitting) json["overfitting"] = *verdict.overfitting;
  if (verdict.rising) json["rising"] = *verdict.rising;
  json["watched"] = verdict.watched;
  json["offered_update"] = verdict.offered_update.value_or(result.updates);
  print_result(common, json, result.words());
  return 0;
}

}  // namespace tempera::apps
