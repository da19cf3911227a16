// First-order optimisers as values: a struct of moments, and one step.
//
// Formulas: docs/mathematics/energies.md 1.6 and 1.8.
#pragma once

#include <string>
#include <vector>

#include "tempera/models/energy_model.hpp"
#include "tempera/parallel/tasks.hpp"

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

struct OptimizerStep {
  bool adam = false;
  double learning_rate = 0.0;
  double momentum = 0.0;
  double l1 = 0.0;
  double l2 = 0.0;
  double clip = 0.0;                // largest norm of the centred gradient; 0 does not clip
  std::uint64_t update = 1;         // counts from 1, for the bias correction of Adam (Kingma & Ba 2015)
  double average_weight = 0.0;      // of the new parameters in their running average
  std::vector<std::string> frozen;  // fields that stay as they are
};

struct StepNorms {
  double gradient = 0.0;  // of the centred gradient, before clipping
  double step = 0.0;      // in centred coordinates
  bool finite = true;     // whether every new parameter is
};

/// One step of ascent, in one pass over memory: centres `gradient` (G_W - g_a nu' - mu g_c' for offsets mu,
/// nu), turns it into a direction with decay of the weights, transforms that back to the plain parameters
/// (d_a - D_W nu, d_c - D_W' mu, so that offsets may move at any time without changing the law of the
/// machine; Melchior et al. 2016), adds it to `theta`, and moves `average` towards the result (nothing where
/// it is empty).
///
/// sgd: m <- momentum m + lr g. adam: beta1 = momentum or 0.9, beta2 = 0.999, epsilon = 1e-8. Where `clip`
/// may act, a first pass measures the norm. Machines without layers have no offsets: every field moves by
/// itself, precisions in the log domain (their gradient times themselves; x exp(d) for x + d), so that they
/// stay positive and zeros stay zero; their average is left to move_average, after a projection. The result
/// does not depend on the threads.
template <EnergyModel M>
StepNorms apply_gradient(const OptimizerStep& step, const typename M::Offsets& offsets,
                         const typename M::Params& gradient, typename M::Params& theta,
                         Optimizer<M>& optimizer, typename M::Params& average, const Workers& workers);

/// Moves the average towards the parameters; nothing where it is empty.
template <Fielded Params>
void move_average(const OptimizerStep& step, const Params& theta, Params& average) {
  if (size_of(average) == 0) return;
  for_each_field([&step](std::string_view, auto& mean,
                         const auto& x) { mean += static_cast<float>(step.average_weight) * (x - mean); },
                 average, theta);
}

}  // namespace tempera
