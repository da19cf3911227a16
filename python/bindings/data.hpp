// Data sets as Python holds them.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tempera/core/reading.hpp"
#include "tempera/io/data_files.hpp"
#include "values.hpp"

namespace tempera::python {

/// Cases in memory: read from a file, or made of arrays, which it lends and does not copy.
struct Data {
  std::shared_ptr<const DataFile> file;
};

/// What a service is to read: a name, or arrays.
inline DataSource source_of(const std::optional<std::string>& name, const Data* data) {
  if (data != nullptr) return {data->file->name, data->file};
  return name ? DataSource(*name) : DataSource();
}

void bind_data(nb::module_& module);

}  // namespace tempera::python
