#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <Eigen/QR>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <numbers>

#include "tempera/models/all_models.hpp"
#include "tempera/train/staged.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera {
namespace {

TEST(Training, EpochOrderIsAPermutationOfItsSeedAndEpoch) {
  const auto order = epoch_order(1000, StreamFactory{1}, 4);
  auto sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (Index i = 0; i < 1000; ++i) ASSERT_EQ(sorted[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(order, epoch_order(1000, StreamFactory{1}, 4));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{1}, 5));
  EXPECT_NE(order, epoch_order(1000, StreamFactory{2}, 4));
}

/// A small binary data set with structure: 300 cases of 70 values, neighbours alike.
BinaryData striped_data() {
  std::vector<std::uint8_t> bytes;
  StreamEngine engine = StreamFactory{9}.engine(Purpose::kDataSet, 0);
  for (int k = 0; k < 300; ++k) {
    std::uint8_t value = 0;
    for (int i = 0; i < 70; ++i) {
      if (engine() % 4 == 0) value = static_cast<std::uint8_t>(engine() % 3 == 0);
      bytes.push_back(value);
    }
  }
  return {300, 70, bytes};
}

TrainState<BernoulliRbm> trained(const BinaryData& data, const TrainConfig& config, int threads,
                                 TrainState<BernoulliRbm>* start = nullptr) {
  const BernoulliRbm model(70, 20, smoothed_logits(data.means(), data.n_cases()));
  const Workers workers(threads);
  auto state = start != nullptr ? *start : initial_state(model, data, config, workers);
  train<BernoulliRbm>(
      model, data, config, state, [](const auto&, auto&) { return Control::kContinue; }, workers);
  return state;
}

TrainConfig small_config() {
  TrainConfig config;
  config.batch = 130;
  config.updates = 20;
  return config;
}

TEST(Training, ThreadsDoNotChangeTheStateAndSeedsDo) {
  const BinaryData data = striped_data();
  for (const char* trainer : {"cd", "sml"}) {
    TrainConfig config = small_config();
    config.trainer = trainer;
    config.momentum = 0.5;
    const auto one = trained(data, config, 1);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, trained(data, config, threads))) << threads << trainer;
    config.seed = 2;
    EXPECT_FALSE(equal_fields(one, trained(data, config, 1)));
  }
}

TEST(Training, ALongerRunContinuesAShorterOne) {
  // With the default schedule and averaging, and with adam: no horizon enters the updates.
  const BinaryData data = striped_data();
  for (const char* optimizer : {"sgd", "adam"}) {
    TrainConfig config = small_config();
    config.optimizer = optimizer;
    const auto whole = trained(data, config, 1);
    config.updates = 10;
    auto half = trained(data, config, 1);
    EXPECT_FALSE(equal_fields(whole, half));
    config.updates = 20;
    EXPECT_TRUE(equal_fields(whole, trained(data, config, 1, &half))) << optimizer;
    // Planted: a schedule with a horizon gives another run.
    config.schedule = "linear";
    config.updates = 10;
    auto other = trained(data, config, 1);
    config.updates = 20;
    EXPECT_FALSE(equal_fields(trained(data, config, 1), trained(data, config, 1, &other)));
  }
}

TEST(Training, CentringChangesThePathNotTheGradientAtZeroOffsets) {
  const BinaryData data = striped_data();
  TrainConfig config = small_config();
  const auto centred = trained(data, config, 1);
  config.centering = false;
  const auto plain = trained(data, config, 1);
  EXPECT_FALSE(equal_fields(centred.theta, plain.theta));
  EXPECT_TRUE(plain.offsets.visible.isZero() && plain.offsets.hidden.isZero());
  EXPECT_TRUE(centred.offsets.visible.isApprox(data.means().cast<float>()));
}

