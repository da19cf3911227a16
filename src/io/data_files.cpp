#include "tempera/io/data_files.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <set>

#include "arrays.hpp"
#include "readers.hpp"
#include "sequences.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"
#include "tempera/io/file_kind.hpp"
#include "tempera/io/files.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/io/tables.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void bad(const std::string& name, const std::string& problem) {
  throw DataError(name + ": " + problem);
}

// --- which arrays are the cases ----------------------------------------------------------------------------

enum class Role { kCases, kLabels, kNames, kWeights };

struct Meaning {
  std::string split;
  Role role = Role::kCases;
  int rank = 0;  // of several arrays with one meaning the first counts
};

/// What an array of this name is, in the habits of this program, NumPy, Keras, scikit-learn and AnnData.
std::optional<Meaning> meaning_of(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '/' ? '_' : std::tolower(c); });
  while (!name.empty() && name.front() == '_') name.erase(name.begin());
  static const std::vector<std::pair<const char*, std::vector<const char*>>> splits = {
      {"train", {"train", "training", "tr"}},
      {"valid", {"valid", "validation", "val", "dev"}},
      {"test", {"test", "testing", "te"}}};
  static const std::vector<std::pair<Role, std::vector<const char*>>> roles = {
      {Role::kCases, {"x", "data", "images", "samples", "features", "visible", ""}},
      {Role::kLabels, {"y", "labels", "label", "targets", "target"}},
      {Role::kNames, {"name", "names"}},
      {Role::kWeights, {"weight", "weights", "sample_weight", "sample_weights"}}};
  for (const auto& [split, words] : splits) {
    for (const char* const word : words) {
      for (const auto& [role, parts] : roles) {
        int rank = 0;
        for (const char* const part : parts) {
          const std::string first = *part == '\0' ? word : std::string(word) + "_" + part;
          const std::string last = *part == '\0' ? word : std::string(part) + "_" + word;
          if (name == first || name == last) return Meaning{split, role, rank};
          ++rank;
        }
      }
    }
  }
  // Without the name of a split they are of the train split, where nothing else is.
  static const std::vector<std::pair<Role, std::vector<const char*>>> alone = {
      {Role::kCases, {"x", "samples", "samples_visible", "data", "images", "arr_0", "sparse matrix"}},
      {Role::kLabels, {"y", "labels", "label", "targets", "target"}},
      {Role::kWeights, {"weight", "weights", "sample_weight", "sample_weights"}}};
  constexpr int kAlone = 100;
  for (const auto& [role, parts] : alone) {
    int rank = kAlone;
    for (const char* const part : parts) {
      if (name == part) return Meaning{"train", role, rank};
      ++rank;
    }
  }
  return std::nullopt;
}

void set_weights(std::vector<double> weights, const std::string& where, Table& table) {
  if (static_cast<Index>(weights.size()) != table.rows)
    throw DataError(where + ": expected " + std::to_string(table.rows) +
                    " weights, one for each case, found " + std::to_string(weights.size()));
  table.weights = std::move(weights);
}

/// Labels as they came: numbers, or words.
struct RawLabels {
  std::vector<std::int64_t> numbers;
  std::vector<std::string> words;
};

/// Whether a number is whole, and one that an integer can hold.
bool is_label(double x) { return x == std::floor(x) && std::abs(x) <= 0x1p53; }

RawLabels labels_of(const ArraySource& source, const ArrayInfo& array, DataFile& data) {
  RawLabels labels;
  if (array.kind == ArrayInfo::Kind::kTexts) {
    labels.words = source.texts(array);
    return labels;
  }
  const Table table = source.numbers(array, true);
  for (Index k = 0; k < table.rows * table.columns; ++k) {
    const double x = table.at(k);
    if (!is_label(x)) {
      data.remarks.push_back(array.name + " holds no whole numbers, and so no labels: it is left out");
      return {};
    }
    labels.numbers.push_back(static_cast<std::int64_t>(x));
  }
  return labels;
}

/// Words become numbers, in the order of the alphabet, the same in every split.
void number_labels(const std::map<std::string, RawLabels>& raw, DataFile& data) {
  std::set<std::string> words;
  for (const auto& [split, labels] : raw) words.insert(labels.words.begin(), labels.words.end());
  data.label_names.assign(words.begin(), words.end());
  for (const auto& [split, labels] : raw) {
    auto& numbers = data.labels[split];
    numbers = labels.numbers;
    for (const std::string& word : labels.words)
      numbers.push_back(std::lower_bound(data.label_names.begin(), data.label_names.end(), word) -
                        data.label_names.begin());
    if (numbers.empty()) data.labels.erase(split);
  }
}

bool may_be_cases(const ArrayInfo& array) {
  return array.kind == ArrayInfo::Kind::kNumbers && array.shape.size() >= 2;
}

std::string how_to_choose(const std::string& name, const std::vector<ArrayInfo>& arrays) {
  const auto example = std::find_if(arrays.begin(), arrays.end(), may_be_cases);
  return "say which one: " + name + ":" + (example == arrays.end() ? std::string("NAME") : example->name) +
         "; it holds " + listing(arrays);
}

