// What samplers do with the lanes of a layer of a block, whether its units are bits or real numbers.
#pragma once

#include <bit>

#include "tempera/core/types.hpp"

namespace tempera {

/// The lanes below n, as a mask.
inline Word first_lanes(Index n) { return n >= kLanes ? ~Word{0} : (Word{1} << n) - 1; }

/// Copies one lane to another place.
inline void copy_lane(const BitLayer& from, Index from_lane, BitLayer& to, Index to_lane) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const Word bit = from[i] >> from_lane & 1;
    to[i] = (to[i] & ~(Word{1} << to_lane)) | bit << to_lane;
  }
}
inline void copy_lane(const LaneMatrix& from, Index from_lane, LaneMatrix& to, Index to_lane) {
  if (to.size() > 0) to.col(to_lane) = from.col(from_lane);
}

/// to's lane (c + turn) mod 64 becomes from's lane c, for the lanes c of `from` in a mask.
inline void copy_turned(const BitLayer& from, Word lanes, int turn, BitLayer& to) {
  const Word there = std::rotl(lanes, turn);
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = (to[i] & ~there) | std::rotl(from[i] & lanes, turn);
}
inline void copy_turned(const LaneMatrix& from, Word lanes, int turn, LaneMatrix& to) {
  if (to.size() == 0) return;
  for (Index c = 0; c < kLanes; ++c) {
    if ((lanes >> c & 1) != 0) to.col((c + turn) % kLanes) = from.col(c);
  }
}

/// Sets the lanes that are not in a mask to 0.
inline void keep_lanes(Word lanes, BitLayer& layer) {
  for (Word& unit : layer) unit &= lanes;
}
inline void keep_lanes(Word lanes, LaneMatrix& layer) {
  for (Index c = 0; c < kLanes; ++c) {
    if ((lanes >> c & 1) == 0) layer.col(c).setZero();
  }
}

}  // namespace tempera
