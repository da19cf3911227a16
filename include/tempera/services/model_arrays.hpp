// Models as arrays, for programs that hold them: what a file of a model says, and files made of it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "tempera/services/model_io.hpp"

namespace tempera {

/// An array of a model's parameters in the data's units, with the axes that docs/formats.md names. Numbers
/// are double where a change of units needs it, as in a file.
struct ParameterArray {
  std::string name;
  Shape shape;
  std::variant<std::vector<float>, std::vector<double>> values;  // C order
};

/// The parameters as write_model would write them. Cost: a copy.
std::vector<ParameterArray> parameters_of(const AnyModelFile& model);

/// What a model says of itself.
struct ModelDescription {
  std::string_view kind;
  std::string_view hidden_units;
  Index n_visible = 0;             // of the machine
  Index n_raw = 0;                 // values of a raw case, which a preprocessing may make others of
  std::vector<Index> layer_sizes;  // the visibles first
  std::vector<std::int64_t> visible_shape;
  bool discrete = false;           // whether cases have probabilities, not densities
  std::vector<std::string> codes;  // what its data are encoded as
  Alphabet alphabet;               // of letters; empty where values are none
};
ModelDescription describe_model(const AnyModelFile& model);

/// The same model in a file without training state; the log Z that its own file tells goes along. Throws
/// WriteError.
void save_model(const AnyModelFile& model, const std::filesystem::path& path);

/// A file of a model made of arrays of these names; `attributes` are numbers that the kind needs beside them.
/// Reading it checks them (read_model). Throws WriteError.
void write_parameters(const std::filesystem::path& path, const std::string& kind,
                      const std::string& hidden_units, const std::map<std::string, double>& attributes,
                      const std::vector<ParameterArray>& arrays);

}  // namespace tempera
