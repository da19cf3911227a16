// Machines with fewer connections, or fewer hidden units.
#pragma once

#include "tempera/core/reading.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/services/model_io.hpp"
#include "tempera/train/pruning.hpp"

namespace tempera {

struct PruneOptions {
  double density = 0.1;
  PruningCriterion criterion = PruningCriterion::kKl;
  bool units = false;
  std::int64_t rounds = 14;
  std::int64_t refit = 0;
  double lr = 0.05;
  DataSource data;
  std::string split = "test";
  BinarizeChoice binarize;
  ColumnOptions columns;
  std::int64_t chains = 500;
  std::int64_t sweeps = 1000;
  std::int64_t seed = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"density", "fraction of the weights (or units) that stay", true}, s.density...);
    f(OptionText{"criterion", "what goes first", true}, s.criterion...);
    f(OptionText{"units",
                 "hidden units in place of weights, by the exact divergence that deleting each costs"},
      s.units...);
    f(OptionText{"rounds", "rounds of pruning, each by the same factor"}, s.rounds...);
    f(OptionText{"refit", "updates of training after each round; needs --data"}, s.refit...);
    f(OptionText{"lr", "learning rate of refitting, decaying to 0 in each round"}, s.lr...);
    f(OptionText{"data", "data for refitting, and for the likelihood after each round", true}, s.data...);
    f(OptionText{"split", "split whose likelihood is reported"}, s.split...);
    f(OptionText{"binarize", "how grey data becomes binary; none uses the rule of the model's run"},
      s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"chains", "chains whose statistics judge the weights"}, s.chains...);
    f(OptionText{"sweeps", "sweeps of these before the first round"}, s.sweeps...);
    f(OptionText{"seed", "seed"}, s.seed...);
  }
};

/// Every constraint that the options break.
std::vector<Violation> check(const PruneOptions& options);

/// What is left after a round.
struct PruneRound {
  double density = 1.0;
  std::optional<Likelihood> likelihood;  // where there are data
  double log_partition_error = 0.0;
};

struct PruneResult {
  std::filesystem::path path;
  PruningCriterion criterion = PruningCriterion::kKl;
  std::vector<PruneRound> rounds;  // the whole machine first

  [[nodiscard]] std::string words() const;
};

/// Prunes a model and writes what is left to a model file. Cost: for each round 50 sweeps of the chains, the
/// updates of refitting, and a likelihood. Throws UsageError where the machine has no layers to prune,
/// ConfigError, DataError, WriteError; Interrupted where the listener stops.
PruneResult prune_model(AnyModelFile file, const PruneOptions& options, const std::filesystem::path& out,
                        const Executor& executor, Listener& listener);

}  // namespace tempera
