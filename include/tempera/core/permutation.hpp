// Random orders.
#pragma once

#include <vector>

#include "tempera/core/random.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// 0 ... n-1 in an order of which all are equally likely (Fisher & Yates 1938): a function of the stream,
/// which is taken by value and gives n - 1 draws.
std::vector<Index> permutation(Index n, StreamEngine random);

}  // namespace tempera
