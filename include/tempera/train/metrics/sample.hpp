// sample: the damped Fisher matrix of the draws, solved exactly in the space of draws. The Gram matrix is an
// idea of Le Roux, Manzagol & Bengio (2007).
#pragma once

#include "tempera/train/metrics/metric.hpp"

namespace tempera {

struct SampleOptions {
  double damping = kFisherDamping;  // lambda, added to the diagonal of F
};

/// It remembers nothing.
template <class Number>
struct SampleState {
  template <class F, class... S>
  static void visit(F&&, S&&...) {}
};

/// P = F + lambda I. A solution costs two gradients + draws^2 x units + draws^3 / 3; one more round of the
/// first two where lambda is below 10^-6 of the mean of F's spectrum in the draws. No use where there are as
/// many draws as parameters: take exact. Source: docs/mathematics/metrics.md 4.6.
template <class Number>
struct SampleMetric {
  using Options = SampleOptions;
  using State = SampleState<Number>;
  static constexpr MetricKind kKind = MetricKind::kSample;
  static constexpr bool kUsesMoments = false;

  Options options;

  void prepare(const LayerShape&, State&) const {}
  void observe(const Fisher<Number>&, State&) const {}
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State&, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State&, const LayerParams<Number>& x) const;
};

}  // namespace tempera
