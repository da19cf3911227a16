// Machines whose filters have amplitudes: Gaussian restricted machines, spike-and-slab machines with real,
// binary or sparse visibles (Courville, Bergstra, Bengio 2011), and the bilinear machine that separates
// factors of variation (Desjardins, Courville, Bengio 2012). One class, of a kind of visibles and a kind of
// latents (models/units.hpp). With filters W_m, gates c_m(h) in {0, 1} and slabs s_m,
//
//   E(v, h, s) = E_visible(v) - bias' h + 1/2 v' diag(Phi h) v
//                + sum_m [ 1/2 alpha_m s_m^2 - c_m s_m (W_m'v + alpha_m mu_m) + 1/2 alpha_m mu_m^2 c_m ]
//
// where alpha is slab_precision, mu slab_mean, Phi spike_precision; without slabs the sum is -sum_m h_m
// W_m'v. Slabs are Gaussian given the rest and are always summed out: a gate m then weighs exp(mu_m x_m +
// x_m^2 / (2 alpha_m)), x = W'v (docs/mathematics/spike-and-slab.md 5.2).
//
// Tempering path: all terms with latents but the slabs' own alpha s^2 / 2 are multiplied by beta, the visible
// part is interpolated with that of independent visibles fitted to the data, and the constant sum_m log(2 pi
// / alpha_m) / 2 of the slabs' prior counts beta times. So beta = 0 is independent visibles and fair coins of
// known log Z, whatever the parameters, and the precision of the visibles given the latents,
//   C_h(beta) = (1 - beta) Lambda_ref + beta (Lambda + Phi h) - beta^2 sum_m c_m W_m W_m' / alpha_m,
// is positive definite on [0, 1] where it is at 1.
//
// States keep slabs as sqrt(alpha) s, so that draws at beta = 0 do not depend on the parameters.
//
// Formulas: docs/mathematics/spike-and-slab.md, of the path 5.11.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tempera/models/energy_model.hpp"
#include "tempera/models/units.hpp"
#include "tempera/models/units/bernoulli_hidden.hpp"
#include "tempera/models/units/bilinear_blocks.hpp"
#include "tempera/models/units/binary_visibles.hpp"
#include "tempera/models/units/gaussian_visibles.hpp"
#include "tempera/models/units/pooled_spikes.hpp"
#include "tempera/models/units/sparse_visibles.hpp"

namespace tempera {

namespace detail {

/// Two names as one.
template <const std::string_view& First, const std::string_view& Second>
struct JoinedName {
  static constexpr auto kLetters = [] {
    std::array<char, First.size() + Second.size()> letters{};
    std::size_t n = 0;
    for (const char letter : First) letters[n++] = letter;
    for (const char letter : Second) letters[n++] = letter;
    return letters;
  }();
  static constexpr std::string_view kValue{kLetters.data(), kLetters.size()};
};
template <class V, class L>
struct KindName : JoinedName<V::kRbmPrefix, L::kSuffix> {};
template <class V, class L>
requires L::kSlabs struct KindName<V, L> : JoinedName<V::kSlabPrefix, L::kSuffix> {
};

}  // namespace detail

template <VisibleUnits V, LatentUnits L>
class SpikeSlab;

namespace detail {

/// The machine of simpler latents, where there are such.
template <class V, class L>
struct SimplerMachine {
  using Type = void;
};
template <class V, class L>
requires L::kTable struct SimplerMachine<V, L> {
  using Type = SpikeSlab<V, typename L::Simpler>;
};

}  // namespace detail

template <VisibleUnits V, LatentUnits L>
class SpikeSlab {
  static_assert(L::kEnumerable || V::kAlwaysProper,
                "nothing keeps real latents and real visibles proper together");

