// Every kind of model, in one list: what templates over models are compiled for.
#pragma once

#include "tempera/models/bernoulli_rbm.hpp"
#include "tempera/models/dbm.hpp"

/// F(type) for every model.
#define TEMPERA_FOR_EACH_MODEL(F) \
  F(BernoulliRbm)                 \
  F(Dbm)
