#include "tempera/train/optimizer.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/models/all_models.hpp"

namespace tempera {
namespace {

constexpr Index kRows = 32;  // rows of a weight matrix per task

using Row = Eigen::Map<Eigen::Array<float, 1, Eigen::Dynamic>>;
using ConstRow = Eigen::Map<const Eigen::Array<float, 1, Eigen::Dynamic>>;
using RowArray = Eigen::Array<float, 1, Eigen::Dynamic>;

Row row_of(Matrix& matrix, Index i) { return {matrix.data() + i * matrix.cols(), matrix.cols()}; }
ConstRow row_of(const Matrix& matrix, Index i) { return {matrix.data() + i * matrix.cols(), matrix.cols()}; }
Row row_of(Vector& vector) { return {vector.data(), vector.size()}; }
ConstRow row_of(const Vector& vector) { return {vector.data(), vector.size()}; }

/// The element-wise part of a step, for numbers that lie together.
class Rule {
 public:
  Rule(const OptimizerStep& step, double gradient_norm)
      : adam_(step.adam),
        rate_(static_cast<float>(step.learning_rate)),
        scale_(
            static_cast<float>(step.clip > 0 && gradient_norm > step.clip ? step.clip / gradient_norm : 1.0)),
        momentum_(static_cast<float>(step.momentum)),
        beta1_(step.momentum > 0 ? momentum_ : 0.9F),
        l1_(static_cast<float>(step.l1)),
        l2_(static_cast<float>(step.l2)),
        average_weight_(static_cast<float>(step.average_weight)) {
    const auto t = static_cast<double>(step.update);
    correction1_ = static_cast<float>(1.0 - std::pow(static_cast<double>(beta1_), t));
    correction2_ = static_cast<float>(1.0 - std::pow(0.999, t));
  }

  /// g: gradient in, direction out. m, s: moments, empty where unused.
  void direction(RowArray& g, const ConstRow& x, bool decays, Row m, Row s) const {
    if (scale_ != 1.0F) g *= scale_;
    if (decays && l2_ != 0.0F) g -= l2_ * x;
    if (decays && l1_ != 0.0F) g -= l1_ * x.sign();
    if (adam_) {
      m += (1.0F - beta1_) * (g - m);
      s += 0.001F * (g.square() - s);
      g = (rate_ / correction1_) * m / ((s / correction2_).sqrt() + 1e-8F);
    } else if (momentum_ > 0) {
      m = momentum_ * m + rate_ * g;
      g = m;
    } else {
      g *= rate_;
    }
  }

  /// x exp(d) in place of x + d; else as apply, without an average.
  float apply_to_log(const RowArray& d, Row x) const {
    x *= d.exp();
    return (x - x).sum();
  }

  /// x += d, and the average follows. Returns 0, or NaN where a new number is not finite.
  float apply(const RowArray& d, Row x, Row average) const {
    x += d;
    if (average.size() > 0) average += average_weight_ * (x - average);
    return (x - x).sum();
  }

