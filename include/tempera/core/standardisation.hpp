// Standardised coordinates of real values: each column with a centre and a scale of its own, so that a
// machine trains alike whatever its data are measured in.
#pragma once

#include <map>
#include <span>
#include <string>

#include "tempera/core/case_weights.hpp"
#include "tempera/core/types.hpp"

namespace tempera {

/// Values v are written as v = centre + scale u, column by column, and a machine sees u. Both are empty where
/// it sees v.
struct Standardisation {
  Eigen::VectorXd centre;
  Eigen::VectorXd scale;  // positive

  [[nodiscard]] bool empty() const { return scale.size() == 0; }
  /// u = -centre / scale + v / scale.
  [[nodiscard]] Standardisation inverse() const;
  /// Rows of v as rows of u, and back. In double, rounded once.
  [[nodiscard]] Matrix standardised(Matrix rows) const;
  [[nodiscard]] Matrix raw(Matrix rows) const;
  /// log dv / du: what a log density of u exceeds that of v by; 0 where empty.
  [[nodiscard]] double log_volume() const;
  /// The same of a case whose values of 0 have a probability of their own: only the others count.
  [[nodiscard]] double log_volume_of_others(std::span<const float> u) const;
};

/// What changes of the values of a case leave a machine one of its kind.
enum class UnitFreedom {
  kNone,
  kScale,   // v = scale u
  kAffine,  // v = centre + scale u
};

/// Means and standard deviations of the columns of weighted rows; with kScale the centres are 0, with
/// `exact_zeros` the deviations are those of the values other than 0. A column that does not vary has the
/// median scale of the others. Empty with kNone.
Standardisation fit_standardisation(const Matrix& rows, UnitFreedom freedom, bool exact_zeros,
                                    const CaseWeights& weights = {});

/// Arrays of a machine in double, by the names of their fields: what files hold.
using DoubleArray = Eigen::Array<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using DoubleFields = std::map<std::string, DoubleArray, std::less<>>;

}  // namespace tempera
