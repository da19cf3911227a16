#include "training.hpp"

#include <malloc.h>

#include "data.hpp"
#include "listener.hpp"
#include "model.hpp"
#include "options.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/online_training.hpp"
#include "tempera/services/training_run.hpp"

namespace tempera::python {
namespace {

/// While this lives, the C library keeps memory that is freed: arrays of some megabytes come and go in every
/// update. Then it is what it is by default.
class KeptMemory {
 public:
  KeptMemory() { set(1 << 30); }
  ~KeptMemory() {
    set(128 << 10);
    malloc_trim(0);
  }
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

 private:
  static void set(int bytes) {
    mallopt(M_MMAP_THRESHOLD, bytes);
    mallopt(M_TRIM_THRESHOLD, bytes);
  }
};

nb::dict trained(const std::string& directory, TrainOptions options, Start start, int threads,
                 const nb::object& hears) {
  if (options.data.data.arrays == nullptr) options.data.data.name = absolute_data(options.data.data.name);
  options.init.from = absolute_data(options.init.from);
  const KeptMemory kept;
  const TrainingResult result = without_lock(hears, [&](Listener& listener) {
    return run_training(directory, options, start, Executor(threads), listener);
  });
  nb::dict all = dict_of(facts(result));
  all["words"] = result.words();
  all["stopped"] = result.stopped_by_listener;
  return all;
}

nb::dict train(const std::string& directory, const std::string& config, const Texts& texts,
               const std::optional<std::string>& name, const Data* data, bool replace, int threads,
               const nb::object& hears) {
  TrainOptions options;
  if (!config.empty()) read_config(config, options);
  set_options(texts, options);
  if (texts.count("updates") > 0 && texts.count("epochs") == 0) options.rate.epochs.reset();
  if (name || data != nullptr) options.data.data = source_of(name, data);
  return trained(directory, std::move(options), replace ? Start::kReplace : Start::kAnew, threads, hears);
}

nb::dict resume(const std::string& directory, const Texts& texts, const std::optional<std::string>& name,
                const Data* data, int threads, const nb::object& hears) {
  TrainOptions options = resumed_options(directory);
  std::vector<Violation> violations;
  for (const auto& [option, value] : texts) {
    if (!may_change(option))
      violations.push_back({option, "'" + value + "'", "stays what it is when a run goes on"});
  }
  if (!violations.empty()) throw ConfigError(violations);
  set_options(texts, options);
  if (texts.count("updates") > 0) options.rate.epochs.reset();
  if (texts.count("lr") > 0 && texts.count("early-rate") == 0) options.rate.early_rate.reset();
  if (name || data != nullptr) options.data.data = source_of(name, data);
  const Start start = texts.count("updates") > 0 ? Start::kFurther : Start::kCheckpoint;
  return trained(directory, std::move(options), start, threads, hears);
}

/// Batches as they come.
struct Online {
  std::shared_ptr<OnlineTraining> training;
};

Online begin_online(const Texts& texts, const Data& first, int threads, const nb::object& hears) {
  auto options = options_of<TrainOptions>(texts);
  options.data.data = source_of({}, &first);
  return without_lock(
      hears, [&](Listener& listener) { return Online{begin_online_training(options, threads, listener)}; });
}

void update_online(const Online& online, const Data& batch, const nb::object& hears) {
  without_lock(hears, [&](Listener& listener) {
    online.training->update(source_of({}, &batch), listener);
    return true;
  });
}

}  // namespace

void bind_training(nb::module_& module) {
  module.def("train", &train, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(),
             nb::arg(), nb::arg());
  nb::class_<Online>(module, "Online")
      .def("update", &update_online)
      .def_prop_ro("updates", [](const Online& online) { return online.training->updates(); })
      .def_prop_ro("model", [](const Online& online) { return Model{online.training->model()}; });
  module.def("begin_online", &begin_online);
  module.def("resume", &resume, nb::arg(), nb::arg(), nb::arg().none(), nb::arg().none(), nb::arg(),
             nb::arg());
}

}  // namespace tempera::python
