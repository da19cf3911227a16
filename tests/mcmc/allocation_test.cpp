// Nothing allocates inside a sweep: every call of malloc in this program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "tempera/mcmc/population.hpp"
#include "tempera/models/rbm.hpp"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define TEMPERA_COUNTS_MALLOC 1
#else
#define TEMPERA_COUNTS_MALLOC 0
#endif

namespace {
std::atomic<long> calls{0};
}

#if TEMPERA_COUNTS_MALLOC
extern "C" {
void* __libc_malloc(std::size_t size);
void* malloc(std::size_t size) {
  calls.fetch_add(1, std::memory_order_relaxed);
  return __libc_malloc(size);
}
}
#endif

namespace tempera {
namespace {

TEST(Allocation, ASweepMakesNone) {
  if (!TEMPERA_COUNTS_MALLOC) GTEST_SKIP() << "malloc belongs to a sanitizer";
  const auto model = with_standard_reference<BernoulliRbm>({150, 70});
  const auto theta = model.initial_params(StreamFactory{1}, random_weights(0.1));
  const Executor executor(1);
  const Engine engine{model, StreamFactory{1}, executor};
  for (const std::uint64_t n : {30U, 300U, 2000U}) {
    Population<BernoulliRbm> population(reference_chains(engine, n, Purpose::kChains));
    population.fit(engine);
    const auto sweeps = [&](std::uint64_t count) {
      const long before = calls;
      advance(engine, theta, count, Purpose::kChains, population);
      return calls - before;
    };
    EXPECT_GT(sweeps(1), 0) << "the first sweep grows the scratch, which the counter must see";
    EXPECT_EQ(sweeps(5), 0) << n;
  }
}

}  // namespace
}  // namespace tempera
