// First-order rules as values: moments, and one step.
#pragma once

#include "tempera/models/energy_model.hpp"
#include "tempera/parallel/tasks.hpp"
#include "tempera/train/plan.hpp"

namespace tempera {

/// Moments in centred coordinates, of the shapes of the parameters. Unused ones stay empty.
template <EnergyModel M>
struct Optimizer {
  typename M::Params first_moment;
  typename M::Params second_moment;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("first_moment", s.first_moment...);
    f("second_moment", s.second_moment...);
  }
};

/// One step of a first-order rule: which one, how long, and how many came before.
struct FirstOrderStep {
  const FirstOrderPlan& plan;
  double learning_rate = 0.0;
  std::uint64_t update = 1;  // counts from 1, for the bias correction of Adam (Kingma & Ba 2015)
};

struct StepNorms {
  double gradient = 0.0;  // of the centred gradient, before clipping
  double step = 0.0;      // in centred coordinates
  bool finite = true;     // whether every new parameter is
};

/// What a step moves.
template <EnergyModel M>
struct Moved {
  const typename M::Offsets& offsets;
  typename M::Params& theta;
  Optimizer<M>& optimizer;
};

/// One step of ascent, in one pass over memory: centres `gradient` (G_W - g_a nu' - mu g_c' for offsets mu,
/// nu), turns it into a direction with decay of the weights, transforms that back to the plain parameters
/// (d_a - D_W nu, d_c - D_W' mu, so that offsets may move at any time without changing the law of the
/// machine; Melchior et al. 2016), and adds it to the parameters.
///
/// sgd: m <- momentum m + lr g. adam: beta1 = momentum or 0.9, beta2 = 0.999, epsilon = 1e-8. Where the norm
/// is clipped, a first pass measures it. Source: docs/mathematics/energies.md 1.6 and 1.8. The result does
/// not depend on the threads.
template <HasLayers M>
StepNorms take_centred_step(const FirstOrderStep& step, const typename M::Params& gradient, Moved<M> moved,
                            const Executor& executor);

/// The same for machines without offsets: every field moves by itself, precisions in the log domain (their
/// gradient times themselves; x exp(d) for x + d), so that they stay positive and zeros stay zero.
template <EnergyModel M>
StepNorms take_plain_step(const FirstOrderStep& step, const typename M::Params& gradient, Moved<M> moved);

/// Moves the average towards the parameters by this part of the way; nothing where it is empty.
template <EnergyModel M>
void move_average(double part, const typename M::Params& theta, typename M::Params& average,
                  const Executor& executor);

}  // namespace tempera
