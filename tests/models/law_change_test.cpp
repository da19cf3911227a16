// Changed laws and couplings, by brute force.
#include <gtest/gtest.h>

#include "model_checks.hpp"
#include "tempera/models/kinds.hpp"

namespace tempera {
namespace {

/// Values of case 0 in some visibles, or sites, for a change that holds them; and cases without these.
template <class Data>
HeldUnits held_of(const Data& data, const std::vector<Index>& units) {
  HeldUnits held{units, {}};
  for (const Index i : units) held.values.push_back(static_cast<float>(data.value(0, i)));
  return held;
}
HeldUnits held_of(const CategoricalData& data, const std::vector<Index>& sites) {
  HeldUnits held{sites, {}};
  for (const Index s : sites) held.values.push_back(static_cast<float>(data.letter(0, s)));
  return held;
}
RealData others_of(const RealData& data, const std::vector<Index>& others) {
  Matrix rows(data.n_cases(), static_cast<Index>(others.size()));
  for (Index n = 0; n < rows.rows(); ++n) {
    for (Index k = 0; k < rows.cols(); ++k) rows(n, k) = data.value(n, others[static_cast<std::size_t>(k)]);
  }
  return RealData(rows);
}
BinaryData others_of(const BinaryData& data, const std::vector<Index>& others) {
  std::vector<std::uint8_t> bytes;
  for (Index n = 0; n < data.n_cases(); ++n) {
    for (const Index i : others) bytes.push_back(data.value(n, i) ? 1 : 0);
  }
  return {data.n_cases(), static_cast<Index>(others.size()), bytes};
}
CategoricalData others_of(const CategoricalData& data, const std::vector<Index>& others) {
  std::vector<std::uint8_t> codes;
  std::vector<std::int64_t> numbers;
  for (const Index s : others) numbers.push_back(data.letters().of(s));
  for (Index n = 0; n < data.n_cases(); ++n) {
    for (const Index s : others) codes.push_back(static_cast<std::uint8_t>(data.letter(n, s)));
  }
  return {data.n_cases(), Letters(numbers), codes};
}

template <class M>
Index n_sites(const M& model) {
  if constexpr (HasLetters<M>) return model.letters().sites();
  return model.n_visible();
}

/// Numbers of a point that one visible, or one site, has.
template <class M>
UnitRange numbers_of(const M& model, Index unit) {
  if constexpr (HasLetters<M>) return {unit * model.letters().most(), (unit + 1) * model.letters().most()};
  return {unit, unit + 1};
}

/// Largest minus smallest.
double spread(const std::vector<double>& values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *most - *least;
}

template <class M>
class ChangedLaw : public testing::Test {
 protected:
  using S = Specimen<M>;
};
TYPED_TEST_SUITE(ChangedLaw, Models, ModelNames);

/// log p(rest | held) and log p(rest, held) differ by a constant.
TYPED_TEST(ChangedLaw, HeldVisiblesLeaveTheConditionalLaw) {
  using M = TypeParam;
  using S = Specimen<M>;
  const M model = S::model();
  const auto theta = S::params(0.9, 5);
  std::vector<Point> points = S::cases();
  for (Point& p : points) {
    const UnitRange first = numbers_of(model, 1);
    p.segment(first.first, first.last - first.first) =
        points[0].segment(first.first, first.last - first.first);
  }
  const auto whole = S::data(points);
  LawChange change;
  change.held.resize(2);
  change.held[0] = held_of(whole, {1});
  if (const std::string why = M::why_not_changed(change); !why.empty()) {
    EXPECT_NE(std::string(M::kKind).find("bilinear"), std::string::npos) << why;
    return;
  }
  const auto part = others_of(whole, change.held[0].others(n_sites(model)));
  const M changed = model.changed(change);
  std::vector<double> differences;
  std::vector<double> forgotten;
  LawChange other = change;
  other.held[0].values[0] = change.held[0].values[0] == 0.0F ? 1.0F : 0.0F;
  for (Index n = 0; n < whole.n_cases(); ++n) {
    const double f = model.free_energy(theta, whole.row(n));
    differences.push_back(changed.free_energy(model.changed(change, theta), part.row(n)) - f);
    forgotten.push_back(changed.free_energy(model.changed(other, theta), part.row(n)) - f);
  }
  EXPECT_LT(spread(differences), 2e-5);
  EXPECT_GT(spread(forgotten), 1e-3);  // another value is another law
}

TYPED_TEST(ChangedLaw, CopiesOfLatentsArePowers) {
  using M = TypeParam;
  using S = Specimen<M>;
  const M model = S::model();
  const auto theta = S::params(0.9, 6);
  LawChange change;
  change.copies = 3;
  if (const std::string why = M::why_not_changed(change); !why.empty()) {
    EXPECT_NE(std::string(M::kKind).find("sparse"), std::string::npos) << why;
    return;
  }
  const M changed = model.changed(change);
  const auto changed_theta = model.changed(change, theta);
  const auto data = S::data(S::cases());
  std::vector<double> differences;
  for (Index n = 0; n < data.n_cases(); ++n)
    differences.push_back(changed.free_energy(changed_theta, data.row(n)) -
                          3.0 * model.free_energy(theta, data.row(n)));
  EXPECT_LT(spread(differences), 2e-5);
  EXPECT_EQ(changed.layer_sizes()[1], 3 * model.layer_sizes()[1]);
}

TYPED_TEST(ChangedLaw, BetaMultipliesTheEnergy) {
  using M = TypeParam;
  using S = Specimen<M>;
  if constexpr (S::kNumbered) {
    const M model = S::model();
    const auto theta = S::params(0.9, 7);
    LawChange change;
    change.beta = 1.7;
    const auto changed_theta = model.changed(change, theta);
    const auto data = S::data(S::cases());
    std::vector<double> differences;
    for (Index n = 0; n < data.n_cases(); ++n) {
      LogSumExp sum;
      for (const Point& p : S::points_of(S::cases()[static_cast<std::size_t>(n)])) {
        for (unsigned s = 0; s < S::kStates; ++s) sum.add(1.7 * S::log_weight(theta, 1.0, p, s));
      }
      differences.push_back(model.changed(change).free_energy(changed_theta, data.row(n)) + sum.value());
    }
    EXPECT_LT(spread(differences), 2e-5);
  }
}

/// Of the units above the visibles that are bits.
TYPED_TEST(ChangedLaw, HeldLatentsLeaveTheirVisibles) {
  using M = TypeParam;
  using S = Specimen<M>;
  const M model = S::model();
  LawChange change;
  change.held = {{}, {{0, 2}, {1.0F, 0.0F}}};
  if (!M::why_not_changed(change).empty()) return;
  if constexpr (M::kHiddenUnits == kUsualHiddenUnits && !std::same_as<M, Dbm>) {
    const auto theta = S::params(0.9, 8);
    const auto data = S::data(S::cases());
    std::vector<double> differences;
    for (Index n = 0; n < data.n_cases(); ++n) {
      LogSumExp sum;
      for (unsigned s = 0; s < S::kStates; ++s) {
        if ((s & 0b101U) == 0b001U)
          sum.add(S::log_weight(theta, 1.0, S::cases()[static_cast<std::size_t>(n)], s));
      }
      differences.push_back(model.changed(change).free_energy(model.changed(change, theta), data.row(n)) +
                            sum.value());
    }
    EXPECT_LT(spread(differences), 2e-5);
  }
}

/// A block of the changed machine has the values that are held where they belong.
TYPED_TEST(ChangedLaw, BlocksAreRestored) {
  using M = TypeParam;
  using S = Specimen<M>;
  const M model = S::model();
  const auto data = S::data(S::cases());
  LawChange change;
  change.held = {held_of(data, {0}), {}};
  if (!M::why_not_changed(change).empty()) change.held.clear();
  const M changed = model.changed(change);
  const auto part = change.held.empty() ? data : others_of(data, change.held[0].others(n_sites(model)));
  std::vector<Index> cases = all_units(data.n_cases());
  auto x = changed.new_state();
  changed.load(part, cases, x);
  const auto whole = model.restored(change, x);
  for (Index n = 0; n < data.n_cases(); ++n) {
    const Point p = S::cases()[static_cast<std::size_t>(n)];
    const Point first = S::cases()[0];
    const UnitRange held = numbers_of(model, 0);
    const Point found = S::point(whole, static_cast<unsigned>(n));
    for (Index i = 0; i < model.n_visible(); ++i) {
      const bool is_held = !change.held.empty() && i >= held.first && i < held.last;
      EXPECT_NEAR(found[i], is_held ? first[i] : p[i], 1e-6) << n << " " << i;
    }
  }
}

/// With a layer whose units are all held, and letters that may not be taken.
TEST(ChangedLaws, WholeLayersAndLettersCanBeHeld) {
  using S = Specimen<PottsRbm>;
  const PottsRbm model = S::model();
  const auto theta = S::params(0.9, 9);
  LawChange change;
  change.held = {{{1}, {0.0F}}, {all_units(S::kLatent), {1, 0, 1, 1, 0, 1}}};
  change.letters = {{0, 2}, {0}, {}};
  const PottsRbm changed = model.changed(change);
  EXPECT_EQ(changed.letters(), Letters({2, 4}));
  EXPECT_EQ(changed.n_hidden(), 1);
  const auto changed_theta = model.changed(change, theta);
  const CategoricalData part(3, changed.letters(), std::vector<std::uint8_t>{0, 3, 1, 1, 1, 2});
  const CategoricalData whole(3, model.letters(), std::vector<std::uint8_t>{0, 0, 3, 2, 0, 1, 2, 0, 2});
  std::vector<double> differences;
  for (Index n = 0; n < 3; ++n) {
    double energy = 0.0;
    for (Index s = 0; s < 3; ++s) {
      const Index row = s * 4 + whole.letter(n, s);
      energy -= static_cast<double>(theta.visible_bias[row]);
      for (const Index j : {0, 2, 3, 5}) energy -= static_cast<double>(theta.weights(row, j));
    }
    differences.push_back(changed.free_energy(changed_theta, part.row(n)) - energy);
  }
  EXPECT_LT(spread(differences), 1e-5);
  auto x = changed.new_state();
  const std::vector<Index> cases{0, 1, 2};
  changed.load(part, cases, x);
  const auto restored = model.restored(change, x);
  auto expected = model.new_state();
  model.load(whole, cases, expected);
  for (std::size_t i = 0; i < 12; ++i) EXPECT_EQ(restored.visible[i] & 7, expected.visible[i] & 7) << i;
  for (std::size_t j = 0; j < 6; ++j)
    EXPECT_EQ(restored.hidden[j] & 7, change.held[1].values[j] != 0 ? 7U : 0U);
}

/// Real units can be held anywhere.
TEST(ChangedLaws, RealHiddenUnitsCanBeHeld) {
  using S = Specimen<BernoulliGaussianRbm>;
  const auto model = S::model();
  const auto theta = S::params(0.9, 8);
  const Index n_hidden = model.shape().latents.n_hidden;
  LawChange change;
  change.held = {{}, {{1}, {-1.3F}}};
  const auto data = S::data(S::cases());
  std::vector<double> differences;
  for (Index n = 0; n < data.n_cases(); ++n) {
    Vector v(model.n_visible());
    for (Index i = 0; i < v.size(); ++i) v[i] = data.value(n, i) ? 1.0F : 0.0F;
    double log_weight = static_cast<double>(theta.visible.visible_bias.dot(v));
    for (Index j = 0; j < n_hidden; ++j) {
      const auto input = static_cast<double>(theta.latent.hidden_bias[j] + theta.weights.col(j).dot(v));
      log_weight += j == 1 ? -1.3 * input : 0.5 * input * input;
    }
    differences.push_back(model.changed(change).free_energy(model.changed(change, theta), data.row(n)) +
                          log_weight);
  }
  EXPECT_LT(spread(differences), 2e-5);
  EXPECT_EQ(model.changed(change).shape().latents.n_hidden, n_hidden - 1);
}

/// Slabs have another energy than their marginal: by quadrature over one.
TEST(ChangedLaws, BetaMultipliesTheEnergyOfSlabs) {
  const SpikeSlabRbm model = with_standard_reference<SpikeSlabRbm>({1, {1, 1}});
  auto theta = model.zero_params();
  theta.weights(0, 0) = 0.6F;
  theta.visible.visible_bias[0] = 0.3F;
  theta.visible.visible_precision[0] = 1.4F;
  theta.latent.spike_bias[0] = -0.4F;
  theta.latent.slab_mean(0, 0) = 0.7F;
  theta.latent.slab_precision(0, 0) = 1.8F;
  theta.latent.spike_precision = Matrix::Constant(1, 1, 0.5F);
  LawChange change;
  change.beta = 2.3;
  const auto changed_theta = model.changed(change, theta);
  std::vector<double> differences;
  std::vector<double> untouched;
  for (const float v : {-1.0F, 0.0F, 0.5F, 2.0F}) {
    LogSumExp sum;
    for (const double h : {0.0, 1.0}) {
      for (int k = -4000; k <= 4000; ++k) {
        const double s = 0.003 * k;
        const double x = static_cast<double>(v);
        const double energy = 0.7 * x * x - 0.3 * x + 0.4 * h + 0.25 * x * x * h + 0.9 * s * s -
                              h * s * (0.6 * x + 1.8 * 0.7) + 0.9 * 0.49 * h;
        sum.add(-2.3 * energy + std::log(0.003));
      }
    }
    const std::vector<float> row{v};
    differences.push_back(model.free_energy(changed_theta, row) + sum.value());
    untouched.push_back(model.free_energy(theta, row) + sum.value());
  }
  EXPECT_LT(spread(differences), 1e-5);
  EXPECT_GT(spread(untouched), 0.1);
}

/// Every average over equally likely letters of the other sites, by brute force.
TEST(PairCouplings, ExactFormEqualsBruteForce) {
  using S = Specimen<PottsRbm>;
  const PottsRbm model = S::model();
  for (const double scale : {0.2, 3.0}) {
    const auto theta = S::params(scale, 11);
    PairCouplings found = model.couplings(theta);
    for (Index j = 0; j < model.n_hidden(); ++j) {
      const UnitCouplings unit = model.unit_couplings(theta, j, {});
      for (Index i = 0; i < 3; ++i) {
        unit.add_pairs(i, found);
        unit.add_field(i, found);
      }
    }
    // Means of -F over everything but the letters of one site, or of two.
    std::array<Eigen::VectorXd, 3> one;
    std::map<std::pair<Index, Index>, Eigen::MatrixXd> two;
    double all = 0.0;
    const Letters letters = model.letters();
    for (Index i = 0; i < 3; ++i) {
      one[static_cast<std::size_t>(i)] = Eigen::VectorXd::Zero(letters.of(i));
      for (Index k = i + 1; k < 3; ++k) two[{i, k}] = Eigen::MatrixXd::Zero(letters.of(i), letters.of(k));
    }
    const double states = 3.0 * 2.0 * 4.0;
    for (const auto& [p, measure] : S::points(0)) {
      const double f = S::exact_log_weight(theta, p) / states;
      const CategoricalData data = S::data({p});
      all += f;
      for (Index i = 0; i < 3; ++i) {
        const auto a = data.letter(0, i);
        one[static_cast<std::size_t>(i)][a] += f * static_cast<double>(letters.of(i));
        for (Index k = i + 1; k < 3; ++k)
          two[{i, k}](a, data.letter(0, k)) += f * static_cast<double>(letters.of(i) * letters.of(k));
      }
    }
    double largest = 0.0;
    for (Index i = 0; i < 3; ++i) {
      const Eigen::VectorXd& of_i = one[static_cast<std::size_t>(i)];
      for (Index a = 0; a < letters.of(i); ++a) EXPECT_NEAR(found.field(i)[a], of_i[a] - all, 1e-6);
      for (Index k = i + 1; k < 3; ++k) {
        const Eigen::VectorXd& of_k = one[static_cast<std::size_t>(k)];
        for (Index a = 0; a < letters.of(i); ++a) {
          for (Index b = 0; b < letters.of(k); ++b) {
            const double coupling = two[{i, k}](a, b) - of_i[a] - of_k[b] + all;
            EXPECT_NEAR(found.at(i, k)(a, b), coupling, 1e-6);
            largest = std::max(largest, std::abs(coupling));
          }
        }
      }
    }
    EXPECT_GT(largest, 1e-3);
  }
}

/// Small weights: hidden units are fair coins of the variance p (1 - p), and both forms agree.
TEST(PairCouplings, FormsAgreeForSmallWeights) {
  using S = Specimen<PottsRbm>;
  const PottsRbm model = S::model();
  auto theta = S::params(0.01, 12);
  theta.hidden_bias.setConstant(0.5F);
  const double p = 1.0 / (1.0 + std::exp(-0.5));
  PairCouplings exact = model.couplings(theta);
  PairCouplings about = model.couplings(theta);
  for (Index j = 0; j < model.n_hidden(); ++j) {
    for (Index i = 0; i < 3; ++i) {
      model.unit_couplings(theta, j, {}).add_pairs(i, exact);
      model.unit_couplings(theta, j, p * (1.0 - p)).add_pairs(i, about);
    }
  }
  const Eigen::MatrixXd norms = exact.norms(-1);
  EXPECT_NEAR((norms - about.norms(-1)).norm() / norms.norm(), 0.0, 0.02);
  // Without a letter, from the couplings themselves.
  Eigen::MatrixXd left = exact.at(0, 2);
  left.row(1).setZero();
  left.col(1).setZero();
  EXPECT_NEAR(exact.norms(1)(0, 2), left.norm(), 1e-12);
  EXPECT_LT(exact.norms(1)(0, 2), norms(0, 2));
}

}  // namespace
}  // namespace tempera
