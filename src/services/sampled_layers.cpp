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

SampledLayer as_codes(const SampledLayer& bits, const Letters& letters) {
  const auto& values = std::get<std::vector<std::uint8_t>>(bits.values);
  SampledLayer codes{bits.name, static_cast<std::uint64_t>(letters.sites()), std::vector<std::uint8_t>()};
  auto& rows = std::get<std::vector<std::uint8_t>>(codes.values);
  const auto most = static_cast<std::size_t>(letters.most());
  for (std::size_t first = 0; first < values.size(); first += most) {
    std::size_t letter = 0;
    while (letter + 1 < most && values[first + letter] == 0) ++letter;
    rows.push_back(static_cast<std::uint8_t>(letter));
  }
  return codes;
}

void append_rows(const LaneMatrix& values, Index lanes, SampledLayer& layer) {
  layer.units = static_cast<std::uint64_t>(values.rows());
  auto& rows = rows_as<float>(layer);
  for (Index c = 0; c < lanes; ++c) {
    for (Index i = 0; i < values.rows(); ++i) rows.push_back(values(i, c));
  }
}

}  // namespace tempera
