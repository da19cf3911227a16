#include "tempera/train/pruning.hpp"

#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <cmath>

#include "tempera/core/math.hpp"
#include "tempera/models/rbm.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 5;
constexpr Index kHidden = 4;
constexpr Index kStates = Index{1} << (kVisible + kHidden);

/// A small restricted machine by brute force: the bits of a state are visibles, then hidden units.
struct Enumerated {
  LayerParams<float> theta;

  explicit Enumerated(std::uint64_t seed, double scale = 1.0) {
    const auto model = with_standard_reference<BernoulliRbm>({kVisible, kHidden});
    auto params = model.initial_params(StreamFactory{seed}, random_weights(scale));
    const auto other = model.initial_params(StreamFactory{seed + 50}, random_weights(scale));
    params.visible_bias = other.weights.col(0);
    params.hidden_bias = other.weights.row(0).transpose();
    theta = BernoulliRbm::to_layers(std::move(params));
  }

  [[nodiscard]] Eigen::VectorXd log_weights() const {
    Eigen::VectorXd w(kStates);
    for (Index s = 0; s < kStates; ++s) {
      double sum = 0;
      for (Index i = 0; i < kVisible; ++i) {
        if ((s >> i & 1) == 0) continue;
        sum += theta.bias[0][i];
        for (Index j = 0; j < kHidden; ++j)
          sum += (s >> (kVisible + j) & 1) != 0 ? theta.weights[0](i, j) : 0.0F;
      }
      for (Index j = 0; j < kHidden; ++j) sum += (s >> (kVisible + j) & 1) != 0 ? theta.bias[1][j] : 0.0F;
      w[s] = sum;
    }
    return w;
  }
  [[nodiscard]] Eigen::VectorXd log_probabilities() const {
    const Eigen::VectorXd w = log_weights();
    LogSumExp z;
    for (const double x : w) z.add(x);
    return (w.array() - z.value()).matrix();
  }
  [[nodiscard]] PairMoments moments() const {
    const Eigen::VectorXd p = log_probabilities().array().exp().matrix();
    PairMoments m;
    m.weights.push_back(PairMoments::Weights::Zero(kVisible, kHidden));
    m.bias = {Eigen::VectorXd::Zero(kVisible), Eigen::VectorXd::Zero(kHidden)};
    for (Index s = 0; s < kStates; ++s) {
      for (Index i = 0; i < kVisible; ++i) {
        if ((s >> i & 1) != 0) m.bias[0][i] += p[s];
        for (Index j = 0; j < kHidden; ++j) {
          if ((s >> i & 1) != 0 && (s >> (kVisible + j) & 1) != 0) m.weights[0](i, j) += p[s];
        }
      }
      for (Index j = 0; j < kHidden; ++j) {
        if ((s >> (kVisible + j) & 1) != 0) m.bias[1][j] += p[s];
      }
    }
    return m;
  }
};

double kl(const Enumerated& from, const Enumerated& to) {
  const Eigen::VectorXd p = from.log_probabilities();
  return p.array().exp().matrix().dot(p - to.log_probabilities());
}

Mask full_mask() { return {LayerParams<float>::Weights::Ones(kVisible, kHidden)}; }

TEST(Pruning, DeletionKlIsExact) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    const Enumerated machine(seed);
    const PairMoments m = machine.moments();
    const Vector mu = m.bias[0].cast<float>();
    const Vector nu = m.bias[1].cast<float>();
    for (Index i = 0; i < kVisible; ++i) {
      for (Index j = 0; j < kHidden; ++j) {
        Enumerated without = machine;
        Mask mask = full_mask();
        mask[0](i, j) = 0.0F;
        delete_weights(mask, {&mu, &nu}, without.theta);
        EXPECT_EQ(without.theta.weights[0](i, j), 0.0F);
        const double w = machine.theta.weights[0](i, j);
        const double exact = kl(machine, without);
        EXPECT_NEAR(deletion_kl(w, m.weights[0](i, j), m.bias[0][i], m.bias[1][j]), exact, 1e-6);
        Enumerated raw = machine;  // planted: the biases are left as they are
        raw.theta.weights[0](i, j) = 0.0F;
        if (std::abs(w) > 0.3) {
          EXPECT_GT(std::abs(kl(machine, raw) - exact), 1e-4);
        }
      }
    }
  }
}

TEST(Pruning, BrainDamageIsItsSecondOrder) {
  const Enumerated machine(7, 0.05);
  const PairMoments m = machine.moments();
  const auto obd = saliencies(PruningCriterion::kObd, machine.theta, m, {}, full_mask());
  const auto exact = saliencies(PruningCriterion::kKl, machine.theta, m, {}, full_mask());
  for (Index k = 0; k < kVisible * kHidden; ++k)
    EXPECT_NEAR(obd.weights[0].data()[k] / exact.weights[0].data()[k], 1.0, 0.02);
  const Enumerated strong(7, 3.0);
  EXPECT_GT((saliencies(PruningCriterion::kObd, strong.theta, strong.moments(), {}, full_mask()).weights[0] -
             saliencies(PruningCriterion::kKl, strong.theta, strong.moments(), {}, full_mask()).weights[0])
                .cwiseAbs()
                .maxCoeff(),
            0.05F);
}

