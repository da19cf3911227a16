// Machines of Bernoulli layers by brute force, in double, and metrics on them: what the tests of Fisher
// matrices, metrics and steps compare with.
#pragma once

#include <Eigen/Dense>
#include <cmath>
#include <functional>

#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"
#include "tempera/train/metrics/all_metrics.hpp"

namespace tempera {

using enum MetricKind;
using Doubles = LayerParams<double>;
using Layer = Fisher<double>::Layer;

inline double random_normal(StreamEngine& random) {
  const double u = 1.0 - uniform_53(random);
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * M_PI * uniform_53(random));
}

inline Doubles random_params(const std::vector<Index>& sizes, double scale, std::uint64_t seed) {
  StreamEngine random = StreamFactory{seed}.engine(Purpose::kParameters, 0);
  Doubles x;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k) x.weights.emplace_back(sizes[k], sizes[k + 1]);
  for (const Index n : sizes) x.bias.emplace_back(n);
  for_each_flat(
      [&](auto a) {
        for (auto& value : a) value = scale * random_normal(random);
      },
      x);
  return x;
}

/// A machine of Bernoulli layers by brute force, in double: states are numbered by the bits of all units.
class Machine {
 public:
  Machine(std::vector<Index> sizes, double scale, std::uint64_t seed)
      : sizes_(std::move(sizes)), theta(random_params(sizes_, scale, seed)) {}

  [[nodiscard]] const std::vector<Index>& sizes() const { return sizes_; }
  [[nodiscard]] Index units() const {
    Index n = 0;
    for (const Index k : sizes_) n += k;
    return n;
  }
  [[nodiscard]] Index states() const { return Index{1} << units(); }

  /// Values of every layer, units x states.
  [[nodiscard]] std::vector<Layer> values() const {
    std::vector<Layer> layers;
    Index first = 0;
    for (const Index n : sizes_) {
      Layer x(n, states());
      for (Index s = 0; s < states(); ++s) {
        for (Index i = 0; i < n; ++i) x(i, s) = static_cast<double>(s >> (first + i) & 1);
      }
      layers.push_back(x);
      first += n;
    }
    return layers;
  }
  static Eigen::VectorXd log_weights(const std::vector<Layer>& x, const Doubles& at) {
    Eigen::VectorXd sum = Eigen::VectorXd::Zero(x.front().cols());
    for (std::size_t k = 0; k < x.size(); ++k) sum += x[k].transpose() * at.bias[k];
    for (std::size_t k = 0; k + 1 < x.size(); ++k)
      sum += x[k].cwiseProduct(at.weights[k] * x[k + 1]).colwise().sum().transpose();
    return sum;
  }
  [[nodiscard]] double log_partition(const Doubles& at) const {
    LogSumExp total;
    for (const double w : log_weights(values(), at)) total.add(w);
    return total.value();
  }
  [[nodiscard]] Eigen::VectorXd probabilities() const {
    const Eigen::VectorXd w = log_weights(values(), theta);
    return (w.array() - log_partition(theta)).exp().matrix();
  }
  [[nodiscard]] std::vector<Vector> means() const {
    std::vector<Vector> result;
    for (const Layer& x : values()) result.emplace_back((x * probabilities()).cast<float>());
    return result;
  }

 private:
  std::vector<Index> sizes_;

 public:
  Doubles theta;
};

inline std::vector<Vector> constant_offsets(const std::vector<Index>& sizes, float value) {
  std::vector<Vector> offsets;
  for (const Index n : sizes) offsets.push_back(Vector::Constant(n, value));
  return offsets;
}

inline LayerOffsets view(const std::vector<Vector>& offsets) {
  LayerOffsets all;
  for (const Vector& o : offsets) all.push_back(&o);
  return all;
}

inline std::vector<Layer> centred(std::vector<Layer> values, const std::vector<Vector>& offsets) {
  for (std::size_t k = 0; k < values.size(); ++k) values[k].colwise() -= offsets[k].cast<double>();
  return values;
}

