// tempera data
#include <algorithm>
#include <cmath>
#include <memory>

#include "options.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/hdf5.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string data;
  std::string binarize = "none";
  std::string patches;
  PreprocessingRequest request;
  bool chosen_floor = false;           // --contrast-floor was given
  bool chosen_regularisation = false;  // --whiten-regularisation was given
  std::string out;
  double valid = 0.0;
  double test = 0.0;
  std::int64_t seed = 1;
};

/// Cases of a table, in the order given.
Table rows_of(const Table& table, std::span<const Index> rows) {
  Table part;
  part.rows = static_cast<Index>(rows.size());
  part.columns = table.columns;
  for (const Index n : rows) {
    const Index first = n * table.columns;
    if (table.is_bytes()) {
      part.bytes.insert(part.bytes.end(), table.bytes.begin() + first,
                        table.bytes.begin() + first + table.columns);
    } else {
      part.floats.insert(part.floats.end(), table.floats.begin() + first,
                         table.floats.begin() + first + table.columns);
    }
  }
  return part;
}

/// Deals the cases of the only split at random into train, valid and test.
void deal(DataFile& data, double valid, double test, std::uint64_t seed) {
  if (data.splits.size() != 1 || data.splits.count("train") == 0)
    throw UsageError(data.name + ": has splits already; --valid and --test deal out a single one");
  const Table all = std::move(data.splits.at("train"));
  const std::vector<std::int64_t> labels = data.labels["train"];
  data.splits.clear();
  data.labels.clear();
  const std::vector<Index> order = permutation(all.rows, StreamFactory{seed}.engine(Purpose::kDataSet, 0));
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
    std::vector<Index> rows(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(n));
    std::sort(rows.begin(), rows.end());
    left = left.subspan(n);
    data.splits[split] = rows_of(all, rows);
    for (const Index k : rows) {
      if (!labels.empty()) data.labels[split].push_back(labels[static_cast<std::size_t>(k)]);
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
        for (Index i = 0; i < height; ++i) {
          for (Index j = 0; j < width; ++j)
            cases.floats.push_back(
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
  data.visible_shape = {height, width};
}

/// Grey levels plus uniform noise in [0, 1): a density of levels becomes one of real numbers.
void dequantise(Table& table, const std::string& split, std::uint64_t seed) {
  for (const float x : table.floats) {
    if (x != std::floor(x))
      throw DataError(split + format(": found %g: --dequantise is for whole grey levels", x));
  }
  const std::uint64_t number = (std::uint64_t{1} << 55) + (split == "train" ? 0 : split == "valid" ? 1 : 2);
  std::vector<float> floats(static_cast<std::size_t>(table.rows * table.columns));
  for (Index n = 0; n < table.rows; ++n) {
    StreamEngine engine =
        StreamFactory{seed}.engine(Purpose::kDataNoise, number, static_cast<std::uint32_t>(n));
    for (Index i = 0; i < table.columns; ++i) {
      const Index k = n * table.columns + i;
      floats[static_cast<std::size_t>(k)] =
          static_cast<float>(table.at(k)) + static_cast<float>(engine() >> 8) * 0x1p-24F;
    }
  }
  table.bytes.clear();
  table.floats = std::move(floats);
}

bool preprocesses(const PreprocessingRequest& request) {
  return request.dequantise || request.remove_mean || request.contrast || request.centre ||
         request.whiten != "none";
}

/// Fits the steps to the train split and applies them to all.
void preprocess(DataFile& data, const PreprocessingRequest& request) {
  data.preprocessing = fit_preprocessing(real_rows(data.split("train")), request);
  for (auto& [split, table] : data.splits) {
    const Matrix rows = data.preprocessing.apply(real_rows(table));
    table.bytes.clear();
    table.columns = rows.cols();
    table.floats.assign(rows.data(), rows.data() + rows.size());
  }
}

int run(const Options& options) {
  DataFile data = load_data(options.data, true);
  const bool converts = !options.patches.empty() || preprocesses(options.request);
  if (converts && options.out.empty()) throw UsageError("data: --out is required where data are converted");
  if (converts && !data.preprocessing.empty()) throw UsageError(options.data + ": is preprocessed already");
  if (options.request.components > 0 && options.request.whiten != "pca")
    throw UsageError("data: --components is for --whiten pca");
  if (options.chosen_floor && !options.request.contrast)
    throw UsageError("data: --contrast-floor is for --contrast");
  if (options.chosen_regularisation && options.request.whiten == "none")
    throw UsageError("data: --whiten-regularisation is for --whiten");
  if (options.binarize != "none" && options.out.empty()) throw UsageError("data: --binarize needs --out");
  if (converts && options.binarize != "none")
    throw UsageError("data: --binarize does not go with real-valued preprocessing");
  if (converts) {
    for (const auto& [split, table] : data.splits) {
      for (const float x : table.floats) {
        if (!std::isfinite(x))
          throw DataError(options.data + ": /" + split + "/x: found a number that is not finite");
      }
    }
  }
  if (options.valid > 0 || options.test > 0)
    deal(data, options.valid, options.test, static_cast<std::uint64_t>(options.seed));
  if (!options.patches.empty()) cut_patches(data, options.patches);
  if (options.request.dequantise) {
    for (auto& [split, table] : data.splits)
      dequantise(table, split, static_cast<std::uint64_t>(options.seed));
  }
  if (preprocesses(options.request)) preprocess(data, options.request);
  Json json = {{"data", options.data}, {"columns", data.columns()}};
  if (!data.visible_shape.empty()) json["visible_shape"] = data.visible_shape;
  std::string text = options.data + ": " + std::to_string(data.columns()) + " columns";
  for (const auto& [split, table] : data.splits) {
    double low = INFINITY;
    double high = -INFINITY;
    bool binary = true;
    double sum = 0;
    std::int64_t not_finite = 0;
    std::int64_t constant = 0;
    for (Index i = 0; i < table.columns; ++i) {
      bool same = true;
      for (Index n = 0; n < table.rows; ++n) {
        const double x = table.at(n * table.columns + i);
        if (!std::isfinite(x)) {
          ++not_finite;
          continue;
        }
        low = std::min(low, x);
        high = std::max(high, x);
        binary = binary && (x == 0.0 || x == 1.0);
        sum += x;
        same = same && x == table.at(i);
      }
      constant += same ? 1 : 0;
    }
    const auto finite =
        static_cast<double>(std::max<std::int64_t>(1, table.rows * table.columns - not_finite));
    const double mean = sum / finite;
    Json row = {{"rows", table.rows},
                {"binary", binary},
                {"mean", mean},
                {"constant_columns", constant},
                {"not_finite", not_finite}};
    if (binary) row["density_of_ones"] = mean;
    if (low <= high) {
      row["minimum"] = low;
      row["maximum"] = high;
    }
    json["splits"][split] = row;
    text += format("\n  %-5s %lld rows, values %g to %g, %s %.4f, %lld constant columns, %lld not finite",
                   split.c_str(), static_cast<long long>(table.rows), low, high,
                   binary ? "density of ones" : "mean", mean, static_cast<long long>(constant),
                   static_cast<long long>(not_finite));
  }
  if (!data.visible_shape.empty())
    text += "\n  shape " + to_string(Shape(data.visible_shape.begin(), data.visible_shape.end()));
  for (const auto& [split, y] : data.labels) text += "\n  " + split + " labels: " + std::to_string(y.size());
  for (const auto& [note, words] : data.notes) text += "\n  " + note + ": " + words;
  if (!options.out.empty()) {
    if (options.binarize != "none") {
      const Binarization rule =
          binarization_for(data, options.binarize, static_cast<std::uint64_t>(options.seed));
      for (auto& [split, table] : data.splits) {
        const BinaryData bits = binarize(data, split, rule);
        Table binary;
        binary.rows = table.rows;
        binary.columns = table.columns;
        for (Index n = 0; n < bits.n_cases(); ++n) {
          for (Index i = 0; i < bits.n_visible(); ++i) binary.bytes.push_back(bits.value(n, i) ? 1 : 0);
        }
        table = std::move(binary);
      }
    }
    write_data(data, options.out);
    json["out"] = options.out;
  }
  print_result(options.common, json, text);
  return 0;
}

}  // namespace

void setup_data(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("data", "describe a data set, convert it to HDF5, split it, binarise it");
  app.add_option("DATA", options->data, "built-in name or file (HDF5, IDX, .npy, .npz, .csv)")->required();
  app.add_option("--binarize", options->binarize, "none, threshold or sample")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--patches", options->patches,
                 "HEIGHTxWIDTH: cut pictures into patches of this shape, a case each");
  app.add_flag("--dequantise", options->request.dequantise, "add uniform noise in [0, 1) to grey levels");
  app.add_flag("--remove-mean", options->request.remove_mean, "subtract from each case its mean");
  app.add_flag("--contrast", options->request.contrast,
               "divide each case by sqrt(its variance + the floor): contrast normalisation");
  const CLI::Option* const floor = app.add_option("--contrast-floor", options->request.contrast_floor,
                                                  "added to the variance of a case, in its units")
                                       ->check(CLI::NonNegativeNumber)
                                       ->capture_default_str();
  app.add_flag("--centre", options->request.centre, "subtract the mean of the train split");
  app.add_option("--whiten", options->request.whiten,
                 "none, zca (as many values) or pca (on principal axes), after centring; the inverse is kept")
      ->check(CLI::IsMember({"none", "zca", "pca"}))
      ->capture_default_str();
  const CLI::Option* regularisation =
      app.add_option("--whiten-regularisation", options->request.regularisation,
                     "part of the mean variance that is added to that of every axis")
          ->check(CLI::NonNegativeNumber)
          ->capture_default_str();
  app.add_option("--components", options->request.components,
                 "axes of pca at most; 0: all along which the data vary")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--out", options->out, "HDF5 file to write");
  app.add_option("--valid", options->valid,
                 "fraction of the cases of an unsplit set that becomes the valid split")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--test", options->test, "fraction that becomes the test split")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "seed of --binarize sample, --dequantise and the splits")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, floor, regularisation, &exit_code] {
    options->chosen_floor = floor->count() > 0;
    options->chosen_regularisation = regularisation->count() > 0;
    exit_code = run(*options);
  });
}

}  // namespace tempera::apps
