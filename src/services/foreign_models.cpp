#include "tempera/services/foreign_models.hpp"

#include <algorithm>

#include "tempera/core/errors.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/io/file_kind.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;
using RowMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Parameters in double until every conversion is done.
struct Wide {
  RowMatrix weights;  // n_visible x n_hidden
  Eigen::VectorXd visible_bias;
  Eigen::VectorXd hidden_bias;
  Letters letters;
  Eigen::VectorXd visible_precision;
  double log_partition_offset = 0.0;

  [[nodiscard]] ForeignModel narrow(const char* format) const {
    return {format,  weights.cast<float>(),           visible_bias.cast<float>(), hidden_bias.cast<float>(),
            letters, visible_precision.cast<float>(), log_partition_offset};
  }
};

Eigen::VectorXd numbers(const Hdf5Reader& file, const std::string& path, std::uint64_t count) {
  const Shape shape = file.shape(path);
  std::uint64_t found = 1;
  for (const std::uint64_t n : shape) found *= n;
  if (found != count) {
    file.fail(path, "expected " + std::to_string(count) + " numbers, found shape " + to_string(shape));
  }
  Eigen::VectorXd values(static_cast<Index>(count));
  file.dataset(path, shape, values.data());
  return values;
}

/// A string, as a dataset or as an attribute of the root.
std::optional<std::string> text(const Hdf5Reader& file, const std::string& name) {
  if (auto found = file.text_dataset("/" + name)) return found;
  return file.text_attribute("/", name);
}

// --- rbms -------------------------------------------------------------------------------------------------

ForeignModel read_rbms(const Hdf5Reader& file, const std::vector<std::uint64_t>& updates,
                       std::uint64_t update) {
  const auto kind = text(file, "model_type");
  if (kind && *kind != "BBRBM" && *kind != "PBRBM") {
    file.fail(
        "/model_type",
        "'" + *kind + "' has units that are neither binary nor letters; only BBRBM and PBRBM can be read");
  }
  const std::uint64_t chosen = update > 0 ? update : updates.back();
  if (std::find(updates.begin(), updates.end(), chosen) == updates.end())
    file.fail("/update_" + std::to_string(chosen), "expected a saved update, found nothing");
  std::string group = "/update_" + std::to_string(chosen);
  const bool letters_first = !kind && !file.has(group + "/params");
  if (file.has(group + "/params")) group += "/params";
  const std::string path = group + "/weight_matrix";
  const Shape shape = file.shape(path);
  for (const std::uint64_t n : shape) {
    if (n == 0) file.fail(path, "is empty");
  }
  if (kind && (*kind == "PBRBM") != (shape.size() == 3))
    file.fail(path, "expected shape " + std::string(*kind == "PBRBM" ? "(sites, letters, Nh)" : "(Nv, Nh)") +
                        " of " + *kind + ", found " + to_string(shape));
  Wide wide;
  if (shape.size() == 3) {
    // (sites, letters, hidden); of programs that came before (letters, sites, hidden).
    const Index sites = static_cast<Index>(shape[letters_first ? 1 : 0]);
    const Index letters = static_cast<Index>(shape[letters_first ? 0 : 1]);
    const Index hidden = static_cast<Index>(shape[2]);
    if (letters > static_cast<Index>(kMostLetters)) file.fail(path, "has more than 256 letters");
    const Eigen::VectorXd weights = numbers(file, path, shape[0] * shape[1] * shape[2]);
    const Eigen::VectorXd bias = numbers(file, group + "/vbias", shape[0] * shape[1]);
    wide.weights.resize(sites * letters, hidden);
    wide.visible_bias.resize(sites * letters);
    for (Index s = 0; s < sites; ++s) {
      for (Index a = 0; a < letters; ++a) {
        const Index from = letters_first ? a * sites + s : s * letters + a;
        wide.weights.row(s * letters + a) = weights.segment(from * hidden, hidden).transpose();
        wide.visible_bias[s * letters + a] = bias[from];
      }
    }
    wide.letters = alike_letters(sites, letters);
  } else {
    if (shape.size() != 2)
      file.fail(path, "expected shape (Nv, Nh) or (sites, letters, Nh), found " + to_string(shape));
    wide.weights.resize(static_cast<Index>(shape[0]), static_cast<Index>(shape[1]));
    file.dataset(path, shape, wide.weights.data());
    wide.visible_bias = numbers(file, group + "/vbias", shape[0]);
  }
  wide.hidden_bias = numbers(file, group + "/hbias", shape.back());
  return wide.narrow("rbms");
}

/// Numbers N of the groups /update_N, ascending.
std::vector<std::uint64_t> updates_in(const Hdf5Reader& file) {
  std::vector<std::uint64_t> updates;
  const std::string prefix = "update_";
  for (const std::string& name : file.children("/")) {
    if (name.rfind(prefix, 0) != 0 || name.size() == prefix.size() || name.size() > prefix.size() + 15)
      continue;
    if (name.find_first_not_of("0123456789", prefix.size()) != std::string::npos) continue;
    updates.push_back(std::strtoull(name.c_str() + prefix.size(), nullptr, 10));
  }
  std::sort(updates.begin(), updates.end());
  return updates;
}