void take_cases(const ArraySource& source, const ArrayInfo& array, const std::string& split,
                bool allow_non_finite, DataFile& data) {
  if (array.kind != ArrayInfo::Kind::kNumbers) bad(source.name() + ":" + array.name, array.why);
  if (array.shape.size() < 2)
    bad(source.name() + ":" + array.name, "expected cases x values, found shape " + to_string(array.shape));
  data.splits[split] = source.numbers(array, allow_non_finite);
  if (const auto axes = picture_axes(array.shape); !axes.empty()) data.visible_shape = axes;
}

/// Reads the arrays whose names say what they are; or the only one that can be the cases; or the chosen one.
void load_arrays(const ArraySource& source, const std::string& chosen, bool allow_non_finite,
                 DataFile& data) {
  const std::vector<ArrayInfo> arrays = source.arrays();
  if (!chosen.empty()) {
    const auto same = [&](const ArrayInfo& one) {
      return one.name == chosen || one.name == "/" + chosen || one.name + ".npy" == chosen;
    };
    const auto found = std::find_if(arrays.begin(), arrays.end(), same);
    if (found == arrays.end())
      bad(source.name(), "holds no array '" + chosen + "'; it holds " + listing(arrays));
    take_cases(source, *found, "train", allow_non_finite, data);
    return;
  }
  std::map<std::pair<std::string, Role>, std::pair<int, const ArrayInfo*>> best;
  for (const ArrayInfo& array : arrays) {
    const auto meaning = meaning_of(array.name);
    if (!meaning || (meaning->role == Role::kCases && array.kind != ArrayInfo::Kind::kNumbers &&
                     array.kind != ArrayInfo::Kind::kOther))
      continue;
    if (meaning->role == Role::kCases && array.shape.empty()) continue;
    auto& now = best[{meaning->split, meaning->role}];
    if (now.second == nullptr || meaning->rank < now.first) now = {meaning->rank, &array};
  }
  std::map<std::string, RawLabels> labels;
  for (const auto& [key, value] : best) {
    const auto& [split, role] = key;
    if (role == Role::kCases) take_cases(source, *value.second, split, allow_non_finite, data);
    if (role == Role::kLabels) labels[split] = labels_of(source, *value.second, data);
    if (role == Role::kNames) {
      const ArrayInfo& names = *value.second;
      if (names.kind != ArrayInfo::Kind::kTexts)
        bad(source.name(), names.name + ": expected texts, the names of the cases");
      data.names[split] = source.texts(names);
    }
  }
  // The cases are there by now.
  for (const auto& [key, value] : best) {
    const auto table = data.splits.find(key.first);
    if (key.second != Role::kWeights || table == data.splits.end()) continue;
    const ArrayInfo& array = *value.second;
    if (array.kind != ArrayInfo::Kind::kNumbers) bad(source.name() + ":" + array.name, array.why);
    const Table numbers = source.numbers(array, true);
    std::vector<double> weights;
    for (Index k = 0; k < numbers.rows * numbers.columns; ++k) weights.push_back(numbers.at(k));
    set_weights(std::move(weights), source.name() + ":" + array.name, table->second);
  }
  number_labels(labels, data);
  for (const auto& [split, names] : data.names) {
    const auto table = data.splits.find(split);
    if (table != data.splits.end() && static_cast<Index>(names.size()) != table->second.rows) {
      bad(source.name(), "/" + split + "/name: expected " + std::to_string(table->second.rows) +
                             " names, found " + std::to_string(names.size()));
    }
  }
  if (!data.splits.empty()) return;
  const auto cases = std::count_if(arrays.begin(), arrays.end(), may_be_cases);
  if (cases != 1 && arrays.size() != 1)
    bad(source.name(), "has no array of a name that says that it is the cases (x, train/x, x_train); " +
                           how_to_choose(data.name, arrays));
  const auto only =
      arrays.size() == 1 ? arrays.begin() : std::find_if(arrays.begin(), arrays.end(), may_be_cases);
  take_cases(source, *only, "train", allow_non_finite, data);
  if (arrays.size() > 1)
    data.remarks.push_back("the cases are " + only->name + " " + to_string(only->shape) +
                           ", the only array of two axes");
  data.labels.clear();
  data.label_names.clear();
}

/// What our own files hold beside arrays.
void load_notes(const fs::path& path, DataFile& data) {
  const Hdf5Reader file(path);
  if (auto shape = file.integers_attribute("/", "visible_shape"); !shape.empty()) data.visible_shape = shape;
  if (auto shape = file.integers_attribute("/", "image_shape"); !shape.empty()) data.visible_shape = shape;
  for (const char* note : {"source", "licence"}) {
    if (const auto text = file.text_attribute("/", note)) data.notes[note] = *text;
  }
  data.alphabet = read_alphabet(file, "/");
  if (!data.alphabet.words.empty() && static_cast<Index>(data.alphabet.words.size()) != data.columns())
    bad(path.string(), "/alphabet does not fit the columns of the data");
  const auto count = [&](const char* list) {
    return file.has(list) && file.shape(list).size() == 1 ? file.shape(list)[0] : 0;
  };
  if (const auto n = count("/column_names"); n > 0) data.column_names = file.texts("/column_names", n);
  if (const auto n = count("/label_names"); n > 0) data.label_names = file.texts("/label_names", n);
  data.preprocessing = read_preprocessing(file, "/preprocessing");
  if (!data.preprocessing.empty() && data.preprocessing.n_outputs() != data.columns())
    bad(path.string(), "/preprocessing does not fit the columns of the data");
}

