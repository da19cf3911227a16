// The kernels of simd.hpp in plain C++, for CPUs whose vectors Highway does not know or the compiler gets
// wrong, and as an instruction set ("SCALAR") that every machine can be held to.
#pragma once

#include "simd.hpp"

namespace tempera::simd::scalar {

std::size_t Pack(const std::uint64_t* const* units, std::size_t n_blocks, std::size_t n_units,
                 const std::size_t* lanes, std::uint32_t* packed, std::size_t block_stride,
                 std::uint32_t* groups);
void LookUp(const LookupOperand& w, std::size_t n_out, const LookupPanel& panel, float* tables);
void AddOuter(const WeightedBlock* blocks, std::size_t n_blocks, std::size_t n_rows, std::size_t first_column,
              std::size_t n_columns, bool fresh, float* sums, std::ptrdiff_t stride, float* scratch,
              float* levels);
void LetterInput(const float* weights, std::ptrdiff_t stride, const float* bias, std::size_t n_columns,
                 const LetterPanel& panel, float* const* out, float* scratch);
void WeighColumns(const WeightedBlock& block, std::size_t first_column, std::size_t n_columns, float* out);
void LetterSums(const float* weighed, const std::uint64_t* bits, std::size_t n_places, std::uint64_t counted,
                float* sums);
void AddBits(const std::uint64_t* units, std::size_t n_units, const float* weight, float* sums);
void AddDots(const std::uint64_t* units, const float* coefficient, std::size_t n_units, std::size_t lanes,
             double* out);
void PhiloxWords(const Philox& stream, std::uint32_t* out);
void SampleLetters(const float* input, const float* beta, const float* reference, const Philox& stream,
                   const std::int64_t* letters, std::size_t n_sites, std::size_t most, std::size_t lanes,
                   std::uint64_t* units);
void Sample(const float* input, const float* beta, const float* reference, const Philox& stream,
            std::size_t n_units, std::size_t lanes, std::uint64_t* units);
void RealProduct(const RealOperand& w, std::size_t n_out, const float* in, float* out);
void Normals(const Philox& stream, std::size_t n_units, float* out);
void Mean(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, float* mean);
void AddSoftplus(const float* input, const float* beta, std::size_t n_units, std::size_t lanes, double* out);

}  // namespace tempera::simd::scalar
