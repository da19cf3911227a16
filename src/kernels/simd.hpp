// The kernels proper, on raw memory. Their sources are compiled once per instruction set and must not share
// inline functions with code that is compiled for one alone, so this header and they know neither Eigen nor
// the rest of the library; products.cpp and sampling.cpp check shapes and call them.
//
// A block has 64 lanes. Memory for vectors is aligned to 64 bytes; rows of 64 floats therefore are.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tempera/kernels/weighted_block.hpp"

namespace tempera::simd {

inline constexpr std::size_t kLanes = 64;
/// Units of the output that one tile computes.
inline constexpr std::size_t kTileUnits = 5;
/// Outputs for which the weights of some strips are kept near: a multiple of kTileUnits.
inline constexpr std::size_t kNearUnits = 40;
/// Strips whose tables are alive at a time. A strip is as many groups of units as 32 bits hold.
inline constexpr std::size_t kChunkStrips = 5;
/// Floats of table memory that look_up needs.
inline constexpr std::size_t kLookupTableFloats = kChunkStrips * 8 * kTileUnits * 16;
/// Strips that n units need at most: groups of two, three or four units leave two of 32 bits empty at worst.
constexpr std::size_t max_strips(std::size_t n_units) { return (n_units + 29) / 30 + 1; }
/// Groups in a strip at most.
inline constexpr std::size_t kMaxGroupsPerStrip = 16;
/// Fills the last strip.
inline constexpr std::uint32_t kNoGroup = 0xffffffffU;

/// Packs the units of some blocks by chain. Groups of consecutive units that are 0 in every chain of every
/// block are left out: a sum of zeros changes no bit of a result, so it does not matter which other blocks
/// there are. groups[s * g + k] is the first unit of group k of strip s (kNoGroup where there is none);
/// packed[b * block_stride + s * 64 + c] holds the units of strip s of chain c, group after group from bit 0.
/// Returns the number of strips.
std::size_t pack(const std::uint64_t* const* units, std::size_t n_blocks, std::size_t n_units,
                 const std::size_t* lanes, std::uint32_t* packed, std::size_t block_stride,
                 std::uint32_t* groups);

/// Weights as look_up reads them: w(k, j) = weights[j * stride + k] where the units of an output lie along a
/// line of the matrix (`along`), else weights[k * stride + j].
struct LookupOperand {
  const float* weights;
  std::ptrdiff_t stride;
  bool along;
  std::size_t n_units;
  const float* bias;  // of the outputs
};

/// States as pack leaves them, and where the results go: n_out x 64 floats for each block.
struct LookupPanel {
  const std::uint32_t* packed;
  std::size_t block_stride;
  const std::uint32_t* groups;
  std::size_t n_strips;
  std::size_t n_blocks;
  const std::size_t* lanes;
  float* const* out;
};

/// out_b(j, c) = bias[j] + sum_k w(k, j) unit_k.c for every block. Sums of four (AVX-512), three (AVX2) or
/// two units stand in a table in a register, and one look-up adds them for all lanes of a vector; tables are
/// built once for all blocks.
void look_up(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel, float* tables);

/// Columns that add_outer does at a time, and the floats of scratch that it needs.
inline constexpr std::size_t kOuterColumns = 16;
inline constexpr std::size_t kOuterTableFloats = 2 * 16 * 16 * kOuterColumns;
inline constexpr std::size_t kOuterScratchFloats = kOuterTableFloats + kLanes * kOuterColumns;

/// sums[i * stride + j] += sum over blocks and chains of weight[c] rows[i].c columns(first_column + j, c),
/// for j < n_columns <= 16; = instead of += where `fresh`. Blocks are summed along the fixed tree of
/// core/sum_tree.hpp. The 16 sums of every four chains stand in a table (the method of the four Russians:
/// Arlazarov et al. 1970), indexed by the bits of a row. `levels` has n_rows * 16 floats for each level of
/// the tree above pairs of blocks.
void add_outer(const WeightedBlock* blocks, std::size_t n_blocks, std::size_t n_rows,
               std::size_t first_column, std::size_t n_columns, bool fresh, float* sums,
               std::ptrdiff_t stride, float* scratch, float* levels);

/// Columns that the kernels of letters do at a time.
inline constexpr std::size_t kLetterColumns = 32;
/// Floats of scratch that letter_input needs.
constexpr std::size_t letter_scratch_floats(std::size_t n_places) {
  return (n_places + 1 + kLanes + 1) * kLetterColumns;
}

/// rows[(b * 64 + c) * n_sites + s]: the row of weights that site s of chain c of block b takes; n_places
/// where it takes none.
struct LetterPanel {
  const std::uint32_t* rows;
  std::size_t n_sites;
  std::size_t n_places;
  std::size_t n_blocks;
};

/// out_b(j, c) = bias[j] + sum_s weights[row(s, c) * stride + j], the sites in order.
void letter_input(const float* weights, std::ptrdiff_t stride, const float* bias, std::size_t n_columns,
                  const LetterPanel& panel, float* const* out, float* scratch);

/// out[c * 32 + j] = weight[c] columns(first_column + j, c) for j < n_columns <= 32, else 0; lanes from
/// block.lanes on do not count.
void weigh_columns(const WeightedBlock& block, std::size_t first_column, std::size_t n_columns, float* out);

/// sums[i * 32 + j] = the sum of weighed[c * 32 + j] over the lanes whose bit of bits[i] & counted is 1, in
/// order.
void letter_sums(const float* weighed, const std::uint64_t* bits, std::size_t n_places, std::uint64_t counted,
                 float* sums);

/// sums[i] += sum_c weight[c] units[i].c.
void add_bits(const std::uint64_t* units, std::size_t n_units, const float* weight, float* sums);

/// out[c] += sum_i units[i].c coefficient[i], in double.
void add_dots(const std::uint64_t* units, const float* coefficient, std::size_t n_units, std::size_t lanes,
              double* out);

/// Key and counter of Philox 4x32-10 for the first chain: chain c has counter[1] + c, quad q has counter[0] +
/// q.
struct Philox {
  std::uint32_t key[2];
  std::uint32_t counter[4];
};

/// words[k * 64 + c] = word k of chain c.
void philox(const Philox& stream, std::uint32_t* words);

/// bit c of units[i] = u < sigmoid(beta[c] input(i, c) + (1 - beta[c]) reference[i]); see
/// kernels/sampling.hpp. `reference` may be null. Bits of lanes from `lanes` on are 0.
void sample(const float* input, const float* beta, const float* reference, const Philox& stream,
            std::size_t n_units, std::size_t lanes, std::uint64_t* units);

/// Letters of a site at most.
inline constexpr std::size_t kMostLettersOfSite = 256;

/// One letter of each site: bit c of units[s * most + a] is 1 where a is the letter of site s in chain c,
/// drawn with weight exp(beta[c] input(s * most + a, c) + (1 - beta[c]) reference[s * most + a]) among
/// letters[s]. Site s of a chain takes word s mod 4 of its quad s / 4. Bits of lanes from `lanes` on are 0.
void sample_letters(const float* input, const float* beta, const float* reference, const Philox& stream,
                    const std::int64_t* letters, std::size_t n_sites, std::size_t most, std::size_t lanes,
                    std::uint64_t* units);

/// Weights of a product with real-valued states: w(k, j) = weights[k * input_stride + j * output_stride].
struct RealOperand {
  const float* weights;
  std::ptrdiff_t input_stride;
  std::ptrdiff_t output_stride;
  std::size_t n_in;
  const float* bias;  // of the outputs; may be null
};

/// out(j, c) = bias[j] + sum_k w(k, j) in(k, c), the terms in order of k.
void real_product(const RealOperand& w, std::size_t n_out, const float* in, float* out);

/// Normal deviates: units 4 q ... 4 q + 3 of a chain come from its quad q (Box & Muller 1958), words 0 and 1
/// give the first two, words 2 and 3 the others.
void normals(const Philox& stream, std::size_t n_units, float* out);

/// mean(i, c) = sigmoid(beta[c] input(i, c)).
void mean(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, float* mean);

/// out[c] += sum_i softplus(beta[c] input(i, c)), in double.
void add_softplus(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, double* out);

}  // namespace tempera::simd
