// One block of a weighted statistic, as raw memory: shared with code that is compiled for several instruction
// sets and therefore sees no Eigen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tempera {

/// Binary rows, real columns and a weight for each of 64 chains, of which the first `lanes` count.
struct WeightedBlock {
  const std::uint64_t* rows = nullptr;  // one word for each row
  const float* columns = nullptr;       // 64 aligned floats for each column
  const float* weight = nullptr;        // 64
  std::size_t lanes = 64;
};

}  // namespace tempera