/// Parameters, or gradients, with every number random.
BernoulliRbm::Params random_params(std::uint64_t seed) {
  const BernoulliRbm model(70, 20);
  auto theta = model.initial_params(StreamFactory{seed}, 1.0);
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

/// The step that apply_gradient makes from `theta` = 0, with its norms.
struct Step {
  BernoulliRbm::Params taken;
  StepNorms norms;
};

Step step_of(const BernoulliRbm::Params& gradient, const BernoulliRbm::Offsets& offsets, OptimizerStep step,
             int threads = 1) {
  Step result{zeros_like(gradient), {}};
  Optimizer<BernoulliRbm> optimizer;
  BernoulliRbm::Params average;
  const Workers workers(threads);
  result.norms = apply_gradient(step, offsets, gradient, result.taken, optimizer, average, workers);
  return result;
}

TEST(Optimizer, CentredStepIsThatOfTheCentredEnergy) {
  // In centred coordinates the gradient is T g and the plain direction of d is T' d, so a step is lr T'T g:
  // symmetric, and its gain <g, T'T g> is the squared norm of the centred gradient.
  OptimizerStep step;
  step.learning_rate = 0.5;
  const auto g = random_params(1);
  const auto h = random_params(2);
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const BernoulliRbm::Offsets offsets{Vector::LinSpaced(70, 0.1F, 0.9F), Vector::LinSpaced(20, 0.8F, 0.3F)};
  auto plain = step_of(g, none, step).taken;
  add_scaled(plain, -0.5F, g);
  EXPECT_NEAR(inner(plain, plain), 0.0, 1e-9);
  const Step of_g = step_of(g, offsets, step);
  const Step of_h = step_of(h, offsets, step);
  EXPECT_NEAR(inner(g, of_h.taken), inner(h, of_g.taken), 1e-3);
  EXPECT_NEAR(inner(g, of_g.taken), 0.5 * of_g.norms.gradient * of_g.norms.gradient, 1e-2);
  EXPECT_GT(std::abs(inner(g, of_g.taken) - 0.5 * inner(g, g)), 1.0) << "offsets must act at all";
  // One entry by hand: G_W - g_a nu' - mu g_c'.
  const float centred =
      g.weights(7, 4) - g.visible_bias[7] * offsets.hidden[4] - offsets.visible[7] * g.hidden_bias[4];
  EXPECT_NEAR(of_g.taken.weights(7, 4), 0.5F * centred, 1e-5);
  EXPECT_TRUE(equal_fields(of_g.taken, step_of(g, offsets, step, 3).taken));
}

TEST(Optimizer, ClippingBoundsTheGradientAndNothingElse) {
  const BernoulliRbm::Offsets offsets{Vector::Constant(70, 0.4F), Vector::Constant(20, 0.5F)};
  const auto g = random_params(3);
  OptimizerStep step;
  step.learning_rate = 0.1;
  const Step free = step_of(g, offsets, step);
  step.clip = 2.0;
  const Step clipped = step_of(g, offsets, step);
  EXPECT_NEAR(clipped.norms.gradient, free.norms.gradient, 1e-6 * free.norms.gradient);
  EXPECT_NEAR(clipped.norms.step, 0.2, 1e-5);
  step.clip = 2.0 * free.norms.gradient;
  EXPECT_TRUE(equal_fields(step_of(g, offsets, step).taken, free.taken));
}

TEST(Optimizer, MomentsFollowTheirEquations) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const auto g = random_params(4);
  const Workers workers(1);
  const BernoulliRbm model(70, 20);
  const auto two_steps = [&](OptimizerStep step) {
    auto theta = zeros_like(g);
    Optimizer<BernoulliRbm> optimizer{model.zero_params(), model.zero_params()};
    BernoulliRbm::Params average = model.zero_params();
    for (const std::uint64_t t : {1U, 2U}) {
      step.update = t;
      apply_gradient(step, none, g, theta, optimizer, average, workers);
    }
    return std::pair(theta.weights(3, 2), average.weights(3, 2));
  };
  OptimizerStep step;
  step.learning_rate = 0.1;
  step.average_weight = 0.25;
  const float x = g.weights(3, 2);
  const auto [plain, mean] = two_steps(step);
  EXPECT_NEAR(plain, 0.2F * x, 1e-6);
  EXPECT_NEAR(mean, 0.75F * 0.25F * 0.1F * x + 0.25F * 0.2F * x, 1e-6);
  step.momentum = 0.5;
  EXPECT_NEAR(two_steps(step).first, (0.1F + 0.15F) * x, 1e-6);
  step.momentum = 0.0;
  step.adam = true;  // a constant gradient: both corrected moments are exact, each step is lr sign(g)
  EXPECT_NEAR(two_steps(step).first, 0.2F * (x > 0 ? 1.0F : -1.0F), 1e-4);
}

