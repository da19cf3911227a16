#include "tempera/core/case_weights.hpp"

#include <numeric>

namespace tempera {

CaseWeights::CaseWeights(std::vector<double> weights)
    : weights_(std::move(weights)), total_(std::accumulate(weights_.begin(), weights_.end(), 0.0)) {}

CaseWeights CaseWeights::first(Index n_cases) const {
  return CaseWeights({weights_.begin(), all_one() ? weights_.end() : weights_.begin() + n_cases});
}

}  // namespace tempera