// --- columns -----------------------------------------------------------------------------------------------

std::string quoted(const DataFile& data, Index column) {
  const auto i = static_cast<std::size_t>(column);
  return i < data.column_names.size() ? "'" + data.column_names[i] + "'" : "number " + std::to_string(column);
}

/// Number of a column that is named, or told by its number.
std::optional<Index> column_of(const DataFile& data, const std::string& given) {
  const std::optional<Index> column = place_called(data.column_names, given, 0);
  return column && *column >= 0 && *column < data.columns() ? column : std::nullopt;
}

[[noreturn]] void no_such_column(const DataFile& data, const std::string& option, const std::string& given) {
  std::string all;
  for (std::size_t i = 0; i < std::min<std::size_t>(12, data.column_names.size()); ++i)
    all += (i == 0 ? "" : ", ") + data.column_names[i];
  if (data.column_names.size() > 12) all += ", ...";
  throw UsageError("--" + option + " " + given + ": " + data.name + " has no such column, but " +
                   (all.empty() ? "columns 0 to " + std::to_string(data.columns() - 1) : all));
}

}  // namespace

void keep_columns(const std::vector<Index>& kept, DataFile& data) {
  const auto select = [&](auto& values, Index rows, Index columns) {
    auto all = std::move(values);
    values.clear();
    for (Index n = 0; n < rows; ++n) {
      for (const Index i : kept) values.push_back(all[static_cast<std::size_t>(n * columns + i)]);
    }
  };
  for (auto& [split, table] : data.splits) {
    if (table.is_bytes()) {
      select(table.bytes.own(), table.rows, table.columns);
    } else {
      select(table.floats.own(), table.rows, table.columns);
    }
    table.columns = static_cast<Index>(kept.size());
    compact(table);
  }
  std::vector<std::string> names;
  for (const Index i : kept) {
    if (!data.column_names.empty()) names.push_back(data.column_names[static_cast<std::size_t>(i)]);
  }
  data.column_names = names;
  std::vector<std::vector<std::string>> words;
  for (const Index i : kept) {
    if (!data.alphabet.words.empty()) words.push_back(data.alphabet.words[static_cast<std::size_t>(i)]);
  }
  data.alphabet.words = std::move(words);
  data.visible_shape.clear();
}

namespace {

/// Takes labels out of the columns, leaves out columns, keeps columns.
void choose_columns(const ColumnOptions& reading, std::map<std::string, std::vector<std::string>> words,
                    DataFile& data) {
  std::vector<bool> out(static_cast<std::size_t>(data.columns()), false);
  std::map<std::string, RawLabels> labels;
  if (!reading.labels.empty()) {
    if (const auto found = words.find(reading.labels); found != words.end()) {
      labels["train"].words = std::move(found->second);
      words.erase(found);
    } else {
      const auto column = column_of(data, reading.labels);
      if (!column) no_such_column(data, "labels", reading.labels);
      out[static_cast<std::size_t>(*column)] = true;
      for (const auto& [split, table] : data.splits) {
        for (Index n = 0; n < table.rows; ++n) {
          const double x = table.at(n * table.columns + *column);
          if (!is_label(x))
            bad(data.name, format("line of case %lld: expected a whole number as its label, found %g",
                                  static_cast<long long>(n), x));
          labels[split].numbers.push_back(static_cast<std::int64_t>(x));
        }
      }
    }
    number_labels(labels, data);
  }
  if (!reading.weights.empty()) {
    const auto column = column_of(data, reading.weights);
    if (!column) no_such_column(data, "weights", reading.weights);
    out[static_cast<std::size_t>(*column)] = true;
    for (auto& [split, table] : data.splits) {
      table.weights.clear();
      for (Index n = 0; n < table.rows; ++n) table.weights.push_back(table.at(n * table.columns + *column));
    }
  }
  for (const std::string& given : reading.drop) {
    if (words.erase(given) > 0) continue;
    const auto column = column_of(data, given);
    if (!column) no_such_column(data, "drop", given);
    out[static_cast<std::size_t>(*column)] = true;
  }
  std::vector<Index> kept;
  if (reading.columns.empty()) {
    for (Index i = 0; i < data.columns(); ++i) {
      if (!out[static_cast<std::size_t>(i)]) kept.push_back(i);
    }
  } else {
    words.clear();
    for (const std::string& given : reading.columns) {
      const auto column = column_of(data, given);
      if (!column) no_such_column(data, "columns", given);
      if (!out[static_cast<std::size_t>(*column)]) kept.push_back(*column);
    }
  }
  if (!words.empty()) {
    const auto& [name, cells] = *words.begin();
    bad(data.name, "column '" + name + "' holds words (" + cells.front() + ", ...): --labels " + name +
                       " where they are labels, --drop " + name + " to leave it out");
  }
  if (kept.empty()) bad(data.name, "no column is left");
  if (static_cast<Index>(kept.size()) != data.columns()) keep_columns(kept, data);
}

// --- some of the cases -----------------------------------------------------------------------------------

}  // namespace

