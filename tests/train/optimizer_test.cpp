#include "tempera/train/optimizer.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "tempera/models/rbm.hpp"

namespace tempera {
namespace {

BernoulliRbm machine() { return with_standard_reference<BernoulliRbm>({70, 20}); }

/// Parameters, or gradients, with every number random.
BernoulliRbm::Params random_params(std::uint64_t seed) {
  auto theta = machine().initial_params(StreamFactory{seed}, random_weights(1.0));
  theta.visible_bias = theta.weights.col(3);
  theta.hidden_bias = theta.weights.row(5).transpose();
  return theta;
}

double inner(const BernoulliRbm::Params& a, const BernoulliRbm::Params& b) {
  double sum = 0;
  for_each_field(
      [&sum](std::string_view, const auto& x, const auto& y) {
        sum += (x.template cast<double>().array() * y.template cast<double>().array()).sum();
      },
      a, b);
  return sum;
}

/// The first step that the rule makes from `theta` = 0, with its norms.
struct FirstStep {
  BernoulliRbm::Params taken;
  StepNorms norms;
};

FirstStep step_of(const BernoulliRbm::Params& gradient, const BernoulliRbm::Offsets& offsets, double rate,
                  const FirstOrderPlan& plan = {}, int threads = 1) {
  FirstStep result{zeros_like(gradient), {}};
  Optimizer<BernoulliRbm> optimizer;
  const Executor executor(threads);
  result.norms =
      take_centred_step<BernoulliRbm>({plan, rate}, gradient, {offsets, result.taken, optimizer}, executor);
  return result;
}

TEST(Optimizer, CentredStepIsThatOfTheCentredEnergy) {
  // In centred coordinates the gradient is T g and the plain direction of d is T' d, so a step is lr T'T g:
  // symmetric, and its gain <g, T'T g> is the squared norm of the centred gradient.
  const auto g = random_params(1);
  const auto h = random_params(2);
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const BernoulliRbm::Offsets offsets{Vector::LinSpaced(70, 0.1F, 0.9F), Vector::LinSpaced(20, 0.8F, 0.3F)};
  auto plain = step_of(g, none, 0.5).taken;
  add_scaled(plain, -0.5F, g);
  EXPECT_NEAR(inner(plain, plain), 0.0, 1e-9);
  const FirstStep of_g = step_of(g, offsets, 0.5);
  const FirstStep of_h = step_of(h, offsets, 0.5);
  EXPECT_NEAR(inner(g, of_h.taken), inner(h, of_g.taken), 1e-3);
  EXPECT_NEAR(inner(g, of_g.taken), 0.5 * of_g.norms.gradient * of_g.norms.gradient, 1e-2);
  EXPECT_GT(std::abs(inner(g, of_g.taken) - 0.5 * inner(g, g)), 1.0) << "offsets must act at all";
  // One entry by hand: G_W - g_a nu' - mu g_c'.
  const float centred =
      g.weights(7, 4) - g.visible_bias[7] * offsets.hidden[4] - offsets.visible[7] * g.hidden_bias[4];
  EXPECT_NEAR(of_g.taken.weights(7, 4), 0.5F * centred, 1e-5);
  EXPECT_TRUE(equal_fields(of_g.taken, step_of(g, offsets, 0.5, {}, 3).taken));
}

TEST(Optimizer, ClippingBoundsTheGradientAndNothingElse) {
  const BernoulliRbm::Offsets offsets{Vector::Constant(70, 0.4F), Vector::Constant(20, 0.5F)};
  const auto g = random_params(3);
  const FirstStep free = step_of(g, offsets, 0.1);
  FirstOrderPlan plan;
  plan.decay.clip = 2.0;
  const FirstStep clipped = step_of(g, offsets, 0.1, plan);
  EXPECT_NEAR(clipped.norms.gradient, free.norms.gradient, 1e-6 * free.norms.gradient);
  EXPECT_NEAR(clipped.norms.step, 0.2, 1e-5);
  plan.decay.clip = 2.0 * free.norms.gradient;
  EXPECT_TRUE(equal_fields(step_of(g, offsets, 0.1, plan).taken, free.taken));
}

TEST(Optimizer, MomentsFollowTheirEquations) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const auto g = random_params(4);
  const Executor executor(1);
  const auto two_steps = [&](const FirstOrderPlan& plan) {
    auto theta = zeros_like(g);
    Optimizer<BernoulliRbm> optimizer{zeros_like(g), zeros_like(g)};
    BernoulliRbm::Params average = zeros_like(g);
    for (const std::uint64_t t : {1U, 2U}) {
      take_centred_step<BernoulliRbm>({plan, 0.1, t}, g, {none, theta, optimizer}, executor);
      move_average<BernoulliRbm>(0.25, theta, average, executor);
    }
    return std::pair(theta.weights(3, 2), average.weights(3, 2));
  };
  FirstOrderPlan plan;
  const float x = g.weights(3, 2);
  const auto [plain, mean] = two_steps(plan);
  EXPECT_NEAR(plain, 0.2F * x, 1e-6);
  EXPECT_NEAR(mean, 0.75F * 0.25F * 0.1F * x + 0.25F * 0.2F * x, 1e-6);
  plan.momentum = 0.5;
  EXPECT_NEAR(two_steps(plan).first, (0.1F + 0.15F) * x, 1e-6);
  plan.momentum = 0.0;
  plan.method =
      FirstOrder::kAdam;  // a constant gradient: both corrected moments are exact, each step is lr sign(g)
  EXPECT_NEAR(two_steps(plan).first, 0.2F * (x > 0 ? 1.0F : -1.0F), 1e-4);
}

TEST(Optimizer, DecayActsOnWeightsAlone) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const Executor executor(1);
  const auto start = random_params(5);
  auto theta = start;
  Optimizer<BernoulliRbm> optimizer;
  FirstOrderPlan plan;
  plan.decay.l2 = 0.5;
  plan.decay.l1 = 0.01;
  take_centred_step<BernoulliRbm>({plan, 0.1}, zeros_like(theta), {none, theta, optimizer}, executor);
  const float w = start.weights(9, 9);
  EXPECT_NEAR(theta.weights(9, 9), w - 0.05F * w - 0.001F * (w > 0 ? 1.0F : -1.0F), 1e-6);
  EXPECT_EQ(theta.visible_bias, start.visible_bias);
  EXPECT_EQ(theta.hidden_bias, start.hidden_bias);
}

TEST(Optimizer, SeesNumbersThatAreNotFinite) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  auto g = random_params(6);
  EXPECT_TRUE(step_of(g, none, 1.0).norms.finite);
  g.weights(40, 7) = INFINITY;
  EXPECT_FALSE(step_of(g, none, 1.0).norms.finite);
  g = random_params(6);
  g.hidden_bias[3] = NAN;
  EXPECT_FALSE(step_of(g, none, 1.0).norms.finite);
}

}  // namespace
}  // namespace tempera
