// One case, exactly, and log Z by enumeration.
#include "collapsed_layers.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/dbm.hpp"
#include "units/bernoulli_units.hpp"
#include "units/lanes.hpp"

namespace tempera {

Index Dbm::enumerated_units() const {
  Index odd = 0;
  Index even = 0;
  for (std::size_t k = 0; k < layers(); ++k) (k % 2 == 0 ? even : odd) += size(k);
  return std::min(even, odd);
}

Index Dbm::exact_chunks() const { return enumeration_chunks(enumerated_units()); }

template <class V>
Eigen::VectorXd Dbm::concatenated(std::size_t parity, const V& vectors) const {
  Index total = 0;
  for (std::size_t k = parity; k < layers(); k += 2) total += size(k);
  Eigen::VectorXd all(total);
  Index first = 0;
  for (std::size_t k = parity; k < layers(); first += size(k), k += 2)
    all.segment(first, size(k)) = vectors[k].template cast<double>();
  return all;
}

Eigen::MatrixXd Dbm::even_odd_weights(const Params& theta) const {
  std::vector<Index> first(layers());
  Index even = 0;
  Index odd = 0;
  for (std::size_t k = 0; k < layers(); ++k) {
    Index& end = k % 2 == 0 ? even : odd;
    first[k] = end;
    end += size(k);
  }
  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(even, odd);
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

double Dbm::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::VectorXd even = beta * concatenated(0, theta.bias);
  even.head(n_visible()) += (1.0 - beta) * reference_.bias_0.cast<double>();
  const Eigen::VectorXd odd = beta * concatenated(1, theta.bias);
  const Eigen::MatrixXd weights = beta * even_odd_weights(theta);
  return odd.size() <= even.size() ? log_sum_of_chunk(Doubles(weights.transpose()), odd, even, chunk)
                                   : log_sum_of_chunk(Doubles(weights), even, odd, chunk);
}

std::vector<Index> Dbm::collapsed_layers() const {
  Index even = 0;
  Index odd = 0;
  for (std::size_t k = 0; k < layers(); ++k) (k % 2 == 0 ? even : odd) += size(k);
  std::vector<Index> all;
  for (std::size_t k = odd <= even ? 1 : 0; k < layers(); k += 2) all.push_back(static_cast<Index>(k));
  return all;
}

std::unique_ptr<CollapsedMachine> Dbm::collapsed(const Params& theta) const {
  const Eigen::MatrixXd weights = even_odd_weights(theta);
  const Eigen::VectorXd even = concatenated(0, theta.bias);
  const Eigen::VectorXd odd = concatenated(1, theta.bias);
  if (odd.size() <= even.size()) return std::make_unique<CollapsedLayers>(weights.transpose(), odd, even);
  return std::make_unique<CollapsedLayers>(weights, even, odd);
}

Index Dbm::case_units() const {
  Index units = 0;
  for (std::size_t k = 2; k < layers(); k += 2) units += size(k);
  return units;
}

double Dbm::free_energy(const Params& theta, std::span<const Word> row) const {
  using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Doubles weights = even_odd_weights(theta);
  const Eigen::VectorXd even = concatenated(0, theta.bias);
  Eigen::VectorXd odd = concatenated(1, theta.bias);
  double bias = 0.0;
  for (Index i = 0; i < n_visible(); ++i) {
    if (!is_on(row, i)) continue;
    bias += even[i];
    odd += weights.row(i).transpose();
  }
  const Doubles above = weights.bottomRows(case_units());
  LogSumExp total;
  for (Index chunk = 0; chunk < enumeration_chunks(case_units()); ++chunk)
    total.add(log_sum_of_chunk(above, even.tail(case_units()), odd, chunk));
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
