#include "mutations.hpp"

#include <charconv>

#include "tempera/core/errors.hpp"
#include "tempera/services/alignment.hpp"

namespace tempera {
namespace {

std::vector<std::string_view> parts(std::string_view text, char separator) {
  std::vector<std::string_view> all;
  while (true) {
    const std::size_t end = text.find(separator);
    all.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return all;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Mutants mutants_of(const CategoricalData& cases, Index parent, const Alphabet& alphabet,
                   const std::string& which) {
  const Letters& letters = cases.letters();
  if (alphabet.characters.empty())
    throw UsageError("--mutations: the letters of the model have no names of one character");
  std::vector<std::uint8_t> wild;
  for (Index s = 0; s < letters.sites(); ++s)
    wild.push_back(static_cast<std::uint8_t>(cases.letter(parent, s)));
  const auto name = [&](std::uint8_t code) { return alphabet.characters[code]; };
  const int gap = gap_of(alphabet);
  Mutants mutants;
  std::vector<std::uint8_t> codes;
  const auto add = [&](const std::vector<std::uint8_t>& sequence, std::string called) {
    codes.insert(codes.end(), sequence.begin(), sequence.end());
    mutants.names.push_back(std::move(called));
  };
  if (which == "singles") {
    for (Index s = 0; s < letters.sites(); ++s) {
      const std::uint8_t was = wild[static_cast<std::size_t>(s)];
      if (was == gap) continue;
      for (Index a = 0; a < letters.of(s); ++a) {
        if (a == gap || a == was) continue;
        std::vector<std::uint8_t> mutant = wild;
        mutant[static_cast<std::size_t>(s)] = static_cast<std::uint8_t>(a);
        add(mutant, name(was) + std::to_string(s + 1) + name(static_cast<std::uint8_t>(a)));
      }
    }
  } else {
    for (const std::string_view mutation : parts(which, ',')) {
      std::vector<std::uint8_t> mutant = wild;
      for (const std::string_view one : parts(mutation, ':')) {
        Index site = 0;
        const char* const end = one.data() + one.size();
        const auto fail = [&](const std::string& problem) {
          throw UsageError("--mutations " + which + ": '" + std::string(one) + "' " + problem);
        };
        if (one.size() < 3) fail("is no mutation, as A24G is");
        const auto [stop, status] = std::from_chars(one.data() + 1, end, site);
        if (status != std::errc() || stop + 1 != end) fail("is no mutation, as A24G is");
        if (site < 1 || site > letters.sites())
          fail("has a site beyond 1 to " + std::to_string(letters.sites()));
        const std::size_t code = alphabet.characters.find(one.back());
        if (code == std::string::npos)
          fail(std::string("has a letter that is not in '") + alphabet.characters + "'");
        std::uint8_t& letter = mutant[static_cast<std::size_t>(site - 1)];
        if (name(wild[static_cast<std::size_t>(site - 1)]) != one.front())
          fail(std::string("does not fit: the sequence has '") +
               name(wild[static_cast<std::size_t>(site - 1)]) + "' there");
        letter = static_cast<std::uint8_t>(code);
      }
      add(mutant, std::string(mutation));
    }
  }
  mutants.cases = CategoricalData(static_cast<Index>(mutants.names.size()), letters, codes);
  return mutants;
}

}  // namespace tempera
