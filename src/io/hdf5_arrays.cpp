// Arrays of any HDF5 file: ours, of h5py, pandas, MATLAB and AnnData.
#include <algorithm>
#include <cmath>

#include "arrays.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {
namespace {

class Hdf5Arrays : public ArraySource {
 public:
  Hdf5Arrays(const std::filesystem::path& path, ReadingProgress told) : file_(path), told_(std::move(told)) {}

  const std::string& name() const override { return file_.name(); }

  std::vector<ArrayInfo> arrays() const override {
    std::vector<ArrayInfo> found;
    std::vector<std::string> sparse;  // groups that are one array each
    for (const DatasetInfo& info : file_.datasets()) {
      const std::string group = info.path.substr(0, info.path.rfind('/'));
      if (!group.empty() && is_sparse(group)) {
        if (std::find(sparse.begin(), sparse.end(), group) != sparse.end()) continue;
        sparse.push_back(group);
        ArrayInfo array;
        array.name = group;
        const std::vector<std::int64_t> shape = shape_of_sparse(group);
        array.shape = Shape(shape.begin(), shape.end());
        array.type = "sparse";
        found.push_back(array);
        continue;
      }
      ArrayInfo array;
      array.name = info.path;
      array.shape = info.shape;
      array.type = info.type;
      if (info.kind == DatasetInfo::Kind::kTexts) array.kind = ArrayInfo::Kind::kTexts;
      if (info.kind == DatasetInfo::Kind::kOther) {
        array.kind = ArrayInfo::Kind::kOther;
        array.why = info.type == "compound"
                        ? "is a table of records; save its columns as one array (to_numpy, np.save)"
                        : "holds neither numbers nor texts, but " + info.type;
      }
      if (file_.text_attribute(info.path, "MATLAB_class")) {
        array.transposed = info.shape.size() > 1;
        std::reverse(array.shape.begin(), array.shape.end());
      }
      found.push_back(array);
    }
    return found;
  }

  Table numbers(const ArrayInfo& array, bool allow_non_finite) const override {
    if (array.type == "sparse") return sparse(array.name);
    Table table;
    const std::string& path = array.name;
    const Shape stored = file_.shape(path);
    set_shape(file_.name() + ": " + path, array.shape, 1, table);
    const auto count = static_cast<std::size_t>(table.rows * table.columns);
    if (file_.is_byte(path) || file_.is_bool(path)) {
      table.bytes.own().resize(count);
      file_.dataset(path, stored, table.bytes.own().data(), false, told_);
    } else if (file_.is_integer(path)) {
      std::vector<std::int64_t> values(count);
      file_.dataset(path, stored, values.data(), false, told_);
      table.floats = std::vector<float>(values.begin(), values.end());
    } else {
      table.floats.own().resize(count);
      file_.dataset(path, stored, table.floats.own().data(), allow_non_finite, told_);
    }
    if (array.transposed) reverse_axes(array.shape, table);
    compact(table);
    return table;
  }

  std::vector<std::string> texts(const ArrayInfo& array) const override {
    return file_.texts(array.name, array.count());
  }

 private:
  /// A sparse matrix as AnnData writes it.
  [[nodiscard]] bool is_sparse(const std::string& group) const {
    const auto kind = file_.text_attribute(group, "encoding-type");
    return kind && (*kind == "csr_matrix" || *kind == "csc_matrix");
  }
  [[nodiscard]] std::vector<std::int64_t> shape_of_sparse(const std::string& group) const {
    std::vector<std::int64_t> shape = file_.integers_attribute(group, "shape");
    if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1)
      file_.fail(group, "is a sparse matrix of no shape");
    return shape;
  }
  [[nodiscard]] std::vector<std::int64_t> whole_numbers(const std::string& path) const {
    const Shape shape = file_.shape(path);
    if (shape.size() != 1) file_.fail(path, "expected one axis, found shape " + to_string(shape));
    std::vector<std::int64_t> values(shape[0]);
    file_.dataset(path, shape, values.data());
    return values;
  }
  [[nodiscard]] Table sparse(const std::string& group) const {
    const std::vector<std::int64_t> shape = shape_of_sparse(group);
    const Shape stored = file_.shape(group + "/data");
    if (stored.size() != 1) file_.fail(group, "expected values along one axis");
    std::vector<float> values(stored[0]);
    if (file_.is_integer(group + "/data")) {
      const std::vector<std::int64_t> whole = whole_numbers(group + "/data");
      values.assign(whole.begin(), whole.end());
    } else {
      file_.dataset(group + "/data", stored, values.data());
    }
    return dense(file_.name() + ": " + group, shape[0], shape[1],
                 file_.text_attribute(group, "encoding-type") == "csc_matrix",
                 whole_numbers(group + "/indptr"), whole_numbers(group + "/indices"), values);
  }

  Hdf5Reader file_;
  ReadingProgress told_;
};

}  // namespace

std::unique_ptr<ArraySource> hdf5_arrays(const std::filesystem::path& path, const ReadingProgress& told) {
  return std::make_unique<Hdf5Arrays>(path, told);
}

}  // namespace tempera
