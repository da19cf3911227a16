#include "tempera/services/features.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "case_blocks.hpp"
#include "logos.hpp"
#include "tempera/core/format.hpp"
#include "tempera/diagnostics/generalised_gaussian.hpp"
#include "tempera/services/data_kind.hpp"

namespace tempera {
namespace {

/// A picture with more filters than this shows none of them.
constexpr std::size_t kMaxTiles = 1024;

/// `filters`: values x filters; `cases`: cases x values.
Responses fit_responses(const std::string& to, const Matrix& filters, const Matrix& cases,
                        const CaseWeights& weights = {}) {
  Responses found;
  found.to = to;
  for (Index m = 0; m < filters.cols(); ++m) {
    const float norm = filters.col(m).norm();
    const Vector values = cases * (filters.col(m) / (norm > 0 ? norm : 1.0F));
    const GeneralisedGaussian law =
        fit_generalised_gaussian({values.data(), static_cast<std::size_t>(values.size())}, weights);
    found.mean.push_back(static_cast<float>(law.mean));
    found.scale.push_back(static_cast<float>(law.scale));
    found.shape.push_back(static_cast<float>(law.shape));
  }
  return found;
}

/// Visibles of a file of samples.
Matrix read_samples(const std::filesystem::path& path, Index n_visible) {
  const Hdf5Reader file(path);
  const std::string name = "/samples/visible";
  const Shape shape = file.shape(name);
  if (shape.size() != 2 || shape[0] == 0 || shape[1] != static_cast<std::uint64_t>(n_visible))
    file.fail(name, "expected shape (n, " + std::to_string(n_visible) + "), found " + to_string(shape));
  Matrix rows(static_cast<Index>(shape[0]), n_visible);
  file.dataset(name, shape, rows.data());
  return rows;
}

/// Natural-image statistics: responses to the test split (train where there is none) and to samples.
template <EnergyModel M>
std::vector<Responses> responses_of(const ModelFile<M>& file, const FeatureOptions& options,
                                    Listener& listener) {
  if (!options.samples.empty() && options.data.empty())
    throw UsageError("features: --samples is compared with --data");
  if (options.data.empty() || HasLetters<M>) return {};
  if (M::kDiscrete) throw UsageError("features: --data is for models of real values");
  const DataFile data = read_data_file(options.data, {columns_for(file, options.columns)}, listener);
  const std::string split = data.splits.count("test") > 0 ? "test" : "train";
  const typename M::Data cases = data_for_model(file, data, {split}, listener);
  const RealData& numbers = *as_numbers(cases);
  const Matrix filters = M::filters(file.theta);
  std::vector<Responses> all = {fit_responses("data", filters, rows_of(numbers), numbers.weights())};
  if (!options.samples.empty()) {
    all.push_back(fit_responses("samples", filters,
                                file.units.standardised(read_samples(options.samples, numbers.n_visible()))));
  }
  return all;
}

/// Inputs of the hidden units from the train split, or the first that there is.
template <EnergyModel M>
UnitInputs inputs_of(const ModelFile<M>& file, const FeatureOptions& options, Listener& listener) {
  UnitInputs found;
  if constexpr (HasLetters<M> && HasLatentMarginal<M>) {
    if (options.data.empty()) return found;
    const DataFile data = read_data_file(options.data, {columns_for(file, options.columns)}, listener);
    const std::string split = data.splits.count("train") > 0 ? "train" : data.splits.begin()->first;
    const typename M::Data cases = data_for_model(file, data, {split}, listener);
    const Executor executor(1);
    const Engine engine{file.model, {}, executor};
    found.inputs.resize(cases.n_cases(), file.model.latents());
    for_each_case_block(engine, file.theta, cases, stage(listener, "reading hidden units"),
                        [&](Index first, const auto&, const auto& cache) {
                          LaneMatrix logits(file.model.latents(), kLanes);
                          file.model.latent_logits(file.theta, cache, logits);
                          found.inputs.middleRows(first, cache.lanes) =
                              logits.leftCols(cache.lanes).transpose();
                        });
    for (Index n = 0; n < cases.n_cases(); ++n) found.counts.push_back(cases.weights()[n]);
  }
  return found;
}

/// Mean of the unit of every filter over the data, as a checkpoint holds it.
template <EnergyModel M>
Vector read_usage(const ModelFile<M>& file, Index n_filters) {
  const std::string offsets(M::kUsageOffsets);
  if (offsets.empty()) throw UsageError("--sort usage means nothing with " + std::string(M::kKind));
  const Hdf5Reader checkpoint(file.path);
  const std::string path = "/state/offsets/" + offsets;
  if (!checkpoint.has(path))
    throw UsageError("--sort usage needs a checkpoint, which holds the mean of each hidden unit");
  Vector usage(n_filters);
  checkpoint.dataset(path, {static_cast<std::uint64_t>(n_filters)}, usage.data());
  return usage;
}

bool is_hdf5_name(const std::filesystem::path& path) { return path.extension() == ".h5"; }

std::string name_of_sort(const FeatureResult& features) { return std::string(name_of(features.sort)); }

/// The most important filters first, at most so many; those of a table keep their places, those of a group
/// stay side by side.
std::vector<Index> shown(const FeatureResult& features, std::size_t most) {
  std::vector<Index> order(static_cast<std::size_t>(features.importance.size()));
  std::iota(order.begin(), order.end(), Index{0});
  const Index group = features.grid.group;
  const auto of_group = [&](Index j) {
    return features.importance.segment(j / group * group, group).maxCoeff();
  };
  if (!features.grid.table)
    std::stable_sort(order.begin(), order.end(), [&](Index a, Index b) { return of_group(a) > of_group(b); });
  order.resize(std::min(order.size(), most));
  return order;
}

/// Filters of standardised values, one a row, as those of the data's units.
Matrix filters_in_units(Matrix filters, const Standardisation& units) {
  if (units.empty()) return filters;
  return filters.array().rowwise() / units.scale.cast<float>().transpose().array();
}

}  // namespace

template <EnergyModel M>
FeatureResult features_of(const ModelFile<M>& file) {
  FeatureResult features;
  const Matrix filters = filters_in_units(M::filters(file.theta).transpose(), file.units);
  features.filters = file.preprocessing.empty() ? filters : file.preprocessing.invert(filters, false);
  features.importance = M::filters(file.theta).colwise().norm();
  features.grid = file.model.filter_grid();
  features.visible_shape = file.drawn_shape();
  features.alphabet = file.alphabet;
  return features;
}

FeatureResult find_features(AnyModelFile model, const FeatureOptions& options, Listener& listener) {
  return std::visit(
      [&](auto& file) {
        if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.n_raw());
        FeatureResult features = features_of(file);
        features.sort = options.sort;
        features.responses = responses_of(file, options, listener);
        features.inputs = inputs_of(file, options, listener);
        if (options.sort == FilterOrder::kUsage)
          features.importance = read_usage(file, features.importance.size());
        return features;
      },
      model);
}

