// log Z of a finished machine by any method, and the likelihood of data that follows from it.
//
// Formulas: docs/mathematics/log-partition.md 3.1 to 3.9 and 3.18.
#pragma once

#include <array>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/services/bound.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

enum class LikelihoodMethod {
  kAuto,
  kExact,
  kAis,
  kModeAis,
  kReverseAis,
  kRaise,
  kSteppingStone,
  kBar,
  kMbar,
  kTracked,
  kAll,
};
template <>
struct Names<LikelihoodMethod> {
  static constexpr std::array<NamedValue<LikelihoodMethod>, 11> table = {
      {{LikelihoodMethod::kAuto, "auto", "exact where that is less work than ais, else ais or mode-ais"},
       {LikelihoodMethod::kExact, "exact",
        "enumeration, smaller layer up to 25 units; latents of real-valued models up to 20"},
       {LikelihoodMethod::kAis, "ais", "from below"},
       {LikelihoodMethod::kModeAis, "mode-ais", "from below, from around the modes that a search finds"},
       {LikelihoodMethod::kReverseAis, "reverse-ais", "from above"},
       {LikelihoodMethod::kRaise, "raise", "a conservative likelihood of some cases"},
       {LikelihoodMethod::kSteppingStone, "stepping-stone", "a tempering run"},
       {LikelihoodMethod::kBar, "bar", "a tempering run"},
       {LikelihoodMethod::kMbar, "mbar", "a tempering run"},
       {LikelihoodMethod::kTracked, "tracked", "what training knew, refreshed"},
       {LikelihoodMethod::kAll, "all", "every one that this model has, and whether they agree"}}};
};

/// How much work an estimate of log Z takes, and what it draws.
struct EstimateOptions {
  std::int64_t chains = 128;
  std::optional<std::int64_t> betas = 10000;  // nothing: chosen by effective sample size
  std::optional<std::int64_t> rungs;          // nothing: as the barrier asks
  std::int64_t ensembles = 64;
  std::int64_t rounds = 2000;
  std::optional<double> target_se;  // nats
  std::int64_t seed = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"chains", "chains of ais and reverse-ais", true}, s.chains...);
    f(OptionText{"betas",
                 "inverse temperatures of ais, reverse-ais and raise, dense near 1; auto takes as many as "
                 "keep 99.9 % of the chains effective in every step",
                 true},
      s.betas...);
    f(OptionText{"rungs", "rungs of the tempering run; auto takes 2 Lambda + 1"}, s.rungs...);
    f(OptionText{"ensembles", "ensembles of the tempering run, at least 4"}, s.ensembles...);
    f(OptionText{"rounds",
                 "rounds of the tempering run; where replicas do not mix, up to eight times as many"},
      s.rounds...);
    f(OptionText{"target-se", "continue until the standard error of log Z is at most this", false, "none"},
      s.target_se...);
    f(OptionText{"seed", "seed", true}, s.seed...);
  }
};
std::vector<Violation> check(const EstimateOptions& options);

struct LikelihoodOptions {
  DataSource data;  // empty: log Z alone
  std::string split = "test";
  BinarizeChoice binarize;
  ColumnOptions columns;
  LikelihoodMethod method = LikelihoodMethod::kAuto;
  EstimateOptions estimate;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"data", "data set; without it log Z alone is estimated", true}, s.data...);
    f(OptionText{"split", "train, valid or test", true}, s.split...);
    f(OptionText{"binarize", "how grey data becomes binary; none uses the rule of the model's run"},
      s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"method", "how log Z is estimated", true}, s.method...);
    EstimateOptions::visit(f, s.estimate...);
  }
};

