// Data as a model sees it: the expected latents of every case, for a classifier.
#pragma once

#include <filesystem>
#include <utility>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

struct EncodeOptions {
  DataSource data;
  BinarizeChoice binarize;
  ColumnOptions columns;
  std::int64_t seed = 1;

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"data", "data set; every split is encoded", true}, s.data...);
    f(OptionText{"binarize", "how grey data becomes binary; none uses the rule of the model's run"},
      s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(OptionText{"seed", "seed of --binarize sample"}, s.seed...);
  }
};

struct EncodedSplit {
  std::string split;
  std::vector<std::pair<std::string, Matrix>> codes;  // name, cases x size
  std::vector<std::int64_t> labels;                   // of the cases, where the data have them
};

struct EncodeResult {
  std::vector<EncodedSplit> splits;
  std::int64_t seed = 0;
};

/// Codes of every split: what the model says that its data are encoded as. Expected latents are exact, or
/// those of a mean field. Throws DataError, NoInputError, UsageError, Interrupted. Cost: a product for each
/// case, or 50 sweeps of a mean field.
EncodeResult encode_data(const AnyModelFile& model, const EncodeOptions& options, const Executor& executor,
                         Listener& listener);

/// /<split>/<code> (n, size) float32 and /<split>/y. Throws WriteError.
void write_codes(const EncodeResult& result, const std::filesystem::path& path);

/// What was written to `path`, in words.
std::string words(const EncodeResult& result, const std::filesystem::path& path);

}  // namespace tempera