TilePicture picture_of_filters(const FeatureResult& features) {
  TilePicture picture;
  picture.shape = picture_shape(features.visible_shape, features.filters.cols());
  picture.colours = ColourMap::kDiverging;
  picture.columns = features.grid.columns;
  for (const Index j : shown(features, kMaxTiles)) {
    const Vector filter = features.filters.row(j);
    picture.tiles.emplace_back(filter.begin(), filter.end());
  }
  return picture;
}

namespace {

/// Pages with more hidden units than this show the most important ones.
constexpr std::size_t kMostUnits = 200;

Canvas page_of_letters(const FeatureResult& features) {
  std::vector<UnitOfLetters> units;
  for (const Index j : shown(features, kMostUnits)) {
    UnitOfLetters& unit = units.emplace_back();
    unit.number = j;
    unit.importance = static_cast<double>(features.importance[j]);
    const Vector filter = features.filters.row(j);
    unit.weights =
        Eigen::Map<const Matrix>(filter.data(), features.visible_shape[0], features.visible_shape[1]);
    if (features.inputs.counts.empty()) continue;
    double total = 0.0;
    for (Index n = 0; n < features.inputs.inputs.rows(); ++n) {
      const float input = features.inputs.inputs(n, j);
      const double count = features.inputs.counts[static_cast<std::size_t>(n)];
      unit.inputs.push_back(input);
      unit.activity += count / (1.0 + std::exp(-static_cast<double>(input)));
      total += count;
    }
    unit.activity /= total;
  }
  return drawing_of_units(units, features.inputs.counts, features.alphabet.characters);
}

}  // namespace

void require_features(const std::filesystem::path& path) {
  if (!is_hdf5_name(path)) require_picture(path);
}

void write_features(const FeatureResult& features, const std::filesystem::path& path) {
  if (!is_hdf5_name(path)) {
    if (features.alphabet.characters.empty()) {
      write_picture(picture_of_filters(features), path);
    } else {
      page_of_letters(features).write(path);
    }
    return;
  }
  Hdf5Writer out("features");
  out.dataset("/features/filters", shape_of(features.filters), features.filters.data());
  out.dataset("/features/" + name_of_sort(features), shape_of(features.importance),
              features.importance.data());
  if (!features.inputs.counts.empty())
    out.dataset("/features/inputs", shape_of(features.inputs.inputs), features.inputs.inputs.data());
  write_alphabet(out, "/", features.alphabet);
  for (const Responses& law : features.responses) {
    const Shape shape = {law.shape.size()};
    out.dataset("/responses/" + law.to + "/mean", shape, law.mean.data());
    out.dataset("/responses/" + law.to + "/scale", shape, law.scale.data());
    out.dataset("/responses/" + law.to + "/shape", shape, law.shape.data());
  }
  if (!features.visible_shape.empty()) out.attribute("/", "visible_shape", features.visible_shape);
  write_provenance(out, 0);
  out.write(path);
}

float median_of(std::vector<float> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string words(const FeatureResult& features, const std::filesystem::path& path) {
  std::string text = format("%lld filters, %s: %s", static_cast<long long>(features.importance.size()),
                            is_hdf5_name(path) ? "in the order of the hidden units"
                                               : ("largest " + name_of_sort(features) + " first").c_str(),
                            path.c_str());
  for (const Responses& law : features.responses) {
    text += format(
        "\nresponses to %s, generalised Gaussian, medians: shape %.3f (a Gaussian has 2), scale %.3f",
        law.to.c_str(), static_cast<double>(median_of(law.shape)), static_cast<double>(median_of(law.scale)));
  }
  return text;
}

#define TEMPERA_INSTANTIATE(M) template FeatureResult features_of(const ModelFile<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
