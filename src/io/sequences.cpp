#include "sequences.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/byte_stream.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/tables.hpp"

namespace tempera {
namespace {

/// Letters for several amino acids or nucleotides, for rare ones, and for an end.
constexpr std::string_view kUnknown = "XBZJOU*NRYSWKMDHV?~";

struct RawSequences {
  std::vector<std::string> names;
  std::vector<std::string> letters;
};

bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
char upper(char c) { return is_lower(c) ? static_cast<char>(c - 'a' + 'A') : c; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

std::string_view trimmed(std::string_view line) {
  while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
  while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
  return line;
}

/// Calls f(line, number) for the lines of a text.
template <class F>
void for_each_line(std::string_view text, F&& f) {
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    f(trimmed(text.substr(0, end)), ++number);
    text.remove_prefix(std::min(text.size(), end + 1));
  }
}

void append(std::string_view line, const std::string& file, std::size_t number, std::string& letters) {
  for (const char c : line) {
    if (is_blank(c)) continue;
    if (c < '!' || c > '~')
      throw DataError(file + format(": line %zu: found a character that is no letter", number));
    letters.push_back(c);
  }
}

RawSequences fasta(std::string_view text, const std::string& file) {
  RawSequences all;
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    if (line.empty() || line.front() == ';') return;
    if (line.front() == '>') {
      line = trimmed(line.substr(1));
      all.names.emplace_back(line.substr(0, std::min(line.find_first_of(" \t"), line.size())));
      all.letters.emplace_back();
      return;
    }
    if (all.letters.empty())
      throw DataError(file + format(": line %zu: found letters before the first '>'", number));
    append(line, file, number, all.letters.back());
  });
  return all;
}

/// A sequence may stand in several pieces, one below another. Annotations begin with #.
RawSequences stockholm(std::string_view text, const std::string& file) {
  RawSequences all;
  std::map<std::string, std::size_t, std::less<>> places;
  bool ended = false;
  for_each_line(text, [&](std::string_view line, std::size_t number) {
    if (line == "//") ended = true;
    if (ended || line.empty() || line.front() == '#') return;
    const std::size_t gap = line.find_first_of(" \t");
    if (gap == std::string_view::npos)
      throw DataError(file + format(": line %zu: expected a name and letters", number));
    const std::string_view name = line.substr(0, gap);
    auto place = places.find(name);
    if (place == places.end()) {
      place = places.emplace(std::string(name), all.names.size()).first;
      all.names.emplace_back(name);
      all.letters.emplace_back();
    }
    append(trimmed(line.substr(gap)), file, number, all.letters[place->second]);
  });
  return all;
}

/// Whether all have the same length, not counting insertions where they are left out.
bool has_one_length(const std::vector<std::string>& all, bool insertions) {
  const auto length = [&](const std::string& s) {
    return insertions ? static_cast<std::size_t>(std::count_if(
                            s.begin(), s.end(), [](char c) { return !is_lower(c) && c != '.'; }))
                      : s.size();
  };
  const std::size_t first = length(all.front());
  return first > 0 &&
         std::all_of(all.begin(), all.end(), [&](const std::string& s) { return length(s) == first; });
}

/// One length for all: without insertions, or else with every letter and '.' for a gap.
void align(const std::string& file, RawSequences& all, std::vector<std::string>& remarks) {
  const bool has_insertions = std::any_of(all.letters.begin(), all.letters.end(), [](const std::string& s) {
    return std::any_of(s.begin(), s.end(), [](char c) { return is_lower(c) || c == '.'; });
  });
  if (has_insertions && has_one_length(all.letters, true)) {
    std::size_t dropped = 0;
    for (std::string& s : all.letters) {
      dropped += static_cast<std::size_t>(std::count_if(s.begin(), s.end(), is_lower));
      s.erase(std::remove_if(s.begin(), s.end(), [](char c) { return is_lower(c) || c == '.'; }), s.end());
    }
    remarks.push_back(format("%zu lower-case letters are insertions, and are left out", dropped));
    return;
  }
  for (std::size_t n = 0; n < all.letters.size(); ++n) {
    if (all.letters[n].size() != all.letters.front().size())
      throw DataError(file + format(": sequences are not aligned: '%s' has %zu letters, '%s' has %zu",
                                    all.names.front().c_str(), all.letters.front().size(),
                                    all.names[n].c_str(), all.letters[n].size()));
  }
  if (all.letters.front().empty()) throw DataError(file + ": sequences have no letters");
  for (std::string& s : all.letters) {
    for (char& c : s) c = c == '.' ? '-' : upper(c);
  }
}

