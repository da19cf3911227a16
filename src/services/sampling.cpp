#include "tempera/services/sampling.hpp"
#include "tempera/io/tables.hpp"

#include <algorithm>

#include "drawing.hpp"
#include "law_changes.hpp"
#include "sampled_layers.hpp"
#include "tempera/core/format.hpp"
#include "tempera/mcmc/ladder.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/tempered_population.hpp"

namespace tempera {
namespace {

/// Powers beyond are modes.
constexpr double kMostBeta = 100.0;
constexpr std::int64_t kMostCopies = 100;

/// Throws ConfigError where samples or replicas need more memory than there is.
template <EnergyModel M>
void require_memory_for(const SamplingOptions& options, const M& model) {
  double units = 0.0;
  for (const Index n : model.layer_sizes()) units += static_cast<double>(n);
  // Chains with their caches, and rows of the layers in a file.
  const double chain = 4.0 * M::memory(model.shape()).chain_floats;
  require_memory("count", options.count, (chain + 8.0 * units) * static_cast<double>(options.count));
  if (options.ladder != SampleLadder::kTemperature) return;
  const auto rungs = std::max(options.rungs.value_or(0), static_cast<std::int64_t>(kFirstRungs));
  require_memory("ensembles", options.ensembles,
                 chain * static_cast<double>(rungs) * static_cast<double>(options.ensembles));
}

std::vector<double> numbers_of(const Eigen::VectorXd& values) { return {values.begin(), values.end()}; }

/// What takes visibles of the machine to the units that samples are given in.
template <HasUnits M>
Standardisation units_of_samples(const ModelFile<M>& file) {
  Standardisation units = file.units;
  if (!file.preprocessing.only_centres()) return units;
  if (units.empty())
    units = {Eigen::VectorXd::Zero(file.model.n_visible()), Eigen::VectorXd::Ones(file.model.n_visible())};
  units.centre += file.preprocessing.mean.template cast<double>();
  return units;
}

template <EnergyModel M>
SampleResult result_of(const ModelFile<M>& file, const SamplingOptions& options, Drawn<M> drawn) {
  SampleResult result;
  result.count = static_cast<std::int64_t>(drawn.samples.n_chains);
  result.stopped_by_listener = drawn.stopped_by_listener;
  result.ladder = options.ladder;
  result.start = options.start;
  result.seed = options.seed;
  if (!options.clamp.empty()) result.law.emplace_back("clamp", text_of(options.clamp));
  if (options.beta != 1.0) result.law.emplace_back("beta", options.beta);
  if (options.beta_marginal != 1) result.law.emplace_back("beta_marginal", options.beta_marginal);
  result.visible_shape = file.visible_shape;
  // A mean can be given back.
  if (!file.preprocessing.only_centres()) result.preprocessing = file.preprocessing;
  result.mixing = assess_mixing(drawn.trace, drawn.n_warm);
  result.trace = std::move(drawn.trace);
  const bool in_rounds = options.ladder == SampleLadder::kTemperature;
  result.sweeps = drawn.rounds * (in_rounds ? as_count(options.swap_every) : std::uint64_t{1});
  const auto count = static_cast<double>(result.count);
  result.independent =
      std::min(count, count * static_cast<double>(drawn.rounds) / result.mixing.autocorrelation_time);
  result.report = std::move(drawn.report);
  if (result.report && result.report->log_partition) {
    const double shift = file.log_partition_shift();
    result.report->log_partition->value += shift;
    if (result.report->lower_bound) result.report->lower_bound->value += shift;
  }
  if (result.mixing.occupancy.size() > 0) {
    result.clusters = {numbers_of(drawn.clusters.occupancy), numbers_of(result.mixing.occupancy),
                       cluster_variation(drawn.clusters, result.mixing.occupancy)};
  }
  result.agreement = std::move(drawn.agreement);
  result.picture = picture_of_chains(file, drawn.samples);
  file.model.unstandardise(file.theta, drawn.samples.blocks);
  if constexpr (HasUnits<M>) {
    if (const Standardisation raw = units_of_samples(file); !raw.empty())
      M::unstandardise_visibles(raw, drawn.samples.blocks);
  }
  result.layers = layers_of(drawn.samples);
  if constexpr (HasLetters<M>) {
    result.layers.front() = as_codes(result.layers.front(), file.model.letters());
    result.alphabet = file.alphabet;
  }
  if (file.binarization.spins) {
    auto& visible = result.layers.front();
    const auto bits = std::get<std::vector<std::uint8_t>>(visible.values);
    auto& spins = visible.values.template emplace<std::vector<float>>();
    for (const std::uint8_t bit : bits) spins.push_back(bit != 0 ? 1.0F : -1.0F);
  }
  return result;
}

void add_ladder_facts(const SampleResult& result, Facts& all) {
  const LadderReport& report = *result.report;
  all.emplace_back("independent", result.independent);
  if (result.mixing.starts_compared) all.emplace_back("starts_disagree", result.mixing.starts_disagree);
  all.emplace_back("rungs", static_cast<std::int64_t>(report.rungs));
  all.emplace_back("barrier", cumulative_barrier(report.rejections).back());
  all.emplace_back("rejection", mean_rejection(report.rejections));
  all.emplace_back("round_trips", static_cast<std::int64_t>(report.round_trips));
  all.emplace_back("round_trip_rate", report.round_trip_rate);
  all.emplace_back("round_trip_optimum", optimal_round_trip_rate(report.rejections));
  if (report.log_partition) {
    all.emplace_back("log_partition", report.log_partition->value);
    all.emplace_back("log_partition_se", report.log_partition->standard_error);
    all.emplace_back("log_partition_trusted", report.log_partition_trusted());
    if (report.lower_bound) all.emplace_back("log_partition_at_least", report.lower_bound->value);
  } else {
    all.emplace_back("betas", report.betas);
    all.emplace_back("flow", report.flow);
  }
}

std::string words_of_chains(const SampleResult& result) {
  if (!result.report) {
    return format("%lld samples, %lld sweeps each from the %s\n", static_cast<long long>(result.count),
                  static_cast<long long>(result.sweeps), std::string(name_of(result.start)).c_str());
  }
  const LadderReport& report = *result.report;
  return format(
      "%lld samples from %llu ensembles, %llu sweeps apart; %llu rungs, barrier %.2f, rejection %.2f, %.4f "
      "round trips a round and ensemble (optimum %.4f)\n",
      static_cast<long long>(result.count), static_cast<unsigned long long>(report.ensembles),
      static_cast<unsigned long long>(result.sweeps), static_cast<unsigned long long>(report.rungs),
      cumulative_barrier(report.rejections).back(), mean_rejection(report.rejections), report.round_trip_rate,
      optimal_round_trip_rate(report.rejections));
}

std::string words_of_clusters(const ClusterReport& clusters) {
  std::string text = "clusters, data / samples:";
  for (std::size_t k = 0; k < clusters.of_data.size(); ++k)
    text += format(" %.3f/%.3f", clusters.of_data[k], clusters.of_samples[k]);
  return text + format("; total variation %.3f\n", clusters.variation);
}

}  // namespace

std::vector<Violation> check(const SamplingOptions& options) {
  std::vector<Violation> violations;
  require_between(violations, "count", options.count, 1, kMaxChains);
  if (const std::int64_t* sweeps = std::get_if<std::int64_t>(&options.sweeps))
    require_between(violations, "sweeps", *sweeps, 0, std::int64_t{1} << 53);
  if (options.rungs)
    require_between(violations, "rungs", *options.rungs, 2, static_cast<std::int64_t>(kMostRungs));
  if (const double* jump = std::get_if<double>(&options.jump); jump != nullptr && !(*jump >= 0 && *jump <= 1))
    violations.push_back({"jump", format("%g", *jump), "must be in [0, 1]"});
  if (!(options.beta > 0.0 && options.beta <= kMostBeta))
    violations.push_back(
        {"beta", format("%g", options.beta), format("must be above 0 and at most %g", kMostBeta)});
  require_between(violations, "beta-marginal", options.beta_marginal, 1, kMostCopies);
  if (options.beta != 1.0 && options.beta_marginal != 1)
    violations.push_back({"beta", format("%g", options.beta), "and beta-marginal are two different laws"});
  require_between(violations, "clusters", options.clusters, 0, 1024);
  require_between(violations, "swap-every", options.swap_every, 1, 1 << 20);
  require_between(violations, "ensembles", options.ensembles, 2, 1024);
  return violations;
}

namespace {

/// Samples of a changed law.
template <EnergyModel M>
SampleResult draw_changed(const ModelFile<M>& file, const LawChange& change, const SamplingOptions& options,
                          const Executor& executor, Listener& listener) {
  ModelFile<M> changed = changed_machine(file, change);
  const SamplingOptions settled = with_ladder(changed, options, listener);
  require_memory_for(settled, changed.model);
  Drawn<M> drawn = draw(changed, settled, executor, listener);
  for (auto& block : drawn.samples.blocks) block = file.model.restored(change, block);
  return result_of(file, settled, std::move(drawn));
}

/// Options for a law that data know nothing of.
SamplingOptions without_data(const SamplingOptions& options) {
  if (options.start == SampleStart::kData || options.ladder == SampleLadder::kTrajectory)
    throw UsageError(
        "sample: --clamp, --beta and --beta-marginal go with neither --start data nor --ladder trajectory");
  if (!options.data.empty() && options.clamp.empty())
    throw UsageError("sample: --data means nothing with --beta and --beta-marginal");
  if (options.compares)
    throw UsageError(
        "sample: --statistics is of the model's own law, not with --clamp, --beta or --beta-marginal");
  SamplingOptions without = options;
  without.data = {};
  without.run.clear();
  return without;
}

void append(SampledLayer&& more, SampledLayer& layer) {
  std::visit(
      [&]<class Numbers>(const Numbers& values) {
        auto& all = std::get<Numbers>(layer.values);
        all.insert(all.end(), values.begin(), values.end());
      },
      more.values);
}

/// Adds the samples of another case; what is said of mixing stays, or becomes that of the case that mixes
/// worse.
void append(SampleResult&& more, SampleResult& all) {
  for (std::size_t k = 0; k < all.layers.size(); ++k) append(std::move(more.layers[k]), all.layers[k]);
  all.cases.insert(all.cases.end(), more.cases.begin(), more.cases.end());
  all.picture.tiles.insert(all.picture.tiles.end(), more.picture.tiles.begin(), more.picture.tiles.end());
  all.count += more.count;
  all.independent += more.independent;
  if (more.mixing.r_hat > all.mixing.r_hat) {
    all.mixing = std::move(more.mixing);
    all.trace = std::move(more.trace);
    all.report = std::move(more.report);
  }
}

/// Samples of the missing values of every case that has some.
template <EnergyModel M>
SampleResult draw_missing(const ModelFile<M>& file, const LawChange& change, const SamplingOptions& options,
                          const HeldCases& held, const Executor& executor, Listener& listener) {
  constexpr std::size_t kMostTiles = 100;
  SamplingOptions each = options;
  if (each.ladder == SampleLadder::kAuto) each.ladder = SampleLadder::kNone;
  Listener silent;
  SampleResult all;
  for (std::size_t k = 0; k < held.cases.size(); ++k) {
    LawChange of_case = change;
    of_case.held.front() = both(held.values[k], change.held.front());
    each.seed = options.seed + static_cast<std::int64_t>(k);
    SampleResult one = draw_changed(file, of_case, each, executor, silent);
    one.cases.assign(static_cast<std::size_t>(one.count), held.cases[k]);
    // A picture shows one sample of each case.
    one.picture.tiles.resize(k < kMostTiles ? 1 : 0);
    if (k == 0) {
      all = std::move(one);
    } else {
      append(std::move(one), all);
    }
    const double part = static_cast<double>(k + 1) / static_cast<double>(held.cases.size());
    if (listener.progress("drawing missing values", part, "") == Control::kStop &&
        k + 1 < held.cases.size()) {
      all.stopped_by_listener = true;
      break;
    }
  }
  all.seed = options.seed;
  return all;
}

}  // namespace

SampleResult draw_samples(AnyModelFile model, const SamplingOptions& options, const Executor& executor,
                          Listener& listener) {
  require_none(check(options));
  return std::visit(
      [&](auto& file) {
        require_law(file, listener);
        if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.n_raw());
        if (changes_law(options)) {
          const LawChange change = law_change(file, options, listener);
          const SamplingOptions without = without_data(options);
          return asks_for_observed(options)
                     ? draw_missing(file, change, without, observed_values(file, options, listener), executor,
                                    listener)
                     : draw_changed(file, change, without, executor, listener);
        }
        const SamplingOptions settled = with_ladder(file, options, listener);
        require_memory_for(settled, file.model);
        return result_of(file, settled, draw(file, settled, executor, listener));
      },
      model);
}

