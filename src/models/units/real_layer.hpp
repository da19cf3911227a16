// Layers of real numbers: what the kinds of real visibles share.
#pragma once

#include "lanes.hpp"

namespace tempera {

inline void load_real(const RealData& data, std::span<const Index> cases, LaneMatrix& v) {
  v.setZero();
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const auto row = data.row(cases[c]);
    v.col(static_cast<Index>(c)) = Eigen::Map<const Vector>(row.data(), v.rows());
  }
}

inline Eigen::VectorXd real_case(std::span<const float> row, Index n) {
  return Eigen::Map<const Vector>(row.data(), n).cast<double>();
}

inline void real_filter_input(const Matrix& weights, const LaneMatrix& v, UnitRange filters,
                              LaneMatrix& input) {
  real_input_from_rows(weights, v, filters, nullptr, input.row(filters.first).data());
}

}  // namespace tempera
