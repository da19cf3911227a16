// The spike-and-slab family: Gaussian restricted machines, spike-and-slab machines with real, binary or
// sparse visibles (Courville, Bergstra, Bengio 2011), and the bilinear machine that separates factors of
// variation (Desjardins, Courville, Bengio 2012). One class, of a kind of visibles (models/visibles.hpp) and
// a kind of latents (models/latents.hpp). With filters W_m, gates c_m(h) in {0, 1} and slabs s_m,
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

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tempera/models/latents.hpp"
#include "tempera/models/visibles.hpp"

namespace tempera {

struct Configuration;

/// Said of machines whose visibles, given some state of the latents, have no precision left.
inline constexpr const char* kImproper =
    "the machine is improper: for some state of its latents the precision of the visibles is not positive, "
    "so it "
    "has no law";

template <class Visibles, class Latents>
class SpikeSlab {
 public:
  using Data = typename Visibles::Data;
  using Reference = typename Visibles::Reference;
  using Row = std::conditional_t<std::is_same_v<Data, BinaryData>, Word, float>;
  static constexpr bool kSlabs = Latents::kSlabs;
  static constexpr bool kBinary = std::is_same_v<Data, BinaryData>;
  /// Whether spikes may have a precision of their own (Phi).
  static constexpr bool kSpikePrecision =
      std::is_same_v<Visibles, GaussianVisibles> && std::is_same_v<Latents, PooledSpikes>;
  static const std::string_view kKind;
  /// Spikes whose every state is_improper looks at, at most.
  static constexpr Index kMaxSeenSpikes = 12;
  /// More binary units than this are not enumerated.
  static constexpr Index kMaxEnumeratedUnits = 20;
  /// The field of the visible biases.
  static constexpr std::string_view kVisibleBias = Visibles::kBias;
  /// Of a box of visibles: the mixture has no closed form.
  static constexpr Index kNotEnumerable = 1 << 30;

  struct Shape {
    Index n_visible = 0;
    typename Latents::Shape latents;
    /// Sweeps draw slabs and visibles jointly given the spikes (two blocks); else slabs given the visibles
    /// and the visibles given the slabs (three). Real visibles with spikes only.
    bool joint_slabs = false;
    /// Visibles are restricted to [-box, box] each, so that every machine has a law; 0: they are not.
    /// Gaussian visibles only; no joint slabs.
    double box = 0.0;
    bool operator==(const Shape&) const = default;
  };

  struct Params {
    Matrix weights;  // n_visible x filters
    typename Visibles::Params visible;
    typename Latents::Params latent;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("weights", s.weights...);
      Visibles::Params::visit(f, s.visible...);
      Latents::Params::visit(f, s.latent...);
    }
  };

