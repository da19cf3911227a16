// Kinds of units: what a machine is composed of (models/spike_slab.hpp). A kind is one struct of types, facts
// and static functions; a machine asks the facts and calls the functions, and knows nothing else of it. A new
// kind is one header in models/units/ with one source.
//
// With `n` visibles and filters W (n x filters), a machine of visibles V and latents L has the energy
//
//   E(v, x) = V's own energy of v - sum_m a_m W_m'v + L's own energy of x  [+ 1/2 v' diag(Phi x) v],
//
// where the amplitude a_m of a filter is made of the latents x: a bit, a bit times a slab, or a real number.
//
// The tempering path multiplies everything with latents by beta, but for quadratic terms of real latents, and
// interpolates V's energy: E_beta = (1 - beta) E_reference + beta E_own. So every coefficient of V is (1 -
// beta) times the reference's plus beta times its own, and beta = 0 is independent visibles and latents of
// known law, whatever the parameters.
//
// `lanes`: chains of a block. `betas`: their inverse temperatures. Numbers of a unit for 64 chains are a row
// of a LaneMatrix.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.4 and 5.5.
#pragma once

#include <algorithm>
#include <concepts>
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
#include "tempera/models/description.hpp"
#include "tempera/models/features.hpp"
#include "tempera/models/layer_shape.hpp"
#include "tempera/models/machine_options.hpp"