/// One method's log Z, in nats.
struct LogPartitionEstimate {
  LikelihoodMethod method = LikelihoodMethod::kAis;
  LogPartition log_partition;
  std::string doubt;  // why it is not to be trusted, or empty
  // What it was held against; nothing beside enumeration.
  std::optional<LogPartitionBound> lower_bound = std::nullopt;
  std::optional<double> probable_lower_bound = std::nullopt;  // of annealing, with a probability of 0.999
  std::string reason = {};                                    // why auto took it, or empty
  // What it is trusted for where its own run would not be, or empty.
  std::string confirmation = {};

  [[nodiscard]] bool trusted() const { return doubt.empty(); }
};

/// Estimates by one method or by all. Where the listener stops, those that are finished; what no bound could
/// be held against any more is not trusted.
struct LogPartitionEstimates {
  std::vector<LogPartitionEstimate> finished;  // one at least
  bool stopped_by_listener = false;
};

/// Mean log-likelihood of a split, nats per case.
struct SplitLikelihood {
  std::string split;
  Likelihood likelihood;
  bool variational = false;     // whether free energies, and so likelihoods, are bounds
  std::optional<double> upper;  // from the estimate of log Z that tends to be too small
  std::optional<double> lower;  // and from those that tend to be too large
  // Of the same cases by what any model should beat: independent units, where the file or the training cases
  // tell of them; and a full Gaussian, for real values with training cases.
  std::optional<double> independent;
  std::optional<double> gaussian;
};

struct LikelihoodResult {
  LikelihoodMethod method = LikelihoodMethod::kAuto;  // that was asked for, or that auto chose
  std::vector<LogPartitionEstimate> estimates;        // likelihoods are made of the first
  std::vector<std::string> disagreements;             // pairs of estimates that contradict each other
  std::optional<std::int64_t>
      chains;  // of annealing, where no error bar was asked for; else there may be more
  std::optional<SplitLikelihood> data;
  bool stopped_by_listener = false;  // estimates are those that were finished; no likelihood

  [[nodiscard]] const LogPartitionEstimate& first() const { return estimates.front(); }
};

/// log Z by one method or by all, and the likelihood of a split of the data. A model whose file holds no
/// reference machine gets one that fits the train split. Every doubt is also a warning.
///
/// Throws ConfigError where an option is out of range, or where there is no enumeration; UsageError where the
/// method means nothing with this model or without data; DataError or NoInputError where the data are not the
/// model's; NumericalError where the machine has no law or an estimate contradicts itself; Interrupted where
/// nothing is finished.
LikelihoodResult estimate_likelihood(AnyModelFile model, const LikelihoodOptions& options,
                                     const Executor& executor, Listener& listener);

/// The result as the command line tells it.
std::string words(const LikelihoodResult& result);

/// Cases that a likelihood is of, and those that ladders start at and references are fitted to; either may be
/// empty.
template <EnergyModel M>
struct LikelihoodCases {
  typename M::Data cases;
  typename M::Data train;
};

/// The cases of a split and of the train split as the model takes them; gives the model a reference machine
/// where its file holds none. Throws DataError, UsageError.
template <EnergyModel M>
LikelihoodCases<M> likelihood_cases(ModelFile<M>& file, const DataFile& data, const SplitRequest& request,
                                    Listener& listener);

/// Throws ConfigError where an estimate of a machine with these layers needs more memory than there is.
void require_memory_for(const EstimateOptions& options, const std::vector<Index>& layer_sizes);

/// log Z by one method or by all that this model has. Expects options that `check` finds nothing in, and a
/// machine that has a law. Errors as those of estimate_likelihood.
template <EnergyModel M>
LogPartitionEstimates estimate_log_partition(const ModelFile<M>& file, const LikelihoodCases<M>& cases,
                                             LikelihoodMethod method, const EstimateOptions& options,
                                             const Executor& executor, Listener& listener);

/// Throws NumericalError where distinct cases would have more than probability 1. Nothing for densities,
/// which may be above 1.
template <EnergyModel M>
void require_possible(const typename M::Data& cases, std::span<const double> free_energies,
                      const LogPartition& log_partition);

}  // namespace tempera