  struct State {
    typename Visibles::Layer visible;
    typename Latents::State latent;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      Latents::State::visit(f, s.latent...);
    }
  };

  /// Nothing is centred.
  struct Offsets {
    template <class F, class... S>
    static void visit(F&&, S&&...) {}
  };

  /// Cache of one block.
  struct Work {
    Index lanes = kLanes;
    LaneMatrix input;      // W'v
    LaneMatrix quadratic;  // v' diag(Phi_i) v / 2 of every spike; 0 where Phi is
    // Set by mean_latents: expected gate of every filter, expected gate times slab, and expected binary
    // units, one kind after another (spikes; or g, h, gates).
    LaneMatrix gate;
    LaneMatrix response;
    LaneMatrix units;
  };

  struct Scratch {
    LaneMatrix drive;
    LaneMatrix gates;
    LaneMatrix input;
    LaneMatrix precision;
    LaneMatrix noise;
    LaneMatrix squares;
    LaneMatrix logits;
    BitLayer spikes;
    PackedPanel packed;
    ProductScratch products;
  };

  SpikeSlab(Shape shape, Reference reference);
  static Reference fit_reference(const Data& data) { return Visibles::fit_reference(data); }
  static Reference standard_reference(Index n) { return Visibles::standard_reference(n); }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }
  [[nodiscard]] Index n_visible() const { return shape_.n_visible; }
  [[nodiscard]] Index filters() const;
  bool operator==(const SpikeSlab& other) const;

  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State new_state() const;
  [[nodiscard]] Work new_work(Index lanes) const;
  [[nodiscard]] Offsets zero_offsets() const { return {}; }

  // --- EnergyModel: see BernoulliRbm ---------------------------------------------------------------
  void load(const Data& data, std::span<const Index> cases, State& x) const;
  static const typename Visibles::Layer& visibles_of(const State& x) { return x.visible; }
  [[nodiscard]] Index stages() const { return shape_.joint_slabs ? 3 : 2; }
  [[nodiscard]] Index stage_units(Index stage) const;
  /// Three blocks: stage 0 draws the visibles given slabs and spikes, stage 1 spikes and then slabs given the
  /// visibles. Two blocks: a stage before them draws the active slabs given the spikes alone.
  void resample(Index stage, UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                Scratch& scratch, const LaneStream& stream) const;
  /// Spikes, or blocks.
  [[nodiscard]] Index latents() const;
  void infer(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel, Scratch& scratch) const;
  /// Exact, by enumeration of the smaller group of each block where there are groups. Statistics of
  /// `accumulate` are those of beta = 1.
  void mean_latents(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel) const;
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const Work& work,
                      const LaneStream& stream) const;
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, const Work& work,
                   LaneDoubles& out) const;
  /// A slice is 64 filters, or 64 columns of Phi; the first one also holds all vectors.
  void accumulate(const Params& theta, std::span<const State> states, std::span<const Work> works,
                  std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                  Params& sums) const;
  [[nodiscard]] Index slices() const;
  /// Layer 0 is the visibles; then the expected binary units, one layer for each kind.
  [[nodiscard]] std::vector<Index> layer_sizes() const;
  void layer_values(Index layer, const State& x, const Work& work, LaneMatrix& out) const;

  // --- the paper's mean field of bilinear machines ---------------------------------------------------
  /// Expected latents of independent g and h instead of the exact ones of mean_latents, at beta = 1: sweeps
  /// of g given h and h given g, from the biases. Out: as mean_latents.
  void mean_field(Index sweeps, bool h_first, const Params& theta,
                  Work& work) const requires std::is_same_v<Latents, BilinearBlocks>;
  /// Upper bound of the free energy that the expected units of `work` give.
  void variational_free_energy(const Params& theta, const State& x, const Work& work,
                               LaneDoubles& out) const requires std::is_same_v<Latents, BilinearBlocks>;

  // --- HasReference ----------------------------------------------------------------------------------
  void sample_reference(Index lanes, State& x, const LaneStream& stream) const;
  [[nodiscard]] double reference_log_partition() const;
  [[nodiscard]] Params reference_params() const;

  // --- HasExactLogZ ----------------------------------------------------------------------------------
  /// Gaussian visibles: the binary latents, each state of which is one component of a mixture of Gaussians.
  /// Binary visibles: the visibles. Sparse ones: visible and latent spikes.
  [[nodiscard]] Index enumerated_units() const;
  [[nodiscard]] Index exact_chunks() const;
  /// +infinity where a state of the latents has no normalisable law (the machine is improper). Cost for each
  /// state with r active slabs: n_visible r^2 + r^3.
  [[nodiscard]] double log_partition_chunk(const Params& theta, double beta, Index chunk) const;

  // --- HasStatistics ---------------------------------------------------------------------------------
  // Layers of statistics, each in units in which it has no dimension: visibles v in standard deviations of
  // the reference, 1; gates times slabs in standard deviations of their prior (or hidden units), 2; 1 x 2 are
  // the filters; -v^2 / 2 in variances of the reference, 3; binary units, 4; 3 x 4 is Phi; slab means, 5, and
  // precisions, 6, as derivatives of the energy; the parameters of sparse visibles, 7. Nothing is centred.
  // What a kind does not have is empty.
  [[nodiscard]] LayerShape statistics_shape(const Params& theta) const;
  /// Expected values are those of `mean_latents`: then the statistics are gradients of log p(v), slabs and
  /// units summed out, and their covariance is Amari's metric; drawn ones give that of the joint law.
  void statistics_layer(std::size_t layer, bool drawn, const Params& theta, const State& x, const Work& work,
                        LaneMatrix& out) const;
  /// Sums of -dE/d(parameters) as `accumulate` gives them, in these units.
  [[nodiscard]] LayerParams<float> to_statistics(const Params& theta, const Params& sums) const;
  /// Adds a step to the parameters. A precision x moves by d to x + d, or where d < 0 to x^2 / (x - d): the
  /// same to first order, and positive. Zeros stay.
  void move(const LayerParams<float>& step, Params& theta) const;

  // --- one case, exactly -------------------------------------------------------------------------------
  static constexpr Index case_units() { return 0; }
  [[nodiscard]] double free_energy(const Params& theta, std::span<const Row> row) const;
  /// Expected visibles given the latents.
  void mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const;

  // --- what trainers and files ask ---------------------------------------------------------------------
  static constexpr bool is_weight(std::string_view field) { return field == "weights"; }
  /// Positive numbers that training moves in the log domain; zeros stay.
  static constexpr bool is_precision(std::string_view field) { return field.ends_with("_precision"); }
  [[nodiscard]] Params initial_params(const StreamFactory& streams, const InitialValues& values) const;
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd&) const { return {}; }
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
  /// Name of the first field that no machine of this kind can have, or empty: a precision out of range.
  [[nodiscard]] std::string_view fault(const Params& theta) const;
  /// Slabs of blocks as themselves, no longer in standard deviations of their prior: for files.
  void unstandardise(const Params& theta, std::vector<State>& blocks) const;
  static const Matrix& filters(const Params& theta) { return theta.weights; }
  /// Shape of a field in files, where it is more than that of the array.
  [[nodiscard]] std::vector<std::uint64_t> file_shape(std::string_view field) const;
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape_names() const;

 private:
  [[nodiscard]] Index first_stage() const { return shape_.joint_slabs ? 1 : 0; }
  [[nodiscard]] UnitRange filters_of(UnitRange units) const;
  /// Whether any spike has a precision.
  static bool has_spike_precision(const Params& theta);
  void draw_visibles(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel, Scratch& scratch,
                     const LaneStream& stream) const;
  void draw_slabs_jointly(const Params& theta, const LaneFloats& beta, State& x, Index lanes,
                          Scratch& scratch, const LaneStream& stream) const;
  void draw_units(UnitRange units, const Params& theta, const LaneFloats& beta, const Work& work,
                  const LaneStream& stream, Index first_site, State& x) const;
  void draw_slabs(UnitRange filters, const Params& theta, const LaneFloats& beta, const Work& work,
                  const LaneStream& stream, Index first_site, State& x) const;
  /// log of what the latents give to the weight of v, slabs and units summed out, in double.
  [[nodiscard]] double log_latent_weight(const Params& theta, double beta, const Eigen::VectorXd& v) const;
  [[nodiscard]] double log_slab_constant(const Params& theta) const;
  [[nodiscard]] double log_component(const Params& theta, double beta, Word visible_spikes,
                                     const Configuration& latent) const;
  /// Sites of random bits that the latents take.
  [[nodiscard]] Index latent_sites() const;

  [[nodiscard]] float box() const { return static_cast<float>(shape_.box); }
  /// f(component of `statistics`, of `params`, unit, whether it is a precision) for every parameter: a
  /// parameter is its component in `statistics` times the unit.
  template <class P, class F, class S>
  void visit_statistics(const Params& theta, P& params, F&& f, S& statistics) const;
  void set_responses(UnitRange filters, const Params& theta, Work& work) const;
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
  /// Raises slab precisions as far as `project` says; whether it did.
  bool raise_slabs(Params& theta, Vector& direction) const requires kSlabs;

  Shape shape_;
  Reference reference_;
  Vector no_bias_;
};

