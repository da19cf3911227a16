// How samples are drawn, whatever helps the chains to mix.
#pragma once

#include "tempera/diagnostics/clusters.hpp"
#include "tempera/services/sampling.hpp"

namespace tempera {

/// Samples and how they were come by.
template <EnergyModel M>
struct Drawn {
  Chains<M> samples;
  Trace trace;
  std::size_t n_warm = 0;    // chains of the trace that started at data
  std::uint64_t rounds = 0;  // between samples of an ensemble; without a ladder, sweeps from the start
  std::optional<LadderReport> report;
  std::optional<CovarianceAgreement> agreement;
  DataClusters clusters;             // of the data; empty where there are none
  bool stopped_by_listener = false;  // samples are those that were finished
};

/// Sweeps that the options ask for; nothing where they leave them open.
std::optional<std::uint64_t> sweeps_of(const SamplingOptions& options);

/// The options with the ladder and the jumps that they leave open.
template <EnergyModel M>
SamplingOptions with_ladder(const ModelFile<M>& file, SamplingOptions options, Listener& listener);

/// Train cases of the options' data, or of the run's own; nothing where there is neither.
template <EnergyModel M>
std::optional<typename M::Data> starting_cases(const ModelFile<M>& file, const SamplingOptions& options,
                                               Listener& listener);

/// Draws samples as the options ask for. May give the model a reference machine. Errors as those of
/// draw_samples.
template <EnergyModel M>
Drawn<M> draw(ModelFile<M>& file, const SamplingOptions& options, const Executor& executor,
              Listener& listener);

}  // namespace tempera
