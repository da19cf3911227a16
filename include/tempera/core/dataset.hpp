// Data sets in memory: binary ones, bit-packed by case, and real-valued ones.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "tempera/core/case_weights.hpp"
#include "tempera/core/names.hpp"
#include "tempera/core/standardisation.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// How grey values become bits.
enum class BinarizeMethod { kNone, kThreshold, kSample, kMedian, kMean };
template <>
struct Names<BinarizeMethod> {
  static constexpr std::array<NamedValue<BinarizeMethod>, 5> table = {
      {{BinarizeMethod::kNone, "none", "refuse"},
       {BinarizeMethod::kThreshold, "threshold", "1 above half the range, or above T: threshold:T"},
       {BinarizeMethod::kSample, "sample", "drawn once, with the grey value as probability"},
       {BinarizeMethod::kMedian, "median", "1 above the median of the column"},
       {BinarizeMethod::kMean, "mean", "1 above the mean of the column"}}};
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

/// Whether `shape` has positive sizes whose product is n: the shape of a case as a picture, say.
[[nodiscard]] bool is_shape_of(const std::vector<std::int64_t>& shape, Index n);

}  // namespace tempera
