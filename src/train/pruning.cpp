#include "tempera/train/pruning.hpp"

#include <algorithm>
#include <cmath>

#include "metrics/parts.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Probabilities of the four states of a pair, with the value of its centred product in each.
struct PairLaw {
  std::array<double, 4> probability;
  std::array<double, 4> product;

  PairLaw(double both, double row, double column)
      : probability{both, std::max(0.0, row - both), std::max(0.0, column - both),
                    std::max(0.0, 1.0 - row - column + both)},
        product{(1 - row) * (1 - column), (1 - row) * -column, -row * (1 - column), row * column} {}

  [[nodiscard]] double mean() const {
    double sum = 0.0;
    for (std::size_t k = 0; k < 4; ++k) sum += probability[k] * product[k];
    return sum;
  }
  [[nodiscard]] double variance() const {
    double sum = 0.0;
    const double centre = mean();
    for (std::size_t k = 0; k < 4; ++k) sum += probability[k] * (product[k] - centre) * (product[k] - centre);
    return sum;
  }
};

}  // namespace

double deletion_kl(double weight, double both, double row, double column) {
  const PairLaw law(both, row, column);
  const double mean = law.mean();
  double tilted = 0.0;
  for (std::size_t k = 0; k < 4; ++k)
    tilted += law.probability[k] * std::expm1(-weight * (law.product[k] - mean));
  return std::max(0.0, std::log1p(tilted));
}

double unit_deletion_kl(const Eigen::VectorXd& inputs) {
  double mean = 0.0;
  LogSumExp off;
  for (const double x : inputs) {
    mean += softplus(x);
    off.add(-softplus(x));
  }
  const auto n = static_cast<double>(inputs.size());
  return mean / n + off.value() - std::log(n);
}

double density_of(const Mask& mask) {
  double kept = 0.0;
  double all = 0.0;
  for (const auto& m : mask) {
    kept += static_cast<double>((m.array() != 0.0F).count());
    all += static_cast<double>(m.size());
  }
  return kept / all;
}

LayerParams<float> saliencies(PruningCriterion criterion, const LayerParams<float>& theta,
                              const PairMoments& moments, const KfacState<float>& kfac, const Mask& mask) {
  LayerParams<float> result = zeros_like(theta);
  const std::vector<Index> sizes = layer_sizes(theta);
  const LayerShape shape(sizes);
  const LayerMatrices<float> inverses(shape, kfac.layer_inverses);
  for (std::size_t k = 0; k < theta.weights.size(); ++k) {
    for (Index i = 0; i < sizes[k]; ++i) {
      for (Index j = 0; j < sizes[k + 1]; ++j) {
        if (mask[k](i, j) == 0.0F) continue;
        const double w = theta.weights[k](i, j);
        const double both = moments.weights[k](i, j);
        const double row = moments.bias[k][i];
        const double column = moments.bias[k + 1][j];
        double value = 0.0;
        switch (criterion) {
          case PruningCriterion::kMagnitude:
            value = std::abs(w);
            break;
          case PruningCriterion::kObd:
            value = 0.5 * w * w * PairLaw(both, row, column).variance();
            break;
          case PruningCriterion::kKl:
            value = deletion_kl(w, both, row, column);
            break;
          case PruningCriterion::kObs:
            value = 0.5 * w * w /
                    (static_cast<double>(inverses[k](i, i)) * static_cast<double>(inverses[k + 1](j, j)));
            break;
        }
        result.weights[k](i, j) = static_cast<float>(value);
      }
    }
  }
  return result;
}

void prune_mask(const LayerParams<float>& saliency, double density, Mask& mask) {
  std::vector<std::pair<float, float*>> kept;
  Index all = 0;
  for (std::size_t k = 0; k < mask.size(); ++k) {
    all += mask[k].size();
    for (Index n = 0; n < mask[k].size(); ++n) {
      if (mask[k].data()[n] != 0.0F) kept.emplace_back(saliency.weights[k].data()[n], mask[k].data() + n);
    }
  }
  const auto wanted = static_cast<std::size_t>(std::llround(density * static_cast<double>(all)));
  if (kept.size() <= wanted) return;
  const auto excess = static_cast<std::ptrdiff_t>(kept.size() - wanted);
  // Equal saliencies go in the order of memory.
  std::nth_element(kept.begin(), kept.begin() + excess - 1, kept.end());
  for (auto entry = kept.begin(); entry != kept.begin() + excess; ++entry) *entry->second = 0.0F;
}

void delete_weights(const Mask& mask, const LayerOffsets& offsets, LayerParams<float>& theta) {
  for (std::size_t k = 0; k < mask.size(); ++k) {
    const LayerParams<float>::Weights gone = (theta.weights[k].array() * (1.0F - mask[k].array())).matrix();
    theta.weights[k] -= gone;
    theta.bias[k] += gone * *offsets[k + 1];
    theta.bias[k + 1] += gone.transpose() * *offsets[k];
  }
}

void compensate(const Mask& mask, const RunningMoments& moments, Index iterations,
                LayerParams<float>& theta) {
  const std::vector<Index> sizes = layer_sizes(theta);
  const std::vector<Index> first = first_units(sizes);
  const Eigen::MatrixXd covariance = covariance_of(moments);
  for (std::size_t k = 0; k < mask.size(); ++k) {
    constexpr double kRidge = 1e-3;  // of the covariances
    const auto block = [&](std::size_t layer) {
      Eigen::MatrixXd c = covariance.block(first[layer], first[layer], sizes[layer], sizes[layer]);
      c.diagonal().array() += kRidge;
      return c;
    };
    const Eigen::MatrixXd left = block(k);
    const Eigen::MatrixXd right = block(k + 1);
    const Eigen::ArrayXXd keeps = mask[k].cast<double>().array();
    const Eigen::MatrixXd gone = (theta.weights[k].cast<double>().array() * (1.0 - keeps)).matrix();
    // d = -w on the deleted weights; on the kept ones P_rr d_r = P_rs w_s.
    Eigen::MatrixXd d = Eigen::MatrixXd::Zero(sizes[k], sizes[k + 1]);
    Eigen::MatrixXd r = ((left * gone * right).array() * keeps).matrix();
    Eigen::MatrixXd p = r;
    double squared = r.squaredNorm();
    const double enough = 1e-8 * squared;
    for (Index t = 0; t < iterations && squared > enough; ++t) {
      const Eigen::MatrixXd q = ((left * p * right).array() * keeps).matrix();
      const double length = squared / p.cwiseProduct(q).sum();
      d += length * p;
      r -= length * q;
      const double next = r.squaredNorm();
      p = r + next / squared * p;
      squared = next;
    }
    theta.weights[k] += d.cast<float>();
  }
}

}  // namespace tempera
