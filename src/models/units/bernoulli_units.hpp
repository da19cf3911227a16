// What machines of Bernoulli units share: sums of softplus, parts of a layer, enumeration.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/kernels/products.hpp"

namespace tempera {

inline std::span<const float> view(const Vector& v) { return {v.data(), static_cast<std::size_t>(v.size())}; }

/// sum_k softplus(x_k), in double. The logarithms of many terms are one logarithm of their product, which is
/// at most 2 to their number.
inline double softplus_sum(const Eigen::ArrayXd& x) {
  constexpr Index kTerms = 512;
  double sum = x.max(0.0).sum();
  for (Index first = 0; first < x.size(); first += kTerms)
    sum += std::log((1.0 + (-x.segment(first, std::min(kTerms, x.size() - first)).abs()).exp()).prod());
  return sum;
}

/// Calls f(part) for the parts of a range that are made and sampled at a time.
template <class F>
void for_each_part(UnitRange units, F&& f) {
  for (Index first = units.first; first < units.last; first += kProductUnits)
    f(UnitRange{first, std::min(units.last, first + kProductUnits)});
}

/// out[c] += sum_k x(k, c) y(k, c) over the units of two layers: the parts of 64 units are summed in float,
/// the rest in double.
inline void add_column_dots(const LaneMatrix& x, const LaneMatrix& y, Index lanes, LaneDoubles& out) {
  constexpr Index kUnits = 64;
  for (Index first = 0; first < x.rows(); first += kUnits) {
    Eigen::Array<float, 1, kLanes> sum = Eigen::Array<float, 1, kLanes>::Zero();
    for (Index k = first; k < std::min(x.rows(), first + kUnits); ++k)
      sum += x.row(k).array() * y.row(k).array();
    for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += static_cast<double>(sum[c]);
  }
}

/// States per chunk of an enumeration: 2^12.
inline constexpr Index kChunkBits = 12;

/// Chunks of equal size that all states of n units are enumerated in.
inline Index enumeration_chunks(Index n) { return Index{1} << std::max<Index>(0, n - kChunkBits); }

/// Units of a layer, to whole counters of random draws.
inline Index aligned_units(Index units) {
  return (units + kUnitAlignment - 1) / kUnitAlignment * kUnitAlignment;
}

}  // namespace tempera
