// Sums over the letters of sites, in double.
#pragma once

#include <Eigen/Core>

#include "tempera/core/letters.hpp"

namespace tempera {

/// The logarithm of the sum of exp(x) over the letters of every site, of all sites. x: a number for each
/// place.
double log_sum_of_letters(const Eigen::ArrayXd& x, const Letters& letters);

/// Probabilities of the letters of every site; 0 at places without a letter.
Eigen::VectorXd means_of_letters(const Eigen::VectorXd& x, const Letters& letters);

}  // namespace tempera
