// Sites of several letters: E(v) = -bias' v, where v has one bit for each letter of a site, of which one is 1
// (Potts 1952; softmax units).
//
// A site has as many places as the largest has letters. Places that a site has no letter for are 0 in states,
// and in parameters; nothing reads them else.
//
// Formulas: docs/mathematics/energies.md 1.9.
#pragma once

#include "tempera/core/letters.hpp"
#include "tempera/kernels/letters.hpp"
#include "tempera/models/units.hpp"

namespace tempera {

/// The visibles of an Rbm (models/rbm.hpp). `n`: bits of the visibles; `input`: a row for every bit.
struct PottsVisibles {
  using Data = CategoricalData;
  using Sites = Letters;
  struct Params {
    Vector visible_bias;  // n

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible_bias", s.visible_bias...);
    }
  };
  using Reference = Params;

  static constexpr std::string_view kRbmKind = "potts-rbm";
  static constexpr FeatureSet kRbmFeatures = {Feature::kLetters};
  /// Whether a site is one bit.
  static constexpr bool kBinary = false;
  static constexpr bool kHasGauge = true;
  /// A letter is 1 less often than a bit.
  static constexpr double kLearningRate = 1.0;
  static constexpr bool kBeginsHigh = false;

  static Reference standard_reference(Index n) { return {Vector::Zero(n)}; }
  /// Independent sites with the frequencies of the weighted cases and of one imaginary case, all of whose
  /// letters are equally likely.
  static Reference fit_reference(const CategoricalData& data);

  using Packed = PackedLetters;
  static constexpr Index kHiddenPart = kLetterUnits;
  static constexpr Index kHiddenSlice = kLetterUnits;
  static void pack(std::span<const BitBlock> blocks, const Letters& letters, Packed& packed) {
    pack_letters(blocks, letters.most(), packed);
  }
  static void hidden_input(const Matrix& weights, const Packed& packed, UnitRange hidden, const Vector& bias,
                           std::span<float* const> out, ProductScratch& scratch) {
    input_from_letters(weights, packed, hidden, bias, out, scratch);
  }
  static void add_products(std::span<const WeightedBlock> blocks, UnitRange hidden, Sums mode, Matrix& sums,
                           ProductScratch& scratch) {
    add_letter_products(blocks, hidden, mode, sums, scratch);
  }
  static Index sites(Index, const Letters& letters) { return letters.sites(); }
  /// Sites that a change of the law leaves free, with the letters that it leaves them; their bits (-1: a
  /// place without a letter); and the bits that it holds at 1.
  static Letters free_sites(const LawChange& change, const Letters& letters);
  static std::vector<Index> free_units(const LawChange& change, Index n, const Letters& letters);
  static std::vector<Index> held_units(const LawChange& change, const Letters& letters);
  /// Bits of some sites.
  static UnitRange units_of(UnitRange sites, const Letters& letters) {
    return {sites.first * letters.most(), sites.last * letters.most()};
  }
  /// Sites that are made and sampled at a time: their draws are whole counters.
  static Index sites_of_part(const Letters&) { return 4; }
  /// Units of one bit that would take as many random draws: a site takes 32 bits, a unit 16.
  static Index bits_of_draws(Index, const Letters& letters) { return 2 * letters.sites(); }
  /// log2 of the number of states, rounded up.
  static Index enumerated_bits(Index n, const Letters& letters);
  static Letters sites_from(const MachineOptions& options) { return options.letters; }
  static Letters letters_of(const Letters& letters) { return letters; }

  /// Draws the letters of some sites, whose first begins at input.
  static void sample_sites(const float* input, UnitRange sites, const Letters& letters,
                           const LaneFloats& betas, const Vector& reference, Index lanes,
                           const LaneStream& stream, BitLayer& v);
  /// out[c] += the logarithm of the sum of exp(input) over the letters of every site.
  static void add_log_sums(const LaneMatrix& input, const Letters& letters, Index lanes, LaneDoubles& out);
  static double log_sum(const Eigen::ArrayXd& input, const Letters& letters);
  static void mean_units(const LaneMatrix& input, const Letters& letters, LaneMatrix& mean);
  /// Places without a letter become 0.
  static void settle(const Letters& letters, Matrix& weights);
  static bool is_settled(const Letters& letters, const Matrix& weights, const Vector& visible_bias);
  /// Letters of a site sum to 0, in weights and biases.
  template <class Params>
  static void fix_gauge(const Letters& letters, Params& theta) {
    fix_gauge(letters, theta.weights, theta.visible_bias, theta.hidden_bias);
  }
  /// log of the summed weights of the states of one chunk of an enumeration of the sites
  /// (units/bernoulli_units.hpp), the hidden units summed out.
  static double log_sum_of_chunk(const Eigen::MatrixXd& weights, const Eigen::VectorXd& visible_bias,
                                 const Eigen::VectorXd& hidden_bias, const Letters& letters, Index chunk);

  /// Shape of weights in memory and letters, of a file; checks the biases. Throws DataError.
  static ArrayShape weights_in(const FieldShapes& file, Letters& letters);
  static ArrayShape file_shape(std::string_view field, Index n_hidden, const Letters& letters);
  static std::vector<std::pair<std::string, Index>> shape_names(Index, Index n_hidden,
                                                                const Letters& letters) {
    return {{"n_sites", letters.sites()}, {"n_letters", letters.most()}, {"n_hidden", n_hidden}};
  }
  /// Numbers of letters, where they differ.
  static void add_attributes(const Letters& letters, std::vector<ShapeAttribute>& all);

 private:
  static void fix_gauge(const Letters& letters, Matrix& weights, Vector& visible_bias, Vector& hidden_bias);
};

}  // namespace tempera
