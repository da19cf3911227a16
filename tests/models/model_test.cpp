// Obligations of every model, checked by enumeration.
#include <gtest/gtest.h>

#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/mcmc/chains.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 5;
constexpr Index kHidden = 4;

BernoulliRbm small_model() {
  Vector reference(kVisible);
  reference << 0.3F, -0.2F, 0.0F, 1.0F, -1.0F;
  return {kVisible, kHidden, reference};
}

BernoulliRbm::Params random_params(const BernoulliRbm& model, double scale, std::uint64_t seed) {
  auto theta = model.initial_params(StreamFactory{seed}, scale);
  const auto other = model.initial_params(StreamFactory{seed + 1000}, scale);
  theta.visible_bias = other.weights.col(0);
  theta.hidden_bias = other.weights.row(1).transpose();
  return theta;
}

double energy(const BernoulliRbm::Params& theta, const BernoulliRbm& model, double beta, unsigned v,
              unsigned h) {
  double sum = 0;
  for (Index i = 0; i < model.n_visible(); ++i) {
    if ((v >> i & 1) == 0) continue;
    sum += beta * theta.visible_bias[i] + (1 - beta) * model.reference_bias()[i];
    for (Index j = 0; j < model.n_hidden(); ++j) sum += (h >> j & 1) != 0 ? beta * theta.weights(i, j) : 0.0;
  }
  for (Index j = 0; j < model.n_hidden(); ++j) sum += (h >> j & 1) != 0 ? beta * theta.hidden_bias[j] : 0.0;
  return -sum;
}

double brute_log_z(const BernoulliRbm::Params& theta, const BernoulliRbm& model, double beta) {
  LogSumExp total;
  for (unsigned v = 0; v < 1U << model.n_visible(); ++v) {
    for (unsigned h = 0; h < 1U << model.n_hidden(); ++h) total.add(-energy(theta, model, beta, v, h));
  }
  return total.value();
}

double exact_log_z(const BernoulliRbm::Params& theta, const BernoulliRbm& model, double beta) {
  LogSumExp total;
  for (Index k = 0; k < model.exact_chunks(); ++k) total.add(model.log_partition_chunk(theta, beta, k));
  return total.value();
}

TEST(BernoulliRbm, ExactLogZEqualsBruteForceAtEveryBeta) {
  for (const auto& [visible, hidden] : {std::pair<Index, Index>{5, 4}, {3, 6}, {1, 1}, {13, 3}}) {
    const BernoulliRbm model(visible, hidden, Vector::Constant(visible, 0.4F));
    const auto theta = random_params(model, 1.5, 3);
    for (const double beta : {0.0, 0.35, 1.0}) {
      EXPECT_NEAR(exact_log_z(theta, model, beta), brute_log_z(theta, model, beta), 1e-10);
    }
    EXPECT_NEAR(exact_log_z(theta, model, 0.0), model.reference_log_partition(), 1e-6);
  }
}

TEST(BernoulliRbm, ChunksAgreeWithOneLayerOfMoreThanOneChunk) {
  const BernoulliRbm model(14, 15);
  const auto theta = random_params(model, 0.8, 4);
  ASSERT_GT(model.exact_chunks(), 1);
  LogSumExp total;
  for (unsigned v = 0; v < 1U << 14; ++v) {
    const Word row = v;
    total.add(-model.free_energy(theta, {&row, 1}));
  }
  EXPECT_NEAR(exact_log_z(theta, model, 1.0), total.value(), 1e-9);
}

TEST(BernoulliRbm, FreeEnergiesSumLatentsOut) {
  const BernoulliRbm model = small_model();
  const auto theta = random_params(model, 1.0, 5);
  auto x = model.zero_state();
  for (Index i = 0; i < kVisible; ++i) {
    for (unsigned c = 0; c < 32; ++c) x.visible[static_cast<std::size_t>(i)] |= Word{c >> i & 1} << c;
  }
  BernoulliRbm::Work work;
  model.infer(theta, x, work);
  for (const float beta : {0.0F, 0.6F, 1.0F}) {
    LaneDoubles free;
    model.free_energy(theta, constant_beta(beta), x, work, free);
    for (unsigned v = 0; v < 32; ++v) {
      LogSumExp sum;
      for (unsigned h = 0; h < 16; ++h) sum.add(-energy(theta, model, beta, v, h));
      EXPECT_NEAR(free[v], -sum.value(), 1e-5);
    }
  }
}

/// Mean log-likelihood of weighted cases by enumeration.
double log_likelihood(const BernoulliRbm& model, const BernoulliRbm::Params& theta,
                      const std::vector<Word>& cases) {
  double sum = 0;
  for (const Word& v : cases) sum -= model.free_energy(theta, {&v, 1});
  return sum / static_cast<double>(cases.size()) - exact_log_z(theta, model, 1.0);
}

