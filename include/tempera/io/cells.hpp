// Numbers of a table: its own, or lent by whoever made them.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace tempera {

/// A list of numbers that is read like a vector. Numbers that are lent are not copied before they change.
template <class T>
class Cells {
 public:
  Cells() = default;
  Cells(std::vector<T> values) : own_(std::move(values)) {}  // NOLINT: a vector is such a list
  /// Numbers that stay where and as they are for as long as `lender` lives.
  Cells(std::shared_ptr<const void> lender, std::span<const T> values)
      : lender_(std::move(lender)), lent_(values) {}

  [[nodiscard]] std::size_t size() const { return view().size(); }
  [[nodiscard]] bool empty() const { return view().empty(); }
  [[nodiscard]] const T* data() const { return view().data(); }
  [[nodiscard]] const T* begin() const { return data(); }
  [[nodiscard]] const T* end() const { return data() + size(); }
  const T& operator[](std::size_t k) const { return view()[k]; }

  /// The numbers to be changed; a copy of those that were lent.
  std::vector<T>& own() {
    if (lender_ != nullptr) {
      own_.assign(lent_.begin(), lent_.end());
      lent_ = {};
      lender_.reset();
    }
    return own_;
  }

 private:
  [[nodiscard]] std::span<const T> view() const {
    return lender_ != nullptr ? lent_ : std::span<const T>(own_);
  }

  std::vector<T> own_;
  std::shared_ptr<const void> lender_;  // null where the numbers are the list's own
  std::span<const T> lent_;
};

}  // namespace tempera
