#include <algorithm>
#include <cmath>
#include <limits>

#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"
#include "tempera/core/random.hpp"
#include "tempera/io/data_files.hpp"

namespace tempera {
const Table& DataFile::split(const std::string& wanted) const {
  const auto found = splits.find(wanted);
  if (found != splits.end()) return found->second;
  std::string names;
  for (const auto& [split_name, table] : splits) names += (names.empty() ? "" : ", ") + split_name;
  throw DataError(name + ": has no split '" + wanted + "', only " + names);
}

Table rows_of(const Table& table, std::span<const Index> rows) {
  Table part;
  part.rows = static_cast<Index>(rows.size());
  part.columns = table.columns;
  for (const Index n : rows) {
    const Index first = n * table.columns;
    if (table.is_bytes()) {
      std::vector<std::uint8_t>& bytes = part.bytes.own();
      bytes.insert(bytes.end(), table.bytes.begin() + first, table.bytes.begin() + first + table.columns);
    } else {
      std::vector<float>& floats = part.floats.own();
      floats.insert(floats.end(), table.floats.begin() + first, table.floats.begin() + first + table.columns);
    }
    if (!table.weights.empty()) part.weights.push_back(table.weights[static_cast<std::size_t>(n)]);
  }
  return part;
}

CaseWeights weights_of(const Table& table) { return CaseWeights(table.weights); }

Matrix real_rows(const Table& table) {
  Matrix rows(table.rows, table.columns);
  for (Index k = 0; k < rows.size(); ++k) rows.data()[k] = static_cast<float>(table.at(k));
  return rows;
}

namespace {

constexpr const char* kAdvice =
    "; say --binarize threshold (or threshold:T, median, mean) or --binarize sample, or take a machine of "
    "real "
    "values";

/// What the values of all splits are.
struct Range {
  double least = std::numeric_limits<double>::infinity();
  double most = -std::numeric_limits<double>::infinity();
  bool binary = true;
  bool spins = true;
  bool categories = true;  // whole numbers from 0, few of them
};
constexpr double kMostCategories = 32.0;

Range range_of(const DataFile& data) {
  Range range;
  for (const auto& [split, table] : data.splits) {
    for (Index k = 0; k < table.rows * table.columns; ++k) {
      const double x = table.at(k);
      if (!std::isfinite(x))
        throw DataError(data.name + ": /" + split + "/x: found a number that is not finite");
      range.binary = range.binary && (x == 0.0 || x == 1.0);
      range.spins = range.spins && (x == -1.0 || x == 1.0);
      range.categories = range.categories && x >= 0.0 && x < kMostCategories && x == std::floor(x);
      range.least = std::min(range.least, x);
      range.most = std::max(range.most, x);
    }
  }
  return range;
}

/// A threshold for every column, from the training cases: its median, or its mean.
std::vector<float> column_thresholds(const Table& table, BinarizeMethod method) {
  std::vector<float> thresholds;
  const CaseWeights weights = weights_of(table);
  const double total = weights.total(table.rows);
  std::vector<std::pair<double, double>> column(static_cast<std::size_t>(table.rows));  // values, weights
  for (Index i = 0; i < table.columns; ++i) {
    double sum = 0.0;
    for (Index n = 0; n < table.rows; ++n) {
      const double x = table.at(n * table.columns + i);
      column[static_cast<std::size_t>(n)] = {x, weights[n]};
      sum += weights[n] * x;
    }
    if (method == BinarizeMethod::kMean) {
      thresholds.push_back(static_cast<float>(sum / total));
      continue;
    }
    std::sort(column.begin(), column.end());
    double below = 0.0;
    auto middle = column.begin();
    while ((below += middle->second) < 0.5 * total && middle + 1 != column.end()) ++middle;
    thresholds.push_back(static_cast<float>(middle->first));
  }
  return thresholds;
}

}  // namespace

Binarization binarization_for(const DataFile& data, const BinarizeChoice& choice, std::uint64_t seed) {
  const Range range = range_of(data);
  Binarization rule;
  rule.spins = range.spins && !range.binary;  // ones alone are bits
  if (range.binary || range.spins) return rule;
  rule.method = choice.rule;
  rule.seed = seed;
  if (choice.level && choice.rule != BinarizeMethod::kThreshold)
    throw UsageError("--binarize " + text_of(choice) + ": only a threshold has a level");
  switch (choice.rule) {
    case BinarizeMethod::kNone:
      if (range.categories && range.most > 1.0 && range.most < kMostCategories) {
        throw DataError(data.name +
                        format(": values are whole numbers from 0 to %g: categories, it seems, of which a "
                               "machine of binary units "
                               "takes one column for each (np.eye(k)[x])",
                               range.most) +
                        kAdvice);
      }
      throw DataError(data.name + ": values are not all 0 or 1" + kAdvice);
    case BinarizeMethod::kSample:
    case BinarizeMethod::kSampleEach:
      if (range.least < 0.0)
        throw DataError(data.name + format(": probabilities must not be negative, found %g", range.least));
      rule.maximum = std::max(1.0, range.most);
      break;
    case BinarizeMethod::kThreshold:
      rule.maximum = range.most;
      rule.level = choice.level        ? *choice.level
                   : range.least < 0.0 ? 0.5 * (range.least + range.most)
                                       : 0.5 * range.most;
      break;
    case BinarizeMethod::kMedian:
    case BinarizeMethod::kMean:
      rule.maximum = range.most;
      rule.thresholds = column_thresholds(
          data.splits.count("train") > 0 ? data.split("train") : data.splits.begin()->second, choice.rule);
      break;
  }
  return rule;
}

BinaryData binarize(const DataFile& data, const std::string& split, const Binarization& rule) {
  const Table& table = data.split(split);
  if (!rule.thresholds.empty() && static_cast<Index>(rule.thresholds.size()) != table.columns)
    throw DataError(data.name + ": has not as many columns as the rule that makes bits of them");
  std::vector<std::uint8_t> bits(static_cast<std::size_t>(table.rows * table.columns));
  const auto split_number = static_cast<std::uint64_t>(split == "train" ? 0 : split == "valid" ? 1 : 2);
  for (Index n = 0; n < table.rows; ++n) {
    StreamEngine random =
        StreamFactory{rule.seed}.engine(Purpose::kBinarize, split_number, static_cast<std::uint32_t>(n));
    for (Index i = 0; i < table.columns; ++i) {
      const Index k = n * table.columns + i;
      const double x = table.at(k);
      bool on = false;
      switch (rule.method) {
        case BinarizeMethod::kSample:
        case BinarizeMethod::kSampleEach:
          on = (static_cast<double>(random()) + 0.5) * 0x1p-32 < x / rule.maximum;
          break;
        case BinarizeMethod::kThreshold:
          on = x > rule.level;
          break;
        case BinarizeMethod::kMedian:
        case BinarizeMethod::kMean:
          on = x > static_cast<double>(rule.thresholds[static_cast<std::size_t>(i)]);
          break;
        case BinarizeMethod::kNone:
          if (x != 1.0 && x != (rule.spins ? -1.0 : 0.0))
            throw DataError(data.name + ": values are not all 0 or 1" + kAdvice);
          on = x == 1.0;
          break;
      }
      bits[static_cast<std::size_t>(k)] = on ? 1 : 0;
    }
  }
  return {table.rows, table.columns, bits, weights_of(table)};
}

Probabilities probabilities_of(const Table& table, const Binarization& rule) {
  Probabilities probabilities{{}, rule.seed};
  for (Index k = 0; k < table.rows * table.columns; ++k)
    probabilities.values.push_back(static_cast<float>(table.at(k) / rule.maximum));
  return probabilities;
}

CategoricalData categorical(const DataFile& data, const std::string& split) {
  const Table& table = data.split(split);
  if (data.alphabet.empty())
    throw DataError(data.name + ": values have no alphabet, and machines of letters take codes of one");
  Letters letters = data.alphabet.letters(table.columns);
  std::vector<std::uint8_t> codes;
  codes.reserve(static_cast<std::size_t>(table.rows * table.columns));
  for (Index n = 0; n < table.rows; ++n) {
    for (Index site = 0; site < table.columns; ++site) {
      const double code = table.at(n * table.columns + site);
      if (!(code >= 0.0) || code >= static_cast<double>(letters.of(site)) || code != std::floor(code))
        throw DataError(data.name +
                        format(": case %lld of %s, site %lld: expected a code from 0 to %lld, found %g",
                               static_cast<long long>(n), split.c_str(), static_cast<long long>(site),
                               static_cast<long long>(letters.of(site) - 1), code));
      codes.push_back(static_cast<std::uint8_t>(code));
    }
  }
  return {table.rows, std::move(letters), codes, weights_of(table)};
}

Index constant_columns(const CategoricalData& data) {
  Index constant = 0;
  const Letters& letters = data.letters();
  const Eigen::VectorXd means = data.means();
  for (Index site = 0; site < letters.sites(); ++site) {
    Index seen = 0;
    for (Index a = 0; a < letters.most(); ++a) seen += means[site * letters.most() + a] > 0.0 ? 1 : 0;
    constant += seen == 1 ? 1 : 0;
  }
  return constant;
}

Index constant_columns(const Table& table) {
  Index constant = 0;
  for (Index i = 0; i < table.columns; ++i) {
    bool same = true;
    for (Index n = 1; same && n < table.rows; ++n) same = table.at(n * table.columns + i) == table.at(i);
    constant += same ? 1 : 0;
  }
  return constant;
}

Index constant_columns(const BinaryData& data) {
  const Eigen::VectorXd means = data.means();
  return ((means.array() == 0.0) || (means.array() == 1.0)).count();
}

void require_varying(const DataFile& data, const Table& values, const BinaryData& bits) {
  const Index constant = constant_columns(bits);
  if (2 * constant <= bits.n_visible() || 2 * constant_columns(values) > bits.n_visible()) return;
  throw DataError(data.name + format(": as bits %lld of %lld columns are constant, which they are not as "
                                     "numbers: --binarize threshold:T, "
                                     "median or mean cut elsewhere, --allow-constant takes them as they are",
                                     static_cast<long long>(constant),
                                     static_cast<long long>(bits.n_visible())));
}

}  // namespace tempera
