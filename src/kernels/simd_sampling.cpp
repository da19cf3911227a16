#include "simd_targets.hpp"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "simd_sampling.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "scalar.hpp"
#include "simd_philox-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace tempera::simd {
namespace HWY_NAMESPACE {
#if HWY_TARGET == HWY_SCALAR

using scalar::AddSoftplus;
using scalar::Mean;
using scalar::PhiloxWords;
using scalar::Sample;
using scalar::SampleLetters;

#else

/// The four words of one chain.
void OneDraw(const Philox& stream, std::uint32_t chain, std::uint32_t (&word)[4]) {
  VU words[4];
  Draw(stream, 0, EvenChains(chain), words);
  for (int k = 0; k < 4; ++k) word[k] = hn::GetLane(words[k]);
}

template <class Mask>
HWY_INLINE std::uint64_t BitsOf(Mask mask) {
  std::uint8_t bytes[8] = {};
  hn::StoreMaskBits(Floats(), mask, bytes);
  std::uint64_t bits;
  std::memcpy(&bits, bytes, 8);
  return bits & ((std::uint64_t{1} << kWidth) - 1);
}

void PhiloxWords(const Philox& stream, std::uint32_t* out) {
  const Words d;
  for (std::size_t c = 0; c < kLanes; c += kWidth) {
    VU words[4];
    Draw(stream, 0, EvenChains(stream.counter[1] + static_cast<std::uint32_t>(c)), words);
    for (std::size_t k = 0; k < 4; ++k) hn::StoreU(words[k], d, out + k * kLanes + c);
  }
}

// --- units --------------------------------------------------------------------------------------------

/// 2^t for t in [-126, 126], to 2.2e-7 relative: 2^t = 2^n 2^f, |f| <= 1/2, and a minimax polynomial of
/// degree 5.
HWY_INLINE VF Exp2(VF t) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const VF n = hn::Round(t);
  const VF f = hn::Sub(t, n);
  VF p = hn::Set(d, 0x1.5c08e4p-10F);
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.3d0c52p-7F));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.c6b6e4p-5F));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.ebf918p-3F));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.62e428p-1F));
  p = hn::MulAdd(p, f, hn::Set(d, 0x1.000002p+0F));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, p), hn::ShiftLeft<23>(hn::ConvertTo(di, n))));
}

constexpr float kLog2E = 0x1.715476p+0F;

/// exp(-x) for |x| <= 87; beyond, the value at the bound: exp(87) stands for every larger one.
HWY_INLINE VF ExpMinus(VF x) {
  const Floats d;
  const VF t = hn::Mul(x, hn::Set(d, -kLog2E));
  return Exp2(hn::Max(hn::Min(t, hn::Set(d, 126.0F)), hn::Set(d, -126.0F)));
}

/// Decides a unit whose first 16 bits left it open: 32 more bits.
bool DecideTie(const Philox& stream, std::uint32_t chain, std::uint32_t unit, std::uint32_t high,
               double odds_plus_one) {
  Philox tie = stream;
  tie.counter[0] = (stream.counter[0] * 2 + unit / 4) | 0x80000000U;
  std::uint32_t word[4];
  OneDraw(tie, chain, word);
  const double u = (high + (word[unit % 4] + 0.5) * 0x1p-32) * 0x1p-16;
  return u * odds_plus_one < 1.0;
}