Facts facts(const SampleResult& result) {
  const MixingReport& mixing = result.mixing;
  Facts all = {{"ladder", std::string(name_of(result.ladder))},
               {"sweeps", static_cast<std::int64_t>(result.sweeps)},
               {"start", mixing.starts_compared ? std::string("both") : std::string(name_of(result.start))},
               {"autocorrelation_time", mixing.autocorrelation_time},
               {"effective_sample_size", mixing.effective_sample_size},
               {"r_hat", mixing.r_hat}};
  all.insert(all.end(), result.law.begin(), result.law.end());
  if (result.report) add_ladder_facts(result, all);
  if (result.clusters) {
    all.emplace_back("cluster_occupancy", result.clusters->of_samples);
    all.emplace_back("cluster_occupancy_of_data", result.clusters->of_data);
    all.emplace_back("cluster_variation", result.clusters->variation);
  }
  if (result.agreement) {
    all.emplace_back("covariance_pearson", result.agreement->pearson);
    all.emplace_back("covariance_slope", result.agreement->slope);
  }
  all.emplace_back("mixed", mixing.mixed);
  all.emplace_back("verdict", mixing.verdict);
  return all;
}

std::string LadderReport::log_partition_doubt() const {
  if (round_trips < ensembles) return "replicas do not travel the whole way";
  const bool refuted = log_partition && lower_bound && is_refuted(*log_partition, lower_bound->value);
  return refuted ? words_of_refutation(*log_partition, lower_bound->value) : "";
}

