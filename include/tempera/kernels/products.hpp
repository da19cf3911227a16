// Products of real weights with binary states, one block of 64 chains at a time.
//
// These are the only places where weights meet states, so they are where the time goes. Sums are in
// float; their order depends on the shapes alone, never on threads.
#pragma once

#include <span>

#include "tempera/core/types.hpp"

namespace tempera {

/// Memory that the products need; grows on first use and is then reused. One per task.
struct ProductScratch {
  LaneMatrix unpacked;
  LaneMatrix weighted;
};

/// out(j, c) = bias(j) + sum_i weights(i, j) rows[i].c: the input of the column units from the row units.
/// Shapes: weights n x m, rows n words, bias m, out m x 64. Cost 64 n m additions.
void input_from_rows(const Matrix& weights, std::span<const Word> rows, const Vector& bias, LaneMatrix& out,
                     ProductScratch& scratch);

/// out(i, c) = bias(i) + sum_j weights(i, j) columns[j].c: the input of the row units from the column units.
/// Shapes: weights n x m, columns m words, bias n, out n x 64. Cost 64 n m additions.
void input_from_columns(const Matrix& weights, std::span<const Word> columns, const Vector& bias,
                        LaneMatrix& out, ProductScratch& scratch);

/// sums(i, j) += sum_c weight[c] rows[i].c columns(j, c): statistics of binary rows with real-valued columns,
/// contracted over the chains. Shapes: rows n words, columns m x 64, sums n x m. Cost 64 n m.
void add_products(std::span<const Word> rows, const LaneMatrix& columns, const LaneFloats& weight,
                  Matrix& sums, ProductScratch& scratch);

/// sums(i) += sum_c weight[c] rows[i].c.
void add_bits(std::span<const Word> rows, const LaneFloats& weight, Vector& sums);

}  // namespace tempera
