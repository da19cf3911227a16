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
  Rule(const FirstOrderStep& step, double gradient_norm)
      : adam_(step.plan.method == FirstOrder::kAdam),
        rate_(static_cast<float>(step.learning_rate)),
        scale_(static_cast<float>(gradient_norm > step.plan.decay.clip ? step.plan.decay.clip / gradient_norm
                                                                       : 1.0)),
        momentum_(static_cast<float>(step.plan.momentum)),
        beta1_(step.plan.momentum > 0 ? momentum_ : 0.9F),
        l1_(static_cast<float>(step.plan.decay.l1)),
        l2_(static_cast<float>(step.plan.decay.l2)) {
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

  /// x exp(d) in place of x + d. Returns 0, or NaN where a new number is not finite.
  static float apply_to_log(const RowArray& d, Row x) {
    x *= d.exp();
    return (x - x).sum();
  }

  /// x += d. Returns 0, or NaN where a new number is not finite.
  static float apply(const RowArray& d, Row x) {
    x += d;
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
                    const Executor& executor) {
  double squared = squared_norm_of_biases<M>(gradient);
  M::visit_couplings(
      [&](const Vector& mu, const Vector& nu, const auto& g) {
        std::vector<double> parts(static_cast<std::size_t>((mu.size() + kRows - 1) / kRows));
        executor.for_each(static_cast<Index>(parts.size()), [&](Index task) {
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

}  // namespace

template <HasLayers M>
StepNorms take_centred_step(const FirstOrderStep& step, const typename M::Params& gradient, Moved<M> moved,
                            const Executor& executor) {
  const Rule rule(
      step, std::isfinite(step.plan.decay.clip) ? centred_norm<M>(moved.offsets, gradient, executor) : 0.0);
  StepNorms norms;
  double squared_gradient = squared_norm_of_biases<M>(gradient);
  double squared_step = 0.0;
  // What the weights' directions take from the biases' ones when they go back to plain coordinates.
  typename M::Params correction;
  for_each_bias<M>([](Vector& c, const Vector& x) { c = Vector::Zero(x.size()); }, correction, moved.theta);

  M::visit_couplings(
      [&](const Vector& mu, const Vector& nu, const auto& g, auto x, auto m, auto s, auto fix) {
        const Index rows = mu.size();
        const Index tasks = (rows + kRows - 1) / kRows;
        std::vector<double> gradient_parts(static_cast<std::size_t>(tasks));
        std::vector<double> step_parts(static_cast<std::size_t>(tasks));
        std::vector<double> finite_parts(static_cast<std::size_t>(tasks));
        Matrix column_parts = Matrix::Zero(tasks, nu.size());
        executor.for_each(tasks, [&](Index task) {
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
            finite_parts[part] += static_cast<double>(Rule::apply(row, row_of(x.weights, i)));
          }
        });
        for (Index task = 0; task < tasks; ++task) fix.column_bias += column_parts.row(task).transpose();
        squared_gradient += sum_of(gradient_parts);
        squared_step += sum_of(step_parts);
        norms.finite = norms.finite && std::isfinite(sum_of(finite_parts));
      },
      moved.offsets, gradient, moved.theta, moved.optimizer.first_moment, moved.optimizer.second_moment,
      correction);

  for_each_bias<M>(
      [&](const Vector& g, Vector& x, Vector& m, Vector& s, const Vector& fix) {
        RowArray d = row_of(g);
        rule.direction(d, row_of(std::as_const(x)), false, row_of(m), row_of(s));
        squared_step += static_cast<double>(d.square().sum());
        d += row_of(fix);
        norms.finite = std::isfinite(Rule::apply(d, row_of(x))) && norms.finite;
      },
      gradient, moved.theta, moved.optimizer.first_moment, moved.optimizer.second_moment, correction);
  norms.gradient = std::sqrt(squared_gradient);
  norms.step = std::sqrt(squared_step);
  return norms;
}

template <EnergyModel M>
StepNorms take_plain_step(const FirstOrderStep& step, const typename M::Params& gradient, Moved<M> moved) {
  const std::vector<std::string>& frozen = step.plan.frozen;
  const auto is_frozen = [&frozen](std::string_view name) {
    return std::find(frozen.begin(), frozen.end(), name) != frozen.end();
  };
  const auto gradient_of = [](std::string_view name, const auto& g, const auto& x) {
    RowArray row = Eigen::Map<const RowArray>(g.data(), g.size());
    if (M::is_precision(name)) row *= Eigen::Map<const RowArray>(x.data(), x.size());
    return row;
  };
  // A field as one row, or nothing where it is empty.
  const auto all_of = [](auto& field) { return Row(field.data(), field.size()); };
  StepNorms norms;
  double squared = 0.0;
  for_each_field(
      [&](std::string_view name, const auto& g, const auto& x) {
        if (!is_frozen(name)) squared += static_cast<double>(gradient_of(name, g, x).square().sum());
      },
      gradient, moved.theta);
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
            M::is_precision(name) ? Rule::apply_to_log(d, all_of(x)) : Rule::apply(d, all_of(x));
        norms.finite = norms.finite && std::isfinite(bad);
      },
      gradient, moved.theta, moved.optimizer.first_moment, moved.optimizer.second_moment);
  norms.step = std::sqrt(squared);
  return norms;
}

template <EnergyModel M>
void move_average(double part, const typename M::Params& theta, typename M::Params& average,
                  const Executor& executor) {
  if (size_of(average) == 0) return;
  constexpr Index kNumbers = 1 << 14;  // of a field per task
  const auto weight = static_cast<float>(part);
  for_each_field(
      [&](std::string_view, auto& mean, const auto& x) {
        executor.for_each((x.size() + kNumbers - 1) / kNumbers, [&](Index task) {
          const Index first = task * kNumbers;
          const Index n = std::min(kNumbers, x.size() - first);
          Row here(mean.data() + first, n);
          here += weight * (ConstRow(x.data() + first, n) - here);
        });
      },
      average, theta);
}

#define TEMPERA_INSTANTIATE(M) \
  template void move_average<M>(double, const M::Params&, M::Params&, const Executor&);
TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)
#undef TEMPERA_INSTANTIATE
#define TEMPERA_INSTANTIATE(M) \
  template StepNorms take_centred_step<M>(const FirstOrderStep&, const M::Params&, Moved<M>, const Executor&);
TEMPERA_FOR_EACH_LAYERED_MODEL(TEMPERA_INSTANTIATE)
#undef TEMPERA_INSTANTIATE
#define TEMPERA_INSTANTIATE(M) \
  template StepNorms take_plain_step<M>(const FirstOrderStep&, const M::Params&, Moved<M>);
TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
