#include "tempera/services/score.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mutations.hpp"
#include "nearest.hpp"
#include "posterior.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/pictures.hpp"

namespace tempera {
namespace {

/// Cases of the set that others are near to, whose own distances are told.
constexpr Index kMostOwnCases = 2000;

/// The log Z that training left in a file, if any.
std::optional<ScoreLogPartition> stored_log_partition(const std::filesystem::path& path) {
  if (!is_hdf5(path)) return std::nullopt;  // a model of another toolkit
  const Hdf5Reader file(path);
  if (!file.has("/log_partition")) return std::nullopt;
  const double value = file.number_attribute("/log_partition", "value").value_or(std::nan(""));
  const double error = file.number_attribute("/log_partition", "standard_error").value_or(std::nan(""));
  if (!std::isfinite(value) || !std::isfinite(error) || error < 0) return std::nullopt;
  ScoreLogPartition stored{std::string(name_of(ScoreMethod::kStored)), {value, error, 1.0}, ""};
  stored.doubt = stored_doubt(file);
  return stored;
}

/// The stored log Z where the method takes it; nothing where one has to be estimated.
std::optional<ScoreLogPartition> taken_from_file(const std::filesystem::path& path, ScoreMethod method,
                                                 Listener& listener) {
  if (method != ScoreMethod::kAuto && method != ScoreMethod::kStored) return std::nullopt;
  const std::optional<ScoreLogPartition> stored = stored_log_partition(path);
  if (method == ScoreMethod::kAuto) return stored && stored->doubt.empty() ? stored : std::nullopt;
  if (!stored) throw UsageError("score: " + path.string() + ": holds no log Z; use another --method");
  if (!stored->doubt.empty()) listener.warn(stored->method + ": " + stored->doubt);
  return stored;
}

/// The method of `loglik` that a method of `score` is.
LikelihoodMethod estimating(ScoreMethod method) {
  return named<LikelihoodMethod>(name_of(method)).value_or(LikelihoodOptions().method);
}

/// A case that others are compared with.
template <EnergyModel M>
struct Parent {
  typename M::Data cases;
  Index number = 0;
  std::string name;
};

/// The case that is asked for, of these or of a file of its own.
template <EnergyModel M>
Parent<M> parent_of(const ModelFile<M>& file, const ScoreOptions& options, const typename M::Data& cases,
                    const std::vector<std::string>& names, Listener& listener) {
  const std::string& called = options.relative_to;
  const std::optional<Index> number =
      called.empty() ? std::optional<Index>(0) : place_called(names, called, 0);
  if (number && *number >= 0 && *number < cases.n_cases()) {
    const auto p = static_cast<std::size_t>(*number);
    return {cases, *number, p < names.size() ? names[p] : std::to_string(*number)};
  }
  std::error_code error;
  if (!std::filesystem::exists(called, error))
    throw UsageError("--relative-to " + called + ": is no name of a case, no number from 0 to " +
                     std::to_string(cases.n_cases() - 1) + " and no file");
  const DataFile own = read_data_file(called, {columns_for(file, options.columns)}, listener);
  const std::string& split = own.splits.begin()->first;
  const auto found = own.names.find(split);
  return {data_for_model(file, own, {split, options.binarize, as_count(options.estimate.seed)}, listener), 0,
          found == own.names.end() || found->second.empty() ? called : found->second.front()};
}

/// Scores of cases, or of mutants of one, which are returned, relative to one: in double, case by case.
template <EnergyModel M>
std::optional<typename M::Data> compare(const ModelFile<M>& file, const ScoreOptions& options,
                                        const Executor& executor, const typename M::Data& given,
                                        ScoreResult& result, Listener& listener) {
  if (!M::kExactInference)
    throw UsageError("score: --relative-to and --mutations need exact free energies, which " +
                     std::string(M::kKind) + " has not");
  const Parent<M> parent = parent_of(file, options, given, result.names, listener);
  result.relative_to = parent.name;
  std::optional<typename M::Data> mutated;
  if (!options.mutations.empty()) {
    if constexpr (HasLetters<M>) {
      Mutants mutants = mutants_of(parent.cases, parent.number, file.alphabet, options.mutations);
      result.names = std::move(mutants.names);
      mutated = std::move(mutants.cases);
    } else {
      throw UsageError("score: --mutations is for " + kinds_with(Feature::kLetters));
    }
  }
  const typename M::Data& cases = mutated ? *mutated : given;
  const auto energy_of = [&](const typename M::Data& data, Index n) {
    return file.model.free_energy(file.theta, data.row(n)) + data.log_volume(n);
  };
  const double of_parent = energy_of(parent.cases, parent.number);
  result.free_energies.resize(static_cast<std::size_t>(cases.n_cases()));
  executor.for_each_owned(cases.n_cases(), [&](Index n) {
    result.free_energies[static_cast<std::size_t>(n)] = energy_of(cases, n);
  });
  executor.share(result.free_energies);
  for (double& energy : result.free_energies) {
    result.relative.push_back(of_parent - energy);
    energy -= file.log_partition_shift();
  }
  return mutated;
}

/// Throws DataError where a value is missing that is not of this column of this split. Cases whose own value
/// is missing get the free energy of the other columns.
template <EnergyModel M>
void leave_out_missing(const ModelFile<M>& file, const DataFile& data, const std::string& split,
                       const ColumnPosterior& posterior, std::vector<double>& free_energies) {
  const auto columns = static_cast<std::size_t>(data.columns());
  for (const auto& [name, missing] : data.missing) {
    for (std::size_t k = 0; k < missing.size(); ++k) {
      if (missing[k] == 0) continue;
      if (name != split || k % columns != static_cast<std::size_t>(posterior.column))
        throw DataError(data.name + ": case " + std::to_string(k / columns) + " of split " + name +
                        " lacks a value of another column than that of --posterior; --missing says what "
                        "becomes of it");
      free_energies[k / columns] = posterior.free_energies[k / columns] - file.log_partition_shift();
    }
  }
}

/// Distances to the train cases of another data set, and those of some of its own to each other.
template <EnergyModel M>
NearestCases nearest_of(const ModelFile<M>& file, const ScoreOptions& options, const typename M::Data& cases,
                        const Executor& executor, Listener& listener) {
  if constexpr (std::derived_from<typename M::Data, BinaryData>) {
    const DataFile data = read_data_file(options.nearest_to, {columns_for(file, options.columns)}, listener);
    if (data.splits.count("train") == 0 && data.splits.size() > 1)
      throw UsageError("score: --nearest-to " + data.name + ": has several splits, and none is 'train'");
    const std::string split = data.splits.count("train") > 0 ? "train" : data.splits.begin()->first;
    const typename M::Data others =
        data_for_model(file, data, {split, options.binarize, as_count(options.estimate.seed)}, listener);
    std::vector<Index> all(static_cast<std::size_t>(cases.n_cases()));
    std::iota(all.begin(), all.end(), Index{0});
    NearestCases nearest;
    nearest.data = data.name;
    nearest.distance = nearest_distances(cases, all, others, executor);
    if (!options.background || others.n_cases() < 2) return nearest;
    // Evenly spaced ones.
    const Index n_own = std::min(others.n_cases(), kMostOwnCases);
    std::vector<Index> own;
    for (Index k = 0; k < n_own; ++k) own.push_back(k * others.n_cases() / n_own);
    nearest.own_distance = nearest_distances(others, own, others, executor);
    const std::vector<double> energies = free_energies_in_units(file, executor, others);
    for (const Index n : own) nearest.own_free_energies.push_back(energies[static_cast<std::size_t>(n)]);
    return nearest;
  } else {
    throw UsageError("score: --nearest-to counts columns of letters or bits that differ, and " +
                     std::string(M::kKind) + " has neither");
  }
}

template <EnergyModel M>
ScoreResult score_for(ModelFile<M>& file, const ScoreOptions& options, const Executor& executor,
                      Listener& listener) {
  ScoreResult result;
  result.split = options.split;
  result.seed = options.estimate.seed;
  result.variational = is_bound(file.model);
  result.log_partition = taken_from_file(file.path, options.method, listener);
  const bool estimates = options.method != ScoreMethod::kNone && !result.log_partition;
  if (estimates) require_memory_for(options.estimate, file.model.layer_sizes());
  require_law(file, listener);
  const bool compares = !options.relative_to.empty() || !options.mutations.empty();
  ReadingOptions reading{columns_for(file, options.columns)};
  // Unknown letters of sequences become what --unknown says.
  reading.keeps_missing = !options.posterior.empty() && !compares && options.minus.empty() &&
                          file.alphabet.characters.empty() && options.columns.missing == MissingRule::kRefuse;
  const DataFile data = read_data_file(options.data, reading, listener);
  const SplitRequest request{options.split, options.binarize, as_count(options.estimate.seed)};
  LikelihoodCases<M> cases;
  if (estimates) {
    cases = likelihood_cases(file, data, request, listener);
  } else {
    cases.cases = data_for_model(file, data, request, listener);
  }
  if (const auto names = data.names.find(options.split); names != data.names.end())
    result.names = names->second;
  // A model that names no letters has those of its data.
  if (file.alphabet.empty()) file.alphabet = data.alphabet;
  std::optional<typename M::Data> mutants;
  if (compares) {
    mutants = compare(file, options, executor, cases.cases, result, listener);
  } else {
    result.free_energies = free_energies_in_units(file, executor, cases.cases);
  }
  const typename M::Data& scored = mutants ? *mutants : cases.cases;
  result.weights = scored.weights();
  const std::vector<double> whole = result.free_energies;
  if (!options.posterior.empty()) {
    result.posterior = posterior_of(file, options.posterior, data.column_names, scored, executor);
    if (!compares) leave_out_missing(file, data, options.split, *result.posterior, result.free_energies);
  }
  if (!options.nearest_to.empty()) result.nearest = nearest_of(file, options, scored, executor, listener);
  // Last, since it may take long.
  if (estimates) {
    const LogPartitionEstimates found =
        estimate_log_partition(file, cases, estimating(options.method), options.estimate, executor, listener);
    if (found.stopped_by_listener) throw Interrupted();
    const LogPartitionEstimate& estimate = found.finished.front();
    result.log_partition = {std::string(name_of(estimate.method)), estimate.log_partition, estimate.doubt};
  }
  if (result.log_partition) require_possible<M>(scored, whole, result.log_partition->value);
  return result;
}

std::vector<double> log_likelihoods(const ScoreResult& result) {
  std::vector<double> values;
  for (std::size_t n = 0; n < result.free_energies.size(); ++n) values.push_back(result.log_likelihood(n));
  return values;
}

/// Columns that a result does not hold as they are written.
struct ScoreColumns {
  std::vector<std::int64_t> numbers;
  std::vector<double> log_likelihoods;
};

std::vector<NamedArray> arrays_of(const ScoreResult& result, ScoreColumns& columns) {
  const ArrayShape shape = {result.free_energies.size()};
  std::vector<NamedArray> arrays;
  if (result.names.empty()) {
    for (std::size_t n = 0; n < result.free_energies.size(); ++n)
      columns.numbers.push_back(static_cast<std::int64_t>(n));
    arrays.push_back({"number", shape, std::span<const std::int64_t>(columns.numbers)});
  } else {
    arrays.push_back({"name", shape, std::span<const std::string>(result.names)});
  }
  arrays.push_back({"free_energy", shape, std::span<const double>(result.free_energies)});
  if (!result.relative.empty())
    arrays.push_back({"relative", shape, std::span<const double>(result.relative)});
  if (!result.difference.empty())
    arrays.push_back({"difference", shape, std::span<const double>(result.difference)});
  if (result.nearest)
    arrays.push_back({"distance", shape, std::span<const double>(result.nearest->distance)});
  if (result.posterior) {
    for (std::size_t v = 0; v < result.posterior->values.size(); ++v) {
      arrays.push_back({"posterior_" + result.posterior->values[v], shape,
                        std::span<const double>(result.posterior->probabilities[v])});
    }
  }
  if (result.log_partition) {
    columns.log_likelihoods = log_likelihoods(result);
    arrays.push_back({"log_likelihood", shape, std::span<const double>(columns.log_likelihoods)});
  }
  return arrays;
}
}  // namespace

ScoreResult score_cases(AnyModelFile model, const ScoreOptions& options, const Executor& executor,
                        Listener& listener) {
  require_none(check(options.estimate));
  const auto score = [&](AnyModelFile& of, const ScoreOptions& how) {
    return std::visit([&](auto& file) { return score_for(file, how, executor, listener); }, of);
  };
  if (options.minus.empty()) return score(model, options);
  ScoreOptions plain = options;
  plain.method = ScoreMethod::kNone;
  plain.posterior.clear();
  plain.nearest_to = {};
  AnyModelFile other = read_model(options.minus, listener);
  const ScoreResult theirs = score(other, plain);
  ScoreResult result = score(model, options);
  if (theirs.names != result.names || theirs.free_energies.size() != result.free_energies.size())
    throw DataError(options.minus + ": its mutants are not those of the model: it has other letters");
  if (result.variational || theirs.variational)
    listener.warn("score: --minus: the difference is one of bounds");
  for (std::size_t n = 0; n < result.free_energies.size(); ++n)
    result.difference.push_back(theirs.free_energies[n] - result.free_energies[n]);
  return result;
}

Facts facts(const ScoreResult& result) {
  Facts all = {{"n", static_cast<std::int64_t>(result.free_energies.size())},
               {"split", result.split},
               {"variational", result.variational}};
  if (!result.relative.empty()) all.emplace_back("relative_to", result.relative_to);
  if (result.nearest) all.emplace_back("nearest_to", result.nearest->data);
  if (result.posterior) all.emplace_back("posterior_of", result.posterior->called);
  if (!result.log_partition) {
    all.emplace_back("method", std::string(name_of(ScoreMethod::kNone)));
    return all;
  }
  const ScoreLogPartition& z = *result.log_partition;
  const Likelihood mean = mean_log_likelihood(result.free_energies, z.value, result.weights);
  all.emplace_back("method", z.method);
  all.emplace_back("log_partition", z.value.value);
  all.emplace_back("log_partition_se", z.value.standard_error);
  all.emplace_back("trusted", z.doubt.empty());
  all.emplace_back("log_likelihood", mean.log_likelihood);
  all.emplace_back("log_likelihood_se", mean.standard_error);
  return all;
}

std::string words(const ScoreResult& result) {
  const std::string cases =
      format("%zu cases of split %s", result.free_energies.size(), result.split.c_str()) +
      (result.relative.empty() ? "" : ", relative to " + result.relative_to);
  const std::string bounds = result.variational ? " (bounds by a mean field)" : "";
  if (!result.log_partition) return cases + ": free energies" + bounds + ", no log Z";
  const ScoreLogPartition& z = *result.log_partition;
  const Likelihood mean = mean_log_likelihood(result.free_energies, z.value, result.weights);
  return cases +
         format(": log-likelihood %.5f +- %.5f nats per case", mean.log_likelihood, mean.standard_error) +
         bounds +
         format(
             "\nlog Z %.5f +- %.5f nats (%s), the same for every case: differences carry none of its error",
             z.value.value, z.value.standard_error, z.method.c_str());
}

std::string csv_of(const ScoreResult& result) {
  ScoreColumns columns;
  return csv_of({}, arrays_of(result, columns));
}

void write_scores(const ScoreResult& result, const std::filesystem::path& path) {
  const TableFormat format = table_format(path);
  ScoreColumns columns;
  if (format == TableFormat::kNpy) {
    // One array: free energies, and log-likelihoods beside them where there are any.
    const std::vector<NamedArray> arrays = arrays_of(result, columns);
    std::vector<double> rows;
    for (std::size_t n = 0; n < result.free_energies.size(); ++n) {
      rows.push_back(result.free_energies[n]);
      if (result.log_partition) rows.push_back(columns.log_likelihoods[n]);
    }
    const ArrayShape shape = {result.free_energies.size(), result.log_partition ? 2U : 1U};
    write_arrays(path, {{"scores", shape, std::span<const double>(rows)}});
    return;
  }
  if (format != TableFormat::kHdf5) {
    write_arrays(path, arrays_of(result, columns));
    return;
  }
  Hdf5Writer file("scores");
  const Shape shape = {result.free_energies.size()};
  file.dataset("/scores/free_energy", shape, result.free_energies.data());
  if (result.log_partition) file.dataset("/scores/log_likelihood", shape, log_likelihoods(result).data());
  if (!result.relative.empty()) file.dataset("/scores/relative", shape, result.relative.data());
  if (!result.difference.empty()) file.dataset("/scores/difference", shape, result.difference.data());
  if (result.nearest) file.dataset("/scores/distance", shape, result.nearest->distance.data());
  if (result.posterior) {
    const std::size_t n_values = result.posterior->values.size();
    std::vector<double> rows;
    for (std::size_t n = 0; n < result.free_energies.size(); ++n) {
      for (std::size_t v = 0; v < n_values; ++v) rows.push_back(result.posterior->probabilities[v][n]);
    }
    file.dataset("/scores/posterior", {shape[0], n_values}, rows.data());
    file.texts("/scores/posterior_value", result.posterior->values);
  }
  if (!result.names.empty()) file.texts("/scores/name", result.names);
  write_facts(file, "/scores", facts(result));
  write_provenance(file, result.seed);
  file.write(path);
}

void write_distances(const ScoreResult& result, const std::filesystem::path& path) {
  const NearestCases& nearest = *result.nearest;
  const double log_partition = result.log_partition ? result.log_partition->value.value : 0.0;
  const auto points = [&](const std::vector<double>& distances, const std::vector<double>& free_energies) {
    Canvas::Points all;
    for (std::size_t n = 0; n < distances.size(); ++n)
      all.emplace_back(distances[n], -free_energies[n] - log_partition);
    return all;
  };
  drawing_of_distances(points(nearest.own_distance, nearest.own_free_energies),
                       points(nearest.distance, result.free_energies),
                       {"part of the columns that differ from the nearest case of " +
                            std::filesystem::path(nearest.data).filename().string(),
                        result.log_partition ? "log p (nats)" : "-F (nats)", ""})
      .write(path);
}

}  // namespace tempera
