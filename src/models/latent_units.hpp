// What the kinds of latent units (models/latents.hpp) do for models/spike_slab.hpp: weights, expectations and
// draws of binary units from what the filters see, slabs summed out. Overloads for the shape of each kind.
//
// `input`: filters x 64, W'v. `quadratic`: spikes x 64, v' diag(Phi_i) v / 2.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bernoulli_units.hpp"
#include "lanes.hpp"
#include "tempera/models/latents.hpp"

namespace tempera {

inline Index filter_count(const HiddenUnits::Shape& s) { return s.n_hidden; }
inline Index filter_count(const PooledSpikes::Shape& s) { return s.n_spikes * s.n_slabs; }
inline Index filter_count(const BilinearBlocks::Shape& s) { return s.n_blocks * s.n_g * s.n_h; }

inline Index unit_count(const HiddenUnits::Shape& s) { return s.n_hidden; }
inline Index unit_count(const PooledSpikes::Shape& s) { return s.n_spikes; }
inline Index unit_count(const BilinearBlocks::Shape& s) { return s.n_blocks; }

/// Binary units of every kind, one kind after another.
inline std::vector<Index> binary_layers(const HiddenUnits::Shape& s) { return {s.n_hidden}; }
inline std::vector<Index> binary_layers(const PooledSpikes::Shape& s) { return {s.n_spikes}; }
inline std::vector<Index> binary_layers(const BilinearBlocks::Shape& s) {
  std::vector<Index> sizes = {s.n_blocks * s.n_g, s.n_blocks * s.n_h};
  if (s.gated) sizes.push_back(s.n_blocks);
  return sizes;
}

inline Index total(const std::vector<Index>& sizes) {
  Index sum = 0;
  for (const Index n : sizes) sum += n;
  return sum;
}

/// Bits of a filter's gate.
inline Word gate_bits(const HiddenUnits::Shape&, const HiddenUnits::State& x, Index m) {
  return x.hidden[static_cast<std::size_t>(m)];
}
inline Word gate_bits(const PooledSpikes::Shape& s, const PooledSpikes::State& x, Index m) {
  return x.spikes[static_cast<std::size_t>(m / s.n_slabs)];
}
inline Word gate_bits(const BilinearBlocks::Shape& s, const BilinearBlocks::State& x, Index m) {
  const Index pairs = s.n_g * s.n_h;
  const Index block = m / pairs;
  const Index i = m % pairs / s.n_h;
  const Index j = m % s.n_h;
  Word bits =
      x.g[static_cast<std::size_t>(block * s.n_g + i)] & x.h[static_cast<std::size_t>(block * s.n_h + j)];
  if (s.gated) bits &= x.gate[static_cast<std::size_t>(block)];
  return bits;
}

inline Lanes bits_to_lanes(Word bits) {
  Lanes out;
  for (Index c = 0; c < kLanes; ++c) out[c] = static_cast<float>(bits >> c & 1);
  return out;
}

/// What a filter whose gate is on adds to the log-weight of its units: beta^2 (x + alpha mu)^2 / (2 alpha) -
/// beta alpha mu^2 / 2, or beta x without slabs. Multiplied out, since at beta = 1 the terms of mu^2 cancel.
template <class Latent, class X, class Beta>
auto strength(const Latent& p, Index m, const X& x, const Beta& beta) {
  using Result = std::conditional_t<std::is_arithmetic_v<Beta>, double, Lanes>;
  using Number = std::conditional_t<std::is_arithmetic_v<Beta>, double, float>;
  if constexpr (std::is_same_v<Latent, HiddenUnits::Params>) {
    return Result(beta * x);
  } else {
    const auto alpha = static_cast<Number>(p.slab_precision.data()[m]);
    const auto mu = static_cast<Number>(p.slab_mean.data()[m]);
    return Result(beta * beta * x * (mu + x * (Number{0.5} / alpha)) +
                  beta * (beta - Number{1}) * (Number{0.5} * alpha * mu * mu));
  }
}

/// Bit sites that the units of a range take, before it and in all.
inline Index sites_before(const HiddenUnits::Shape&, Index unit) { return unit; }
inline Index sites_before(const PooledSpikes::Shape&, Index unit) { return unit; }
inline Index sites_before(const BilinearBlocks::Shape& s, Index unit) {
  return unit * (kUnitAlignment + aligned_units(std::max(s.n_g, s.n_h)));
}

HiddenUnits::Params zero_latents(const HiddenUnits::Shape& s, Index n_visible, bool spike_precision);
PooledSpikes::Params zero_latents(const PooledSpikes::Shape& s, Index n_visible, bool spike_precision);
BilinearBlocks::Params zero_latents(const BilinearBlocks::Shape& s, Index n_visible, bool spike_precision);

void set_biases(HiddenUnits::Params& p, float value);
void set_biases(PooledSpikes::Params& p, float value);
void set_biases(BilinearBlocks::Params& p, float value);

HiddenUnits::State new_latents(const HiddenUnits::Shape& s);
PooledSpikes::State new_latents(const PooledSpikes::Shape& s);
BilinearBlocks::State new_latents(const BilinearBlocks::Shape& s);

/// out[c] += log of what the latents give to the weight of the visibles of chain c.
template <class S, class P>
void add_log_weights(const S& s, const P& p, const LaneMatrix& input, const LaneMatrix& quadratic,
                     const LaneFloats& betas, Index lanes, LaneDoubles& out);
void add_log_weights(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, const LaneMatrix& input,
                     const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes, LaneDoubles& out);

/// The same of one case, in double.
double log_weight_of(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd& quadratic);
double log_weight_of(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd& quadratic);
double log_weight_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd& quadratic);

