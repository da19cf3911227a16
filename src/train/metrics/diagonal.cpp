#include "tempera/train/metrics/diagonal.hpp"

#include "parts.hpp"

namespace tempera {

template <class Number>
void DiagonalMetric<Number>::prepare(const LayerShape& shape, State& state) const {
  state = {Flat<Number>::Zero(shape.parameters()), Flat<Number>::Zero(shape.parameters())};
}

template <class Number>
void DiagonalMetric<Number>::observe(const Fisher<Number>& fisher, State& state) const {
  const LayerShape& shape = fisher.shape();
  const auto w = static_cast<Number>(new_weight(options.memory));
  const auto& x = fisher.layers();
  const auto& v = fisher.variances();
  for (std::size_t k = 0; k + 1 < shape.layers(); ++k) {
    if (!shape.coupled[k]) continue;
    const ProductMoments<Number> moments(x[k], v[k], x[k + 1], v[k + 1], fisher.weights());
    auto second = weights_part(state.second_moments, shape, k);
    auto first = weights_part(state.first_moments, shape, k);
    second += w * (moments.second - second);
    first += w * (moments.first - first);
  }
  Index at = shape.weights();
  const Flat<Number> weights = fisher.weights().template cast<Number>();
  for (std::size_t k = 0; k < shape.layers(); ++k) {
    const Index n = shape.biases(k);
    if (n == 0) continue;
    Flat<Number> second = x[k].cwiseAbs2() * weights;
    if (v[k].size() > 0) second += v[k] * weights;
    state.second_moments.segment(at, n) += w * (second - state.second_moments.segment(at, n));
    state.first_moments.segment(at, n) += w * (x[k] * weights - state.first_moments.segment(at, n));
    at += n;
  }
  state.weight += static_cast<double>(w) * (1.0 - state.weight);
  ++state.observed;
}

template <class Number>
Flat<Number> DiagonalMetric<Number>::variances(const State& state, double added) {
  const auto scale = static_cast<Number>(1.0 / state.weight);
  return ((state.second_moments.array() * scale - (state.first_moments.array() * scale).square())
              .max(Number{0}) +
          static_cast<Number>(added))
      .matrix();
}

template <class Number>
LayerParams<Number> DiagonalMetric<Number>::solve(const Fisher<Number>&, const State& state,
                                                  const LayerParams<Number>& g, SolveReport&) const {
  LayerParams<Number> d = g;
  unflatten(Flat<Number>(flatten(g).cwiseQuotient(variances(state, options.damping))), d);
  return d;
}

template <class Number>
LayerParams<Number> DiagonalMetric<Number>::apply(const Fisher<Number>&, const State& state,
                                                  const LayerParams<Number>& x) const {
  LayerParams<Number> y = x;
  unflatten(Flat<Number>(flatten(x).cwiseProduct(variances(state, options.damping))), y);
  return y;
}

template struct DiagonalMetric<float>;
template struct DiagonalMetric<double>;

}  // namespace tempera
