// Nothing allocates inside a sweep: every call of malloc in this program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "tempera/mcmc/chains.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

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
  const BernoulliRbm model(150, 70);
  const auto theta = model.initial_params(StreamFactory{1}, 0.1);
  const Workers workers(1);
  for (const std::uint64_t n : {30U, 300U, 2000U}) {
    auto chains = reference_chains(model, n, StreamFactory{1}, Purpose::kChains, workers);
    Workspace<BernoulliRbm> workspace;
    workspace.fit(model, n, workers);
    const auto sweeps = [&](std::uint64_t count) {
      const long before = calls;
      advance(model, theta, count, StreamFactory{1}, Purpose::kChains, chains, workspace, workers);
      return calls - before;
    };
    EXPECT_GT(sweeps(1), 0) << "the first sweep grows the scratch, which the counter must see";
    EXPECT_EQ(sweeps(5), 0) << n;
  }
}

}  // namespace
}  // namespace tempera