template <bool kReference>
HWY_INLINE void SampleUnits(const float* input, const float* beta, const float* reference,
                            const Philox& stream, std::size_t n_units, std::size_t lanes,
                            std::uint64_t* units) {
  const Floats d;
  const Words dw;
  const hn::RebindToSigned<Floats> di;
  const std::uint64_t valid = lanes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << lanes) - 1;
  std::fill_n(units, n_units, std::uint64_t{0});
  const VF one = hn::Set(d, 1.0F);
  const VF whole = hn::Set(d, 65536.0F);
  for (std::size_t c = 0; c < lanes; c += kWidth) {
    const VF lane_beta = hn::LoadU(d, beta + c);
    const VF rest = hn::Sub(one, lane_beta);
    const VL even_chains = EvenChains(stream.counter[1] + static_cast<std::uint32_t>(c));
    for (std::size_t first = 0; first < n_units; first += 8) {
      VU words[4];
      Draw(stream, static_cast<std::uint32_t>(first / 8), even_chains, words);
      const std::size_t count = std::min<std::size_t>(8, n_units - first);
      for (std::size_t k = 0; k < count; ++k) {
        const std::size_t i = first + k;
        VF logit = hn::Mul(lane_beta, hn::Load(d, input + i * kLanes + c));
        if constexpr (kReference) logit = hn::MulAdd(rest, hn::Set(d, reference[i]), logit);
        const VU bits =
            k % 2 == 0 ? hn::And(words[k / 2], hn::Set(dw, 0xFFFF)) : hn::ShiftRight<16>(words[k / 2]);
        const VF high = hn::ConvertTo(d, hn::BitCast(di, bits));
        // u < 1 / (1 + exp(-logit)) without the division, for the least and the largest u with these bits.
        const VF odds_plus_one = hn::Add(ExpMinus(logit), one);
        const VF low_end = hn::Mul(high, odds_plus_one);
        const auto possible = hn::Lt(low_end, whole);
        const auto certain = hn::Le(hn::Add(low_end, odds_plus_one), whole);
        std::uint64_t on = BitsOf(certain);
        std::uint64_t open = BitsOf(possible) & ~on;
        if (HWY_UNLIKELY(open != 0)) {
          alignas(64) float odds[kWidth];
          alignas(64) std::uint32_t words_of[kWidth];
          hn::Store(odds_plus_one, d, odds);
          hn::Store(bits, dw, words_of);
          for (; open != 0; open &= open - 1) {
            const auto lane = static_cast<std::uint32_t>(__builtin_ctzll(open));
            const std::uint32_t chain = stream.counter[1] + static_cast<std::uint32_t>(c) + lane;
            if (DecideTie(stream, chain, static_cast<std::uint32_t>(i), words_of[lane], odds[lane]))
              on |= std::uint64_t{1} << lane;
          }
        }
        units[i] |= on << c;
      }
    }
  }
  for (std::size_t i = 0; i < n_units; ++i) units[i] &= valid;
}

void Sample(const float* input, const float* beta, const float* reference, const Philox& stream,
            std::size_t n_units, std::size_t lanes, std::uint64_t* units) {
  if (reference != nullptr) {
    SampleUnits<true>(input, beta, reference, stream, n_units, lanes, units);
  } else {
    SampleUnits<false>(input, beta, reference, stream, n_units, lanes, units);
  }
}

void SampleLetters(const float* input, const float* beta, const float* reference, const Philox& stream,
                   const std::int64_t* letters, std::size_t n_sites, std::size_t most, std::size_t lanes,
                   std::uint64_t* units) {
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const std::uint64_t valid = lanes >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << lanes) - 1;
  std::fill_n(units, n_sites * most, std::uint64_t{0});
  const VF one = hn::Set(d, 1.0F);
  alignas(64) float each[kMostLettersOfSite * kWidth];
  for (std::size_t c = 0; c < lanes; c += kWidth) {
    const VF lane_beta = hn::LoadU(d, beta + c);
    const VF rest = hn::Sub(one, lane_beta);
    const VL even_chains = EvenChains(stream.counter[1] + static_cast<std::uint32_t>(c));
    VU words[4];
    for (std::size_t s = 0; s < n_sites; ++s) {
      if (s % 4 == 0) Draw(stream, static_cast<std::uint32_t>(s / 4), even_chains, words);
      const auto n = static_cast<std::size_t>(letters[s]);
      const float* rows = input + s * most * kLanes + c;
      const float* bias = reference + s * most;
      VF largest = hn::Set(d, -1e30F);
      for (std::size_t a = 0; a < n; ++a) {
        const VF logit =
            hn::MulAdd(rest, hn::Set(d, bias[a]), hn::Mul(lane_beta, hn::Load(d, rows + a * kLanes)));
        hn::Store(logit, d, each + a * kWidth);
        largest = hn::Max(largest, logit);
      }
      VF total = hn::Zero(d);
      for (std::size_t a = 0; a < n; ++a) {
        const VF weight = ExpMinus(hn::Sub(largest, hn::Load(d, each + a * kWidth)));
        hn::Store(weight, d, each + a * kWidth);
        total = hn::Add(total, weight);
      }
      // 24 bits: u total is below the last sum, which is total, in float as well.
      const VF u =
          hn::Mul(hn::ConvertTo(d, hn::BitCast(di, hn::ShiftRight<8>(words[s % 4]))), hn::Set(d, 0x1p-24F));
      const VF at = hn::Mul(u, total);
      VF sum = hn::Zero(d);
      std::uint64_t before = 0;
      for (std::size_t a = 0; a < n; ++a) {
        sum = hn::Add(sum, hn::Load(d, each + a * kWidth));
        const std::uint64_t reached = BitsOf(hn::Lt(at, sum));
        units[s * most + a] |= (reached & ~before) << c;
        before = reached;
      }
    }
  }
  for (std::size_t i = 0; i < n_sites * most; ++i) units[i] &= valid;
}