void keep_cases(const std::string& split, const std::vector<Index>& kept, DataFile& data) {
  Table& table = data.splits.at(split);
  const auto select = [&](auto& lists) {
    const auto found = lists.find(split);
    if (found == lists.end() || static_cast<Index>(found->second.size()) != table.rows) return;
    auto all = std::move(found->second);
    found->second.clear();
    for (const Index n : kept) found->second.push_back(std::move(all[static_cast<std::size_t>(n)]));
  };
  select(data.labels);
  select(data.names);
  table = rows_of(table, kept);
  compact(table);
}

namespace {

/// Shares of a whole that were rounded add up to 1 about.
constexpr double kRoundedShares = 0.01;

/// Weights are as they are used: positive, and none where every case counts once.
void settle_weights(DataFile& data) {
  for (auto& [split, table] : data.splits) {
    if (table.weights.empty()) continue;
    std::vector<Index> kept;
    double total = 0.0;
    for (Index n = 0; n < table.rows; ++n) {
      const double weight = table.weights[static_cast<std::size_t>(n)];
      if (!(weight >= 0.0) || !std::isfinite(weight))
        bad(data.name, format("case %lld of %s: its weight is %g; a weight is at least 0 and finite",
                              static_cast<long long>(n), split.c_str(), weight));
      total += weight;
      if (weight > 0.0) kept.push_back(n);
    }
    if (kept.empty()) bad(data.name, "every case of the split " + split + " has weight 0");
    const auto without = static_cast<long long>(table.rows - static_cast<Index>(kept.size()));
    if (without > 0) keep_cases(split, kept, data);
    if (std::abs(total - 1.0) <= kRoundedShares && kept.size() > 1) {
      // Shares of a whole say nothing of how many cases there were.
      for (double& weight : table.weights) weight *= static_cast<double>(kept.size()) / total;
      total = static_cast<double>(kept.size());
      data.remarks.push_back("the weights of the split " + split +
                             " add up to 1: they are shares, and are scaled to a mean of 1");
    }
    if (std::all_of(table.weights.begin(), table.weights.end(), [](double w) { return w == 1.0; }))
      table.weights.clear();
    if (without > 0)
      data.remarks.push_back(
          format("%lld cases of the split %s have weight 0 and are left out", without, split.c_str()));
    if (!table.weights.empty())
      data.remarks.push_back(format("the %zu cases of the split %s are weighted, and count as %g",
                                    kept.size(), split.c_str(), total));
  }
}

// --- missing values ----------------------------------------------------------------------------------------

/// Where values are missing: how many, and the first.
struct Missing {
  std::size_t count = 0;
  std::string first;
};
Missing missing_in(const DataFile& data) {
  Missing missing;
  for (const auto& [split, table] : data.splits) {
    for (std::size_t k = 0; k < table.floats.size(); ++k) {
      if (!std::isnan(table.floats[k])) continue;
      if (missing.count++ == 0) {
        const auto at = static_cast<Index>(k);
        missing.first =
            format("case %lld of %s, column ", static_cast<long long>(at / table.columns), split.c_str()) +
            quoted(data, at % table.columns);
      }
    }
  }
  return missing;
}

void fill_missing(DataFile& data) {
  const Table& train = data.splits.count("train") > 0 ? data.splits.at("train") : data.splits.begin()->second;
  const CaseWeights weights = weights_of(train);
  std::vector<float> means;
  for (Index i = 0; i < train.columns; ++i) {
    double sum = 0.0;
    double count = 0.0;
    for (Index n = 0; n < train.rows; ++n) {
      const double x = train.at(n * train.columns + i);
      if (std::isnan(x)) continue;
      sum += weights[n] * x;
      count += weights[n];
    }
    if (count == 0.0)
      bad(data.name, "column " + quoted(data, i) + " has no value in the train split: --drop it");
    means.push_back(static_cast<float>(sum / count));
  }
  for (auto& [split, table] : data.splits) {
    for (std::size_t k = 0; k < table.floats.size(); ++k) {
      if (std::isnan(table.floats[k]))
        table.floats.own()[k] = means[k % static_cast<std::size_t>(table.columns)];
    }
  }
}

void drop_missing(DataFile& data) {
  for (auto& [split, table] : data.splits) {
    std::vector<Index> whole;
    for (Index n = 0; n < table.rows; ++n) {
      bool complete = true;
      for (Index i = 0; i < table.columns; ++i)
        complete = complete && !std::isnan(table.at(n * table.columns + i));
      if (complete) whole.push_back(n);
    }
    if (static_cast<Index>(whole.size()) == table.rows) continue;
    if (whole.empty()) bad(data.name, "every case of the split " + split + " has missing values");
    data.remarks.push_back(format("%lld cases of the split %s have missing values and are left out",
                                  static_cast<long long>(table.rows - static_cast<Index>(whole.size())),
                                  split.c_str()));
    keep_cases(split, whole, data);
  }
}

/// Notes which values are missing, and puts the first of their column in their places.
void mark_missing(DataFile& data) {
  std::vector<float> first(static_cast<std::size_t>(data.columns()), std::numeric_limits<float>::quiet_NaN());
  for (const auto& [split, table] : data.splits) {
    for (std::size_t k = 0; k < table.floats.size(); ++k) {
      float& of_column = first[k % first.size()];
      if (std::isnan(of_column)) of_column = table.floats[k];
    }
  }
  for (auto& [split, table] : data.splits) {
    const auto is_missing = [](float value) { return std::isnan(value); };
    if (std::none_of(table.floats.begin(), table.floats.end(), is_missing)) continue;
    std::vector<std::uint8_t>& missing = data.missing[split];
    missing.resize(table.floats.size());
    for (std::size_t k = 0; k < missing.size(); ++k) {
      if (!is_missing(table.floats[k])) continue;
      missing[k] = 1;
      const float value = first[k % first.size()];
      table.floats.own()[k] = std::isnan(value) ? 0.0F : value;
    }
  }
}

void handle_missing(const ReadingOptions& reading, bool allowed, DataFile& data) {
  const Missing missing = missing_in(data);
  if (missing.count == 0) return;
  if (reading.keeps_missing) {
    mark_missing(data);
    data.remarks.push_back(format("%zu values are missing", missing.count));
    return;
  }
  const MissingRule rule = reading.columns.missing;
  switch (rule) {
    case MissingRule::kRefuse:
      if (allowed) {
        data.remarks.push_back(format("%zu values are missing or no numbers, the first of ", missing.count) +
                               missing.first);
        return;
      }
      bad(data.name, format("%zu values are missing or no numbers, the first of ", missing.count) +
                         missing.first + ": --missing mean or --missing drop, or --drop the column");
    case MissingRule::kMean:
      fill_missing(data);
      data.remarks.push_back(format("%zu missing values are the mean of their column", missing.count));
      break;
    case MissingRule::kDrop:
      drop_missing(data);
      break;
  }
}

// --- what people should know of their columns
// ---------------------------------------------------------------

void remark_on_columns(DataFile& data) {
  const auto found = data.splits.find("train");
  if (found == data.splits.end()) return;
  const Table& table = found->second;
  static const std::set<std::string> labels = {"label", "labels", "class", "target", "species", "category"};
  static const std::set<std::string> weights = {"weight", "weights", "sample_weight", "count", "counts"};
  for (Index i = 0; i < table.columns; ++i) {
    const std::string name = static_cast<std::size_t>(i) < data.column_names.size()
                                 ? data.column_names[static_cast<std::size_t>(i)]
                                 : "";
    std::string lower = name;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    if (labels.count(lower) > 0) {
      data.remarks.push_back("column '" + name +
                             "' looks like labels, and is taken for a visible: --labels " + name +
                             " takes it out");
      continue;
    }
    if (weights.count(lower) > 0) {
      data.remarks.push_back("column '" + name +
                             "' looks like weights of the cases, and is taken for a visible: --weights " +
                             name + " takes it for that");
      continue;
    }
    bool counts = table.rows > 2;
    for (Index n = 0; counts && n < table.rows; ++n) {
      const double x = table.at(n * table.columns + i);
      counts = x == static_cast<double>(n) || x == static_cast<double>(n + 1);
      counts = counts && x - static_cast<double>(n) == table.at(i);
    }
    if (counts)
      data.remarks.push_back("column " + quoted(data, i) + " counts the cases: --drop leaves it out");
  }
}

// --- names of files
// -----------------------------------------------------------------------------------------

/// FILE:NAME, where FILE is there and the whole is not.
std::pair<std::string, std::string> file_and_array(const std::string& name) {
  std::error_code error;
  if (fs::exists(name, error)) return {name, ""};
  for (std::size_t at = name.find(':'); at != std::string::npos; at = name.find(':', at + 1)) {
    if (fs::exists(name.substr(0, at), error)) return {name.substr(0, at), name.substr(at + 1)};
  }
  return {name, ""};
}

std::unique_ptr<ArraySource> source_of(FileKind kind, const fs::path& path,
                                       const ReadingProgress& told = {}) {
  switch (kind) {
    case FileKind::kHdf5:
      return hdf5_arrays(path, told);
    case FileKind::kNumpyArray:
      return numpy_array(path, told);
    case FileKind::kArchive:
      return numpy_archive(path, told);
    case FileKind::kIdx:
    case FileKind::kText:
    case FileKind::kJson:
    case FileKind::kSequences:
      break;
  }
  return nullptr;
}

void set_visible_shape(const ReadingOptions& reading, DataFile& data) {
  const Index shown =
      data.preprocessing.empty() ? data.columns() : static_cast<Index>(data.preprocessing.n_inputs);
  if (!is_shape_of(data.visible_shape, shown)) data.visible_shape.clear();
  if (!reading.shape.empty()) {
    data.visible_shape = parse_shape(reading.shape, shown);
  }
  if (!reading.transpose) return;
  if (data.visible_shape.size() != 2)
    throw UsageError("--transpose: the shape of the pictures is not known (--shape HEIGHTxWIDTH)");
  const auto height = static_cast<Index>(data.visible_shape[0]);
  const auto width = static_cast<Index>(data.visible_shape[1]);
  std::vector<Index> order;
  for (Index j = 0; j < width; ++j) {
    for (Index i = 0; i < height; ++i) order.push_back(i * width + j);
  }
  keep_columns(order, data);
  data.visible_shape = {width, height};
}

}  // namespace