using GaussianRbm = SpikeSlab<GaussianVisibles, HiddenUnits>;
using SpikeSlabRbm = SpikeSlab<GaussianVisibles, PooledSpikes>;
using BinarySpikeSlabRbm = SpikeSlab<BinaryVisibles, PooledSpikes>;
using SparseSpikeSlabRbm = SpikeSlab<SparseVisibles, PooledSpikes>;
using BilinearSpikeSlabRbm = SpikeSlab<GaussianVisibles, BilinearBlocks>;
using BinaryBilinearSpikeSlabRbm = SpikeSlab<BinaryVisibles, BilinearBlocks>;

template <>
inline constexpr std::string_view GaussianRbm::kKind = "gaussian-rbm";
template <>
inline constexpr std::string_view SpikeSlabRbm::kKind = "ssrbm";
template <>
inline constexpr std::string_view BinarySpikeSlabRbm::kKind = "binary-ssrbm";
template <>
inline constexpr std::string_view SparseSpikeSlabRbm::kKind = "sparse-ssrbm";
template <>
inline constexpr std::string_view BilinearSpikeSlabRbm::kKind = "bilinear-ssrbm";
template <>
inline constexpr std::string_view BinaryBilinearSpikeSlabRbm::kKind = "binary-bilinear-ssrbm";

static_assert(HasReference<SpikeSlabRbm> && HasExactLogZ<SpikeSlabRbm> && HasProjection<SpikeSlabRbm>);
static_assert(HasReference<GaussianRbm> && HasExactLogZ<BinarySpikeSlabRbm>);

}  // namespace tempera
