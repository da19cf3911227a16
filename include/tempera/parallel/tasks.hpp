// Threads as tasks over blocks, and sums whose order is fixed.
//
// Which thread runs a task never matters: a task owns what it writes, and results of several tasks are
// combined over the index of the task along a fixed binary tree. Results are therefore the same bytes for
// any number of threads.
#pragma once

#include <memory>
#include <type_traits>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// A fixed number of threads. Not copyable; pass by reference.
class Workers {
 public:
  /// 0 takes every core of the machine.
  explicit Workers(int threads = 0);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  [[nodiscard]] int threads() const { return threads_; }

  /// Calls task(i) for i in [0, count), in any order, on these threads, and waits. An exception of a task
  /// is thrown again here.
  template <class Task>
  void for_each(Index count, Task&& task) const {
    using Callable = std::remove_reference_t<Task>;
    run(
        count, [](void* callable, Index i) { (*static_cast<Callable*>(callable))(i); },
        const_cast<void*>(static_cast<const void*>(std::addressof(task))));
  }

 private:
  void run(Index count, void (*invoke)(void*, Index), void* task) const;

  struct Arena;
  int threads_;
  std::unique_ptr<Arena> arena_;
};

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
