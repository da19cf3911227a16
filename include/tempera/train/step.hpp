// How far to go along a metric's direction.
#pragma once

#include <functional>

#include "tempera/core/names.hpp"
#include "tempera/train/fisher.hpp"

namespace tempera {

enum class StepControl { kFixed, kKl, kBlocks2, kKrylov };

template <>
struct Names<StepControl> {
  static constexpr std::array<NamedValue<StepControl>, 4> table{{
      {StepControl::kFixed, "fixed", "the rate"},
      {StepControl::kKl, "kl", "at most the radius"},
      {StepControl::kBlocks2, "blocks2", "biases and weights apart, at most the radius"},
      {StepControl::kKrylov, "krylov", "the best of several directions, at most the radius"},
  }};
};

struct StepOptions {
  StepControl control = StepControl::kFixed;
  double rate = 1.0;     // steps are at most this many times the direction
  double radius = 0.1;   // of the trust region, nats of predicted KL
  Index directions = 5;  // of krylov
  double damping = 0.1;  // of krylov's projected problem
};

/// Where krylov finds directions beside that of the metric; the others need none.
template <class Number>
struct KrylovSource {
  Flat<Number> previous;  // the last step, empty where there is none
  std::function<LayerParams<Number>(const LayerParams<Number>&)> precondition;  // x -> P^-1 x
};

struct StepReport {
  double predicted_kl = 0.0;    // 0.5 step'F step by the draws that control the step
  double predicted_gain = 0.0;  // g'step
  double cosine = 0.0;          // between g and the step
};

/// The step from gradient g and direction d = P^-1 g (both in centred coordinates).
///
/// fixed: rate d. kl: min(rate, sqrt(2 radius / q)) d with q = max(d'F d, g'd): where d was fitted to the
/// very draws of F, d'F d alone is optimistic. blocks2: biases and weights have a length each, the best ones
/// with 0.5 step'F step <= radius (docs/mathematics/metrics.md 4.12). krylov: the same in the space of the
/// last step, d and P^-1 F applied to it again and again (Vinyals & Povey 2012, with the projected Fisher
/// matrix in place of a line search).
///
/// `report` may be null, which saves a score. Cost: a score for kl, two for blocks2; two products and a
/// solution for every direction of krylov.
template <class Number>
LayerParams<Number> take_step(const StepOptions& options, const Fisher<Number>& fisher,
                              const LayerParams<Number>& g, LayerParams<Number> d,
                              const KrylovSource<Number>& krylov, StepReport* report);

}  // namespace tempera
