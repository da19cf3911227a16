// Tables as text: one case a line. Separators, a header and names of cases are found, and said.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>

#include "arrays.hpp"
#include "readers.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"

namespace tempera {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

/// Bytes at the beginning from which separators are guessed, and lines of them.
constexpr std::size_t kLooked = std::size_t{1} << 18;
constexpr std::size_t kLookedLines = 50;
/// Rows after which the memory for all is taken.
constexpr Index kMeasuredRows = 1000;

std::string_view trimmed(std::string_view cell) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t first = cell.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return cell.substr(first, cell.find_last_not_of(kBlanks) + 1 - first);
}

/// A number, as people write them; nothing where it is none.
std::optional<float> number_of(std::string_view cell, bool decimal_comma) {
  if (cell.empty()) return std::nullopt;
  char changed[64];
  if (decimal_comma && cell.size() < sizeof changed) {
    std::replace_copy(cell.begin(), cell.end(), changed, ',', '.');
    cell = {changed, cell.size()};
  }
  const char* first = cell.data();
  const char* const last = first + cell.size();
  if (*first == '+' && cell.size() > 1 && first[1] != '-') ++first;
  float value = 0.0F;
  auto [stop, status] = std::from_chars(first, last, value);
  if (stop != last) {
    if (cell == "True" || cell == "TRUE" || cell == "true") return 1.0F;
    if (cell == "False" || cell == "FALSE" || cell == "false") return 0.0F;
    return std::nullopt;
  }
  if (status == std::errc::result_out_of_range) {
    // Too small for a float is as good as its neighbour; too large is none.
    double wide = 0.0;
    const auto [wide_stop, wide_status] = std::from_chars(first, last, wide);
    static_cast<void>(wide_stop);
    const bool is_small =
        wide_status == std::errc()
            ? std::abs(wide) < 1.0
            : std::string_view(first, static_cast<std::size_t>(last - first)).find("e-") !=
                      std::string_view::npos ||
                  std::string_view(first, static_cast<std::size_t>(last - first)).find("E-") !=
                      std::string_view::npos;
    value = is_small ? static_cast<float>(wide_status == std::errc() ? wide : 0.0) : HUGE_VALF;
  }
  return value;
}

struct Dialect {
  char separator = ',';  // ' ': any blanks
  bool decimal_comma = false;

  [[nodiscard]] const char* words() const {
    switch (separator) {
      case ';':
        return "semicolons";
      case '\t':
        return "tabs";
      case ' ':
        return "blanks";
      default:
        return "commas";
    }
  }
};

/// Cells of a line. Quotes may enclose separators; two of them are one.
void split(const std::string& line, const Dialect& dialect, std::vector<std::string_view>& cells,
           std::string& unquoted) {
  cells.clear();
  const std::string_view all = line;
  if (dialect.separator == ' ') {
    std::size_t at = 0;
    while ((at = all.find_first_not_of(" \t", at)) != std::string_view::npos) {
      const std::size_t end = std::min(all.find_first_of(" \t", at), all.size());
      cells.push_back(all.substr(at, end - at));
      at = end;
    }
    return;
  }
  if (line.find('"') == std::string::npos) {
    std::size_t at = 0;
    for (;;) {
      const void* const found = std::memchr(all.data() + at, dialect.separator, all.size() - at);
      const std::size_t end = found == nullptr
                                  ? all.size()
                                  : static_cast<std::size_t>(static_cast<const char*>(found) - all.data());
      cells.push_back(trimmed(all.substr(at, end - at)));
      if (found == nullptr) return;
      at = end + 1;
    }
  }
  // Cells point into a copy without quotes, which never grows beyond the line.
  unquoted.clear();
  unquoted.reserve(line.size() + 1);
  std::size_t begin = 0;
  bool quoted = false;
  const auto end_cell = [&] {
    cells.push_back(trimmed(std::string_view(unquoted.data() + begin, unquoted.size() - begin)));
    begin = unquoted.size();
  };
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"') {
        unquoted += line[++i];
      } else {
        quoted = !quoted;
      }
    } else if (line[i] == dialect.separator && !quoted) {
      end_cell();
    } else {
      unquoted += line[i];
    }
  }
  end_cell();
}

