#include "tempera/models/law_change.hpp"

#include <algorithm>
#include <numeric>

namespace tempera {

std::vector<Index> HeldUnits::others(Index n) const {
  std::vector<Index> rest;
  for (Index k = 0; k < n; ++k) {
    if (!std::binary_search(units.begin(), units.end(), k)) rest.push_back(k);
  }
  return rest;
}

std::vector<Index> HeldUnits::left(Index n) const {
  std::vector<Index> rest = others(n);
  if (rest.empty()) rest.push_back(-1);
  return rest;
}

std::vector<Index> HeldUnits::ones() const {
  std::vector<Index> all;
  for (std::size_t k = 0; k < units.size(); ++k) {
    if (values[k] != 0.0F) all.push_back(units[k]);
  }
  return all;
}

const HeldUnits& LawChange::held_of(std::size_t layer) const {
  static const HeldUnits none;
  return layer < held.size() ? held[layer] : none;
}

std::string why_not_bits(const LawChange& change) {
  for (std::size_t k = 1; k < change.held.size(); ++k) {
    for (const float value : change.held[k].values) {
      if (value != 0.0F && value != 1.0F) return "a hidden unit is 0 or 1";
    }
  }
  return {};
}

Matrix selected(const Matrix& from, const std::vector<Index>& rows, const std::vector<Index>& columns) {
  Matrix to = Matrix::Zero(static_cast<Index>(rows.size()), static_cast<Index>(columns.size()));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < columns.size(); ++c) {
      if (rows[r] >= 0 && columns[c] >= 0)
        to(static_cast<Index>(r), static_cast<Index>(c)) = from(rows[r], columns[c]);
    }
  }
  return to;
}

Vector selected(const Vector& from, const std::vector<Index>& rows) {
  Vector to = Vector::Zero(static_cast<Index>(rows.size()));
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (rows[r] >= 0) to[static_cast<Index>(r)] = from[rows[r]];
  }
  return to;
}

std::vector<Index> repeated(const std::vector<Index>& from, Index n) {
  std::vector<Index> all;
  for (Index k = 0; k < n; ++k) all.insert(all.end(), from.begin(), from.end());
  return all;
}

BitLayer restored(const BitLayer& from, const std::vector<Index>& left, const std::vector<Index>& ones,
                  Index n) {
  BitLayer to(static_cast<std::size_t>(n));
  for (std::size_t k = 0; k < left.size(); ++k) {
    if (left[k] >= 0) to[static_cast<std::size_t>(left[k])] = from[k];
  }
  for (const Index unit : ones) to[static_cast<std::size_t>(unit)] = ~Word{0};
  return to;
}

std::vector<Index> all_units(Index n) {
  std::vector<Index> units(static_cast<std::size_t>(n));
  std::iota(units.begin(), units.end(), Index{0});
  return units;
}

}  // namespace tempera
