#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <boost/random/discrete_distribution.hpp>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {
namespace {

constexpr unsigned kHidden = 5;
constexpr unsigned kStates = 1U << kHidden;

struct Machine {
  BernoulliRbm model{{6, kHidden}, {Vector::LinSpaced(6, -0.5F, 0.5F)}};
  BernoulliRbm::Params theta = model.initial_params(StreamFactory{5}, random_weights(2.0));
  JumpMemory memory = empty_memory(kHidden);
  Executor executor{2};

  Machine() {
    theta.hidden_bias = Vector::LinSpaced(kHidden, -1.0F, 1.0F);
    // Posteriors of a few cases, some chains of a block.
    std::vector<BernoulliRbm::State> blocks = {model.new_state()};
    for (unsigned c = 0; c < 7; ++c) {
      for (unsigned i = 0; i < 6; ++i) blocks[0].visible[i] |= Word{(c * 11 + 3) >> i & 1} << c;
    }
    Caches<BernoulliRbm> caches;
    caches.fit(model, 7, executor);
    latent_input(Engine{model, {}, executor}, theta, blocks, caches);
    add_cases(model, theta, caches.blocks.front(), memory);
  }

  /// log p_beta(h) without its constant, by brute force in double.
  [[nodiscard]] double log_weight(unsigned h, double beta) const {
    double sum = 0;
    for (unsigned j = 0; j < kHidden; ++j) sum += (h >> j & 1) != 0 ? beta * theta.hidden_bias[j] : 0.0;
    for (unsigned i = 0; i < 6; ++i) {
      double input = theta.visible_bias[i];
      for (unsigned j = 0; j < kHidden; ++j) input += (h >> j & 1) != 0 ? theta.weights(i, j) : 0.0F;
      sum += softplus(beta * input + (1 - beta) * model.reference().visible_bias[i]);
    }
    return sum;
  }
  [[nodiscard]] Eigen::VectorXd target(double beta) const {
    Eigen::VectorXd p(kStates);
    for (unsigned h = 0; h < kStates; ++h) p[h] = std::exp(log_weight(h, beta));
    return p / p.sum();
  }
  /// Density of one component at h.
  [[nodiscard]] double component(Index n, unsigned h) const {
    double p = 1;
    for (unsigned j = 0; j < kHidden; ++j) {
      const double q = sigmoid(memory.logits(n, static_cast<Index>(j)));
      p *= (h >> j & 1) != 0 ? q : 1 - q;
    }
    return p;
  }
  [[nodiscard]] double mixture(unsigned h) const {
    double p = kUniformPart / kStates;
    for (Index n = 0; n < static_cast<Index>(memory.filled); ++n)
      p += (1 - kUniformPart) / static_cast<double>(memory.filled) * component(n, h);
    return p;
  }
  static unsigned number(const BitLayer& layer, unsigned lane) {
    unsigned h = 0;
    for (unsigned j = 0; j < kHidden; ++j) h |= static_cast<unsigned>(layer[j] >> lane & 1) << j;
    return h;
  }
};

TEST(Jump, MemoryIsARingOfCases) {
  Machine m;
  EXPECT_EQ(m.memory.filled, 7U);
  EXPECT_EQ(m.memory.next, 7U);
  JumpMemory memory = empty_memory(kHidden);
  Caches<BernoulliRbm> caches;
  caches.fit(m.model, 100, m.executor);
  for (int k = 0; k < 6; ++k) {
    caches.blocks[0].hidden_input.setConstant(static_cast<float>(100 * k));
    caches.blocks[1].hidden_input.setConstant(static_cast<float>(k));
    for (const auto& cache : caches.blocks) add_cases(m.model, m.theta, cache, memory);
  }
  EXPECT_EQ(memory.filled, static_cast<std::uint64_t>(kJumpCases));
  EXPECT_EQ(memory.next, 600U - kJumpCases);
  EXPECT_EQ(memory.logits(600 - kJumpCases - 1, 0), 5.0F);
  EXPECT_EQ(memory.logits.maxCoeff(), kLargestJumpLogit);
}

TEST(Jump, DensityAndFreeEnergyAreThoseOfBruteForce) {
  const Machine m;
  BernoulliRbm::State x = m.model.new_state();
  for (unsigned h = 0; h < kStates; ++h) {
    for (unsigned j = 0; j < kHidden; ++j) x.hidden[j] |= Word{h >> j & 1} << h;
  }
  BernoulliRbm::Scratch scratch;
  LaneFloats beta{};
  for (std::size_t c = 0; c < kLanes; ++c) beta[c] = static_cast<float>(c % 5) / 4.0F;
  LaneDoubles energy;
  m.model.latent_free_energy(m.theta, beta, x, kStates, scratch, energy);
  const LaneDoubles density = jump_log_density(m.memory, x.hidden, kStates);
  double total = 0;
  for (unsigned h = 0; h < kStates; ++h) {
    EXPECT_NEAR(energy[h], -m.log_weight(h, beta[h]), 1e-5);
    EXPECT_NEAR(density[h], std::log(m.mixture(h)), 1e-5);
    total += std::exp(density[h]);
  }
  EXPECT_NEAR(total, 1.0, 1e-5);
}

TEST(Jump, LeavesTheTargetInvariantAndSeesAComponentInPlaceOfTheMixture) {
  const Machine m;
  for (const double beta : {0.0, 0.4, 1.0}) {
    const Eigen::VectorXd target = m.target(beta);
    const auto after = [&](bool faulty) {
      Eigen::VectorXd law = target;
      for (unsigned h = 0; h < kStates; ++h) {
        for (unsigned to = 0; to < kStates; ++to) {
          // Proposals come from the mixture; the fault takes the density of one component for them all.
          const auto density = [&](unsigned state) {
            return std::log(faulty ? m.component(0, state) : m.mixture(state));
          };
          const double flow =
              target[h] * m.mixture(to) *
              jump_probability(-m.log_weight(h, beta), -m.log_weight(to, beta), density(h), density(to));
          law[to] += flow;
          law[h] -= flow;
        }
      }
      return law;
    };
    EXPECT_LT((after(false) - target).cwiseAbs().sum(), 1e-12);
    EXPECT_GT((after(true) - target).cwiseAbs().sum(), 1e-3);
  }
}

/// chi-square of the states of many chains against a law.
double chi_square(const std::vector<double>& counts, const Eigen::VectorXd& law) {
  double n = 0;
  for (const double x : counts) n += x;
  double sum = 0;
  for (std::size_t h = 0; h < counts.size(); ++h)
    sum += std::pow(counts[h] - n * law[static_cast<Index>(h)], 2) / (n * law[static_cast<Index>(h)]);
  return sum;
}

TEST(Jump, ExactDrawsStayExact) {
  Machine m;
  constexpr std::uint64_t kChains = 40000;
  for (const float beta : {1.0F, 0.5F}) {
    const Eigen::VectorXd target = m.target(beta);
    Chains<BernoulliRbm> chains = empty_chains(m.model, kChains);
    StreamEngine random = StreamFactory{8}.engine(Purpose::kSampling, 0);
    boost::random::discrete_distribution<unsigned, double> draw(target.begin(), target.end());
    for (std::uint64_t c = 0; c < kChains; ++c) {
      const unsigned h = draw(random);
      for (unsigned j = 0; j < kHidden; ++j)
        chains.blocks[c / kLanes].hidden[j] |= Word{h >> j & 1} << (c % kLanes);
    }
    const Engine engine{m.model, StreamFactory{9}, m.executor};
    const auto law_after = [&](const JumpMemory& memory) {
      Population<BernoulliRbm> moved(chains);
      moved.fit(engine);
      moved.caches.betas.fill(beta);
      const double acceptance = jump(engine, m.theta, memory, 3, moved);
      EXPECT_GT(acceptance, 0.1);
      std::vector<double> counts(kStates, 0.0);
      for (std::uint64_t c = 0; c < kChains; ++c)
        counts[Machine::number(moved.chains.blocks[c / kLanes].hidden, static_cast<unsigned>(c % kLanes))] +=
            1;
      return chi_square(counts, target);
    };
    // 31 degrees of freedom: p = 1e-4 at 69.
    EXPECT_LT(law_after(m.memory), 69.0);
    // Planted fault: the density of one component alone, for proposals of all.
    JumpMemory faulty = m.memory;
    for (Index n = 1; n < static_cast<Index>(faulty.filled); ++n) faulty.log_none[n] = -1e6F;
    EXPECT_GT(law_after(faulty), 200.0);
  }
}

TEST(Jump, ThreadsDoNotMatterAndTheRateIsKept) {
  const auto run = [](int threads) {
    Machine m;
    const Executor executor(threads);
    Population<BernoulliRbm> population(
        reference_chains(Engine{m.model, StreamFactory{1}, executor}, 300, Purpose::kSampling));
    const Engine engine{m.model, StreamFactory{2}, executor};
    population.fit(engine);
    for (std::uint64_t step = 0; step < 5; ++step) jump(engine, m.theta, m.memory, step, population);
    return population.chains;
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 5}) EXPECT_TRUE(equal_fields(one, run(threads)));
  int jumps = 0;
  for (std::uint64_t step = 0; step < 10000; ++step) jumps += is_jump(0.1, StreamFactory{3}, step) ? 1 : 0;
  EXPECT_NEAR(jumps, 1000, 120);
  EXPECT_FALSE(is_jump(0.0, StreamFactory{3}, 1));
  EXPECT_TRUE(is_jump(1.0, StreamFactory{3}, 1));
}

}  // namespace
}  // namespace tempera
