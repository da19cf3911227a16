// Vectors of the kernels and Philox 4x32-10 in them, for each instruction set. Included by the sources that
// Highway compiles several times, after Highway.
#if defined(TEMPERA_SIMD_PHILOX_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef TEMPERA_SIMD_PHILOX_INL
#undef TEMPERA_SIMD_PHILOX_INL
#else
#define TEMPERA_SIMD_PHILOX_INL
#endif

#include <hwy/highway.h>

#include "simd.hpp"

HWY_BEFORE_NAMESPACE();
namespace tempera::simd {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Words = hn::RebindToUnsigned<Floats>;
using Longs = hn::RepartitionToWide<Words>;
using VF = hn::Vec<Floats>;
using VU = hn::Vec<Words>;
using VL = hn::Vec<Longs>;

constexpr std::size_t kWidth = hn::MaxLanes(Floats());

// --- Philox 4x32-10 -----------------------------------------------------------------------------------
// Each 64-bit lane holds one chain in its lower half; products of 32-bit numbers fill it, and only lower
// halves are read, so no half is ever cleared before the end.

struct Quad {
  VL word[4];
};

HWY_INLINE void Rounds(const std::uint32_t (&key)[2], Quad& x) {
  const Longs d;
  const Words dw;
  const VL multiplier0 = hn::Set(d, 0xD2511F53U);
  const VL multiplier1 = hn::Set(d, 0xCD9E8D57U);
  std::uint32_t key0 = key[0];
  std::uint32_t key1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const VL product0 = hn::MulEven(hn::BitCast(dw, x.word[0]), hn::BitCast(dw, multiplier0));
    const VL product1 = hn::MulEven(hn::BitCast(dw, x.word[2]), hn::BitCast(dw, multiplier1));
    x.word[0] = hn::Xor3(hn::ShiftRight<32>(product1), x.word[1], hn::Set(d, key0));
    x.word[1] = product1;
    x.word[2] = hn::Xor3(hn::ShiftRight<32>(product0), x.word[3], hn::Set(d, key1));
    x.word[3] = product0;
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
}

/// The four words of chains c ... c + kWidth - 1 at one quad.
HWY_INLINE void Draw(const Philox& stream, std::uint32_t quad, VL even_chains, VU (&words)[4]) {
  const Longs d;
  const Words dw;
  Quad even;
  even.word[0] = hn::Set(d, static_cast<std::uint32_t>(stream.counter[0] + quad));
  even.word[1] = even_chains;
  even.word[2] = hn::Set(d, stream.counter[2]);
  even.word[3] = hn::Set(d, stream.counter[3]);
  Quad odd = even;
  odd.word[1] = hn::Add(even_chains, hn::Set(d, 1));
  Rounds(stream.key, even);
  Rounds(stream.key, odd);
  for (int k = 0; k < 4; ++k) {
    words[k] = hn::OddEven(hn::BitCast(dw, hn::ShiftLeft<32>(odd.word[k])), hn::BitCast(dw, even.word[k]));
  }
}

/// Chains first, first + 2, ... in 64-bit lanes.
HWY_INLINE VL EvenChains(std::uint32_t first) {
  const Longs d;
  alignas(64) std::uint64_t chains[kWidth / 2];
  for (std::size_t k = 0; k < kWidth / 2; ++k) chains[k] = first + static_cast<std::uint32_t>(2 * k);
  return hn::Load(d, chains);
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace tempera::simd
HWY_AFTER_NAMESPACE();
#endif
