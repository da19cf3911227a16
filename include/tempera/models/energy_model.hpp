// What every Boltzmann machine of this library offers to samplers, trainers, estimators, files and commands:
// everything that code outside of models/ may call.
//
// A model is an immutable value: the shape of a machine and its algebra, including the path of inverse
// temperatures from its reference machine (beta = 0) to itself (beta = 1). It holds no trained parameter, no
// generator and no cache. Parameters, states and memory are values that the caller owns:
//
//   Shape       sizes, and what else tells machines of one kind apart
//   Reference   parameters of the machine at beta = 0, a Fielded struct whose first field is the visible
//               biases; its fields bear the names of the parameters that they stand for
//   Params      natural parameters, a Fielded struct of Eigen arrays
//   State       one block of 64 chains (all variables), a Fielded struct of layers (models/layers.hpp)
//   BlockCache  what is cached of one block: the input of the latents given the visibles ("latent_input"), so
//               that free energies at several betas, latent draws and statistics cost no further product
//   Scratch     memory of one task
//   Offsets     centring offsets of the sufficient statistics
//   Data        a data set of cases as the visibles take them
//
// "Visibles" are the values of a case; "latents" are what a free energy sums out. Products are made for a
// panel of consecutive blocks at a time, and for a part of a layer where there are fewer blocks than threads:
// no result depends on the panel or on the part. Lanes of a block beyond BlockCache::lanes hold no chain;
// their bits are 0 and nothing of them is read.
//
// The contract is the concept EnergyModel, in chapters that a missing member is reported by
// (models/all_models.hpp), and refinements that only some machines meet. A new kind of machine is a class
// that meets them, or a composition of units (models/units.hpp).
#pragma once

#include <concepts>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/field_shapes.hpp"
#include "tempera/core/fields.hpp"
#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"
#include "tempera/kernels/products.hpp"
#include "tempera/models/collapsed_machine.hpp"
#include "tempera/models/description.hpp"
#include "tempera/models/features.hpp"
#include "tempera/models/law_change.hpp"
#include "tempera/models/layer_shape.hpp"
#include "tempera/models/machine_options.hpp"
#include "tempera/models/pair_couplings.hpp"

namespace tempera {

/// At most kMaxPanel consecutive blocks with what is cached of them and the inverse temperatures of their
/// chains.
template <class M>
struct Panel {
  std::span<typename M::State> states;
  std::span<typename M::BlockCache> caches;
  std::span<const LaneFloats> betas;

