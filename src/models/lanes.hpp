// Arithmetic on the 64 lanes of a block: what the kinds of units of the spike-and-slab family share.
#pragma once

#include <algorithm>

#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"
#include "tempera/kernels/products.hpp"

namespace tempera {

using Lanes = Eigen::Array<float, 1, kLanes>;
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

inline void add_to(LaneDoubles& out, const Eigen::Array<double, 1, kLanes>& values, Index lanes) {
  for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += values[c];
}

}  // namespace tempera
