#include "tempera/train/optimizer.hpp"

#include <cmath>

namespace tempera {
namespace {

constexpr Index kRange = 16384;  // numbers per task

}  // namespace

template <Fielded T>
double squared_norm(const T& value, const Workers& workers) {
  double total = 0.0;
  for_each_field(
      [&](std::string_view, const auto& field) {
        const Index ranges = (field.size() + kRange - 1) / kRange;
        std::vector<double> part(static_cast<std::size_t>(ranges));
        workers.for_each(ranges, [&](Index r) {
          const Index count = std::min(kRange, field.size() - r * kRange);
          const Eigen::Map<const Eigen::ArrayXf> x(field.data() + r * kRange, count);
          part[static_cast<std::size_t>(r)] = x.template cast<double>().square().sum();
        });
        total += sum_doubles(ranges, [&](Index r) { return part[static_cast<std::size_t>(r)]; });
      },
      value);
  return total;
}

template <EnergyModel M>
void direction_from_gradient(const OptimizerStep& step, const typename M::Params& theta,
                             Optimizer<M>& optimizer, typename M::Params& gradient, const Workers& workers) {
  const auto rate = static_cast<float>(step.learning_rate);
  const auto scale = static_cast<float>(step.gradient_scale);
  const auto momentum = static_cast<float>(step.momentum);
  const float beta1 = step.momentum > 0 ? momentum : 0.9F;
  const auto t = static_cast<double>(step.update);
  const auto correction1 = static_cast<float>(1.0 - std::pow(static_cast<double>(beta1), t));
  const auto correction2 = static_cast<float>(1.0 - std::pow(0.999, t));
  for_each_field(
      [&](std::string_view name, auto& g_field, const auto& theta_field, auto& m_field, auto& s_field) {
        const bool decays = M::is_weight(name);
        const auto l1 = static_cast<float>(decays ? step.l1 : 0.0);
        const auto l2 = static_cast<float>(decays ? step.l2 : 0.0);
        workers.for_each((g_field.size() + kRange - 1) / kRange, [&](Index r) {
          const Index first = r * kRange;
          const Index count = std::min(kRange, g_field.size() - first);
          Eigen::Map<Eigen::ArrayXf> g(g_field.data() + first, count);
          const Eigen::Map<const Eigen::ArrayXf> x(theta_field.data() + first, count);
          g = scale * g - l2 * x - l1 * x.sign();
          if (step.adam) {
            Eigen::Map<Eigen::ArrayXf> m(m_field.data() + first, count);
            Eigen::Map<Eigen::ArrayXf> s(s_field.data() + first, count);
            m += (1.0F - beta1) * (g - m);
            s += 0.001F * (g.square() - s);
            g = (rate / correction1) * m / ((s / correction2).sqrt() + 1e-8F);
          } else if (momentum > 0) {
            Eigen::Map<Eigen::ArrayXf> m(m_field.data() + first, count);
            m = momentum * m + rate * g;
            g = m;
          } else {
            g *= rate;
          }
        });
      },
      gradient, theta, optimizer.first_moment, optimizer.second_moment);
}

template double squared_norm(const BernoulliRbm::Params&, const Workers&);
template void direction_from_gradient(const OptimizerStep&, const BernoulliRbm::Params&,
                                      Optimizer<BernoulliRbm>&, BernoulliRbm::Params&, const Workers&);

}  // namespace tempera
