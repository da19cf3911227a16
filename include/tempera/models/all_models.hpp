// Every kind of model, in one list: what templates over models are compiled for, what files and options may
// name, and what the tests of every model run on. A new kind adds its header and its line here.
#pragma once

#include <string_view>
#include <type_traits>

#include "tempera/models/dbm.hpp"
#include "tempera/models/rbm.hpp"
#include "tempera/models/spike_slab.hpp"
#include "tempera/models/units/gaussian_hidden.hpp"

/// F(type) for every model.
#define TEMPERA_FOR_EACH_MODEL(F)   \
  TEMPERA_FOR_EACH_LAYERED_MODEL(F) \
  TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(F)

/// Those composed of units (models/spike_slab.hpp).
#define TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(F) \
  F(GaussianRbm)                             \
  F(BernoulliGaussianRbm)                    \
  F(SpikeSlabRbm)                            \
  F(BinarySpikeSlabRbm)                      \
  F(SparseSpikeSlabRbm)                      \
  F(BilinearSpikeSlabRbm)                    \
  F(BinaryBilinearSpikeSlabRbm)

/// Those of layers of Bernoulli units.
#define TEMPERA_FOR_EACH_LAYERED_MODEL(F) \
  F(BernoulliRbm)                         \
  F(PottsRbm)                             \
  F(Dbm)

namespace tempera {

/// Calls f(std::type_identity<M>()) for the model of this name; returns whether there is one.
template <class F>
bool visit_kind(std::string_view kind, std::string_view hidden_units, F&& f) {
#define TEMPERA_TRY(M)                                       \
  if (kind == M::kKind && hidden_units == M::kHiddenUnits) { \
    f(std::type_identity<M>());                              \
    return true;                                             \
  }
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  return false;
}

}  // namespace tempera
