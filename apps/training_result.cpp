#include "training_result.hpp"

#include "facts_json.hpp"
#include "listener.hpp"
#include "ranks.hpp"

namespace tempera::apps {

int train_and_print(const std::filesystem::path& directory, const TrainOptions& training, Start start,
                    const CommonOptions& common) {
  const Executor executor = shared_executor(common);
  TrainingResult result;
  const Traffic before = world().traffic();
  {
    ConsoleListener listener(common.quiet);
    result = run_training(directory, training, start, executor, listener);
    if (result.stopped_by_listener)
      listener.note("stopped by a signal at update " + std::to_string(result.updates) + "; tempera resume " +
                    directory.string() + " goes on");
  }
  if (result.stopped_by_listener) return static_cast<int>(ExitCode::kInterrupted);
  Json json;
  add_facts(json, facts(result));
  if (world().size() > 1) {
    const Traffic all = world().traffic();
    json["ranks"] = world().size();
    json["rank_calls"] = all.calls - before.calls;
    json["rank_bytes"] = all.bytes - before.bytes;
  }
  print_result(common, json, result.words());
  return 0;
}

}  // namespace tempera::apps