TEST(BernoulliRbm, AccumulateIsTheGradientOfTheExactLogLikelihood) {
  const BernoulliRbm model = small_model();
  const auto theta = random_params(model, 0.7, 6);
  const std::vector<Word> cases = {3, 17, 30, 8};
  // Positive part from the cases; negative part from all 32 visibles with their exact probabilities.
  auto data = model.zero_state();
  auto every = model.zero_state();
  LaneFloats data_weight{};
  LaneFloats model_weight{};
  const double log_z = exact_log_z(theta, model, 1.0);
  for (std::size_t c = 0; c < 32; ++c) {
    const Word v = c;
    model_weight[c] = static_cast<float>(std::exp(-model.free_energy(theta, {&v, 1}) - log_z));
    if (c < cases.size()) data_weight[c] = 0.25F;
    for (Index i = 0; i < kVisible; ++i) {
      every.visible[static_cast<std::size_t>(i)] |= (v >> i & 1) << c;
      if (c < cases.size()) data.visible[static_cast<std::size_t>(i)] |= (cases[c] >> i & 1) << c;
    }
  }
  auto gradient = model.zero_slice(0);
  auto negative = model.zero_slice(0);
  BernoulliRbm::Work work;
  model.infer(theta, data, work);
  model.mean_latents(theta, constant_beta(1.0F), work);
  model.accumulate(data, work, data_weight, 0, gradient);
  model.infer(theta, every, work);
  model.mean_latents(theta, constant_beta(1.0F), work);
  model.accumulate(every, work, model_weight, 0, negative);
  add_scaled(gradient, -1.0F, negative);
  auto shifted = theta;
  int checked = 0;
  for_each_field(
      [&](std::string_view name, auto& parameter, const auto& derivative) {
        for (Index k = 0; k < parameter.size(); ++k) {
          const float saved = parameter.data()[k];
          constexpr float kStep = 1.0F / 64;
          parameter.data()[k] = saved + kStep;
          const double up = log_likelihood(model, shifted, cases);
          parameter.data()[k] = saved - kStep;
          const double down = log_likelihood(model, shifted, cases);
          parameter.data()[k] = saved;
          EXPECT_NEAR(derivative.data()[k], (up - down) / (2.0 * kStep), 2e-4) << name << " " << k;
          ++checked;
        }
      },
      shifted, gradient);
  EXPECT_EQ(checked, kVisible * kHidden + kVisible + kHidden);
}

TEST(BernoulliRbm, CentringKeepsTheInnerProductOfGradientAndDirection) {
  // uncenter is the transpose of center: <g, T' d> = <T g, d> for every g and d.
  const BernoulliRbm model = small_model();
  auto g = random_params(model, 1.0, 7);
  auto d = random_params(model, 1.0, 8);
  const BernoulliRbm::Offsets offsets{Vector::Constant(kVisible, 0.3F), Vector::Constant(kHidden, 0.6F)};
  const auto inner = [](const auto& a, const auto& b) {
    return (a.weights.array() * b.weights.array()).sum() + a.visible_bias.dot(b.visible_bias) +
           a.hidden_bias.dot(b.hidden_bias);
  };
  auto centred = g;
  auto direction = d;
  model.center(offsets, centred);
  model.uncenter(offsets, direction);
  EXPECT_NEAR(inner(g, direction), inner(centred, d), 1e-4);
}

/// Chi-square statistic of visited visibles against exact probabilities at beta, over independent chains that
/// start from the exact law and make three sweeps with the parameters `used`.
double invariance_chi_square(const BernoulliRbm& model, const BernoulliRbm::Params& theta,
                             const BernoulliRbm::Params& used, float beta, double& degrees) {
  constexpr int kBlocks = 1500;
  std::vector<double> probability(32);
  for (unsigned v = 0; v < 32; ++v) {
    LogSumExp sum;
    for (unsigned h = 0; h < 16; ++h) sum.add(-energy(theta, model, beta, v, h));
    probability[v] = std::exp(sum.value() - brute_log_z(theta, model, beta));
  }
  const StreamFactory streams{11};
  std::vector<double> counts(32);
  BernoulliRbm::Work work;
  auto x = model.zero_state();
  for (int b = 0; b < kBlocks; ++b) {
    std::fill(x.visible.begin(), x.visible.end(), 0);
    const auto first = static_cast<std::uint32_t>(b * 64);
    for (std::uint32_t c = 0; c < 64; ++c) {
      double u = streams.engine(Purpose::kDataSet, 1, first + c)() * 0x1p-32;
      unsigned v = 0;
      while (v < 31 && u >= probability[v]) u -= probability[v++];
      for (Index i = 0; i < kVisible; ++i) x.visible[static_cast<std::size_t>(i)] |= Word{v >> i & 1} << c;
    }
    model.infer(used, x, work);
    model.sample_latents(used, constant_beta(beta), x, work, streams.lanes(Purpose::kSampling, 0, first));
    for (std::uint64_t k = 1; k <= 3; ++k) {
      model.sweep(used, constant_beta(beta), x, work, streams.lanes(Purpose::kSampling, k, first));
    }
    for (unsigned c = 0; c < 64; ++c) {
      unsigned v = 0;
      for (Index i = 0; i < kVisible; ++i)
        v |= static_cast<unsigned>(x.visible[static_cast<std::size_t>(i)] >> c & 1) << i;
      counts[v] += 1;
    }
  }
  double statistic = 0;
  for (unsigned v = 0; v < 32; ++v) {
    const double expected = probability[v] * kBlocks * 64;
    statistic += (counts[v] - expected) * (counts[v] - expected) / expected;
  }
  degrees = 31;
  return statistic;
}

TEST(BernoulliRbm, SweepLeavesTheTemperedLawInvariant) {
  const BernoulliRbm model = small_model();
  const auto theta = random_params(model, 0.8, 9);
  auto faulty = theta;
  faulty.weights(0, 0) += 0.5F;
  for (const float beta : {0.5F, 1.0F}) {
    double degrees = 0;
    // Threshold p = 1e-4 for 31 degrees of freedom: 66.6.
    EXPECT_LT(invariance_chi_square(model, theta, theta, beta, degrees), 66.6);
    EXPECT_GT(invariance_chi_square(model, theta, faulty, beta, degrees), 66.6)
        << "the planted fault must be seen";
  }
}

}  // namespace
}  // namespace tempera