TEST(Optimizer, DecayActsOnWeightsAlone) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  const Workers workers(1);
  const auto start = random_params(5);
  auto theta = start;
  Optimizer<BernoulliRbm> optimizer;
  BernoulliRbm::Params average;
  OptimizerStep step;
  step.learning_rate = 0.1;
  step.l2 = 0.5;
  step.l1 = 0.01;
  apply_gradient(step, none, zeros_like(theta), theta, optimizer, average, workers);
  const float w = start.weights(9, 9);
  EXPECT_NEAR(theta.weights(9, 9), w - 0.05F * w - 0.001F * (w > 0 ? 1.0F : -1.0F), 1e-6);
  EXPECT_EQ(theta.visible_bias, start.visible_bias);
  EXPECT_EQ(theta.hidden_bias, start.hidden_bias);
}

TEST(Optimizer, SeesNumbersThatAreNotFinite) {
  const BernoulliRbm::Offsets none{Vector::Zero(70), Vector::Zero(20)};
  OptimizerStep step;
  step.learning_rate = 1.0;
  auto g = random_params(6);
  EXPECT_TRUE(step_of(g, none, step).norms.finite);
  g.weights(40, 7) = INFINITY;
  EXPECT_FALSE(step_of(g, none, step).norms.finite);
  g = random_params(6);
  g.hidden_bias[3] = NAN;
  EXPECT_FALSE(step_of(g, none, step).norms.finite);
}

/// Filters of one length and a direction of the data so wide that the projection acts at every update: the
/// mean of what was projected is proper, that of what was not is not.
TEST(Training, TheAverageOfAProjectedMachineIsProper) {
  Matrix rows(400, 20);
  StreamEngine engine = StreamFactory{3}.engine(Purpose::kDataSet, 0);
  for (Index n = 0; n < rows.rows(); ++n) {
    for (float& x : rows.row(n)) {
      double sum = -6.0;
      for (int k = 0; k < 12; ++k) sum += uniform_53(engine);
      x = static_cast<float>(sum);
    }
    rows(n, 0) *= 20.0F;
  }
  const RealData data(rows);
  TrainConfig config;
  config.model = "ssrbm";
  config.trainer = "sml";
  config.batch = 100;
  config.updates = 800;
  config.filter_norm = "sphere";
  config.init_spike_precision = 0.0;
  config.init_slab_precision = 1.0;
  config.init_visible_precision = 1.0;
  config.lr = 0.02;
  for (const char* metric : {"euclid", "diagonal"}) {
    config.metric = metric;
    config.step = config.metric == "euclid" ? "fixed" : "kl";
    const SpikeSlabRbm model({20, {2, 1}, true}, SpikeSlabRbm::fit_reference(data));
    const Workers workers(1);
    auto state = initial_state(model, data, config, workers);
    double acted = 0;
    train<SpikeSlabRbm>(
        model, data, config, state,
        [&](const auto& report, auto& now) {
          acted = report.projections;
          EXPECT_TRUE(model.is_proper(now.theta));
          EXPECT_FALSE(model.is_improper(now.result())) << report.update;
          return Control::kContinue;
        },
        workers);
    EXPECT_GT(acted, 200) << metric;
  }
}

TEST(Training, SchedulesAreTheStatedFunctions) {
  TrainConfig config;
  config.lr = 0.4;
  config.schedule = "constant";
  EXPECT_DOUBLE_EQ(learning_rate(config, 70, 100), 0.4);
  config.schedule = "linear";
  EXPECT_DOUBLE_EQ(learning_rate(config, 0, 100), 0.4);
  EXPECT_DOUBLE_EQ(learning_rate(config, 75, 100), 0.1);
  config.schedule = "inverse";
  config.decay_updates = 50;
  EXPECT_DOUBLE_EQ(learning_rate(config, 50, 100), 0.2);
}

TEST(Training, EpochsCountTheShortLastBatch) {
  TrainConfig config;
  config.batch = 130;
  config.epochs = 2;
  EXPECT_EQ(total_updates(config, 300), 6U);
  EXPECT_EQ(total_updates(config, 260), 4U);
  EXPECT_EQ(total_updates(config, 100), 2U) << "a batch is never longer than the data";
}

TEST(Config, ReportsEveryViolationAtOnce) {
  TrainConfig config;
  config.data = "digits";
  EXPECT_TRUE(validate(config).empty());
  config.lr = -1;
  config.hidden = {0};
  config.trainer = "magic";
  EXPECT_EQ(validate(config).size(), 3U);
}

