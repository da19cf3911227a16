#include "scalar.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace tempera::simd::scalar {
namespace {

/// Units whose sums one table holds, and their groups in 32 bits.
constexpr std::size_t kGroup = 4;
constexpr std::size_t kGroupsPerStrip = 32 / kGroup;
constexpr std::size_t kEntries = 1U << kGroup;
static_assert(kGroupsPerStrip <= kMaxGroupsPerStrip);

/// Entry n: the sum of the values whose bit in n is set.
std::array<float, kEntries> subset_sums(const std::array<float, kGroup>& values) {
  std::array<float, kEntries> sums{};
  for (std::size_t n = 1; n < kEntries; ++n)
    sums[n] = sums[n & (n - 1)] + values[static_cast<std::size_t>(std::countr_zero(n))];
  return sums;
}

/// Adds to sums[i * stride + j] what one block gives.
void add_block(const WeightedBlock& block, std::size_t n_rows, std::size_t first_column,
               std::size_t n_columns, std::ptrdiff_t stride, float* sums) {
  for (std::size_t j = 0; j < n_columns; ++j) {
    const float* column = block.columns + (first_column + j) * kLanes;
    std::array<std::array<float, kEntries>, kLanes / kGroup> tables;
    for (std::size_t g = 0; g < tables.size(); ++g) {
      std::array<float, kGroup> values{};
      for (std::size_t k = 0; k < kGroup; ++k) {
        const std::size_t c = g * kGroup + k;
        if (c < block.lanes) values[k] = block.weight[c] * column[c];
      }
      tables[g] = subset_sums(values);
    }
    for (std::size_t i = 0; i < n_rows; ++i) {
      float sum = 0;
      std::uint64_t bits = block.rows[i];
      for (std::size_t g = 0; g < tables.size() && bits != 0; ++g, bits >>= kGroup)
        sum += tables[g][bits % kEntries];
      sums[static_cast<std::ptrdiff_t>(i) * stride + static_cast<std::ptrdiff_t>(j)] += sum;
    }
  }
}

std::array<std::uint32_t, 4> draw(const Philox& stream, std::uint32_t chain, std::uint32_t quad) {
  std::array<std::uint32_t, 4> x = {stream.counter[0] + quad, chain, stream.counter[2], stream.counter[3]};
  std::uint32_t key0 = stream.key[0];
  std::uint32_t key1 = stream.key[1];
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * x[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * x[2];
    x = {static_cast<std::uint32_t>(product1 >> 32) ^ x[1] ^ key0, static_cast<std::uint32_t>(product1),
         static_cast<std::uint32_t>(product0 >> 32) ^ x[3] ^ key1, static_cast<std::uint32_t>(product0)};
    key0 += 0x9E3779B9U;
    key1 += 0xBB67AE85U;
  }
  return x;
}

/// exp(-x) for |x| <= 87; beyond, the value at the bound.
float exp_minus(float x) { return std::exp(std::clamp(-x, -87.0F, 87.0F)); }

}  // namespace

std::size_t Pack(const std::uint64_t* const* units, std::size_t n_blocks, std::size_t n_units,
                 const std::size_t* lanes, std::uint32_t* packed, std::size_t block_stride,
                 std::uint32_t* groups) {
  std::size_t active = 0;
  for (std::size_t first = 0; first < n_units; first += kGroup) {
    std::uint64_t any = 0;
    for (std::size_t b = 0; b < n_blocks; ++b) {
      for (std::size_t i = first; i < std::min(n_units, first + kGroup); ++i) any |= units[b][i];
    }
    if (any != 0) groups[active++] = static_cast<std::uint32_t>(first);
  }
  while (active % kGroupsPerStrip != 0) groups[active++] = kNoGroup;
  const std::size_t strips = active / kGroupsPerStrip;
  for (std::size_t s = 0; s < strips; ++s, groups += kGroupsPerStrip) {
    for (std::size_t b = 0; b < n_blocks; ++b) {
      for (std::size_t c = 0; c < lanes[b]; ++c) {
        std::uint32_t strip = 0;
        for (std::size_t k = 0; k < 32 && groups[k / kGroup] != kNoGroup; ++k) {
          const std::size_t i = groups[k / kGroup] + k % kGroup;
          if (i < n_units) strip |= static_cast<std::uint32_t>((units[b][i] >> c) & 1) << k;
        }
        packed[b * block_stride + s * kLanes + c] = strip;
      }
    }
  }
  return strips;
}

