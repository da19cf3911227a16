// First-order optimisers as values: a struct of moments, and one pure step.
#pragma once

#include "tempera/models/bernoulli_rbm.hpp"
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
  double gradient_scale = 1.0;  // below 1 where the gradient is clipped
  std::uint64_t update = 1;     // counts from 1, for the bias correction of Adam (Kingma & Ba 2015)
};

/// Turns `gradient` (ascent, in place) into the direction to add to the parameters, decay included.
/// sgd: m <- momentum m + lr g. adam: beta1 = momentum or 0.9, beta2 = 0.999, epsilon = 1e-8.
template <EnergyModel M>
void direction_from_gradient(const OptimizerStep& step, const typename M::Params& theta,
                             Optimizer<M>& optimizer, typename M::Params& gradient, const Workers& workers);

/// Sum of squares over all fields, double, in a fixed order.
template <Fielded T>
double squared_norm(const T& value, const Workers& workers);

}  // namespace tempera
