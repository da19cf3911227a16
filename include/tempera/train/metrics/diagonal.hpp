// diagonal: the variances of all statistics, a number for each parameter.
#pragma once

#include "tempera/train/metrics/metric.hpp"

namespace tempera {

struct DiagonalOptions {
  double damping = kMomentDamping;  // lambda, added to every variance
  double memory = kMemory;          // updates that running means look back
};

/// Running means of the statistics and of their squares, which begin at 0: divide by `weight`.
template <class Number>
struct DiagonalState {
  Flat<Number> first_moments;   // (parameters), in the order of flatten
  Flat<Number> second_moments;  // (parameters)
  double weight = 0.0;          // of what has been seen: 1 - rho^t
  std::uint64_t observed = 0;   // updates that have been seen, t

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("first_moments", s.first_moments...);
    f("second_moments", s.second_moments...);
    f("weight", s.weight...);
    f("observed", s.observed...);
  }
};

/// P = diag(Var(s)) + lambda I. An update costs about a gradient, a solution less.
/// Source: docs/mathematics/metrics.md 4.4.
template <class Number>
struct DiagonalMetric {
  using Options = DiagonalOptions;
  using State = DiagonalState<Number>;
  static constexpr MetricKind kKind = MetricKind::kDiagonal;
  static constexpr bool kUsesMoments = true;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const State& state, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const State& state, const LayerParams<Number>& x) const;

  /// Variances of all statistics (parameters), `added` to each.
  static Flat<Number> variances(const State& state, double added);
};

}  // namespace tempera
