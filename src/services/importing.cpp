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
  using M = ForeignModel::Machine;
  ImportResult result{out, foreign->format, foreign->theta.weights.rows(), foreign->theta.weights.cols(),
                      foreign->log_partition_offset};
  const M model = with_standard_reference<M>({result.n_visible, result.n_hidden});
  write_model(out, ModelFile<M>{file, model, std::move(foreign->theta), false, {}, {}, {}, {}, {}},
              result.format);
  return result;
}

}  // namespace tempera
