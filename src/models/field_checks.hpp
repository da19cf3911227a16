// What machines of layers say of stored parameters that do not fit each other.
#pragma once

#include "tempera/core/field_shapes.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// Shape of a parameter that must be two-dimensional and not empty.
inline const ArrayShape& matrix_shape(const FieldShapes& file, const std::string& name) {
  const ArrayShape& shape = file.shape(name);
  if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0)
    file.fail(name, "expected shape (n_visible, n_hidden), found " + to_string(shape));
  return shape;
}

inline void require_bias(const FieldShapes& file, const std::string& name, std::uint64_t size,
                         const ArrayShape& weights) {
  const ArrayShape& found = file.shape(name);
  if (found != ArrayShape{size})
    file.fail(name, "expected shape " + to_string(ArrayShape{size}) + " as weights has shape " +
                        to_string(weights) + ", found " + to_string(found));
}

}  // namespace tempera
