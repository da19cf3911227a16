// Training runs.
#pragma once

#include "values.hpp"

namespace tempera::python {

void bind_training(nb::module_& module);

}  // namespace tempera::python
