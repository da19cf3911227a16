#include "tempera/services/exporting.hpp"

#include <algorithm>

#include "tempera/core/format.hpp"
#include "tempera/io/tables.hpp"
#include "tempera/services/alignment.hpp"
#include "tempera/services/model_arrays.hpp"

namespace tempera {
namespace {

/// Weights with a row for every visible, or letter of a site, and the shape that they have in a file.
struct Restricted {
  std::vector<double> weights;
  std::vector<double> visible_bias;
  std::vector<double> hidden_bias;
  Shape shape;

  [[nodiscard]] bool has_letters() const { return shape.size() == 3; }
  [[nodiscard]] std::size_t n_hidden() const { return hidden_bias.size(); }
  [[nodiscard]] std::size_t n_visible() const { return visible_bias.size(); }
};

/// Nothing where a model has other parameters than those of binary hidden units.
std::optional<Restricted> restricted(const AnyModelFile& model) {
  const ModelDescription description = describe_model(model);
  if (!description.discrete || description.hidden_units != kUsualHiddenUnits) return std::nullopt;
  Restricted found;
  for (const ParameterArray& array : parameters_of(model)) {
    std::vector<double>* const into = array.name == "weights"        ? &found.weights
                                      : array.name == "visible_bias" ? &found.visible_bias
                                      : array.name == "hidden_bias"  ? &found.hidden_bias
                                                                     : nullptr;
    if (into == nullptr) return std::nullopt;
    std::visit([into](const auto& values) { into->assign(values.begin(), values.end()); }, array.values);
    if (array.name == "weights") found.shape = array.shape;
  }
  return found;
}

/// The letter of every site becomes one of no weight and no bias. Returns what log Z is more by.
double to_lattice_gas(std::size_t letter, Restricted& model) {
  const std::size_t most = model.shape[1];
  const std::size_t n = model.n_hidden();
  double offset = 0.0;
  for (std::size_t s = 0; s < model.shape[0]; ++s) {
    const std::vector<double> row(
        model.weights.begin() + static_cast<std::ptrdiff_t>((s * most + letter) * n),
        model.weights.begin() + static_cast<std::ptrdiff_t>((s * most + letter + 1) * n));
    const double bias = model.visible_bias[s * most + letter];
    for (std::size_t a = 0; a < most; ++a) {
      for (std::size_t j = 0; j < n; ++j) model.weights[(s * most + a) * n + j] -= row[j];
      model.visible_bias[s * most + a] -= bias;
    }
    for (std::size_t j = 0; j < n; ++j) model.hidden_bias[j] += row[j];
    offset -= bias;
  }
  return offset;
}

template <class T>
std::vector<float> as_floats(const std::vector<T>& values) {
  return {values.begin(), values.end()};
}

void write_rbms(const Restricted& model, const std::filesystem::path& out) {
  Hdf5Writer file{OtherFormat()};
  file.text("/model_type", model.has_letters() ? "PBRBM" : "BBRBM");
  const std::string group = "/update_1/params/";
  file.dataset(group + "weight_matrix", model.shape, as_floats(model.weights).data());
  const Shape bias(model.shape.begin(), model.shape.end() - 1);
  file.dataset(group + "vbias", bias, as_floats(model.visible_bias).data());
  file.dataset(group + "hbias", {model.n_hidden()}, as_floats(model.hidden_bias).data());
  file.write(out);
}

void write_numpy(const Restricted& model, bool sklearn, const std::filesystem::path& out) {
  if (table_format(out) != TableFormat::kNpz)
    throw UsageError("export: --out " + out.string() + ": arrays of NumPy go into an .npz file");
  std::vector<float> weights = as_floats(model.weights);
  Shape shape = model.shape;
  if (sklearn) {
    const Eigen::Map<const Matrix> plain(weights.data(), static_cast<Index>(shape[0]),
                                         static_cast<Index>(shape[1]));
    const Matrix turned = plain.transpose();
    weights.assign(turned.data(), turned.data() + turned.size());
    std::reverse(shape.begin(), shape.end());
  }
  const std::vector<float> visible = as_floats(model.visible_bias);
  const std::vector<float> hidden = as_floats(model.hidden_bias);
  write_arrays(out,
               {{sklearn ? "components_" : "W", shape, std::span<const float>(weights)},
                {sklearn ? "intercept_visible_" : "a", {visible.size()}, std::span<const float>(visible)},
                {sklearn ? "intercept_hidden_" : "b", {hidden.size()}, std::span<const float>(hidden)}});
}

}  // namespace

std::string ExportResult::words() const {
  std::string text = path.string() + ": a model of " + std::string(name_of(format));
  if (log_partition_offset != 0.0)
    text += tempera::format(", whose log Z is %.6f nats above the model's", log_partition_offset);
  return text;
}

ExportResult export_model(const AnyModelFile& model, const ExportOptions& options,
                          const std::filesystem::path& out) {
  std::optional<Restricted> found = restricted(model);
  if (!found)
    throw UsageError("export: is for restricted machines of binary hidden units, of bits or letters");
  ExportResult result{out, options.format, 0.0};
  const Alphabet alphabet = describe_model(model).alphabet;
  if (options.gauge == LetterGauge::kLatticeGas) {
    if (!found->has_letters()) throw UsageError("export: --gauge is of machines of letters");
    if (!alphabet.words.empty())
      throw UsageError("export: --gauge lattice-gas is for sites that all have the same letters");
    result.log_partition_offset =
        to_lattice_gas(static_cast<std::size_t>(std::max(gap_of(alphabet), 0)), *found);
  }
  if (options.format == ExportFormat::kRbms) {
    if (out.extension() != ".h5" && out.extension() != ".hdf5")
      throw UsageError("export: --out " + out.string() + ": rbms has HDF5 files, which end in .h5");
    write_rbms(*found, out);
  } else {
    if (found->has_letters())
      throw UsageError("export: " + std::string(name_of(options.format)) +
                       " has no letters; say --format rbms");
    write_numpy(*found, options.format == ExportFormat::kSklearn, out);
  }
  return result;
}

}  // namespace tempera