void Mean(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, float* mean) {
  const Floats d;
  const VF one = hn::Set(d, 1.0F);
  for (std::size_t i = 0; i < n_units; ++i) {
    for (std::size_t c = 0; c < lanes; c += kWidth) {
      const VF x = hn::Mul(hn::LoadU(d, beta + c), hn::Load(d, input + i * kLanes + c));
      hn::Store(hn::Div(one, hn::Add(one, ExpMinus(x))), d, mean + i * kLanes + c);
    }
  }
}

void AddSoftplus(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, double* out) {
  // softplus(x) = max(x, 0) + log(1 + e), e = exp(-|x|). The logarithms of up to kTerms units are one
  // logarithm of a product, which is at most 2^kTerms.
  constexpr std::size_t kTerms = 512;
  const Floats d;
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> half;
  constexpr std::size_t kDoubles = kWidth / 2;
  alignas(64) double product_of[kWidth];
  alignas(64) double sum_of[kWidth];
  for (std::size_t c = 0; c < lanes; c += kWidth) {
    const VF lane_beta = hn::LoadU(d, beta + c);
    for (std::size_t first = 0; first < n_units; first += kTerms) {
      const std::size_t last = std::min(n_units, first + kTerms);
      auto sum0 = hn::Zero(dd);
      auto sum1 = hn::Zero(dd);
      auto product0 = hn::Set(dd, 1.0);
      auto product1 = hn::Set(dd, 1.0);
      for (std::size_t i = first; i < last; ++i) {
        const VF x = hn::Mul(lane_beta, hn::Load(d, input + i * kLanes + c));
        const VF e = ExpMinus(hn::Abs(x));
        const VF positive = hn::Max(x, hn::Zero(d));
        const auto e0 = hn::PromoteTo(dd, hn::LowerHalf(half, e));
        const auto e1 = hn::PromoteTo(dd, hn::UpperHalf(half, e));
        sum0 = hn::Add(sum0, hn::PromoteTo(dd, hn::LowerHalf(half, positive)));
        sum1 = hn::Add(sum1, hn::PromoteTo(dd, hn::UpperHalf(half, positive)));
        product0 = hn::MulAdd(product0, e0, product0);
        product1 = hn::MulAdd(product1, e1, product1);
      }
      hn::Store(product0, dd, product_of);
      hn::Store(product1, dd, product_of + kDoubles);
      hn::Store(sum0, dd, sum_of);
      hn::Store(sum1, dd, sum_of + kDoubles);
      for (std::size_t k = 0; k < kWidth; ++k) out[c + k] += sum_of[k] + std::log(product_of[k]);
    }
  }
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace tempera::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tempera::simd {

HWY_EXPORT(PhiloxWords);
HWY_EXPORT(Sample);
HWY_EXPORT(SampleLetters);
HWY_EXPORT(Mean);
HWY_EXPORT(AddSoftplus);

void philox(const Philox& stream, std::uint32_t* words) { HWY_DYNAMIC_DISPATCH(PhiloxWords)(stream, words); }

void sample(const float* input, const float* beta, const float* reference, const Philox& stream,
            std::size_t n_units, std::size_t lanes, std::uint64_t* units) {
  HWY_DYNAMIC_DISPATCH(Sample)(input, beta, reference, stream, n_units, lanes, units);
}

void sample_letters(const float* input, const float* beta, const float* reference, const Philox& stream,
                    const std::int64_t* letters, std::size_t n_sites, std::size_t most, std::size_t lanes,
                    std::uint64_t* units) {
  HWY_DYNAMIC_DISPATCH(SampleLetters)(input, beta, reference, stream, letters, n_sites, most, lanes, units);
}

void mean(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, float* mean) {
  HWY_DYNAMIC_DISPATCH(Mean)(input, beta, n_units, lanes, mean);
}

void add_softplus(const float* input, const float* beta, std::size_t n_units, std::size_t lanes,
                  double* out) {
  HWY_DYNAMIC_DISPATCH(AddSoftplus)(input, beta, n_units, lanes, out);
}

}  // namespace tempera::simd
#endif
