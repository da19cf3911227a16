// kfac: Kronecker-factored covariances (Martens & Grosse 2015).
#pragma once

#include "tempera/train/metrics/metric.hpp"
#include "tempera/train/metrics/moments.hpp"

namespace tempera {

struct KfacOptions {
  double damping = kMomentDamping;   // lambda, added to the variance of every unit
  double memory = kMemory;           // updates that running means look back
  std::uint64_t refresh = kRefresh;  // updates between inversions
};

template <class Number>
struct KfacState {
  RunningMoments moments;
  /// Of the covariance of all units with biases, damped: (biases, biases).
  Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic> bias_inverse;
  /// Of the damped covariance of every layer that is coupled with another, one matrix after another.
  Flat<Number> layer_inverses;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("moments", s.moments...);
    f("bias_inverse", s.bias_inverse...);
    f("layer_inverses", s.layer_inverses...);
  }
};

/// P = (C_k + lambda I) (x) (C_{k+1} + lambda I) for the weights between two layers, C + lambda I for all
/// biases, C the covariance of the units. An update costs draws x units^2, every `refresh` updates units^3; a
/// solution multiplies the weights by a square matrix on both sides. Source: docs/mathematics/metrics.md 4.7;
/// of statistics that are not centred, docs/mathematics/spike-and-slab.md 5.13.
template <class Number>
struct KfacMetric {
  using Options = KfacOptions;
  using State = KfacState<Number>;
  static constexpr MetricKind kKind = MetricKind::kKfac;
  static constexpr bool kUsesMoments = true;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State& state,
                            const LayerParams<Number>& x) const;

  /// Inverts the factors of what has been seen. `observe` does so by itself when it is due.
  void invert(const LayerShape& shape, State& state) const;
};

}  // namespace tempera
