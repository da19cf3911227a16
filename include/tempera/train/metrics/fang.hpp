// fang: a Gaussian graphical model of the statistics (Grosse & Salakhutdinov 2015).
#pragma once

#include "tempera/train/metrics/metric.hpp"
#include "tempera/train/metrics/moments.hpp"

namespace tempera {

struct FangOptions {
  double damping = kMomentDamping;   // lambda, added to the variances of units and of residuals
  double memory = kMemory;           // updates that running means look back
  std::uint64_t refresh = kRefresh;  // updates between regressions
};

/// Numbers of weights stand row after row, coupling after coupling.
template <class Number>
struct FangState {
  RunningMoments moments;
  /// Inverse of the damped covariance of all units: (units, units).
  Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic> precision;
  Flat<Number> row_slopes;          // (weights): of x_i x_j on x_i
  Flat<Number> column_slopes;       // (weights): of x_i x_j on x_j
  Flat<Number> residual_variances;  // (weights): of what the two leave, damped

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("moments", s.moments...);
    f("precision", s.precision...);
    f("row_slopes", s.row_slopes...);
    f("column_slopes", s.column_slopes...);
    f("residual_variances", s.residual_variances...);
  }
};

/// P is the covariance of a model in which the units have any covariance and every product x_i x_j of coupled
/// ones depends on x_i and x_j alone. An update costs draws x units^2, every `refresh` updates units^3; a
/// solution a few passes over the weights. For Bernoulli units alone, of which x^2 is linear in x. Source:
/// docs/mathematics/metrics.md 4.9.
template <class Number>
struct FangMetric {
  using Options = FangOptions;
  using State = FangState<Number>;
  static constexpr MetricKind kKind = MetricKind::kFang;
  static constexpr bool kUsesMoments = true;

  Options options;
  LayerOffsets offsets;  // of the layers, which must outlive it

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State& state,
                            const LayerParams<Number>& x) const;

  /// Regressions and precision of what has been seen. `observe` makes them by itself when they are due.
  void regress(const LayerShape& shape, State& state) const;
};

}  // namespace tempera
