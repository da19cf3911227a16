#include "tempera/mcmc/ladder.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>

#include "tempera/core/math.hpp"
#include "tempera/models/rbm.hpp"

namespace tempera {
namespace {

/// Free energies of every visible state at some betas, from the model's own function.
std::vector<std::vector<double>> all_free_energies(const BernoulliRbm& model,
                                                   const BernoulliRbm::Params& theta,
                                                   const std::vector<double>& betas) {
  const Executor executor(1);
  const Engine engine{model, {}, executor};
  const auto n_states = std::size_t{1} << model.n_visible();
  std::vector<std::vector<double>> energies(betas.size(), std::vector<double>(n_states));
  Caches<BernoulliRbm> caches;
  caches.fit(model, kLanes, executor);
  std::vector<BernoulliRbm::State> blocks = {model.new_state()};
  for (std::size_t v = 0; v < n_states; ++v) {
    for (Index i = 0; i < model.n_visible(); ++i) blocks[0].visible[static_cast<std::size_t>(i)] = v >> i & 1;
    latent_input(engine, theta, blocks, caches);
    for (std::size_t k = 0; k < betas.size(); ++k) {
      LaneDoubles out;
      model.free_energy(theta, constant_beta(static_cast<float>(betas[k])), blocks[0], caches.blocks[0], out);
      energies[k][v] = out[0];
    }
  }
  return energies;
}

/// Kernels on the joint visible states of a ladder, by enumeration: number = sum_k v_k n^k.
class Enumeration {
 public:
  Enumeration(Index n_visible, Index n_hidden, std::size_t n_rungs)
      : model_({n_visible, n_hidden}, {Vector::LinSpaced(n_visible, -0.4F, 0.3F)}),
        theta_(model_.initial_params(StreamFactory{3}, random_weights(1.5))),
        betas_(linear_ladder(n_rungs, 1, 0).betas),
        energies_(all_free_energies(model_, theta_, betas_)),
        n_(std::size_t{1} << n_visible) {
    for (std::size_t k = 0; k < n_rungs; ++k) size_ *= n_;
    target_ = Eigen::VectorXd::Zero(static_cast<Index>(size_));
    for (std::size_t s = 0; s < size_; ++s) {
      double energy = 0;
      for (std::size_t k = 0; k < n_rungs; ++k) energy += energies_[k][state(s, k)];
      target_[static_cast<Index>(s)] = std::exp(-energy);
    }
    target_ /= target_.sum();
  }

  [[nodiscard]] const Eigen::VectorXd& target() const { return target_; }
  [[nodiscard]] std::size_t state(std::size_t s, std::size_t k) const {
    for (; k > 0; --k) s /= n_;
    return s % n_;
  }
  [[nodiscard]] std::size_t swapped(std::size_t s, std::size_t k) const {
    std::size_t power = 1;
    for (std::size_t j = 0; j < k; ++j) power *= n_;
    const std::size_t a = state(s, k);
    const std::size_t b = state(s, k + 1);
    return s + power * (b - a) + power * n_ * (a - b);  // wraps around consistently
  }
  [[nodiscard]] double probability(std::size_t s, std::size_t k) const {
    const std::size_t a = state(s, k);
    const std::size_t b = state(s, k + 1);
    return swap_probability(energies_[k][a], energies_[k + 1][b], energies_[k + 1][a], energies_[k][b]);
  }

  /// The law after a round of swaps: every pair has a uniform of its own, or one serves them all.
  [[nodiscard]] Eigen::VectorXd after_swaps(const Eigen::VectorXd& law, std::size_t parity,
                                            bool shared) const {
    Eigen::VectorXd next = Eigen::VectorXd::Zero(law.size());
    for (std::size_t s = 0; s < size_; ++s) {
      std::vector<std::size_t> pairs;
      for (std::size_t k = parity; k + 1 < betas_.size(); k += 2) pairs.push_back(k);
      for (std::size_t accepted = 0; accepted < (std::size_t{1} << pairs.size()); ++accepted) {
        std::size_t to = s;
        double independent = 1;
        double least_refused = 0;  // a shared uniform lies above every refused probability ...
        double most = 1;           // ... and below every accepted one
        for (std::size_t p = 0; p < pairs.size(); ++p) {
          const double q = probability(s, pairs[p]);
          if ((accepted >> p & 1) != 0) {
            to = swapped(to, pairs[p]);
            independent *= q;
            most = std::min(most, q);
          } else {
            independent *= 1 - q;
            least_refused = std::max(least_refused, q);
          }
        }
        next[static_cast<Index>(to)] +=
            law[static_cast<Index>(s)] * (shared ? std::max(0.0, most - least_refused) : independent);
      }
    }
    return next;
  }