  [[nodiscard]] Index blocks() const { return static_cast<Index>(states.size()); }
};

/// Said of machines whose visibles, given some state of the latents, have no precision left.
inline constexpr const char* kImproper =
    "the machine is improper: for some state of its latents the precision of the visibles is not positive, "
    "so it has no law";

/// A machine is the value of a shape and a reference.
template <class M>
concept MachineValue = Fielded<typename M::Params> && Fielded<typename M::State> &&
    Fielded<typename M::Offsets> && Fielded<typename M::Reference> &&
    std::equality_comparable<typename M::Shape> && std::equality_comparable<M> &&
    std::constructible_from<M, typename M::Shape, typename M::Reference> &&
    requires(const M m, const typename M::Shape& shape, const typename M::Data& data, Index lanes) {
  // The name of the visibles and the topology, and that of the latents: together they name the kind, in files
  // and to users.
  { M::kKind } -> std::convertible_to<std::string_view>;
  { M::kHiddenUnits } -> std::convertible_to<std::string_view>;
  // Whether a state of the visibles has a probability, which is at most 1, or a density.
  { M::kDiscrete } -> std::convertible_to<bool>;
  { m.shape() } -> std::same_as<const typename M::Shape&>;
  { m.reference() } -> std::same_as<const typename M::Reference&>;
  // Values of a case.
  { m.n_visible() } -> std::same_as<Index>;
  // The reference where nothing is known of the data: fair coins, or standard normal laws.
  { M::standard_reference(shape) } -> std::same_as<typename M::Reference>;
  // The machine of independent visibles that fits these cases best, smoothed so that constant columns stay
  // finite.
  { M::fit_reference(data) } -> std::same_as<typename M::Reference>;
  // All zero, of this shape; a cache for a block with this many chains.
  { m.zero_params() } -> std::same_as<typename M::Params>;
  { m.zero_offsets() } -> std::same_as<typename M::Offsets>;
  { m.new_state() } -> std::same_as<typename M::State>;
  { m.new_cache(lanes) } -> std::same_as<typename M::BlockCache>;
};

/// What a user may say of a machine, and where its training begins.
template <class M>
concept MachineOptionsKnown = requires(const M m, const MachineOptions& options, const InitialValues& initial,
                                       const typename M::Shape& shape, Index n_visible,
                                       const StreamFactory& streams, const Eigen::VectorXd& means) {
  // The shape that options ask for; `check` must have found nothing.
  { M::shape_from(options, n_visible) } -> std::same_as<typename M::Shape>;
  // What options break of this kind's rules, other than options that mean nothing with it: numbers of layers
  // and of units in a group, and options that exclude each other. Ranges of numbers are the caller's.
  { M::check(options, initial) } -> std::same_as<std::vector<Violation>>;
  { M::kFeatures } -> std::convertible_to<FeatureSet>;
  { M::defaults() } -> std::same_as<MachineDefaults>;
  // The field that must be free to move for the machine to keep a law, or empty.
  { M::law_field(options) } -> std::same_as<std::string_view>;
  // Standard deviation of the first weights where none is asked for.
  { M::default_weight_scale(initial, n_visible) } -> std::same_as<double>;
  // Where training begins: random weights, visibles of the reference machine. Cost: a draw for each weight.
  { m.initial_params(streams, initial) } -> std::same_as<typename M::Params>;
  // Offsets at the start: `means` of the data, and what may be expected of the latents.
  { m.initial_offsets(means) } -> std::same_as<typename M::Offsets>;
  { M::memory(shape) } -> std::same_as<MachineMemory>;
};

/// Sweeps, and the latents given the visibles.
template <class M>
concept MachineSampling = requires(const M m, const typename M::Params& theta, typename M::State& x,
                                   const typename M::State& fixed, typename M::BlockCache& cache,
                                   const typename M::BlockCache& cached, typename M::Scratch& scratch,
                                   const Panel<M>& panel, UnitRange units, const LaneFloats& beta,
                                   LaneDoubles& out, const LaneStream& stream, Index index,
                                   const typename M::Data& data, std::span<const Index> cases) {
  // Chains of the block that the cache belongs to.
  { cache.lanes } -> std::same_as<Index&>;
  // Loads up to 64 cases of a data set into the visibles of a block; other lanes, and other layers that a
  // chain keeps, become 0.
  m.load(data, cases, x);
  // The layer of the visibles.
  M::visibles_of(fixed);
  // A sweep resamples every unit once: stage after stage, each of which draws the units of one set given all
  // others, in parts that begin at multiples of kUnitAlignment. The last stage draws the latents given the
  // visibles and leaves the cache current. `stream`: the draws of this step, for the chains of the panel's
  // first block. Cost of a stage: one product. Allocates nothing once the scratch has grown.
  { m.stages() } -> std::same_as<Index>;
  { m.stage_units(index) } -> std::same_as<Index>;
  m.resample(index, units, theta, panel, scratch, stream);
  // Latents given the visibles, for a part of the latents: fills the cache. One product.
  { m.latents() } -> std::same_as<Index>;
  m.latent_input(units, theta, panel, scratch);
  // Expected latents given the visibles at beta, from the cache, for accumulate. No product.
  m.mean_latents(units, theta, panel);
  // Draws the latents at beta from the cache. No product. Every draw has a site of its own, so resample and
  // sample_latents may share a step.
  m.sample_latents(theta, beta, x, cached, stream);
  // out[c] = -log sum_latents exp(-E_beta), from the cache; 0 in lanes without a chain. No product.
  m.free_energy(theta, beta, fixed, cached, out);
};

/// Sums of statistics, and the values of layers.
template <class M>
concept MachineStatistics = requires(const M m, const typename M::Params& theta, typename M::Params& sums,
                                     const typename M::State& fixed, const typename M::BlockCache& cached,
                                     typename M::Scratch& scratch, std::span<const LaneFloats> weights,
                                     Index index, LaneMatrix& values, std::string_view field) {
  // sums += (or =) sum_c weight[c] E[-dE/dtheta | visibles of c] over any number of blocks, for one slice of
  // the parameters, along the fixed tree over blocks. Cost of all slices: one product.
  { m.slices() } -> std::same_as<Index>;
  m.accumulate(theta, std::span<const typename M::State>(), std::span<const typename M::BlockCache>(),
               weights, index, Sums::kAdd, scratch, sums);
  // Units of every layer, the visibles first; their names in files; and the values of one, units x 64:
  // visibles as they are, latents as expected.
  { m.layer_sizes() } -> std::convertible_to<std::vector<Index>>;
  { m.layer_names() } -> std::same_as<std::vector<std::string>>;
  m.layer_values(index, fixed, cached, values);
  // Whether weight decay acts on a field, and whether it holds positive numbers that training moves in the
  // log domain (zeros stay).
  { M::is_weight(field) } -> std::same_as<bool>;
  { M::is_precision(field) } -> std::same_as<bool>;
};

/// One case, and what is expected of the visibles.
template <class M>
concept MachineCases = requires(const M m, const typename M::Params& theta, const typename M::State& fixed,
                                typename M::Scratch& scratch, const typename M::Data& data, Index n_case,
                                LaneMatrix& values) {
  // Whether the expected latents given a case are exact. Else a mean field bounds its likelihood
  // (HasMeanField), where more units than the caller likes are to be enumerated: case_units().
  { M::kExactInference } -> std::convertible_to<bool>;
  { m.case_units() } -> std::same_as<Index>;
  // F(v) of one case at beta = 1, in double. Cost: 2^case_units() products of a vector.
  { m.free_energy(theta, data.row(n_case)) } -> std::same_as<double>;
  // Expected visibles given the latents, n_visible x 64, at beta = 1: for pictures. One product.
  m.mean_visible(theta, fixed, scratch, values);
};

/// Parameters and data that the machine can have.
template <class M>
concept MachineLaw = requires(const M m, const typename M::Params& theta, const typename M::Data& data,
                              const typename M::Reference& reference) {
  // Name of the first field that no machine of this kind can have, or empty: a precision out of range.
  { M::fault(theta) } -> std::same_as<std::string_view>;
  { M::reference_fault(reference) } -> std::same_as<std::string_view>;
  // Whether the machine is seen to have no law (kImproper), and whether that question is decided.
  { m.is_improper(theta) } -> std::same_as<bool>;
  { m.is_seen(theta) } -> std::same_as<bool>;
  // The first value that no state of the visibles has.
  { m.impossible_value(data) } -> std::same_as<std::optional<ImpossibleValue>>;
};

/// Models in files.
template <class M>
concept MachineFiles = requires(const M m, const FieldShapes& file, const typename M::Params& theta,
                                std::vector<typename M::State>& blocks, std::string_view field) {
  // The shape of a stored machine, from the shapes of its parameters, which must fit each other. Throws
  // DataError.
  { M::shape_from(file) } -> std::same_as<typename M::Shape>;
  // Shape of a field in files, where it is more than that of the array; else empty.
  { m.file_shape(field) } -> std::same_as<ArrayShape>;
  // Whether a file may leave the field out, which is then 0.
  { M::is_optional_field(field) } -> std::same_as<bool>;
  // Sizes under the names that users see, and all numbers that a file states beside the parameters.
  { m.shape_names() } -> std::same_as<std::vector<std::pair<std::string, Index>>>;
  { m.shape_attributes() } -> std::same_as<std::vector<ShapeAttribute>>;
  // States become what files hold, where chains keep something else (slabs in standard deviations).
  m.unstandardise(theta, blocks);
};

/// Filters and codes.
template <class M>
concept MachineFilters = requires(const M m, const typename M::Params& theta, const typename M::State& fixed,
                                  const typename M::BlockCache& cached, std::size_t code,
                                  LaneMatrix& values) {
  // Weights of the first hidden layer: one filter per column.
  { M::filters(theta) } -> std::same_as<const Matrix&>;
  { m.filter_grid() } -> std::same_as<FilterGrid>;
  // The field of Offsets that holds the mean of every filter's unit over the data, or empty.
  { M::kUsageOffsets } -> std::convertible_to<std::string_view>;
  // What data are encoded as, and its values, size x 64, from a cache with expected latents.
  { m.codes() } -> std::same_as<std::vector<Code>>;
  m.code_values(code, fixed, cached, values);
};

template <class M>
concept EnergyModel = MachineValue<M> && MachineOptionsKnown<M> && MachineSampling<M> &&
    MachineStatistics<M> && MachineCases<M> && MachineLaw<M> && MachineFiles<M> && MachineFilters<M>;

// --- refinements ---------------------------------------------------------------------------------------

namespace detail {
struct AnyCouplingVisitor {
  template <class... T>
  void operator()(T&&...) const {}
};
}  // namespace detail

/// Layers of Bernoulli units whose neighbours are connected, so that every statistic is a product of units of
/// two layers: what centring and metrics need.
template <class M>
concept HasLayers = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, typename M::Params& sums,
             const typename M::State& fixed, typename M::BlockCache& cache,
             const typename M::BlockCache& cached, Index index, LaneDoubles& out,
             typename M::Offsets& offsets, LayerParams<float>& layers) {
  // f(offsets of the rows, offsets of the columns, coupling of each struct...): what centring acts on. The
  // centred energy is -(v - mu)'W(h - nu) - a'(v - mu) - c'(h - nu) (Melchior et al. 2016).
  M::visit_couplings(detail::AnyCouplingVisitor{}, std::as_const(offsets), theta, sums);
  // Sums of a slice with weights that add to 1, as means of the hidden units.
  m.note_means(index, theta, offsets);
  // Sets the expected latents of a block to those drawn: what `accumulate` then sums are plain statistics.
  m.unpack_latents(fixed, cache);
  // out[c] = sum_k direction_k E[-dE/dtheta_k] for the expected latents of the last cache; that before it was
  // inferred with the direction for parameters. No product.
  m.score(theta, fixed, cached, cached, out);
  { M::to_layers(std::move(sums)) } -> std::same_as<LayerParams<float>>;
  { M::from_layers(std::move(layers)) } -> std::same_as<typename M::Params>;
  { M::layer_offsets(offsets) } -> std::same_as<std::vector<const Vector*>>;
};