 public:
  using Visibles = V;
  using Latents = L;
  using Data = typename V::Data;
  using Reference = typename V::Reference;
  using Simpler = typename detail::SimplerMachine<V, L>::Type;
  static constexpr std::string_view kKind = detail::KindName<V, L>::kValue;
  static constexpr std::string_view kHiddenUnits = L::kHiddenUnits;
  static constexpr bool kDiscrete = V::kDiscrete;
  static constexpr bool kExactInference = true;
  /// Whether spikes may have a precision of their own (Phi).
  static constexpr bool kSpikePrecision = V::kTakesPrecision && L::kGivesPrecision;
  /// Whether some parameters leave the machine without a law.
  static constexpr bool kCanBeImproper = L::kSlabs && !V::kAlwaysProper;
  /// Whether slabs can be drawn with the visibles integrated out.
  static constexpr bool kJointSlabs = L::kSlabs && V::kGaussian;
  /// Whether latents are independent bits given the visibles, and all else is Gaussian given them.
  static constexpr bool kLatentMarginal = IndependentUnits<L> && V::kGaussian;
  /// Spikes whose every state is_improper looks at, at most.
  static constexpr Index kMaxSeenSpikes = 12;
  static constexpr Index kMaxEnumeratedUnits = 20;
  static constexpr FeatureSet kFeatures =
      V::kFeatures | L::kFeatures | FeatureSet{Feature::kFilterNorm, Feature::kFreeze} |
      (L::kSlabs ? FeatureSet{Feature::kInitialSlabMean, Feature::kInitialSlabPrecision} : FeatureSet{}) |
      (kSpikePrecision ? FeatureSet{Feature::kInitialSpikePrecision} : FeatureSet{}) |
      (kJointSlabs ? FeatureSet{Feature::kTwoBlockGibbs} : FeatureSet{}) |
      (kLatentMarginal ? FeatureSet{Feature::kJump} : FeatureSet{});

  struct Shape {
    Index n_visible = 0;
    typename L::Shape latents;
    /// Sweeps draw slabs and visibles jointly given the spikes (two blocks); else slabs given the visibles
    /// and the visibles given the slabs (three). Real visibles with slabs only.
    bool joint_slabs = false;
    /// Visibles are restricted to [-box, box] each, so that every machine has a law; 0: they are not. No
    /// joint slabs.
    double box = 0.0;
    /// What one unit of each visible is in the units of the box; empty: 1.
    std::vector<double> scales = {};
    bool operator==(const Shape&) const = default;
  };

  struct Params {
    Matrix weights;  // n_visible x filters
    typename V::Params visible;
    typename L::Params latent;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("weights", s.weights...);
      V::Params::visit(f, s.visible...);
      L::Params::visit(f, s.latent...);
    }
  };