  /// The law after v ~ p(v | h), h ~ p(h | v) of the replica at rung k, latents summed out.
  [[nodiscard]] Eigen::VectorXd after_sweep(const Eigen::VectorXd& law, std::size_t k) const {
    const double beta = betas_[k];
    const Index hidden = Index{1} << model_.n_hidden();
    Eigen::MatrixXd joint(static_cast<Index>(n_), hidden);
    for (Index v = 0; v < joint.rows(); ++v) {
      for (Index h = 0; h < hidden; ++h) {
        double sum = 0;
        for (Index i = 0; i < model_.n_visible(); ++i) {
          if ((v >> i & 1) == 0) continue;
          sum += beta * theta_.visible_bias[i] + (1 - beta) * model_.reference().visible_bias[i];
          for (Index j = 0; j < model_.n_hidden(); ++j)
            sum += (h >> j & 1) != 0 ? beta * theta_.weights(i, j) : 0.0;
        }
        for (Index j = 0; j < model_.n_hidden(); ++j)
          sum += (h >> j & 1) != 0 ? beta * theta_.hidden_bias[j] : 0.0;
        joint(v, h) = std::exp(sum);
      }
    }
    const Eigen::MatrixXd given_v = joint.array().colwise() / joint.rowwise().sum().array();
    const Eigen::MatrixXd given_h = joint.array().rowwise() / joint.colwise().sum().array();
    const Eigen::MatrixXd kernel = given_v * given_h.transpose();
    std::size_t power = 1;
    for (std::size_t j = 0; j < k; ++j) power *= n_;
    Eigen::VectorXd next = Eigen::VectorXd::Zero(law.size());
    for (std::size_t s = 0; s < size_; ++s) {
      const std::size_t a = state(s, k);
      for (std::size_t b = 0; b < n_; ++b) {
        next[static_cast<Index>(s + power * b - power * a)] +=
            law[static_cast<Index>(s)] * kernel(static_cast<Index>(a), static_cast<Index>(b));
      }
    }
    return next;
  }

  std::size_t n_rungs() const { return betas_.size(); }

 private:
  BernoulliRbm model_;
  BernoulliRbm::Params theta_;
  std::vector<double> betas_;
  std::vector<std::vector<double>> energies_;
  std::size_t n_;
  std::size_t size_ = 1;
  Eigen::VectorXd target_;
};

double distance(const Eigen::VectorXd& a, const Eigen::VectorXd& b) { return (a - b).cwiseAbs().sum(); }

TEST(SwapKernel, LeavesTheTargetInvariant) {
  for (const std::size_t n_rungs : {3U, 4U}) {
    const Enumeration ladder(2, 2, n_rungs);
    for (const std::size_t parity : {0U, 1U})
      EXPECT_LT(distance(ladder.after_swaps(ladder.target(), parity, false), ladder.target()), 1e-12);
  }
}

TEST(SwapKernel, OneUniformForAllPairsIsSeen) {
  const Enumeration ladder(2, 2, 4);
  EXPECT_GT(distance(ladder.after_swaps(ladder.target(), 0, true), ladder.target()), 1e-3);
}

TEST(SwapKernel, SweepsAndSwapsTogetherLeaveTheTargetInvariant) {
  const Enumeration ladder(2, 1, 3);
  Eigen::VectorXd law = ladder.target();
  for (std::size_t k = 0; k < ladder.n_rungs(); ++k) law = ladder.after_sweep(law, k);
  law = ladder.after_swaps(ladder.after_swaps(law, 0, false), 1, false);
  // Free energies come from float inputs, the sweep from double ones.
  EXPECT_LT(distance(law, ladder.target()), 1e-6);
}

TEST(SwapKernel, NumbersThatAreNoneAreNeverAccepted) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(swap_probability(nan, 0, 0, 0), 0.0);
}

constexpr Draws kSamplingDraws{Purpose::kSampling, Purpose::kSamplingSwaps};

/// A population with a ladder, as the trainers and `sample` use it. The machine's reference has fair coins.
struct Tempered {
  Executor executor{2};
  BernoulliRbm model;
  BernoulliRbm::Params theta;
  StreamFactory streams;
  TemperatureLadder ladder;
  Population<BernoulliRbm> population;

