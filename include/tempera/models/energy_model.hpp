// What every Boltzmann machine of this library offers to the samplers, trainers and estimators.
//
// A model is an immutable value: the shape of a machine and its algebra, including the path of inverse
// temperatures from its reference machine (beta = 0) to itself (beta = 1). It holds no trained parameter, no
// generator and no cache. Parameters, states and memory are values that the caller owns:
//
//   Params   natural parameters, a Fielded struct of Eigen arrays
//   State    one block of 64 chains (all variables), a Fielded struct
//   Work     what is cached of one block: the input of the latents given the visibles ("infer"), so that free
//            energies at several betas, latent draws and statistics cost no further product
//   Scratch  memory of one task
//   Offsets  centring offsets of the sufficient statistics
//
// Products are made for a panel of consecutive blocks at a time, and for a part of a layer where there are
// fewer blocks than threads: no result depends on the panel or on the part. Lanes of a block beyond
// Work::lanes hold no chain; their bits are 0 and nothing of them is read.
#pragma once

#include <concepts>
#include <span>
#include <string_view>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/core/fields.hpp"
#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"
#include "tempera/kernels/products.hpp"

namespace tempera {

/// At most kMaxPanel consecutive blocks with what is cached of them and the inverse temperatures of their
/// chains.
template <class M>
struct Panel {
  std::span<typename M::State> states;
  std::span<typename M::Work> works;
  std::span<const LaneFloats> betas;

  [[nodiscard]] Index blocks() const { return static_cast<Index>(states.size()); }
};

/// A weight matrix with the biases of the units on its two sides, in parameters, gradients or moments.
template <class Weights, class Bias>
struct Coupling {
  Weights& weights;
  Bias& row_bias;
  Bias& column_bias;
};
template <class Weights, class Bias>
Coupling(Weights&, Bias&, Bias&) -> Coupling<Weights, Bias>;

/// Where training begins. Fields that a kind does not have are not read.
struct InitialValues {
  double weights = 0.01;           // standard deviation of normal weights
  double visible_precision = 0.0;  // 0: that of the data
  double spike_bias = 0.0;         // of all binary latents of spike-and-slab machines
  double spike_precision = 0.0;    // 0: none, also later
  double slab_mean = 0.0;
  double slab_precision = 1.0;
};

/// Parameters, gradients or directions of a machine whose statistics are layers x_0, x_1, ... and products of
/// neighbouring ones: what metrics (train/metric.hpp) calculate with, whatever the model.
template <class Number>
struct LayerParams {
  using Weights = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using Bias = Eigen::Matrix<Number, Eigen::Dynamic, 1>;
  std::vector<Weights> weights;  // [k]: layer k x layer k + 1; empty where these are not coupled
  std::vector<Bias> bias;        // of every layer; empty where it has none
};

/// Which statistics there are: a bias for every unit of a layer, a weight for every pair of neighbouring
/// layers. Layers may be empty.
struct LayerShape {
  std::vector<Index> sizes;
  std::vector<bool> biased;   // of every layer
  std::vector<bool> coupled;  // [k]: layers k and k + 1
  bool centred = true;        // whether units stand about their means where they are multiplied

  LayerShape() = default;
  /// A chain: every layer has biases and is coupled with the next.
  LayerShape(std::vector<Index> units)  // NOLINT(google-explicit-constructor)
      : sizes(std::move(units)),
        biased(sizes.size(), true),
        coupled(sizes.empty() ? 0 : sizes.size() - 1, true) {}

  [[nodiscard]] std::size_t layers() const { return sizes.size(); }
  [[nodiscard]] Index biases(std::size_t k) const { return biased[k] ? sizes[k] : 0; }
  [[nodiscard]] Index weights(std::size_t k) const { return coupled[k] ? sizes[k] * sizes[k + 1] : 0; }
  [[nodiscard]] Index units() const {
    return sum(layers(), [this](std::size_t k) { return sizes[k]; });
  }
  [[nodiscard]] Index biases() const {
    return sum(layers(), [this](std::size_t k) { return biases(k); });
  }
  [[nodiscard]] Index weights() const {
    return sum(coupled.size(), [this](std::size_t k) { return weights(k); });
  }
  [[nodiscard]] Index parameters() const { return weights() + biases(); }
  /// Whether the layer is coupled with any other.
  [[nodiscard]] bool has_weights(std::size_t k) const {
    return (k > 0 && weights(k - 1) > 0) || (k < coupled.size() && weights(k) > 0);
  }

