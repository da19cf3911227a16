// The module that `import tempera` stands on: services as functions of plain values. What people see is
// python/tempera.
#include <nanobind/nanobind.h>

#include "data.hpp"
#include "model.hpp"
#include "options.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/version.hpp"
#include "tempera/services/couplings.hpp"
#include "tempera/services/encode.hpp"
#include "tempera/services/features.hpp"
#include "tempera/services/likelihood.hpp"
#include "tempera/services/sampling.hpp"
#include "tempera/services/score.hpp"
#include "tempera/train/options.hpp"
#include "training.hpp"

namespace tempera::python {
namespace {

/// Raises an exception of tempera._errors.
void raise(const char* name, const std::exception& error, nb::object violations = nb::none()) {
  const nb::object type = nb::module_::import_("tempera._errors").attr(name);
  const nb::object value = type(nb::str(error.what()));
  if (!violations.is_none()) value.attr("violations") = violations;
  PyErr_SetObject(type.ptr(), value.ptr());
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const ConfigError& error) {
    nb::list all;
    for (const Violation& violation : error.violations())
      all.append(nb::make_tuple(violation.field, violation.value, violation.constraint));
    raise("ConfigError", error, all);
  } catch (const Error& error) {
    switch (error.code()) {
      case ExitCode::kUsage:
        return raise("UsageError", error);
      case ExitCode::kBadData:
        return raise("DataError", error);
      case ExitCode::kNoInput:
        return raise("NoInputError", error);
      case ExitCode::kCannotWrite:
        return raise("WriteError", error);
      case ExitCode::kInterrupted:
        return raise("Interrupted", error);
      case ExitCode::kInternal:
      case ExitCode::kBadConfig:
      case ExitCode::kDone:
        return raise("NumericalError", error);
    }
  } catch (const std::filesystem::filesystem_error& error) {
    raise("WriteError", error);
  }
}

nb::list listed(const std::vector<OptionFacts>& options) {
  nb::list all;
  for (const OptionFacts& option : options) {
    nb::dict one;
    one["name"] = option.name;
    one["help"] = option.help;
    one["kind"] = option.kind;
    one["default"] = option.usual;
    one["common"] = option.common;
    all.append(one);
  }
  return all;
}

}  // namespace
}  // namespace tempera::python

NB_MODULE(_core, module) {
  using namespace tempera::python;  // NOLINT: the module is theirs
  nb::register_exception_translator(&translate);
  module.attr("version") = tempera::version();
  bind_data(module);
  bind_model(module);
  bind_training(module);
  nb::dict options;
  options["train"] = listed(facts_of_options<tempera::TrainOptions>());
  options["loglik"] = listed(facts_of_options<tempera::LikelihoodOptions>());
  options["score"] = listed(facts_of_options<tempera::ScoreOptions>());
  options["sample"] = listed(facts_of_options<tempera::SamplingOptions>());
  options["encode"] = listed(facts_of_options<tempera::EncodeOptions>());
  options["couplings"] = listed(facts_of_options<tempera::CouplingOptions>());
  options["features"] = listed(facts_of_options<tempera::FeatureOptions>());
  options["columns"] = listed(facts_of_options<tempera::ColumnOptions>());
  module.attr("options") = options;
}
