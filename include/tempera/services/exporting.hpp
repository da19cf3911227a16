// Models of ours as files of other toolkits.
#pragma once

#include <array>
#include <filesystem>
#include <string>

#include "tempera/core/option.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

enum class ExportFormat { kRbms, kNpz, kSklearn };
template <>
struct Names<ExportFormat> {
  static constexpr std::array<NamedValue<ExportFormat>, 3> table = {
      {{ExportFormat::kRbms, "rbms", "HDF5 of rbms, BBRBM or PBRBM"},
       {ExportFormat::kNpz, "npz", "W, a, b of binary units"},
       {ExportFormat::kSklearn, "sklearn",
        "components_ and intercepts of scikit-learn's BernoulliRBM, .npz"}}};
};

enum class LetterGauge { kZeroSum, kLatticeGas };
template <>
struct Names<LetterGauge> {
  static constexpr std::array<NamedValue<LetterGauge>, 2> table = {
      {{LetterGauge::kZeroSum, "zero-sum", "as the model has them: letters of a site sum to 0"},
       {LetterGauge::kLatticeGas, "lattice-gas", "the gap, or else the first letter, is 0 at every site"}}};
};

struct ExportOptions {
  ExportFormat format = ExportFormat::kRbms;
  LetterGauge gauge = LetterGauge::kZeroSum;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"format", "whose file it is to be", true}, s.format...);
    f(OptionText{"gauge", "of weights and biases of letters; the law is the same"}, s.gauge...);
  }
};

struct ExportResult {
  std::filesystem::path path;
  ExportFormat format = ExportFormat::kRbms;
  double log_partition_offset = 0.0;  // log Z of the file's energies less that of the model

  [[nodiscard]] std::string words() const;
};

/// Writes a restricted machine of binary hidden units. Throws UsageError where the format has no place for
/// such a model, WriteError.
ExportResult export_model(const AnyModelFile& model, const ExportOptions& options,
                          const std::filesystem::path& out);

}  // namespace tempera
