#include "tempera/services/baselines.hpp"

#include <array>
#include <boost/math/constants/constants.hpp>
#include <cmath>

#include "observers.hpp"
#include "tempera/core/decompositions.hpp"
#include "tempera/core/math.hpp"
#include "tempera/services/data_kind.hpp"

namespace tempera {
namespace {

/// Parts of cross-validation, and how far a covariance may be drawn to its diagonal.
constexpr Index kParts = 5;
constexpr std::array<double, 7> kShrinkages = {1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3, 1.0};
constexpr Index kLeastCases = 10;
/// Variance of a column that does not vary, of standardised values.
constexpr double kLeastVariance = 1e-4;

/// Moments over some cases.
struct Moments {
  double n = 0.0;
  Eigen::VectorXd first;
  Eigen::MatrixXd second;

  explicit Moments(Index d) : first(Eigen::VectorXd::Zero(d)), second(Eigen::MatrixXd::Zero(d, d)) {}
  void add(const Moments& other, double sign) {
    n += sign * other.n;
    first += sign * other.first;
    second += sign * other.second;
  }
  [[nodiscard]] Eigen::VectorXd mean() const { return first / n; }
  [[nodiscard]] Eigen::MatrixXd covariance() const {
    const Eigen::VectorXd m = mean();
    return second / n - m * m.transpose();
  }
};

/// Rows, and how often each counts.
struct WeightedRows {
  Eigen::MatrixXd rows;
  Eigen::VectorXd weights;

  [[nodiscard]] WeightedRows part(Index begin, Index end) const {
    return {rows.middleRows(begin, end - begin), weights.segment(begin, end - begin)};
  }
};

WeightedRows weighted_rows(const RealData& data) {
  WeightedRows all{rows_of(data).cast<double>(), Eigen::VectorXd(data.n_cases())};
  for (Index n = 0; n < data.n_cases(); ++n) all.weights[n] = data.weights()[n];
  return all;
}

Moments sums_of(const WeightedRows& some) {
  Moments sums(some.rows.cols());
  const Eigen::MatrixXd weighted = some.weights.asDiagonal() * some.rows;
  sums.n = some.weights.sum();
  sums.first = weighted.colwise().sum();
  sums.second = weighted.transpose() * some.rows;
  return sums;
}

/// Log densities of rows by a normal law whose covariance is drawn to its diagonal; -infinity where it is not
/// positive.
Eigen::VectorXd log_densities(const Moments& sums, double shrinkage, const Eigen::MatrixXd& rows) {
  Eigen::MatrixXd covariance = sums.covariance();
  const Eigen::VectorXd variances = covariance.diagonal().cwiseMax(kLeastVariance);
  covariance *= 1.0 - shrinkage;
  covariance.diagonal() = variances;
  const Cholesky<double> factor(covariance);
  if (!factor.succeeded())
    return Eigen::VectorXd::Constant(rows.rows(), -std::numeric_limits<double>::infinity());
  const Eigen::MatrixXd centred = (rows.rowwise() - sums.mean().transpose()).transpose();
  const double log_normaliser =
      -0.5 * std::log(2.0 * boost::math::constants::pi<double>()) * static_cast<double>(rows.cols()) -
      factor.half_log_determinant();
  const Eigen::VectorXd squares = centred.cwiseProduct(factor.solve(centred)).colwise().sum();
  return log_normaliser - 0.5 * squares.array();
}

/// How far to the diagonal, by cross-validation on every kParts-th part of the cases.
double best_shrinkage(const WeightedRows& rows, const Moments& all) {
  const Index n = rows.weights.size();
  std::array<double, kShrinkages.size()> scores{};
  for (Index part = 0; part < kParts; ++part) {
    const WeightedRows held = rows.part(part * n / kParts, (part + 1) * n / kParts);
    Moments others = all;
    others.add(sums_of(held), -1.0);
    for (std::size_t k = 0; k < kShrinkages.size(); ++k)
      scores[k] += log_densities(others, kShrinkages[k], held.rows).dot(held.weights);
  }
  std::size_t best = kShrinkages.size() - 1;
  for (std::size_t k = 0; k < kShrinkages.size(); ++k) {
    if (scores[k] > scores[best]) best = k;
  }
  return kShrinkages[best];
}

}  // namespace

template <EnergyModel M>
Likelihood independent_likelihood(const Engine<M>& engine, const typename M::Data& cases) {
  Cases<M> all(engine, cases, cases.n_cases());
  bool possible = true;
  return all.likelihood(engine, engine.model.reference_params(),
                        {engine.model.reference_log_partition(), 0.0, 1.0}, possible);
}

template <EnergyModel M>
std::optional<Likelihood> gaussian_likelihood(const typename M::Data& train, const typename M::Data& cases) {
  const RealData* const known = as_numbers(train);
  const RealData* const held = as_numbers(cases);
  if (known == nullptr || held->n_cases() == 0 || known->n_cases() < kLeastCases ||
      known->n_visible() > kMostGaussianColumns)
    return std::nullopt;
  const WeightedRows rows = weighted_rows(*known);
  const Moments all = sums_of(rows);
  const Eigen::VectorXd densities = log_densities(all, best_shrinkage(rows, all), weighted_rows(*held).rows);
  std::vector<double> energies;
  for (Index n = 0; n < held->n_cases(); ++n) energies.push_back(held->log_volume(n) - densities[n]);
  return mean_log_likelihood(energies, {0.0, 0.0, 1.0}, held->weights());
}

#define TEMPERA_INSTANTIATE(M)                                                  \
  template Likelihood independent_likelihood(const Engine<M>&, const M::Data&); \
  template std::optional<Likelihood> gaussian_likelihood<M>(const M::Data&, const M::Data&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