  Tempered(BernoulliRbm::Shape shape, double scale, TemperatureLadder rungs, std::uint64_t seed)
      : model(with_standard_reference<BernoulliRbm>(shape)),
        theta(model.initial_params(StreamFactory{seed}, random_weights(scale))),
        streams{seed + 1},
        ladder(std::move(rungs)),
        population(reference_chains(engine(), ladder.n_chains(), Purpose::kSampling)) {
    fit();
  }
  [[nodiscard]] Engine<BernoulliRbm> engine() const { return {model, streams, executor}; }
  void fit() {
    population.fit(engine());
    place(ladder, population);
  }
  void sweep() { advance(engine(), theta, 1, Purpose::kSampling, population); }
  void round() {
    sweep();
    swap_rungs(engine(), theta, kSamplingDraws, ladder, population);
  }
  /// The rungs placed anew.
  void adapt_within(RungLimits limits) {
    ladder = adapt(std::move(ladder), limits, model, population.chains);
  }
  [[nodiscard]] std::uint64_t n_chains() const { return population.chains.n_chains; }
  [[nodiscard]] unsigned visible(std::uint64_t chain) const {
    unsigned v = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(model.n_visible()); ++i)
      v |= static_cast<unsigned>(population.chains.blocks[chain / kLanes].visible[i] >> (chain % kLanes) & 1)
           << i;
    return v;
  }
};

TEST(SwapRungs, PairsAreIndependent) {
  // The same states again and again, with other uniforms: acceptances of the two pairs are independent, and
  // as frequent as the rejections say.
  Tempered p({4, 3}, 2.0, linear_ladder(4, 1, 0), 11);
  const auto undecided = [](double r) { return r > 0.2 && r < 0.8; };
  TemperatureLadder trial;
  do {
    p.round();
    p.ladder.swaps = 0;
    trial = p.ladder;
    reset_statistics(trial);
    Population<BernoulliRbm> population = p.population;
    swap_rungs(p.engine(), p.theta, kSamplingDraws, trial, population);
  } while (!undecided(trial.rejections[0]) || !undecided(trial.rejections[2]));
  const TemperatureLadder start = p.ladder;
  constexpr int kDraws = 4000;
  double both = 0;
  std::array<double, 2> each{};
  std::array<double, 2> accepted{};
  for (std::uint64_t step = 0; step < kDraws; ++step) {
    TemperatureLadder ladder = start;
    reset_statistics(ladder);
    ladder.swaps = 2 * step;
    Population<BernoulliRbm> population = p.population;
    swap_rungs(p.engine(), p.theta, kSamplingDraws, ladder, population);
    const bool first = ladder.chains[0] != start.chains[0];
    const bool second = ladder.chains[2] != start.chains[2];
    each[0] += first;
    each[1] += second;
    both += first && second;
    accepted = {1 - ladder.rejections[0], 1 - ladder.rejections[2]};
  }
  for (const std::size_t k : {0U, 1U}) {
    EXPECT_NEAR(each[k] / kDraws, accepted[k], 4 * std::sqrt(0.25 / kDraws));
  }
  const double product = accepted[0] * accepted[1];
  EXPECT_NEAR(both / kDraws, product, 4 * std::sqrt(0.25 / kDraws));
  // Planted fault: with one uniform for both pairs both accept as often as the less willing.
  EXPECT_GT(std::abs(std::min(accepted[0], accepted[1]) - product), 4 * std::sqrt(0.25 / kDraws));
}

/// Largest deviation, in standard errors over ensembles, of marginals and pair correlations from enumeration.
double worst_deviation(const Tempered& p, const std::vector<std::vector<double>>& moments) {
  const auto n = static_cast<std::size_t>(p.model.n_visible());
  const auto energies = all_free_energies(p.model, p.theta, {1.0});
  std::vector<double> exact(n * n, 0.0);
  LogSumExp z;
  for (const double f : energies[0]) z.add(-f);
  for (std::size_t v = 0; v < energies[0].size(); ++v) {
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j)
        exact[i * n + j] += (v >> i & v >> j & 1) != 0 ? std::exp(-energies[0][v] - z.value()) : 0.0;
    }
  }
  double worst = 0;
  for (std::size_t k = 0; k < exact.size(); ++k) {
    MeanVariance mean;
    for (const auto& ensemble : moments) mean.add(ensemble[k]);
    worst = std::max(worst, std::abs(mean.mean() - exact[k]) / std::max(1e-4, mean.standard_error()));
  }
  return worst;
}

