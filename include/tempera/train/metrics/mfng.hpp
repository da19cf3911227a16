// mfng: metric-free natural gradient (Desjardins, Pascanu, Courville & Bengio 2013).
#pragma once

#include "tempera/train/metrics/kfac.hpp"

namespace tempera {

enum class MfngSolver { kMinres, kCg };

template <>
struct Names<MfngSolver> {
  static constexpr std::array<NamedValue<MfngSolver>, 2> table{{
      {MfngSolver::kMinres, "minres", "residuals never grow (Paige & Saunders 1975)"},
      {MfngSolver::kCg, "cg", "conjugate gradients"},
  }};
};

enum class MfngPreconditioner { kNone, kKfac };

template <>
struct Names<MfngPreconditioner> {
  static constexpr std::array<NamedValue<MfngPreconditioner>, 2> table{{
      {MfngPreconditioner::kNone, "none", "the plain system"},
      {MfngPreconditioner::kKfac, "kfac", "with cg"},
  }};
};

struct MfngOptions {
  double damping = kFisherDamping;  // lambda, added to the diagonal of F
  MfngSolver solver = MfngSolver::kMinres;
  MfngPreconditioner preconditioner = MfngPreconditioner::kNone;
  KfacOptions factors;      // of the preconditioner
  Index iterations = 100;   // at most
  double tolerance = 1e-6;  // residual at which it stops, relative to |g|
  bool warm_start = false;  // begins at the guess that it is given, the last direction, else at 0
};

template <class Number>
struct MfngState {
  KfacState<Number> kfac;  // of the preconditioner; without one its arrays are empty

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("kfac", s.kfac...);
  }
};

/// P = F + lambda I, of which only products are formed. A solution costs two gradients an iteration.
/// Source: docs/mathematics/metrics.md 4.5.
template <class Number>
struct MfngMetric {
  using Options = MfngOptions;
  using State = MfngState<Number>;
  static constexpr MetricKind kKind = MetricKind::kMfng;
  static constexpr bool kUsesMoments = false;

  Options options;

  void prepare(const LayerShape& shape, State& state) const;
  void observe(const Fisher<Number>& fisher, State& state) const;
  /// `guess` counts where the options ask for a warm start and its size is that of the parameters.
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            const Flat<Number>& guess, SolveReport& report) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const State& state, const LayerParams<Number>& g,
                            SolveReport& report) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const State&, const LayerParams<Number>& x) const;
};

}  // namespace tempera
