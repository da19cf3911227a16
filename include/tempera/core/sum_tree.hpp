// Sums whose order of additions is fixed by the number of terms, so that whoever makes the terms, in whatever
// order, the result has the same bytes.
//
// See docs/mathematics/randomness.md 6.5.
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// sum of leaf(0) ... leaf(count - 1) along a fixed binary tree over the index: pairs, pairs of pairs, and so
/// on; the incomplete right edge is added last. Leaves are made in order, and about log2(count) partial sums
/// are alive at a time. count must be at least 1.
///
/// leaf(i) returns a value; add(into, from) adds in place.
template <class Leaf, class Add>
auto sum_tree(Index count, Leaf&& leaf, Add&& add) {
  using Value = std::invoke_result_t<Leaf&, Index>;
  std::vector<Value> partial;
  for (Index i = 0; i < count; ++i) {
    partial.push_back(leaf(i));
    for (Index done = i + 1; done % 2 == 0; done /= 2) {
      add(partial[partial.size() - 2], partial.back());
      partial.pop_back();
    }
  }
  while (partial.size() > 1) {
    add(partial[partial.size() - 2], partial.back());
    partial.pop_back();
  }
  return std::move(partial.front());
}

/// sum_tree of numbers.
template <class Leaf>
double sum_doubles(Index count, Leaf&& leaf) {
  return count == 0
             ? 0.0
             : sum_tree(count, std::forward<Leaf>(leaf), [](double& into, double from) { into += from; });
}

}  // namespace tempera