/// <v_i v_j> of the coldest chain of each ensemble over `rounds` rounds.
std::vector<std::vector<double>> moments_of(Tempered& p, int rounds, bool swaps) {
  const auto n = static_cast<std::size_t>(p.model.n_visible());
  std::vector<std::vector<double>> moments(p.ladder.n_ensembles, std::vector<double>(n * n, 0.0));
  for (int t = 0; t < rounds; ++t) {
    if (swaps) {
      p.round();
    } else {
      p.sweep();
    }
    for (std::uint64_t e = 0; e < p.ladder.n_ensembles; ++e) {
      const unsigned v = p.visible(p.ladder.coldest(e));
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) moments[e][i * n + j] += (v >> i & v >> j & 1) / double(rounds);
      }
    }
  }
  return moments;
}

TEST(SwapRungs, MomentsAreThoseOfEnumerationWherePlainGibbsFails) {
  // Random machines with two deep modes of unequal mass that a plain chain does not leave.
  for (const std::uint64_t seed : {20U, 22U, 25U}) {
    const auto run = [seed](bool swaps) {
      Tempered p({12, 8}, 0.3, linear_ladder(12, 200, 0), seed);
      const Vector rows = p.theta.weights.col(0).array().sign();
      const Vector columns = p.theta.weights.row(0).transpose().array().sign();
      p.theta.weights += 1.5F * rows * columns.transpose();
      p.theta.visible_bias = 0.15F * rows - 0.5F * p.theta.weights.rowwise().sum();
      p.theta.hidden_bias = -0.5F * p.theta.weights.colwise().sum().transpose();
      moments_of(p, 200, swaps);
      return worst_deviation(p, moments_of(p, 600, swaps));
    };
    EXPECT_LT(run(true), 4.0);
    EXPECT_GT(run(false), 6.0);
  }
}

TEST(SwapRungs, ReplicasAreAPermutationAndTheEndsAreLabelled) {
  Tempered p({6, 4}, 1.5, linear_ladder(5, 7, 40), 31);
  for (int t = 0; t < 200; ++t) {
    p.round();
    exchange_with_free_chains(p.streams, p.ladder);
    std::vector<std::uint64_t> all = p.ladder.chains;
    all.insert(all.end(), p.ladder.free_chains.begin(), p.ladder.free_chains.end());
    std::sort(all.begin(), all.end());
    for (std::size_t c = 0; c < all.size(); ++c) ASSERT_EQ(all[c], c);
    const auto f = flow(p.ladder);
    ASSERT_EQ(f.front(), 0.0);
    ASSERT_EQ(f.back(), 1.0);
  }
  EXPECT_GT(p.ladder.round_trips, 0U);
}

TEST(SwapRungs, RoundTripsAreAsOftenAsTheirFormula) {
  // A machine without weights whose biases equal its reference: every swap is accepted, and a replica needs
  // 2 M rounds for a round trip.
  Tempered p({6, 4}, 0.0, linear_ladder(8, 4, 0), 41);
  for (int t = 0; t < 100; ++t) p.round();
  reset_statistics(p.ladder);
  for (int t = 0; t < 1600; ++t) p.round();
  // M replicas, each once in 2 M rounds.
  EXPECT_NEAR(round_trip_rate(p.ladder), 0.5, 0.01);
  EXPECT_NEAR(optimal_round_trip_rate(p.ladder.rejections), 0.5, 1e-6);
}

TEST(SwapRungs, AnyNumberOfThreadsGivesTheSameBytes) {
  const auto run = [](int threads) {
    const Executor executor(threads);
    const auto model = with_standard_reference<BernoulliRbm>({20, 15});
    const Engine engine{model, StreamFactory{2}, executor};
    const auto theta = model.initial_params(StreamFactory{1}, random_weights(0.7));
    TemperatureLadder ladder = linear_ladder(6, 15, 50);
    Population<BernoulliRbm> population(reference_chains(engine, ladder.n_chains(), Purpose::kChains));
    for (int t = 0; t < 20; ++t) {
      population.fit(engine);
      place(ladder, population);
      advance(engine, theta, 1, Purpose::kChains, population);
      swap_rungs(engine, theta, {Purpose::kChains, Purpose::kSwaps}, ladder, population);
      exchange_with_free_chains(engine.streams, ladder);
      if (t % 5 == 4) ladder = adapt(std::move(ladder), {2, 20}, model, population.chains);
    }
    return std::pair(population.chains, ladder);
  };
  const auto one = run(1);
  for (const int threads : {2, 3, 5}) {
    const auto many = run(threads);
    EXPECT_TRUE(equal_fields(one.first, many.first));
    EXPECT_TRUE(equal_fields(one.second, many.second));
  }
}

