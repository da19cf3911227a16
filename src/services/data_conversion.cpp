#include "tempera/services/data_conversion.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "logos.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/format.hpp"
#include "tempera/core/permutation.hpp"
#include "tempera/io/tables.hpp"

namespace tempera {
namespace {

/// Clusters in a random order, the cases of a cluster one after another.
std::vector<Index> by_clusters(const std::vector<Index>& cluster, const StreamEngine& random) {
  std::vector<std::vector<Index>> members;
  for (std::size_t n = 0; n < cluster.size(); ++n) {
    const auto k = static_cast<std::size_t>(cluster[n]);
    if (k >= members.size()) members.resize(k + 1);
    members[k].push_back(static_cast<Index>(n));
  }
  std::vector<Index> order;
  for (const Index k : permutation(static_cast<Index>(members.size()), random)) {
    const auto& all = members[static_cast<std::size_t>(k)];
    order.insert(order.end(), all.begin(), all.end());
  }
  return order;
}

/// Deals the cases of the only split at random into train, valid and test; of clusters, where they are given,
/// whole ones.
void deal(DataFile& data, double valid, double test, std::uint64_t seed, const std::vector<Index>& cluster) {
  if (data.splits.size() != 1 || data.splits.count("train") == 0)
    throw UsageError(data.name + ": has splits already; --valid and --test deal out a single one");
  const Table all = std::move(data.splits.at("train"));
  const std::vector<std::int64_t> labels = data.labels["train"];
  const std::vector<std::string> names = data.names["train"];
  data.splits.clear();
  data.labels.clear();
  data.names.clear();
  const StreamEngine random = StreamFactory{seed}.engine(Purpose::kDataSet, 0);
  const std::vector<Index> order =
      cluster.empty() ? permutation(all.rows, random) : by_clusters(cluster, random);
  const auto count = [&](double fraction) {
    return static_cast<std::size_t>(std::llround(fraction * static_cast<double>(all.rows)));
  };
  const std::size_t n_valid = count(valid);
  const std::size_t n_test = count(test);
  if (n_valid + n_test >= order.size() || (valid > 0 && n_valid == 0) || (test > 0 && n_test == 0))
    throw ConfigError({{"valid, test", format("%g, %g", valid, test), "must leave cases in every split"}});
  std::span<const Index> left(order);
  const auto take = [&](const std::string& split, std::size_t n) {
    if (n == 0) return;
    // To the end of a cluster.
    while (!cluster.empty() && n < left.size() &&
           cluster[static_cast<std::size_t>(left[n])] == cluster[static_cast<std::size_t>(left[n - 1])])
      ++n;
    if (n == left.size() && split != "train")
      throw DataError(
          data.name +
          ": too few clusters for these splits: the cases left are one (a larger --split-identity "
          "makes more)");
    std::vector<Index> rows(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(n));
    std::sort(rows.begin(), rows.end());
    left = left.subspan(n);
    data.splits[split] = rows_of(all, rows);
    for (const Index k : rows) {
      if (!labels.empty()) data.labels[split].push_back(labels[static_cast<std::size_t>(k)]);
      if (!names.empty()) data.names[split].push_back(names[static_cast<std::size_t>(k)]);
    }
  };
  take("valid", n_valid);
  take("test", n_test);
  take("train", left.size());
}

/// The squares of a grid of patches, each a case of its own: whole ones, from the top left.
Table cut(const Table& table, Index rows, Index columns, Index height, Index width) {
  Table cases;
  cases.columns = height * width;
  for (Index n = 0; n < table.rows; ++n) {
    for (Index top = 0; top + height <= rows; top += height) {
      for (Index left = 0; left + width <= columns; left += width) {
        ++cases.rows;
        if (!table.weights.empty()) cases.weights.push_back(table.weights[static_cast<std::size_t>(n)]);
        for (Index i = 0; i < height; ++i) {
          for (Index j = 0; j < width; ++j)
            cases.floats.own().push_back(
                static_cast<float>(table.at(n * table.columns + (top + i) * columns + left + j)));
        }
      }
    }
  }
  return cases;
}

void cut_patches(DataFile& data, const std::string& patches) {
  long long height = 0;
  long long width = 0;
  char rest = 0;
  if (std::sscanf(patches.c_str(), "%lldx%lld%c", &height, &width, &rest) != 2 || height < 1 || width < 1)
    throw UsageError("--patches " + patches + ": expected HEIGHTxWIDTH");
  if (data.visible_shape.size() != 2)
    throw DataError(data.name + ": has no visible_shape of two axes to cut patches from");
  const Index rows = data.visible_shape[0];
  const Index columns = data.visible_shape[1];
  if (height > rows || width > columns)
    throw UsageError("--patches " + patches + ": larger than the pictures");
  for (auto& [split, table] : data.splits) table = cut(table, rows, columns, height, width);
  data.labels.clear();
  data.names.clear();
  data.visible_shape = {height, width};
}

/// Grey levels plus uniform noise in [0, 1): a density of levels becomes one of real numbers.
void dequantise(Table& table, const std::string& split, std::uint64_t seed) {
  for (const float x : table.floats) {
    if (x != std::floor(x))
      throw DataError(split +
                      format(": found %g: --dequantise is for whole grey levels", static_cast<double>(x)));
  }
  const std::uint64_t number = (std::uint64_t{1} << 55) + (split == "train" ? 0 : split == "valid" ? 1 : 2);
  std::vector<float> floats(static_cast<std::size_t>(table.rows * table.columns));
  for (Index n = 0; n < table.rows; ++n) {
    StreamEngine random =
        StreamFactory{seed}.engine(Purpose::kDataNoise, number, static_cast<std::uint32_t>(n));
    for (Index i = 0; i < table.columns; ++i) {
      const Index k = n * table.columns + i;
      floats[static_cast<std::size_t>(k)] =
          static_cast<float>(table.at(k)) + static_cast<float>(random() >> 8) * 0x1p-24F;
    }
  }
  table.bytes = {};
  table.floats = std::move(floats);
}

PreprocessingRequest request_of(const ConversionOptions& options) {
  PreprocessingRequest request;
  request.dequantise = options.dequantise;
  request.remove_mean = options.remove_mean;
  request.contrast = options.contrast;
  request.contrast_floor = options.contrast_floor;
  request.centre = options.centre;
  request.whiten = options.whiten;
  request.regularisation = options.regularisation;
  request.components = static_cast<Index>(options.components.value_or(0));
  return request;
}

bool preprocesses(const ConversionOptions& options) {
  return options.dequantise || options.remove_mean || options.contrast || options.centre ||
         options.whiten != Whitening::kNone;
}

/// Fits the steps to the train split and applies them to all.
void preprocess(DataFile& data, const PreprocessingRequest& request) {
  data.preprocessing =
      fit_preprocessing(real_rows(data.split("train")), request, weights_of(data.split("train")));
  for (auto& [split, table] : data.splits) {
    const Matrix rows = data.preprocessing.apply(real_rows(table));
    table.bytes = {};
    table.columns = rows.cols();
    table.floats = std::vector<float>(rows.data(), rows.data() + rows.size());
  }
}

/// Leaves out sequences and sites, and says how many.
void sift(DataFile& data, const ConversionOptions& options) {
  const bool sifts = options.unique || options.max_gaps < 1.0 || options.max_column_gaps < 1.0;
  if (data.alphabet.empty()) {
    if (sifts || options.reweight.rule != ReweightRule::kNone || options.split_identity)
      throw UsageError(
          "data: --unique, --max-gaps, --max-column-gaps, --reweight and --split-identity are for sequences "
          "of letters");
    return;
  }
  const int gap = gap_of(data.alphabet);
  const auto keep = [&](const std::string& split, const std::vector<Index>& kept, const char* why) {
    const Index dropped = data.split(split).rows - static_cast<Index>(kept.size());
    if (dropped == 0) return;
    if (kept.empty()) throw DataError(data.name + ": no sequence of " + split + " is left: all " + why);
    keep_cases(split, kept, data);
    data.remarks.push_back(format("%lld sequences of %s %s, and are left out",
                                  static_cast<long long>(dropped), split.c_str(), why));
  };
  if (options.max_column_gaps < 1.0) {
    const CategoricalData cases =
        categorical(data, data.splits.count("train") > 0 ? "train" : data.splits.begin()->first);
    const Eigen::VectorXd means = cases.means();
    std::vector<Index> kept;
    for (Index site = 0; site < data.columns(); ++site) {
      if (gap < 0 || means[site * cases.letters().most() + gap] <= options.max_column_gaps)
        kept.push_back(site);
    }
    if (kept.empty()) throw DataError(data.name + ": no site has so few gaps");
    if (static_cast<Index>(kept.size()) < data.columns())
      data.remarks.push_back(
          format("%lld sites have too many gaps, and are left out",
                 static_cast<long long>(data.columns() - static_cast<Index>(kept.size()))));
    keep_columns(kept, data);
  }
  std::vector<std::string> splits;
  for (const auto& [split, table] : data.splits) splits.push_back(split);
  for (const std::string& split : splits) {
    if (options.max_gaps < 1.0) {
      const Table& table = data.split(split);
      std::vector<Index> kept;
      for (Index n = 0; n < table.rows; ++n) {
        Index gaps = 0;
        for (Index site = 0; site < table.columns; ++site)
          gaps += table.at(n * table.columns + site) == gap ? 1 : 0;
        if (static_cast<double>(gaps) <= options.max_gaps * static_cast<double>(table.columns))
          kept.push_back(n);
      }
      keep(split, kept, "have too many gaps");
    }
    if (options.unique) keep(split, distinct_rows(data.split(split)), "are as one before");
  }
}

/// Refuses steps that do not go together.
void check_steps(const DataFile& data, const ConversionOptions& options) {
  const bool converts = !options.patches.empty() || preprocesses(options);
  const bool binarises = options.binarize != BinarizeChoice();
  if (converts && options.out.empty()) throw UsageError("data: --out is required where data are converted");
  if (converts && !data.preprocessing.empty()) throw UsageError(data.name + ": is preprocessed already");
  if (options.components && options.whiten != Whitening::kPca)
    throw UsageError("data: --components is for --whiten pca");
  if (options.contrast_floor != PreprocessingRequest().contrast_floor && !options.contrast)
    throw UsageError("data: --contrast-floor is for --contrast");
  if (options.regularisation != PreprocessingRequest().regularisation && options.whiten == Whitening::kNone)
    throw UsageError("data: --whiten-regularisation is for --whiten");
  if (options.binarize.rule == BinarizeMethod::kSampleEach)
    throw UsageError("data: --binarize sample-each draws during training; --binarize sample draws once");
  if (binarises && options.out.empty()) throw UsageError("data: --binarize needs --out");
  if (converts && binarises) throw UsageError("data: --binarize does not go with real-valued preprocessing");
  if (!converts) return;
  for (const auto& [split, table] : data.splits) {
    for (const float x : table.floats) {
      if (!std::isfinite(x))
        throw DataError(data.name + ": /" + split + "/x: found a number that is not finite");
    }
  }
}

SplitSummary summary_of(const std::string& split, const Table& table) {
  SplitSummary summary;
  summary.name = split;
  summary.rows = table.rows;
  double sum = 0.0;
  for (Index i = 0; i < table.columns; ++i) {
    bool same = true;
    for (Index n = 0; n < table.rows; ++n) {
      const double x = table.at(n * table.columns + i);
      if (!std::isfinite(x)) {
        ++summary.not_finite;
        continue;
      }
      summary.minimum = std::min(summary.minimum, x);
      summary.maximum = std::max(summary.maximum, x);
      summary.binary = summary.binary && (x == 0.0 || x == 1.0);
      sum += x;
      same = same && x == table.at(i);
    }
    summary.constant_columns += same ? 1 : 0;
  }
  summary.mean =
      sum / static_cast<double>(std::max<std::int64_t>(1, table.rows * table.columns - summary.not_finite));
  return summary;
}

/// Every split as bits.
void binarise(DataFile& data, const ConversionOptions& options, std::uint64_t seed) {
  const Binarization rule = binarization_for(data, options.binarize, seed);
  for (auto& [split, table] : data.splits) {
    const BinaryData bits = binarize(data, split, rule);
    if (split == "train" && !options.allow_constant) require_varying(data, table, bits);
    Table binary;
    binary.rows = table.rows;
    binary.columns = table.columns;
    binary.weights = table.weights;
    for (Index n = 0; n < bits.n_cases(); ++n) {
      for (Index i = 0; i < bits.n_visible(); ++i) binary.bytes.own().push_back(bits.value(n, i) ? 1 : 0);
    }
    table = std::move(binary);
  }
}

}  // namespace

ConversionResult convert_data(const std::string& name, const ConversionOptions& options,
                              const Executor& executor, Listener& listener) {
  if (!options.out.empty()) require_table(options.out, {name}, true);
  if (!options.logo.empty()) {
    require_picture(options.logo);
    require_output(options.logo, {name});
  }
  const ReadingOptions reading{options.columns, options.shape, options.transpose,
                               [&](double fraction) { listener.reading(name, fraction); }};
  DataFile data = load_data(name, reading, options.out.empty());
  check_steps(data, options);
  const auto seed = static_cast<std::uint64_t>(options.seed);
  sift(data, options);
  if (options.split_identity && options.valid <= 0 && options.test <= 0)
    throw UsageError("data: --split-identity is for --valid and --test");
  if (options.valid > 0 || options.test > 0) {
    const std::vector<Index> cluster =
        options.split_identity ? identity_clusters(data.split("train"), *options.split_identity, executor,
                                                   stage(listener, "comparing sequences"))
                               : std::vector<Index>();
    deal(data, options.valid, options.test, seed, cluster);
  }
  if (options.reweight.rule != ReweightRule::kNone) {
    for (auto& [split, table] : data.splits)
      table.weights = sequence_weights(table, options.reweight, gap_of(data.alphabet), executor,
                                       stage(listener, "weighing sequences"));
  }
  if (!options.patches.empty()) cut_patches(data, options.patches);
  if (options.dequantise) {
    for (auto& [split, table] : data.splits) dequantise(table, split, seed);
  }
  if (preprocesses(options)) preprocess(data, request_of(options));
  ConversionResult result{name, data.columns(), data.visible_shape, {}, {}, data.notes, data.remarks,
                          {},   options.out};
  if (!data.alphabet.empty())
    result.alignment = summary_of_alignment(data, executor, stage(listener, "comparing sequences"));
  if (!options.logo.empty()) {
    if (data.alphabet.characters.empty())
      throw UsageError("data: --logo is for sequences of letters, which " + name + " does not hold");
    drawing_of_alignment(result.alignment->frequencies, data.alphabet.characters, gap_of(data.alphabet))
        .write(options.logo);
  }
  for (const auto& [split, table] : data.splits) result.splits.push_back(summary_of(split, table));
  for (const auto& [split, y] : data.labels) result.labels.emplace_back(split, y.size());
  if (!options.out.empty()) {
    if (options.binarize != BinarizeChoice()) binarise(data, options, seed);
    write_data(data, options.out);
  }
  return result;
}

std::string ConversionResult::words() const {
  std::string text = name + ": " + std::to_string(columns) + " columns";
  for (const SplitSummary& split : splits) {
    text += format("\n  %-5s %lld rows, values %g to %g, %s %.4f, %lld constant columns, %lld not finite",
                   split.name.c_str(), static_cast<long long>(split.rows), split.minimum, split.maximum,
                   split.binary ? "density of ones" : "mean", split.mean,
                   static_cast<long long>(split.constant_columns), static_cast<long long>(split.not_finite));
  }
  if (alignment) {
    text += format("\n  letters %s, effective number of train sequences %.2f, gaps %.1f %%",
                   alignment->letters.empty() ? "of each site its own" : alignment->letters.c_str(),
                   alignment->effective, 100.0 * alignment->gaps);
  }
  if (!visible_shape.empty())
    text += "\n  shape " + to_string(Shape(visible_shape.begin(), visible_shape.end()));
  for (const auto& [split, count] : labels) text += "\n  " + split + " labels: " + std::to_string(count);
  for (const std::string& remark : remarks) text += "\n  " + remark;
  for (const auto& [note, words] : notes) text += "\n  " + note + ": " + words;
  return text;
}

}  // namespace tempera