std::string words(const SampleResult& result) {
  std::string text = words_of_chains(result);
  if (result.clusters) text += words_of_clusters(*result.clusters);
  if (result.agreement)
    text += format("covariances of samples and data: Pearson %.4f, slope %.3f\n", result.agreement->pearson,
                   result.agreement->slope);
  if (result.report && result.report->log_partition) {
    text += format("log Z %.4f +- %.4f nats (Bennett's ratio along the trajectory)%s\n",
                   result.report->log_partition->value, result.report->log_partition->standard_error,
                   result.report->log_partition_trusted()
                       ? ""
                       : (": not to be trusted, " + result.report->log_partition_doubt()).c_str());
  }
  return text +
         format("autocorrelation time %.1f draws, %.0f effective of %zu, R-hat %.3f: ",
                result.mixing.autocorrelation_time, result.mixing.effective_sample_size,
                result.trace.draws() * result.trace.free_energy.size(), result.mixing.r_hat) +
         result.mixing.verdict;
}

void write_agreement(const CovarianceAgreement& agreement, const std::filesystem::path& path) {
  drawing_of_agreement(agreement.of_data, agreement.of_samples,
                       {"data: covariance of two values", "samples",
                        format("Pearson %.4f, slope %.3f, %zu pairs", agreement.pearson, agreement.slope,
                               agreement.of_data.size())})
      .write(path);
}

