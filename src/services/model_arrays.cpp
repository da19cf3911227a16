#include "tempera/services/model_arrays.hpp"

#include "model_files.hpp"

namespace tempera {
namespace {

/// What a file tells of log Z, as it stands there.
void copy_log_partition(const std::filesystem::path& from, Hdf5Writer& to) {
  constexpr const char* kGroup = "/log_partition";
  if (!is_hdf5(from)) return;
  const Hdf5Reader file(from);
  if (!file.has(kGroup)) return;
  for (const char* const name : {"value", "standard_error"}) {
    if (const auto number = file.number_attribute(kGroup, name)) to.attribute(kGroup, name, *number);
  }
  for (const char* const name : {"update", "trusted"}) {
    if (const auto number = file.number_attribute(kGroup, name))
      to.attribute(kGroup, name, static_cast<std::int64_t>(*number));
  }
  for (const char* const name : {"method", "doubt"}) {
    if (const auto text = file.text_attribute(kGroup, name)) to.attribute(kGroup, name, *text);
  }
}

}  // namespace

std::vector<ParameterArray> parameters_of(const AnyModelFile& model) {
  return std::visit([](const auto& file) { return arrays_of(file.model, file.theta, file.units); }, model);
}

ModelDescription describe_model(const AnyModelFile& model) {
  return std::visit(
      []<class M>(const ModelFile<M>& file) {
        ModelDescription found;
        found.kind = M::kKind;
        found.hidden_units = M::kHiddenUnits;
        found.n_visible = file.model.n_visible();
        found.n_raw = file.n_raw();
        found.layer_sizes = file.model.layer_sizes();
        found.visible_shape = file.visible_shape;
        found.discrete = M::kDiscrete;
        found.alphabet = file.alphabet;
        for (const Code& code : file.model.codes()) found.codes.push_back(code.name);
        return found;
      },
      model);
}

void save_model(const AnyModelFile& model, const std::filesystem::path& path) {
  std::visit(
      [&path]<class M>(const ModelFile<M>& file) {
        Hdf5Writer out("model", format_version(M::kHiddenUnits));
        write_whole_model(out, file, file.path.string());
        copy_log_partition(file.path, out);
        out.write(path);
      },
      model);
}

void write_parameters(const std::filesystem::path& path, const std::string& kind,
                      const std::string& hidden_units, const std::map<std::string, double>& attributes,
                      const std::vector<ParameterArray>& arrays) {
  Hdf5Writer file("model", format_version(hidden_units));
  file.attribute("/model", "kind", kind);
  if (hidden_units != kUsualHiddenUnits) file.attribute("/model", "hidden_units", hidden_units);
  for (const auto& [name, value] : attributes) file.attribute("/model", name, value);
  for (const ParameterArray& array : arrays) {
    std::visit(
        [&](const auto& values) { file.dataset(kParamsGroup + array.name, array.shape, values.data()); },
        array.values);
  }
  write_provenance(file, 0);
  file.write(path);
}

}  // namespace tempera