/// Statistics that are layers and products of neighbouring ones, of real values: what metrics need of
/// machines whose layers are not all of Bernoulli units.
template <class M>
concept HasStatistics = EnergyModel<M> &&
    requires(const M m, bool drawn, std::size_t layer, const typename M::Params& theta,
             typename M::Params& moved, typename M::Params& sums, const LayerParams<float>& step,
             const typename M::State& x, const typename M::BlockCache& cache, LaneMatrix& values) {
  { m.statistics_shape(theta) } -> std::same_as<LayerShape>;
  // Values of a layer for every chain, with latents as drawn or, from the cache, as expected.
  m.statistics_layer(layer, drawn, theta, x, cache, values);
  // The gradient in the coordinates of the statistics, and the step that a direction in them is.
  { m.to_statistics(theta, sums) } -> std::same_as<LayerParams<float>>;
  m.move(step, moved);
};

/// A mean field of the latents stands in place of their exact law, or beside it where M::kExactInference.
template <class M>
concept HasMeanField = EnergyModel<M> &&
    requires(const M m, Index sweeps, bool odd_update, const typename M::Params& theta,
             const typename M::State& x, typename M::BlockCache& cache, typename M::Scratch& scratch,
             LaneDoubles& out) {
  // Expected latents of the block of a current cache by `sweeps` sweeps of a mean field at beta = 1. Groups
  // of units that take turns begin with another one in odd updates, where the order matters.
  m.mean_field(sweeps, odd_update, theta, cache, scratch);
  // out[c]: upper bound of the free energy of the visibles that these latents give.
  m.variational_free_energy(theta, x, cache, out);
};