std::map<std::string, Table> load_numpy_arrays(const std::filesystem::path& path,
                                               const std::vector<std::string>& wanted) {
  const FileKind kind = file_kind(path);
  if (kind != FileKind::kNumpyArray && kind != FileKind::kArchive)
    bad(path.string(), "expected NumPy arrays, found something else");
  const auto source = source_of(kind, path);
  std::map<std::string, Table> arrays;
  for (const ArrayInfo& array : source->arrays()) {
    if (kind == FileKind::kNumpyArray || std::find(wanted.begin(), wanted.end(), array.name) != wanted.end())
      arrays[array.name] = source->numbers(array, true);
  }
  return arrays;
}

std::string arrays_in(const std::filesystem::path& path, const char* between) {
  const auto source = source_of(file_kind(path), path);
  return source == nullptr ? "" : listing(source->arrays(), between);
}

std::optional<Index> place_called(const std::vector<std::string>& names, std::string_view text, Index first) {
  if (const auto found = std::find(names.begin(), names.end(), text); found != names.end())
    return found - names.begin();
  std::int64_t number = 0;
  if (!assign(number, text)) return std::nullopt;
  return number < first ? -1 : number - first;
}

std::string absolute_data(const std::string& name) {
  std::error_code error;
  const auto [file, array] = file_and_array(name);
  if (is_builtin(name) || !fs::exists(file, error)) return name;
  return fs::absolute(file).string() + (array.empty() ? "" : ":" + array);
}

