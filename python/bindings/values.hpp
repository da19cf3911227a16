// Values of services as Python objects. Every function expects the interpreter's lock.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <vector>

#include "tempera/core/letters.hpp"
#include "tempera/services/facts.hpp"

namespace tempera::python {

namespace nb = nanobind;

/// A NumPy array of numbers that it owns, in C order. No copy.
template <class T>
nb::object array_of(std::vector<T> values, const std::vector<std::uint64_t>& shape) {
  auto* const held = new std::vector<T>(std::move(values));
  nb::capsule owner(held, [](void* numbers) noexcept { delete static_cast<std::vector<T>*>(numbers); });
  const std::vector<std::size_t> axes(shape.begin(), shape.end());
  return nb::cast(nb::ndarray<nb::numpy, T>(held->data(), axes.size(), axes.data(), owner));
}
template <class T>
nb::object array_of(std::vector<T> values) {
  const std::vector<std::uint64_t> shape = {values.size()};
  return array_of(std::move(values), shape);
}

/// The rows of a matrix, owned by the array.
inline nb::object array_of(Matrix values) {
  auto* const held = new Matrix(std::move(values));
  nb::capsule owner(held, [](void* numbers) noexcept { delete static_cast<Matrix*>(numbers); });
  const std::size_t axes[] = {static_cast<std::size_t>(held->rows()), static_cast<std::size_t>(held->cols())};
  return nb::cast(nb::ndarray<nb::numpy, float>(held->data(), 2, axes, owner));
}

/// Rows of equal length as a matrix.
inline nb::object array_of_rows(const std::vector<std::vector<double>>& rows) {
  std::vector<double> all;
  for (const auto& row : rows) all.insert(all.end(), row.begin(), row.end());
  return array_of(std::move(all), {rows.size(), rows.empty() ? 0 : rows.front().size()});
}

/// Letters of all sites as a text, or those of each as a list; None where values are no letters.
inline nb::object alphabet_of(const Alphabet& alphabet) {
  if (!alphabet.words.empty()) return nb::cast(alphabet.words);
  return alphabet.characters.empty() ? nb::none() : nb::cast(alphabet.characters);
}

/// A dict in the facts' order.
inline nb::dict dict_of(const Facts& facts) {
  nb::dict all;
  for (const auto& [name, fact] : facts)
    std::visit([&all, &name = name](const auto& value) { all[name.c_str()] = nb::cast(value); }, fact);
  return all;
}

}  // namespace tempera::python
