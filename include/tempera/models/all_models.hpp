// Every kind of model, in one list: what templates over models are compiled for.
#pragma once

#include "tempera/models/bernoulli_rbm.hpp"
#include "tempera/models/dbm.hpp"
#include "tempera/models/spike_slab.hpp"

/// F(type) for every model.
#define TEMPERA_FOR_EACH_MODEL(F)   \
  TEMPERA_FOR_EACH_LAYERED_MODEL(F) \
  TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(F)

/// Those of real values or slabs.
#define TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(F) \
  F(GaussianRbm)                             \
  F(SpikeSlabRbm)                            \
  F(BinarySpikeSlabRbm)                      \
  F(SparseSpikeSlabRbm)                      \
  F(BilinearSpikeSlabRbm)                    \
  F(BinaryBilinearSpikeSlabRbm)

/// Those of layers of Bernoulli units.
#define TEMPERA_FOR_EACH_LAYERED_MODEL(F) \
  F(BernoulliRbm)                         \
  F(Dbm)
