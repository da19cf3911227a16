#include "tempera/train/step.hpp"

#include <Eigen/Cholesky>
#include <cmath>

namespace tempera {
namespace {

/// Lengths a of directions with gains b and Fisher matrix f that maximise b'a with 0.5 a'f a <= radius; at
/// most `rate` times the unbounded optimum f^-1 b (docs/mathematics/metrics.md 4.12).
Eigen::VectorXd best_lengths(Eigen::MatrixXd f, const Eigen::VectorXd& b, double rate, double radius) {
  f.diagonal().array() += 1e-12 * f.trace() / static_cast<double>(f.rows());
  const Eigen::VectorXd a = Eigen::LDLT<Eigen::MatrixXd>(f).solve(b);
  const double q = b.dot(a);
  if (!(q > 0.0)) return Eigen::VectorXd::Zero(b.size());
  return std::min(rate, std::sqrt(2.0 * radius / q)) * a;
}

template <class Number>
LayerParams<Number> combination(const std::vector<LayerParams<Number>>& basis, const Eigen::VectorXd& a) {
  LayerParams<Number> step = zeros_like(basis.front());
  for (std::size_t k = 0; k < basis.size(); ++k) add_scaled(step, a[static_cast<Index>(k)], basis[k]);
  return step;
}

template <class Number>
std::vector<LayerParams<Number>> krylov_basis(const StepOptions& options, const Fisher<Number>& fisher,
                                              const LayerParams<Number>& d,
                                              const KrylovSource<Number>& source) {
  std::vector<LayerParams<Number>> basis;
  // Orthonormal; a direction that is no new one ends the space.
  const auto add = [&basis](LayerParams<Number> x) {
    constexpr double kNew = 1e-4;
    const double before = std::sqrt(dot(x, x));
    for (int pass = 0; pass < 2; ++pass) {
      for (const auto& e : basis) add_scaled(x, -dot(e, x), e);
    }
    const double after = std::sqrt(dot(x, x));
    if (!(after > kNew * before)) return false;
    scale(x, 1.0 / after);
    basis.push_back(std::move(x));
    return true;
  };
  if (source.previous.size() == size_of(d) && source.previous.squaredNorm() > 0) {
    LayerParams<Number> last = d;
    unflatten(source.previous, last);
    add(std::move(last));
  }
  LayerParams<Number> x = d;
  while (static_cast<Index>(basis.size()) < options.directions && add(x))
    x = source.precondition(fisher.product(basis.back()));
  return basis;
}

}  // namespace

template <class Number>
LayerParams<Number> take_step(const StepOptions& options, const Fisher<Number>& fisher,
                              const LayerParams<Number>& g, LayerParams<Number> d,
                              const KrylovSource<Number>& krylov, StepReport* report) {
  LayerParams<Number> step;
  if (options.control == StepControl::kBlocks2 || options.control == StepControl::kKrylov) {
    std::vector<LayerParams<Number>> basis;
    double damping = 0.0;
    if (options.control == StepControl::kBlocks2) {
      basis.assign(2, d);
      for (auto& w : basis[0].weights) w.setZero();
      for (auto& b : basis[1].bias) b.setZero();
    } else {
      basis = krylov_basis(options, fisher, d, krylov);
      damping = options.damping;
    }
    const auto n = static_cast<Index>(basis.size());
    Eigen::MatrixXd scores(fisher.draws(), n);
    Eigen::VectorXd gains(n);
    for (Index k = 0; k < n; ++k) {
      scores.col(k) = fisher.scores(basis[static_cast<std::size_t>(k)]);
      gains[k] = dot(g, basis[static_cast<std::size_t>(k)]);
    }
    Eigen::MatrixXd projected = scores.transpose() * fisher.weights().asDiagonal() * scores;
    projected.diagonal().array() += damping;  // the basis of krylov is orthonormal
    step = combination(basis, best_lengths(projected, gains, options.rate, options.radius));
  } else {
    double eta = options.rate;
    if (options.control == StepControl::kKl) {
      const double q = std::max(fisher.quadratic(d), dot(g, d));
      if (q > 0.0) eta = std::min(eta, std::sqrt(2.0 * options.radius / q));
    }
    step = std::move(d);
    scale(step, eta);
  }
  if (report == nullptr) return step;
  report->predicted_kl = 0.5 * fisher.quadratic(step);
  report->predicted_gain = dot(g, step);
  const double norms = std::sqrt(dot(g, g) * dot(step, step));
  report->cosine = norms > 0.0 ? report->predicted_gain / norms : 0.0;
  return step;
}

#define TEMPERA_INSTANTIATE(Number)                                                       \
  template LayerParams<Number> take_step(const StepOptions&, const Fisher<Number>&,       \
                                         const LayerParams<Number>&, LayerParams<Number>, \
                                         const KrylovSource<Number>&, StepReport*);

TEMPERA_INSTANTIATE(float)
TEMPERA_INSTANTIATE(double)

}  // namespace tempera