/// Latents can be sampled with the visibles held: the units of stage 0 that are no visibles are drawn, then
/// those of stage 1.
template <class M>
concept HasClampedSweeps = EnergyModel<M> && requires(const M m) {
  { m.clamped_units() } -> std::same_as<UnitRange>;
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

/// The latents given the visibles are independent bits, and everything else can be summed or integrated out
/// (unless why_not_collapsible says otherwise): what jumps need.
template <class M>
concept HasLatentMarginal = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, const LaneFloats& beta, typename M::State& x,
             const typename M::State& fixed, const typename M::BlockCache& cache, Index lanes,
             typename M::Scratch& scratch, const LaneStream& stream, LaneMatrix& logits, LaneDoubles& out) {
  // Logits at beta = 1 of each latent given the visibles of every lane, from the cache.
  m.latent_logits(theta, cache, logits);
  { M::latents_of(x) } -> std::same_as<BitLayer&>;
  { M::latents_of(fixed) } -> std::same_as<const BitLayer&>;
  // out[c] = -log of the sum or integral of exp(-E_beta) over all but the latents.
  m.latent_free_energy(theta, beta, fixed, lanes, scratch, out);
  // Draws what a state holds beside latents and visibles given the latents, the visibles summed out.
  m.draw_given_latents(theta, beta, x, lanes, scratch, stream);
};

