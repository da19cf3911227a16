// From inputs of Bernoulli units to their means, samples and free energies, 64 chains at a time.
//
// Each chain has its own inverse temperature beta. A unit with input x has the logit
//   beta x + (1 - beta) r,
// where r is its bias in the reference machine at beta = 0 (0 where a layer has none).
#pragma once

#include <span>

#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// Raw words of Random123's Philox 4x32-10 for four sites of 64 chains: out[4 * k + ... ] is laid out as
/// out[k][c] = the draw of site 4 * quad + k of chain first_chain + c.
using QuadDraws = std::array<std::array<std::uint32_t, kLanes>, 4>;
void draw_quad(const LaneStream& stream, std::uint32_t quad, QuadDraws& out);

/// Samples every unit: bit c of out[i] is 1 with probability sigmoid(beta_c input(i, c) + (1 - beta_c) r_i).
///
/// A unit is on when u < sigmoid(logit), with u = (w + 1/2) / 2^24 and w the upper 24 bits of the draw of
/// site `first_site` + i (a multiple of 4). The probability is thereby resolved to 2^-24 (absolute error at
/// most 2^-24 plus 2e-7 of the float sigmoid). `reference` is empty or has one entry per unit.
void sample_units(const LaneMatrix& input, const LaneFloats& beta, std::span<const float> reference,
                  const LaneStream& stream, std::uint32_t first_site, BitLayer& out);

/// mean(i, c) = sigmoid(beta_c input(i, c)).
void mean_units(const LaneMatrix& input, const LaneFloats& beta, LaneMatrix& mean);

/// out[c] += sum_i softplus(beta_c input(i, c)), each term in float, summed in double over i in order.
void add_softplus(const LaneMatrix& input, const LaneFloats& beta, LaneDoubles& out);

}  // namespace tempera
