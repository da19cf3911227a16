// What only some kinds of machines can do, as data: options that mean something with these alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace tempera {

/// Something that a user may ask of some kinds only. Named after the option that asks for it, with its value
/// where only that value is meant.
enum class Feature : std::uint8_t {
  kSlabs,                    // several slabs of a spike
  kBlocks,                   // several blocks of factor groups
  kGate,                     // a gate for every block
  kTwoBlockGibbs,            // slabs and visibles drawn jointly
  kBox,                      // visibles restricted to a box
  kFilterNorm,               // filters kept at a length, or below one
  kDataNoise,                // noise added to cases in training
  kInitialVisiblePrecision,  // a first precision of the visibles other than the data's
  kInitialSpikeBias,         // a first bias of the latents
  kInitialSpikePrecision,    // a first precision that a spike gives to the visibles
  kInitialSlabMean,          // a first mean of slabs
  kInitialSlabPrecision,     // a first precision of slabs
  kStagedStart,              // a start from a machine of simpler latents
  kFreeze,                   // parameters that training leaves as they are
  kJump,                     // jumps of the latents
  kMeanField,                // a mean field in the positive phase
  kSampledLatents,           // latents sampled in the positive phase
  kFangMetric,               // the metric fang
  kBinarize,                 // grey data made binary
  kLetters,                  // cases are sequences of letters
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<std::size_t>(Feature::kCount)> kFeatureNames = {
    "slabs",
    "blocks",
    "gate",
    "gibbs:two-block",
    "box",
    "filter-norm",
    "data-noise",
    "init-visible-precision",
    "init-spike-bias",
    "init-spike-precision",
    "init-slab-mean",
    "init-slab-precision",
    "init:staged",
    "freeze",
    "jump",
    "inference:mean-field",
    "inference:sampled",
    "metric:fang",
    "binarize",
    "letters"};

constexpr std::string_view name_of(Feature feature) {
  return kFeatureNames[static_cast<std::size_t>(feature)];
}

/// Some features. A constant expression.
class FeatureSet {
 public:
  constexpr FeatureSet() = default;
  constexpr FeatureSet(std::initializer_list<Feature> features) {
    for (const Feature feature : features) bits_ |= bit(feature);
  }
  [[nodiscard]] constexpr bool has(Feature feature) const { return (bits_ & bit(feature)) != 0; }
  constexpr FeatureSet operator|(FeatureSet other) const {
    other.bits_ |= bits_;
    return other;
  }
  constexpr bool operator==(const FeatureSet&) const = default;

 private:
  static constexpr std::uint64_t bit(Feature feature) {
    return std::uint64_t{1} << static_cast<unsigned>(feature);
  }
  static_assert(static_cast<unsigned>(Feature::kCount) <= 64);

  std::uint64_t bits_ = 0;
};

}  // namespace tempera