/// Expected gates and binary units of a range of units.
template <class S, class P>
void expect_units(const S& s, const P& p, UnitRange range, const LaneMatrix& input,
                  const LaneMatrix& quadratic, const LaneFloats& betas, LaneMatrix& gate, LaneMatrix& units);
void expect_units(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas,
                  LaneMatrix& gate, LaneMatrix& units);

/// The same of all blocks by the mean field of independent g, h and gates, at beta = 1: sweeps of g given h
/// and h given g, from the biases.
void mean_field_units(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, Index sweeps,
                      bool h_first, const LaneMatrix& input, LaneMatrix& gate, LaneMatrix& units);

/// Draws the binary units of a range.
void draw_latents(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, HiddenUnits::State& x);
void draw_latents(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, PooledSpikes::State& x);
void draw_latents(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, BilinearBlocks::State& x);

/// Fair coins.
void draw_fair(const HiddenUnits::Shape& s, Index lanes, const LaneStream& stream, Index first_site,
               HiddenUnits::State& x);
void draw_fair(const PooledSpikes::Shape& s, Index lanes, const LaneStream& stream, Index first_site,
               PooledSpikes::State& x);
void draw_fair(const BilinearBlocks::Shape& s, Index lanes, const LaneStream& stream, Index first_site,
               BilinearBlocks::State& x);

/// Adds sums of expected binary units, one kind after another, to the biases.
void put_bias_sums(const HiddenUnits::Shape& s, const Vector& units, HiddenUnits::Params& sums);
void put_bias_sums(const PooledSpikes::Shape& s, const Vector& units, PooledSpikes::Params& sums);
void put_bias_sums(const BilinearBlocks::Shape& s, const Vector& units, BilinearBlocks::Params& sums);

/// Binary latents of one state of an enumeration: log of their own weight, spikes that are on, and the
/// filters whose gate is on.
struct Configuration {
  double log_weight = 0.0;
  std::vector<Index> active;
  std::vector<Index> spikes;
};
Configuration configuration_of(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, double beta,
                               Word state);
Configuration configuration_of(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, double beta,
                               Word state);
Configuration configuration_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, double beta,
                               Word state);

/// Shape of a field in files, where it is more than that of the array; else empty.
std::vector<std::uint64_t> file_dims(const HiddenUnits::Shape& s, Index n_visible, std::string_view field);
std::vector<std::uint64_t> file_dims(const PooledSpikes::Shape& s, Index n_visible, std::string_view field);
std::vector<std::uint64_t> file_dims(const BilinearBlocks::Shape& s, Index n_visible, std::string_view field);

std::vector<std::pair<std::string, Index>> names_of(const HiddenUnits::Shape& s);
std::vector<std::pair<std::string, Index>> names_of(const PooledSpikes::Shape& s);
std::vector<std::pair<std::string, Index>> names_of(const BilinearBlocks::Shape& s);

}  // namespace tempera
