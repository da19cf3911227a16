#include "tempera/services/model_io.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "model_files.hpp"
#include "tempera/core/digest.hpp"
#include "tempera/core/version.hpp"
#include "tempera/io/files.hpp"
#include "tempera/models/kinds.hpp"
#include "tempera/services/foreign_models.hpp"

namespace tempera {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStandardisation = "/model/standardisation";

std::string kind_of(const Hdf5Reader& file) {
  if (!file.has("/model")) file.fail("/model", "expected a model, found nothing");
  const auto kind = file.text_attribute("/model", "kind");
  if (!kind) file.fail("/model", "attribute 'kind' is missing or no text");
  return *kind;
}

/// Files without the attribute have Bernoulli latents.
std::string hidden_units_of(const Hdf5Reader& file) {
  return file.text_attribute("/model", "hidden_units").value_or(std::string(kUsualHiddenUnits));
}

Binarization read_binarization(const Hdf5Reader& file) {
  const auto text = file.text_attribute("/model", "binarize");
  if (!text) return {};
  const auto method = named<BinarizeMethod>(*text);
  if (!method)
    file.fail("/model", "attribute 'binarize': expected one of " + all_names<BinarizeMethod>() + ", found '" +
                            *text + "'");
  Binarization rule;
  rule.method = *method;
  rule.spins = file.number_attribute("/model", "spins").value_or(0.0) != 0.0;
  const auto number = [&](const char* name, double usual) {
    const double value = file.number_attribute("/model", name).value_or(usual);
    if (!std::isfinite(value))
      file.fail("/model", std::string("attribute '") + name + "': expected a finite number");
    return value;
  };
  rule.maximum = number("binarize_maximum", 1.0);
  rule.level = number("binarize_level", 0.5 * rule.maximum);
  rule.seed = static_cast<std::uint64_t>(std::clamp(number("binarize_seed", 0.0), 0.0, 0x1p53));
  if (file.has("/model/binarize_thresholds")) {
    const Shape shape = file.shape("/model/binarize_thresholds");
    if (shape.size() != 1)
      file.fail("/model/binarize_thresholds", "expected one axis, found shape " + to_string(shape));
    rule.thresholds.resize(shape[0]);
    file.dataset("/model/binarize_thresholds", shape, rule.thresholds.data());
  }
  return rule;
}

/// The words of this process' command line.
std::string command_line() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::ostringstream words;
  words << in.rdbuf();
  std::string text = words.str();
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

/// Names of letters, where the machine has such.
template <EnergyModel M>
Alphabet alphabet_of(const Hdf5Reader& file) {
  if constexpr (HasLetters<M>) return read_alphabet(file, "/model");
  return {};
}

/// What a field of a struct is called in files, and the shape that it has there.
template <EnergyModel M>
Shape stored_shape(const M& model, std::string_view name, const Shape& own) {
  const Shape shape = model.file_shape(name);
  return shape.empty() ? own : shape;
}

/// Shape of a field of a struct, by its name.
template <Fielded T>
Shape shape_in(const T& value, std::string_view name) {
  Shape shape;
  for_each_field(
      [&](std::string_view field_name, const auto& field) {
        if (field_name == name) shape = shape_of(field);
      },
      value);
  return shape;
}

/// Fields of the machine of standardised values as those of the data's units, in double.
template <EnergyModel M, Fielded T>
DoubleFields in_units(const T& value, const Standardisation& units) {
  DoubleFields fields = doubles_of(value);
  if constexpr (HasUnits<M>) M::change_units(units.inverse(), fields);
  return fields;
}

}  // namespace

template <EnergyModel M>
void require_sound_params(const Hdf5Reader& file, const std::string& group, const typename M::Params& theta) {
  if (const std::string_view wrong = M::fault(theta); !wrong.empty())
    file.fail(group + std::string(wrong), "precisions must be positive");
}