// --- RestrictedBoltzmannMachines.jl -----------------------------------------------------------------------

/// The kind of a layer, which must be one of these.
std::string layer_kind(const Hdf5Reader& file, const std::string& name,
                       const std::vector<std::string>& known) {
  const auto kind = text(file, name);
  if (!kind) file.fail("/" + name, "expected the kind of a layer, found nothing");
  if (std::find(known.begin(), known.end(), *kind) == known.end()) {
    std::string all;
    for (const std::string& one : known)
      all += (all.empty() ? "" : one == known.back() ? " and " : ", ") + one;
    file.fail("/" + name,
              "layers of kind '" + *kind + "' cannot be units of ours; only " + all + " can be read");
  }
  return *kind;
}

/// Units s = 2 x - 1 in the place of x on one side: E(s) as a function of x, up to a constant.
void spins_to_bits(Wide& m, bool visible) {
  if (visible) {
    m.log_partition_offset -= m.visible_bias.sum();
    m.hidden_bias -= m.weights.colwise().sum().transpose();
    m.visible_bias *= 2.0;
  } else {
    m.log_partition_offset -= m.hidden_bias.sum();
    m.visible_bias -= m.weights.rowwise().sum();
    m.hidden_bias *= 2.0;
  }
  m.weights *= 2.0;
}

ForeignModel read_julia(const Hdf5Reader& file) {
  const std::string kind = text(file, "rbm_type").value_or("");
  if (kind != "RBM" && kind != "CenteredRBM" && kind != "StandardizedRBM")
    file.fail("/rbm_type", "expected RBM, CenteredRBM or StandardizedRBM, found '" + kind + "'");
  const std::string visible_kind = layer_kind(file, "visible_type", {"Binary", "Spin", "Potts", "Gaussian"});
  const std::string hidden_kind = layer_kind(file, "hidden_type", {"Binary", "Spin"});
  const bool real = visible_kind == "Gaussian";
  // All axes are reversed, hidden ones first; those of the layers have the parameters of a unit last.
  const auto size_of_layer = [&](const std::string& path, std::uint64_t parameters, std::size_t& axes) {
    const Shape shape = file.shape(path);
    if (shape.size() < 2 || shape.back() != parameters)
      file.fail(path, "expected a last axis of " + std::to_string(parameters) +
                          ", the parameters of a unit, found shape " + to_string(shape));
    axes = shape.size() - 1;
    std::uint64_t size = 1;
    for (std::size_t axis = 0; axis < axes; ++axis) size *= shape[axis];
    if (size == 0) file.fail(path, "is empty");
    return size;
  };
  std::size_t visible_axes = 0;
  std::size_t hidden_axes = 0;
  const std::uint64_t n_visible = size_of_layer("/visible_par", real ? 2 : 1, visible_axes);
  const std::uint64_t n_hidden = size_of_layer("/hidden_par", 1, hidden_axes);
  if (const Shape shape = file.shape("/weights"); shape.size() != visible_axes + hidden_axes)
    file.fail("/weights", "expected the axes of both layers, found shape " + to_string(shape));
  Wide wide;
  if (visible_kind == "Potts") {
    // Letters are the first axis of the layer, and so the last one here before the parameter.
    const Shape shape = file.shape("/visible_par");
    if (shape.size() < 3)
      file.fail("/visible_par", "expected axes of sites and letters, found shape " + to_string(shape));
    const std::uint64_t letters = shape[shape.size() - 2];
    if (letters > kMostLetters) file.fail("/visible_par", "has more than 256 letters");
    wide.letters = alike_letters(static_cast<Index>(n_visible / letters), static_cast<Index>(letters));
  }
  wide.weights = Eigen::Map<const RowMatrix>(numbers(file, "/weights", n_visible * n_hidden).data(),
                                             static_cast<Index>(n_hidden), static_cast<Index>(n_visible))
                     .transpose();
  if (real) {
    // E(v) = |gamma| v^2 / 2 - theta v.
    const RowMatrix both = Eigen::Map<const RowMatrix>(numbers(file, "/visible_par", 2 * n_visible).data(),
                                                       static_cast<Index>(n_visible), 2);
    wide.visible_bias = both.col(0);
    wide.visible_precision = both.col(1).cwiseAbs();
    if ((wide.visible_precision.cast<float>().array() == 0.0F).any())
      file.fail("/visible_par", "expected gamma other than 0 in float32: the machine has no law");
  } else {
    wide.visible_bias = numbers(file, "/visible_par", n_visible);
  }
  wide.hidden_bias = numbers(file, "/hidden_par", n_hidden);
  if (kind == "StandardizedRBM") {
    const Eigen::VectorXd scale_v = numbers(file, "/scale_v", n_visible);
    const Eigen::VectorXd scale_h = numbers(file, "/scale_h", n_hidden);
    if ((scale_v.array() == 0.0).any()) file.fail("/scale_v", "expected scales other than 0");
    if ((scale_h.array() == 0.0).any()) file.fail("/scale_h", "expected scales other than 0");
    wide.weights = scale_v.cwiseInverse().asDiagonal() * wide.weights * scale_h.cwiseInverse().asDiagonal();
  }
  if (kind != "RBM") {
    const Eigen::VectorXd offset_v = numbers(file, "/offset_v", n_visible);
    const Eigen::VectorXd offset_h = numbers(file, "/offset_h", n_hidden);
    wide.visible_bias -= wide.weights * offset_h;
    wide.hidden_bias -= wide.weights.transpose() * offset_v;
    wide.log_partition_offset += offset_v.dot(wide.weights * offset_h);
  }
  if (visible_kind == "Spin") spins_to_bits(wide, true);
  if (hidden_kind == "Spin") spins_to_bits(wide, false);
  return wide.narrow("RestrictedBoltzmannMachines.jl");
}

