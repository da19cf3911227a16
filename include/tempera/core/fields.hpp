// Fielded structs: aggregates that name their arrays once, and get arithmetic, files and comparison.
//
// A Fielded struct has one static member
//
//   template <class F, class... S>
//   static void visit(F&& f, S&&... s) { f("weights", s.weights...); f("visible_bias", s.visible_bias...); }
//
// which calls f with the name of each field and that field of every struct given. Fields are Eigen
// arrays, std::vectors of numbers, scalars, other Fielded structs, or vectors or variants of them. A variant
// stands for the struct that it holds. Inspired by the way Pigeons.jl and Stan keep state as plain values.
#pragma once

#include <cmath>
#include <concepts>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

namespace detail {
struct AnyFieldVisitor {
  template <class... T>
  void operator()(std::string_view, T&&...) const {}
};
}  // namespace detail

template <class T>
concept Fielded = requires(T& value) {
  std::remove_cvref_t<T>::visit(detail::AnyFieldVisitor{}, value);
};

template <class T>
concept Scalar = std::is_arithmetic_v<std::remove_cvref_t<T>>;

template <class T>
struct IsVectorOfFielded : std::false_type {};
template <Fielded T>
struct IsVectorOfFielded<std::vector<T>> : std::true_type {};
template <class T>
concept VectorOfFielded = IsVectorOfFielded<std::remove_cvref_t<T>>::value;

template <class T>
struct IsVariantOfFielded : std::false_type {};
template <Fielded... T>
struct IsVariantOfFielded<std::variant<T...>> : std::true_type {};
/// A choice between structs of different types: a field whose fields are those of the one that is held.
template <class T>
concept VariantOfFielded = IsVariantOfFielded<std::remove_cvref_t<T>>::value;

/// A field that holds numbers in one contiguous piece of memory.
template <class T>
concept ArrayField = requires(T& array) {
  {array.data()};
  {array.size()};
}
&&!VectorOfFielded<T>;

/// Calls f(name, field of first, field of each of rest...) for every field.
template <class F, class T, class... Rest>
void for_each_field(F&& f, T&& first, Rest&&... rest) {
  std::remove_cvref_t<T>::visit(std::forward<F>(f), std::forward<T>(first), std::forward<Rest>(rest)...);
}

/// Sets every number of every field to zero; shapes stay.
template <Fielded T>
void set_zero(T& value) {
  for_each_field([](std::string_view, auto& field) { field.setZero(); }, value);
}

/// y += factor * x, field by field, for structs of Eigen arrays.
template <Fielded T>
void add_scaled(T& y, float factor, const T& x) {
  for_each_field([factor](std::string_view, auto& out, const auto& in) { out += factor * in; }, y, x);
}

/// A struct of the same shapes with every number zero.
template <Fielded T>
T zeros_like(const T& value) {
  T result = value;
  set_zero(result);
  return result;
}

/// Numbers held by the arrays of a struct of Eigen arrays.
template <Fielded T>
[[nodiscard]] Index size_of(const T& value) {
  Index size = 0;
  for_each_field([&size](std::string_view, const auto& field) { size += field.size(); }, value);
  return size;
}

/// Name of the first field of a struct.
template <Fielded T>
[[nodiscard]] std::string_view first_field_name() {
  std::string_view first;
  for_each_field(
      [&first](std::string_view name, const auto&) {
        if (first.empty()) first = name;
      },
      T());
  return first;
}

/// Name of the first field with a number that is not finite, or an empty view.
template <Fielded T>
[[nodiscard]] std::string_view first_non_finite(const T& value) {
  std::string_view found;
  for_each_field(
      [&found](std::string_view name, const auto& field) {
        if (found.empty() && !field.allFinite()) found = name;
      },
      value);
  return found;
}

template <Fielded T>
[[nodiscard]] bool equal_fields(const T& a, const T& b);

/// Name of the first field whose numbers differ, or an empty view.
template <Fielded T>
[[nodiscard]] std::string_view first_difference(const T& a, const T& b) {
  std::string_view first;
  for_each_field(
      [&first](std::string_view name, const auto& x, const auto& y) {
        if (!first.empty()) return;
        using Field = std::remove_cvref_t<decltype(x)>;
        bool equal = true;
        if constexpr (Fielded<Field>) {
          equal = equal_fields(x, y);
        } else if constexpr (VectorOfFielded<Field>) {
          equal = x.size() == y.size();
          for (std::size_t i = 0; equal && i < x.size(); ++i) equal = equal_fields(x[i], y[i]);
        } else if constexpr (VariantOfFielded<Field>) {
          equal = x.index() == y.index() &&
                  std::visit(
                      [&y](const auto& held) {
                        return equal_fields(held, std::get<std::remove_cvref_t<decltype(held)>>(y));
                      },
                      x);
        } else if constexpr (requires { x.rows(); }) {
          equal = x.rows() == y.rows() && x.cols() == y.cols() && x == y;
        } else {
          equal = x == y;
        }
        if (!equal) first = name;
      },
      a, b);
  return first;
}

/// Equality of every number, bit for bit except that 0 == -0. Variants are equal where they hold structs of
/// the same type with equal fields.
template <Fielded T>
bool equal_fields(const T& a, const T& b) {
  return first_difference(a, b).empty();
}

}  // namespace tempera
