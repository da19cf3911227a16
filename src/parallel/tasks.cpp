#include "tempera/parallel/tasks.hpp"

#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <optional>

namespace tempera {

struct Workers::Arena {
  explicit Arena(int threads) : arena(threads) {
    if (threads > tbb::info::default_concurrency()) {
      limit.emplace(tbb::global_control::max_allowed_parallelism, static_cast<std::size_t>(threads));
    }
  }
  tbb::task_arena arena;
  std::optional<tbb::global_control> limit;  // oneTBB ignores threads beyond the cores unless told
};

Workers::Workers(int threads)
    : threads_(threads > 0 ? threads : tbb::info::default_concurrency()), arena_(new Arena(threads_)) {}

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
