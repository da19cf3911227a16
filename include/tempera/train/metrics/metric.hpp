// What a metric is: it turns the gradient g of the log-likelihood into a direction d = P^-1 g. With P the
// Fisher matrix this is the natural gradient (Amari 1998); the metrics stand between it and P = I.
//
// Everything is in centred coordinates (train/layer_params.hpp) where layers are of Bernoulli units: the
// exact natural gradient does not care, every damped or approximate one does, and only there it is the same
// for inverted pixels (docs/mathematics/metrics.md 4.2). Machines of real values or slabs have coordinates of
// their own (models/spike_slab.hpp).
//
// Each metric has a header of its own, with its options, its state and its cost; all_metrics.hpp has the list
// of them. A new one is a header and a source, a row in the table below, a place in that list and a line that
// makes it in all_metrics.cpp; what is missing does not compile.
#pragma once

#include "tempera/core/names.hpp"
#include "tempera/train/fisher.hpp"

namespace tempera {

enum class MetricKind { kDiagonal, kMfng, kSample, kKfac, kEkfac, kFang, kTonga, kHybrid, kExact };

template <>
struct Names<MetricKind> {
  static constexpr std::array<NamedValue<MetricKind>, 9> table{{
      {MetricKind::kDiagonal, "diagonal", "variances of the statistics"},
      {MetricKind::kMfng, "mfng", "matrix-free, iterative"},
      {MetricKind::kSample, "sample", "the same exactly, in the space of the chains"},
      {MetricKind::kKfac, "kfac", "products of covariances of layers"},
      {MetricKind::kEkfac, "ekfac", "the same eigenvectors with variances that are measured"},
      {MetricKind::kFang, "fang", "products of units regressed on the units; Bernoulli units alone"},
      {MetricKind::kTonga, "tonga", "of low rank, with forgetting"},
      {MetricKind::kHybrid, "hybrid", "kfac and sample mixed"},
      {MetricKind::kExact, "exact", "dense, tiny machines"},
  }};
};

/// lambda, what is added to a Fisher matrix so that it can be inverted, where nothing else is known.
inline constexpr double kFisherDamping = 0.1;
/// The same of metrics that are made of moments: added to variances of statistics or of units.
inline constexpr double kMomentDamping = 0.05;
/// Updates that running means look back.
inline constexpr double kMemory = 100.0;
/// Updates between renewals of what costs more than a gradient: inversions, bases, insertions of directions.
inline constexpr std::uint64_t kRefresh = 20;

/// How an iterative solution went; of the others both stay 0.
struct SolveReport {
  Index iterations = 0;
  double residual = 0.0;  // |P d - g| / |g|
};

/// A metric: an aggregate that begins with its options. Its state is a Fielded struct, which checkpoints
/// hold.
///
/// prepare(shape, state): a state that has seen nothing, its arrays of the sizes that this shape needs.
/// observe(fisher, state): the draws of an update enter what is remembered.
/// solve(fisher, state, g, report): d with P d = g. Linear in g, symmetric and positive definite, and a
/// function of draws and state alone, whatever the threads. The state must have observed something.
/// apply(fisher, state, x): P x, the inverse of solve.
///
/// kUsesMoments: whether it looks at moments of layers alone, for which expected latents with their variances
/// serve even where the law is the joint one (Latents::kMoments).
template <class T, class Number>
concept Metric = Fielded<typename T::State> &&
    requires(const T& metric, const Fisher<Number>& fisher, typename T::State& state,
             const typename T::State& remembered, const LayerParams<Number>& g, SolveReport& report) {
  { metric.options } -> std::same_as<const typename T::Options&>;
  { T::kKind } -> std::same_as<const MetricKind&>;
  { T::kUsesMoments } -> std::same_as<const bool&>;
  metric.prepare(LayerShape(), state);
  metric.observe(fisher, state);
  { metric.solve(fisher, remembered, g, report) } -> std::same_as<LayerParams<Number>>;
  { metric.apply(fisher, remembered, g) } -> std::same_as<LayerParams<Number>>;
};

/// One whose solution is iterative and may begin at a guess of d, all parameters flattened; an empty one is
/// none.
template <class T, class Number>
concept IterativeMetric = Metric<T, Number> &&
    requires(const T& metric, const Fisher<Number>& fisher, const typename T::State& remembered,
             const LayerParams<Number>& g, const Flat<Number>& guess, SolveReport& report) {
  { metric.solve(fisher, remembered, g, guess, report) } -> std::same_as<LayerParams<Number>>;
};

}  // namespace tempera