TEST(Pruning, UnitDeletionKlIsExact) {
  const Enumerated machine(9);
  // KL between the visible laws with and without unit 2; every visible state many times, as its probability
  // says.
  const Eigen::VectorXd p = machine.log_probabilities();
  Enumerated without = machine;
  without.theta.weights[0].col(2).setZero();
  without.theta.bias[1][2] = 0.0F;
  const Eigen::VectorXd q = without.log_probabilities();
  constexpr Index kRows = Index{1} << kVisible;
  Eigen::VectorXd from = Eigen::VectorXd::Zero(kRows);
  Eigen::VectorXd to = Eigen::VectorXd::Zero(kRows);
  for (Index s = 0; s < kStates; ++s) {
    from[s % kRows] += std::exp(p[s]);
    to[s % kRows] += std::exp(q[s]);
  }
  const double exact = (from.array() * (from.array() / to.array()).log()).sum();
  std::vector<double> inputs;
  for (Index v = 0; v < kRows; ++v) {
    double x = machine.theta.bias[1][2];
    for (Index i = 0; i < kVisible; ++i) x += (v >> i & 1) != 0 ? machine.theta.weights[0](i, 2) : 0.0F;
    for (std::int64_t copies = std::llround(1e5 * from[v]); copies > 0; --copies) inputs.push_back(x);
  }
  EXPECT_NEAR(
      unit_deletion_kl(Eigen::Map<const Eigen::VectorXd>(inputs.data(), static_cast<Index>(inputs.size()))),
      exact, 2e-4);
  EXPECT_GT(exact, 0.01);
}

TEST(Pruning, MaskKeepsTheMostSalient) {
  LayerParams<float> saliency = Enumerated(3).theta;
  for (Index k = 0; k < 20; ++k) saliency.weights[0].data()[k] = static_cast<float>((k * 7) % 20);
  Mask mask = full_mask();
  mask[0].data()[0] = 0.0F;  // gone already, although 0 is not below the others
  prune_mask(saliency, 0.25, mask);
  EXPECT_DOUBLE_EQ(density_of(mask), 0.25);
  for (Index k = 0; k < 20; ++k) EXPECT_EQ(mask[0].data()[k] != 0.0F, (k * 7) % 20 >= 15) << k;
  prune_mask(saliency, 0.5, mask);
  EXPECT_DOUBLE_EQ(density_of(mask), 0.25) << "what is gone stays gone";
}

TEST(Pruning, SurgeonMovesTheOthersToTheLeastLoss) {
  const Enumerated machine(11);
  // Covariances of independent draws stand for the model's.
  RunningMoments moments = no_moments(std::vector<Index>{kVisible, kHidden});
  Eigen::MatrixXd a = Eigen::MatrixXd::Random(9, 9);
  moments.second = a * a.transpose() + Eigen::MatrixXd::Identity(9, 9);
  moments.weight = 1.0;
  Mask mask = full_mask();
  for (Index k = 0; k < 20; k += 3) mask[0].data()[k] = 0.0F;
  LayerParams<float> theta = machine.theta;
  compensate(mask, moments, 1000, theta);
  // Dense solution.
  const Eigen::MatrixXd left = moments.second.topLeftCorner(5, 5) + 1e-3 * Eigen::MatrixXd::Identity(5, 5);
  const Eigen::MatrixXd right =
      moments.second.bottomRightCorner(4, 4) + 1e-3 * Eigen::MatrixXd::Identity(4, 4);
  Eigen::MatrixXd p(20, 20);
  for (Index i = 0; i < 20; ++i) {
    for (Index j = 0; j < 20; ++j) p(i, j) = left(i / 4, j / 4) * right(i % 4, j % 4);
  }
  std::vector<Index> kept;
  std::vector<Index> gone;
  for (Index k = 0; k < 20; ++k) (k % 3 == 0 ? gone : kept).push_back(k);
  const Eigen::Map<const Eigen::VectorXf> w(machine.theta.weights[0].data(), 20);
  const Eigen::VectorXd moved =
      Eigen::MatrixXd(p(kept, kept)).ldlt().solve(Eigen::MatrixXd(p(kept, gone)) * w(gone).cast<double>());
  for (std::size_t k = 0; k < kept.size(); ++k)
    EXPECT_NEAR(theta.weights[0].data()[kept[k]], w[kept[k]] + moved[static_cast<Index>(k)], 1e-3);
  EXPECT_GT(moved.norm(), 0.1);
}

}  // namespace
}  // namespace tempera
