// exact: the damped Fisher matrix of the draws as a dense matrix, for tests and tiny machines.
#pragma once

#include "tempera/train/metrics/metric.hpp"

namespace tempera {

struct ExactOptions {
  double damping = kFisherDamping;  // lambda, added to the diagonal of F
};

/// It remembers nothing.
template <class Number>
struct ExactState {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};

/// P = F + lambda I, formed in double. A solution costs draws x parameters^2 + parameters^3 / 3 and 8 bytes
/// for each pair of parameters. For larger machines take sample, which is the same. Source:
/// docs/mathematics/metrics.md 4.1.
template <class Number>
struct ExactMetric {
  using Options = ExactOptions;
  using State = ExactState<Number>;
  static constexpr MetricKind kKind = MetricKind::kExact;
  static constexpr bool kUsesMoments = false;
  /// Parameters at most.
  static constexpr Index kMostParameters = 5000;

  Options options;

  void prepare(const LayerShape&, State&) const {}
  void observe(const Fisher<Number>&, State&) const {}
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State&, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State&, const LayerParams<Number>& x) const;
};

}  // namespace tempera