void LookUp(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel, float* /*tables*/) {
  for (std::size_t j = 0; j < n_out; ++j) {
    for (std::size_t b = 0; b < panel.n_blocks; ++b)
      std::fill_n(panel.out[b] + j * kLanes, kLanes, w.bias[j]);
    for (std::size_t g = 0; g < panel.n_strips * kGroupsPerStrip && panel.groups[g] != kNoGroup; ++g) {
      std::array<float, kGroup> values{};
      for (std::size_t k = 0; k < std::min(kGroup, w.n_units - panel.groups[g]); ++k) {
        const auto unit = static_cast<std::ptrdiff_t>(panel.groups[g] + k);
        const auto out = static_cast<std::ptrdiff_t>(j);
        values[k] = w.weights[w.along ? out * w.stride + unit : unit * w.stride + out];
      }
      const std::array<float, kEntries> table = subset_sums(values);
      const std::size_t shift = g % kGroupsPerStrip * kGroup;
      for (std::size_t b = 0; b < panel.n_blocks; ++b) {
        const std::uint32_t* packed = panel.packed + b * panel.block_stride + g / kGroupsPerStrip * kLanes;
        float* out = panel.out[b] + j * kLanes;
        for (std::size_t c = 0; c < panel.lanes[b]; ++c) out[c] += table[(packed[c] >> shift) % kEntries];
      }
    }
  }
}

void AddOuter(const WeightedBlock* blocks, std::size_t n_blocks, std::size_t n_rows, std::size_t first_column,
              std::size_t n_columns, bool fresh, float* sums, std::ptrdiff_t stride, float* /*scratch*/,
              float* levels) {
  // The tree of sum_tree (core/sum_tree.hpp), pairs being its lowest level.
  const std::size_t size = n_rows * kOuterColumns;
  const auto merge = [&](std::size_t alive) {
    float* into = levels + (alive - 2) * size;
    for (std::size_t k = 0; k < size; ++k) into[k] += into[size + k];
  };
  std::size_t alive = 0;
  for (std::size_t b = 0; b < n_blocks; ++b) {
    if (b % 2 == 0) std::fill_n(levels + alive++ * size, size, 0.0F);
    add_block(blocks[b], n_rows, first_column, n_columns, kOuterColumns, levels + (alive - 1) * size);
    if (b % 2 == 1) {
      for (std::size_t done = b / 2 + 1; done % 2 == 0; done /= 2) merge(alive--);
    }
  }
  while (alive > 1) merge(alive--);
  for (std::size_t i = 0; i < n_rows; ++i) {
    float* row = sums + static_cast<std::ptrdiff_t>(i) * stride;
    for (std::size_t j = 0; j < n_columns; ++j)
      row[j] = (fresh ? 0.0F : row[j]) + levels[i * kOuterColumns + j];
  }
}

void LetterInput(const float* weights, std::ptrdiff_t stride, const float* bias, std::size_t n_columns,
                 const LetterPanel& panel, float* const* out, float* /*scratch*/) {
  for (std::size_t b = 0; b < panel.n_blocks; ++b) {
    for (std::size_t c = 0; c < kLanes; ++c) {
      const std::uint32_t* const rows = panel.rows + (b * kLanes + c) * panel.n_sites;
      for (std::size_t j = 0; j < n_columns; ++j) {
        float sum = bias[j];
        for (std::size_t s = 0; s < panel.n_sites; ++s)
          sum += rows[s] < panel.n_places
                     ? weights[static_cast<std::ptrdiff_t>(rows[s]) * stride + static_cast<std::ptrdiff_t>(j)]
                     : 0.0F;
        out[b][j * kLanes + c] = sum;
      }
    }
  }
}

