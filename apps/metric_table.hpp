// How near every metric is to the exact Fisher matrix of a small machine.
#pragma once

#include "options.hpp"
#include "tempera/services/listener.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera::apps {

/// One row per metric, each with "metric", "numbers" (that it keeps), "kl" (of Gaussians, KL(N(0, F) || N(0,
/// P)), nats), "condition" (largest over mean eigenvalue of P^-1 F, which bounds stable steps) and the
/// efficiencies of a step, (g'd)^2 / (d'F d g'F^-1 g), for gradients of noise, g ~ N(0, F), and of a signal,
/// g = F delta with delta in the weights (docs/mathematics/metrics.md 4.14). F is of the joint law, by
/// enumeration of the hidden units. Throws ConfigError where the machine is too large.
Json metric_table(const ModelFile<BernoulliRbm>& file, const Executor& executor, Listener& listener);

}  // namespace tempera::apps
