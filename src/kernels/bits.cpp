#include "tempera/kernels/bits.hpp"

#include <array>

namespace tempera {

void transpose_bits(std::span<Word, kLanes> matrix) {
  Word mask = 0x00000000ffffffffULL;
  for (unsigned width = 32; width != 0; width >>= 1, mask ^= mask << width) {
    for (unsigned r = 0; r < 64; r = ((r | width) + 1) & ~width) {
      const Word swapped = ((matrix[r] >> width) ^ matrix[r | width]) & mask;
      matrix[r] ^= swapped << width;
      matrix[r | width] ^= swapped;
    }
  }
}

void load_cases(const BinaryData& data, std::span<const Index> cases, BitLayer& layer) {
  const Index n = data.n_visible();
  layer.resize(static_cast<std::size_t>(n));
  std::array<Word, kLanes> tile;
  for (Index first = 0; first < n; first += kLanes) {
    const auto word = static_cast<std::size_t>(first / kLanes);
    for (std::size_t c = 0; c < tile.size(); ++c) tile[c] = c < cases.size() ? data.row(cases[c])[word] : 0;
    transpose_bits(tile);
    const Index count = std::min(kLanes, n - first);
    for (Index i = 0; i < count; ++i)
      layer[static_cast<std::size_t>(first + i)] = tile[static_cast<std::size_t>(i)];
  }
}

void unpack_lanes(std::span<const Word> layer, LaneMatrix& out) {
  out.resize(static_cast<Index>(layer.size()), kLanes);
  for (std::size_t i = 0; i < layer.size(); ++i) {
    float* lanes = out.data() + i * kLanes;
    const Word bits = layer[i];
    for (Index c = 0; c < kLanes; ++c) lanes[c] = static_cast<float>((bits >> c) & 1);
  }
}

}  // namespace tempera
