// Array types shared by every layer.
//
// A *block* is 64 chains (kLanes), the atom of work. A layer of n Bernoulli units in a block is n
// 64-bit words: word i, bit c = unit i of chain c. A real-valued layer of a block is a LaneMatrix,
// units x 64, with the 64 lanes of a unit contiguous.
#pragma once

#include <Eigen/Core>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace tempera {

using Index = Eigen::Index;

inline constexpr Index kLanes = 64;

/// 64 binary values: one unit of 64 chains, or 64 units of one case.
using Word = std::uint64_t;

/// The states of a binary layer in one block: bits[unit], bit c = chain c.
using BitLayer = std::vector<Word>;

/// Parameters, C order, visible-major, as they stand in a file.
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXf;

/// A real-valued layer of one block, units x 64.
using LaneMatrix = Eigen::Matrix<float, Eigen::Dynamic, kLanes, Eigen::RowMajor>;

/// One value per chain of a block: inverse temperatures, weights.
using LaneFloats = std::array<float, kLanes>;
using LaneDoubles = std::array<double, kLanes>;

/// Units first ... last - 1 of a layer.
struct UnitRange {
  Index first = 0;
  Index last = 0;
  [[nodiscard]] Index size() const { return last - first; }
};

/// A panel is at most this many consecutive blocks, which one task handles together: what a product prepares
/// from the weights then serves them all.
inline constexpr Index kMaxPanel = 16;

/// Bits as the values of a case are packed: bit i mod 64 of word i / 64. Unused bits are 0.
using PackedState = std::vector<Word>;

[[nodiscard]] inline bool is_on(std::span<const Word> state, Index unit) {
  return (state[static_cast<std::size_t>(unit / kLanes)] >> (unit % kLanes) & 1) != 0;
}
inline void flip_bit(PackedState& state, Index unit) {
  state[static_cast<std::size_t>(unit / kLanes)] ^= Word{1} << (unit % kLanes);
}

/// A part of a layer begins at a multiple of this, so that its random draws are whole counters.
inline constexpr Index kUnitAlignment = 8;

/// Number of 64-bit words, or blocks, that hold `count` bits or chains.
constexpr Index words_for(Index count) { return (count + kLanes - 1) / kLanes; }

}  // namespace tempera
