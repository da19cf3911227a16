#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <boost/random/discrete_distribution.hpp>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/models/rbm.hpp"
#include "tempera/models/spike_slab.hpp"

namespace tempera {
namespace {

constexpr unsigned kHidden = 5;
constexpr unsigned kStates = 1U << kHidden;

struct Machine {
  BernoulliRbm model{{6, kHidden}, {Vector::LinSpaced(6, -0.5F, 0.5F)}};
  BernoulliRbm::Params theta = model.initial_params(StreamFactory{5}, random_weights(2.0));
  JumpMemory memory = empty_memory(kHidden);
  Executor executor{2};

  explicit Machine(bool modes = false) {
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
    const std::vector<PackedState> states = {{0b00110}, {0b11001}, {0b10000}};
    if (modes) set_modes(Engine{model, {}, executor}, theta, states, memory);
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
    const auto cases = static_cast<Index>(memory.filled);
    const auto modes = static_cast<Index>(memory.modes);
    const double of_modes = modes > 0 ? kModePart : 0.0;
    for (Index n = 0; n < cases; ++n)
      p += (1 - kUniformPart - of_modes) / static_cast<double>(cases) * component(n, h);
    for (Index n = 0; n < modes; ++n)
      p += of_modes / static_cast<double>(modes) * component(kJumpCases + n, h);
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
  // One of a run from before, with more cases than there is room for.
  add_cases(m.model, m.theta, caches.blocks[1], memory, kLanes);
  EXPECT_EQ(memory.filled, static_cast<std::uint64_t>(kLanes));
  EXPECT_EQ(memory.next, (600U - kJumpCases + 36) % kLanes);
  EXPECT_TRUE(is_consistent(memory));
}

TEST(Jump, MachinesOfFewBitsLookAtFewCases) {
  const auto cases = [](Index n_visible) {
    return remembered_cases(BernoulliRbm({n_visible, 3}, {Vector::Zero(n_visible)}));
  };
  EXPECT_EQ(cases(2), 64);
  EXPECT_EQ(cases(64), 64);
  EXPECT_EQ(cases(65), 128);
  EXPECT_EQ(cases(784), kJumpCases);
  EXPECT_EQ(remembered_cases(GaussianRbm({4, {3}}, {Vector::Zero(4), Vector::Ones(4)})), kJumpCases)
      << "a Gaussian's weight costs more than the look";
}

/// Jumps to cases alone, and to cases and modes.
class WithModes : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Jump, WithModes, ::testing::Bool());

TEST_P(WithModes, DensityAndFreeEnergyAreThoseOfBruteForce) {
  const Machine m(GetParam());
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

TEST_P(WithModes, LeavesTheTargetInvariantAndSeesAComponentInPlaceOfTheMixture) {
  const Machine m(GetParam());
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

TEST(Jump, AroundAModeALatentHasTheLawThatItHasGivenTheOthers) {
  Machine m;
  const PackedState state = {0b01101};
  set_modes(Engine{m.model, {}, m.executor}, m.theta, {&state, 1}, m.memory);
  ASSERT_EQ(m.memory.modes, 1U);
  for (unsigned j = 0; j < kHidden; ++j) {
    const unsigned on = 0b01101U | 1U << j;
    const unsigned off = on & ~(1U << j);
    EXPECT_NEAR(m.memory.logits(kJumpCases, j), m.log_weight(on, 1.0) - m.log_weight(off, 1.0), 1e-4);
  }
  EXPECT_TRUE(is_consistent(m.memory));
  JumpMemory damaged = m.memory;
  damaged.log_none[kJumpCases] += 1.0F;
  EXPECT_FALSE(is_consistent(damaged));
  damaged = m.memory;
  damaged.accepted = 2.0;
  EXPECT_FALSE(is_consistent(damaged));
}

TEST(Jump, ModesOfTheVisiblesAreWhatLatentsAreGiven) {
  // Of a machine with fewer visibles than latents modes are states of the visibles: latents given these.
  const BernoulliRbm model{{3, 6}, {Vector::Zero(3)}};
  const BernoulliRbm::Params theta = model.initial_params(StreamFactory{5}, random_weights(2.0));
  const Executor executor{1};
  JumpMemory memory = empty_memory(6);
  const PackedState state = {0b101};
  set_modes(Engine{model, {}, executor}, theta, {&state, 1}, memory);
  for (Index j = 0; j < 6; ++j)
    EXPECT_NEAR(memory.logits(kJumpCases, j),
                theta.hidden_bias[j] + theta.weights(0, j) + theta.weights(2, j), 1e-5);
}

TEST(Jump, AsManyAsAreAcceptedWithinBounds) {
  JumpMemory memory = empty_memory(3);
  EXPECT_EQ(jump_rate(0.3, memory, 0.1), 0.3) << "what is asked for";
  memory.accepted = 0.0;
  EXPECT_EQ(jump_rate(std::nullopt, memory, 0.5), 0.02);
  memory.accepted = 0.05;
  EXPECT_EQ(jump_rate(std::nullopt, memory, 0.5), 0.25);
  memory.accepted = 0.9;
  EXPECT_EQ(jump_rate(std::nullopt, memory, 0.5), 0.5);
  EXPECT_EQ(jump_rate(std::nullopt, memory, 0.01), 0.01);
  note_acceptance(0.4, memory);
  EXPECT_NEAR(memory.accepted, 0.85, 1e-12);
}

// --- machines whose visibles, and slabs, are integrated out -----------------------------------------------

/// A machine of real visibles with 4 latents, its latents' law by a dense Gaussian over visibles and slabs.
template <class M>
struct RealMachine;

template <>
struct RealMachine<GaussianRbm> {
  GaussianRbm model{{3, {4}}, {Vector::LinSpaced(3, -0.3F, 0.4F), Vector::LinSpaced(3, 0.7F, 1.5F)}};
  GaussianRbm::Params theta = model.zero_params();

  RealMachine() {
    StreamEngine random = StreamFactory{7}.engine(Purpose::kSampling, 0);
    for (float& w : theta.weights.reshaped()) w = 3.0F * static_cast<float>(uniform_53(random) - 0.5);
    theta.visible.visible_bias << 0.2F, -0.4F, 0.3F;
    theta.visible.visible_precision << 0.8F, 1.1F, 0.9F;
    theta.latent.hidden_bias << 0.5F, -0.7F, 0.2F, -0.1F;
  }
  [[nodiscard]] double log_weight(unsigned h, double beta) const {
    double sum = 0.0;
    for (Index i = 0; i < 3; ++i) {
      const double precision = (1 - beta) * static_cast<double>(model.reference().visible_precision[i]) +
                               beta * static_cast<double>(theta.visible.visible_precision[i]);
      double linear = (1 - beta) * static_cast<double>(model.reference().visible_bias[i]) +
                      beta * static_cast<double>(theta.visible.visible_bias[i]);
      for (unsigned j = 0; j < 4; ++j)
        linear += (h >> j & 1) * beta * static_cast<double>(theta.weights(i, j));
      sum += 0.5 * linear * linear / precision;
    }
    for (unsigned j = 0; j < 4; ++j)
      sum += (h >> j & 1) * beta * static_cast<double>(theta.latent.hidden_bias[j]);
    return sum;
  }
  static void spoil(GaussianRbm::State& x) { x.visible.setZero(); }
};

template <>
struct RealMachine<SpikeSlabRbm> {
  SpikeSlabRbm model{{3, {4, 1}}, {Vector::LinSpaced(3, -0.3F, 0.4F), Vector::LinSpaced(3, 0.7F, 1.5F)}};
  SpikeSlabRbm::Params theta = model.zero_params();

  RealMachine() {
    StreamEngine random = StreamFactory{7}.engine(Purpose::kSampling, 0);
    for (float& w : theta.weights.reshaped()) w = 2.0F * static_cast<float>(uniform_53(random) - 0.5);
    for (float& w : theta.latent.spike_precision.reshaped())
      w = 0.4F * static_cast<float>(uniform_53(random));
    theta.visible.visible_bias << 0.2F, -0.4F, 0.3F;
    theta.visible.visible_precision << 3.8F, 4.1F, 3.9F;
    theta.latent.spike_bias << 0.5F, -0.7F, 0.2F, -0.1F;
    theta.latent.slab_mean.reshaped() << 0.9F, -0.6F, 1.2F, 0.4F;
    theta.latent.slab_precision.reshaped() << 1.5F, 2.0F, 1.2F, 1.8F;
  }
  /// The energy is a quadratic form of visibles and slabs; constants that no spike changes are left out.
  [[nodiscard]] double log_weight(unsigned h, double beta) const {
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(7, 7);
    Eigen::VectorXd linear = Eigen::VectorXd::Zero(7);
    double sum = 0.0;
    for (Index i = 0; i < 3; ++i) {
      a(i, i) = (1 - beta) * static_cast<double>(model.reference().visible_precision[i]) +
                beta * static_cast<double>(theta.visible.visible_precision[i]);
      linear[i] = (1 - beta) * static_cast<double>(model.reference().visible_bias[i]) +
                  beta * static_cast<double>(theta.visible.visible_bias[i]);
    }
    for (unsigned m = 0; m < 4; ++m) {
      const auto alpha = static_cast<double>(theta.latent.slab_precision.data()[m]);
      const auto mean = static_cast<double>(theta.latent.slab_mean.data()[m]);
      a(3 + m, 3 + m) = alpha;
      if ((h >> m & 1) == 0) continue;
      for (Index i = 0; i < 3; ++i) {
        a(i, i) += beta * static_cast<double>(theta.latent.spike_precision(i, m));
        a(i, 3 + m) = a(3 + m, i) = -beta * static_cast<double>(theta.weights(i, m));
      }
      linear[3 + m] = beta * alpha * mean;
      sum += beta * (static_cast<double>(theta.latent.spike_bias[m]) - 0.5 * alpha * mean * mean);
    }
    const Eigen::LLT<Eigen::MatrixXd> factor(a);
    return sum + 0.5 * linear.dot(factor.solve(linear)) -
           Eigen::MatrixXd(factor.matrixL()).diagonal().array().log().sum();
  }
  static void spoil(SpikeSlabRbm::State& x) { x.latent.slabs.setConstant(3.0F); }
};

template <class M>
class JumpOfReal : public ::testing::Test {};
using RealKinds = ::testing::Types<GaussianRbm, SpikeSlabRbm>;
TYPED_TEST_SUITE(JumpOfReal, RealKinds);

TYPED_TEST(JumpOfReal, FreeEnergiesOfLatentsAreThoseOfADenseGaussian) {
  const RealMachine<TypeParam> m;
  typename TypeParam::State x = m.model.new_state();
  BitLayer& latents = TypeParam::latents_of(x);
  for (unsigned h = 0; h < 16; ++h) {
    for (unsigned j = 0; j < 4; ++j) latents[j] |= Word{h >> j & 1} << h;
  }
  for (const double beta : {0.0, 0.4, 1.0}) {
    LaneFloats betas;
    betas.fill(static_cast<float>(beta));
    typename TypeParam::Scratch scratch;
    LaneDoubles energy;
    m.model.latent_free_energy(m.theta, betas, x, 16, scratch, energy);
    for (unsigned h = 1; h < 16; ++h)
      EXPECT_NEAR(energy[0] - energy[h], m.log_weight(h, beta) - m.log_weight(0, beta), 1e-5) << h;
  }
}

TYPED_TEST(JumpOfReal, ExactDrawsStayExactThroughAJumpAndASweep) {
  const RealMachine<TypeParam> m;
  const Executor executor{2};
  const Engine<TypeParam> engine{m.model, StreamFactory{9}, executor};
  JumpMemory memory = empty_memory(4);
  const std::vector<PackedState> modes = {{0b0110}, {0b1001}};
  set_modes(engine, m.theta, modes, memory);
  Population<TypeParam> cases(reference_chains(engine, 20, Purpose::kSampling));
  cases.fit(engine);
  latent_input(engine, m.theta, cases.chains.blocks, cases.caches);
  add_cases(m.model, m.theta, cases.caches.blocks.front(), memory);
  constexpr std::uint64_t kChains = 40000;
  for (const float beta : {1.0F, 0.5F}) {
    Eigen::VectorXd target(16);
    for (unsigned h = 0; h < 16; ++h) target[h] = std::exp(m.log_weight(h, static_cast<double>(beta)));
    target /= target.sum();
    // chi-square of the latents after a jump, and after a sweep that follows it.
    const auto law_after = [&](bool spoilt, const JumpMemory& proposal) {
      Population<TypeParam> population(empty_chains(m.model, kChains));
      StreamEngine random = StreamFactory{8}.engine(Purpose::kSampling, 0);
      boost::random::discrete_distribution<unsigned, double> draw(target.begin(), target.end());
      for (std::uint64_t c = 0; c < kChains; ++c) {
        const unsigned h = draw(random);
        BitLayer& latents = TypeParam::latents_of(population.chains.blocks[c / kLanes]);
        for (unsigned j = 0; j < 4; ++j) latents[j] |= Word{h >> j & 1} << (c % kLanes);
      }
      population.fit(engine);
      population.caches.betas.fill(beta);
      EXPECT_GT(jump(engine, m.theta, proposal, 3, population), 0.1);
      const auto chi_square_now = [&] {
        std::vector<double> counts(16, 0.0);
        for (std::uint64_t c = 0; c < kChains; ++c) {
          const BitLayer& latents =
              TypeParam::latents_of(std::as_const(population.chains.blocks[c / kLanes]));
          unsigned h = 0;
          for (unsigned j = 0; j < 4; ++j) h |= static_cast<unsigned>(latents[j] >> (c % kLanes) & 1) << j;
          counts[h] += 1;
        }
        return chi_square(counts, target);
      };
      const double after_jump = chi_square_now();
      if (spoilt) {
        for (auto& block : population.chains.blocks) RealMachine<TypeParam>::spoil(block);
      }
      advance(engine, m.theta, 1, Purpose::kChains, population);
      return std::pair{after_jump, chi_square_now()};
    };
    // 15 degrees of freedom: p = 1e-4 at 44.
    const auto [after_jump, after_sweep] = law_after(false, memory);
    EXPECT_LT(after_jump, 44.0);
    EXPECT_LT(after_sweep, 44.0);
    // Planted: the density of one component for proposals of all.
    JumpMemory faulty = memory;
    for (Index n = 1; n < faulty.log_none.size(); ++n) faulty.log_none[n] = -1e6F;
    EXPECT_GT(law_after(false, faulty).first, 90.0);
    // Planted: slabs that are not drawn anew. Visibles are, by the sweep.
    if (std::is_same_v<TypeParam, SpikeSlabRbm>) {
      EXPECT_GT(law_after(true, memory).second, 90.0);
    } else {
      EXPECT_LT(law_after(true, memory).second, 44.0);
    }
  }
}

TYPED_TEST(JumpOfReal, ChainsStartAtModes) {
  const RealMachine<TypeParam> m;
  const Executor executor{2};
  const std::vector<PackedState> modes = {{0b0110}, {0b1001}, {0b0000}};
  const Chains<TypeParam> chains = mode_chains(Engine<TypeParam>{m.model, {}, executor}, m.theta, modes, 70);
  for (std::uint64_t c = 0; c < 70; ++c) {
    const BitLayer& latents = TypeParam::latents_of(chains.blocks[c / kLanes]);
    for (unsigned j = 0; j < 4; ++j)
      EXPECT_EQ(latents[j] >> (c % kLanes) & 1, modes[c % 3].front() >> j & 1) << c;
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
