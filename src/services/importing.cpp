#include "tempera/services/importing.hpp"

#include "tempera/core/format.hpp"
#include "tempera/io/files.hpp"
#include "tempera/services/foreign_models.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

std::string ImportResult::words() const {
  std::string text =
      tempera::format("%lld visible and %lld hidden units from %s: %s", static_cast<long long>(n_visible),
                      static_cast<long long>(n_hidden), this->format.c_str(), path.c_str());
  if (log_partition_offset != 0.0)
    text += tempera::format("\nlog Z of the original energies is larger by %.6f nats", log_partition_offset);
  return text;
}

ImportResult import_model(const std::filesystem::path& file, std::uint64_t update,
                          const std::filesystem::path& out) {
  require_exists(file);
  auto foreign = read_foreign(file, update);
  if (!foreign) {
    throw DataError(file.string() +
                    ": expected a model of rbms, RestrictedBoltzmannMachines.jl, scikit-learn or NumPy "
                    "arrays W, a, b; found something else");
  }
  ImportResult result{out, foreign->format, foreign->weights.rows(), foreign->weights.cols(),
                      foreign->log_partition_offset};
  if (!foreign->letters.empty()) result.n_visible = foreign->letters.sites();
  const AnyModelFile model = converted(file, std::move(*foreign));
  std::visit([&](const auto& of_kind) { write_model(out, of_kind, result.format); }, model);
  return result;
}

}  // namespace tempera
