// Running moments of all units of a machine, layer after layer: what kfac, ekfac and fang are made of.
//
// Source: docs/mathematics/metrics.md 4.7; of statistics that are not centred,
// docs/mathematics/spike-and-slab.md 5.13.
#pragma once

#include "tempera/train/fisher.hpp"

namespace tempera {

/// First and second moments of all units, offsets taken off, as running means that begin at 0: divide by
/// `weight`.
struct RunningMoments {
  Eigen::VectorXd mean;        // (units)
  Eigen::MatrixXd second;      // (units, units); of symmetric entries the lower triangle alone
  double weight = 0.0;         // of what has been seen: 1 - rho^t
  std::uint64_t observed = 0;  // updates that have been seen, t

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("mean", s.mean...);
    f("second", s.second...);
    f("weight", s.weight...);
    f("observed", s.observed...);
  }
};

/// Weight of a new observation, 1 - rho, in running means that look back `memory` updates; 1 where that is
/// less than one.
double new_weight(double memory);

/// First unit of every layer in the order of the moments, and at the end the number of all units.
std::vector<Index> first_units(const std::vector<Index>& sizes);

/// Moments that have seen nothing, for the units of these layers.
RunningMoments no_moments(const LayerShape& shape);

/// Moves the moments to those of the draws. Conditional variances of the units, where the draws have them,
/// are added to their squares. Cost: draws x units^2.
template <class Number>
void observe_moments(const Fisher<Number>& fisher, double memory, RunningMoments& moments);

/// Whether what is made of the moments is due to be made anew: every `refresh` updates, and at the first 1,
/// 2, 4, 8, ... ones, while little has been seen.
bool is_refresh_due(const RunningMoments& moments, std::uint64_t refresh);

/// Covariance of all units (units, units), of what has been seen.
Eigen::MatrixXd covariance_of(const RunningMoments& moments);

/// What factors of couplings are made of (units, units): the covariance, or second moments where units that
/// are multiplied have means (docs/mathematics/spike-and-slab.md 5.13).
Eigen::MatrixXd moments_of_factors(const LayerShape& shape, const Eigen::MatrixXd& covariance,
                                   const RunningMoments& moments);

}  // namespace tempera
