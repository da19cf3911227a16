#include <array>
#include <cmath>

#include "drawing.hpp"
#include "law_changes.hpp"
#include "sampled_layers.hpp"
#include "tempera/core/format.hpp"
#include "tempera/services/data_kind.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/tempered_population.hpp"

namespace tempera {
namespace {

/// Drop of the covariances' correlation that shows training out of equilibrium (Decelle et al. 2021).
constexpr double kDecline = 0.005;

/// Point k of the curve: 1, 2, 5, 10, ... sweeps.
std::int64_t curve_point(std::size_t k) {
  constexpr std::array<std::int64_t, 3> kSteps = {1, 2, 5};
  std::int64_t sweeps = kSteps[k % 3];
  for (std::size_t power = 0; power < k / 3; ++power) sweeps *= 10;
  return sweeps;
}

/// The visibles of chains as cases. Expects bits.
template <EnergyModel M>
std::vector<std::uint8_t> visible_bits(const Chains<M>& chains) {
  return std::get<std::vector<std::uint8_t>>(visible_layer(chains).values);
}

/// By how much two halves of the samples differ: what noise does to the correlation.
double difference_of_halves(const BinaryData& data, std::span<const std::uint8_t> samples) {
  const Index half = data.n_cases() / 2;
  const auto width = static_cast<std::size_t>(half * data.n_visible());
  const auto of = [&](std::span<const std::uint8_t> part) {
    return covariance_pearson(data, BinaryData(half, data.n_visible(), part));
  };
  return std::abs(of(samples.first(width)) - of(samples.subspan(width, width)));
}

/// The curve, and in standard_error the mean difference of halves.
template <EnergyModel M>
DiagnosisResult quality_curve(const Engine<M>& engine, const typename M::Params& theta,
                              const BinaryData& data, std::int64_t sweeps, Listener& listener) {
  DiagnosisResult result;
  result.count = static_cast<std::uint64_t>(data.n_cases());
  Population<M> population(reference_chains(engine, result.count, Purpose::kSampling));
  population.fit(engine);
  const Progress progress = stage(listener, "diagnosing");
  std::int64_t done = 0;
  for (std::size_t k = 0; done < sweeps; ++k) {
    for (const std::int64_t next = std::min(curve_point(k), sweeps); done < next; ++done) {
      advance(engine, theta, 1, Purpose::kSampling, population);
      progress(static_cast<double>(done) / static_cast<double>(sweeps));
    }
    gather(engine.executor, population.chains);
    const std::vector<std::uint8_t> bytes = visible_bits(population.chains);
    result.curve.push_back({done, sample_quality(data, BinaryData(data.n_cases(), data.n_visible(), bytes))});
    result.standard_error += difference_of_halves(data, bytes);
  }
  result.standard_error /= static_cast<double>(result.curve.size());
  return result;
}

template <EnergyModel M>
DiagnosisResult diagnose_for(ModelFile<M>& file, const SamplingOptions& options, const Executor& executor,
                             Listener& listener) {
  const auto refuse = [] {
    throw UsageError("sample: --diagnose means nothing with " + std::string(M::kKind));
  };
  if (!M::kDiscrete) refuse();
  const auto cases = starting_cases(file, options, listener);
  if (!cases) throw UsageError("sample: --diagnose needs --data to compare with");
  if (as_bits(*cases) == nullptr) refuse();
  const std::int64_t sweeps = static_cast<std::int64_t>(sweeps_of(options).value_or(as_count(kPlainSweeps)));
  if (sweeps < 1) throw ConfigError({{"sweeps", std::to_string(sweeps), "must be at least 1"}});
  const auto n = static_cast<std::uint64_t>(std::min<Index>(options.count, cases->n_cases()));
  if (n < 4)
    throw ConfigError({{"count", std::to_string(n), "--diagnose needs at least 4 samples and 4 cases"}});
  const Engine engine{file.model, StreamFactory{as_count(options.seed)}, executor};
  std::vector<double> weights;
  if (!cases->weights().all_one()) {
    const std::vector<Index> which = warm_cases(engine.streams, cases->n_cases());
    for (std::size_t k = 0; k < n; ++k) weights.push_back(cases->weights()[which[k]]);
  }
  const BinaryData data(static_cast<Index>(n), file.model.n_visible(),
                        visible_bits(warm_chains(engine, file.theta, *cases, n)),
                        CaseWeights(std::move(weights)));
  DiagnosisResult result = quality_curve(engine, file.theta, data, sweeps, listener);
  // Two halves of the chains tell the noise: E|a - b| is 1.6 times the standard error of the whole.
  result.standard_error /= 1.6;
  std::vector<double> pearson;
  for (const QualityPoint& point : result.curve) pearson.push_back(point.quality.covariance_pearson);
  result.declines = declines(pearson, std::max(kDecline, 4.0 * result.standard_error));
  result.verdict =
      result.declines
          ? "out of equilibrium: samples become worse with more sweeps"
          : "no decline seen: not shown to be out of equilibrium, which is no proof of the contrary";
  return result;
}

}  // namespace

DiagnosisResult diagnose_sampling(AnyModelFile model, const SamplingOptions& options,
                                  const Executor& executor, Listener& listener) {
  require_none(check(options));
  if (changes_law(options))
    throw UsageError(
        "sample: --diagnose is of the model's own law, not with --clamp, --beta or --beta-marginal");
  return std::visit(
      [&](auto& file) {
        require_law(file, listener);
        return diagnose_for(file, options, executor, listener);
      },
      model);
}

std::string words(const DiagnosisResult& result) {
  std::string text =
      format("%10s %20s %16s %22s", "sweeps", "covariance_pearson", "data_near_data", "samples_near_samples");
  for (const QualityPoint& point : result.curve) {
    text += format("\n%10lld %20.4f %16.3f %22.3f", static_cast<long long>(point.sweeps),
                   point.quality.covariance_pearson, point.quality.data_near_data,
                   point.quality.samples_near_samples);
  }
  return text + "\n" + result.verdict;
}

}  // namespace tempera
