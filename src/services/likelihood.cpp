#include "tempera/services/likelihood.hpp"

#include <algorithm>
#include <cmath>

#include "estimator.hpp"
#include "tempera/core/format.hpp"
#include "tempera/services/baselines.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/data_kind.hpp"
#include "tempera/services/limits.hpp"

namespace tempera {
namespace {

/// Estimates that differ by more standard errors than this disagree.
constexpr double kDisagreement = 3.0;

std::string text_of_method(LikelihoodMethod method) { return std::string(name_of(method)); }

/// Pairs of methods that contradict each other. What comes from above contradicts only what lies above it.
std::vector<std::string> disagreements(const std::vector<LogPartitionEstimate>& estimates) {
  std::vector<std::string> found;
  for (std::size_t a = 0; a < estimates.size(); ++a) {
    for (std::size_t b = a + 1; b < estimates.size(); ++b) {
      const LogPartition& x = estimates[a].log_partition;
      const LogPartition& y = estimates[b].log_partition;
      const double error = std::hypot(x.standard_error, y.standard_error);
      double difference = x.value - y.value;
      if (estimates[a].method == LikelihoodMethod::kRaise) difference = std::min(0.0, difference);
      if (estimates[b].method == LikelihoodMethod::kRaise) difference = std::max(0.0, difference);
      if (std::abs(difference) > kDisagreement * error + 1e-6) {
        found.push_back(text_of_method(estimates[a].method) + " and " + text_of_method(estimates[b].method) +
                        format(" differ by %.3f nats, %.1f standard errors", std::abs(difference),
                               std::abs(difference) / error));
      }
    }
  }
  return found;
}

bool is_annealed(LikelihoodMethod method) {
  return method == LikelihoodMethod::kAis || method == LikelihoodMethod::kReverseAis;
}

bool comes_from_above(LikelihoodMethod method) {
  return method == LikelihoodMethod::kReverseAis || method == LikelihoodMethod::kRaise;
}

/// The methods that `all` stands for.
template <EnergyModel M>
std::vector<LikelihoodMethod> every_method(const ModelFile<M>& file, bool has_cases) {
  std::vector<LikelihoodMethod> methods;
  if (file.model.why_not_enumerable().empty()) methods.push_back(LikelihoodMethod::kExact);
  methods.insert(methods.end(),
                 {LikelihoodMethod::kMbar, LikelihoodMethod::kBar, LikelihoodMethod::kSteppingStone,
                  LikelihoodMethod::kAis, LikelihoodMethod::kReverseAis});
  if (file.model.why_not_collapsible().empty()) methods.push_back(LikelihoodMethod::kModeAis);
  if (has_cases && !is_bound(file.model)) methods.push_back(LikelihoodMethod::kRaise);
  if (read_tracker<M>(file)) methods.push_back(LikelihoodMethod::kTracked);
  return methods;
}

void warn_of_doubts(const std::vector<LogPartitionEstimate>& estimates, const EstimateOptions& options,
                    Listener& listener) {
  for (const LogPartitionEstimate& estimate : estimates) {
    const std::string method = text_of_method(estimate.method);
    if (!estimate.trusted()) listener.warn(method + ": " + estimate.doubt);
    const double error = estimate.log_partition.standard_error;
    if (options.target_se && !(error <= *options.target_se)) {
      listener.warn(
          method + format(": standard error %.4f, --target-se %g is not reached", error, *options.target_se));
    }
  }
}

/// The likelihood of these cases, with what estimates from below and from above say of it.
template <EnergyModel M>
SplitLikelihood likelihood_of(const ModelFile<M>& file, const Executor& executor,
                              const typename M::Data& cases,
                              const std::vector<LogPartitionEstimate>& estimates) {
  const LogPartition& z = estimates.front().log_partition;
  const std::vector<double> energies = free_energies_in_units(file, executor, cases);
  require_possible<M>(cases, energies, z);
  SplitLikelihood found;
  found.likelihood = mean_log_likelihood(energies, z, cases.weights());
  found.variational = is_bound(file.model);
  for (const LogPartitionEstimate& estimate : estimates) {
    const double bound = found.likelihood.log_likelihood + z.value - estimate.log_partition.value;
    if (estimate.method == LikelihoodMethod::kAis || estimate.method == LikelihoodMethod::kModeAis)
      found.upper = std::min(bound, found.upper.value_or(bound));
    if (estimate.method == LikelihoodMethod::kReverseAis ||
        (estimate.method == LikelihoodMethod::kRaise && !found.lower))
      found.lower = bound;
  }
  return found;
}

template <EnergyModel M>
LikelihoodResult estimate_for(ModelFile<M>& file, const LikelihoodOptions& options, const Executor& executor,
                              Listener& listener) {
  require_memory_for(options.estimate, file.model.layer_sizes());
  require_law(file, listener);
  LikelihoodCases<M> cases;
  if (!options.data.empty()) {
    const SplitRequest request{options.split, options.binarize, as_count(options.estimate.seed)};
    cases =
        likelihood_cases(file, read_data_file(options.data, {columns_for(file, options.columns)}, listener),
                         request, listener);
  }
  LikelihoodResult result;
  LogPartitionEstimates found =
      estimate_log_partition(file, cases, options.method, options.estimate, executor, listener);
  result.estimates = std::move(found.finished);
  result.stopped_by_listener = found.stopped_by_listener;
  result.method = options.method == LikelihoodMethod::kAuto ? result.first().method : options.method;
  result.disagreements = disagreements(result.estimates);
  if (!options.estimate.target_se) result.chains = options.estimate.chains;
  if (!options.data.empty() && !result.stopped_by_listener) {
    result.data = likelihood_of(file, executor, cases.cases, result.estimates);
    result.data->split = options.split;
    if (file.has_reference || cases.train.n_cases() > 0)
      result.data->independent =
          independent_likelihood(Engine<M>{file.model, {}, executor}, cases.cases).log_likelihood;
    if (const auto gaussian = gaussian_likelihood<M>(cases.train, cases.cases))
      result.data->gaussian = gaussian->log_likelihood;
  }
  return result;
}

std::string table_of(const LikelihoodResult& result) {
  std::string text;
  for (const LogPartitionEstimate& estimate : result.estimates) {
    text += format("\n%-16s %.5f +- %.5f%s%s", text_of_method(estimate.method).c_str(),
                   estimate.log_partition.value, estimate.log_partition.standard_error,
                   comes_from_above(estimate.method) ? " (from above)" : "",
                   estimate.trusted() ? "" : "  not to be trusted");
  }
  if (result.disagreements.empty()) text += "\nall agree within 3 standard errors";
  for (const std::string& contradiction : result.disagreements) text += "\n" + contradiction;
  return text;
}

}  // namespace

std::vector<Violation> check(const EstimateOptions& options) {
  std::vector<Violation> violations;
  require_between(violations, "chains", options.chains, 2, kMaxChains);
  if (options.betas) require_between(violations, "betas", *options.betas, 2, std::int64_t{1} << 31);
  if (options.rungs)
    require_between(violations, "rungs", *options.rungs, 2, static_cast<std::int64_t>(kMostRungs));
  require_between(violations, "ensembles", options.ensembles, 4, 1 << 16);
  require_between(violations, "rounds", options.rounds, 16, std::int64_t{1} << 31);
  if (options.target_se && !(*options.target_se >= 0))
    violations.push_back({"target-se", format("%g", *options.target_se), "must be at least 0"});
  return violations;
}

void require_memory_for(const EstimateOptions& options, const std::vector<Index>& layer_sizes) {
  double units = 0.0;
  for (const Index n : layer_sizes) units += static_cast<double>(n);
  const std::int64_t betas = options.betas.value_or(0);
  const std::int64_t wanted = options.rungs.value_or(0);
  const auto rungs = static_cast<double>(std::max(wanted, static_cast<std::int64_t>(kFirstRungs)));
  const auto ensembles = static_cast<double>(options.ensembles);
  require_memory("chains", options.chains, 8.0 * static_cast<double>(options.chains) * units);
  require_memory("ensembles", options.ensembles, 12.0 * rungs * ensembles * units);
  require_memory("rounds", options.rounds,
                 8.0 * (rungs + 2.0) * ensembles * static_cast<double>(options.rounds));
  require_memory("rungs", wanted, 24.0 * rungs * rungs * ensembles);
  require_memory("betas", betas, 24.0 * static_cast<double>(betas));
}

template <EnergyModel M>
LikelihoodCases<M> likelihood_cases(ModelFile<M>& file, const DataFile& data, const SplitRequest& request,
                                    Listener& listener) {
  LikelihoodCases<M> cases;
  cases.cases = data_for_model(file, data, request, listener);
  if (data.splits.count("train") > 0) {
    SplitRequest train = request;
    train.split = "train";
    cases.train = data_for_model(file, data, train, listener);
    if (!file.has_reference) fit_reference(file, cases.train, listener);
  }
  return cases;
}

template <EnergyModel M>
LogPartitionEstimates estimate_log_partition(const ModelFile<M>& file, const LikelihoodCases<M>& cases,
                                             LikelihoodMethod method, const EstimateOptions& options,
                                             const Executor& executor, Listener& listener) {
  const bool all = method == LikelihoodMethod::kAll;
  Estimator<M> estimator(file, cases, options, all || method == LikelihoodMethod::kMbar, executor, listener);
  LogPartitionEstimates found;
  const std::vector<LikelihoodMethod> methods =
      all ? every_method(file, cases.cases.n_cases() > 0) : std::vector{method};
  try {
    for (const LikelihoodMethod one : methods) found.finished.push_back(estimator.estimate(one));
  } catch (const Interrupted&) {
    if (found.finished.empty()) throw;
    found.stopped_by_listener = true;
  }
  for (LogPartitionEstimate& estimate : found.finished)
    found.stopped_by_listener |= !estimator.hold(estimate);
  warn_of_doubts(found.finished, options, listener);
  return found;
}

template <EnergyModel M>
void require_possible(const typename M::Data& cases, std::span<const double> free_energies,
                      const LogPartition& log_partition) {
  const BinaryData* const bits = as_bits(cases);
  if (bits == nullptr) return;
  std::vector<double> distinct;
  for (const Index n : bits->distinct_cases()) distinct.push_back(free_energies[static_cast<std::size_t>(n)]);
  require_possible(distinct, log_partition);
}

LikelihoodResult estimate_likelihood(AnyModelFile model, const LikelihoodOptions& options,
                                     const Executor& executor, Listener& listener) {
  require_none(check(options.estimate));
  return std::visit([&](auto& file) { return estimate_for(file, options, executor, listener); }, model);
}

std::string words(const LikelihoodResult& result) {
  const LogPartitionEstimate& first = result.first();
  const LogPartition& z = first.log_partition;
  std::string text = format("log Z            %.5f +- %.5f nats (%s)", z.value, z.standard_error,
                            text_of_method(first.method).c_str());
  if (result.estimates.size() > 1) {
    text += table_of(result);
  } else if (is_annealed(first.method)) {
    text += result.chains ? format("\neffective chains %.1f of %lld",
                                   z.effective_fraction * static_cast<double>(*result.chains),
                                   static_cast<long long>(*result.chains))
                          : format("\neffective chains %.1f %%", 100.0 * z.effective_fraction);
  }
  if (!first.confirmation.empty()) text += "\nconfirmed        " + first.confirmation;
  if (!first.reason.empty())
    text += "\nchosen           " + text_of_method(result.method) + ": " + first.reason;
  if (first.lower_bound) {
    text +=
        format("\nlog Z at least   %.5f nats (", first.lower_bound->value) + words(*first.lower_bound) + ")";
  }
  if (first.probable_lower_bound &&
      (!first.lower_bound || *first.probable_lower_bound > first.lower_bound->value)) {
    text += format("\nlog Z at least   %.5f nats (with probability 0.999, from annealing)",
                   *first.probable_lower_bound);
  }
  if (result.data) {
    const Likelihood& likelihood = result.data->likelihood;
    const std::string error = likelihood.n_cases > 1
                                  ? format("+- %.5f nats per case", likelihood.standard_error)
                                  : "nats, of an unknown error, since it is of one case";
    text += format("\n%s   %.5f %s (%llu cases, split %s)",
                   result.data->variational ? "variational bound" : "log-likelihood",
                   likelihood.log_likelihood, error.c_str(),
                   static_cast<unsigned long long>(likelihood.n_cases), result.data->split.c_str());
    if (result.data->independent)
      text += format("\nindependent units %.5f nats per case", *result.data->independent);
    if (result.data->gaussian)
      text += format("\nfull Gaussian    %.5f nats per case", *result.data->gaussian);
  }
  return text;
}

#define TEMPERA_INSTANTIATE(M)                                                                          \
  template LikelihoodCases<M> likelihood_cases(ModelFile<M>&, const DataFile&, const SplitRequest&,     \
                                               Listener&);                                              \
  template LogPartitionEstimates estimate_log_partition(const ModelFile<M>&, const LikelihoodCases<M>&, \
                                                        LikelihoodMethod, const EstimateOptions&,       \
                                                        const Executor&, Listener&);                    \
  template void require_possible<M>(const M::Data&, std::span<const double>, const LogPartition&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
