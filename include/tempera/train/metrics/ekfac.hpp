// ekfac: kfac's eigenvectors with the right variances between them (George, Laurent, Bouthillier, Ballas &
// Vincent 2018).
#pragma once

#include "tempera/train/metrics/metric.hpp"
#include "tempera/train/metrics/moments.hpp"

namespace tempera {

struct EkfacOptions {
  /// lambda, added to the variance of every unit with a bias; lambda^2 to the variances of products.
  double damping = kMomentDamping;
  double memory = kMemory;           // updates that running means look back
  std::uint64_t refresh = kRefresh;  // updates between eigenvectors
};

template <class Number>
struct EkfacState {
  RunningMoments moments;
  /// Of the covariance of all units with biases, damped: (biases, biases).
  Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic> bias_inverse;
  /// Eigenvectors U_k, columns, of the covariance of every layer that is coupled, one matrix after another.
  Flat<Number> bases;
  /// S, variances of the products of rotated units: (weights), row after row, coupling after coupling.
  Flat<Number> variances;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("moments", s.moments...);
    f("bias_inverse", s.bias_inverse...);
    f("bases", s.bases...);
    f("variances", s.variances...);
  }
};

/// P = (U_k (x) U_{k+1}) (diag(S) + lambda^2 I) (U_k (x) U_{k+1})' for the weights between two layers; biases
/// as in kfac. An update costs draws x (units^2 + weights), every `refresh` updates units^3; a solution
/// multiplies the weights by two square matrices on both sides. Source: docs/mathematics/metrics.md 4.8.
template <class Number>
struct EkfacMetric {
  using Options = EkfacOptions;
  using State = EkfacState<Number>;
  static constexpr MetricKind kKind = MetricKind::kEkfac;
  static constexpr bool kUsesMoments = true;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State& state,
                            const LayerParams<Number>& x) const;

  /// Eigenvectors of what has been seen, with the variances of kfac between them. `observe` does so by itself
  /// when it is due.
  void rotate(const LayerShape& shape, State& state) const;
};

}  // namespace tempera
