#include "tempera/kernels/products.hpp"

#include "tempera/kernels/bits.hpp"

namespace tempera {

void input_from_rows(const Matrix& weights, std::span<const Word> rows, const Vector& bias, LaneMatrix& out,
                     ProductScratch& scratch) {
  unpack_lanes(rows, scratch.unpacked);
  out.resize(weights.cols(), kLanes);
  out.colwise() = bias;
  out.noalias() += weights.transpose() * scratch.unpacked;
}

void input_from_columns(const Matrix& weights, std::span<const Word> columns, const Vector& bias,
                        LaneMatrix& out, ProductScratch& scratch) {
  unpack_lanes(columns, scratch.unpacked);
  out.resize(weights.rows(), kLanes);
  out.colwise() = bias;
  out.noalias() += weights * scratch.unpacked;
}

void add_products(std::span<const Word> rows, const LaneMatrix& columns, const LaneFloats& weight,
                  Matrix& sums, ProductScratch& scratch) {
  unpack_lanes(rows, scratch.unpacked);
  const Eigen::Map<const Eigen::Array<float, 1, kLanes>> lane_weight(weight.data());
  scratch.weighted = scratch.unpacked.array().rowwise() * lane_weight;
  sums.noalias() += scratch.weighted * columns.transpose();
}

void add_bits(std::span<const Word> rows, const LaneFloats& weight, Vector& sums) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    float sum = 0;
    for (std::size_t c = 0; c < weight.size(); ++c) sum += ((rows[i] >> c) & 1) != 0 ? weight[c] : 0.0F;
    sums[static_cast<Index>(i)] += sum;
  }
}

}  // namespace tempera