  struct State {
    typename V::Layer visible;
    typename L::State latent;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      L::State::visit(f, s.latent...);
    }
  };

  /// Nothing is centred.
  struct Offsets {
    template <class F, class... S>
    static void visit(F&&, S&&...) {}
  };

  /// Cache of one block.
  struct BlockCache {
    Index lanes = kLanes;
    LaneMatrix input;      // W'v
    LaneMatrix quadratic;  // v' diag(Phi_i) v / 2 of every spike; 0 where Phi is
    // Set by mean_latents: expected gate of every filter, expected amplitude (gate times slab), and expected
    // units, one layer after another (spikes; or g, h, gates).
    LaneMatrix gate;
    LaneMatrix amplitude;
    LaneMatrix units;
  };

  /// Memory of one task; grows on first use.
  struct Scratch {
    LaneMatrix drive;
    LaneMatrix gates;
    LaneMatrix noise;
    LaneMatrix squares;
    UnitScratch units;
  };

  SpikeSlab(Shape shape, Reference reference)
      : shape_(std::move(shape)), reference_(std::move(reference)), bounds_(bounds_of(shape_)) {}
  static Reference fit_reference(const Data& data) { return V::fit_reference(data); }
  static Reference standard_reference(const Shape& shape) { return V::standard_reference(shape.n_visible); }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }
  [[nodiscard]] Index n_visible() const { return shape_.n_visible; }
  [[nodiscard]] Index filters() const { return L::filters(shape_.latents); }
  bool operator==(const SpikeSlab& other) const {
    return shape_ == other.shape_ && equal_fields(reference_, other.reference_);
  }

  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State new_state() const;
  [[nodiscard]] BlockCache new_cache(Index lanes) const;
  [[nodiscard]] Offsets zero_offsets() const { return {}; }

  // --- MachineOptionsKnown (description.cpp) -----------------------------------------------------------
  static Shape shape_from(const MachineOptions& options, Index n_visible);
  static std::vector<Violation> check(const MachineOptions& options, const InitialValues& initial);
  /// Slabs turn steps of filters into steps of precisions: they want a smaller rate, those that share factors
  /// a still smaller one. Small filters with slabs, or of sparse values, grow in proportion to themselves,
  /// and would not against a decay.
  static MachineDefaults defaults() {
    constexpr bool kProportional = L::kSlabs || !V::kGaussian;
    constexpr double kProportionalRate = V::kGaussian && !L::kTable ? 0.006 : 0.003;
    return {.learning_rate = kProportional ? kProportionalRate : 0.02,
            .natural_learning_rate = 0.03,
            .first_order = FirstOrder::kAdam,
            .decay = kProportional ? 0.0 : 2.0,
            .most_jumps = 0.05};
  }
  static std::string_view law_field(const MachineOptions& options);
  /// 0.01; where spikes have a precision, what takes 0.8 of it along each filter, since weights of 0 are a
  /// saddle there.
  static double default_weight_scale(const InitialValues& values, Index n_visible);
  [[nodiscard]] Params initial_params(const StreamFactory& streams, const InitialValues& values) const;
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd&) const { return {}; }
  static MachineMemory memory(const Shape& shape);

  // --- MachineSampling (sampling.cpp) ------------------------------------------------------------------
  void load(const Data& data, std::span<const Index> cases, State& x) const;
  static const typename V::Layer& visibles_of(const State& x) { return x.visible; }
  [[nodiscard]] Index stages() const { return shape_.joint_slabs ? 3 : 2; }
  [[nodiscard]] Index stage_units(Index stage) const;
  /// Three blocks: stage 0 draws the visibles given slabs and spikes, stage 1 spikes and then slabs given the
  /// visibles. Two blocks: a stage before them draws the active slabs given the spikes alone.
  void resample(Index stage, UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                Scratch& scratch, const LaneStream& stream) const;
  /// Spikes, or blocks.
  [[nodiscard]] Index latents() const { return L::groups(shape_.latents); }
  void latent_input(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                    Scratch& scratch) const;
  /// Exact, by enumeration of the smaller group of each block where there are groups. Statistics of
  /// `accumulate` are those of beta = 1.
  void mean_latents(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel) const;
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const BlockCache& cache,
                      const LaneStream& stream) const;
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, const BlockCache& cache,
                   LaneDoubles& out) const;
  /// HasDataNoise.
  void add_noise(double standard_deviation, const LaneStream& stream, Index lanes, State& x) const
      requires(V::kFeatures.has(Feature::kDataNoise)) {
    V::add_noise(standard_deviation, stream, lanes, x.visible);
  }

  // --- HasMeanField: the paper's, of bilinear machines -------------------------------------------------
  /// Expected latents of independent g and h instead of the exact ones of mean_latents, at beta = 1: sweeps
  /// of g given h and h given g (h first in odd updates), from the biases. Out: as mean_latents.
  void mean_field(Index sweeps, bool odd_update, const Params& theta, BlockCache& cache,
                  Scratch& scratch) const requires L::kMeanField;
  void variational_free_energy(const Params& theta, const State& x, const BlockCache& cache,
                               LaneDoubles& out) const requires L::kMeanField;

  // --- HasLatentMarginal -------------------------------------------------------------------------------
  void latent_logits(const Params& theta, const BlockCache& cache,
                     LaneMatrix& logits) const requires kLatentMarginal {
    L::fill_logits(shape_.latents, theta.latent, input_of(cache), logits);
  }
  static BitLayer& latents_of(State& x) requires kLatentMarginal { return L::bits(x.latent); }
  static const BitLayer& latents_of(const State& x) requires kLatentMarginal { return L::bits(x.latent); }
  /// Minus the log-weight of the Gaussian of each chain's latents, in double. Cost: for a chain of r active
  /// filters n_visible r, with slabs n_visible r^2 + r^3.
  void latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x, Index lanes, Scratch&,
                          LaneDoubles& out) const requires kLatentMarginal;
  /// The slabs.
  void draw_given_latents(const Params& theta, const LaneFloats& beta, State& x, Index lanes,
                          Scratch& scratch, const LaneStream& stream) const requires kLatentMarginal {
    draw_slabs_jointly(theta, beta, x, lanes, scratch, stream);
  }

  // --- HasLawChanges (law_change.cpp) ------------------------------------------------------------------
  static std::string why_not_changed(const LawChange& change);
  [[nodiscard]] SpikeSlab changed(const LawChange& change) const;
  [[nodiscard]] Params changed(const LawChange& change, const Params& theta) const;
  [[nodiscard]] State restored(const LawChange& change, const State& x) const;

  // --- HasReference ------------------------------------------------------------------------------------
  void sample_reference(Index lanes, State& x, const LaneStream& stream) const;
  [[nodiscard]] double reference_log_partition() const;
  [[nodiscard]] Params reference_params() const;

  // --- MachineStatistics and HasStatistics (statistics.cpp) --------------------------------------------
  /// A slice is 64 filters, or 64 columns of Phi; the first one also holds all vectors.
  void accumulate(const Params& theta, std::span<const State> states, std::span<const BlockCache> caches,
                  std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                  Params& sums) const;
  [[nodiscard]] Index slices() const;
  /// Layer 0 is the visibles; then the expected units, one layer for each kind.
  [[nodiscard]] std::vector<Index> layer_sizes() const;
  [[nodiscard]] std::vector<std::string> layer_names() const;
  void layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const;
  static constexpr bool is_weight(std::string_view field) { return field == "weights"; }
  static constexpr bool is_precision(std::string_view field) { return field.ends_with("_precision"); }
  /// The layers of models/units.hpp (StatisticsLayer). Nothing is centred.
  [[nodiscard]] LayerShape statistics_shape(const Params& theta) const;
  /// Expected values are those of `mean_latents`: then the statistics are gradients of log p(v), slabs and
  /// units summed out, and their covariance is Amari's metric; drawn ones give that of the joint law.
  void statistics_layer(std::size_t layer, bool drawn, const Params& theta, const State& x,
                        const BlockCache& cache, LaneMatrix& out) const;
  /// Sums of -dE/d(parameters) as `accumulate` gives them, in these units.
  [[nodiscard]] LayerParams<float> to_statistics(const Params& theta, const Params& sums) const;
  /// Adds a step to the parameters. A precision x moves by d to x + d, or where d < 0 to x^2 / (x - d): the
  /// same to first order, and positive. Zeros stay.
  void move(const LayerParams<float>& step, Params& theta) const;

  // --- MachineCases and HasExactLogZ (exact.cpp) -------------------------------------------------------
  static constexpr Index case_units() { return 0; }
  [[nodiscard]] double free_energy(const Params& theta, std::span<const typename V::Value> row) const;
  void mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const;
  /// Visibles of finitely many states: those. Real visibles: the latents, each state of which is one
  /// component of a mixture of Gaussians, and the visible spikes of sparse ones.
  [[nodiscard]] Index enumerated_units() const;
  [[nodiscard]] std::string why_not_enumerable() const;
  [[nodiscard]] Index exact_chunks() const;
  /// Cost for each state with r active slabs: n_visible r^2 + r^3.
  [[nodiscard]] double log_partition_chunk(const Params& theta, double beta, Index chunk) const;

  // --- HasCollapsedMachine (collapsed.cpp) -------------------------------------------------------------
  [[nodiscard]] std::string why_not_collapsible() const;
  [[nodiscard]] std::unique_ptr<CollapsedMachine> collapsed(const Params& theta) const;
  [[nodiscard]] std::vector<Index> collapsed_layers() const;

  // --- MachineLaw and HasProjection (projection.cpp) ---------------------------------------------------
  /// Keeps precisions in bounds and the machine proper, unless a box does: what slabs take from the precision
  /// of the visibles is lowered until 1 % is left for every state of the latents. Each spike's own precision
  /// holds what it can of its slabs, and what is left,
  ///   sum_i rest_i W_i diag(1 / alpha_i) W_i' <= 0.99 diag(Lambda),  rest_i = max(0, 1 - 0.99 / rho_i),
  /// rho_i the largest eigenvalue of Phi_i^-1/2 W_i diag(1 / alpha_i) W_i' Phi_i^-1/2 (1 / rho_i = 0 without
  /// Phi, where this is necessary too, docs/mathematics/spike-and-slab.md 5.8). Checked by a Cholesky factor.
  /// `direction` (n_visible, or empty at first) is the memory of the power iteration that finds the worst
  /// direction. A slab that takes too much by a factor k has its precision multiplied by k, or where
  /// `filters_shrink` its filter divided by sqrt(k): the same precision of the visibles, with a mean of the
  /// slab that is the same in standard deviations of its prior, so that steps which are bounded in these
  /// cannot add up to a runaway. Returns whether any had to. Cost: n_visible^2 filters, as often as slabs are
  /// lowered.
  bool project(Params& theta, Vector& direction, bool filters_shrink) const;
  /// Whether that condition holds: necessary and sufficient for a law where there is no Phi, else sufficient.
  [[nodiscard]] bool is_proper(const Params& theta) const;
  /// Whether it is seen to have no law: by the state with every gate on, which decides where there is no Phi;
  /// with Phi by every state of at most kMaxSeenSpikes spikes, of more by each spike alone. Cost: n_visible^2
  /// filters; for a state of r active slabs n_visible r^2.
  [[nodiscard]] bool is_improper(const Params& theta) const;
  /// Whether is_improper decides.
  [[nodiscard]] bool is_seen(const Params& theta) const;
  static std::string_view fault(const Params& theta);
  static std::string_view reference_fault(const Reference& reference);
  /// A value outside of the box.
  [[nodiscard]] std::optional<ImpossibleValue> impossible_value(const Data& data) const;

  // --- MachineFiles and MachineFilters (description.cpp) -----------------------------------------------
  static Shape shape_from(const FieldShapes& file);
  [[nodiscard]] ArrayShape file_shape(std::string_view field) const;
  static bool is_optional_field(std::string_view field) { return field == "spike_precision"; }
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape_names() const;
  [[nodiscard]] std::vector<ShapeAttribute> shape_attributes() const;
  /// Slabs of blocks as themselves, no longer in standard deviations of their prior.
  void unstandardise(const Params& theta, std::vector<State>& blocks) const;
  /// HasUnits. A scale changes no machine's kind; a box becomes a bound of each visible. A centre does so
  /// without slabs, with which it would be a product of spikes and visibles, and without a box, which has
  /// one.
  static constexpr bool kExactZeros = !V::kDiscrete && !V::kGaussian;
  [[nodiscard]] UnitFreedom unit_freedom() const requires(!V::kDiscrete) {
    return V::kGaussian && !L::kSlabs && shape_.box == 0.0 ? UnitFreedom::kAffine : UnitFreedom::kScale;
  }
  static Shape in_units(Shape shape, const Standardisation& units) requires(!V::kDiscrete) {
    shape.scales.assign(units.scale.begin(), units.scale.end());
    return shape;
  }
  static double change_units(const Standardisation& units, DoubleFields& fields) requires(!V::kDiscrete);
  static void unstandardise_visibles(const Standardisation& units,
                                     std::vector<State>& blocks) requires(!V::kDiscrete);
  static const Matrix& filters(const Params& theta) { return theta.weights; }
  static Matrix& filters(Params& theta) { return theta.weights; }
  [[nodiscard]] FilterGrid filter_grid() const { return L::filter_grid(shape_.latents); }
  static constexpr std::string_view kUsageOffsets = "";
  /// Expected units, one code for each layer; with slabs also "spike_slab", every filter's expected
  /// amplitude; and where spikes pool slabs "pooled_norm", the Euclidean norm of those of each spike.
  [[nodiscard]] std::vector<Code> codes() const;
  void code_values(std::size_t code, const State& x, const BlockCache& cache, LaneMatrix& out) const;
  /// HasFilterTable.
  [[nodiscard]] FilterTable table() const requires L::kTable { return L::table(shape_.latents); }

 private:
  [[nodiscard]] Index first_stage() const { return shape_.joint_slabs ? 1 : 0; }
  /// Filters of a group, and of a range of groups.
  [[nodiscard]] Index filters_each() const { return filters() / latents(); }
  [[nodiscard]] UnitRange filters_of(UnitRange groups) const {
    return {groups.first * filters_each(), groups.last * filters_each()};
  }
  [[nodiscard]] const float* box() const { return bounds_.empty() ? nullptr : bounds_.data(); }
  /// Of the absolute value of each visible; empty without a box.
  static std::vector<float> bounds_of(const Shape& shape);
  static LatentInput input_of(const BlockCache& cache) { return {cache.input, cache.quadratic}; }
  static LatentMeans means_of(BlockCache& cache) { return {cache.gate, cache.amplitude, cache.units}; }
  /// Whether any spike has a precision.
  static bool has_spike_precision(const Params& theta) {
    if constexpr (kSpikePrecision) {
      return (theta.latent.spike_precision.array() != 0.0F).any();
    } else {
      return false;
    }
  }

  void draw_visibles(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel, Scratch& scratch,
                     const LaneStream& stream) const;
  void draw_slabs(UnitRange filters, const Params& theta, const LaneFloats& beta, const BlockCache& cache,
                  const LaneStream& stream, Index first_site, State& x) const;
  void draw_slabs_jointly(const Params& theta, const LaneFloats& beta, State& x, Index lanes,
                          Scratch& scratch, const LaneStream& stream) const;
  /// The active slabs of one chain given the spikes, from noise.
  void draw_active_slabs(const Params& theta, float beta, const std::vector<Index>& active, Index lane,
                         const LaneMatrix& noise, State& x) const requires kJointSlabs;

  struct VectorSums;
  void accumulate_vectors(const Params& theta, std::span<const State> states,
                          std::span<const BlockCache> caches, std::span<const LaneFloats> weights, Sums mode,
                          Params& sums) const;
  /// f(component of `statistics`, of `params`, unit, whether it is a precision) for every parameter: a
  /// parameter is its component in `statistics` times the unit.
  template <class P, class F, class S>
  void visit_statistics(const Params& theta, P& params, F&& f, S& statistics) const;

  /// Log of the weight of one enumerated state, everything else summed or integrated out, in double.
  [[nodiscard]] double log_state_weight(const Params& theta, double beta, std::span<const Word> bits) const;
  /// log of what the latents give to the weight of v, summed out, in double.
  [[nodiscard]] double log_latent_weight(const Params& theta, double beta, const Eigen::VectorXd& v) const;
  [[nodiscard]] double log_component(const Params& theta, double beta, std::span<const Word> visible_bits,
                                     const Configuration& latent) const requires(!V::kEnumerable);

  /// A state weighed anew at every flip.
  class Collapsed;
  void clamp_precisions(Params& theta) const;
  /// What the precision of the visibles alone must hold of the slabs: filters scaled by Lambda^-1/2
  /// alpha^-1/2 and by the root of what is left of them, their Gram matrix on the smaller side, and whether
  /// all its eigenvalues are small enough.
  struct Excess {
    Eigen::MatrixXf filters;
    Eigen::MatrixXf matrix;
    bool of_visibles = true;
    bool proper = true;
  };
  [[nodiscard]] Excess excess(const Params& theta) const;
  /// Whether the precision of the visibles is not positive with these groups on and all others off.
  [[nodiscard]] bool lacks_law(const Params& theta,
                               const std::vector<Index>& groups) const requires kCanBeImproper;
  /// Raises slab precisions as far as `project` says; whether it did.
  bool raise_slabs(Params& theta, Vector& direction) const requires kCanBeImproper;

  Shape shape_;
  Reference reference_;
  std::vector<float> bounds_;
};

using GaussianRbm = SpikeSlab<GaussianVisibles, BernoulliHidden>;
using SpikeSlabRbm = SpikeSlab<GaussianVisibles, PooledSpikes>;
using BinarySpikeSlabRbm = SpikeSlab<BinaryVisibles, PooledSpikes>;
using SparseSpikeSlabRbm = SpikeSlab<SparseVisibles, PooledSpikes>;
using BilinearSpikeSlabRbm = SpikeSlab<GaussianVisibles, BilinearBlocks>;
using BinaryBilinearSpikeSlabRbm = SpikeSlab<BinaryVisibles, BilinearBlocks>;

}  // namespace tempera
