// What every Boltzmann machine of this library offers to the samplers, trainers and estimators.
//
// A model is an immutable value: the shape of a machine and its algebra, including the path of inverse
// temperatures from its reference machine (beta = 0) to itself (beta = 1). It holds no trained parameter, no
// generator and no cache. Parameters, states and scratch memory are values that the caller owns:
//
//   Params   natural parameters, a Fielded struct of Eigen arrays
//   State    one block of 64 chains (all variables), a Fielded struct
//   Work     scratch of one block; caches what depends on the visibles ("infer") so that free energies at
//            several betas, latent draws and statistics cost no further product
//   Offsets  centring offsets of the sufficient statistics
//
// Lanes of a block beyond the last chain hold valid but unused chains; their weight in every sum is 0.
#pragma once

#include <concepts>
#include <string_view>

#include "tempera/core/dataset.hpp"
#include "tempera/core/fields.hpp"
#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

template <class M>
concept EnergyModel = Fielded<typename M::Params> && Fielded<typename M::State> &&
    Fielded<typename M::Offsets> && std::equality_comparable<M> &&
    requires(const M m, const typename M::Params& theta, typename M::Params& gradient, typename M::State& x,
             const typename M::State& fixed, typename M::Work& work, const LaneFloats& beta, LaneDoubles& out,
             const LaneStream& stream, Index slice, const typename M::Offsets& offsets,
             const BinaryData& data, std::span<const Index> cases) {
  { M::kKind } -> std::convertible_to<std::string_view>;
  // Loads cases of a data set into the visibles of a block.
  m.load(data, cases, x);
  // Latents given the visibles: fills the cache of `work`. One product.
  m.infer(theta, fixed, work);
  // Draws the latents at beta from the cache. No product.
  m.sample_latents(theta, beta, x, work, stream);
  // Resamples every unit once, visibles first, and leaves p_beta invariant; leaves the cache current.
  m.sweep(theta, beta, x, work, stream);
  // out[c] = -log sum_latents exp(-E_beta), from the cache. No product.
  m.free_energy(theta, beta, fixed, work, out);
  // Expected latents given the visibles at beta, from the cache, for accumulate.
  m.mean_latents(theta, beta, work);
  // slice += sum_c weight[c] E[-dE/dtheta | visibles of c], for one slice of the parameters.
  m.accumulate(fixed, work, beta, slice, gradient);
  { m.slices() } -> std::same_as<Index>;
  { m.zero_slice(slice) } -> std::same_as<typename M::Params>;
  m.insert_slice(slice, theta, gradient);
  // Gradients into centred coordinates, directions back out of them.
  m.center(offsets, gradient);
  m.uncenter(offsets, gradient);
};

/// The machine at beta = 0 is independent units: iid draws and an exact log Z.
template <class M>
concept HasReference = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, typename M::State& x, typename M::Work& work,
             const LaneStream& stream) {
  m.sample_reference(theta, x, work, stream);
  { m.reference_log_partition() } -> std::same_as<double>;
};

/// log Z by enumeration, in chunks that any number of tasks can share.
template <class M>
concept HasExactLogZ = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, double beta, Index chunk) {
  { m.enumerated_units() } -> std::same_as<Index>;
  { m.exact_chunks() } -> std::same_as<Index>;
  { m.log_partition_chunk(theta, beta, chunk) } -> std::same_as<double>;
};

}  // namespace tempera
