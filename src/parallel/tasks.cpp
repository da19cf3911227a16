#include "tempera/parallel/tasks.hpp"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

namespace tempera {

struct Workers::Arena {
  tbb::task_arena arena;
};

Workers::Workers(int threads)
    : threads_(threads > 0 ? threads : tbb::info::default_concurrency()),
      arena_(new Arena{tbb::task_arena(threads_)}) {}

Workers::~Workers() = default;

void Workers::run(Index count, void (*invoke)(void*, Index), void* task) const {
  if (threads_ == 1) {
    for (Index i = 0; i < count; ++i) invoke(task, i);
    return;
  }
  arena_->arena.execute([&] {
    tbb::parallel_for(
        Index{0}, count, [&](Index i) { invoke(task, i); }, tbb::simple_partitioner());
  });
}

}  // namespace tempera