template <EnergyModel M>
typename M::Params read_params(const Hdf5Reader& file, const M& model, const Standardisation& units) {
  typename M::Params theta = model.zero_params();
  const auto read = [&](std::string_view name, const Shape& own, auto& field) {
    const std::string path = kParamsGroup + std::string(name);
    if (field.size() == 0 || (M::is_optional_field(name) && !file.has(path))) return;
    file.dataset(path, stored_shape(model, name, own), field.data());
  };
  if constexpr (HasUnits<M>) {
    DoubleFields fields = doubles_of(theta);
    for (auto& [name, field] : fields) read(name, shape_in(theta, name), field);
    if (!units.empty()) M::change_units(units, fields);
    set_fields(fields, theta);
  } else {
    for_each_field([&](std::string_view name, auto& field) { read(name, shape_of(field), field); }, theta);
  }
  require_sound_params<M>(file, kParamsGroup, theta);
  if constexpr (HasLetters<M>) {
    if (!model.is_settled(theta))
      file.fail(kParamsGroup, "expected zeros where sites have no letter, as the attribute 'letters' says");
  }
  return theta;
}

template <EnergyModel M>
StoredMachine<M> read_machine(const Hdf5Reader& file) {
  const std::string kind = kind_of(file);
  const std::string hidden_units = hidden_units_of(file);
  if (kind != M::kKind)
    file.fail("/model", "attribute 'kind': expected '" + std::string(M::kKind) + "', found '" + kind + "'");
  if (hidden_units != M::kHiddenUnits)
    file.fail("/model", "attribute 'hidden_units': expected '" + std::string(M::kHiddenUnits) + "', found '" +
                            hidden_units + "'");
  typename M::Shape shape = M::shape_from(file.field_shapes("/model/params", "/model"));
  typename M::Reference reference = M::standard_reference(shape);
  std::string first;
  for_each_field(
      [&first](std::string_view name, const auto&) {
        if (first.empty()) first = name;
      },
      reference);
  Standardisation units;
  if constexpr (HasUnits<M>) {
    units = read_standardisation(file, kStandardisation, with_standard_reference<M>(shape).n_visible());
    shape = M::in_units(std::move(shape), units);
  }
  // The reference of standardised values stands beside the transform, since both may cancel to little.
  const std::string group = units.empty() ? "/model/reference" : std::string(kStandardisation) + "/reference";
  const bool has_reference = file.has(group + "/" + first);
  if (has_reference) {
    const M machine = with_standard_reference<M>(shape);
    for_each_field(
        [&](std::string_view name, auto& field) {
          file.dataset(group + "/" + std::string(name), stored_shape(machine, name, shape_of(field)),
                       field.data());
        },
        reference);
  }
  if (const std::string_view wrong = M::reference_fault(reference); !wrong.empty())
    file.fail("/model/reference/" + std::string(wrong), "precisions must be positive");
  return {M(shape, std::move(reference)), has_reference, std::move(units)};
}

template <EnergyModel M>
void write_machine(Hdf5Writer& file, const M& model, const MachineNotes& notes) {
  file.attribute("/model", "kind", std::string(M::kKind));
  if (M::kHiddenUnits != kUsualHiddenUnits)
    file.attribute("/model", "hidden_units", std::string(M::kHiddenUnits));
  write_preprocessing(file, "/model/preprocessing", notes.preprocessing);
  write_standardisation(file, kStandardisation, notes.units);
  write_alphabet(file, "/model", notes.alphabet);
  for (const ShapeAttribute& attribute : model.shape_attributes())
    std::visit([&](const auto value) { file.attribute("/model", attribute.name, value); }, attribute.value);
  if (!notes.visible_shape.empty()) file.attribute("/model", "visible_shape", notes.visible_shape);
  file.attribute("/model", "binarize", std::string(name_of(notes.binarization.method)));
  file.attribute("/model", "binarize_maximum", notes.binarization.maximum);
  file.attribute("/model", "binarize_seed", static_cast<std::int64_t>(notes.binarization.seed));
  if (notes.binarization.method == BinarizeMethod::kThreshold)
    file.attribute("/model", "binarize_level", notes.binarization.level);
  if (notes.binarization.spins) file.attribute("/model", "spins", std::int64_t{1});
  const auto& thresholds = notes.binarization.thresholds;
  if (!thresholds.empty()) file.dataset("/model/binarize_thresholds", {thresholds.size()}, thresholds.data());
}