TEST(StagedStart, FiltersGoBackToTheirPlaces) {
  // Two blocks of 3 x 4, shuffled; filters that share a row or a column go together.
  constexpr Index kG = 3;
  constexpr Index kH = 4;
  constexpr Index kPlaces = 2 * kG * kH;
  const auto related = [](Index a, Index b) {
    const Index pairs = kG * kH;
    return a != b && a / pairs == b / pairs && (a % pairs / kH == b % pairs / kH || a % kH == b % kH);
  };
  StreamEngine engine = StreamFactory{3}.engine(Purpose::kShuffle, 0);
  const std::vector<Index> place_of = permutation(kPlaces, engine);
  const auto together = [&](Index f, Index g) {
    return related(place_of[static_cast<std::size_t>(f)], place_of[static_cast<std::size_t>(g)]);
  };
  Eigen::MatrixXd correlation(kPlaces, kPlaces);
  for (Index a = 0; a < kPlaces; ++a) {
    for (Index b = 0; b <= a; ++b)
      correlation(a, b) = correlation(b, a) = (a == b           ? 1.0
                                               : together(a, b) ? 0.3
                                                                : -0.02) +
                                              0.05 * (uniform_53(engine) - 0.5);
  }
  int heard = 0;
  const std::vector<Index> found = arrange_filters(correlation, 2, kG, kH, StreamFactory{1}, [&](double) {
    ++heard;
    return Control::kContinue;
  });
  EXPECT_GT(heard, 10);
  int wrong = 0;
  for (Index a = 0; a < kPlaces; ++a) {
    for (Index b = 0; b < a; ++b)
      wrong +=
          related(a, b) != together(found[static_cast<std::size_t>(a)], found[static_cast<std::size_t>(b)])
              ? 1
              : 0;
  }
  EXPECT_EQ(wrong, 0);
}

/// Sources of a table of `g` x `h` factors: each is on where both of its factors are, with a random sign, in
/// noise. `gaussian`: instead values of the same variance, which have no axes.
Eigen::MatrixXd sources(Index n_cases, Index g, Index h, bool gaussian) {
  StreamEngine engine = StreamFactory{5}.engine(Purpose::kShuffle, 1);
  boost::random::normal_distribution<double> normal;
  Eigen::MatrixXd values(n_cases, g * h);
  for (Index n = 0; n < n_cases; ++n) {
    const std::uint32_t bits = engine();
    for (Index i = 0; i < g; ++i) {
      for (Index j = 0; j < h; ++j) {
        const bool on = (bits >> i & 1) != 0 && (bits >> (g + j) & 1) != 0;
        const double sign = (engine() & 1) != 0 ? 1.0 : -1.0;
        values(n, i * h + j) = gaussian ? 0.5 * normal(engine) : (on ? sign : 0.0) + 0.1 * normal(engine);
      }
    }
  }
  return values;
}

Eigen::MatrixXd random_rotation(Index n) {
  StreamEngine engine = StreamFactory{6}.engine(Purpose::kShuffle, 2);
  boost::random::normal_distribution<double> normal;
  const Eigen::MatrixXd values = Eigen::MatrixXd::NullaryExpr(n, n, [&] { return normal(engine); });
  return Eigen::HouseholderQR<Eigen::MatrixXd>(values).householderQ();
}

/// Equal mixtures of neighbours, which share a factor.
Eigen::MatrixXd rotation_of_neighbours(Index n) {
  Eigen::MatrixXd mixing = Eigen::MatrixXd::Identity(n, n);
  for (Index a = 0; a + 1 < n; a += 2)
    mixing.block<2, 2>(a, a) = Eigen::Rotation2Dd(std::numbers::pi / 4).toRotationMatrix();
  return mixing;
}

/// Of sources that a rotation mixed, how many are columns of their own again.
Index sources_found(const Eigen::MatrixXd& values, const Eigen::MatrixXd& mixing) {
  const Eigen::MatrixXd rotation = sparsest_rotation(values * mixing);
  EXPECT_TRUE((rotation.transpose() * rotation).isIdentity(1e-10));
  return ((mixing * rotation).cwiseAbs().rowwise().maxCoeff().array() > 0.99).count();
}

TEST(StagedStart, RotationFindsSourcesThatShareFactors) {
  const Eigen::MatrixXd values = sources(3000, 3, 4, false);
  EXPECT_EQ(sources_found(values, random_rotation(12)), 12);
  EXPECT_EQ(sources_found(values, rotation_of_neighbours(12)), 12);
  // What has no axes is not found: the check can fail.
  EXPECT_LT(sources_found(sources(3000, 3, 4, true), random_rotation(12)), 4);
}

}  // namespace
}  // namespace tempera
