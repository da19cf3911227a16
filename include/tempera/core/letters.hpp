// Letters of the sites of categorical cases.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// Letters of a site at most: a code is a byte.
inline constexpr std::uint64_t kMostLetters = 256;

/// How many letters each site of a case may have. In memory, and in files, a site has as many places as the
/// largest has letters: places beyond its own are never taken.
class Letters {
 public:
  Letters() = default;
  /// Of every site.
  explicit Letters(std::vector<std::int64_t> numbers)
      : numbers_(std::move(numbers)),
        most_(numbers_.empty() ? 0 : *std::max_element(numbers_.begin(), numbers_.end())) {}

  bool operator==(const Letters&) const = default;

  [[nodiscard]] const std::vector<std::int64_t>& numbers() const { return numbers_; }
  [[nodiscard]] bool empty() const { return numbers_.empty(); }
  [[nodiscard]] Index sites() const { return static_cast<Index>(numbers_.size()); }
  [[nodiscard]] Index of(Index site) const { return numbers_[static_cast<std::size_t>(site)]; }
  [[nodiscard]] Index most() const { return most_; }
  /// Places of all sites, one site after another.
  [[nodiscard]] Index places() const { return sites() * most(); }
  [[nodiscard]] bool all_alike() const {
    return std::all_of(numbers_.begin(), numbers_.end(), [&](std::int64_t n) { return n == most_; });
  }

 private:
  std::vector<std::int64_t> numbers_;
  Index most_ = 0;
};

/// Sites that all have as many letters.
inline Letters alike_letters(Index sites, Index letters) {
  return Letters(std::vector<std::int64_t>(static_cast<std::size_t>(sites), letters));
}

/// Names of the letters of sites: one character each, the same of all sites; or words, of each site its own.
struct Alphabet {
  std::string characters;
  std::vector<std::vector<std::string>> words;

  bool operator==(const Alphabet&) const = default;

  [[nodiscard]] bool empty() const { return characters.empty() && words.empty(); }
  [[nodiscard]] Letters letters(Index sites) const {
    if (words.empty()) return alike_letters(sites, static_cast<Index>(characters.size()));
    std::vector<std::int64_t> numbers;
    for (const auto& of_site : words) numbers.push_back(static_cast<std::int64_t>(of_site.size()));
    return Letters(std::move(numbers));
  }
  [[nodiscard]] std::string name(Index site, Index letter) const {
    const auto a = static_cast<std::size_t>(letter);
    return words.empty() ? std::string(1, characters[a]) : words[static_cast<std::size_t>(site)][a];
  }
};

}  // namespace tempera