template <EnergyModel M>
std::vector<ParameterArray> arrays_of(const M& model, const typename M::Params& theta,
                                      const Standardisation& units) {
  std::vector<ParameterArray> arrays;
  const auto add = [&]<class T>(std::string_view name, const Shape& own, const T* values, Index size) {
    if (size == 0) return;
    arrays.push_back(
        {std::string(name), stored_shape(model, name, own), std::vector<T>(values, values + size)});
  };
  if (units.empty()) {
    for_each_field([&](std::string_view name,
                       const auto& field) { add(name, shape_of(field), field.data(), field.size()); },
                   theta);
    return arrays;
  }
  for (const auto& [name, field] : in_units<M>(theta, units))
    add(name, shape_in(theta, name), field.data(), field.size());
  return arrays;
}

template <EnergyModel M>
void write_params(Hdf5Writer& file, const M& model, const typename M::Params& theta,
                  const Standardisation& units) {
  for (const ParameterArray& array : arrays_of(model, theta, units)) {
    std::visit(
        [&](const auto& values) { file.dataset(kParamsGroup + array.name, array.shape, values.data()); },
        array.values);
  }
}

template <EnergyModel M>
void write_reference(Hdf5Writer& file, const M& model, const Standardisation& units) {
  if (units.empty()) {
    for_each_field(
        [&](std::string_view name, const auto& field) {
          file.dataset("/model/reference/" + std::string(name), stored_shape(model, name, shape_of(field)),
                       field.data());
        },
        model.reference());
    return;
  }
  file.fields(std::string(kStandardisation) + "/reference", model.reference());
  for (const auto& [name, field] : in_units<M>(model.reference(), units))
    file.dataset("/model/reference/" + name, shape_in(model.reference(), name), field.data());
}

constexpr const char* kBest = "best.h5";

fs::path resolve_model(const fs::path& argument) {
  require_exists(argument);
  if (!fs::is_directory(argument)) return argument;
  const fs::path best = argument / kBest;
  if (fs::exists(best)) return best;
  const fs::path checkpoint = argument / "checkpoint.h5";
  if (!fs::exists(checkpoint)) throw NoInputError(argument.string() + ": holds no checkpoint.h5");
  return checkpoint;
}

template <EnergyModel M>
ModelFile<M> read_model_as(const fs::path& argument) {
  const Hdf5Reader file(resolve_model(argument));
  StoredMachine<M> machine = read_machine<M>(file);
  typename M::Params theta = read_params(file, machine.model, machine.units);
  Preprocessing steps = read_preprocessing(file, "/model/preprocessing");
  if (!steps.empty() && steps.n_outputs() != machine.model.n_visible())
    file.fail("/model/preprocessing", "does not fit the visibles of the model");
  const Binarization rule = read_binarization(file);
  std::vector<std::int64_t> shape = file.integers_attribute("/model", "visible_shape");
  ModelFile<M> model{resolve_model(argument),
                     std::move(machine.model),
                     std::move(theta),
                     machine.has_reference,
                     shape,
                     rule,
                     std::move(steps),
                     std::move(machine.units),
                     alphabet_of<M>(file)};
  if (!is_shape_of(shape, model.n_raw())) model.visible_shape.clear();
  if constexpr (HasLetters<M>) {
    const Letters& letters = model.model.letters();
    if (!model.alphabet.empty() && !(model.alphabet.letters(letters.sites()) == letters))
      file.fail("/model", "the alphabet does not fit the letters of the sites");
  }
  return model;
}

void say_which(const fs::path& argument, const fs::path& path, Listener& listener) {
  const fs::path best = path.parent_path() / kBest;
  if (path.filename() == kBest && fs::is_directory(argument)) {
    listener.note(path.string() + ": the best validated model of the run; its last one is checkpoint.h5");
  } else if (path.filename() == "checkpoint.h5" && fs::exists(best)) {
    listener.note(path.string() + ": the last model of the run; the best validated one is best.h5");
  }
}

AnyModelFile read_model(const fs::path& argument, Listener& listener) {
  const fs::path path = resolve_model(argument);
  say_which(argument, path, listener);
  if (auto foreign = read_foreign(path)) return converted(path, std::move(*foreign));
  const Hdf5Reader file(path);
  const std::string kind = kind_of(file);
  const std::string hidden_units = hidden_units_of(file);
  std::optional<AnyModelFile> result;
  const auto try_kind = [&]<class M>(std::type_identity<M>) {
    if (kind == M::kKind && hidden_units == M::kHiddenUnits) result = read_model_as<M>(path);
  };
#define TEMPERA_TRY(M) try_kind(std::type_identity<M>());
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  if (!result) {
    std::string known;
    for (const Kind& one : all_kinds()) known += (known.empty() ? "" : ", ") + one.name();
    file.fail("/model",
              "attribute 'kind': expected one of " + known + ", found '" + kind + "'" +
                  (hidden_units == kUsualHiddenUnits ? "" : " with hidden units '" + hidden_units + "'"));
  }
  listener.begins_with("model",
                       [&] { return std::visit([](const auto& of) { return digest(of.theta); }, *result); });
  return std::move(*result);
}

