// Data sets in memory: binary and categorical ones, bit-packed by case, and real-valued ones.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tempera/core/case_weights.hpp"
#include "tempera/core/letters.hpp"
#include "tempera/core/names.hpp"
#include "tempera/core/standardisation.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// How grey values become bits.
enum class BinarizeMethod { kNone, kThreshold, kSample, kSampleEach, kMedian, kMean };
template <>
struct Names<BinarizeMethod> {
  static constexpr std::array<NamedValue<BinarizeMethod>, 6> table = {
      {{BinarizeMethod::kNone, "none", "refuse"},
       {BinarizeMethod::kThreshold, "threshold", "1 above half the range, or above T: threshold:T"},
       {BinarizeMethod::kSample, "sample", "drawn once, with the grey value as probability"},
       {BinarizeMethod::kSampleEach, "sample-each", "drawn anew at each visit of training, else as sample"},
       {BinarizeMethod::kMedian, "median", "1 above the median of the column"},
       {BinarizeMethod::kMean, "mean", "1 above the mean of the column"}}};
};

/// Probabilities that bits are drawn from anew, n_cases x n_visible, C order.
struct Probabilities {
  std::vector<float> values;
  std::uint64_t seed = 0;
};

/// n_cases binary vectors of n_visible values. Case n occupies words_for(n_visible) words, value i at
/// bit i mod 64 of word i / 64; unused bits are 0. 784 x 60,000 takes 6 MB.
class BinaryData {
 public:
  BinaryData() = default;
  /// Packs n_cases x n_visible bytes, C order; a byte other than 0 is a 1.
  BinaryData(Index n_cases, Index n_visible, std::span<const std::uint8_t> bytes, CaseWeights weights = {});

  [[nodiscard]] Index n_cases() const { return n_cases_; }
  [[nodiscard]] Index n_visible() const { return n_visible_; }
  [[nodiscard]] std::span<const Word> row(Index n) const {
    return {words_.data() + n * words_per_case_, static_cast<std::size_t>(words_per_case_)};
  }
  [[nodiscard]] bool value(Index n, Index i) const { return is_on(row(n), i); }
  [[nodiscard]] const CaseWeights& weights() const { return weights_; }
  /// Bits have no unit.
  [[nodiscard]] static double log_volume(Index) { return 0.0; }

  /// Training draws the bits of every visit of a case from these; what is packed here is one draw. Null where
  /// cases are bits.
  [[nodiscard]] const Probabilities* probabilities() const { return probabilities_.get(); }
  void draw_from(Probabilities probabilities);
  /// Draws of case n for its visit in an epoch: the same whenever and wherever they are made.
  void draw(Index n, std::uint64_t epoch, std::span<std::uint8_t> bytes) const;

  /// Mean of each value over the weighted cases, double.
  [[nodiscard]] Eigen::VectorXd means() const;

  /// Indices of the first occurrence of each distinct case, ascending.
  [[nodiscard]] std::vector<Index> distinct_cases() const;

 private:
  Index n_cases_ = 0;
  Index n_visible_ = 0;
  Index words_per_case_ = 0;
  std::vector<Word> words_;
  CaseWeights weights_;
  std::shared_ptr<const Probabilities> probabilities_;  // many copies of the bits may share them
};

/// n_cases sequences of letters. A letter is the one bit that is 1 of the places of its site.
class CategoricalData : public BinaryData {
 public:
  CategoricalData() = default;
  /// n_cases x sites codes, C order, each below the number of letters of its site.
  CategoricalData(Index n_cases, Letters letters, std::span<const std::uint8_t> codes,
                  CaseWeights weights = {});

  [[nodiscard]] const Letters& letters() const { return letters_; }
  [[nodiscard]] Index letter(Index n, Index site) const;

 private:
  Letters letters_;
};

/// n_cases vectors of n_visible real numbers, C order, perhaps in standardised coordinates.
class RealData {
 public:
  RealData() = default;
  explicit RealData(Matrix values, CaseWeights weights = {})
      : values_(std::move(values)), weights_(std::move(weights)) {}
  /// The rows in standardised coordinates.
  RealData(Matrix rows, const Standardisation& units, bool exact_zeros, CaseWeights weights = {});

  [[nodiscard]] Index n_cases() const { return values_.rows(); }
  [[nodiscard]] Index n_visible() const { return values_.cols(); }
  [[nodiscard]] std::span<const float> row(Index n) const {
    return {values_.data() + n * values_.cols(), static_cast<std::size_t>(values_.cols())};
  }
  [[nodiscard]] float value(Index n, Index i) const { return values_(n, i); }
  [[nodiscard]] const CaseWeights& weights() const { return weights_; }
  /// What the log density of a case in these coordinates exceeds that in its own units by.
  [[nodiscard]] double log_volume(Index n) const {
    return log_volumes_.empty() ? 0.0 : log_volumes_[static_cast<std::size_t>(n)];
  }

  /// Mean and variance of each value over the weighted cases, double.
  [[nodiscard]] Eigen::VectorXd means() const;
  [[nodiscard]] Eigen::VectorXd variances() const;

 private:
  Matrix values_;
  CaseWeights weights_;
  std::vector<double> log_volumes_;  // empty where the values are as they were given
};

/// The cases as rows: n_cases x n_visible.
[[nodiscard]] Matrix rows_of(const BinaryData& data);
[[nodiscard]] Matrix rows_of(const RealData& data);

/// HEIGHTxWIDTH or HEIGHTxWIDTHx3 of n values. Throws UsageError.
[[nodiscard]] std::vector<std::int64_t> parse_shape(const std::string& text, Index n);

/// Whether `shape` has positive sizes whose product is n: the shape of a case as a picture, say.
[[nodiscard]] bool is_shape_of(const std::vector<std::int64_t>& shape, Index n);

}  // namespace tempera
