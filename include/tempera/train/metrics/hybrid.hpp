// hybrid: kfac and the Fisher matrix of the draws, mixed.
#pragma once

#include "tempera/train/metrics/kfac.hpp"

namespace tempera {

struct HybridOptions {
  KfacOptions factors;
  double mixing = 0.6;  // alpha, the part of kfac, in (0, 1)
};

template <class Number>
struct HybridState {
  KfacState<Number> kfac;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("kfac", s.kfac...);
  }
};

/// P = alpha kfac + (1 - alpha) F. A solution costs two of kfac's and two gradients + draws x units^2 +
/// draws^3 / 3. Source: docs/mathematics/metrics.md 4.11.
template <class Number>
struct HybridMetric {
  using Options = HybridOptions;
  using State = HybridState<Number>;
  static constexpr MetricKind kKind = MetricKind::kHybrid;
  static constexpr bool kUsesMoments = false;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            SolveReport& report) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State& state,
                            const LayerParams<Number>& x) const;
};

}  // namespace tempera