/// Lines without their ends, comments and blank ones left out; a quoted cell may hold the end of a line.
class Lines {
 public:
  explicit Lines(ByteStream& stream) : stream_(stream) {
    if (stream.peek(3) == "\xEF\xBB\xBF") {
      char mark[3];
      stream.read(mark, 3);
    }
  }

  bool next(std::string& line) {
    do {
      if (!raw(line)) return false;
      while (std::count(line.begin(), line.end(), '"') % 2 != 0) {
        std::string more;
        if (!raw(more) || line.size() > kLongest) break;
        line += '\n';
        line += more;
      }
    } while (line.empty() || line.front() == '#' || line.find_first_not_of(" \t") == std::string::npos);
    return true;
  }
  [[nodiscard]] Index number() const { return number_; }

 private:
  static constexpr std::size_t kLongest = std::size_t{1} << 30;

  bool raw(std::string& line) {
    line.clear();
    for (;;) {
      const char* const begin = buffer_.data() + at_;
      const void* const found = std::memchr(begin, '\n', filled_ - at_);
      if (found != nullptr) {
        const auto length = static_cast<std::size_t>(static_cast<const char*>(found) - begin);
        line.append(begin, length);
        at_ += length + 1;
        break;
      }
      line.append(begin, filled_ - at_);
      if (line.size() > kLongest) throw DataError(stream_.name() + ": has a line of more than 1 GB");
      at_ = 0;
      filled_ = stream_.read(buffer_.data(), buffer_.size());
      if (filled_ == 0) {
        if (line.empty()) return false;
        break;
      }
    }
    ++number_;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return true;
  }

  ByteStream& stream_;
  std::string buffer_ = std::string(std::size_t{1} << 20, '\0');
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  Index number_ = 0;
};

/// The separator that stands in every line as often, from the first lines of the file.
Dialect dialect_of(std::string_view beginning) {
  std::vector<std::string> lines;
  std::size_t at = 0;
  while (at < beginning.size() && lines.size() < kLookedLines) {
    const std::size_t end = std::min(beginning.find('\n', at), beginning.size());
    const std::string_view line = trimmed(beginning.substr(at, end - at));
    // The last one may be cut.
    if (!line.empty() && line.front() != '#' && (end < beginning.size() || lines.empty()))
      lines.emplace_back(line);
    at = end + 1;
  }
  Dialect best;
  std::vector<std::string_view> cells;
  std::string scratch;
  double most = -1.0;
  for (const char separator : {'\t', ';', ',', ' '}) {
    std::size_t least_columns = std::numeric_limits<std::size_t>::max();
    double numbers = 0.0;
    double all = 0.0;
    bool commas = false;
    bool points = false;
    for (const std::string& line : lines) {
      split(line, {separator, false}, cells, scratch);
      // The first may hold words, and fewer.
      const bool numbers_alone = std::all_of(cells.begin(), cells.end(), [&](std::string_view cell) {
        return is_missing(cell) || number_of(cell, separator != ',');
      });
      if (&line == &lines.front() && lines.size() > 1 && !numbers_alone) continue;
      least_columns = std::min(least_columns, cells.size());
      for (const std::string_view cell : cells) {
        all += 1.0;
        const bool is_number = is_missing(cell) || number_of(cell, separator != ',').has_value();
        numbers += is_number ? 1.0 : 0.0;
        commas = commas || (is_number && cell.find(',') != std::string_view::npos);
        points = points || (is_number && cell.find('.') != std::string_view::npos);
      }
    }
    if (lines.empty() || least_columns < 2 || numbers / all <= most) continue;
    most = numbers / all;
    best = {separator, commas && !points};
  }
  return best;
}

std::string shown(std::string_view cell) {
  constexpr std::size_t kMost = 40;
  return "'" + std::string(cell.substr(0, kMost)) + (cell.size() > kMost ? "..." : "") + "'";
}