void WeighColumns(const WeightedBlock& block, std::size_t first_column, std::size_t n_columns, float* out) {
  std::fill_n(out, kLanes * kLetterColumns, 0.0F);
  for (std::size_t c = 0; c < block.lanes; ++c) {
    for (std::size_t j = 0; j < n_columns; ++j)
      out[c * kLetterColumns + j] = block.weight[c] * block.columns[(first_column + j) * kLanes + c];
  }
}

void LetterSums(const float* weighed, const std::uint64_t* bits, std::size_t n_places, std::uint64_t counted,
                float* sums) {
  for (std::size_t i = 0; i < n_places; ++i) {
    for (std::size_t j = 0; j < kLetterColumns; ++j) {
      float sum = 0;
      for (std::size_t c = 0; c < kLanes; ++c) {
        if (((bits[i] & counted) >> c & 1) != 0) sum += weighed[c * kLetterColumns + j];
      }
      sums[i * kLetterColumns + j] = sum;
    }
  }
}

void AddBits(const std::uint64_t* units, std::size_t n_units, const float* weight, float* sums) {
  for (std::size_t i = 0; i < n_units; ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < kLanes; ++c) {
      if (((units[i] >> c) & 1) != 0) sum += weight[c];
    }
    sums[i] += sum;
  }
}

void AddDots(const std::uint64_t* units, const float* coefficient, std::size_t n_units, std::size_t lanes,
             double* out) {
  for (std::size_t i = 0; i < n_units; ++i) {
    for (std::size_t c = 0; c < lanes; ++c) {
      if (((units[i] >> c) & 1) != 0) out[c] += static_cast<double>(coefficient[i]);
    }
  }
}

void PhiloxWords(const Philox& stream, std::uint32_t* out) {
  for (std::size_t c = 0; c < kLanes; ++c) {
    const auto words = draw(stream, stream.counter[1] + static_cast<std::uint32_t>(c), 0);
    for (std::size_t k = 0; k < 4; ++k) out[k * kLanes + c] = words[k];
  }
}

void Sample(const float* input, const float* beta, const float* reference, const Philox& stream,
            std::size_t n_units, std::size_t lanes, std::uint64_t* units) {
  std::fill_n(units, n_units, std::uint64_t{0});
  Philox tie = stream;
  for (std::size_t c = 0; c < lanes; ++c) {
    const std::uint32_t chain = stream.counter[1] + static_cast<std::uint32_t>(c);
    for (std::size_t i = 0; i < n_units; ++i) {
      float logit = beta[c] * input[i * kLanes + c];
      if (reference != nullptr) logit += (1 - beta[c]) * reference[i];
      const double odds_plus_one = static_cast<double>(1 + exp_minus(logit));
      // Eight units share a quad of words, two a word: the first 16 bits of u, and 32 more where these leave
      // u < 1 / (1 + exp(-logit)) open.
      const auto unit = static_cast<std::uint32_t>(i);
      const auto words = draw(stream, chain, unit / 8);
      const std::uint32_t high = (words[unit % 8 / 2] >> (16 * (unit % 2))) & 0xFFFF;
      bool on = (high + 1) * odds_plus_one <= 65536;
      if (!on && high * odds_plus_one < 65536) {
        tie.counter[0] = (stream.counter[0] * 2 + unit / 4) | 0x80000000U;
        const double low = (draw(tie, chain, 0)[unit % 4] + 0.5) * 0x1p-32;
        on = (high + low) * 0x1p-16 * odds_plus_one < 1;
      }
      units[i] |= std::uint64_t{on} << c;
    }
  }
}

