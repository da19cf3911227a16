#include "tempera/services/units.hpp"

namespace tempera {

Standardisation read_standardisation(const Hdf5Reader& file, const std::string& path, Index n_visible) {
  Standardisation units;
  if (!file.has(path)) return units;
  const Shape shape = {static_cast<std::uint64_t>(n_visible)};
  units.centre.resize(n_visible);
  units.scale.resize(n_visible);
  file.dataset(path + "/centre", shape, units.centre.data());
  file.dataset(path + "/scale", shape, units.scale.data());
  if (!(units.scale.minCoeff() > 0.0)) file.fail(path + "/scale", "scales must be positive");
  return units;
}

void write_standardisation(Hdf5Writer& file, const std::string& path, const Standardisation& units) {
  if (units.empty()) return;
  const Shape shape = {static_cast<std::uint64_t>(units.scale.size())};
  file.dataset(path + "/centre", shape, units.centre.data());
  file.dataset(path + "/scale", shape, units.scale.data());
}

}  // namespace tempera