std::string stored_doubt(const Hdf5Reader& file) {
  const bool trusted = file.number_attribute("/log_partition", "trusted").value_or(1.0) != 0.0;
  if (trusted) return "";
  return "training did not trust it: " +
         file.text_attribute("/log_partition", "doubt").value_or("the data or a bound contradict it");
}

void write_provenance(Hdf5Writer& file, std::int64_t seed) {
  for (const auto& [name, value] : build_provenance())
    file.attribute("/provenance", name, name == "libraries" ? value + ", HDF5 " + hdf5_version() : value);
  file.attribute("/provenance", "command_line", command_line());
  file.attribute("/provenance", "seed", seed);
}

/// Of a file with such latents.
std::int64_t format_version(std::string_view hidden_units) {
  return hidden_units == kUsualHiddenUnits ? 1 : 2;
}

template <EnergyModel M>
void write_whole_model(Hdf5Writer& file, const ModelFile<M>& model, const std::string& origin) {
  write_machine(file, model.model,
                {model.visible_shape, model.binarization, model.preprocessing, model.units, model.alphabet});
  file.attribute("/model", "converted_from", origin);
  write_params(file, model.model, model.theta, model.units);
  if (model.has_reference) write_reference(file, model.model, model.units);
  write_provenance(file, 0);
}

template <EnergyModel M>
void write_model(const fs::path& path, const ModelFile<M>& model, const std::string& origin) {
  Hdf5Writer file("model", format_version(M::kHiddenUnits));
  write_whole_model(file, model, origin);
  file.write(path);
}

template <EnergyModel M>
void require_law(const ModelFile<M>& file, Listener& listener) {
  if (file.model.is_improper(file.theta)) throw NumericalError(file.path.string() + ": " + kImproper);
  if (!file.model.is_seen(file.theta))
    listener.warn(file.path.string() +
                  ": not every state of the latents was looked at, and the machine is beyond what training "
                  "allows: it may be improper, and have no law");
}

template <EnergyModel M>
void fit_reference(ModelFile<M>& file, const typename M::Data& train, Listener& listener) {
  file.model = M(file.model.shape(), M::fit_reference(train));
  listener.note("reference machine: the file holds none, fitted to the train split");
}

PictureShape picture_shape(const std::vector<std::int64_t>& shape, Index n_visible) {
  if (shape.size() == 2) return {shape[0], shape[1]};
  if (shape.size() == 3 && shape[2] == 3) return {shape[0], shape[1], 3};
  if (shape.size() == 3 && shape[0] == 3) return {shape[1], shape[2], 3, true};
  return {1, n_visible};
}

#define TEMPERA_INSTANTIATE(M)                                                                        \
  template void require_sound_params<M>(const Hdf5Reader&, const std::string&, const M::Params&);     \
  template M::Params read_params(const Hdf5Reader&, const M&, const Standardisation&);                \
  template StoredMachine<M> read_machine(const Hdf5Reader&);                                          \
  template void write_machine(Hdf5Writer&, const M&, const MachineNotes&);                            \
  template std::vector<ParameterArray> arrays_of(const M&, const M::Params&, const Standardisation&); \
  template void write_params(Hdf5Writer&, const M&, const M::Params&, const Standardisation&);        \
  template void write_reference(Hdf5Writer&, const M&, const Standardisation&);                       \
  template ModelFile<M> read_model_as(const std::filesystem::path&);                                  \
  template void write_whole_model(Hdf5Writer&, const ModelFile<M>&, const std::string&);              \
  template void write_model(const std::filesystem::path&, const ModelFile<M>&, const std::string&);   \
  template void require_law(const ModelFile<M>&, Listener&);                                          \
  template void fit_reference(ModelFile<M>&, const M::Data&, Listener&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
