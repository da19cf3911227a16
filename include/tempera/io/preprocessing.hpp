// What turns raw cases into those that a model of real values is trained on, as numbers that a file holds.
#pragma once

#include <string>

#include "tempera/core/case_weights.hpp"
#include "tempera/core/names.hpp"
#include "tempera/io/hdf5.hpp"

namespace tempera {

/// In this order, each step where it is asked for: add uniform noise in [0, 1) to grey levels, subtract the
/// mean of each case, divide each case by sqrt(its variance + contrast_floor), subtract the mean of the data,
/// multiply by `whiten`. The arrays are fitted to the train split. Noise is drawn where data are converted,
/// not where a model meets cases.
struct Preprocessing {
  std::int64_t n_inputs = 0;  // values of a raw case; 0: no preprocessing
  bool dequantised = false;   // noise was added when the data were converted
  bool remove_mean = false;   // of each case
  bool contrast = false;      // divide each case by its standard deviation
  double contrast_floor = 10.0;
  Vector mean;      // n_inputs, or empty
  Matrix whiten;    // n_inputs x n_outputs, or empty
  Matrix unwhiten;  // n_outputs x n_inputs: back to the inputs, up to what was left out

  [[nodiscard]] bool empty() const { return n_inputs == 0; }
  [[nodiscard]] Index n_outputs() const {
    return whiten.size() > 0 ? whiten.cols() : static_cast<Index>(n_inputs);
  }
  /// Whether it subtracts the mean of the data and nothing else.
  [[nodiscard]] bool only_centres() const {
    return mean.size() > 0 && whiten.size() == 0 && !dequantised && !remove_mean && !contrast;
  }
  /// Rows of raw cases to rows of outputs. Throws std::invalid_argument where the widths differ.
  [[nodiscard]] Matrix apply(Matrix cases) const;
  /// Rows of outputs (or filters on outputs) to rows of inputs; `with_mean` adds the mean of the data. What
  /// each case lost (its mean and contrast) cannot be given back.
  [[nodiscard]] Matrix invert(const Matrix& rows, bool with_mean) const;
  bool operator==(const Preprocessing& other) const;
};

/// What cases are multiplied by, after centring.
enum class Whitening { kNone, kZca, kPca };
template <>
struct Names<Whitening> {
  static constexpr std::array<NamedValue<Whitening>, 3> table = {
      {{Whitening::kNone, "none", ""},
       {Whitening::kZca, "zca", "as many values"},
       {Whitening::kPca, "pca", "on principal axes"}}};
};

/// How the arrays are fitted.
struct PreprocessingRequest {
  bool dequantise = false;
  bool remove_mean = false;
  bool contrast = false;
  double contrast_floor = 10.0;
  bool centre = false;
  Whitening whiten = Whitening::kNone;
  double regularisation = 0.01;  // part of the mean variance that is added to each
  Index components = 0;          // of pca; 0: all whose variance is above 1e-6 of the largest
};

/// Fitted to raw cases. zca: V (L + e)^-1/2 V', pca: V (L + e)^-1/2, for principal axes V with variances L, e
/// = regularisation x mean(L).
Preprocessing fit_preprocessing(const Matrix& cases, const PreprocessingRequest& request,
                                const CaseWeights& weights = {});

/// The group `path` of a file: nothing where it is missing. Throws DataError.
Preprocessing read_preprocessing(const Hdf5Reader& file, const std::string& path);
void write_preprocessing(Hdf5Writer& file, const std::string& path, const Preprocessing& steps);

}  // namespace tempera
