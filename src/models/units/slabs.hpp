// What the kinds of latents with slabs share: the parameters slab_mean (mu) and slab_precision (alpha) of
// every filter, and a state `slabs` in standard deviations of their prior.
#pragma once

#include <cmath>

#include "lanes.hpp"

namespace tempera {

/// What a filter whose gate is on adds to the log-weight of its units: beta^2 (x + alpha mu)^2 / (2 alpha) -
/// beta alpha mu^2 / 2. Multiplied out, since at beta = 1 the terms of mu^2 cancel.
template <class P, class X, class Beta>
auto strength(const P& p, Index m, const X& x, const Beta& beta) {
  using Result = std::conditional_t<std::is_arithmetic_v<Beta>, double, Lanes>;
  using Number = std::conditional_t<std::is_arithmetic_v<Beta>, double, float>;
  const auto alpha = static_cast<Number>(p.slab_precision.data()[m]);
  const auto mu = static_cast<Number>(p.slab_mean.data()[m]);
  return Result(beta * beta * x * (mu + x * (Number{0.5} / alpha)) +
                beta * (beta - Number{1}) * (Number{0.5} * alpha * mu * mu));
}

/// Gate times slab of filter m.
template <class L>
Lanes slab_amplitude(const typename L::Shape& s, const typename L::Params& p, const typename L::State& x,
                     Index m) {
  const float scale = 1.0F / std::sqrt(p.slab_precision.data()[m]);
  return bits_to_lanes(L::gate_bits(s, x, m)) * (scale * x.slabs.row(m).array());
}
template <class L>
Lanes natural_slab_amplitude(const typename L::Shape& s, const typename L::State& x, Index m) {
  return bits_to_lanes(L::gate_bits(s, x, m)) * x.slabs.row(m).array();
}

/// Slabs as themselves, no longer in standard deviations of their prior.
template <class P>
void unstandardise_slabs(const P& p, LaneMatrix& slabs) {
  for (Index m = 0; m < slabs.rows(); ++m) slabs.row(m) /= std::sqrt(p.slab_precision.data()[m]);
}

/// Expected gate times slab, from the expected gates.
template <class P>
void fill_slab_amplitudes(const P& p, UnitRange filters, const LatentInput& input, const LatentMeans& means) {
  for (Index m = filters.first; m < filters.last; ++m)
    means.amplitude.row(m) =
        (means.gate.row(m).array() *
         (p.slab_mean.data()[m] + input.filters.row(m).array() * (1.0F / p.slab_precision.data()[m])))
            .matrix();
}

/// sum_m log(2 pi / alpha_m) / 2, the constant of the slabs' prior.
template <class P>
double log_slab_constant(const P& p) {
  double sum = 0.0;
  for (Index m = 0; m < p.slab_precision.size(); ++m)
    sum += 0.5 * std::log(kTwoPi / static_cast<double>(p.slab_precision.data()[m]));
  return sum;
}

template <class P>
void set_initial_slabs(const InitialValues& values, P& p) {
  p.slab_mean.setConstant(static_cast<float>(values.slab_mean));
  p.slab_precision.setConstant(static_cast<float>(values.slab_precision));
}

/// A slab of this precision adds nothing to log Z.
template <class P>
void set_reference_slabs(P& p) {
  p.slab_precision.setConstant(static_cast<float>(kTwoPi));
}

}  // namespace tempera
