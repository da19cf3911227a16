#include "ranks.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string_view>

#include "tempera/core/digest.hpp"
#include "tempera/io/files.hpp"

namespace tempera::apps {
namespace {

/// Commands that share their work.
constexpr std::array<std::string_view, 6> kShared = {"train", "resume", "loglik",
                                                     "score", "sample", "encode"};

std::unique_ptr<World>& the_world() {
  static std::unique_ptr<World> world = std::make_unique<World>();
  return world;
}

/// What became of a change of files.
struct Outcome {
  int exit_code = 0;
  std::size_t length = 0;  // of the message
};

/// The first rank makes the change; all see it succeed or fail. A change that is part of another one is made
/// with it.
void change_together(const std::function<void()>& change) {
  static bool within = false;
  if (within) return change();
  const World& ranks = world();
  ranks.wait_for_all();  // what others have still to read is as it was
  Outcome outcome;
  std::string message;
  const auto note = [&](ExitCode code, const char* words) {
    outcome.exit_code = static_cast<int>(code);
    message = words;
  };
  if (ranks.rank() == 0) {
    within = true;
    try {
      change();
    } catch (const Error& error) {
      note(error.code(), error.what());
    } catch (const std::filesystem::filesystem_error& error) {
      note(ExitCode::kCannotWrite, error.what());
    } catch (const std::exception& error) {
      note(ExitCode::kInternal, error.what());
    }
    within = false;
    outcome.length = message.size();
  }
  ranks.broadcast(std::as_writable_bytes(std::span(&outcome, 1)), 0);
  if (outcome.exit_code == 0) return;
  message.resize(outcome.length);
  ranks.broadcast(std::as_writable_bytes(std::span(message)), 0);
  if (outcome.exit_code == static_cast<int>(ExitCode::kCannotWrite)) throw WriteError(message);
  throw Error(static_cast<ExitCode>(outcome.exit_code), message);
}

/// The cores that this process is bound to, by whoever has dealt them out; else its share of the machine's.
int threads_of_rank() {
  const int cores = Executor().threads();
  cpu_set_t bound;
  CPU_ZERO(&bound);
  const bool is_bound = sched_getaffinity(0, sizeof(bound), &bound) == 0 &&
                        CPU_COUNT(&bound) < static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  return is_bound ? cores : std::max(1, cores / world().local_size());
}

}  // namespace

World& world() { return *the_world(); }

void leave_ranks() { the_world() = std::make_unique<World>(); }

void join_ranks(int argc, char** argv) {
  the_world() = start_world();
  const World& ranks = world();
  if (ranks.size() == 1) return;
  // MPI libraries catch crashes to print where they were. That takes memory, whose lock the crash may hold:
  // the rank would wait for itself, and all others for it. So a crash ends the process as it does elsewhere.
  for (const int crash : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) std::signal(crash, SIG_DFL);
  const std::string command = argc > 1 ? argv[1] : "";
  if (std::find(kShared.begin(), kShared.end(), command) == kShared.end())
    throw UsageError("only train, resume, loglik, score, sample and encode run on several ranks");
  if (const char* delay = std::getenv("TEMPERA_CALL_DELAY")) world().delay_calls(1e-6 * std::atof(delay));
  if (ranks.rank() > 0 && std::freopen("/dev/null", "w", stdout) == nullptr)
    throw WriteError("/dev/null: cannot be written");
  set_file_change(change_together);
  require_same("program", digest(read_file("/proc/self/exe")));
  std::string words;
  for (int k = 1; k < argc; ++k) words += std::string(argv[k]) + '\0';
  require_same("arguments", digest(words));
}

Executor shared_executor(const CommonOptions& common) {
  return Executor(common.threads > 0 ? common.threads : threads_of_rank(), world());
}

void require_same(const std::string& what, std::uint64_t digest) {
  const std::vector<std::uint64_t> all = world().each(digest);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] != all.front())
      throw DataError("rank " + std::to_string(r) + ": the " + what + " differs from that of rank 0");
  }
}

}  // namespace tempera::apps
