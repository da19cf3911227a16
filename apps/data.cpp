// tempera data
#include <cmath>
#include <memory>

#include "options.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/data_files.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string data;
  std::string binarize = "none";
  std::string out;
  std::int64_t seed = 1;
};

int run(const Options& options) {
  DataFile data = load_data(options.data, true);
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
  for (const auto& [note, words] : data.notes) text += "\n  " + note + ": " + words;
  if (!options.out.empty()) {
    if (options.binarize != "none") {
      const Binarization rule = binarization_for(data, options.binarize);
      for (auto& [split, table] : data.splits) {
        const BinaryData bits = binarize(data, split, rule, static_cast<std::uint64_t>(options.seed));
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
  CLI::App& app = *program.add_subcommand("data", "describe a data set, convert it to HDF5, binarise it");
  app.add_option("DATA", options->data, "built-in name or file (HDF5, IDX, .npy, .npz, .csv)")->required();
  app.add_option("--binarize", options->binarize, "none, threshold or sample")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--out", options->out, "HDF5 file to write");
  app.add_option("--seed", options->seed, "seed of --binarize sample")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
