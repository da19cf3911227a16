// The deep Boltzmann machine (Salakhutdinov & Hinton 2009): layers of Bernoulli units x_0 (the visibles),
// x_1,
// ... x_K with connections between neighbours,
//
//   E(x) = -sum_k x_{k-1}' W_k x_k - sum_k b_k' x_k.
//
// The even layers given the odd ones are independent units, and the other way round: to the samplers the even
// layers are what a chain keeps, the odd ones its latents, which are summed out wherever free energies are
// asked for. With one hidden layer this is the restricted machine.
//
// Tempering path, with reference biases r of the visibles, fitted to the data:
//
//   E_beta(x) = beta E(x) - (1 - beta) r' x_0,
//
// so beta = 0 is independent visibles with logits r and fair coins, of known log Z.
//
// Latents given data alone are not independent. The positive phase takes their mean field q, which bounds the
// likelihood: log p(v) >= -E(v, q) + H(q) - log Z; it is the exact value where the layers from the second
// hidden one on are few enough to be enumerated.
//
// Formulas: docs/mathematics/energies.md 1.3, 1.4 and 1.7.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tempera/kernels/products.hpp"
#include "tempera/models/energy_model.hpp"

namespace tempera {

class CollapsedLayers;

class Dbm {
 public:
  using Data = BinaryData;
  static constexpr std::string_view kKind = "dbm";
  static constexpr std::string_view kHiddenUnits = kUsualHiddenUnits;
  static constexpr bool kDiscrete = true;
  static constexpr bool kExactInference = false;
  static constexpr FeatureSet kFeatures = {Feature::kBinarize, Feature::kMeanField, Feature::kSampledLatents,
                                           Feature::kFangMetric};
  /// Hidden layers at most.
  static constexpr std::size_t kMaxHidden = 8;
  /// More units than this in the even or the odd layers, whichever has fewer, are not enumerated.
  static constexpr Index kMaxEnumeratedUnits = 25;

  struct Shape {
    std::vector<Index> sizes;  // units of every layer, the visibles first, two layers or more
    bool operator==(const Shape&) const = default;
  };

  struct Reference {
    Vector bias_0;  // logits of the visibles at beta = 0

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("bias_0", s.bias_0...);
    }
  };

