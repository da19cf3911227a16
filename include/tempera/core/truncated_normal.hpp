// The standard normal law between two bounds, in either tail however far: nothing underflows or collapses
// onto a bound, since tails are kept as logarithms.
//
// Formulas: docs/mathematics/randomness.md 6.4.
#pragma once

namespace tempera {

/// log P(z > x). Relative error of the tail about 1e-11 everywhere.
[[nodiscard]] double log_normal_tail(double x);

/// log P(low < z < high), low < high.
[[nodiscard]] double log_normal_mass(double low, double high);

/// The point of [low, high] below which a share u in (0, 1) of the law between them lies: a draw, for a
/// uniform u. Newton's method on log_normal_tail, a concave function: it converges from any side.
[[nodiscard]] double truncated_normal_quantile(double low, double high, double u);

/// E[z | low < z < high].
[[nodiscard]] double truncated_normal_mean(double low, double high);

}  // namespace tempera
