// Binary values: E(v) = -bias' v.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.4.
#pragma once

#include "tempera/kernels/products.hpp"
#include "tempera/models/units.hpp"

namespace tempera {

struct BinaryVisibles {
  using Data = BinaryData;
  using Value = Word;
  using Layer = BitLayer;
  struct Params {
    Vector visible_bias;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible_bias", s.visible_bias...);
    }
  };
  using Reference = Params;

  /// Every unit is a site of its own (models/rbm.hpp).
  struct Sites {
    bool operator==(const Sites&) const = default;
  };

  static constexpr std::string_view kRbmPrefix = "bernoulli-";
  static constexpr std::string_view kSlabPrefix = "binary-";
  static constexpr bool kDiscrete = true;
  static constexpr bool kEnumerable = true;
  static constexpr bool kAlwaysProper = true;
  static constexpr bool kTakesPrecision = false;
  static constexpr bool kBox = false;
  static constexpr bool kGaussian = false;
  static constexpr bool kBiased = true;
  static constexpr FeatureSet kFeatures = {Feature::kBinarize};
  static constexpr Index enumerated_bits(Index n) { return n; }
  static constexpr Index enumerated_bits(Index n, const Sites&) { return n; }
  static constexpr Index square_statistics(Index) { return 0; }
  static constexpr Index own_statistics(Index) { return 0; }

  static Layer new_layer(Index n) { return Layer(static_cast<std::size_t>(n)); }
  static Params zero_params(Index n) { return {Vector::Zero(n)}; }
  /// Fair coins.
  static Reference standard_reference(Index n) { return {Vector::Zero(n)}; }
  /// Independent coins of the data's means (smoothed_logits).
  static Reference fit_reference(const BinaryData& data);
  static Params initial(const Reference& reference, const InitialValues&) { return reference; }
  static void load(const BinaryData& data, std::span<const Index> cases, BitLayer& v);
  static Eigen::VectorXd case_values(std::span<const Word> row, Index n);
  static const LaneMatrix& as_real(const BitLayer& v, LaneMatrix& memory);

  static void filter_input(const Matrix& weights, const BitLayer& v, Index lanes, UnitRange filters,
                           UnitScratch& scratch, LaneMatrix& input);
  static void sample(const Reference& reference, const Params& own, const VisibleInput& input,
                     const LaneFloats& betas, Index lanes, const LaneStream& stream, UnitScratch& scratch,
                     BitLayer& v);
  static Lanes mean(const Params& own, Index d, const VisibleInput& input);
  static void add_energies(const Reference& reference, const Params& own, const LaneFloats& betas,
                           const BitLayer& v, Index lanes, LaneDoubles& out);
  static double energy(const Reference& reference, const Params& own, double beta, const Eigen::VectorXd& v);
  static double log_partition(const Reference& reference, const float* box);

  // --- of an Rbm: as those of PottsVisibles
  static constexpr std::string_view kRbmKind = "bernoulli-rbm";
  static constexpr FeatureSet kRbmFeatures = kFeatures;
  static constexpr bool kBinary = true;
  static constexpr bool kHasGauge = false;
  static constexpr double kLearningRate = 0.3;
  static constexpr bool kBeginsHigh = true;
  using Packed = PackedPanel;
  /// Hidden units that one task does at a time, and those of a slice of statistics.
  static constexpr Index kHiddenPart = kProductUnits;
  static constexpr Index kHiddenSlice = kProductColumns;
  static void pack(std::span<const BitBlock> blocks, const Sites&, Packed& packed) {
    tempera::pack(blocks, packed);
  }
  static void hidden_input(const Matrix& weights, const Packed& packed, UnitRange hidden, const Vector& bias,
                           std::span<float* const> out, ProductScratch& scratch) {
    input_from_rows(weights, packed, hidden, bias, out, scratch);
  }
  static void add_products(std::span<const WeightedBlock> blocks, UnitRange hidden, Sums mode, Matrix& sums,
                           ProductScratch& scratch) {
    tempera::add_products(blocks, hidden, mode, sums, scratch);
  }
  static Index sites(Index n, const Sites&) { return n; }
  static Sites free_sites(const LawChange&, const Sites&) { return {}; }
  static std::vector<Index> free_units(const LawChange& change, Index n, const Sites&);
  static std::vector<Index> held_units(const LawChange& change, const Sites&);
  static UnitRange units_of(UnitRange sites, const Sites&) { return sites; }
  static Index sites_of_part(const Sites&) { return kProductUnits; }
  static Index bits_of_draws(Index n, const Sites&) { return n; }
  static Sites sites_from(const MachineOptions&) { return {}; }
  static void sample_sites(const float* input, UnitRange sites, const Sites&, const LaneFloats& betas,
                           const Vector& reference, Index lanes, const LaneStream& stream, BitLayer& v);
  static void add_log_sums(const LaneMatrix& input, const Sites&, Index lanes, LaneDoubles& out);
  static double log_sum(const Eigen::ArrayXd& input, const Sites&);
  static void mean_units(const LaneMatrix& input, const Sites&, LaneMatrix& mean);
  static Letters letters_of(const Sites&) { return {}; }
  static void settle(const Sites&, Matrix&) {}
  static ArrayShape weights_in(const FieldShapes& file, Sites& sites);
  static ArrayShape file_shape(std::string_view, Index, const Sites&) { return {}; }
  static std::vector<std::pair<std::string, Index>> shape_names(Index n_visible, Index n_hidden,
                                                                const Sites&) {
    return {{"n_visible", n_visible}, {"n_hidden", n_hidden}};
  }
  static void add_attributes(const Sites&, std::vector<ShapeAttribute>&) {}

  static Params sums(const Params& own, const BitLayer& v, const Eigen::Ref<const Vector>& weight);
  static float scale(const Reference&, Index) { return 1.0F; }
  static void fill_squares(const Reference&, const BitLayer&, LaneMatrix&) {}
  static void fill_own_statistics(const Reference&, const Params&, const BitLayer&, LaneMatrix&) {}
  template <class F, class Own, class S>
  static void visit_statistics(F&& f, const Reference& reference, Own& own, S& statistics) {
    for (Index d = 0; d < reference.visible_bias.size(); ++d)
      f(statistics.bias[kVisibleStatistics][d], own.visible_bias[d], 1.0F, false);
  }
};

static_assert(VisibleUnits<BinaryVisibles>);

/// Logits of the means of binary data, the best independent model: means are smoothed by one imaginary case
/// of each value, so that constant columns stay finite.
[[nodiscard]] Vector smoothed_logits(const Eigen::VectorXd& means, double n_cases);

}  // namespace tempera
