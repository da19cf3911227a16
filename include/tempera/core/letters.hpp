// Letters of the sites of categorical cases.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// Letters of a site at most: a code is a byte.
inline constexpr std::uint64_t kMostLetters = 256;

/// How many letters each site of a case may have. In memory, and in files, a site has as many places as the
/// largest has letters: places beyond its own are never taken.
struct Letters {
  std::vector<std::int64_t> of_site;

  bool operator==(const Letters&) const = default;

  [[nodiscard]] bool empty() const { return of_site.empty(); }
  [[nodiscard]] Index sites() const { return static_cast<Index>(of_site.size()); }
  [[nodiscard]] Index of(Index site) const { return of_site[static_cast<std::size_t>(site)]; }
  [[nodiscard]] Index most() const {
    return empty() ? 0 : static_cast<Index>(*std::max_element(of_site.begin(), of_site.end()));
  }
  /// Places of all sites, one site after another.
  [[nodiscard]] Index places() const { return sites() * most(); }
  [[nodiscard]] bool all_alike() const {
    return std::all_of(of_site.begin(), of_site.end(), [&](std::int64_t n) { return n == of_site.front(); });
  }
};

/// Sites that all have as many letters.
inline Letters alike_letters(Index sites, Index letters) {
  return {std::vector<std::int64_t>(static_cast<std::size_t>(sites), letters)};
}

/// Names of the letters of sites: one character each, the same of all sites; or words, of each site its own.
struct Alphabet {
  std::string characters;
  std::vector<std::vector<std::string>> words;

  bool operator==(const Alphabet&) const = default;

  [[nodiscard]] bool empty() const { return characters.empty() && words.empty(); }
  [[nodiscard]] Letters letters(Index sites) const {
    if (words.empty()) return alike_letters(sites, static_cast<Index>(characters.size()));
    Letters letters;
    for (const auto& of_site : words) letters.of_site.push_back(static_cast<std::int64_t>(of_site.size()));
    return letters;
  }
  [[nodiscard]] std::string name(Index site, Index letter) const {
    const auto a = static_cast<std::size_t>(letter);
    return words.empty() ? std::string(1, characters[a]) : words[static_cast<std::size_t>(site)][a];
  }
};

}  // namespace tempera
