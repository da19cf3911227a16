// What a model takes the value of a column for, given the others.
#pragma once

#include "tempera/services/score.hpp"

namespace tempera {

/// p(value | the other columns) of one column for every case, exact. `called`: its name, or its number as
/// users count it (sites of letters from 1, other columns from 0). Throws UsageError where there is no such
/// column, or it is neither of letters nor of bits, or the model has no exact free energy. Cost: a free
/// energy for each case and value.
template <EnergyModel M>
ColumnPosterior posterior_of(const ModelFile<M>& file, const std::string& called,
                             const std::vector<std::string>& names, const typename M::Data& cases,
                             const Executor& executor);

}  // namespace tempera
