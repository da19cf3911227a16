#include "tempera/core/field_shapes.hpp"

#include "tempera/core/errors.hpp"

namespace tempera {

std::string to_string(const ArrayShape& shape) {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + ")";
}

bool FieldShapes::has(const std::string& name) const {
  return fields.contains(name) || unusable.contains(name);
}

const ArrayShape& FieldShapes::shape(const std::string& name) const {
  if (const auto problem = unusable.find(name); problem != unusable.end()) throw DataError(problem->second);
  const auto found = fields.find(name);
  if (found == fields.end()) fail(name, "expected a dataset, found nothing");
  return found->second;
}

double FieldShapes::attribute(const std::string& name, double fallback) const {
  const auto found = attributes.find(name);
  return found == attributes.end() ? fallback : found->second;
}

void FieldShapes::fail(const std::string& name, const std::string& problem) const {
  throw DataError(source + ": " + fields_group + "/" + name + ": " + problem);
}

void FieldShapes::fail_attribute(const std::string& name, const std::string& problem) const {
  throw DataError(source + ": " + attributes_group + ": attribute '" + name + "': " + problem);
}

}  // namespace tempera