void SampleLetters(const float* input, const float* beta, const float* reference, const Philox& stream,
                   const std::int64_t* letters, std::size_t n_sites, std::size_t most, std::size_t lanes,
                   std::uint64_t* units) {
  std::fill_n(units, n_sites * most, std::uint64_t{0});
  float each[kMostLettersOfSite];
  for (std::size_t c = 0; c < lanes; ++c) {
    const std::uint32_t chain = stream.counter[1] + static_cast<std::uint32_t>(c);
    for (std::size_t s = 0; s < n_sites; ++s) {
      const auto n = static_cast<std::size_t>(letters[s]);
      float largest = -1e30F;
      for (std::size_t a = 0; a < n; ++a) {
        const std::size_t i = s * most + a;
        each[a] = beta[c] * input[i * kLanes + c] + (1 - beta[c]) * reference[i];
        largest = std::max(largest, each[a]);
      }
      float total = 0;
      for (std::size_t a = 0; a < n; ++a) total += each[a] = exp_minus(largest - each[a]);
      const auto site = static_cast<std::uint32_t>(s);
      const float at = static_cast<float>(draw(stream, chain, site / 4)[site % 4] >> 8) * 0x1p-24F * total;
      float sum = 0;
      std::size_t a = 0;
      while (a + 1 < n && !(at < (sum += each[a]))) ++a;
      units[s * most + a] |= std::uint64_t{1} << c;
    }
  }
}

void RealProduct(const RealOperand& w, std::size_t n_out, const float* in, float* out) {
  for (std::size_t j = 0; j < n_out; ++j) {
    float* sum = out + j * kLanes;
    std::fill_n(sum, kLanes, w.bias == nullptr ? 0.0F : w.bias[j]);
    for (std::size_t k = 0; k < w.n_in; ++k) {
      const float weight = w.weights[static_cast<std::ptrdiff_t>(k) * w.input_stride +
                                     static_cast<std::ptrdiff_t>(j) * w.output_stride];
      for (std::size_t c = 0; c < kLanes; ++c) sum[c] += weight * in[k * kLanes + c];
    }
  }
}

void Normals(const Philox& stream, std::size_t n_units, float* out) {
  for (std::size_t c = 0; c < kLanes; ++c) {
    for (std::size_t i = 0; i < n_units; i += 2) {
      const auto words =
          draw(stream, stream.counter[1] + static_cast<std::uint32_t>(c), static_cast<std::uint32_t>(i / 4));
      const std::uint32_t first = words[i % 4];
      const auto second = static_cast<std::int32_t>(words[i % 4 + 1]);
      const float radius = std::sqrt(-2 * std::log((static_cast<float>(first >> 1) + 0.5F) * 0x1p-31F));
      const float angle = static_cast<float>(second) * (0x1.921fb6p+1F * 0x1p-31F);
      out[i * kLanes + c] = radius * std::cos(angle);
      if (i + 1 < n_units) out[(i + 1) * kLanes + c] = radius * std::sin(angle);
    }
  }
}

void Mean(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, float* mean) {
  for (std::size_t i = 0; i < n_units; ++i) {
    for (std::size_t c = 0; c < lanes; ++c)
      mean[i * kLanes + c] = 1 / (1 + exp_minus(beta[c] * input[i * kLanes + c]));
  }
}

void AddSoftplus(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, double* out) {
  for (std::size_t i = 0; i < n_units; ++i) {
    for (std::size_t c = 0; c < lanes; ++c) {
      const float x = beta[c] * input[i * kLanes + c];
      out[c] +=
          static_cast<double>(std::max(x, 0.0F)) + std::log1p(static_cast<double>(exp_minus(std::abs(x))));
    }
  }
}

}  // namespace tempera::simd::scalar
