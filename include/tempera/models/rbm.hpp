// Restricted Boltzmann machines of discrete visibles and Bernoulli hidden units (Smolensky 1986; Hinton 2002;
// of sites with several letters Salakhutdinov, Mnih & Hinton 2007; Tubiana, Cocco & Monasson 2019).
//
//   E(v, h) = -v' W h - a' v - c' h,    v bits, h in {0,1}^n_hidden.
//
// The visibles are sites. A binary site is one bit; a site of several letters is one bit for each, of which
// one is 1 (models/units/potts_visibles.hpp). n_visible counts bits, of which W has a row each.
//
// Tempering path, with reference biases r fitted to the data:
//
//   E_beta(v, h) = beta E(v, h) - (1 - beta) r' v,
//
// so beta = 0 is independent sites with logits r and n_hidden fair coins, of known log Z.
//
// Formulas: docs/mathematics/energies.md 1.2, 1.6 and 1.7.
#pragma once

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>
#include <vector>

#include "tempera/kernels/products.hpp"
#include "tempera/models/energy_model.hpp"
#include "tempera/models/units/binary_visibles.hpp"
#include "tempera/models/units/potts_visibles.hpp"

namespace tempera {

class CollapsedLayers;

template <class V>
class Rbm {
 public:
  using Data = typename V::Data;
  /// Logits of the visibles at beta = 0.
  using Reference = typename V::Reference;
  using Sites = typename V::Sites;
  static constexpr std::string_view kKind = V::kRbmKind;
  static constexpr std::string_view kHiddenUnits = kUsualHiddenUnits;
  static constexpr bool kDiscrete = true;
  static constexpr bool kExactInference = true;
  static constexpr FeatureSet kFeatures = V::kRbmFeatures | FeatureSet{Feature::kJump, Feature::kFangMetric};
  /// More units than this in the smaller layer are not enumerated (2^25 states).
  static constexpr Index kMaxEnumeratedUnits = 25;

  struct Shape {
    Index n_visible = 0;
    Index n_hidden = 0;
    Sites sites = {};
    bool operator==(const Shape&) const = default;
  };

  struct Params {
    Matrix weights;       // n_visible x n_hidden
    Vector visible_bias;  // n_visible
    Vector hidden_bias;   // n_hidden

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("weights", s.weights...);
      f("visible_bias", s.visible_bias...);
      f("hidden_bias", s.hidden_bias...);
    }
  };