namespace tempera {

/// One number for each chain of a block.
using Lanes = Eigen::Array<float, 1, kLanes>;

/// Layers of statistics of a composed machine, each in units in which it has no dimension: visibles v in
/// standard deviations of the reference; amplitudes of filters; squares -v^2 / 2 of visibles in variances of
/// the reference; binary units of machines with slabs; slab means and precisions, as derivatives of the
/// energy; other parameters of the visibles. What a kind does not have is empty. Visibles x amplitudes are
/// the filters, squares x binary units the precisions that spikes give.
enum StatisticsLayer : std::size_t {
  kVisibleStatistics,
  kAmplitudeStatistics,
  kSquareStatistics,
  kUnitStatistics,
  kSlabMeanStatistics,
  kSlabPrecisionStatistics,
  kOwnStatistics,
  kStatisticsLayers
};

namespace detail {
struct AnyStatisticVisitor {
  template <class... T>
  void operator()(T&&...) const {}
};
}  // namespace detail

/// What a part of the visibles of one block is drawn from: what the latents give to it, before it is
/// multiplied by beta: their drive W a and what they add to the precision (null where nothing). Rows of 64
/// lanes, from the first unit of the part. `box`: bounds of the absolute values of all visibles, or null.
struct VisibleInput {
  UnitRange part;
  const float* drive = nullptr;
  const float* precision = nullptr;
  const float* box = nullptr;
};

/// Memory of the units' functions, grown on first use.
struct UnitScratch {
  BitLayer bits;
  Vector no_bias;
  PackedPanel packed;
  ProductScratch products;
};

/// A kind of visible units: their own part of the energy, their law given what the latents give them, and
/// their reference machine. `reference` and `own` are the parameters at beta = 0 and at beta = 1.
template <class V>
concept VisibleUnits = Fielded<typename V::Params> &&
    std::same_as<typename V::Reference, typename V::Params> &&
    requires(const typename V::Params& own, const typename V::Reference& reference,
             typename V::Params& moving, typename V::Layer& v, const typename V::Layer& fixed,
             const typename V::Data& data, std::span<const Index> cases,
             std::span<const typename V::Value> row, Index n, Index d, const InitialValues& initial,
             const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
             UnitScratch& scratch, LaneDoubles& out, double beta, const Eigen::VectorXd& values,
             const Eigen::Ref<const Vector>& weight, LaneMatrix& memory, const Matrix& weights,
             UnitRange filters, LayerParams<float>& statistics, const float* box) {
  // --- facts -------------------------------------------------------------------------------------------
  // Parts of the names of machines: "gaussian-" + "rbm" without slabs, "" + "ssrbm" with them.
  { V::kRbmPrefix } -> std::convertible_to<std::string_view>;
  { V::kSlabPrefix } -> std::convertible_to<std::string_view>;
  // Whether a state has a probability (at most 1), or a density.
  { V::kDiscrete } -> std::convertible_to<bool>;
  // Whether log Z is the sum over the states of the visibles, with the latents summed out: these are cases.
  // Else the visibles given the latents are integrated: needs mixture_terms.
  { V::kEnumerable } -> std::convertible_to<bool>;
  // Whether they have a law whatever the latents give them. Else they have a precision: needs precision().
  { V::kAlwaysProper } -> std::convertible_to<bool>;
  // Whether the latents may add to their precision; whether they may be restricted to a box; whether they are
  // Gaussian given the latents, so that slabs can be drawn with the visibles integrated out.
  { V::kTakesPrecision } -> std::convertible_to<bool>;
  { V::kBox } -> std::convertible_to<bool>;
  { V::kGaussian } -> std::convertible_to<bool>;
  // Whether the gradient of their bias is a statistic of the layer v; else it is one of their own layer.
  { V::kBiased } -> std::convertible_to<bool>;
  // What options mean something with them, whatever the latents.
  { V::kFeatures } -> std::convertible_to<FeatureSet>;
  // Bits that an enumeration gives to n visibles.
  { V::enumerated_bits(n) } -> std::same_as<Index>;
  // Sizes of the layers of their squares, and of their own statistics.
  { V::square_statistics(n) } -> std::same_as<Index>;
  { V::own_statistics(n) } -> std::same_as<Index>;

  // --- values ------------------------------------------------------------------------------------------
  { V::new_layer(n) } -> std::same_as<typename V::Layer>;
  { V::zero_params(n) } -> std::same_as<typename V::Params>;
  { V::standard_reference(n) } -> std::same_as<typename V::Reference>;
  { V::fit_reference(data) } -> std::same_as<typename V::Reference>;
  // The visibles of training's first machine.
  { V::initial(reference, initial) } -> std::same_as<typename V::Params>;
  // Up to 64 cases into a block; other lanes become 0.
  V::load(data, cases, v);
  // A case as n numbers.
  { V::case_values(row, n) } -> std::same_as<Eigen::VectorXd>;
  // A layer as 64 numbers for each unit, in place or in the memory given.
  { V::as_real(fixed, memory) } -> std::same_as<const LaneMatrix&>;

  // --- laws --------------------------------------------------------------------------------------------
  // What filters see of a block, W'v, for a range of them: rows of `memory`. One product.
  V::filter_input(weights, fixed, lanes, filters, scratch, memory);
  // Draws a part of the visibles of a block given the latents, at sites 0 ... n - 1 of the stream.
  V::sample(reference, own, input, betas, lanes, stream, scratch, v);
  // Expected value of unit d given the latents at beta = 1; input: rows of that unit.
  { V::mean(own, d, input) } -> std::same_as<Lanes>;
  // out[c] += energy of the visibles alone; and that of one case, in double.
  V::add_energies(reference, own, betas, fixed, lanes, out);
  { V::energy(reference, own, beta, values) } -> std::same_as<double>;
  // log Z of the reference, its visibles within the box where there is one (null: none).
  { V::log_partition(reference, box) } -> std::same_as<double>;

  // --- statistics --------------------------------------------------------------------------------------
  // Weighted sums of -dE/d(own) over the chains of a block.
  { V::sums(own, fixed, weight) } -> std::same_as<typename V::Params>;
  // What visible d is multiplied by to have no dimension.
  { V::scale(reference, d) } -> std::same_as<float>;
  // Values of the layers of squares and of own statistics, as rows of `memory`.
  V::fill_squares(reference, fixed, memory);
  V::fill_own_statistics(reference, own, fixed, memory);
  // f(component in the statistics, parameter, unit, whether it is a precision) for every parameter: the
  // parameter is its component times the unit.
  V::visit_statistics(detail::AnyStatisticVisitor{}, reference, moving, statistics);
} &&(!V::kEnumerable || std::same_as<typename V::Value, Word>)&&(
    V::kEnumerable ||
    requires(const typename V::Params& own, double beta, std::span<const Word> state,
             Eigen::VectorXd& numbers, double& log_weight) {
      // The visibles as one component of a mixture of Gaussians: precision and linear term of each at beta,
      // 1 for those that latents see and 0 for others, and what the state of their bits adds to the
      // log-weight.
      V::mixture_terms(own, own, beta, state, numbers, numbers, numbers, log_weight);
    }) &&
    (V::kAlwaysProper || requires(const typename V::Params& own, typename V::Params& moving) {
      { V::precision(own) } -> std::same_as<const Vector&>;
      { V::precision(moving) } -> std::same_as<Vector&>;
    });

/// What the latents of one block see: W'v of every filter, and v' diag(Phi_i) v / 2 of every spike, which is
/// 0 where Phi is.
struct LatentInput {
  const LaneMatrix& filters;
  const LaneMatrix& quadratic;
};

/// Expectations given the visibles: of every filter's gate, of its amplitude, and of the units, one layer
/// after another.
struct LatentMeans {
  LaneMatrix& gate;
  LaneMatrix& amplitude;
  LaneMatrix& units;
};

/// Latents of one state of an enumeration: log of their own weight, spikes that are on, and the filters whose
/// gate is on.
struct Configuration {
  double log_weight = 0.0;
  std::vector<Index> active;
  std::vector<Index> spikes;
};

/// Sizes of latents, as doubles: a shape may be absurd.
struct LatentCounts {
  double filters = 0.0;
  double units = 0.0;
  double parameters = 0.0;
};

/// A kind of latent units: which units there are, and what amplitudes they give to the filters. Units are
/// grouped so that, given the visibles, groups are independent: a hidden unit, a spike with its slabs, or a
/// block of two factor groups. A group has filters side by side, as many as any other group.
template <class L>
concept LatentUnits = Fielded<typename L::Params> && Fielded<typename L::State> &&
    std::equality_comparable<typename L::Shape> &&
    requires(const typename L::Shape& shape, const typename L::Params& p, typename L::Params& moving,
             typename L::State& x, const typename L::State& fixed, Index n, UnitRange groups,
             const LatentInput& input, const LatentMeans& means, const LaneFloats& betas, Index lanes,
             const LaneStream& stream, double beta, LaneDoubles& out, const Eigen::VectorXd& numbers,
             const Vector& sums, LaneMatrix& values, const InitialValues& initial,
             const MachineOptions& options, const FieldShapes& file, const ArrayShape& weights,
             std::string_view field, std::string_view kind, bool precision) {
  // --- facts -------------------------------------------------------------------------------------------
  // Part of the name of machines, and the name of the units in files.
  { L::kSuffix } -> std::convertible_to<std::string_view>;
  { L::kHiddenUnits } -> std::convertible_to<std::string_view>;
  // Whether amplitudes are bits times slabs, which have parameters slab_mean and slab_precision and are kept
  // as `slabs` in standard deviations of their prior: needs gate_bits.
  { L::kSlabs } -> std::convertible_to<bool>;
  // Whether a group may give the visibles a precision (parameter spike_precision, Phi).
  { L::kGivesPrecision } -> std::convertible_to<bool>;
  // Whether their states are finitely many: needs configuration. Else they are summed out in closed form
  // only.
  { L::kEnumerable } -> std::convertible_to<bool>;
  // Whether they have a mean field beside their exact law: needs mean_field.
  { L::kMeanField } -> std::convertible_to<bool>;
  // Whether the norm of a group's amplitudes is a code of its own.
  { L::kPools } -> std::convertible_to<bool>;
  // Whether an input that the filters always have makes latents of the same units: needs add_input.
  { L::kTakesInput } -> std::convertible_to<bool>;
  // Whether filters are cells of tables: needs table, and simpler latents, `Simpler`, that find filters
  // first.
  { L::kTable } -> std::convertible_to<bool>;
  { L::kFeatures } -> std::convertible_to<FeatureSet>;
  // Names of the axes of the weights after the first, in files: "n_spikes, n_slabs".
  { L::kAxes } -> std::convertible_to<std::string_view>;

  // --- shapes ------------------------------------------------------------------------------------------
  { L::groups(shape) } -> std::same_as<Index>;
  { L::filters(shape) } -> std::same_as<Index>;
  { L::counts(shape) } -> std::same_as<LatentCounts>;
  // Units of every layer, one layer after another, and their names.
  { L::layers(shape) } -> std::same_as<std::vector<Index>>;
  { L::layer_names(shape) } -> std::same_as<std::vector<std::string>>;
  // From options, which `check` found nothing wrong with; and from the shape of the weights in a file, which
  // is (n_visible, kAxes...) of sizes above 0. Throws DataError.
  { L::shape_from(options) } -> std::same_as<typename L::Shape>;
  { L::shape_from(file, weights) } -> std::same_as<typename L::Shape>;
  { L::check(kind, options) } -> std::same_as<std::vector<Violation>>;
  { L::shape_names(shape) } -> std::same_as<std::vector<std::pair<std::string, Index>>>;
  // Shape of a field in files, where it is more than that of the array; else empty.
  { L::file_shape(shape, n, field) } -> std::same_as<ArrayShape>;
  { L::filter_grid(shape) } -> std::same_as<FilterGrid>;
  // That of n copies of these latents, without some that have no slabs.
  { L::left(shape, std::size_t{}, n) } -> std::same_as<typename L::Shape>;

  // --- values ------------------------------------------------------------------------------------------
  // `precision`: whether they give one to the visibles.
  { L::zero_params(shape, n, precision) } -> std::same_as<typename L::Params>;
  { L::new_state(shape) } -> std::same_as<typename L::State>;
  // The latents of training's first machine, but for Phi.
  L::set_initial(initial, moving);
  // Zeros become those parameters whose machine at beta = 1 is that of beta = 0.
  L::set_reference(moving);
  // Amplitude of a filter, from a state of chains; and from one that unstandardise has made natural.
  { L::amplitude(shape, p, fixed, n) } -> std::same_as<Lanes>;
  { L::natural_amplitude(shape, fixed, n) } -> std::same_as<Lanes>;
  L::unstandardise(p, x);
  // Units of a state, one layer after another, as numbers.
  L::fill_units(fixed, values);

  // --- laws --------------------------------------------------------------------------------------------
  // Bit and number sites that draws of the units take.
  { L::sites(shape) } -> std::same_as<Index>;
  // Draws the units of some groups given the visibles, but for their slabs.
  L::sample(shape, p, groups, input, betas, lanes, stream, n, x);
  // Draws all units at beta = 0, but for slabs; log Z of that law.
  L::sample_reference(shape, lanes, stream, n, x);
  { L::reference_log_partition(shape) } -> std::same_as<double>;
  // out[c] += log of what the latents give to the weight of the visibles, summed out, but for a constant that
  // counts beta times; the same of one case, in double; and that constant.
  L::add_log_weights(shape, p, input, betas, lanes, out);
  { L::log_weight(shape, p, beta, numbers, numbers) } -> std::same_as<double>;
  { L::log_constant(p) } -> std::same_as<double>;
  // Expectations given the visibles at beta, of some groups.
  L::mean(shape, p, groups, input, betas, means);
  // Weighted sums of expected units, one layer after another, are added to those of the biases.
  L::add_bias_sums(shape, sums, moving);
} &&(!L::kSlabs ||
     requires(const typename L::Shape& shape, const typename L::Params& p, const typename L::State& x,
              Index m) {
       { L::gate_bits(shape, x, m) } -> std::same_as<Word>;
       { p.slab_mean } -> std::convertible_to<const Matrix&>;
       { p.slab_precision } -> std::convertible_to<const Matrix&>;
       { x.slabs } -> std::convertible_to<const LaneMatrix&>;
     }) &&
    (!L::kEnumerable ||
     requires(const typename L::Shape& shape, const typename L::Params& p, double beta,
              std::span<const Word> state, Index first) {
       // The state of the latents whose bits are those of `state` from `first` on.
       { L::configuration(shape, p, beta, state, first) } -> std::same_as<Configuration>;
     }) &&
    (!L::kTable ||
     requires(const typename L::Shape& shape) {
       typename L::Simpler;
       { L::table(shape) } -> std::same_as<FilterTable>;
     }) &&
    (!L::kGivesPrecision ||
     requires(typename L::Params & p, const typename L::State& x, LaneMatrix& units) {
       { p.spike_precision } -> std::same_as<Matrix&>;
     }) &&
    (!L::kMeanField ||
     requires(const typename L::Shape& shape, const typename L::Params& p, Index sweeps, bool turned,
              const LatentInput& input, const LatentMeans& means, Eigen::Array<double, 1, kLanes>& bound) {
       // Expectations of all units by the mean field at beta = 1: sweeps from the biases, `turned` says which
       // group begins. And what it adds to a lower bound of add_log_weights.
       L::mean_field(shape, p, sweeps, turned, input, means);
       L::add_bound(p, input, means.gate, means.units, kLanes, bound);
     });

/// Latents all of whose groups are one binary unit.
template <class L>
concept IndependentUnits = LatentUnits<L> &&
    requires(const typename L::Shape& shape, const typename L::Params& p, typename L::State& x,
             const typename L::State& fixed, const LatentInput& input, LaneMatrix& logits) {
  { L::bits(x) } -> std::same_as<BitLayer&>;
  { L::bits(fixed) } -> std::same_as<const BitLayer&>;
  // Logits of all units given the visibles, at beta = 1.
  L::fill_logits(shape, p, input, logits);
};

/// Bounds of precisions; those of the visibles times the reference's.
inline constexpr float kLeastPrecision = 1e-4F;
inline constexpr float kLargestPrecision = 1e4F;
inline float bounded_precision(float x, float scale) {
  return std::clamp(x, kLeastPrecision * scale, kLargestPrecision * scale);
}

}  // namespace tempera
