// Ranks that are threads of one process: what MPI does between processes, where a test can look at all of
// them.
#pragma once

#include <algorithm>
#include <barrier>
#include <exception>
#include <thread>
#include <vector>

#include "tempera/parallel/communicator.hpp"

namespace tempera {

/// What the threads lend each other during a call.
struct Meeting {
  explicit Meeting(int ranks) : all(ranks), lent(static_cast<std::size_t>(ranks)) {}

  struct Lent {
    std::span<const std::byte> bytes;
    std::span<const std::size_t> starts;
    std::span<const SentPiece> sent;
  };
  std::barrier<> all;
  std::vector<Lent> lent;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return static_cast<int>(meeting_.lent.size()); }

 private:
  /// Calls take(rank, what it lends) for every other rank while all of them stand still.
  template <class Take>
  void meet(const Meeting::Lent& mine, Take&& take) const {
    meeting_.lent[static_cast<std::size_t>(rank_)] = mine;
    meeting_.all.arrive_and_wait();
    for (std::size_t r = 0; r < meeting_.lent.size(); ++r) {
      if (static_cast<int>(r) != rank_) take(r, meeting_.lent[r]);
    }
    meeting_.all.arrive_and_wait();
  }
  void do_gather(std::span<std::byte> all, std::span<const std::size_t> starts) const override {
    meet({all, starts, {}}, [&](std::size_t r, const Meeting::Lent& of) {
      std::copy(of.bytes.begin() + static_cast<std::ptrdiff_t>(starts[r]),
                of.bytes.begin() + static_cast<std::ptrdiff_t>(starts[r + 1]),
                all.begin() + static_cast<std::ptrdiff_t>(starts[r]));
    });
  }
  void do_exchange(std::span<const SentPiece> sent, std::span<const ReceivedPiece> received) const override {
    meet({{}, {}, sent}, [&](std::size_t r, const Meeting::Lent& of) {
      auto place = received.begin();
      for (const SentPiece& piece : of.sent) {
        if (piece.to != rank_) continue;
        place = std::find_if(place, received.end(),
                             [&](const ReceivedPiece& one) { return one.from == static_cast<int>(r); });
        std::copy(piece.bytes.begin(), piece.bytes.end(), place->bytes.begin());
        ++place;
      }
    });
  }
  void do_broadcast(std::span<std::byte> bytes, int from) const override {
    meet({bytes, {}, {}}, [&](std::size_t r, const Meeting::Lent& of) {
      if (static_cast<int>(r) == from) std::copy(of.bytes.begin(), of.bytes.end(), bytes.begin());
    });
  }

  Meeting& meeting_;
  int rank_;
};

/// work(communicator) on so many ranks at once. An exception of one that others wait for would leave them
/// waiting: it ends the program.
template <class Work>
void on_ranks(int ranks, Work&& work) {
  Meeting meeting(ranks);
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&meeting, &work, r]() noexcept {
      const ThreadCommunicator communicator(meeting, r);
      work(static_cast<const Communicator&>(communicator));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace tempera