/// What is looked for in an archive.
const std::vector<std::string> kArrays = {
    "W", "a", "b", "components_", "intercept_visible_", "intercept_hidden_"};

// --- NumPy ------------------------------------------------------------------------------------------------

ForeignModel from_arrays(const std::string& name, const std::map<std::string, Table>& arrays) {
  const auto array = [&](const std::string& key) -> const Table& {
    const auto found = arrays.find(key);
    if (found == arrays.end()) {
      throw DataError(
          name + ": holds no array '" + key +
          "'; a model is np.savez(file, W=..., a=..., b=...) with W of (visible, hidden), a and b "
          "the biases of visible and hidden units (docs/formats.md); it holds " +
          arrays_in(name));
    }
    return found->second;
  };
  const auto matrix = [](const Table& table) {
    RowMatrix m(table.rows, table.columns);
    for (Index k = 0; k < m.size(); ++k) m.data()[k] = table.at(k);
    return m;
  };
  const auto vector = [&](const std::string& key, Index size) {
    const Table& table = array(key);
    if (table.rows * table.columns != size) {
      throw DataError(name + ": '" + key + "': expected " + std::to_string(size) + " numbers, found " +
                      std::to_string(table.rows * table.columns));
    }
    Eigen::VectorXd v(size);
    for (Index k = 0; k < size; ++k) v[k] = table.at(k);
    return v;
  };
  Wide wide;
  const bool sklearn = arrays.count("components_") > 0;
  wide.weights = matrix(array(sklearn ? "components_" : "W"));
  if (sklearn) wide.weights.transposeInPlace();
  wide.visible_bias = vector(sklearn ? "intercept_visible_" : "a", wide.weights.rows());
  wide.hidden_bias = vector(sklearn ? "intercept_hidden_" : "b", wide.weights.cols());
  return wide.narrow(sklearn ? "scikit-learn" : "numpy");
}

/// As read_foreign, before a last look at the numbers.
std::optional<ForeignModel> read_any(const fs::path& path, std::uint64_t update) {
  const FileKind kind = file_kind(path);
  if (kind == FileKind::kArchive) return from_arrays(path.string(), load_numpy_arrays(path, kArrays));
  if (kind == FileKind::kText || kind == FileKind::kIdx || kind == FileKind::kJson ||
      kind == FileKind::kSequences)
    throw DataError(path.string() + ": is " + (kind == FileKind::kIdx ? "an IDX file" : "text") +
                    ", and no model");
  if (kind == FileKind::kNumpyArray) {
    // W.npy, with a.npy and b.npy beside it.
    for (const char* const name : {"a.npy", "b.npy"}) {
      if (!fs::exists(path.parent_path() / name))
        throw DataError(
            path.string() + ": is one array, " + arrays_in(path) +
            "; a model is W.npy with a.npy and b.npy beside it, or np.savez(file, W=..., a=..., b=...)");
    }
    std::map<std::string, Table> arrays;
    for (const std::string name : {"W", "a", "b"}) {
      const fs::path file = name == "W" ? path : path.parent_path() / (name + ".npy");
      arrays[name] = load_numpy_arrays(file, {}).begin()->second;
    }
    return from_arrays(path.string(), arrays);
  }
  const Hdf5Reader file(path);
  if (file.has("/model")) return std::nullopt;
  if (text(file, "rbm_hdf5_file_format_version") || text(file, "rbm_type")) return read_julia(file);
  if (const auto updates = updates_in(file); !updates.empty()) return read_rbms(file, updates, update);
  return std::nullopt;
}

}  // namespace

std::optional<ForeignModel> read_foreign(const fs::path& path, std::uint64_t update) {
  auto model = read_any(path, update);
  if (!model) return model;
  const char* const wrong = !model->weights.allFinite()             ? "weights"
                            : !model->visible_bias.allFinite()      ? "visible_bias"
                            : !model->hidden_bias.allFinite()       ? "hidden_bias"
                            : !model->visible_precision.allFinite() ? "visible_precision"
                                                                    : nullptr;
  if (wrong != nullptr)
    throw DataError(path.string() + ": expected numbers that are finite in float32, found one in '" + wrong +
                    "' that is not");
  return model;
}

}  // namespace tempera
