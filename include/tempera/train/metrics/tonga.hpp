// tonga: a Fisher matrix of low rank that forgets (Le Roux, Manzagol & Bengio 2007).
#pragma once

#include "tempera/train/metrics/diagonal.hpp"

namespace tempera {

struct TongaOptions {
  double damping = kFisherDamping;   // lambda, relative to the variance of each statistic
  double memory = kMemory;           // updates that the variances look back
  std::uint64_t refresh = kRefresh;  // updates between insertions of draws
  Index rank = 50;                   // directions that are kept
  double forgetting = 0.9;           // gamma, the part of C that stays at an insertion
};

template <class Number>
struct TongaState {
  DiagonalState<Number> moments;                     // of the statistics
  Flat<Number> whitener;                             // V (parameters): variances at the last insertion
  typename LayerParams<Number>::Weights directions;  // u (rank, parameters), u V^-1 u' = I
  Eigen::VectorXd eigenvalues;                       // e (rank): C = sum_r e_r u_r u_r'

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("moments", s.moments...);
    f("whitener", s.whitener...);
    f("directions", s.directions...);
    f("eigenvalues", s.eigenvalues...);
  }
};

/// P = C + lambda V, C the leading directions of a running mean of Fisher matrices. An insertion costs two
/// gradients for each draw and (rank + draws)^3; a solution two products with the directions.
/// Source: docs/mathematics/metrics.md 4.10.
template <class Number>
struct TongaMetric {
  using Options = TongaOptions;
  using State = TongaState<Number>;
  static constexpr MetricKind kKind = MetricKind::kTonga;
  static constexpr bool kUsesMoments = false;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const State& state, const LayerParams<Number>& g,
                            SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const State& state, const LayerParams<Number>& x) const;
};

}  // namespace tempera