/// Nucleotides where nearly all letters are, and the others stand for several of them.
AlphabetRule alphabet_of(const std::vector<std::string>& all) {
  constexpr std::string_view kNucleotides = "ACGTUN-";
  constexpr std::string_view kSeveral = "RYSWKMBDHVX*?~";
  constexpr double kMost = 0.9;
  std::array<std::size_t, 256> counts{};
  for (const std::string& s : all) {
    for (const char c : s) ++counts[static_cast<unsigned char>(c)];
  }
  std::size_t nucleotides = 0;
  std::size_t several = 0;
  std::size_t letters = 0;
  for (std::size_t c = 0; c < counts.size(); ++c) {
    letters += counts[c];
    if (kNucleotides.find(static_cast<char>(c)) != std::string_view::npos) nucleotides += counts[c];
    if (kSeveral.find(static_cast<char>(c)) != std::string_view::npos) several += counts[c];
  }
  const bool nucleic = nucleotides + several == letters &&
                       static_cast<double>(nucleotides) >= kMost * static_cast<double>(letters);
  if (!nucleic) return AlphabetRule::kProtein;
  return counts['U'] > 0 ? AlphabetRule::kRna : AlphabetRule::kDna;
}

}  // namespace

std::string letters_of(const AlphabetChoice& choice) {
  if (const auto* rule = std::get_if<AlphabetRule>(&choice)) {
    switch (*rule) {
      case AlphabetRule::kAuto:
      case AlphabetRule::kColumns:
        return "";
      case AlphabetRule::kProtein:
        return std::string(kProteinLetters);
      case AlphabetRule::kProteinGapFirst:
        return std::string(kProteinGapFirstLetters);
      case AlphabetRule::kRna:
        return std::string(kRnaLetters);
      case AlphabetRule::kDna:
        return std::string(kDnaLetters);
    }
  }
  const std::string& letters = std::get<std::string>(choice);
  if (std::set<char>(letters.begin(), letters.end()).size() != letters.size() || letters.size() < 2)
    throw UsageError("--alphabet " + letters + ": expected two letters or more, each once, or one of " +
                     all_names<AlphabetRule>());
  return letters;
}

