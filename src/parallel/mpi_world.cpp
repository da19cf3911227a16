// Ranks over MPI: the one file that knows of it.
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tempera/parallel/world.hpp"

namespace tempera {
namespace {

/// How long a rank that cannot go on waits for the others to say the same.
constexpr std::chrono::seconds kPatience{3};

/// MPI counts in int; what is longer goes in pieces.
constexpr std::size_t kMostBytes = std::size_t{1} << 30;

int count(std::size_t bytes) { return static_cast<int>(bytes); }

/// Sizes and places of the pieces between starts.
struct Pieces {
  std::vector<int> sizes;
  std::vector<int> places;

  explicit Pieces(std::span<const std::size_t> starts) {
    for (std::size_t r = 0; r + 1 < starts.size(); ++r) {
      sizes.push_back(count(starts[r + 1] - starts[r]));
      places.push_back(count(starts[r]));
    }
  }
};

class MpiWorld : public World {
 public:
  MpiWorld() {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    // Failures must not meet what other ranks are waiting in.
    MPI_Comm_dup(MPI_COMM_WORLD, &failures_);
    MPI_Comm local = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local);
    MPI_Comm_size(local, &local_size_);
    MPI_Comm_free(&local);
  }
  ~MpiWorld() override {
    MPI_Comm_free(&failures_);
    MPI_Finalize();
  }

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] int local_size() const override { return local_size_; }

  void fail(int exit_code, const std::function<void()>& tell) override {
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Ibarrier(failures_, &request);
    const auto end = std::chrono::steady_clock::now() + kPatience;
    int done = 0;
    while (done == 0 && std::chrono::steady_clock::now() < end) {
      MPI_Test(&request, &done, MPI_STATUS_IGNORE);
      if (done == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (done != 0) {
      if (rank_ == 0) tell();
      return;
    }
    tell();
    MPI_Abort(MPI_COMM_WORLD, exit_code);
    std::_Exit(exit_code);
  }

 private:
  void do_gather(std::span<std::byte> all, std::span<const std::size_t> starts) const override {
    if (all.size() <= kMostBytes) {
      const Pieces pieces(starts);
      MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, all.data(), pieces.sizes.data(),
                     pieces.places.data(), MPI_BYTE, MPI_COMM_WORLD);
      return;
    }
    for (int r = 0; r < size_; ++r) {
      const auto i = static_cast<std::size_t>(r);
      do_broadcast(all.subspan(starts[i], starts[i + 1] - starts[i]), r);
    }
  }

  void do_exchange(std::span<const SentPiece> sent, std::span<const ReceivedPiece> received) const override {
    std::vector<MPI_Request> requests;
    const auto each_part = [&](auto bytes, const auto& visit) {
      for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMostBytes, bytes.size())))
        visit(bytes.data(), count(std::min(kMostBytes, bytes.size())), &requests.emplace_back());
    };
    for (const ReceivedPiece& piece : received) {
      each_part(piece.bytes, [&](std::byte* to, int bytes, MPI_Request* request) {
        MPI_Irecv(to, bytes, MPI_BYTE, piece.from, 0, MPI_COMM_WORLD, request);
      });
    }
    for (const SentPiece& piece : sent) {
      each_part(piece.bytes, [&](const std::byte* from, int bytes, MPI_Request* request) {
        MPI_Isend(from, bytes, MPI_BYTE, piece.to, 0, MPI_COMM_WORLD, request);
      });
    }
    MPI_Waitall(static_cast<int>(requests.size()), requests.data(), MPI_STATUSES_IGNORE);
  }

  void do_broadcast(std::span<std::byte> bytes, int from) const override {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMostBytes, bytes.size())))
      MPI_Bcast(bytes.data(), count(std::min(kMostBytes, bytes.size())), MPI_BYTE, from, MPI_COMM_WORLD);
  }

  int rank_ = 0;
  int size_ = 1;
  int local_size_ = 1;
  MPI_Comm failures_ = MPI_COMM_NULL;
};

/// Whether a launcher of MPI programs has started several of this one: for one alone MPI would be started in
/// vain, which takes longer than most commands, and what it starts in turn would be taken for ranks.
bool has_others() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    if (const char* const size = std::getenv(name)) return std::atoi(size) != 1;
  }
  if (std::getenv("PMIX_RANK") == nullptr && std::getenv("PMI_RANK") == nullptr) return false;
  const char* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  return tasks == nullptr || std::atoi(tasks) != 1;
}

}  // namespace

std::unique_ptr<World> start_world() {
  if (has_others()) return std::make_unique<MpiWorld>();
  return std::make_unique<World>();
}

}  // namespace tempera
