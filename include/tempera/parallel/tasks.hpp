// Threads as tasks over blocks, and sums whose order is fixed.
//
// Which thread runs a task never matters: a task owns what it writes, and results of several tasks are
// combined over the index of the task along a fixed binary tree. Results are therefore the same bytes for
// any number of threads.
#pragma once

#include <memory>
#include <type_traits>
#include <vector>

#include "tempera/core/sum_tree.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// A fixed number of threads. Not copyable; pass by reference.
class Executor {
 public:
  /// 0 takes every core of the machine.
  explicit Executor(int threads = 0);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  [[nodiscard]] int threads() const { return threads_; }

  /// Calls task(i), or task(i, slot), for i in [0, count), in any order, on these threads, and waits. Tasks
  /// that run at the same time have different slots in [0, threads()): scratch memory is kept per slot. An
  /// exception of a task is thrown again here.
  template <class Task>
  void for_each(Index count, Task&& task) const {
    using Callable = std::remove_reference_t<Task>;
    run(
        count,
        [](void* callable, Index i, std::size_t slot) {
          if constexpr (std::is_invocable_v<Callable&, Index, std::size_t>) {
            (*static_cast<Callable*>(callable))(i, slot);
          } else {
            (*static_cast<Callable*>(callable))(i);
          }
        },
        const_cast<void*>(static_cast<const void*>(std::addressof(task))));
  }

 private:
  void run(Index count, void (*invoke)(void*, Index, std::size_t), void* task) const;

  struct Arena;
  int threads_;
  std::unique_ptr<Arena> arena_;
};

}  // namespace tempera
