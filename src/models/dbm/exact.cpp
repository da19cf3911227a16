// One case, exactly, and log Z by enumeration.
#include "collapsed_layers.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/dbm.hpp"
#include "units/bernoulli_units.hpp"
#include "units/lanes.hpp"

namespace tempera {

Index Dbm::side_units(std::size_t parity) const {
  Index units = 0;
  for (std::size_t k = parity; k < layers(); k += 2) units += size(k);
  return units;
}

Index Dbm::enumerated_units() const { return std::min(side_units(0), side_units(1)); }

Index Dbm::exact_chunks() const { return enumeration_chunks(enumerated_units()); }

template <class V>
Eigen::VectorXd Dbm::concatenated(std::size_t parity, const V& vectors) const {
  Eigen::VectorXd all(side_units(parity));
  Index first = 0;
  for (std::size_t k = parity; k < layers(); first += size(k), k += 2)
    all.segment(first, size(k)) = vectors[k].template cast<double>();
  return all;
}

Eigen::MatrixXd Dbm::even_odd_weights(const Params& theta) const {
  std::vector<Index> first(layers());  // of a layer in its side
  for (std::size_t k = 2; k < layers(); ++k) first[k] = first[k - 2] + size(k - 2);
  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(side_units(0), side_units(1));
  for (std::size_t k = 0; k + 1 < layers(); ++k) {
    if (k % 2 == 0) {
      weights.block(first[k], first[k + 1], size(k), size(k + 1)) = theta.weights[k].cast<double>();
    } else {
      weights.block(first[k + 1], first[k], size(k + 1), size(k)) =
          theta.weights[k].transpose().cast<double>();
    }
  }
  return weights;
}

std::unique_ptr<CollapsedLayers> Dbm::smaller_side(const Params& theta, double beta) const {
  Eigen::VectorXd even = beta * concatenated(0, theta.bias);
  even.head(n_visible()) += (1.0 - beta) * reference_.bias_0.cast<double>();
  const Eigen::VectorXd odd = beta * concatenated(1, theta.bias);
  const Eigen::MatrixXd weights = beta * even_odd_weights(theta);
  if (odd.size() <= even.size()) return std::make_unique<CollapsedLayers>(weights.transpose(), odd, even);
  return std::make_unique<CollapsedLayers>(weights, even, odd);
}

double Dbm::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  return log_sum_of_chunk(*smaller_side(theta, beta), chunk);
}

std::vector<Index> Dbm::collapsed_layers() const {
  std::vector<Index> all;
  for (std::size_t k = side_units(1) <= side_units(0) ? 1 : 0; k < layers(); k += 2)
    all.push_back(static_cast<Index>(k));
  return all;
}

std::unique_ptr<CollapsedMachine> Dbm::collapsed(const Params& theta) const {
  return smaller_side(theta, 1.0);
}

Index Dbm::case_units() const { return side_units(0) - n_visible(); }

double Dbm::free_energy(const Params& theta, std::span<const Word> row) const {
  const CollapsedLayers::Weights weights = even_odd_weights(theta);
  const Eigen::VectorXd even = concatenated(0, theta.bias);
  Eigen::VectorXd odd = concatenated(1, theta.bias);
  double bias = 0.0;
  for (Index i = 0; i < n_visible(); ++i) {
    if (!is_on(row, i)) continue;
    bias += even[i];
    odd += weights.row(i).transpose();
  }
  CollapsedLayers above(weights.bottomRows(case_units()), even.tail(case_units()), odd);
  LogSumExp total;
  for (Index chunk = 0; chunk < enumeration_chunks(case_units()); ++chunk)
    total.add(log_sum_of_chunk(above, chunk));
  return -bias - total.value();
}

void Dbm::mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const {
  const BitBlock hidden{x.layers[1], kLanes};
  pack({&hidden, 1}, scratch.packed[1]);
  LaneMatrix input(n_visible(), kLanes);
  float* const rows = input.data();
  input_from_columns(theta.weights[0], scratch.packed[1], {0, n_visible()}, theta.bias[0], {&rows, 1},
                     scratch.products);
  mean.resize(n_visible(), kLanes);
  mean_units(input, {0, n_visible()}, ones(), kLanes, mean);
}

}  // namespace tempera
