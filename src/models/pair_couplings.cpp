#include "tempera/models/pair_couplings.hpp"

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>

namespace tempera {
namespace {

using Complex = std::complex<double>;

/// Characteristic function of the logistic density, the second derivative of log(1 + exp(x)).
double logistic_characteristic(double t) {
  const double x = std::numbers::pi * t;
  return x / std::sinh(x);
}

/// Nodes beyond this are below any error that matters.
constexpr double kLastNode = 10.0;
constexpr double kLeastFactor = 1e-13;
/// The logistic density is below exp(-30) so far from its middle.
constexpr double kReach = 30.0;

}  // namespace

PairCouplings::PairCouplings(const Letters& letters) : letters_(letters) {
  for (Index k = 0; k < letters.sites(); ++k) {
    fields_.emplace_back(Eigen::VectorXd::Zero(letters.of(k)));
    for (Index i = 0; i < k; ++i) pairs_.emplace_back(Eigen::MatrixXd::Zero(letters.of(i), letters.of(k)));
  }
}

Eigen::MatrixXd PairCouplings::norms(int gap) const {
  const Index sites = letters_.sites();
  Eigen::MatrixXd norms = Eigen::MatrixXd::Zero(sites, sites);
  for (Index k = 0; k < sites; ++k) {
    for (Index i = 0; i < k; ++i) {
      double sum = at(i, k).squaredNorm();
      if (gap >= 0 && gap < letters_.of(i)) sum -= at(i, k).row(gap).squaredNorm();
      if (gap >= 0 && gap < letters_.of(k)) sum -= at(i, k).col(gap).squaredNorm();
      if (gap >= 0 && gap < letters_.of(i) && gap < letters_.of(k)) sum += std::pow(at(i, k)(gap, gap), 2);
      norms(i, k) = norms(k, i) = std::sqrt(std::max(sum, 0.0));
    }
  }
  return norms;
}

UnitCouplings::UnitCouplings(const Letters& letters, const Eigen::VectorXd& weights) : letters_(letters) {
  for (Index s = 0; s < letters.sites(); ++s) {
    const auto of_site = weights.segment(s * letters.most(), letters.of(s));
    centred_.emplace_back(of_site.array() - of_site.mean());
  }
}

UnitCouplings UnitCouplings::about_data(const Letters& letters, const Eigen::VectorXd& weights,
                                        double variance) {
  UnitCouplings unit(letters, weights);
  unit.factors_ = Eigen::ArrayXcd::Constant(1, variance);
  for (const Eigen::VectorXd& of_site : unit.centred_) unit.deviations_.emplace_back(of_site.cast<Complex>());
  unit.means_ = unit.after_ = Eigen::ArrayXXcd::Ones(1, letters.sites());
  return unit;
}

// With psi the characteristic function of the logistic density and phi_l(t) the mean of exp(i t w) over the
// letters of site l, the twofold difference of the mean of log(1 + exp(x)) is
//   -1/pi Re int_0^inf psi(t) / t^2 exp(i t bias) prod_(l other) phi_l (e^(itw_a) - phi_i)(e^(itw_b) -
//   phi_k).
// The midpoint rule is exact but for copies of the law that lie 2 pi / step apart.
UnitCouplings UnitCouplings::exact(const Letters& letters, const Eigen::VectorXd& weights, double bias) {
  UnitCouplings unit(letters, weights);
  const Index sites = letters.sites();
  double middle = bias;
  double reach = kReach;
  for (Index s = 0; s < sites; ++s) {
    middle += weights.segment(s * letters.most(), letters.of(s)).mean();
    reach += unit.centred_[static_cast<std::size_t>(s)].cwiseAbs().maxCoeff();
  }
  const double step = 2.0 * std::numbers::pi / (reach + std::abs(middle));
  const auto most_nodes = static_cast<Index>(kLastNode / step) + 1;
  std::vector<Complex> factors;
  std::vector<Eigen::ArrayXcd> means;
  std::vector<double> nodes;
  for (Index m = 0; m < most_nodes; ++m) {
    const double t = (static_cast<double>(m) + 0.5) * step;
    Eigen::ArrayXcd mean(sites);
    for (Index s = 0; s < sites; ++s) {
      const Eigen::ArrayXd angle = t * unit.centred_[static_cast<std::size_t>(s)].array();
      mean[s] = {angle.cos().mean(), angle.sin().mean()};
    }
    const double factor = step / std::numbers::pi * logistic_characteristic(t) / (t * t);
    // All means but the two smallest: what a pair of sites can have at most.
    Eigen::ArrayXd sizes = mean.abs();
    std::sort(sizes.begin(), sizes.end());
    const double others = sites > 2 ? sizes.tail(sites - 2).prod() : 1.0;
    if (factor * others < kLeastFactor) continue;
    nodes.push_back(t);
    factors.push_back(-factor * std::polar(1.0, t * middle));
    means.push_back(std::move(mean));
  }
  const auto n = static_cast<Index>(nodes.size());
  unit.factors_ = Eigen::Map<const Eigen::ArrayXcd>(factors.data(), n);
  const Eigen::Map<const Eigen::RowVectorXd> t(nodes.data(), n);
  unit.means_.resize(n, sites);
  for (Index m = 0; m < n; ++m) unit.means_.row(m) = means[static_cast<std::size_t>(m)].transpose();
  unit.after_.setOnes(n, sites);
  for (Index s = sites - 2; s >= 0; --s) unit.after_.col(s) = unit.after_.col(s + 1) * unit.means_.col(s + 1);
  for (Index s = 0; s < sites; ++s) {
    const Eigen::ArrayXXd angle = (unit.centred_[static_cast<std::size_t>(s)] * t).array();
    Eigen::ArrayXXcd deviation(angle.rows(), n);
    deviation.real() = angle.cos();
    deviation.imag() = angle.sin();
    deviation.rowwise() -= unit.means_.col(s).transpose();
    unit.deviations_.push_back(std::move(deviation));
  }
  return unit;
}

void UnitCouplings::add_pairs(Index i, PairCouplings& couplings) const {
  const Eigen::ArrayXXcd& first = deviations_[static_cast<std::size_t>(i)];
  const Index n = factors_.size();
  // Re(z u) = Re z Re u - Im z Im u: a product of real matrices.
  Eigen::MatrixXd left(first.rows(), 2 * n);
  Eigen::ArrayXcd others = factors_;
  for (Index s = 0; s < i; ++s) others *= means_.col(s);
  for (Index k = i + 1; k < letters_.sites(); ++k) {
    const Eigen::ArrayXcd all = others * after_.col(k);
    left.leftCols(n) = (first.rowwise() * all.transpose()).real();
    left.rightCols(n) = -(first.rowwise() * all.transpose()).imag();
    const Eigen::ArrayXXcd& second = deviations_[static_cast<std::size_t>(k)];
    Eigen::MatrixXd right(second.rows(), 2 * n);
    right.leftCols(n) = second.real();
    right.rightCols(n) = second.imag();
    couplings.at(i, k).noalias() += left * right.transpose();
    others *= means_.col(k);
  }
}

void UnitCouplings::add_field(Index i, PairCouplings& couplings) const {
  Eigen::ArrayXcd others = factors_ * after_.col(i);
  for (Index s = 0; s < i; ++s) others *= means_.col(s);
  const auto site = static_cast<std::size_t>(i);
  couplings.field(i) += 0.5 * centred_[site] +
                        (deviations_[site].rowwise() * others.transpose()).real().rowwise().sum().matrix();
}

}  // namespace tempera
