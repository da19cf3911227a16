#include "tempera/train/config.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <initializer_list>

namespace tempera {
namespace {

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%g", value);
  return buffer;
}

class Checker {
 public:
  void at_least(const char* field, std::int64_t value, std::int64_t least) {
    if (value < least) add(field, std::to_string(value), "must be at least " + std::to_string(least));
  }
  void in_range(const char* field, double value, bool good, const char* constraint) {
    if (!good || !std::isfinite(value)) add(field, text(value), constraint);
  }
  void one_of(const char* field, const std::string& value, std::initializer_list<const char*> choices) {
    std::string list;
    for (const char* choice : choices) {
      if (value == choice) return;
      list += (list.empty() ? "" : ", ") + std::string(choice);
    }
    add(field, "'" + value + "'", "must be one of " + list);
  }
  void add(const char* field, const std::string& value, const std::string& constraint) {
    violations.push_back({field, value, constraint});
  }

  std::vector<Violation> violations;
};

}  // namespace

std::vector<Violation> validate(const TrainConfig& config, std::int64_t n_visible, std::int64_t n_cases) {
  Checker check;
  if (config.data.empty()) check.add("data", "''", "must name a data set");
  check.one_of("binarize", config.binarize, {"none", "threshold", "sample"});
  check.one_of("model", config.model, {"bernoulli-rbm"});
  check.one_of("trainer", config.trainer, {"cd", "sml"});
  check.one_of("schedule", config.schedule, {"constant", "linear", "inverse"});
  check.one_of("optimizer", config.optimizer, {"sgd", "adam"});
  if (config.hidden.size() != 1) {
    check.add("hidden", std::to_string(config.hidden.size()) + " layers",
              "bernoulli-rbm has one hidden layer");
  }
  for (const std::int64_t n : config.hidden) check.at_least("hidden", n, 1);
  check.at_least("batch", config.batch, 1);
  check.at_least("chains", config.chains, 0);
  check.at_least("sweeps", config.sweeps, 1);
  check.at_least("updates", config.updates, 1);
  check.at_least("epochs", config.epochs, 0);
  check.in_range("lr", config.lr, config.lr > 0, "must be above 0");
  check.in_range("decay-updates", config.decay_updates, config.decay_updates > 0, "must be above 0");
  check.in_range("momentum", config.momentum, config.momentum >= 0 && config.momentum < 1,
                 "must be in [0, 1)");
  check.in_range("l1", config.l1, config.l1 >= 0, "must be at least 0");
  check.in_range("l2", config.l2, config.l2 >= 0, "must be at least 0");
  check.in_range("clip", config.clip, config.clip >= 0, "must be at least 0");
  check.in_range("init", config.init, config.init >= 0, "must be at least 0");
  check.at_least("validate-every", config.validate_every, 0);
  check.at_least("patience", config.patience, 0);
  if (config.patience > 0 && config.validate_every == 0) {
    check.add("patience", std::to_string(config.patience), "needs validate-every above 0");
  }
  check.at_least("report-every", config.report_every, 1);
  check.at_least("checkpoint-every", config.checkpoint_every, 1);
  check.at_least("keep", config.keep, 0);
  check.at_least("seed", config.seed, 0);

  if (n_visible > 0 && !config.hidden.empty()) {
    const double machine =
        static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
    const auto visible = static_cast<double>(n_visible);
    const auto hidden = static_cast<double>(config.hidden.front());
    const double chains =
        static_cast<double>(std::max(config.chains, config.batch) + 2 * std::min(config.batch, n_cases));
    // Parameters, gradient, optimiser moments, average, a file image; two float layers per chain.
    const double bytes = 8.0 * 4.0 * visible * hidden + 3.0 * 4.0 * chains * (visible + hidden);
    if (bytes > machine) {
      check.add("hidden", std::to_string(config.hidden.front()),
                "needs about " + text(bytes / 0x1p30) + " GiB of memory, this machine has " +
                    text(machine / 0x1p30));
    }
  }
  return check.violations;
}

}  // namespace tempera
