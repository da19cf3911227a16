// log p of every case of a split, for ranking and telling cases apart: -F(v) - log Z.
//
// All cases share one log Z, so an error of it moves all of them by the same amount: differences between
// cases are as exact as their free energies, whatever the error bar of log Z. Where free energies are bounds
// by a mean field (of machines with too many latents to enumerate), log p is a lower bound, and differences
// are those of bounds.
//
// Formulas: docs/mathematics/log-partition.md 3.18.
#pragma once

#include "tempera/core/reading.hpp"
#include "tempera/services/facts.hpp"
#include "tempera/services/likelihood.hpp"

namespace tempera {

enum class ScoreMethod {
  kAuto,
  kNone,
  kStored,
  kExact,
  kAis,
  kModeAis,
  kReverseAis,
  kSteppingStone,
  kBar,
  kMbar,
  kTracked,
};
template <>
struct Names<ScoreMethod> {
  static constexpr std::array<NamedValue<ScoreMethod>, 11> table = {
      {{ScoreMethod::kAuto, "auto", "stored where the file has it and it is trusted, else what loglik takes"},
       {ScoreMethod::kNone, "none", "free energies alone"},
       {ScoreMethod::kStored, "stored", "what training tracked and left in the file"},
       {ScoreMethod::kExact, "exact", "enumeration"},
       {ScoreMethod::kAis, "ais", "from below"},
       {ScoreMethod::kModeAis, "mode-ais", "from below, from around the modes that a search finds"},
       {ScoreMethod::kReverseAis, "reverse-ais", "from above"},
       {ScoreMethod::kSteppingStone, "stepping-stone", "a tempering run"},
       {ScoreMethod::kBar, "bar", "a tempering run"},
       {ScoreMethod::kMbar, "mbar", "a tempering run"},
       {ScoreMethod::kTracked, "tracked", "what training knew, refreshed"}}};
};

struct ScoreOptions {
  DataSource data;
  std::string split = "test";
  BinarizeChoice binarize;
  ColumnOptions columns;
  ScoreMethod method = ScoreMethod::kAuto;
  std::string relative_to;
  std::string mutations;
  std::string minus;
  std::string posterior;
  DataSource nearest_to;
  bool background = false;  // whether distances of that set's own cases are wanted as well
  EstimateOptions estimate;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"data", "data set", true}, s.data...);
    f(OptionText{"split", "train, valid or test", true}, s.split...);
    f(OptionText{"binarize", "how grey data becomes binary; none uses the rule of the model's run"},
      s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"method", "where log Z comes from", true}, s.method...);
    f(OptionText{"relative-to",
                 "case whose log p is taken from that of all others, so that log Z cancels: its name, its "
                 "number from 0, or a file whose first case it is"},
      s.relative_to...);
    f(OptionText{"mutations",
                 "score mutants of the case of --relative-to (of the first one where none is named): "
                 "singles, or a list as "
                 "A24G:K30R,L5P with sites from 1"},
      s.mutations...);
    f(OptionText{"minus",
                 "another model: the column difference is log p of each case under the model less that under "
                 "this one, but for the constant log Z of this one less that of the model"},
      s.minus...);
    f(OptionText{"posterior",
                 "a column of letters or bits, by its name or number (sites from 1, other columns from 0): "
                 "columns posterior_VALUE are the probabilities of its values given all other columns. Its "
                 "own value does not matter, and may be missing: F and log p of such a case are those of "
                 "the others"},
      s.posterior...);
    f(OptionText{"nearest-to",
                 "another data set, read as --data is: the column distance is the part of the columns "
                 "(sites) in which a case differs from the nearest case of its train split, or of the only "
                 "one that it has; 0 of a case that is in it"},
      s.nearest_to...);
    EstimateOptions::visit(f, s.estimate...);
  }
};

/// log Z of scores, in nats, and where it comes from: the name of a ScoreMethod.
struct ScoreLogPartition {
  std::string method;
  LogPartition value;
  std::string doubt;  // why it is not to be trusted, or empty
};

/// p(value | the other columns) of a column of letters or bits.
struct ColumnPosterior {
  std::string called;                              // as it was asked for
  Index column = 0;                                // its number, from 0
  std::vector<std::string> values;                 // what it may hold
  std::vector<std::vector<double>> probabilities;  // of each value, for every case
  std::vector<double> free_energies;               // of the other columns, for every case
};

/// How near cases are to those of another data set: the part of the columns in which a case differs from the
/// nearest one.
struct NearestCases {
  std::string data;
  std::vector<double> distance;           // of every case
  std::vector<double> own_distance;       // of some cases of that set, from the nearest other one of it
  std::vector<double> own_free_energies;  // of these, nats
};

struct ScoreResult {
  std::string split;
  std::vector<std::string> names;                  // of the cases, where the data have them; else empty
  std::vector<double> free_energies;               // of every case, nats; upper bounds where `variational`
  CaseWeights weights;                             // of the cases in the mean
  std::optional<ScoreLogPartition> log_partition;  // nothing: free energies alone
  std::vector<double> relative;    // log p less that of one case, nats; empty where none is asked for
  std::string relative_to;         // what that case is called
  std::vector<double> difference;  // free energy under another model less that under this one; empty without
  std::optional<ColumnPosterior> posterior;
  std::optional<NearestCases> nearest;
  bool variational = false;
  std::int64_t seed = 0;

  /// -F - log Z of case n. Expects log Z.
  [[nodiscard]] double log_likelihood(std::size_t n) const {
    return -free_energies[n] - log_partition->value.value;
  }
};

/// Scores of a split. Errors as those of estimate_likelihood; UsageError where a stored log Z is asked for
/// and the file has none. Cost: a free energy for each case (2^case_units() products of a vector, or 50
/// sweeps of a mean field), and the estimate of log Z where one is made.
ScoreResult score_cases(AnyModelFile model, const ScoreOptions& options, const Executor& executor,
                        Listener& listener);

/// What there is to say of all cases together: their number, log Z with its error bar, the mean.
Facts facts(const ScoreResult& result);
std::string words(const ScoreResult& result);

/// Lines of "name,free_energy,log_likelihood" after a header, with "relative", "difference",
/// "distance" and "posterior_VALUE" where these are asked for; "number" in place of "name" where cases have
/// none, and no log_likelihood without log Z. Numbers are read back as the same doubles.
std::string csv_of(const ScoreResult& result);

/// HDF5 where the path ends in .h5: /scores/free_energy, /scores/log_likelihood (n) float64 and /scores/name
/// (n) texts, and what else is asked for (docs/formats.md), with the facts as attributes of /scores. Else
/// CSV. Throws WriteError.
void write_scores(const ScoreResult& result, const std::filesystem::path& path);

/// Distances to the nearest case of the other data set over log p (over -F where log Z is not known), and
/// those of that set's own cases. Expects `nearest`. Throws WriteError.
void write_distances(const ScoreResult& result, const std::filesystem::path& path);

}  // namespace tempera