namespace {

using WordsOfColumns = std::map<std::string, std::vector<std::string>>;

/// Columns of words become columns of numbers, which count the words in their order, after the others; a
/// missing word is no number (NaN). Returns the words of each, by the name of the column.
WordsOfColumns append_words(WordsOfColumns& words, const ColumnOptions& reading, DataFile& data) {
  if (!reading.labels.empty() && words.count(reading.labels) > 0) {
    const auto labels = words.extract(reading.labels);
    WordsOfColumns letters = append_words(words, reading, data);
    words[labels.key()] = labels.mapped();
    return letters;
  }
  for (const std::string& dropped : reading.drop) words.erase(dropped);
  WordsOfColumns letters;
  Table& table = data.splits.at("train");
  // Without a header columns are called by their numbers, of which words have taken theirs.
  for (Index number = 0; static_cast<Index>(data.column_names.size()) < table.columns; ++number) {
    if (words.count(std::to_string(number)) == 0) data.column_names.push_back(std::to_string(number));
  }
  std::vector<std::vector<float>> codes;
  for (const auto& [name, cells] : words) {
    std::map<std::string, float> known;
    for (const std::string& cell : cells) {
      if (!is_missing(cell)) known.emplace(cell, 0.0F);
    }
    for (auto& [word, code] : known) {
      code = static_cast<float>(letters[name].size());
      letters[name].push_back(word);
    }
    std::vector<float>& column = codes.emplace_back();
    for (const std::string& cell : cells)
      column.push_back(is_missing(cell) ? std::numeric_limits<float>::quiet_NaN() : known.at(cell));
    data.column_names.push_back(name);
  }
  std::vector<float> all;
  for (Index n = 0; n < table.rows; ++n) {
    for (Index i = 0; i < table.columns; ++i)
      all.push_back(static_cast<float>(table.at(n * table.columns + i)));
    for (const auto& column : codes) all.push_back(column[static_cast<std::size_t>(n)]);
  }
  table.bytes = {};
  table.floats = std::move(all);
  table.columns += static_cast<Index>(codes.size());
  words.clear();
  return letters;
}

/// Every column's values become its letters: those that it has, in their order.
void make_categories(const WordsOfColumns& words, DataFile& data) {
  const Index columns = data.columns();
  std::vector<std::map<double, std::uint8_t>> codes(static_cast<std::size_t>(columns));
  for (const auto& [split, table] : data.splits) {
    for (Index k = 0; k < table.rows * columns; ++k)
      codes[static_cast<std::size_t>(k % columns)].emplace(table.at(k), 0);
  }
  for (Index i = 0; i < columns; ++i) {
    auto& of_column = codes[static_cast<std::size_t>(i)];
    if (of_column.size() > kMostLetters)
      bad(data.name, "column " + quoted(data, i) +
                         format(" has %zu different values, and a site at most %d letters", of_column.size(),
                                static_cast<int>(kMostLetters)));
    const auto name = static_cast<std::size_t>(i) < data.column_names.size()
                          ? data.column_names[static_cast<std::size_t>(i)]
                          : "";
    const auto known = words.find(name);
    std::vector<std::string> letters;
    for (auto& [value, code] : of_column) {
      code = static_cast<std::uint8_t>(letters.size());
      letters.push_back(known != words.end() ? known->second[static_cast<std::size_t>(value)]
                                             : text_of(value));
    }
    data.alphabet.words.push_back(std::move(letters));
  }
  for (auto& [split, table] : data.splits) {
    std::vector<std::uint8_t> bytes;
    for (Index k = 0; k < table.rows * columns; ++k)
      bytes.push_back(codes[static_cast<std::size_t>(k % columns)].at(table.at(k)));
    table.floats = {};
    table.bytes = std::move(bytes);
  }
}

/// Whether each column has its own values for letters.
bool by_columns(const ColumnOptions& reading) {
  return reading.alphabet == AlphabetChoice(AlphabetRule::kColumns);
}

/// Codes of an alphabet that a file does not name, or columns of categories.
void settle_alphabet(const ColumnOptions& reading, const WordsOfColumns& words, DataFile& data) {
  if (!data.alphabet.empty()) return;
  if (by_columns(reading)) return make_categories(words, data);
  data.alphabet.characters = letters_of(reading.alphabet);
}

DataFile settled(DataFile data, WordsOfColumns words, const ReadingOptions& reading, bool allow_non_finite) {
  const std::string& name = data.name;
  WordsOfColumns letters;
  if (by_columns(reading.columns)) {
    if (reading.columns.missing == MissingRule::kMean)
      throw UsageError("--missing mean: categories have no mean; --missing drop leaves the cases out");
    if (!words.empty()) letters = append_words(words, reading.columns, data);
  }
  for (const auto& [split, table] : data.splits) {
    if (table.columns != data.columns()) {
      bad(name, "/" + split + "/x has " + std::to_string(table.columns) + " columns, other splits " +
                    std::to_string(data.columns()));
    }
  }
  for (auto lists = data.labels.begin(); lists != data.labels.end();) {
    const auto split = data.splits.find(lists->first);
    const bool fits =
        split != data.splits.end() && split->second.rows == static_cast<Index>(lists->second.size());
    if (!fits)
      data.remarks.push_back("labels of the split " + lists->first +
                             " are not as many as its cases, and are left out");
    lists = fits ? std::next(lists) : data.labels.erase(lists);
  }
  choose_columns(reading.columns, words, data);
  set_visible_shape(reading, data);
  settle_weights(data);
  handle_missing(reading, allow_non_finite, data);
  for (const auto& [split, table] : data.splits) {
    for (std::size_t k = 0; k < table.floats.size() && !allow_non_finite; ++k) {
      if (!std::isfinite(table.floats[k])) {
        const auto at = static_cast<Index>(k);
        bad(name,
            format("case %lld of %s, column ", static_cast<long long>(at / table.columns), split.c_str()) +
                quoted(data, at % table.columns) + ": found a number that is not finite");
      }
    }
  }
  settle_alphabet(reading.columns, letters, data);
  remark_on_columns(data);
  return data;
}

}  // namespace