void write_samples(const SampleResult& result, const std::filesystem::path& path) {
  if (const TableFormat format = table_format(path); format != TableFormat::kHdf5) {
    if (is_sequences(format)) {
      const SampledLayer& visible = result.layers.front();
      Table table;
      table.rows = static_cast<Index>(result.count);
      table.columns = static_cast<Index>(visible.units);
      if (const auto* codes = std::get_if<std::vector<std::uint8_t>>(&visible.values)) table.bytes = *codes;
      write_sequences(path, table, result.alphabet, {});
      return;
    }
    std::vector<NamedArray> arrays;
    if (!result.cases.empty() && format != TableFormat::kNpy)
      arrays.push_back({"case", {result.cases.size()}, std::span<const std::int64_t>(result.cases)});
    for (const SampledLayer& layer : result.layers) {
      // A table has the visibles alone.
      if (format != TableFormat::kNpz && &layer != &result.layers.front()) break;
      std::visit(
          [&]<class T>(const std::vector<T>& values) {
            arrays.push_back(
                {layer.name, {values.size() / layer.units, layer.units}, std::span<const T>(values)});
          },
          layer.values);
    }
    write_arrays(path, arrays);
    return;
  }
  Hdf5Writer out("samples");
  for (const SampledLayer& layer : result.layers) {
    std::visit(
        [&](const auto& values) {
          out.dataset("/samples/" + layer.name, {values.size() / layer.units, layer.units}, values.data());
        },
        layer.values);
  }
  if (!result.cases.empty()) out.dataset("/samples/case", {result.cases.size()}, result.cases.data());
  write_facts(out, "/diagnostics", facts(result));
  write_alphabet(out, "/", result.alphabet);
  if (!result.visible_shape.empty()) out.attribute("/", "visible_shape", result.visible_shape);
  write_preprocessing(out, "/preprocessing", result.preprocessing);
  write_provenance(out, result.seed);
  out.write(path);
}

}  // namespace tempera
