// Which connections a machine can lose.
//
// A weight goes in centred coordinates: what it gave on average stays in the biases of its two units. The KL
// divergence from the old machine to the one without the weight is then known exactly from three
// probabilities of the old one; optimal brain damage (LeCun et al. 1990) is its second-order term
// (docs/mathematics/metrics.md 4.15).
#pragma once

#include "tempera/train/metrics/kfac.hpp"

namespace tempera {

/// What says how much a weight matters.
enum class PruningCriterion { kMagnitude, kObd, kKl, kObs };

template <>
struct Names<PruningCriterion> {
  static constexpr std::array<NamedValue<PruningCriterion>, 4> table{{
      {PruningCriterion::kMagnitude, "magnitude", "|w|"},
      {PruningCriterion::kObd, "obd", "variance of the statistic x weight^2"},
      {PruningCriterion::kKl, "kl", "the exact divergence that deleting it costs"},
      {PruningCriterion::kObs, "obs",
       "the divergence after all others have made up for it, by kfac's metric"},
  }};
};

/// E[x_i x_j] of the pairs that weights connect, and E[x_i], of a model.
using PairMoments = LayerParams<double>;

/// KL(p || p without the weight), nats: E[w s] + log E[exp(-w s)] for s = (x_i - row)(x_j - column), from
/// row = E[x_i], column = E[x_j], both = E[x_i x_j] under p. Exact.
double deletion_kl(double weight, double both, double row, double column);

/// KL(p || p without a hidden unit), nats: E[softplus(x)] + log E[sigmoid(-x)] for the unit's input x at
/// draws of the visibles. Exact up to the draws.
double unit_deletion_kl(const Eigen::VectorXd& inputs);

/// Which weights are kept: 1, or 0.
using Mask = std::vector<LayerParams<float>::Weights>;

/// Fraction of weights that a mask keeps.
double density_of(const Mask& mask);

/// How much each weight matters, by a criterion: magnitude |w|; obd w^2 Var(s) / 2; kl deletion_kl; obs
/// w^2 / (2 [C_k^-1]_ii [C_{k+1}^-1]_jj), the loss where all others are moved to make up for it (optimal
/// brain surgeon, Hassibi & Stork 1993, docs/mathematics/metrics.md 4.16, with kfac for the Hessian, whose
/// inverted factors it alone needs). Weights that the mask has lost get 0. Shapes as theta; biases 0.
LayerParams<float> saliencies(PruningCriterion criterion, const LayerParams<float>& theta,
                              const PairMoments& moments, const KfacState<float>& kfac, const Mask& mask);

/// Takes the least salient weights out of the mask until it keeps this fraction of all.
void prune_mask(const LayerParams<float>& saliency, double density, Mask& mask);

/// Weights out of the mask become 0 and their mean effect goes to the biases, with the model's means for
/// offsets.
void delete_weights(const Mask& mask, const LayerOffsets& offsets, LayerParams<float>& theta);

/// Optimal brain surgeon for many weights at once: moves the kept weights so that 0.5 d'P d is least with the
/// others at 0, P the Kronecker product of these covariances. Conjugate gradients, `iterations` at most.
/// Call before delete_weights.
void compensate(const Mask& mask, const RunningMoments& moments, Index iterations, LayerParams<float>& theta);

}  // namespace tempera
