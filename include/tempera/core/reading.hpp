// How a file becomes cases: which of its columns, and what of them are no visibles.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tempera/core/dataset.hpp"
#include "tempera/core/option.hpp"

namespace tempera {

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

/// What of a file is visibles. Columns are named as the file names them, or by their number, from 0.
struct ColumnOptions {
  HeaderRule header = HeaderRule::kAuto;
  std::string labels;
  std::string weights;
  std::vector<std::string> columns;
  std::vector<std::string> drop;
  MissingRule missing = MissingRule::kRefuse;

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
};

}  // namespace tempera