  /// Arrays of layers that a machine does not have are empty.
  struct Params {
    std::array<Matrix, kMaxHidden> weights;   // [k]: n_k x n_{k+1}, called weights_{k+1}
    std::array<Vector, kMaxHidden + 1> bias;  // [k]: n_k

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      for (std::size_t k = 0; k < kMaxHidden; ++k) f(kWeightNames[k], s.weights[k]...);
      for (std::size_t k = 0; k <= kMaxHidden; ++k) f(kBiasNames[k], s.bias[k]...);
    }
  };

  struct State {
    std::array<BitLayer, kMaxHidden + 1> layers;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      for (std::size_t k = 0; k <= kMaxHidden; ++k) f(kLayerNames[k], s.layers[k]...);
    }
  };

  struct Offsets {
    std::array<Vector, kMaxHidden + 1> layers;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      for (std::size_t k = 0; k <= kMaxHidden; ++k) f(kLayerNames[k], s.layers[k]...);
    }
  };

  /// Cache of one block.
  struct BlockCache {
    Index lanes = kLanes;
    // Of odd layers: inputs from the even ones, and expected values. Of even layers above the visibles:
    // expected values, where the block is in its mean field.
    std::array<LaneMatrix, kMaxHidden + 1> input;
    std::array<LaneMatrix, kMaxHidden + 1> mean;
    bool mean_field = false;
  };

  struct Scratch {
    std::array<PackedPanel, kMaxHidden + 1> packed;
    ProductScratch products;
    LaneMatrix input;
    LaneMatrix other;
    Matrix transposed;
    Vector no_bias;
    std::vector<WeightedBlock> blocks;
  };

  Dbm(Shape shape, Reference reference) : shape_(std::move(shape)), reference_(std::move(reference)) {}
  static Reference standard_reference(const Shape& shape) { return {Vector::Zero(shape.sizes.front())}; }
  /// Logits of the data's means (smoothed_logits).
  static Reference fit_reference(const BinaryData& data);

  [[nodiscard]] const Shape& shape() const { return shape_; }
  [[nodiscard]] const Reference& reference() const { return reference_; }
  [[nodiscard]] Index n_visible() const { return shape_.sizes.front(); }
  /// Units of every layer, the visibles first.
  [[nodiscard]] const std::vector<Index>& layer_sizes() const { return shape_.sizes; }
  [[nodiscard]] std::vector<std::string> layer_names() const;
  bool operator==(const Dbm& other) const;

  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State new_state() const;
  [[nodiscard]] BlockCache new_cache(Index lanes) const;
  [[nodiscard]] Offsets zero_offsets() const;

  // --- MachineOptionsKnown (description.cpp) --------------------------------------------------------
  static Shape shape_from(const MachineOptions& options, Index n_visible);
  static std::vector<Violation> check(const MachineOptions& options, const InitialValues& initial);
  static MachineDefaults defaults() { return {.inference = Inference::kMeanField, .decay = 2.0}; }
  static std::string_view law_field(const MachineOptions&) { return {}; }
  static double default_weight_scale(const InitialValues&, Index) { return 0.01; }
  /// W ~ N(0, scale^2), hidden biases 0, visible biases those of the reference.
  [[nodiscard]] Params initial_params(const StreamFactory& streams, const InitialValues& values) const;
  /// The mean of the data, and 1/2 for the hidden layers.
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd& visible_means) const;
  static MachineMemory memory(const Shape& shape);

  // --- MachineSampling (sampling.cpp), see BernoulliRbm ---------------------------------------------
  /// Visibles of up to 64 cases; the other layers become 0.
  void load(const BinaryData& data, std::span<const Index> cases, State& x) const;
  static const BitLayer& visibles_of(const State& x) { return x.layers[0]; }

  /// Stage 0 draws the even layers, stage 1 the odd ones. Units of a stage are numbered through its layers,
  /// each of which begins at a multiple of kUnitAlignment.
  [[nodiscard]] Index stages() const { return 2; }
  [[nodiscard]] Index stage_units(Index stage) const;
  void resample(Index stage, UnitRange units, const Params& theta, const Panel<Dbm>& panel, Scratch& scratch,
                const LaneStream& stream) const;

  [[nodiscard]] Index latents() const { return stage_units(1); }
  void latent_input(UnitRange units, const Params& theta, const Panel<Dbm>& panel, Scratch& scratch) const;
  void mean_latents(UnitRange units, const Params& theta, const Panel<Dbm>& panel) const;
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const BlockCache& cache,
                      const LaneStream& stream) const;
  void unpack_latents(const State& x, BlockCache& cache) const;
  /// F_beta of the even layers, the odd ones summed out.
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, const BlockCache& cache,
                   LaneDoubles& out) const;

  // --- MachineStatistics and HasLayers (statistics.cpp) ---------------------------------------------
  /// Sums of the statistics given the even layers, or in the mean field where the block is in it. A slice is
  /// kProductColumns units of an odd layer with all their connections; the first one also holds the biases of
  /// the even layers.
  void accumulate(const Params& theta, std::span<const State> states, std::span<const BlockCache> caches,
                  std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                  Params& sums) const;
  [[nodiscard]] Index slices() const;
  void note_means(Index slice, const Params& sums, Offsets& means) const;
  void score(const Params& direction, const State& x, const BlockCache& probe, const BlockCache& cache,
             LaneDoubles& out) const;
  void layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const;

  template <class F, class... S>
  static void visit_couplings(F&& f, const Offsets& offsets, S&&... s) {
    for (std::size_t k = 0; k < kMaxHidden && offsets.layers[k + 1].size() > 0; ++k)
      f(offsets.layers[k], offsets.layers[k + 1], Coupling{s.weights[k], s.bias[k], s.bias[k + 1]}...);
  }

  static constexpr bool is_weight(std::string_view field) { return field.starts_with("weights"); }
  static constexpr bool is_precision(std::string_view) { return false; }
  static LayerParams<float> to_layers(Params&& params);
  static Params from_layers(LayerParams<float>&& layers);
  static std::vector<const Vector*> layer_offsets(const Offsets& offsets);

  // --- HasMeanField (mean_field.cpp) and HasClampedSweeps -------------------------------------------
  /// Mean field of the hidden layers given the visibles of one block, whose other even layers are 0 and whose
  /// cache is current: `sweeps` times the even layers given the odd ones and the other way round, from even
  /// layers at 1/2, whatever the update. Sequential, so the bound never falls. Cost: 2 sweeps products above
  /// the first hidden layer, none with the visibles.
  void mean_field(Index sweeps, bool odd_update, const Params& theta, BlockCache& cache,
                  Scratch& scratch) const;
  /// E(v, q) - H(q) >= -log sum_latents exp(-E): an upper bound of the free energy of the visibles.
  void variational_free_energy(const Params& theta, const State& x, const BlockCache& cache,
                               LaneDoubles& out) const;

  [[nodiscard]] UnitRange clamped_units() const;

  // --- HasReference --------------------------------------------------------------------------------
  void sample_reference(Index lanes, State& x, const LaneStream& stream) const;
  /// (units of the hidden layers) log 2 + sum_i softplus(r_i).
  [[nodiscard]] double reference_log_partition() const;
  [[nodiscard]] Params reference_params() const;

  // --- HasLawChanges (description.cpp) ---------------------------------------------------------------
  static std::string why_not_changed(const LawChange& change) { return why_not_bits(change); }
  [[nodiscard]] Dbm changed(const LawChange& change) const;
  [[nodiscard]] Params changed(const LawChange& change, const Params& theta) const;
  [[nodiscard]] State restored(const LawChange& change, const State& x) const;

  // --- HasExactLogZ (exact.cpp) ---------------------------------------------------------------------
  [[nodiscard]] Index enumerated_units() const;
  [[nodiscard]] std::string why_not_enumerable() const {
    return why_too_many_units(enumerated_units(), kMaxEnumeratedUnits);
  }
  [[nodiscard]] Index exact_chunks() const;
  [[nodiscard]] double log_partition_chunk(const Params& theta, double beta, Index chunk) const;

  // --- HasCollapsedMachine -----------------------------------------------------------------------
  [[nodiscard]] std::string why_not_collapsible() const { return {}; }
  [[nodiscard]] std::unique_ptr<CollapsedMachine> collapsed(const Params& theta) const;
  [[nodiscard]] std::vector<Index> collapsed_layers() const;

  // --- one case, exactly -----------------------------------------------------------------------------
  /// Units that free_energy of one case enumerates: the even hidden layers.
  [[nodiscard]] Index case_units() const;
  /// F(v) of one case at beta = 1, in double. Cost: 2^case_units() x units of the odd layers.
  [[nodiscard]] double free_energy(const Params& theta, std::span<const Word> row) const;
  /// mean(i, c) = P(v_i = 1 | x_1 of chain c).
  void mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const;

  // --- MachineLaw: every machine has one ------------------------------------------------------------
  static std::string_view fault(const Params&) { return {}; }
  static std::string_view reference_fault(const Reference&) { return {}; }
  [[nodiscard]] bool is_improper(const Params&) const { return false; }
  [[nodiscard]] bool is_seen(const Params&) const { return true; }
  [[nodiscard]] std::optional<ImpossibleValue> impossible_value(const BinaryData&) const { return {}; }

  // --- MachineFiles and MachineFilters (description.cpp) --------------------------------------------
  static Shape shape_from(const FieldShapes& file);
  [[nodiscard]] ArrayShape file_shape(std::string_view) const { return {}; }
  static bool is_optional_field(std::string_view) { return false; }
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape_names() const;
  [[nodiscard]] std::vector<ShapeAttribute> shape_attributes() const;
  void unstandardise(const Params&, std::vector<State>&) const {}
  static const Matrix& filters(const Params& theta) { return theta.weights[0]; }
  [[nodiscard]] FilterGrid filter_grid() const { return {}; }
  static constexpr std::string_view kUsageOffsets = "hidden_1";
  /// Every hidden layer.
  [[nodiscard]] std::vector<Code> codes() const;
  void code_values(std::size_t code, const State& x, const BlockCache& cache, LaneMatrix& out) const;

 private:
  /// Units of the even (0) or odd (1) layers.
  [[nodiscard]] Index side_units(std::size_t parity) const;
  /// The units of the side that has fewer at beta, with the other one summed out.
  [[nodiscard]] std::unique_ptr<CollapsedLayers> smaller_side(const Params& theta, double beta) const;
  static constexpr std::array<std::string_view, kMaxHidden> kWeightNames = {
      "weights_1", "weights_2", "weights_3", "weights_4", "weights_5", "weights_6", "weights_7", "weights_8"};
  static constexpr std::array<std::string_view, kMaxHidden + 1> kBiasNames = {
      "bias_0", "bias_1", "bias_2", "bias_3", "bias_4", "bias_5", "bias_6", "bias_7", "bias_8"};
  static constexpr std::array<std::string_view, kMaxHidden + 1> kLayerNames = {
      "visible",  "hidden_1", "hidden_2", "hidden_3", "hidden_4",
      "hidden_5", "hidden_6", "hidden_7", "hidden_8"};

  [[nodiscard]] std::size_t layers() const { return shape_.sizes.size(); }
  [[nodiscard]] Index size(std::size_t layer) const { return shape_.sizes[layer]; }
  /// Number of a layer's first unit among those of its stage.
  [[nodiscard]] Index first_unit(std::size_t layer) const;
  /// f(layer, part of its units) for the layers of a stage that a range of its units meets.
  template <class F>
  void for_each_layer(Index stage, UnitRange units, F&& f) const;
  /// Packs the layers that are neighbours of a stage's.
  void pack_neighbours(Index stage, const Panel<Dbm>& panel, Scratch& scratch) const;
  /// out[b] = b_k + W_k' x_{k-1} + W_{k+1} x_{k+1} for a part of a layer, from packed neighbours.
  void layer_input(std::size_t layer, UnitRange part, const Params& theta, std::size_t n_blocks,
                   std::span<float* const> out, Scratch& scratch) const;
  /// The odd layer and the part of its units that a slice holds.
  [[nodiscard]] std::pair<std::size_t, UnitRange> slice_part(Index slice) const;
  /// Weights between the even layers (rows) and the odd ones (columns), in double.
  [[nodiscard]] Eigen::MatrixXd even_odd_weights(const Params& theta) const;
  /// A vector for each layer of a parity, one after another, in double.
  template <class V>
  [[nodiscard]] Eigen::VectorXd concatenated(std::size_t parity, const V& vectors) const;

  Shape shape_;
  Reference reference_;
};

}  // namespace tempera
