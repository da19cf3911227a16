#include "data.hpp"

#include <nanobind/stl/pair.h>

#include "listener.hpp"
#include "options.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera::python {
namespace {

template <class T>
using Rows = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

/// Numbers of an array, which lives as long as they are looked at.
template <class T>
Cells<T> lent(const Rows<T>& rows) {
  // The last to look may be a thread without the lock.
  const std::shared_ptr<const void> lender(new Rows<T>(rows), [](const void* array) {
    const nb::gil_scoped_acquire lock;
    delete static_cast<const Rows<T>*>(array);
  });
  return {lender, std::span<const T>(rows.data(), rows.size())};
}

Table table_of(const nb::handle& rows, std::vector<double> weights) {
  Table table;
  Rows<std::uint8_t> bytes;
  Rows<float> floats;
  if (nb::try_cast(rows, bytes, false)) {
    table.bytes = lent(bytes);
    table.rows = static_cast<Index>(bytes.shape(0));
    table.columns = static_cast<Index>(bytes.shape(1));
  } else if (nb::try_cast(rows, floats, false)) {
    table.floats = lent(floats);
    table.rows = static_cast<Index>(floats.shape(0));
    table.columns = static_cast<Index>(floats.shape(1));
  } else {
    throw UsageError("expected rows of uint8 or float32 in C order");
  }
  if (table.rows == 0 || table.columns == 0) throw DataError("X: has no cases or no columns");
  table.weights = std::move(weights);
  return table;
}

Data data_of(std::string name, const nb::dict& splits, std::map<std::string, std::vector<double>> weights,
             std::map<std::string, std::vector<std::int64_t>> labels, std::vector<std::string> column_names,
             std::vector<std::int64_t> visible_shape) {
  auto file = std::make_shared<DataFile>();
  file->name = std::move(name);
  for (const auto& [split, rows] : splits) {
    const auto key = nb::cast<std::string>(split);
    file->splits[key] = table_of(rows, std::move(weights[key]));
  }
  file->labels = std::move(labels);
  file->column_names = std::move(column_names);
  file->visible_shape = std::move(visible_shape);
  return {std::move(file)};
}

/// The rows of a split, which the array keeps alive.
nb::object rows_of_split(const Data& data, const std::string& split) {
  const Table& table = data.file->split(split);
  const std::size_t axes[] = {static_cast<std::size_t>(table.rows), static_cast<std::size_t>(table.columns)};
  auto* const kept = new std::shared_ptr<const DataFile>(data.file);
  nb::capsule owner(kept,
                    [](void* file) noexcept { delete static_cast<std::shared_ptr<const DataFile>*>(file); });
  if (table.is_bytes())
    return nb::cast(nb::ndarray<nb::numpy, const std::uint8_t>(table.bytes.data(), 2, axes, owner));
  return nb::cast(nb::ndarray<nb::numpy, const float>(table.floats.data(), 2, axes, owner));
}

std::vector<std::string> splits_of(const Data& data) {
  std::vector<std::string> names;
  for (const auto& [split, table] : data.file->splits) names.push_back(split);
  return names;
}

Data read_data(const std::string& name, const Texts& texts, const std::string& shape,
               const nb::object& hears) {
  const auto columns = options_of<ColumnOptions>(texts);
  return without_lock(hears, [&](Listener& listener) {
    return Data{std::make_shared<DataFile>(read_data_file(name, {columns, shape}, listener))};
  });
}

}  // namespace

void bind_data(nb::module_& module) {
  nb::class_<Data>(module, "Data")
      .def_prop_ro("name", [](const Data& data) { return data.file->name; })
      .def_prop_ro("splits", &splits_of)
      .def_prop_ro("labels", [](const Data& data) { return data.file->labels; })
      .def_prop_ro("label_names", [](const Data& data) { return data.file->label_names; })
      .def_prop_ro("column_names", [](const Data& data) { return data.file->column_names; })
      .def_prop_ro("case_names", [](const Data& data) { return data.file->names; })
      .def_prop_ro("alphabet", [](const Data& data) { return alphabet_of(data.file->alphabet); })
      .def_prop_ro("visible_shape", [](const Data& data) { return data.file->visible_shape; })
      .def_prop_ro("notes", [](const Data& data) { return data.file->notes; })
      .def("weights",
           [](const Data& data, const std::string& split) { return data.file->split(split).weights; })
      .def("rows", &rows_of_split);
  module.def("data_of", &data_of);
  module.def("read_data", &read_data);
}

}  // namespace tempera::python
