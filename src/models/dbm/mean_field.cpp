// The mean field of the hidden layers given data (docs/mathematics/energies.md 1.4).
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/dbm.hpp"
#include "units/lanes.hpp"

namespace tempera {
namespace {

/// H of independent units with these means, summed over the units: out[c] += sum_i -m log m - (1-m) log(1-m).
void add_entropies(const LaneMatrix& mean, Index lanes, LaneDoubles& out) {
  const auto term = [](double p) { return p > 0.0 ? -p * std::log(p) : 0.0; };
  for (Index i = 0; i < mean.rows(); ++i) {
    for (Index c = 0; c < lanes; ++c) {
      const auto p = static_cast<double>(mean(i, c));
      out[static_cast<std::size_t>(c)] += term(p) + term(1.0 - p);
    }
  }
}

/// out[c] += bias' values of chain c.
void add_real_dots(const LaneMatrix& values, const Vector& bias, Index lanes, LaneDoubles& out) {
  const Eigen::Matrix<double, 1, kLanes> dots = bias.cast<double>().transpose() * values.cast<double>();
  for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += dots[c];
}

}  // namespace

void Dbm::mean_field(Index sweeps, bool, const Params& theta, BlockCache& cache, Scratch& scratch) const {
  const LaneFloats one = ones();
  cache.mean_field = true;
  // What the data give to the odd layers stays; the cache holds it.
  std::array<LaneMatrix, kMaxHidden + 1> from_data;
  for (std::size_t k = 1; k < layers(); k += 2) from_data[k] = cache.input[k];
  for (std::size_t k = 2; k < layers(); k += 2) cache.mean[k].setConstant(0.5F);
  const auto update_odd = [&] {
    for (std::size_t k = 1; k < layers(); k += 2) {
      cache.input[k] = from_data[k];
      if (k > 1) cache.input[k].noalias() += theta.weights[k - 1].transpose() * cache.mean[k - 1];
      if (k + 1 < layers()) cache.input[k].noalias() += theta.weights[k] * cache.mean[k + 1];
      mean_units(cache.input[k], {0, size(k)}, one, cache.lanes, cache.mean[k]);
    }
  };
  update_odd();
  for (Index sweep = 0; sweep < sweeps && layers() > 2; ++sweep) {
    for (std::size_t k = 2; k < layers(); k += 2) {
      LaneMatrix& input = scratch.input;
      input = theta.bias[k].replicate(1, kLanes);
      input.noalias() += theta.weights[k - 1].transpose() * cache.mean[k - 1];
      if (k + 1 < layers()) input.noalias() += theta.weights[k] * cache.mean[k + 1];
      mean_units(input, {0, size(k)}, one, cache.lanes, cache.mean[k]);
    }
    update_odd();
  }
}

void Dbm::variational_free_energy(const Params& theta, const State& x, const BlockCache& cache,
                                  LaneDoubles& out) const {
  // The odd layers are at their optimum given the even ones, so they are summed out.
  LaneDoubles sum{};
  add_dots({x.layers[0], cache.lanes}, theta.bias[0], sum);
  for (std::size_t k = 1; k < layers(); k += 2) add_softplus(cache.input[k], ones(), cache.lanes, sum);
  for (std::size_t k = 2; k < layers(); k += 2) {
    add_real_dots(cache.mean[k], theta.bias[k], cache.lanes, sum);
    add_entropies(cache.mean[k], cache.lanes, sum);
  }
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = static_cast<Index>(c) < cache.lanes ? -sum[c] : 0.0;
}

}  // namespace tempera
