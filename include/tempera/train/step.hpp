// How far to go along a metric's direction.
#pragma once

#include "tempera/train/metric.hpp"

namespace tempera {

struct StepOptions {
  std::string controller = "fixed";  // fixed, kl, blocks2 or krylov
  double rate = 1.0;                 // steps are at most this many times the direction
  double radius = 0.1;               // of the trust region, nats of predicted KL
  Index directions = 5;              // of krylov
  double damping = 0.1;              // of krylov's projected problem
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
/// `precondition` is x -> P^-1 x; `report` may be null, which saves a score; `previous` the last step, empty
/// where there is none. Cost: a score for kl, two for blocks2; two products and a solution for every
/// direction of krylov.
template <class Number>
LayerParams<Number> take_step(
    const StepOptions& options, const Fisher<Number>& fisher, const LayerParams<Number>& g,
    LayerParams<Number> d, const Flat<Number>& previous,
    const std::function<LayerParams<Number>(const LayerParams<Number>&)>& precondition, StepReport* report);

}  // namespace tempera
