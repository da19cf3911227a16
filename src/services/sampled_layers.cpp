#include "sampled_layers.hpp"

namespace tempera {
namespace {

/// The rows of a layer as numbers of this type, which they become at the first row.
template <class Number>
std::vector<Number>& rows_as(SampledLayer& layer) {
  if (!std::holds_alternative<std::vector<Number>>(layer.values))
    layer.values.template emplace<std::vector<Number>>();
  return std::get<std::vector<Number>>(layer.values);
}

}  // namespace

void append_rows(const BitLayer& bits, Index lanes, SampledLayer& layer) {
  layer.units = bits.size();
  auto& rows = rows_as<std::uint8_t>(layer);
  for (Index c = 0; c < lanes; ++c) {
    for (const Word unit : bits) rows.push_back(static_cast<std::uint8_t>(unit >> c & 1));
  }
}

void append_rows(const LaneMatrix& values, Index lanes, SampledLayer& layer) {
  layer.units = static_cast<std::uint64_t>(values.rows());
  auto& rows = rows_as<float>(layer);
  for (Index c = 0; c < lanes; ++c) {
    for (Index i = 0; i < values.rows(); ++i) rows.push_back(values(i, c));
  }
}

}  // namespace tempera