TEST(Adaptation, RejectionsBecomeEqualAndTheirNumberFollowsTheBarrier) {
  Tempered p({30, 20}, 0.8, linear_ladder(4, 16, 0), 51);
  for (int round = 0; round < 30; ++round) {
    reset_statistics(p.ladder);
    for (int t = 0; t < 200; ++t) p.round();
    p.adapt_within({2, 60});
    p.fit();
    ASSERT_EQ(p.n_chains(), p.ladder.n_chains());
    ASSERT_TRUE(std::is_sorted(p.ladder.betas.begin(), p.ladder.betas.end()));
  }
  reset_statistics(p.ladder);
  for (int t = 0; t < 3000; ++t) p.round();
  const double mean =
      cumulative_barrier(p.ladder.rejections).back() / static_cast<double>(p.ladder.rejections.size());
  for (const double r : p.ladder.rejections) EXPECT_NEAR(r, mean, 0.1 * mean);
  EXPECT_NEAR(static_cast<double>(p.ladder.n_rungs), 2 * cumulative_barrier(p.ladder.rejections).back() + 1,
              2.0);
}

TEST(Adaptation, AddingAndRemovingRungsKeepsEveryOtherReplica) {
  const auto visibles = [](const Tempered& p) {
    std::vector<unsigned> all;
    for (const std::uint64_t chain : p.ladder.chains) all.push_back(p.visible(chain));
    return all;
  };
  Tempered p({10, 4}, 1.0, linear_ladder(6, 11, 3), 61);
  for (int t = 0; t < 20; ++t) p.round();
  // Two pairs reject most around rung 2, the last least.
  p.ladder.rejections = {0.5, 0.9, 0.95, 0.9, 0.5};
  const auto before = visibles(p);
  const TemperatureLadder old = p.ladder;
  p.adapt_within({2, 20});
  ASSERT_EQ(p.ladder.n_rungs, 7U);
  const auto wider = visibles(p);
  for (std::size_t e = 0; e < 11; ++e) {
    for (std::size_t k = 0; k < 7; ++k) EXPECT_EQ(wider[e * 7 + k], before[e * 6 + (k < 4 ? k : k - 1)]);
  }
  p.ladder.rejections = {0.1, 0.1, 0.01, 0.02, 0.1, 0.1};
  p.adapt_within({2, 20});
  ASSERT_EQ(p.ladder.n_rungs, 6U);
  const auto narrower = visibles(p);
  for (std::size_t e = 0; e < 11; ++e) {
    for (std::size_t k = 0; k < 6; ++k) EXPECT_EQ(narrower[e * 6 + k], wider[e * 7 + (k < 3 ? k : k + 1)]);
  }
  EXPECT_EQ(p.n_chains(), p.ladder.n_chains());
}

TEST(Adaptation, EqualRejectionInvertsAKnownBarrier) {
  // A barrier that grows like beta^2: equal steps of it lie at square roots.
  TemperatureLadder ladder = linear_ladder(41, 1, 0);
  for (std::size_t k = 0; k + 1 < 41; ++k)
    ladder.rejections[k] = ladder.betas[k + 1] * ladder.betas[k + 1] - ladder.betas[k] * ladder.betas[k];
  const auto betas = equal_rejection_betas(ladder, 11);
  for (std::size_t k = 1; k < 11; ++k) EXPECT_NEAR(betas[k], std::sqrt(static_cast<double>(k) / 10.0), 2e-3);
  EXPECT_EQ(betas.front(), 0.0);
  EXPECT_EQ(betas.back(), 1.0);
}