 private:
  template <class F>
  static Index sum(std::size_t n, F&& f) {
    Index total = 0;
    for (std::size_t k = 0; k < n; ++k) total += f(k);
    return total;
  }
};

template <class M>
concept EnergyModel = Fielded<typename M::Params> && Fielded<typename M::State> &&
    Fielded<typename M::Offsets> && std::equality_comparable<M> &&
    requires(const M m, const typename M::Params& theta, typename M::Params& sums, typename M::State& x,
             const typename M::State& fixed, typename M::Work& work, typename M::Scratch& scratch,
             const Panel<M>& panel, UnitRange units, const LaneFloats& beta,
             std::span<const LaneFloats> weights, LaneDoubles& out, const LaneStream& stream, Index index,
             const typename M::Data& data, std::span<const Index> cases, LaneMatrix& values) {
  { M::kKind } -> std::convertible_to<std::string_view>;
  // Memory of a block with this many chains.
  { m.new_state() } -> std::same_as<typename M::State>;
  { m.new_work(index) } -> std::same_as<typename M::Work>;
  // Loads cases of a data set into the visibles of a block; other layers that a chain keeps become 0.
  m.load(data, cases, x);
  M::visibles_of(fixed);
  // A sweep resamples every unit once: stage after stage, each of which draws the units of one set given all
  // others, in parts. The last stage draws the latents given the visibles and leaves the cache current.
  { m.stages() } -> std::same_as<Index>;
  { m.stage_units(index) } -> std::same_as<Index>;
  m.resample(index, units, theta, panel, scratch, stream);
  // Latents given the visibles, for a part of the latents: fills the cache. One product.
  { m.latents() } -> std::same_as<Index>;
  m.infer(units, theta, panel, scratch);
  // Expected latents given the visibles at beta, from the cache, for accumulate.
  m.mean_latents(units, theta, panel);
  // Draws the latents at beta from the cache. No product.
  m.sample_latents(theta, beta, x, work, stream);
  // out[c] = -log sum_latents exp(-E_beta), from the cache. No product.
  m.free_energy(theta, beta, fixed, work, out);
  // sums += sum_c weight[c] E[-dE/dtheta | visibles of c] over any number of blocks, for one slice of the
  // parameters.
  { m.slices() } -> std::same_as<Index>;
  m.accumulate(theta, std::span<const typename M::State>(), std::span<const typename M::Work>(), weights,
               index, Sums::kAdd, scratch, sums);
  // Units of every layer, the visibles first, and the values of one: drawn, or expected latents.
  { m.layer_sizes() } -> std::convertible_to<std::vector<Index>>;
  m.layer_values(index, fixed, work, values);
};

/// Layers of Bernoulli units whose neighbours are connected, so that every statistic is a product of units of
/// two layers: what centring and metrics need.
template <class M>
concept HasLayers = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, typename M::Params& sums,
             const typename M::State& fixed, typename M::Work& work, Index index, LaneDoubles& out,
             typename M::Offsets& offsets) {
  // Sums of a slice with weights that add to 1, as means of the hidden units.
  m.note_means(index, theta, offsets);
  // Sets the expected latents of a block to those drawn: what `accumulate` then sums are plain statistics.
  m.unpack_latents(fixed, work);
  // out[c] = sum_k direction_k E[-dE/dtheta_k] for the expected latents of `work`; `probe` was inferred with
  // the direction for parameters. No product.
  m.score(theta, fixed, work, work, out);
  { M::to_layers(std::move(sums)) } -> std::same_as<LayerParams<float>>;
  { M::layer_offsets(offsets) } -> std::same_as<std::vector<const Vector*>>;
};

/// Statistics that are layers and products of neighbouring ones, of real values: what metrics need of
/// machines whose layers are not all of Bernoulli units.
template <class M>
concept HasStatistics = EnergyModel<M> &&
    requires(const M m, bool drawn, std::size_t layer, const typename M::Params& theta,
             typename M::Params& moved, typename M::Params& sums, const LayerParams<float>& step,
             const typename M::State& x, const typename M::Work& work, LaneMatrix& values) {
  { m.statistics_shape(theta) } -> std::same_as<LayerShape>;
  // Values of a layer for every chain, with latents as drawn or, from the cache, as expected.
  m.statistics_layer(layer, drawn, theta, x, work, values);
  // The gradient in the coordinates of the statistics, and the step that a direction in them is.
  { m.to_statistics(theta, sums) } -> std::same_as<LayerParams<float>>;
  m.move(step, moved);
};

/// Expected latents given data are not in closed form: a mean field bounds the likelihood.
template <class M>
concept HasMeanField = EnergyModel<M> &&
    requires(const M m, Index sweeps, const typename M::Params& theta, const typename M::State& x,
             typename M::Work& work, typename M::Scratch& scratch, LaneDoubles& out) {
  m.mean_field(sweeps, theta, work, scratch);
  m.variational_free_energy(theta, x, work, out);
  { m.clamped_units() } -> std::same_as<UnitRange>;
};

/// Expected latents given data are exact, and a mean field stands beside: `h_first` is which group it begins
/// with.
template <class M>
concept HasOptionalMeanField = EnergyModel<M> &&
    requires(const M m, Index sweeps, bool h_first, const typename M::Params& theta, typename M::Work& work) {
  m.mean_field(sweeps, h_first, theta, work);
};

/// The machine at beta = 0 is independent units: iid draws and an exact log Z.
template <class M>
concept HasReference = EnergyModel<M> &&
    requires(const M m, typename M::State& x, Index lanes, const LaneStream& stream) {
  m.sample_reference(lanes, x, stream);
  { m.reference_log_partition() } -> std::same_as<double>;
  // The parameters whose machine at beta = 1 it is.
  { m.reference_params() } -> std::same_as<typename M::Params>;
};

/// The latents given the visibles are independent, and the visibles given the latents can be summed out: what
/// jumps need.
template <class M>
concept HasLatentMarginal = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, const LaneFloats& beta, typename M::State& x,
             const typename M::State& fixed, const typename M::Work& work, Index lane,
             typename M::Scratch& scratch, LaneDoubles& out) {
  // Logits of each latent given the visibles of one chain, from the cache.
  { m.latent_logits(work, lane) } -> std::same_as<Vector>;
  { M::latents_of(x) } -> std::same_as<BitLayer&>;
  { M::latents_of(fixed) } -> std::same_as<const BitLayer&>;
  // out[c] = -log sum_visibles exp(-E_beta). One product.
  m.latent_free_energy(theta, beta, fixed, lane, scratch, out);
};

/// Parameters must be kept where the machine has a law.
template <class M>
concept HasProjection = EnergyModel<M> && requires(const M m, typename M::Params& theta, Vector& direction) {
  { m.project(theta, direction, true) } -> std::same_as<bool>;
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
