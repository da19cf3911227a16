// How a file becomes cases: which of its columns, and what of them are no visibles.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/core/option.hpp"

namespace tempera {

struct DataFile;  // io/data_files.hpp; options hand it on unseen

/// Where cases come from: a built-in set or a file by its name, or arrays that the calling program has made,
/// which are called by the name in messages alone.
struct DataSource {
  std::string name;
  std::shared_ptr<const DataFile> arrays;

  DataSource(std::string called = {},
             std::shared_ptr<const DataFile> made = nullptr)  // NOLINT: a name is one
      : name(std::move(called)), arrays(std::move(made)) {}
  DataSource(const char* called) : name(called) {}  // NOLINT

  [[nodiscard]] bool empty() const { return name.empty() && arrays == nullptr; }
};

inline std::string text_of(const DataSource& source) { return source.name; }
inline bool assign(DataSource& source, std::string_view text) {
  source = {std::string(text)};
  return true;
}

/// How grey data becomes binary, and of a threshold where it lies.
using BinarizeChoice = Leveled<BinarizeMethod>;

enum class HeaderRule { kAuto, kYes, kNo };
template <>
struct Names<HeaderRule> {
  static constexpr std::array<NamedValue<HeaderRule>, 3> table = {
      {{HeaderRule::kAuto, "auto", "a first line of words is one"},
       {HeaderRule::kYes, "yes", "the first line"},
       {HeaderRule::kNo, "no", "every line is a case"}}};
};

enum class MissingRule { kRefuse, kMean, kDrop };
template <>
struct Names<MissingRule> {
  static constexpr std::array<NamedValue<MissingRule>, 3> table = {
      {{MissingRule::kRefuse, "refuse", "tell where they are"},
       {MissingRule::kMean, "mean", "the mean of the column in the train split"},
       {MissingRule::kDrop, "drop", "without the cases that have any"}}};
};

enum class UnknownRule { kGap, kDrop, kRefuse };
template <>
struct Names<UnknownRule> {
  static constexpr std::array<NamedValue<UnknownRule>, 3> table = {
      {{UnknownRule::kGap, "gap", "a gap in its place"},
       {UnknownRule::kDrop, "drop", "without the sequences that have any"},
       {UnknownRule::kRefuse, "refuse", "tell where they are"}}};
};

inline constexpr std::string_view kProteinLetters = "ACDEFGHIKLMNPQRSTVWY-";
inline constexpr std::string_view kProteinGapFirstLetters = "-ACDEFGHIKLMNPQRSTVWY";
inline constexpr std::string_view kRnaLetters = "-ACGU";
inline constexpr std::string_view kDnaLetters = "-ACGT";

/// Which letters codes stand for, where the letters themselves are not given.
enum class AlphabetRule { kAuto, kColumns, kProtein, kProteinGapFirst, kRna, kDna };
template <>
struct Names<AlphabetRule> {
  static constexpr std::array<NamedValue<AlphabetRule>, 6> table = {
      {{AlphabetRule::kAuto, "auto", "what the file has"},
       {AlphabetRule::kColumns, "columns", "each column has its own values for letters"},
       {AlphabetRule::kProtein, "protein", kProteinLetters},
       {AlphabetRule::kProteinGapFirst, "protein-gap-first", kProteinGapFirstLetters},
       {AlphabetRule::kRna, "rna", kRnaLetters},
       {AlphabetRule::kDna, "dna", kDnaLetters}}};
};
using AlphabetChoice = std::variant<AlphabetRule, std::string>;

/// What of a file is visibles. Columns are named as the file names them, or by their number, from 0.
struct ColumnOptions {
  HeaderRule header = HeaderRule::kAuto;
  std::string labels;
  std::string weights;
  std::vector<std::string> columns;
  std::vector<std::string> drop;
  MissingRule missing = MissingRule::kRefuse;
  AlphabetChoice alphabet = AlphabetRule::kAuto;
  UnknownRule unknown = UnknownRule::kGap;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"header", "whether the first line of a text file names its columns"}, s.header...);
    f(OptionText{"labels", "column that holds labels: its name, or its number from 0"}, s.labels...);
    f(OptionText{"weights", "column that tells how often each case counts: its name, or its number from 0"},
      s.weights...);
    f(OptionText{"columns", "the columns to keep, all others are left out: names or numbers from 0"},
      s.columns...);
    f(OptionText{"drop", "columns to leave out: names or numbers from 0"}, s.drop...);
    f(OptionText{"missing", "what becomes of missing values"}, s.missing...);
    f(OptionText{"alphabet", "letters of sequences in the order of their codes"}, s.alphabet...);
    f(OptionText{"unknown",
                 "what becomes of letters of sequences that the alphabet does not have, as X, B and Z"},
      s.unknown...);
  }

  bool operator==(const ColumnOptions&) const = default;
};

/// Hears which part of a file has been read.
using ReadingProgress = std::function<void(double fraction)>;

struct ReadingOptions {
  ColumnOptions columns;
  std::string shape = {};  // HEIGHTxWIDTH or HEIGHTxWIDTHx3; empty: the file's
  bool transpose = false;  // rows and columns of pictures change places
  ReadingProgress told = {};
  bool keeps_missing = false;  // missing values stay, as DataFile::missing tells
};

}  // namespace tempera
