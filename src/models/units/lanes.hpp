// Arithmetic on the 64 lanes of a block: what the kinds of units (models/units.hpp) share.
#pragma once

#include <algorithm>
#include <numbers>

#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"
#include "tempera/kernels/products.hpp"
#include "tempera/models/units.hpp"

namespace tempera {

inline constexpr double kTwoPi = 2.0 * std::numbers::pi;

using LanesMap = Eigen::Map<Lanes, Eigen::Aligned64>;
using ConstLanesMap = Eigen::Map<const Lanes, Eigen::Aligned64>;
/// A part of a layer, on the stack.
struct alignas(64) Part : Eigen::Array<float, kProductUnits, kLanes, Eigen::RowMajor> {
  using Eigen::Array<float, kProductUnits, kLanes, Eigen::RowMajor>::Array;
};

inline Lanes lanes_of(const LaneFloats& values) { return Eigen::Map<const Lanes>(values.data()); }

/// 1 for the lanes that hold a chain.
inline Lanes lane_mask(Index lanes) {
  Lanes mask = Lanes::Zero();
  mask.head(lanes).setOnes();
  return mask;
}

inline LaneFloats ones() {
  LaneFloats one;
  one.fill(1.0F);
  return one;
}

inline Lanes bits_to_lanes(Word bits) {
  Lanes out;
  for (Index c = 0; c < kLanes; ++c) out[c] = static_cast<float>(bits >> c & 1);
  return out;
}

/// log(1 + e^x).
inline Lanes softplus_lanes(const Lanes& x) { return x.max(0.0F) + (1.0F + (-x.abs()).exp()).log(); }
inline Lanes sigmoid_lanes(const Lanes& x) { return (1.0F + (-x).min(80.0F).exp()).inverse(); }

/// (1 - beta) reference + beta own.
inline Lanes mixed(float reference, float own, const Lanes& beta) {
  return reference + beta * (own - reference);
}
inline double mixed(float reference, float own, double beta) {
  return (1.0 - beta) * static_cast<double>(reference) + beta * static_cast<double>(own);
}

/// Units of a layer, as numbers, into rows `first` ... of a matrix; returns the row after them.
inline Index fill_bits(const BitLayer& bits, Index first, LaneMatrix& out) {
  for (const Word word : bits) out.row(first++) = bits_to_lanes(word).matrix();
  return first;
}

/// Sum of weights in order: Eigen's own sum depends on where the memory begins.
inline double total_weight(const Eigen::Ref<const Vector>& weight) {
  double sum = 0.0;
  for (const float w : weight) sum += static_cast<double>(w);
  return sum;
}

inline void add_to(LaneDoubles& out, const Eigen::Array<double, 1, kLanes>& values, Index lanes) {
  for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += values[c];
}

}  // namespace tempera
