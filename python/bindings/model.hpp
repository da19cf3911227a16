// Models, and what is asked of them.
#pragma once

#include "tempera/services/model_io.hpp"
#include "values.hpp"

namespace tempera::python {

/// A model of any kind, as its file has it.
struct Model {
  AnyModelFile file;
};

void bind_model(nb::module_& module);

}  // namespace tempera::python
