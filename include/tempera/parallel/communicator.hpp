// Processes that do the same work in step, each on a part of it: the ranks of a run on a cluster.
//
// Ranks run the same program on the same input and come to the same calls in the same order. What a rank has
// made travels as bytes; no number is ever added on the way, so that sums keep their order
// (docs/mathematics/randomness.md 6.5). Without MPI there is one rank, and nothing travels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "tempera/core/fields.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// What a rank has sent and waited for.
struct Traffic {
  std::uint64_t calls = 0;
  std::uint64_t bytes = 0;  // that this rank received from others
};

/// What goes to another rank, and what comes from one.
struct SentPiece {
  int to = 0;
  std::span<const std::byte> bytes;
};
struct ReceivedPiece {
  int from = 0;
  std::span<std::byte> bytes;
};

/// The ranks, seen from one of them. This one is alone. Not copyable; pass by reference. Calls come from one
/// thread.
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// One process by itself.
  static const Communicator& alone();

  [[nodiscard]] virtual int rank() const { return 0; }
  [[nodiscard]] virtual int size() const { return 1; }

  /// Bytes starts[r] ... starts[r + 1] - 1 of `all` are those of rank r: afterwards every rank has them all.
  void gather(std::span<std::byte> all, std::span<const std::size_t> starts) const;

  /// Pieces for other ranks are sent, and those that others have for this one are put where they belong.
  /// Between two ranks pieces have one order and the same sizes on both sides.
  void exchange(std::span<const SentPiece> sent, std::span<const ReceivedPiece> received) const;

  /// Every rank gets the bytes of one.
  void broadcast(std::span<std::byte> bytes, int from) const;

  /// Waits until every rank is here.
  void wait_for_all() const;

  /// Whether any rank says so.
  [[nodiscard]] bool any(bool said) const;

  /// A value of every rank, in their order.
  template <class T>
  requires std::is_trivially_copyable_v<T>
  [[nodiscard]] std::vector<T> each(const T& mine) const {
    std::vector<T> all(static_cast<std::size_t>(size()));
    std::vector<std::size_t> starts(all.size() + 1);
    for (std::size_t r = 0; r < starts.size(); ++r) starts[r] = r * sizeof(T);
    all[static_cast<std::size_t>(rank())] = mine;
    gather(std::as_writable_bytes(std::span(all)), starts);
    return all;
  }

  /// What has travelled so far.
  [[nodiscard]] Traffic traffic() const { return traffic_; }

  /// Every call from here on takes so many seconds more: what a slower network would do, for measurements.
  void delay_calls(double seconds) { delay_ = seconds; }

 private:
  virtual void do_gather(std::span<std::byte>, std::span<const std::size_t>) const {}
  virtual void do_exchange(std::span<const SentPiece>, std::span<const ReceivedPiece>) const {}
  virtual void do_broadcast(std::span<std::byte>, int) const {}
  void note(std::size_t bytes) const;

  mutable Traffic traffic_;
  double delay_ = 0.0;
};

/// The part of `count` things in a row that a rank has: fair to within a thing or a thirty-second of a part.
[[nodiscard]] UnitRange part_of(Index count, int rank, int ranks);

/// The rank that has one of them.
[[nodiscard]] int owner_of(Index thing, Index count, int ranks);

/// Numbers that lie in a row, as bytes.
template <class Number>
std::span<std::byte> bytes_of(Number* numbers, Index count) {
  return std::as_writable_bytes(std::span(numbers, static_cast<std::size_t>(count)));
}

/// The numbers of a struct become those of one rank's; shapes are the same everywhere.
template <Fielded T>
void broadcast_fields(const Communicator& ranks, int from, T& value) {
  if (ranks.size() == 1) return;
  for_each_field(
      [&](std::string_view, auto& field) {
        if constexpr (Scalar<decltype(field)>) {
          ranks.broadcast(bytes_of(&field, 1), from);
        } else {
          ranks.broadcast(bytes_of(field.data(), static_cast<Index>(field.size())), from);
        }
      },
      value);
}

/// Something that a rank has made: whose it is, and where its bytes are, piece by piece.
struct Made {
  int owner = 0;
  std::vector<std::span<std::byte>> pieces;
};

/// What ranks have made becomes known to all. Owners and sizes are the same everywhere.
void share_things(const Communicator& ranks, const std::vector<Made>& things);

}  // namespace tempera