 private:
  bool adam_;
  float rate_;
  float scale_;
  float momentum_;
  float beta1_;
  float l1_;
  float l2_;
  float average_weight_;
  float correction1_ = 1.0F;
  float correction2_ = 1.0F;
};

/// Row i, or nothing of a matrix that is empty.
Row row_or_none(Matrix& matrix, Index i) { return matrix.size() > 0 ? row_of(matrix, i) : Row(nullptr, 0); }

/// Row i of the centred gradient of a coupling.
template <class Gradient>
void centred_row(const Vector& mu, const Vector& nu, const Gradient& gradient, Index i, RowArray& out) {
  out =
      row_of(gradient.weights, i) - gradient.row_bias[i] * row_of(nu) - mu[i] * row_of(gradient.column_bias);
}

double sum_of(const std::vector<double>& parts) {
  return sum_doubles(static_cast<Index>(parts.size()),
                     [&](Index k) { return parts[static_cast<std::size_t>(k)]; });
}

/// Biases are the fields that do not decay.
template <EnergyModel M, class F, class... S>
void for_each_bias(F&& f, S&... s) {
  for_each_field(
      [&f](std::string_view name, auto&... field) {
        if constexpr ((std::is_same_v<std::remove_cvref_t<decltype(field)>, Vector> && ...)) {
          if (!M::is_weight(name)) f(field...);
        }
      },
      s...);
}

template <EnergyModel M>
double squared_norm_of_biases(const typename M::Params& gradient) {
  double sum = 0.0;
  for_each_bias<M>([&sum](const Vector& g) { sum += static_cast<double>(g.squaredNorm()); }, gradient);
  return sum;
}

/// Norm of the centred gradient: a pass of its own.
template <EnergyModel M>
double centred_norm(const typename M::Offsets& offsets, const typename M::Params& gradient,
                    const Workers& workers) {
  double squared = squared_norm_of_biases<M>(gradient);
  M::visit_couplings(
      [&](const Vector& mu, const Vector& nu, const auto& g) {
        std::vector<double> parts(static_cast<std::size_t>((mu.size() + kRows - 1) / kRows));
        workers.for_each(static_cast<Index>(parts.size()), [&](Index task) {
          RowArray row;
          for (Index i = task * kRows; i < std::min(mu.size(), (task + 1) * kRows); ++i) {
            centred_row(mu, nu, g, i, row);
            parts[static_cast<std::size_t>(task)] += static_cast<double>(row.square().sum());
          }
        });
        squared += sum_of(parts);
      },
      offsets, gradient);
  return std::sqrt(squared);
}

/// The step in centred coordinates.
template <HasLayers M>
StepNorms apply_coupled(const OptimizerStep& step, const typename M::Offsets& offsets,
                        const typename M::Params& gradient, typename M::Params& theta,
                        Optimizer<M>& optimizer, typename M::Params& average, const Workers& workers) {
  const Rule rule(step, step.clip > 0 ? centred_norm<M>(offsets, gradient, workers) : 0.0);
  StepNorms norms;
  double squared_gradient = squared_norm_of_biases<M>(gradient);
  double squared_step = 0.0;
  // What the weights' directions take from the biases' ones when they go back to plain coordinates.
  typename M::Params correction;
  for_each_bias<M>([](Vector& c, const Vector& x) { c = Vector::Zero(x.size()); }, correction, theta);

  M::visit_couplings(
      [&](const Vector& mu, const Vector& nu, const auto& g, auto x, auto m, auto s, auto mean, auto fix) {
        const Index rows = mu.size();
        const Index tasks = (rows + kRows - 1) / kRows;
        std::vector<double> gradient_parts(static_cast<std::size_t>(tasks));
        std::vector<double> step_parts(static_cast<std::size_t>(tasks));
        std::vector<double> finite_parts(static_cast<std::size_t>(tasks));
        Matrix column_parts = Matrix::Zero(tasks, nu.size());
        workers.for_each(tasks, [&](Index task) {
          const auto part = static_cast<std::size_t>(task);
          RowArray row;
          for (Index i = task * kRows; i < std::min(rows, (task + 1) * kRows); ++i) {
            centred_row(mu, nu, g, i, row);
            gradient_parts[part] += static_cast<double>(row.square().sum());
            rule.direction(row, row_of(std::as_const(x.weights), i), true, row_or_none(m.weights, i),
                           row_or_none(s.weights, i));
            step_parts[part] += static_cast<double>(row.square().sum());
            fix.row_bias[i] -= (row * row_of(nu)).sum();
            row_of(column_parts, task) -= mu[i] * row;
            finite_parts[part] +=
                static_cast<double>(rule.apply(row, row_of(x.weights, i), row_or_none(mean.weights, i)));
          }
        });
        for (Index task = 0; task < tasks; ++task) fix.column_bias += column_parts.row(task).transpose();
        squared_gradient += sum_of(gradient_parts);
        squared_step += sum_of(step_parts);
        norms.finite = norms.finite && std::isfinite(sum_of(finite_parts));
      },
      offsets, gradient, theta, optimizer.first_moment, optimizer.second_moment, average, correction);

  for_each_bias<M>(
      [&](const Vector& g, Vector& x, Vector& m, Vector& s, Vector& mean, const Vector& fix) {
        RowArray d = row_of(g);
        rule.direction(d, row_of(std::as_const(x)), false, row_of(m), row_of(s));
        squared_step += static_cast<double>(d.square().sum());
        d += row_of(fix);
        norms.finite = std::isfinite(rule.apply(d, row_of(x), row_of(mean))) && norms.finite;
      },
      gradient, theta, optimizer.first_moment, optimizer.second_moment, average, correction);
  norms.gradient = std::sqrt(squared_gradient);
  norms.step = std::sqrt(squared_step);
  return norms;
}

/// A field as one row, or nothing where it is empty.
Row all_of(Matrix& matrix) { return {matrix.data(), matrix.size()}; }
Row all_of(Vector& vector) { return {vector.data(), vector.size()}; }

/// The step of a machine whose fields are not coupled.
template <EnergyModel M>
StepNorms apply_uncoupled(const OptimizerStep& step, const typename M::Params& gradient,
                          typename M::Params& theta, Optimizer<M>& optimizer) {
  const auto is_frozen = [&step](std::string_view name) {
    return std::find(step.frozen.begin(), step.frozen.end(), name) != step.frozen.end();
  };
  const auto gradient_of = [](std::string_view name, const auto& g, const auto& x) {
    RowArray row = Eigen::Map<const RowArray>(g.data(), g.size());
    if (M::is_precision(name)) row *= Eigen::Map<const RowArray>(x.data(), x.size());
    return row;
  };
  StepNorms norms;
  double squared = 0.0;
  for_each_field(
      [&](std::string_view name, const auto& g, const auto& x) {
        if (!is_frozen(name)) squared += static_cast<double>(gradient_of(name, g, x).square().sum());
      },
      gradient, theta);
  norms.gradient = std::sqrt(squared);
  const Rule rule(step, norms.gradient);
  squared = 0.0;
  for_each_field(
      [&](std::string_view name, const auto& g, auto& x, auto& m, auto& s) {
        if (is_frozen(name) || x.size() == 0) return;
        RowArray d = gradient_of(name, g, x);
        rule.direction(d, ConstRow(x.data(), x.size()), M::is_weight(name), all_of(m), all_of(s));
        squared += static_cast<double>(d.square().sum());
        const float bad =
            M::is_precision(name) ? rule.apply_to_log(d, all_of(x)) : rule.apply(d, all_of(x), {nullptr, 0});
        norms.finite = norms.finite && std::isfinite(bad);
      },
      gradient, theta, optimizer.first_moment, optimizer.second_moment);
  norms.step = std::sqrt(squared);
  return norms;
}

}  // namespace

template <EnergyModel M>
StepNorms apply_gradient(const OptimizerStep& step, [[maybe_unused]] const typename M::Offsets& offsets,
                         const typename M::Params& gradient, typename M::Params& theta,
                         Optimizer<M>& optimizer, [[maybe_unused]] typename M::Params& average,
                         [[maybe_unused]] const Workers& workers) {
  if constexpr (!HasLayers<M>) {
    return apply_uncoupled<M>(step, gradient, theta, optimizer);
  } else {
    return apply_coupled<M>(step, offsets, gradient, theta, optimizer, average, workers);
  }
}

#define TEMPERA_INSTANTIATE(M)                                                                             \
  template StepNorms apply_gradient(const OptimizerStep&, const M::Offsets&, const M::Params&, M::Params&, \
                                    Optimizer<M>&, M::Params&, const Workers&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