  struct State {
    BitLayer visible;  // n_visible words
    BitLayer hidden;   // n_hidden words

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      f("hidden", s.hidden...);
    }
  };

  struct Offsets {
    Vector visible;  // n_visible
    Vector hidden;   // n_hidden

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      f("hidden", s.hidden...);
    }
  };

  /// Cache of one block.
  struct BlockCache {
    Index lanes = kLanes;     // chains in the block
    LaneMatrix hidden_input;  // c + W'v of the current visibles
    LaneMatrix hidden_mean;   // set by mean_latents
  };

  /// Memory of one task; grows on first use.
  struct Scratch {
    PackedPanel packed;  // hidden units
    typename V::Packed packed_visibles;
    ProductScratch products;
    LaneMatrix input;
    LaneMatrix visible_input;
    std::vector<WeightedBlock> blocks;
  };

  Rbm(Shape shape, Reference reference) : shape_(std::move(shape)), reference_(std::move(reference)) {}
  static Reference standard_reference(const Shape& shape) { return V::standard_reference(shape.n_visible); }
  static Reference fit_reference(const Data& data) { return V::fit_reference(data); }

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }
  [[nodiscard]] Index n_visible() const { return shape_.n_visible; }
  [[nodiscard]] Index n_hidden() const { return shape_.n_hidden; }
  bool operator==(const Rbm& other) const;

  /// Parameters, states and offsets of this shape, all zero.
  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State new_state() const;
  [[nodiscard]] BlockCache new_cache(Index lanes) const;
  [[nodiscard]] Offsets zero_offsets() const;

  // --- MachineOptionsKnown -----------------------------------------------------------------------
  static Shape shape_from(const MachineOptions& options, Index n_visible) {
    return {n_visible, options.hidden.front(), V::sites_from(options)};
  }
  static std::vector<Violation> check(const MachineOptions& options, const InitialValues& initial);
  static MachineDefaults defaults() {
    return {.learning_rate = V::kLearningRate, .begins_high = V::kBeginsHigh, .decay = 2.0};
  }
  static std::string_view law_field(const MachineOptions&) { return {}; }
  /// Where units are few, those that begin alike stay alike for long.
  /// 0.05, and less beyond 1,000 visibles: what reaches a hidden unit at the start does not grow with them.
  static double default_weight_scale(const InitialValues&, Index n_visible) {
    return 0.05 * std::min(1.0, std::sqrt(1000.0 / static_cast<double>(n_visible)));
  }
  /// W ~ N(0, scale^2), hidden biases 0, visible biases those of the reference (the best independent model).
  [[nodiscard]] Params initial_params(const StreamFactory& streams, const InitialValues& values) const;
  /// Offsets at the start: the mean of the data, and 1/2 for the hidden units.
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd& visible_means) const;
  static MachineMemory memory(const Shape& shape);

  // --- MachineSampling ---------------------------------------------------------------------------
  /// Visibles of up to 64 cases; the other lanes are 0.
  void load(const Data& data, std::span<const Index> cases, State& x) const;
  static const BitLayer& visibles_of(const State& x) { return x.visible; }

  /// A sweep is v ~ p_beta(v | h), then h ~ p_beta(h | v): the sites of the visibles are stage 0, the hiddens
  /// stage 1.
  [[nodiscard]] Index stages() const { return 2; }
  [[nodiscard]] Index stage_units(Index stage) const {
    return stage == 0 ? V::sites(n_visible(), shape_.sites) : n_hidden();
  }
  /// One stage for a part of its units. Cost: one product, and a random draw and an exponential for each unit
  /// and chain. Allocates nothing once the scratch has grown.
  void resample(Index stage, UnitRange units, const Params& theta, const Panel<Rbm>& panel, Scratch& scratch,
                const LaneStream& stream) const;

  [[nodiscard]] Index latents() const { return n_hidden(); }
  /// cache.hidden_input from the visibles. Cost: one product.
  void latent_input(UnitRange units, const Params& theta, const Panel<Rbm>& panel, Scratch& scratch) const;
  /// cache.hidden_mean = sigmoid(beta (c + W'v)).
  void mean_latents(UnitRange units, const Params& theta, const Panel<Rbm>& panel) const;
  /// h ~ p_beta(h | v).
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const BlockCache& cache,
                      const LaneStream& stream) const;
  /// F_beta(v) = -(beta a + (1 - beta) r)'v - sum_j softplus(beta (c_j + W_j'v)); float inputs, double sums.
  /// Lanes without a chain are 0.
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, const BlockCache& cache,
                   LaneDoubles& out) const;

  // --- MachineStatistics and HasLayers -----------------------------------------------------------
  /// Adds (or puts in place) sum_c weight[c] (v_c hbar_c', v_c, hbar_c), hbar = cache.hidden_mean, over the
  /// chains of all blocks, along the fixed tree over blocks. A slice is V::kHiddenSlice hidden units; slice 0
  /// also holds the visible biases.
  void accumulate(const Params& theta, std::span<const State> states, std::span<const BlockCache> caches,
                  std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                  Params& sums) const;
  [[nodiscard]] Index slices() const { return (n_hidden() + V::kHiddenSlice - 1) / V::kHiddenSlice; }
  /// means.hidden = sums.hidden_bias for the hidden units of a slice.
  void note_means(Index slice, const Params& sums, Offsets& means) const;
  /// cache.hidden_mean = the hidden units of x.
  void unpack_latents(const State& x, BlockCache& cache) const;
  /// out[c] = d_a'v + hbar'(d_c + D'v), with probe.hidden_input = d_c + D'v: with the mean over chains taken
  /// off, one factor of a Fisher product, of which `accumulate` is the other.
  void score(const Params& direction, const State& x, const BlockCache& probe, const BlockCache& cache,
             LaneDoubles& out) const;
  [[nodiscard]] std::vector<Index> layer_sizes() const { return {n_visible(), n_hidden()}; }
  [[nodiscard]] std::vector<std::string> layer_names() const { return {"visible", "hidden"}; }
  static constexpr bool is_weight(std::string_view field) { return field == "weights"; }
  static constexpr bool is_precision(std::string_view) { return false; }
  static LayerParams<float> to_layers(Params&& params);
  static Params from_layers(LayerParams<float>&& layers);
  static std::vector<const Vector*> layer_offsets(const Offsets& offsets) {
    return {&offsets.visible, &offsets.hidden};
  }
  /// Layer 0 is the visibles, layer 1 cache.hidden_mean.
  void layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const;

  /// f(offsets of the rows, offsets of the columns, coupling of each struct...): what centring acts on. The
  /// centred energy is -(v - mu)'W(h - nu) - a'(v - mu) - c'(h - nu) (Melchior et al. 2016).
  template <class F, class... S>
  static void visit_couplings(F&& f, const Offsets& offsets, S&&... s) {
    f(offsets.visible, offsets.hidden, Coupling{s.weights, s.visible_bias, s.hidden_bias}...);
  }

  // --- HasReference ------------------------------------------------------------------------------
  /// Independent draws at beta = 0.
  void sample_reference(Index lanes, State& x, const LaneStream& stream) const;
  /// n_hidden log 2 + the logarithm of the sum of exp(r'v) over the states of the visibles.
  [[nodiscard]] double reference_log_partition() const;
  /// W = 0, c = 0, a = r.
  [[nodiscard]] Params reference_params() const;

  // --- HasLetters --------------------------------------------------------------------------------
  [[nodiscard]] const Letters& letters() const requires(!V::kBinary) { return shape_.sites; }
  [[nodiscard]] bool is_settled(const Params& theta) const requires(!V::kBinary) {
    return V::is_settled(shape_.sites, theta.weights, theta.visible_bias);
  }

  // --- HasGauge ----------------------------------------------------------------------------------
  /// Of sites with letters: weights and biases of the letters of a site get the sum 0; the mean weight moves
  /// into the hidden biases. The law stays; the energy moves by a constant. Cost: a pass over the weights.
  void fix_gauge(Params& theta) const requires V::kHasGauge { V::fix_gauge(shape_.sites, theta); }

  // --- HasCouplings ------------------------------------------------------------------------------
  /// Couplings of 0 between sites, whose fields are the biases.
  [[nodiscard]] PairCouplings couplings(const Params& theta) const requires V::kHasGauge;
  /// What a hidden unit adds to them; with its variance given the visibles, in the form about data.
  [[nodiscard]] UnitCouplings unit_couplings(const Params& theta, Index unit,
                                             std::optional<double> variance) const requires V::kHasGauge;

  // --- HasLawChanges -----------------------------------------------------------------------------
  static std::string why_not_changed(const LawChange& change) { return why_not_bits(change); }
  [[nodiscard]] Rbm changed(const LawChange& change) const;
  [[nodiscard]] Params changed(const LawChange& change, const Params& theta) const;
  [[nodiscard]] State restored(const LawChange& change, const State& x) const;

  // --- HasLatentMarginal -------------------------------------------------------------------------
  /// c + W'v.
  void latent_logits(const Params&, const BlockCache& cache, LaneMatrix& logits) const {
    logits = cache.hidden_input;
  }
  /// There is nothing else.
  void draw_given_latents(const Params&, const LaneFloats&, State&, Index, Scratch&,
                          const LaneStream&) const {}
  static BitLayer& latents_of(State& x) { return x.hidden; }
  static const BitLayer& latents_of(const State& x) { return x.hidden; }
  /// F_beta(h) = -beta c'h less, of every site, the logarithm of the sum over its states of exp(beta (a + W
  /// h) + (1 - beta) r): softplus of a bit. Float inputs, double sums.
  void latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x, Index lanes,
                          Scratch& scratch, LaneDoubles& out) const;

  // --- HasExactLogZ ------------------------------------------------------------------------------
  /// Units of the side with fewer states: at most 2^enumerated_units() of them.
  [[nodiscard]] Index enumerated_units() const { return std::min(bits_of_visibles(), n_hidden()); }
  [[nodiscard]] std::string why_not_enumerable() const {
    return why_too_many_units(enumerated_units(), kMaxEnumeratedUnits);
  }
  /// The states are enumerated in this many chunks of equal size.
  [[nodiscard]] Index exact_chunks() const;
  /// log of the sum of exp(-E_beta) over the states of one chunk, the other layer summed out. Gray code
  /// order, double. Cost: 2^enumerated_units() / exact_chunks() x units of the larger layer softplus
  /// evaluations.
  [[nodiscard]] double log_partition_chunk(const Params& theta, double beta, Index chunk) const;

  // --- HasCollapsedMachine -----------------------------------------------------------------------
  [[nodiscard]] std::string why_not_collapsible() const { return {}; }
  [[nodiscard]] std::unique_ptr<CollapsedMachine> collapsed(const Params& theta) const;
  [[nodiscard]] std::vector<Index> collapsed_layers() const {
    return {is_hidden_smaller() ? Index{1} : Index{0}};
  }

  // --- one case, exactly -------------------------------------------------------------------------
  /// Units that free_energy of one case enumerates: none.
  static constexpr Index case_units() { return 0; }
  /// F(v) of one case at beta = 1, all in double. Cost: (ones in v) x n_hidden.
  [[nodiscard]] double free_energy(const Params& theta, std::span<const Word> row) const;
  /// mean(i, c) = P(v_i = 1 | h of chain c), for pictures.
  void mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const;

  // --- MachineLaw: every machine has one ---------------------------------------------------------
  static std::string_view fault(const Params&) { return {}; }
  static std::string_view reference_fault(const Reference&) { return {}; }
  [[nodiscard]] bool is_improper(const Params&) const { return false; }
  [[nodiscard]] bool is_seen(const Params&) const { return true; }
  [[nodiscard]] std::optional<ImpossibleValue> impossible_value(const Data&) const { return {}; }

  // --- MachineFiles and MachineFilters -----------------------------------------------------------
  static Shape shape_from(const FieldShapes& file);
  [[nodiscard]] ArrayShape file_shape(std::string_view field) const {
    return V::file_shape(field, n_hidden(), shape_.sites);
  }
  static bool is_optional_field(std::string_view) { return false; }
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape_names() const;
  [[nodiscard]] std::vector<ShapeAttribute> shape_attributes() const;
  void unstandardise(const Params&, std::vector<State>&) const {}
  static const Matrix& filters(const Params& theta) { return theta.weights; }
  [[nodiscard]] FilterGrid filter_grid() const { return {}; }
  static constexpr std::string_view kUsageOffsets = "hidden";
  /// The hidden units.
  [[nodiscard]] std::vector<Code> codes() const { return {{"hidden", n_hidden()}}; }
  void code_values(std::size_t code, const State& x, const BlockCache& cache, LaneMatrix& out) const;

  // --- HasRemovableLatents -----------------------------------------------------------------------
  [[nodiscard]] Rbm with_latents(const std::vector<Index>& kept) const;
  static Params with_latents(const std::vector<Index>& kept, const Params& theta);
  static State with_latents(const std::vector<Index>& kept, const State& x);

 private:
  /// The units of the smaller layer at beta, with the other one summed out.
  [[nodiscard]] std::unique_ptr<CollapsedLayers> smaller_side(const Params& theta, double beta) const;
  [[nodiscard]] UnitRange slice_units(Index slice) const {
    return {slice * V::kHiddenSlice, std::min(n_hidden(), (slice + 1) * V::kHiddenSlice)};
  }
  /// Whether the hidden units are enumerated and collapsed onto, not the visibles.
  [[nodiscard]] bool is_hidden_smaller() const { return !V::kBinary || n_hidden() <= n_visible(); }
  [[nodiscard]] Index bits_of_visibles() const { return V::enumerated_bits(n_visible(), shape_.sites); }
  /// Bits and hidden units that a change leaves free, of every copy (-1: a unit that stands where none is
  /// left), and those that it holds at 1; with the sites of the former.
  struct ChangedUnits {
    std::vector<Index> visible;
    std::vector<Index> hidden;
    std::vector<Index> held_visible;
    std::vector<Index> held_hidden;
    Sites sites;
  };
  [[nodiscard]] ChangedUnits changed_units(const LawChange& change) const;
  /// Biases of the visibles on the path.
  [[nodiscard]] Eigen::VectorXd visible_bias_at(const Params& theta, double beta) const;
  /// scratch.visible_input = a + W h.
  void visible_input(const Params& theta, const BitBlock& hidden, Scratch& scratch) const;
  void pack_visibles(const Panel<Rbm>& panel, Scratch& scratch) const;
  [[nodiscard]] std::uint32_t hidden_site() const;
  [[nodiscard]] std::uint32_t redraw_site() const;

  Shape shape_;
  Reference reference_;
};

using BernoulliRbm = Rbm<BinaryVisibles>;
using PottsRbm = Rbm<PottsVisibles>;

extern template class Rbm<BinaryVisibles>;
extern template class Rbm<PottsVisibles>;

}  // namespace tempera
