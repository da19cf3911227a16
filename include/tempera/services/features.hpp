// Learned filters, as pictures and numbers, and how they respond to data and to samples.
#pragma once

#include <array>
#include <filesystem>
#include <utility>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/services/facts.hpp"
#include "tempera/services/model_io.hpp"
#include "tempera/services/pictures.hpp"

namespace tempera {

enum class FilterOrder { kNorm, kUsage };
template <>
struct Names<FilterOrder> {
  static constexpr std::array<NamedValue<FilterOrder>, 2> table = {
      {{FilterOrder::kNorm, "norm", "of the filter"},
       {FilterOrder::kUsage, "usage", "mean of the hidden unit over the data"}}};
};

struct FeatureOptions {
  std::string shape;  // HEIGHTxWIDTH; empty: the file's
  ColumnOptions columns;
  FilterOrder sort = FilterOrder::kNorm;
  DataSource data;
  std::string samples;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"shape", "HEIGHTxWIDTH of the visibles; the file's where not given, else one row", true},
      s.shape...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"sort", "order of the filters, the largest first", true}, s.sort...);
    f(
        OptionText{
            "data",
            "real-valued data: generalised Gaussians are fitted to the responses of the filters (each of "
            "length 1) to its test split. Sequences: a histogram of what every hidden unit gets from them"},
        s.data...);
    f(OptionText{"samples", "samples of the model (tempera sample --out), whose responses are fitted beside"},
      s.samples...);
  }
};

/// Generalised Gaussians of the responses of filters of length 1 to cases, one for each filter
/// (docs/mathematics/metrics.md 4.17).
struct Responses {
  std::string to;  // "data" or "samples"
  std::vector<float> mean;
  std::vector<float> scale;
  std::vector<float> shape;
};

/// What the hidden units of a machine of letters get from cases.
struct UnitInputs {
  Matrix inputs;               // cases x units
  std::vector<double> counts;  // how often each case counts
};

struct FeatureResult {
  Matrix filters;     // filters x values of a raw case
  Vector importance;  // of every filter, what `sort` measures
  FilterOrder sort = FilterOrder::kNorm;
  FilterGrid grid;  // how a picture lays them out
  std::vector<std::int64_t> visible_shape;
  std::vector<Responses> responses;
  Alphabet alphabet;  // of filters of letters
  UnitInputs inputs;  // empty where there are no sequences
};

/// Filters of a model in the values of raw cases, by their norms. Cost: a copy.
template <EnergyModel M>
FeatureResult features_of(const ModelFile<M>& file);

/// The same as the options ask for, with responses to data. Throws UsageError where they mean nothing with
/// this model, or where usage is asked for of a file that is no checkpoint; DataError, NoInputError.
FeatureResult find_features(AnyModelFile model, const FeatureOptions& options, Listener& listener);

/// The filters as tiles, most important first, at most 1024 of them. Filters that belong together stay side
/// by side, and cells of a table keep their places. Filters of letters are sites x letters.
TilePicture picture_of_filters(const FeatureResult& features);

/// Throws UsageError where a path ends neither in .h5 nor as a picture does.
void require_features(const std::filesystem::path& path);

/// HDF5 where the path ends in .h5: /features/filters, /features/<sort> and /responses/<data>/... in the
/// order of the hidden units. Else a picture, of letters of one character a page of logos. Throws WriteError.
void write_features(const FeatureResult& features, const std::filesystem::path& path);

/// Median of the values of a list that is not empty.
float median_of(std::vector<float> values);

/// What was written to `path`, in words.
std::string words(const FeatureResult& features, const std::filesystem::path& path);

}  // namespace tempera
