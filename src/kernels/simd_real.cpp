#include "simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd_real.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include "scalar.hpp"
#include "simd_philox-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace tempera::simd {
namespace HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

using scalar::Normals;
using scalar::RealProduct;

#else

// --- products -----------------------------------------------------------------------------------------
// A tile is some outputs times a few vectors of lanes, all of them sums in registers. Every sum runs over the
// inputs in order, so it does not depend on the tile that it is in.

constexpr std::size_t kVectors = 4;
constexpr std::size_t kOutputs = kWidth >= 16 ? 6 : 3;

template <std::size_t kOut>
HWY_INLINE void RealTile(const RealOperand& w, std::size_t first, const float* in, float* out) {
  const Floats d;
  VF sum[kOut][kVectors];
  const float* weight[kOut];
  for (std::size_t j = 0; j < kOut; ++j) {
    const VF start = hn::Set(d, w.bias == nullptr ? 0.0F : w.bias[first + j]);
    for (std::size_t v = 0; v < kVectors; ++v) sum[j][v] = start;
    weight[j] = w.weights + static_cast<std::ptrdiff_t>(first + j) * w.output_stride;
  }
  for (std::size_t k = 0; k < w.n_in; ++k) {
    VF x[kVectors];
    for (std::size_t v = 0; v < kVectors; ++v) x[v] = hn::Load(d, in + k * kLanes + v * kWidth);
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(k) * w.input_stride;
    for (std::size_t j = 0; j < kOut; ++j) {
      const VF weight_j = hn::Set(d, weight[j][at]);
      for (std::size_t v = 0; v < kVectors; ++v) sum[j][v] = hn::MulAdd(weight_j, x[v], sum[j][v]);
    }
  }
  for (std::size_t j = 0; j < kOut; ++j) {
    for (std::size_t v = 0; v < kVectors; ++v)
      hn::Store(sum[j][v], d, out + (first + j) * kLanes + v * kWidth);
  }
}

void RealProduct(const RealOperand& w, std::size_t n_out, const float* in, float* out) {
  for (std::size_t c = 0; c < kLanes; c += kVectors * kWidth) {
    std::size_t j = 0;
    for (; j + kOutputs <= n_out; j += kOutputs) RealTile<kOutputs>(w, j, in + c, out + c);
    for (; j < n_out; ++j) RealTile<1>(w, j, in + c, out + c);
  }
}

// --- normal deviates ------------------------------------------------------------------------------------

/// Box & Muller: sqrt(-2 log u) times the cosine and the sine of a random angle.
HWY_INLINE void NormalPair(VU first, VU second, VF& cosine, VF& sine) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const VF whole = hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<1>(first)));
  const VF u = hn::Mul(hn::Add(whole, hn::Set(d, 0.5F)), hn::Set(d, 0x1p-31F));
  const VF radius = hn::Sqrt(hn::Mul(hn::Set(d, -2.0F), hn::Log(d, u)));
  const VF angle = hn::Mul(hn::ConvertTo(d, hn::BitCast(di, second)), hn::Set(d, 0x1.921fb6p+1F * 0x1p-31F));
  cosine = hn::Mul(radius, hn::Cos(d, angle));
  sine = hn::Mul(radius, hn::Sin(d, angle));
}

void Normals(const Philox& stream, std::size_t n_units, float* out) {
  const Floats d;
  for (std::size_t c = 0; c < kLanes; c += kWidth) {
    const VL even_chains = EvenChains(stream.counter[1] + static_cast<std::uint32_t>(c));
    for (std::size_t first = 0; first < n_units; first += 4) {
      VU words[4];
      Draw(stream, static_cast<std::uint32_t>(first / 4), even_chains, words);
      VF z[4];
      NormalPair(words[0], words[1], z[0], z[1]);
      NormalPair(words[2], words[3], z[2], z[3]);
      const std::size_t count = n_units - first < 4 ? n_units - first : 4;
      for (std::size_t k = 0; k < count; ++k) hn::Store(z[k], d, out + (first + k) * kLanes + c);
    }
  }
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace tempera::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tempera::simd {

HWY_EXPORT(RealProduct);
HWY_EXPORT(Normals);

void real_product(const RealOperand& w, std::size_t n_out, const float* in, float* out) {
  HWY_DYNAMIC_DISPATCH(RealProduct)(w, n_out, in, out);
}

void normals(const Philox& stream, std::size_t n_units, float* out) {
  HWY_DYNAMIC_DISPATCH(Normals)(stream, n_units, out);
}

}  // namespace tempera::simd
#endif
