// From inputs of Bernoulli units to their means, samples and free energies, for a block of 64 chains.
//
// Each chain has its own inverse temperature beta. A unit with input x has the logit
//   beta x + (1 - beta) r,
// where r is its bias in the reference machine at beta = 0 (0 where a layer has none).
//
// `input` points to 64 aligned floats for each unit of a range, beginning with its first.
//
// Formulas: docs/mathematics/randomness.md 6.3.
#pragma once

#include <span>

#include "tempera/core/letters.hpp"
#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// Words of Random123's Philox 4x32-10 at one value of counter word 0 for 64 chains: out[k][c] = word k of
/// chain first_chain + c.
using QuadDraws = std::array<std::array<std::uint32_t, kLanes>, 4>;
void draw_quad(const LaneStream& stream, std::uint32_t quad, QuadDraws& out);

/// Samples the units of a range: bit c of out[i] is 1 with probability sigmoid(beta_c input(i, c) + (1 -
/// beta_c) r_i). Lanes from `lanes` on become 0.
///
/// A unit is on when u < sigmoid(logit). The first 16 bits of u come from site `first_site` + i of the stream
/// and decide all but one unit in 65,536; these take 32 more bits (see core/random.hpp). u is thereby
/// resolved to 2^-48, and the probability is as exact as the sigmoid in float: absolute error below 1.2e-7,
/// relative error below 3e-7 + 7e-8 |logit| down to e^-87 (measured against double over all of [-87, 87];
/// both are tested). `first_site` and `units.first` must be multiples of kUnitAlignment. `reference` is empty
/// or has one entry for every unit of the layer.
void sample_units(const float* input, UnitRange units, const LaneFloats& beta,
                  std::span<const float> reference, Index lanes, const LaneStream& stream,
                  std::uint32_t first_site, BitLayer& out);

/// Samples letters of sites: each of the bits of a site is 0 but one, letter a with probability proportional
/// to exp(beta_c input(a, c) + (1 - beta_c) r_a). `input`: rows of letters.most() places for each site of the
/// range, beginning with its first; `reference` and `out` are of all sites. A site takes the 32 bits of site
/// first_site + s of the stream, of which 24 count: the probability of a letter is right to 2e-7.
/// `first_site` and `sites.first` must be multiples of 4. Lanes from `lanes` on become 0.
void sample_letters(const float* input, UnitRange sites, const Letters& letters, const LaneFloats& beta,
                    std::span<const float> reference, Index lanes, const LaneStream& stream,
                    std::uint32_t first_site, BitLayer& out);

/// Normal deviates, 64 aligned floats for each unit of a range from `out` on: those of sites `first_site` +
/// units.first ... of the stream (core/random.hpp), 64 chains side by side. Box & Muller (1958) in float: up
/// to 6.6 standard deviations, to about 1e-6. `first_site` and `units.first` must be multiples of
/// kUnitAlignment.
void sample_normals(UnitRange units, const LaneStream& stream, std::uint32_t first_site, float* out);

/// mean(i, c) = sigmoid(beta_c input(i, c)) for the units of a range; both matrices hold the whole layer.
void mean_units(const LaneMatrix& input, UnitRange units, const LaneFloats& beta, Index lanes,
                LaneMatrix& mean);

/// out[c] += sum_i softplus(beta_c input(i, c)), in double; the exponential of each term in float.
void add_softplus(const LaneMatrix& input, const LaneFloats& beta, Index lanes, LaneDoubles& out);

}  // namespace tempera
