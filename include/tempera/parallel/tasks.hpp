// Threads and ranks as tasks over blocks, and sums whose order is fixed.
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
#include "tempera/parallel/communicator.hpp"

namespace tempera {

/// A fixed number of threads, and the other ranks that work in step with this process. Not copyable; pass by
/// reference.
class Executor {
 public:
  /// 0 takes every core of the machine. `ranks` must outlive it.
  explicit Executor(int threads = 0, const Communicator& ranks = Communicator::alone());
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  [[nodiscard]] int threads() const { return threads_; }
  [[nodiscard]] const Communicator& ranks() const { return ranks_; }

  /// The same threads without the other ranks: for work that every rank does for itself, since it is small or
  /// needs what no other rank has to be told.
  [[nodiscard]] const Executor& alone() const { return alone_ ? *alone_ : *this; }

  /// The part of so many blocks in a row that is this rank's.
  [[nodiscard]] UnitRange owned(Index count) const { return part_of(count, ranks_.rank(), ranks_.size()); }
  [[nodiscard]] bool owns(Index block, Index count) const {
    const UnitRange mine = owned(count);
    return block >= mine.first && block < mine.last;
  }

  /// for_each of those i that are this rank's.
  template <class Task>
  void for_each_owned(Index count, Task&& task) const {
    const UnitRange mine = owned(count);
    for_each(mine.size(), [&](Index i, std::size_t slot) {
      if constexpr (std::is_invocable_v<Task&, Index, std::size_t>) {
        task(mine.first + i, slot);
      } else {
        task(mine.first + i);
      }
    });
  }

  /// Values of which every rank has made those that are its own become known to all, whole vectors at once.
  template <class... T>
  requires(std::is_trivially_copyable_v<T>&&...) void share(std::vector<T>&... values) const {
    if (ranks_.size() == 1) return;
    std::vector<Made> parts;
    for (int r = 0; r < ranks_.size(); ++r) {
      Made& part = parts.emplace_back(Made{r, {}});
      const auto add = [&](auto& of) {
        const UnitRange mine = part_of(static_cast<Index>(of.size()), r, ranks_.size());
        part.pieces.push_back(bytes_of(of.data() + mine.first, mine.size()));
      };
      (add(values), ...);
    }
    share_things(ranks_, parts);
  }

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
  Executor(int threads, std::shared_ptr<Arena> arena);

  int threads_;
  std::shared_ptr<Arena> arena_;
  const Communicator& ranks_;
  std::unique_ptr<const Executor> alone_;  // where there are others
};

}  // namespace tempera
