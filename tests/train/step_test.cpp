// Steps on machines small enough to enumerate, in double: docs/mathematics/metrics.md 4.12 and 4.13.
#include <gtest/gtest.h>

#include "layer_oracles.hpp"
#include "tempera/train/step.hpp"

namespace tempera {
namespace {

// --- 9, 10: steps ------------------------------------------------------------------------------------------

double exact_kl(const Machine& machine, const Doubles& step) {
  Doubles there = machine.theta;
  add_scaled(there, 1.0, step);
  const Eigen::VectorXd p = machine.probabilities();
  const std::vector<Layer> x = machine.values();
  return p.dot(Machine::log_weights(x, machine.theta) - Machine::log_weights(x, there)) -
         machine.log_partition(machine.theta) + machine.log_partition(there);
}

TEST(Step, KlRadiusIsKept) {
  const Machine machine({5, 4}, 0.8, 30);
  const std::vector<Vector> zero = constant_offsets(machine.sizes(), 0.0F);
  const DenseFisher<double> fisher = exact_fisher(machine, zero);
  const Doubles g = random_params(machine.sizes(), 0.3, 31);
  const AnyMetricOptions metric = options_of(kSample, 1e-3);
  const Doubles d = solve(metric, fisher, g, zero);
  const auto precondition = [&](const Doubles& x) { return solve(metric, fisher, x, zero); };
  double best = 0;
  for (const StepControl control : {StepControl::kKl, StepControl::kBlocks2, StepControl::kKrylov}) {
    StepOptions options{control, 1e9, 0.003, 5, 1e-9};
    StepReport report;
    const Doubles step = take_step<double>(options, fisher, g, d, {{}, precondition}, &report);
    EXPECT_LT(exact_kl(machine, step) / report.predicted_kl, 1.1) << name_of(control);
    EXPECT_GT(exact_kl(machine, step) / report.predicted_kl, 0.9) << name_of(control);
    EXPECT_LE(report.predicted_kl, 0.003 * (1 + 1e-6)) << name_of(control);
    EXPECT_NEAR(report.predicted_gain, dot(g, step), 1e-12);
    // More directions cannot gain less.
    EXPECT_GE(report.predicted_gain, best * (1 - 1e-6)) << name_of(control);
    best = report.predicted_gain;
  }
  StepOptions fixed{StepControl::kFixed, 0.25, 0.003, 5, 0.1};
  StepReport report;
  Doubles expected = d;
  scale(expected, 0.25);
  EXPECT_LT(relative(take_step<double>(fixed, fisher, g, d, {{}, precondition}, &report), expected), 1e-14);
}

TEST(Step, SpringIsTheGradientDrawnToTheLastDirection) {
  // argmin |A d - ...|: d = P^-1 (g + l m p) = m p + P^-1 (g - m F p), the two forms of
  // docs/mathematics/metrics.md 4.13.
  const Machine machine({5, 4}, 0.8, 32);
  const std::vector<Vector> means = machine.means();
  const DenseFisher<double> fisher = sampled_fisher(machine, means, 40, 33);
  const Doubles g = random_params(machine.sizes(), 1.0, 34);
  const Doubles last = random_params(machine.sizes(), 1.0, 35);
  const AnyMetricOptions options = options_of(kSample, 0.2);
  Doubles drawn = g;
  add_scaled(drawn, 0.2 * 0.9, last);
  Doubles residual = g;
  add_scaled(residual, -0.9, fisher.product(last));
  Doubles other = solve(options, fisher, residual, means);
  add_scaled(other, 0.9, last);
  EXPECT_LT(relative(solve(options, fisher, drawn, means), other), 1e-9);
}

// --- 14: training ------------------------------------------------------------------------------------------

TEST(NaturalGradient, ReachesTheBoundWhereSgdDoesNot) {
  // Data of a machine of the same kind, so that the bound can be reached.
  const Machine teacher({5, 4}, 1.5, 5);
  const Eigen::VectorXd joint = teacher.probabilities();
  Eigen::VectorXd data = Eigen::VectorXd::Zero(32);
  for (Index s = 0; s < joint.size(); ++s) data[s & 31] += joint[s];
  const double bound = data.dot(data.array().log().matrix());

  const auto run = [&](const std::string& kind, bool marginal, double rate, int updates) {
    Machine machine({5, 4}, 0.3, 36);
    double value = 0;
    for (int t = 0; t <= updates; ++t) {
      const std::vector<Layer> x = machine.values();
      const Eigen::VectorXd p = machine.probabilities();
      Eigen::VectorXd visible = Eigen::VectorXd::Zero(32);
      for (Index s = 0; s < p.size(); ++s) visible[s & 31] += p[s];
      value = data.dot(visible.array().log().matrix());
      std::vector<Vector> offsets;
      Eigen::VectorXd z(p.size());
      Eigen::VectorXd positive(p.size());
      for (Index s = 0; s < p.size(); ++s) {
        positive[s] = p[s] / visible[s & 31] * data[s & 31];
        z[s] = positive[s] - p[s];
      }
      for (const Layer& layer : x) offsets.emplace_back((layer * positive).cast<float>());
      Doubles g;
      for (const Layer& layer : x) g.bias.emplace_back(layer * z);
      g.weights.emplace_back(x[0] * z.asDiagonal() * x[1].transpose());
      centre_gradient(view(offsets), g);
      Doubles step = g;
      if (kind == "sgd") {
        scale(step, rate);
      } else {
        const DenseFisher<double> fisher =
            marginal ? marginal_fisher(machine, offsets) : exact_fisher(machine, offsets);
        StepOptions options{StepControl::kKl, rate, 0.05, 5, 0.1};
        step = take_step<double>(options, fisher, g, solve(options_of(kExact, 1e-3), fisher, g, offsets), {},
                                 nullptr);
      }
      uncentred_direction(view(offsets), step);
      add_scaled(machine.theta, 1.0, step);
    }
    return value;
  };
  const double marginal = run("natural", true, 0.5, 60);
  const double with_joint = run("natural", false, 0.5, 500);
  const double sgd = run("sgd", true, 0.3, 60);
  const double longer = run("sgd", true, 0.3, 2000);
  EXPECT_GT(marginal, bound - 0.03);
  EXPECT_GT(with_joint, bound - 0.03);
  EXPECT_LT(sgd, marginal - 0.05);
  EXPECT_LT(longer, bound - 0.003);
  RecordProperty("bound", std::to_string(bound));
  std::printf("bound %.4f, marginal (60) %.4f, joint (500) %.4f, sgd (60) %.4f, (2000) %.4f\n", bound,
              marginal, with_joint, sgd, longer);
}

}  // namespace
}  // namespace tempera