TEST(PaperMode, FeedbackLeavesALinearFlowAloneAndMovesRungsIntoABottleneck) {
  TemperatureLadder ladder = linear_ladder(11, 1, 0);
  for (std::size_t k = 0; k < 11; ++k) {
    ladder.up[k] = static_cast<double>(k) / 10;
    ladder.down[k] = 1 - ladder.up[k];
  }
  const auto same = feedback(ladder, 1.0);
  for (std::size_t k = 0; k < 11; ++k) EXPECT_NEAR(same.betas[k], ladder.betas[k], 1e-12);
  // The flow falls between beta = 0.6 and 0.7 for the most part.
  for (std::size_t k = 1; k < 10; ++k)
    ladder.up[k] = k <= 6 ? 0.01 * static_cast<double>(k) : 0.99 - 0.01 * static_cast<double>(10 - k);
  for (std::size_t k = 1; k < 10; ++k) ladder.down[k] = 1 - ladder.up[k];
  const auto moved = feedback(ladder, 1.0);
  for (std::size_t k = 1; k < 10; ++k) {
    EXPECT_GT(moved.betas[k], 0.6);
    EXPECT_LT(moved.betas[k], 0.7);
  }
  EXPECT_EQ(moved.betas.front(), 0.0);
  EXPECT_EQ(moved.betas.back(), 1.0);
  const auto slow = feedback(ladder, 0.1);
  for (std::size_t k = 1; k < 10; ++k)
    EXPECT_NEAR(slow.betas[k], 0.9 * ladder.betas[k] + 0.1 * moved.betas[k], 1e-12);
}

TEST(PaperMode, FeedbackSurvivesANoisyFlowAndWaitsForReplicasOfBothOrigins) {
  TemperatureLadder ladder = linear_ladder(6, 1, 0);
  ladder.up = {0.0, 0.5, 0.2, 0.6, 0.3, 1.0};
  for (std::size_t k = 0; k < 6; ++k) ladder.down[k] = 1 - ladder.up[k];
  const auto moved = feedback(ladder, 0.5);
  EXPECT_TRUE(std::is_sorted(moved.betas.begin(), moved.betas.end()));
  ladder.down[3] = 0.0;
  EXPECT_EQ(feedback(ladder, 0.5).betas, ladder.betas);
}

TEST(PaperMode, SpawningHalvesTheWidestStepOfTheFlow) {
  Tempered p({10, 4}, 1.0, linear_ladder(5, 6, 3), 71);
  p.ladder.up = {0.0, 0.1, 0.2, 0.9, 1.0};
  p.ladder.down = {1.0, 0.9, 0.8, 0.1, 0.0};
  p.ladder.rejections = {0.5, 0.5, 0.8, 0.5};
  p.ladder = spawn(std::move(p.ladder), p.model, p.population.chains);
  p.fit();
  EXPECT_EQ(p.ladder.n_rungs, 6U);
  EXPECT_EQ(p.ladder.betas, (std::vector<double>{0.0, 0.25, 0.5, 0.625, 0.75, 1.0}));
  EXPECT_EQ(p.ladder.rejections, (std::vector<double>{0.5, 0.5, 0.4, 0.4, 0.5}));
  EXPECT_EQ(ladder_fault(p.ladder), nullptr);
  EXPECT_EQ(p.n_chains(), p.ladder.n_chains());
  p.round();
  EXPECT_EQ(ladder_fault(p.ladder), nullptr);
}

TEST(Ladder, EveryFaultOfAStoredLadderIsNamed) {
  const TemperatureLadder good = linear_ladder(4, 2, 3);
  EXPECT_EQ(ladder_fault(good), nullptr);
  const auto fault = [&](auto&& damage) {
    TemperatureLadder bad = good;
    damage(bad);
    return std::string(ladder_fault(bad) == nullptr ? "" : ladder_fault(bad));
  };
  EXPECT_EQ(fault([](auto& l) { l.betas[1] = l.betas[2]; }), "betas");
  EXPECT_EQ(fault([](auto& l) { l.betas[3] = 0.9; }), "betas");
  EXPECT_EQ(fault([](auto& l) { l.chains[0] = l.chains[1]; }), "chains");
  EXPECT_EQ(fault([](auto& l) { l.free_chains[0] = 99; }), "chains");
  EXPECT_EQ(fault([](auto& l) { l.rejections[0] = 2; }), "rejections");
  EXPECT_EQ(fault([](auto& l) { l.offers[0] = -1; }), "offers");
  EXPECT_EQ(fault([](auto& l) { l.up[0] = 2; }), "up");
  EXPECT_EQ(fault([](auto& l) { l.origin[0] = 3; }), "origin");
}

}  // namespace
}  // namespace tempera