/// Latents can be taken out one by one: pruning of units.
template <class M>
concept HasRemovableLatents = HasLayers<M> && HasLatentMarginal<M> &&
    requires(const M m, const std::vector<Index>& kept, const typename M::Params& theta,
             const typename M::State& x) {
  // The machine, its parameters and a block of its chains with these latents alone, in this order.
  { m.with_latents(kept) } -> std::same_as<M>;
  { M::with_latents(kept, theta) } -> std::same_as<typename M::Params>;
  { M::with_latents(kept, x) } -> std::same_as<typename M::State>;
};

/// Laws with units held, at another temperature of all units, or a power of that of the visibles are machines
/// of the same kind (models/law_change.hpp).
template <class M>
concept HasLawChanges = EnergyModel<M> &&
    requires(const M m, const LawChange& change, const typename M::Params& theta,
             const typename M::State& x) {
  // Why not this one, in words, or empty.
  { M::why_not_changed(change) } -> std::same_as<std::string>;
  // The machine that has the law, and its parameters. A unit without couplings stands for a layer whose units
  // are all held.
  { m.changed(change) } -> std::same_as<M>;
  { m.changed(change, theta) } -> std::same_as<typename M::Params>;
  // A block of its chains as one of this machine, with the units that are held, and the first copy of
  // latents.
  { m.restored(change, x) } -> std::same_as<typename M::State>;
};

/// Parameters must be kept where the machine has a law.
template <class M>
concept HasProjection = EnergyModel<M> && requires(const M m, typename M::Params& theta, Vector& direction) {
  // `direction` (empty at first) is memory from one projection to the next; returns whether anything moved.
  { m.project(theta, direction, true) } -> std::same_as<bool>;
  { M::filters(theta) } -> std::same_as<Matrix&>;
};

/// Several parameters are one machine, and one of them is preferred.
template <class M>
concept HasGauge = EnergyModel<M> && requires(const M m, typename M::Params& theta) {
  // Moves to the preferred parameters of the same law; energies may move by a constant.
  m.fix_gauge(theta);
};

/// Cases are letters of sites.
template <class M>
concept HasLetters = EnergyModel<M> && std::same_as<typename M::Data, CategoricalData> &&
    requires(const M m, const typename M::Params& theta) {
  { m.letters() } -> std::same_as<const Letters&>;
  // Whether parameters are 0 at places that a site has no letter for.
  { m.is_settled(theta) } -> std::same_as<bool>;
};

