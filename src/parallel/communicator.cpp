#include "tempera/parallel/communicator.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

namespace tempera {

const Communicator& Communicator::alone() {
  static const Communicator one;
  return one;
}

void Communicator::note(std::size_t bytes) const {
  ++traffic_.calls;
  traffic_.bytes += bytes;
  if (delay_ > 0.0) std::this_thread::sleep_for(std::chrono::duration<double>(delay_));
}

void Communicator::gather(std::span<std::byte> all, std::span<const std::size_t> starts) const {
  if (size() == 1) return;
  const auto r = static_cast<std::size_t>(rank());
  note(all.size() - (starts[r + 1] - starts[r]));
  do_gather(all, starts);
}

void Communicator::exchange(std::span<const SentPiece> sent, std::span<const ReceivedPiece> received) const {
  if (size() == 1) return;
  std::size_t bytes = 0;
  for (const ReceivedPiece& piece : received) bytes += piece.bytes.size();
  note(bytes);
  do_exchange(sent, received);
}

void Communicator::broadcast(std::span<std::byte> bytes, int from) const {
  if (size() == 1) return;
  note(rank() == from ? 0 : bytes.size());
  do_broadcast(bytes, from);
}

void Communicator::wait_for_all() const { static_cast<void>(any(false)); }

bool Communicator::any(bool said) const {
  if (size() == 1) return said;
  const std::vector<char> all = each<char>(said ? 1 : 0);
  return std::any_of(all.begin(), all.end(), [](char one) { return one != 0; });
}

namespace {

/// Where the part of a rank begins: at the multiple of the largest power of two near the fair place, where
/// few complete nodes of a tree end.
Index first_of(Index count, int rank, int ranks) {
  if (rank == 0 || rank == ranks) return rank == 0 ? 0 : count;
  constexpr Index kUnfair = 32;     // of a part, that a boundary may be moved
  const Index fair = count * rank;  // times ranks
  for (Index step = Index{1} << 40;; step /= 2) {
    const Index first = (fair / (step * ranks) + (2 * (fair % (step * ranks)) > step * ranks ? 1 : 0)) * step;
    if (2 * std::abs(first * ranks - fair) <= std::max<Index>(ranks, 2 * count / kUnfair) || step == 1)
      return first;
  }
}

}  // namespace

UnitRange part_of(Index count, int rank, int ranks) {
  return {first_of(count, rank, ranks), first_of(count, rank + 1, ranks)};
}

int owner_of(Index thing, Index count, int ranks) {
  int rank = static_cast<int>(thing * ranks / count);
  while (part_of(count, rank, ranks).first > thing) --rank;
  while (part_of(count, rank, ranks).last <= thing) ++rank;
  return rank;
}

void share_things(const Communicator& ranks, const std::vector<Made>& things) {
  if (ranks.size() == 1) return;
  std::vector<std::size_t> starts(static_cast<std::size_t>(ranks.size()) + 1, 0);
  for (const Made& thing : things) {
    for (const std::span<std::byte> piece : thing.pieces)
      starts[static_cast<std::size_t>(thing.owner) + 1] += piece.size();
  }
  for (std::size_t r = 1; r < starts.size(); ++r) starts[r] += starts[r - 1];
  std::vector<std::byte> all(starts.back());
  // Calls copy(piece, its place among all) for every piece of this rank's, or of the others.
  const auto each = [&](bool mine, const auto& copy) {
    std::vector<std::size_t> at(starts.begin(), starts.end() - 1);
    for (const Made& thing : things) {
      if ((thing.owner == ranks.rank()) != mine) continue;
      for (const std::span<std::byte> piece : thing.pieces) {
        std::size_t& place = at[static_cast<std::size_t>(thing.owner)];
        copy(piece, all.begin() + static_cast<std::ptrdiff_t>(place));
        place += piece.size();
      }
    }
  };
  each(true, [](std::span<std::byte> piece, auto place) { std::copy(piece.begin(), piece.end(), place); });
  ranks.gather(all, starts);
  each(false,
       [](std::span<std::byte> piece, auto place) { std::copy_n(place, piece.size(), piece.begin()); });
}

}  // namespace tempera
