// The list of metrics, and any of them as a value: its options, itself, its state.
#pragma once

#include <variant>

#include "tempera/train/metrics/diagonal.hpp"
#include "tempera/train/metrics/ekfac.hpp"
#include "tempera/train/metrics/exact.hpp"
#include "tempera/train/metrics/fang.hpp"
#include "tempera/train/metrics/hybrid.hpp"
#include "tempera/train/metrics/kfac.hpp"
#include "tempera/train/metrics/mfng.hpp"
#include "tempera/train/metrics/sample.hpp"
#include "tempera/train/metrics/tonga.hpp"

namespace tempera {

/// The state of no metric at all.
struct NoMetricState {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};

namespace detail {
template <template <class> class... M>
struct MetricList {
  static_assert((Metric<M<float>, float> && ...) && (Metric<M<double>, double> && ...));
  template <class Number>
  using Metrics = std::variant<M<Number>...>;
  template <class Number>
  using States = std::variant<NoMetricState, typename M<Number>::State...>;
  using Options = std::variant<typename M<float>::Options...>;

  static constexpr std::array kinds{M<float>::kKind...};
  static constexpr std::array uses_moments{M<float>::kUsesMoments...};
  static std::array<Options, sizeof...(M)> defaults() { return {typename M<float>::Options()...}; }
};
}  // namespace detail

/// Every metric, in the order of MetricKind.
using MetricList = detail::MetricList<DiagonalMetric, MfngMetric, SampleMetric, KfacMetric, EkfacMetric,
                                      FangMetric, TongaMetric, HybridMetric, ExactMetric>;

template <class Number>
using AnyMetric = MetricList::Metrics<Number>;
/// The state of a metric, or of none.
template <class Number>
using AnyMetricState = MetricList::States<Number>;
/// Which metric, and the numbers that it is set by.
using AnyMetricOptions = MetricList::Options;

MetricKind kind_of(const AnyMetricOptions& options);

/// The options of a metric, each at its default.
AnyMetricOptions default_options(MetricKind kind);

/// lambda of a metric; of hybrid that of its factors. The spring counts with it
/// (docs/mathematics/metrics.md 4.13).
double damping_of(const AnyMetricOptions& options);

/// Whether a metric looks at moments of layers alone (kUsesMoments of metric.hpp).
bool uses_moments(MetricKind kind);

/// The metric of these options. `offsets`: of the layers, for fang alone; they must outlive it.
template <class Number>
AnyMetric<Number> make_metric(const AnyMetricOptions& options, const LayerOffsets& offsets);

/// What the metrics do (metric.hpp), for any of them. A state that is another metric's is a fault of the
/// program: std::logic_error.
template <class Number>
AnyMetricState<Number> prepare(const AnyMetric<Number>& metric, const LayerShape& shape);
template <class Number>
void observe(const AnyMetric<Number>& metric, const Fisher<Number>& fisher, AnyMetricState<Number>& state);
/// `guess`: where an iterative solution may begin, else empty; the others do not look at it.
template <class Number>
LayerParams<Number> solve(const AnyMetric<Number>& metric, const Fisher<Number>& fisher,
                          const AnyMetricState<Number>& state, const LayerParams<Number>& g,
                          const Flat<Number>& guess, SolveReport& report);
template <class Number>
LayerParams<Number> apply(const AnyMetric<Number>& metric, const Fisher<Number>& fisher,
                          const AnyMetricState<Number>& state, const LayerParams<Number>& x);

/// What training by a metric remembers from one update to the next.
struct NaturalState {
  AnyMetricState<float> metric;
  /// The last direction, which the spring and warm starts look back to; the last step for
  /// StepControl::kKrylov. In the metric's coordinates, flattened; empty where nothing looks back.
  Flat<float> previous;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("metric", s.metric...);
    f("previous", s.previous...);
  }
};

}  // namespace tempera
