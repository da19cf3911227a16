#include "tempera/parallel/tasks.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <optional>

// ThreadSanitizer does not see the synchronisation inside oneTBB's library. These tell it what parallel_for
// promises: tasks start after the call and end before its return. Between tasks nothing is promised, so races
// stay visible.
#ifdef __SANITIZE_THREAD__
extern "C" void __tsan_acquire(void*);
extern "C" void __tsan_release(void*);
#endif

namespace tempera {
namespace {

void acquire([[maybe_unused]] void* point) {
#ifdef __SANITIZE_THREAD__
  __tsan_acquire(point);
#endif
}

void release([[maybe_unused]] void* point) {
#ifdef __SANITIZE_THREAD__
  __tsan_release(point);
#endif
}

}  // namespace

struct Executor::Arena {
  explicit Arena(int threads) : arena(threads) {
    if (threads > tbb::info::default_concurrency()) {
      limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
    }
  }
  tbb::task_arena arena;
  std::optional<tbb::global_control> limit;  // oneTBB ignores threads beyond the cores unless told
};

Executor::Executor(int threads, const Communicator& ranks)
    : threads_(threads > 0 ? threads : tbb::info::default_concurrency()),
      arena_(std::make_shared<Arena>(threads_)),
      ranks_(ranks) {
  if (ranks.size() > 1) alone_.reset(new Executor(threads_, arena_));
}

Executor::Executor(int threads, std::shared_ptr<Arena> arena)
    : threads_(threads), arena_(std::move(arena)), ranks_(Communicator::alone()) {}

Executor::~Executor() = default;

void Executor::run(Index count, void (*invoke)(void*, Index, std::size_t), void* task) const {
  if (threads_ == 1) {
    for (Index i = 0; i < count; ++i) invoke(task, i, 0);
    return;
  }
  char begin = 0;
  char end = 0;
  release(&begin);
  arena_->arena.execute([&] {
    tbb::parallel_for(
        Index{0}, count,
        [&](Index i) {
          acquire(&begin);
          invoke(task, i, static_cast<std::size_t>(tbb::this_task_arena::current_thread_index()));
          release(&end);
        },
        tbb::simple_partitioner());
  });
  acquire(&end);
}

}  // namespace tempera
