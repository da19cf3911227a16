// Moving bits between the layout by case (data sets, files) and the layout by unit (blocks).
#pragma once

#include <span>

#include "tempera/core/dataset.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// Transposes a 64 x 64 bit matrix in place: bit c of word r becomes bit r of word c.
/// (Warren, Hacker's Delight, section 7-3.)
void transpose_bits(std::span<Word, kLanes> matrix);

/// Loads up to 64 cases into the lanes of a block: bit c of layer[i] = data(cases[c], i). Lanes without a
/// case are 0. layer has n_visible words. Cost: one 64 x 64 transposition per 64 values.
void load_cases(const BinaryData& data, std::span<const Index> cases, BitLayer& layer);

/// Bits of a layer as floats: out(i, c) = bit c of layer[i].
void unpack_lanes(std::span<const Word> layer, LaneMatrix& out);

}  // namespace tempera