Sequences read_sequences(const std::filesystem::path& path, const ReadingOptions& reading) {
  const ColumnOptions& options = reading.columns;
  ByteStream stream(path, reading.told);
  const std::string text = stream.rest();
  const std::string file = path.string();
  const std::string_view content = std::string_view(text).substr(text.rfind("\xEF\xBB\xBF", 0) == 0 ? 3 : 0);
  RawSequences raw = content.rfind("# STOCKHOLM", 0) == 0 ? stockholm(content, file) : fasta(content, file);
  if (raw.letters.empty()) throw DataError(file + ": holds no sequences");
  Sequences found;
  align(file, raw, found.remarks);
  if (options.alphabet == AlphabetChoice(AlphabetRule::kColumns))
    throw UsageError("--alphabet columns: is for tables, and " + file + " holds sequences");
  std::string letters = letters_of(options.alphabet);
  if (letters.empty()) letters = letters_of(alphabet_of(raw.letters));
  const bool nucleic = letters == kRnaLetters || letters == kDnaLetters;
  found.alphabet.characters = letters;
  std::array<int, 256> code_of;
  code_of.fill(-1);
  for (std::size_t a = 0; a < letters.size(); ++a) {
    code_of[static_cast<unsigned char>(letters[a])] = static_cast<int>(a);
  }
  // Thymine and uracil are one letter in two languages.
  for (const auto& [one, other] : {std::pair{'T', 'U'}, {'U', 'T'}}) {
    if (nucleic && code_of[static_cast<unsigned char>(one)] < 0)
      code_of[static_cast<unsigned char>(one)] = code_of[static_cast<unsigned char>(other)];
  }
  const int gap = code_of['-'];
  const auto sites = static_cast<Index>(raw.letters.front().size());
  found.table.columns = sites;
  std::vector<std::uint8_t>& codes = found.table.bytes.own();
  std::map<char, std::size_t> unknown;
  std::size_t dropped = 0;
  std::vector<std::size_t> missing;  // places of codes
  for (std::size_t n = 0; n < raw.letters.size(); ++n) {
    const std::size_t before = codes.size();
    bool keep = true;
    for (std::size_t site = 0; site < raw.letters[n].size(); ++site) {
      const char c = raw.letters[n][site];
      int code = code_of[static_cast<unsigned char>(c)];
      if (code < 0) {
        const bool known = kUnknown.find(c) != std::string_view::npos;
        if (!known || options.unknown == UnknownRule::kRefuse ||
            (options.unknown == UnknownRule::kGap && gap < 0 && !reading.keeps_missing))
          throw DataError(file +
                          format(": '%s' has the letter '%c' at site %zu, which the alphabet '%s' has not%s",
                                 raw.names[n].c_str(), c, site, letters.c_str(),
                                 known ? " (--unknown gap or --unknown drop)" : ""));
        ++unknown[c];
        keep = keep && options.unknown != UnknownRule::kDrop;
        code = std::max(gap, 0);
        missing.push_back(codes.size());
      }
      codes.push_back(static_cast<std::uint8_t>(code));
    }
    if (!keep) {
      codes.resize(before);
      while (!missing.empty() && missing.back() >= before) missing.pop_back();
      ++dropped;
      continue;
    }
    found.names.push_back(raw.names[n]);
  }
  found.table.rows = static_cast<Index>(found.names.size());
  if (!unknown.empty()) {
    std::string which;
    for (const auto& [c, count] : unknown)
      which += format("%s%c %zu times", which.empty() ? "" : ", ", c, count);
    found.remarks.push_back(
        options.unknown == UnknownRule::kDrop
            ? format("%zu sequences with unknown letters (", dropped) + which + ") are left out"
            : "unknown letters (" + which + (reading.keeps_missing ? ") are missing values" : ") are gaps"));
  }
  if (reading.keeps_missing && !missing.empty()) {
    std::vector<float>& values = found.table.floats.own();
    values.assign(codes.begin(), codes.end());
    for (const std::size_t k : missing) values[k] = std::numeric_limits<float>::quiet_NaN();
    found.table.bytes = {};
  }
  if (found.table.rows == 0) throw DataError(file + ": every sequence has unknown letters");
  return found;
}

void write_sequences(const std::filesystem::path& path, const Table& table, const Alphabet& alphabet,
                     const std::vector<std::string>& names) {
  if (alphabet.characters.empty())
    throw UsageError("--out " + path.string() + ": holds sequences of letters, which these are not");
  const bool stockholm = table_format(path) == TableFormat::kStockholm;
  std::string text = stockholm ? "# STOCKHOLM 1.0\n" : "";
  for (Index n = 0; n < table.rows; ++n) {
    const auto row = static_cast<std::size_t>(n);
    std::string name = row < names.size() && !names[row].empty() ? names[row] : std::to_string(n);
    // There a name ends with the first blank.
    if (stockholm)
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return std::isspace(c) != 0; }, '_');
    text += stockholm ? name + " " : ">" + name + "\n";
    for (Index site = 0; site < table.columns; ++site)
      text += alphabet.characters[static_cast<std::size_t>(table.at(n * table.columns + site))];
    text += "\n";
  }
  write_file(path, text + (stockholm ? "//\n" : ""));
}

}  // namespace tempera