/// Letters of sites interact through hidden units of 0 or 1.
template <class M>
concept HasCouplings = HasLetters<M> &&
    requires(const M m, const typename M::Params& theta, Index unit, std::optional<double> variance) {
  // The fields without hidden units, couplings 0; and what each hidden unit adds to both: exactly, or to
  // couplings alone where its variance given the visibles is averaged over data (models/pair_couplings.hpp).
  { m.couplings(theta) } -> std::same_as<PairCouplings>;
  { m.unit_couplings(theta, unit, variance) } -> std::same_as<UnitCouplings>;
};

/// Noise may be added to cases, which are real.
template <class M>
concept HasDataNoise = EnergyModel<M> &&
    requires(const M m, double standard_deviation, const LaneStream& stream, Index lanes,
             typename M::State& x) {
  m.add_noise(standard_deviation, stream, lanes, x);
};

/// Values of a case are real, and may be measured in other units: a machine of v = centre + scale u is one of
/// its kind in u as well.
template <class M>
concept HasUnits = EnergyModel<M> &&
    requires(const M m, const Standardisation& units, DoubleFields& fields,
             std::vector<typename M::State>& blocks, const typename M::Shape& shape) {
  // What changes leave it one of its kind; and whether values of 0 have a probability of their own.
  { m.unit_freedom() } -> std::same_as<UnitFreedom>;
  { M::kExactZeros } -> std::convertible_to<bool>;
  // The shape of the machine of u, where that of v is given.
  { M::in_units(shape, units) } -> std::same_as<typename M::Shape>;
  // Parameters, or the fields of a reference, of the machine of v become those of the machine of u. Returns
  // E(v) - E(u), which depends on no variable.
  { M::change_units(units, fields) } -> std::same_as<double>;
  // Visibles of blocks: u becomes v.
  M::unstandardise_visibles(units, blocks);
};

/// Filters are cells of tables, and a machine of simpler latents, `Simpler`, can find them first.
template <class M>
concept HasFilterTable = HasProjection<M> && HasProjection<typename M::Simpler> && requires(const M m) {
  { m.table() } -> std::same_as<FilterTable>;
};

/// log Z by enumeration, in chunks that any number of tasks can share.
template <class M>
concept HasExactLogZ = EnergyModel<M> &&
    requires(const M m, const typename M::Params& theta, double beta, Index chunk) {
  // log2 of the number of states, kNotEnumerable where they are infinitely many; beyond this many the machine
  // is not enumerated.
  { m.enumerated_units() } -> std::same_as<Index>;
  { M::kMaxEnumeratedUnits } -> std::convertible_to<Index>;
  // Why not, in words, or empty.
  { m.why_not_enumerable() } -> std::same_as<std::string>;
  { m.exact_chunks() } -> std::same_as<Index>;
  // log of the sum of exp(-E_beta) over the states of one chunk, everything else summed out; +infinity where
  // the machine is improper.
  { m.log_partition_chunk(theta, beta, chunk) } -> std::same_as<double>;
};

/// The machine collapsed onto binary units (models/collapsed_machine.hpp).
template <class M>
concept HasCollapsedMachine = EnergyModel<M> && requires(const M m, const typename M::Params& theta) {
  // Why there is none, in words, or empty.
  { m.why_not_collapsible() } -> std::same_as<std::string>;
  // In the state where every unit is off. The parameters must outlive it.
  { m.collapsed(theta) } -> std::same_as<std::unique_ptr<CollapsedMachine>>;
  // Its units: these layers (of layer_names()), one after another.
  { m.collapsed_layers() } -> std::same_as<std::vector<Index>>;
};

/// The machine of a shape of whose data nothing is known.
template <class M>
[[nodiscard]] M with_standard_reference(const typename M::Shape& shape) {
  return M(shape, M::standard_reference(shape));
}

/// What to say of a machine whose smaller layer is too large to be enumerated, or nothing.
[[nodiscard]] inline std::string why_too_many_units(Index units, Index most) {
  if (units <= most) return {};
  return "needs at most " + std::to_string(most) + " units in the smaller layer, this model has " +
         std::to_string(units);
}

}  // namespace tempera