inline DenseFisher<double> exact_fisher(const Machine& machine, const std::vector<Vector>& offsets) {
  return {centred(machine.values(), offsets), machine.probabilities()};
}

/// The first layer as it is, the second one's expectations: the marginal law of a restricted machine.
inline DenseFisher<double> marginal_fisher(const Machine& machine, const std::vector<Vector>& offsets) {
  std::vector<Layer> x = machine.values();
  x[1] = (machine.theta.weights[0].transpose() * x[0]).colwise() + machine.theta.bias[1];
  x[1] = x[1].unaryExpr([](double a) { return sigmoid(a); });
  return {centred(std::move(x), offsets), machine.probabilities()};
}

/// Draws of a machine's exact law.
inline DenseFisher<double> sampled_fisher(const Machine& machine, const std::vector<Vector>& offsets, Index n,
                                          std::uint64_t seed) {
  const Eigen::VectorXd p = machine.probabilities();
  std::vector<Layer> all = centred(machine.values(), offsets);
  std::vector<Layer> draws;
  for (const Layer& x : all) draws.emplace_back(x.rows(), n);
  StreamEngine random = StreamFactory{seed}.engine(Purpose::kSampling, 0);
  for (Index m = 0; m < n; ++m) {
    double u = uniform_53(random);
    Index s = 0;
    while (s + 1 < p.size() && u >= p[s]) u -= p[s++];
    for (std::size_t k = 0; k < all.size(); ++k) draws[k].col(m) = all[k].col(s);
  }
  return {std::move(draws), Eigen::VectorXd::Constant(n, 1.0 / static_cast<double>(n))};
}

inline Eigen::MatrixXd dense(const std::function<Doubles(const Doubles&)>& f, const Doubles& like) {
  const Index n = size_of(like);
  Eigen::MatrixXd matrix(n, n);
  Doubles x = like;
  for (Index k = 0; k < n; ++k) {
    unflatten(Eigen::VectorXd(Eigen::VectorXd::Unit(n, k)), x);
    matrix.col(k) = flatten(f(x));
  }
  return matrix;
}
inline Eigen::MatrixXd dense(const Fisher<double>& fisher, const Doubles& like) {
  return dense([&](const Doubles& x) { return fisher.product(x); }, like);
}

inline double relative(const Doubles& a, const Doubles& b) {
  return (flatten(a) - flatten(b)).norm() / flatten(b).norm();
}

/// A metric of what is observed now alone, as exact as it can be. The damping of factors stays.
inline AnyMetricOptions options_of(MetricKind kind, double damping = 0.1) {
  AnyMetricOptions options = default_options(kind);
  const auto set = [](auto& one) {
    if constexpr (requires { one.memory; }) one.memory = 1.0;
    if constexpr (requires { one.refresh; }) one.refresh = 1;
    if constexpr (requires { one.forgetting; }) one.forgetting = 0.0;
    if constexpr (requires { one.tolerance; }) one.tolerance = 1e-13;
    if constexpr (requires { one.iterations; }) one.iterations = 1000;
    if constexpr (requires { one.rank; }) one.rank = 40;
  };
  std::visit(
      [&](auto& one) {
        set(one);
        if constexpr (requires { one.factors; }) set(one.factors);
        if constexpr (requires { one.damping; }) one.damping = damping;
      },
      options);
  return options;
}

template <class Options>
Options options_of(double damping) {
  return std::get<Options>(options_of(kind_of(Options()), damping));
}

/// P^-1 g of a metric that has observed this Fisher matrix once.
inline Doubles solve(const AnyMetricOptions& options, const Fisher<double>& fisher, const Doubles& g,
                     const std::vector<Vector>& offsets) {
  const AnyMetric<double> metric = make_metric<double>(options, view(offsets));
  AnyMetricState<double> state = prepare(metric, layer_sizes(g));
  observe(metric, fisher, state);
  SolveReport report;
  return solve(metric, fisher, state, g, {}, report);
}

inline constexpr auto kKinds = MetricList::kinds;

}  // namespace tempera