DataFile settled(DataFile data, const ReadingOptions& reading, bool allow_non_finite) {
  return settled(std::move(data), {}, reading, allow_non_finite);
}

DataFile load_data(const std::string& name, const ReadingOptions& reading, bool allow_non_finite) {
  DataFile data;
  data.name = name;
  WordsOfColumns words;
  if (!load_builtin(name, data)) {
    const auto [file, array] = file_and_array(name);
    const FileKind kind = file_kind(file);
    if (kind == FileKind::kHdf5 && array.empty() && Hdf5Reader(file).has("/model"))
      bad(name, "is a model, where data are expected");
    if (const auto source = source_of(kind, file, reading.told)) {
      load_arrays(*source, array, true, data);
      if (kind == FileKind::kHdf5 && array.empty()) load_notes(file, data);
    } else if (!array.empty()) {
      bad(file, "holds a single table: say its name alone");
    } else if (kind == FileKind::kIdx) {
      data.splits["train"] = read_idx(file, data.visible_shape, 2, reading.told);
    } else if (kind == FileKind::kJson) {
      data.splits["train"] = read_counts(file);
    } else if (kind == FileKind::kSequences) {
      Sequences sequences = read_sequences(file, reading);
      data.splits["train"] = std::move(sequences.table);
      data.alphabet = std::move(sequences.alphabet);
      data.names["train"] = std::move(sequences.names);
      data.remarks = std::move(sequences.remarks);
    } else {
      TextTable text = read_text(file, reading.columns.header, by_columns(reading.columns), reading.told);
      data.splits["train"] = std::move(text.table);
      data.column_names = std::move(text.names);
      if (!text.cases.empty()) data.names["train"] = std::move(text.cases);
      data.remarks = std::move(text.remarks);
      words = std::move(text.words);
    }
  }
  return settled(std::move(data), words, reading, allow_non_finite);
}

std::vector<std::int64_t> load_idx_labels(const std::string& name, Index rows) {
  std::vector<std::int64_t> shape;
  const Table table = read_idx(name, shape, 1);
  if (table.rows != rows || table.columns != 1 || !table.is_bytes())
    bad(name, "expected an IDX file of " + std::to_string(rows) + " labels");
  return {table.bytes.begin(), table.bytes.end()};
}