/// A table while it is read.
class Reading {
 public:
  Reading(const std::filesystem::path& path, HeaderRule rule, bool words_alone, const ReadingProgress& told)
      : stream_(path, told),
        dialect_(dialect_of(stream_.peek(kLooked))),
        lines_(stream_),
        rule_(rule),
        words_alone_(words_alone) {
    if (!stream_.packed()) size_ = static_cast<double>(std::filesystem::file_size(path));
  }

  TextTable read() {
    std::string first;
    if (!lines_.next(first)) bad("holds no numbers");
    const Index first_number = lines_.number();
    std::string second;
    const bool has_second = lines_.next(second);
    start(first, has_second ? second : first, has_second);
    if (!header_) take(first, first_number);
    if (has_second) take(second, lines_.number());
    for (std::string line; lines_.next(line);) take(line, lines_.number());
    return finished();
  }

 private:
  [[noreturn]] void bad(const std::string& problem) const {
    throw DataError(stream_.name() + ": " + problem);
  }

  [[nodiscard]] static bool is_word(std::string_view cell, bool decimal_comma) {
    return !is_missing(cell) && !number_of(cell, decimal_comma);
  }

  /// Whether cells are 0, 1, 2, ...: pandas writes such names of columns, and nobody's first case has them.
  [[nodiscard]] bool counts(const std::vector<std::string_view>& cells) const {
    constexpr std::size_t kLeast = 3;
    if (cells.size() < kLeast) return false;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      if (cells[i] != std::to_string(i)) return false;
    }
    return true;
  }

  /// Decides of the first line and of each column, from the first two lines.
  void start(const std::string& first, const std::string& second, bool has_second) {
    std::vector<std::string_view> head;
    std::string head_scratch;
    split(first, dialect_, head, head_scratch);
    split(second, dialect_, cells_, scratch_);
    // A separator at the end of every line is none.
    if (head.size() > 1 && head.size() == cells_.size() && head.back().empty() && cells_.back().empty()) {
      head.pop_back();
      cells_.pop_back();
      trailing_ = true;
    }
    const auto words = std::count_if(head.begin(), head.end(), [&](std::string_view cell) {
      return is_word(cell, dialect_.decimal_comma);
    });
    bool new_words = false;  // where the second line has none
    for (std::size_t i = 0; i < std::min(head.size(), cells_.size()); ++i)
      new_words = new_words ||
                  (is_word(head[i], dialect_.decimal_comma) && !is_word(cells_[i], dialect_.decimal_comma));
    // Blanks: R leaves out the name of the column that holds the names of the cases.
    const bool shorter = head.size() + 1 == cells_.size() && has_second && words > 0;
    const bool mixed = std::any_of(head.begin(), head.end(), [&](std::string_view cell) {
      return number_of(cell, dialect_.decimal_comma).has_value();
    });
    if (rule_ == HeaderRule::kAuto && has_second && new_words && mixed)
      bad("line 1: words and numbers are mixed: --header yes where it names the columns");
    header_ =
        rule_ == HeaderRule::kYes || (rule_ == HeaderRule::kAuto && has_second && (new_words || shorter));
    std::vector<std::string_view> tail(head.begin() + (head.empty() || !head.front().empty() ? 0 : 1),
                                       head.end());
    if (rule_ == HeaderRule::kAuto && !header_ && has_second && head.size() == cells_.size() && counts(tail))
      maybe_header_ = true;
    if (header_ && shorter) head.insert(head.begin(), std::string_view());
    columns_ = head.size();
    if (header_ || maybe_header_) {
      for (const std::string_view name : head) header_names_.emplace_back(name);
    }
    for (std::size_t i = 0; i < columns_; ++i) {
      const std::string_view cell = header_ ? (i < cells_.size() ? cells_[i] : std::string_view()) : head[i];
      is_words_.push_back(is_word(cell, dialect_.decimal_comma));
    }
    words_.resize(columns_);
    numbers_ = static_cast<std::size_t>(std::count(is_words_.begin(), is_words_.end(), false));
    if (numbers_ == 0 && !words_alone_)
      bad("line " + std::to_string(header_ ? 2 : 1) + ": expected numbers, found " +
          shown(cells_.empty() ? std::string_view() : cells_.front()));
  }

  void take(const std::string& line, Index number) {
    split(line, dialect_, cells_, scratch_);
    if (trailing_ && cells_.size() == columns_ + 1 && cells_.back().empty()) cells_.pop_back();
    if (cells_.size() != columns_) {
      bad(format("line %lld: expected %zu values between %s, found %zu", static_cast<long long>(number),
                 columns_, dialect_.words(), cells_.size()));
    }
    for (std::size_t i = 0; i < columns_; ++i) {
      if (is_words_[i]) {
        words_[i].emplace_back(cells_[i]);
        continue;
      }
      const auto value = number_of(cells_[i], dialect_.decimal_comma);
      if (!value && !is_missing(cells_[i])) {
        if (becomes_words(i)) return take(line, number);
        bad("line " + std::to_string(number) + ": expected a number in column " + name_of(i) + ", found " +
            shown(cells_[i]) +
            (rows_ == 0 && rule_ == HeaderRule::kAuto
                 ? " (--header yes, where the first line names the columns)"
                 : ""));
      }
      values_.push_back(value.value_or(kMissing));
    }
    ++rows_;
    bytes_ += static_cast<double>(line.size() + 1);
    if (rows_ == kMeasuredRows && size_ > 0.0)
      values_.reserve(static_cast<std::size_t>(1.02 * size_ / bytes_ * static_cast<double>(values_.size())) +
                      numbers_);
  }

  /// A column whose cells were all empty so far has words, if there is one. What was taken of the line is
  /// given back.
  bool becomes_words(std::size_t column) {
    const auto rows = static_cast<std::size_t>(rows_);
    values_.resize(rows * numbers_);
    for (auto& words : words_) words.resize(std::min(words.size(), rows));
    const auto before = is_words_.begin() + static_cast<std::ptrdiff_t>(column);
    const auto place = static_cast<std::size_t>(std::count(is_words_.begin(), before, false));
    if (rows == 0 || (numbers_ == 1 && !words_alone_)) return false;
    for (std::size_t n = 0; n < rows; ++n) {
      if (!std::isnan(values_[n * numbers_ + place])) return false;
    }
    drop_number(place);
    is_words_[column] = true;
    words_[column].assign(rows, "");
    return true;
  }

  [[nodiscard]] std::string name_of(std::size_t i) const {
    return header_ && i < header_names_.size() && !header_names_[i].empty() ? "'" + header_names_[i] + "'"
                                                                            : std::to_string(i);
  }

  /// Whether a column of numbers counts the cases.
  [[nodiscard]] bool counts_cases(std::size_t column) const {
    for (Index n = 0; n < rows_; ++n) {
      if (values_[static_cast<std::size_t>(n) * numbers_ + column] != static_cast<float>(n)) return false;
    }
    return rows_ > 1;
  }

  void drop_number(std::size_t column) {
    std::size_t to = 0;
    for (std::size_t k = 0; k < values_.size(); ++k) {
      if (k % numbers_ != column) values_[to++] = values_[k];
    }
    values_.resize(to);
    --numbers_;
  }

  /// Whether the first case is none, but the names 0, 1, 2, ... of the columns: all others hold bits, or none
  /// of them whole numbers alone.
  [[nodiscard]] bool first_is_header() const {
    const std::size_t index = header_names_.front().empty() ? 1 : 0;  // a column that counts the cases
    bool bits = true;
    bool whole = false;
    for (Index n = 1; n < rows_; ++n) {
      bool row_is_whole = true;
      for (std::size_t i = index; i < numbers_; ++i) {
        const float x = values_[static_cast<std::size_t>(n) * numbers_ + i];
        bits = bits && (x == 0.0F || x == 1.0F);
        row_is_whole = row_is_whole && x == std::floor(x);
      }
      whole = whole || row_is_whole;
    }
    return bits || !whole;
  }

  TextTable finished() {
    TextTable found;
    if (dialect_.separator != ',')
      found.remarks.push_back(std::string("cells stand between ") + dialect_.words() +
                              (dialect_.decimal_comma ? ", with decimal commas" : ""));
    if (maybe_header_ && rows_ > 1 && first_is_header()) {
      values_.erase(values_.begin(), values_.begin() + static_cast<std::ptrdiff_t>(numbers_));
      for (auto& column : words_) {
        if (!column.empty()) column.erase(column.begin());
      }
      --rows_;
      header_ = true;
    }
    if (header_) {
      std::string names;
      for (std::size_t i = 0; i < std::min<std::size_t>(4, header_names_.size()); ++i)
        names += (i == 0 ? "" : ", ") + (header_names_[i].empty() ? "''" : header_names_[i]);
      found.remarks.push_back("the first line names the columns: " + names +
                              (header_names_.size() > 4 ? ", ..." : "") + " (--header no: it is a case)");
    }
    // A first column without a name holds the names of the cases, or counts them.
    const bool unnamed = header_ && !header_names_.empty() && header_names_.front().empty();
    if (unnamed && is_words_.front()) {
      found.cases = std::move(words_.front());
      is_words_.front() = true;
      words_.front().clear();
    } else if (unnamed && numbers_ > 1 && counts_cases(0)) {
      drop_number(0);
      found.remarks.emplace_back("the first column has no name and counts the cases: it is left out");
      header_names_.erase(header_names_.begin());
      is_words_.erase(is_words_.begin());
      words_.erase(words_.begin());
    }
    std::vector<std::string> names;
    std::map<std::string, int> named;
    for (std::size_t i = 0; i < is_words_.size(); ++i) {
      names.push_back(header_ && !header_names_[i].empty() ? header_names_[i] : std::to_string(i));
      ++named[names.back()];
    }
    for (std::size_t i = 0; i < is_words_.size(); ++i) {
      if (!is_words_[i]) {
        if (header_) found.names.push_back(names[i]);
      } else if (!words_[i].empty()) {
        // Columns of words are known by their names alone.
        if (named[names[i]] > 1)
          bad("column '" + names[i] + "' holds words, and another has the same name: name them differently");
        found.words[names[i]] = std::move(words_[i]);
      }
    }
    if (rows_ == 0) bad("holds no cases");
    found.table.rows = rows_;
    found.table.columns = static_cast<Index>(numbers_);
    found.table.floats = std::move(values_);
    compact(found.table);
    return found;
  }

  ByteStream stream_;
  Dialect dialect_;
  Lines lines_;
  HeaderRule rule_;
  bool words_alone_;  // may be all that there is
  bool header_ = false;
  bool maybe_header_ = false;
  bool trailing_ = false;  // a separator ends every line
  std::size_t columns_ = 0;
  std::size_t numbers_ = 0;  // columns of numbers
  std::vector<std::string> header_names_;
  std::vector<bool> is_words_;
  std::vector<std::vector<std::string>> words_;
  std::vector<float> values_;
  Index rows_ = 0;
  double size_ = 0.0;   // of the file, where it is not packed: tells how much memory it will take
  double bytes_ = 0.0;  // of the rows so far
  std::vector<std::string_view> cells_;
  std::string scratch_;
};

}  // namespace

bool is_missing(std::string_view cell) {
  constexpr std::string_view kWords[] = {"",    "NA",   "N/A",  "na",   "n/a",  "NaN",  "nan",
                                         "NAN", "-nan", "null", "NULL", "None", "none", "?"};
  return std::find(std::begin(kWords), std::end(kWords), cell) != std::end(kWords);
}

TextTable read_text(const std::filesystem::path& path, HeaderRule header, bool words_alone,
                    const ReadingProgress& told) {
  return Reading(path, header, words_alone, told).read();
}

}  // namespace tempera