namespace {

void write_data_arrays(const DataFile& data, const fs::path& path) {
  const TableFormat format = table_format(path);
  if (is_sequences(format)) {
    if (data.splits.size() > 1)
      throw UsageError("--out " + path.string() +
                       ": holds one table, and the data have several splits; say .h5");
    const auto& [split, table] = *data.splits.begin();
    const auto names = data.names.find(split);
    write_sequences(path, table, data.alphabet,
                    names == data.names.end() ? std::vector<std::string>() : names->second);
    return;
  }
  std::vector<NamedArray> arrays;
  for (const auto& [split, table] : data.splits) {
    const std::string prefix = format == TableFormat::kNpz ? split + "_" : "";
    Shape shape{static_cast<std::uint64_t>(table.rows), static_cast<std::uint64_t>(table.columns)};
    if (format != TableFormat::kCsv && is_shape_of(data.visible_shape, table.columns)) {
      shape.resize(1);
      shape.insert(shape.end(), data.visible_shape.begin(), data.visible_shape.end());
    }
    if (table.is_bytes()) {
      arrays.push_back({prefix + "x", shape, std::span<const std::uint8_t>(table.bytes)});
    } else {
      arrays.push_back({prefix + "x", shape, std::span<const float>(table.floats)});
    }
    if (format == TableFormat::kNpy && !table.weights.empty())
      throw UsageError("--out " + path.string() +
                       ": has no place for the weights of the cases; say .h5 or .npz");
    if (format == TableFormat::kNpy) continue;
    if (const auto y = data.labels.find(split); y != data.labels.end())
      arrays.push_back({prefix + "y", {y->second.size()}, std::span<const std::int64_t>(y->second)});
    if (!table.weights.empty())
      arrays.push_back({prefix + "weight", {table.weights.size()}, std::span<const double>(table.weights)});
  }
  if (data.splits.size() > 1 && format != TableFormat::kNpz)
    throw UsageError("--out " + path.string() +
                     ": holds one table, and the data have several splits; say .h5 or .npz");
  write_arrays(path, arrays);
}

}  // namespace

Alphabet read_alphabet(const Hdf5Reader& file, const std::string& group) {
  Alphabet alphabet;
  const std::string lists = (group == "/" ? "" : group) + "/alphabet";
  if (const auto letters = file.text_attribute(group, "alphabet")) {
    const std::set<char> distinct(letters->begin(), letters->end());
    if (letters->empty() || distinct.size() != letters->size())
      file.fail(group, "attribute 'alphabet': expected letters, each once, found '" + *letters + "'");
    alphabet.characters = *letters;
    return alphabet;
  }
  for (std::size_t site = 0; file.has(lists + "/" + std::to_string(site)); ++site) {
    const std::string path = lists + "/" + std::to_string(site);
    const Shape shape = file.shape(path);
    if (shape.size() != 1 || shape[0] == 0 || shape[0] > kMostLetters)
      file.fail(path, "expected one axis of 1 to " + std::to_string(kMostLetters) + " letters, found shape " +
                          to_string(shape));
    alphabet.words.push_back(file.texts(path, shape[0]));
  }
  return alphabet;
}

void write_alphabet(Hdf5Writer& file, const std::string& group, const Alphabet& alphabet) {
  if (!alphabet.characters.empty()) file.attribute(group, "alphabet", alphabet.characters);
  for (std::size_t site = 0; site < alphabet.words.size(); ++site)
    file.texts((group == "/" ? "" : group) + "/alphabet/" + std::to_string(site), alphabet.words[site]);
}

void write_data(const DataFile& data, const fs::path& path) {
  if (table_format(path) != TableFormat::kHdf5) return write_data_arrays(data, path);
  Hdf5Writer file("data");
  for (const auto& [split, table] : data.splits) {
    const Shape shape{static_cast<std::uint64_t>(table.rows), static_cast<std::uint64_t>(table.columns)};
    if (table.is_bytes()) {
      file.dataset("/" + split + "/x", shape, table.bytes.data());
    } else {
      file.dataset("/" + split + "/x", shape, table.floats.data());
    }
    if (!table.weights.empty())
      file.dataset("/" + split + "/weight", {table.weights.size()}, table.weights.data());
  }
  for (const auto& [split, y] : data.labels) file.dataset("/" + split + "/y", {y.size()}, y.data());
  for (const auto& [split, names] : data.names) {
    // Cases that were cut or dealt out anew have lost theirs.
    if (static_cast<Index>(names.size()) == data.split(split).rows) file.texts("/" + split + "/name", names);
  }
  if (!data.label_names.empty()) file.texts("/label_names", data.label_names);
  if (!data.column_names.empty()) file.texts("/column_names", data.column_names);
  write_alphabet(file, "/", data.alphabet);
  if (!data.visible_shape.empty()) file.attribute("/", "visible_shape", data.visible_shape);
  for (const auto& [note, text] : data.notes) file.attribute("/", note, text);
  write_preprocessing(file, "/preprocessing", data.preprocessing);
  file.write(path);
}

}  // namespace tempera
