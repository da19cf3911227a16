// The obligations of every model, checked by brute force. A new model adds a Specimen (specimens.hpp); the
// list of models is that of all_models.hpp.
#include <gtest/gtest.h>

#include "model_checks.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/models/kinds.hpp"

namespace tempera {
namespace {

template <class M>
class EveryModel : public testing::Test {
 protected:
  using S = Specimen<M>;
  using Params = typename M::Params;

  static double exact_log_z(const M& model, const Params& theta, double beta) {
    LogSumExp sum;
    for (Index k = 0; k < model.exact_chunks(); ++k) sum.add(model.log_partition_chunk(theta, beta, k));
    return sum.value();
  }
  static double log_weight(const Params& theta, double beta, const Point& p) {
    return log_weight_of<S>(theta, beta, p);
  }
  /// What the point's law has for moments, by brute force.
  static Moments exact_moments(const Params& theta, double beta) {
    const WeightedPoints points = S::points(0.3);
    const double log_z = brute_log_z<S>(theta, beta, points);
    return weighted_moments(points,
                            [&](const Point& p) { return std::exp(log_weight(theta, beta, p) - log_z); });
  }
};

TYPED_TEST_SUITE(EveryModel, Models, ModelNames);

TYPED_TEST(EveryModel, ExactLogZEqualsBruteForceAtEveryBeta) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.5, 4);
  const WeightedPoints points = S::points(0.25);
  for (const double beta : {0.0, 0.35, 1.0})
    EXPECT_NEAR(this->exact_log_z(model, theta, beta), brute_log_z<S>(theta, beta, points),
                S::kTolerance.log_z)
        << beta;
  EXPECT_NEAR(model.reference_log_partition(), brute_log_z<S>(theta, 0.0, points),
              1e-6 + S::kTolerance.log_z);
  EXPECT_NEAR(this->exact_log_z(model, theta, 0.0), model.reference_log_partition(), 1e-6);
  EXPECT_NEAR(this->exact_log_z(model, model.reference_params(), 1.0), model.reference_log_partition(), 1e-5);
}

TYPED_TEST(EveryModel, FreeEnergySumsTheLatentsOut) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  std::vector<Point> points = S::cases();
  if (S::kNumbered) {
    points.clear();
    for (const auto& [p, measure] : S::points(0)) points.push_back(p);
  }
  for_every_block<TypeParam>(model, points, [&](std::size_t first, typename TypeParam::State& x) {
    OneBlock<TypeParam> block(model, x, 1.0F);
    block.infer(model, theta);
    for (const float beta : {0.0F, 0.45F, 0.6F, 1.0F}) {
      LaneDoubles free;
      model.free_energy(theta, constant_beta(beta), x, block.cache, free);
      for (std::size_t c = 0; c < kLanes && first + c < points.size(); ++c)
        EXPECT_NEAR(free[c], -this->log_weight(theta, beta, points[first + c]), S::kTolerance.free_energy);
    }
  });
}

TYPED_TEST(EveryModel, FreeEnergyKnowsEachChainsBeta) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  const std::vector<Point> points = S::cases();
  LaneFloats beta;
  for (unsigned c = 0; c < kLanes; ++c) beta[c] = static_cast<float>(c) / 63.0F;
  auto x = model.new_state();
  for (unsigned c = 0; c < kLanes; ++c) S::put(x, c, points[c % points.size()], 0);
  OneBlock<TypeParam> block(model, x, 1.0F);
  block.infer(model, theta);
  LaneDoubles free;
  model.free_energy(theta, beta, x, block.cache, free);
  for (unsigned c = 0; c < kLanes; ++c)
    EXPECT_NEAR(free[c], -this->log_weight(theta, beta[c], points[c % points.size()]),
                S::kTolerance.free_energy);
}

TYPED_TEST(EveryModel, OneCaseExactlyEqualsTheSumOverLatents) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 5);
  std::vector<Point> points = S::cases();
  if (S::kNumbered) {
    points.clear();
    const Index n = model.n_visible();
    for (const auto& [p, measure] : S::points(0)) {
      if (p.tail(p.size() - n).isZero(0.0)) points.push_back(p);
    }
  }
  const auto data = S::data(points);
  for (std::size_t n = 0; n < points.size(); ++n) {
    LogSumExp sum;
    for (const Point& p : S::points_of(points[n])) sum.add(this->log_weight(theta, 1.0, p));
    EXPECT_NEAR(model.free_energy(theta, data.row(static_cast<Index>(n))), -sum.value(),
                S::kTolerance.one_case);
  }
}

TYPED_TEST(EveryModel, StatisticsAreTheGradientOfTheExactLogLikelihood) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  auto theta = S::params(0.7, 6);
  const std::vector<Point> cases = S::cases();
  const auto log_likelihood = [&] {
    double sum = 0;
    for (const Point& p : cases) sum += S::exact_log_weight(theta, p);
    return sum / static_cast<double>(cases.size()) - S::exact_log_z(theta);
  };
  std::vector<Point> grid;
  std::vector<double> weight;
  const double log_z = S::exact_log_z(theta);
  for (const auto& [p, measure] : S::points(0.3)) {
    grid.push_back(p);
    weight.push_back(measure * std::exp(S::exact_log_weight(theta, p) - log_z));
  }
  auto gradient = statistics_of(model, theta, cases,
                                std::vector<double>(cases.size(), 1.0 / static_cast<double>(cases.size())));
  add_scaled(gradient, -1.0F, statistics_of(model, theta, grid, weight));
  Index checked = 0;
  double largest = 0;
  for_each_field(
      [&](std::string_view name, auto& parameter, const auto& derivative) {
        for (Index k = 0; k < parameter.size(); ++k) {
          const float saved = parameter.data()[k];
          const float step = S::kTolerance.step;
          parameter.data()[k] = saved + step;
          const double up = log_likelihood();
          parameter.data()[k] = saved - step;
          const double down = log_likelihood();
          parameter.data()[k] = saved;
          EXPECT_NEAR(derivative.data()[k], (up - down) / (2.0 * static_cast<double>(step)),
                      S::kTolerance.gradient)
              << name << " " << k;
          largest = std::max(largest, std::abs(static_cast<double>(derivative.data()[k])));
          ++checked;
        }
      },
      theta, gradient);
  EXPECT_EQ(checked, size_of(theta));
  EXPECT_GT(largest, 0.05) << "a gradient of zeros would pass any tolerance";
}

TYPED_TEST(EveryModel, ExpectedLatentsEqualBruteForce) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 6);
  const std::vector<Point> points = S::cases();
  for_every_block<TypeParam>(model, points, [&](std::size_t, typename TypeParam::State& x) {
    OneBlock<TypeParam> block(model, x, 1.0F);
    block.infer(model, theta);
    unsigned unit = 0;
    double largest = 0;
    for (const Index layer : S::latent_layers()) {
      LaneMatrix values(model.layer_sizes()[static_cast<std::size_t>(layer)], kLanes);
      model.layer_values(layer, x, block.cache, values);
      for (Index i = 0; i < values.rows(); ++i, ++unit) {
        for (std::size_t n = 0; n < points.size(); ++n) {
          const double all = this->log_weight(theta, 1.0, points[n]);
          double expected = 0;
          for (unsigned s = 0; s < S::kStates; ++s)
            expected += S::latent_value(s, unit) * std::exp(S::log_weight(theta, 1.0, points[n], s) - all);
          EXPECT_NEAR(values(i, static_cast<Index>(n)), expected, 2e-6) << layer << " " << i;
          largest = std::max(largest, std::abs(expected - 0.5));
        }
      }
    }
    EXPECT_EQ(unit, S::latent_units());
    EXPECT_GT(largest, 0.05) << "halves would pass any tolerance";
  });
}

TYPED_TEST(EveryModel, LatentsAreDrawnFromTheirLawGivenTheVisibles) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 13);
  // Letters: each site has one.
  const bool any_bits = S::kNumbered && !HasLetters<TypeParam>;
  const Point p = any_bits ? point_of(11, S::cases()[0].size()) : S::cases()[1];
  constexpr unsigned kBlocks = 400;
  const float beta = 0.7F;
  std::vector<double> counts(S::kStates);
  auto x = model.new_state();
  for (unsigned c = 0; c < kLanes; ++c) S::put(x, c, p, 0);
  OneBlock<TypeParam> block(model, x, 1.0F);
  block.infer(model, theta);
  for (unsigned b = 0; b < kBlocks; ++b) {
    model.sample_latents(theta, constant_beta(beta), x, block.cache,
                         StreamFactory{14}.lanes(Purpose::kSampling, b));
    for (unsigned c = 0; c < kLanes; ++c) counts[S::latent(x, c)] += 1;
  }
  const auto test = [&](double at) {
    std::vector<double> expected;
    const double all = this->log_weight(theta, at, p);
    for (unsigned h = 0; h < S::kStates; ++h)
      expected.push_back(kBlocks * kLanes * std::exp(S::log_weight(theta, at, p, h) - all));
    return chi_square_score(counts, expected);
  };
  EXPECT_LT(test(beta), kRejected);
  EXPECT_GT(test(1.0), kRejected) << "planted: another beta";
}

TYPED_TEST(EveryModel, PartsAndPanelsDoNotChangeASweep) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::wide();
  const auto theta = S::wide_params(model);
  const auto run = [&](int threads, std::uint64_t n) {
    const Executor executor(threads);
    const Engine engine{model, StreamFactory{16}, executor};
    Population<TypeParam> population(reference_chains(engine, n, Purpose::kChains));
    population.fit(engine);
    advance(engine, theta, 3, Purpose::kChains, population);
    return population.chains;
  };
  for (const std::uint64_t n : {1U, 63U, 65U, 320U, 1300U}) {
    const auto one = run(1, n);
    for (const int threads : {2, 3, 5})
      EXPECT_TRUE(equal_fields(one, run(threads, n))) << n << " " << threads;
  }
  EXPECT_TRUE(equal_fields(run(1, 1300).blocks[1], run(2, 128).blocks[1]))
      << "draws depend on the other chains";
}

TYPED_TEST(EveryModel, LanesWithoutAChainAreZeroAndUnread) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.9, 17);
  const Executor executor(1);
  const Engine engine{model, StreamFactory{18}, executor};
  Population<TypeParam> population(reference_chains(engine, 70, Purpose::kChains));
  population.fit(engine);
  advance(engine, theta, 2, Purpose::kChains, population);
  for_each_field(
      [](std::string_view name, const auto& layer) {
        if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer)>, BitLayer>) {
          for (const Word unit : layer) EXPECT_EQ(unit >> 6, 0U) << name;
        } else {
          EXPECT_EQ(layer.rightCols(kLanes - 6).cwiseAbs().maxCoeff(), 0.0F) << name;
        }
      },
      population.chains.blocks[1]);
  const auto sums = [&](float poison) {
    mean_latents(engine, theta, population.chains.blocks, population.caches);
    auto total = model.zero_params();
    const std::vector<LaneFloats> weights = {lane_weights(70, 0, 0.5F), lane_weights(70, 1, 0.5F)};
    S::poison(population.caches.blocks[1], 6, poison);
    typename TypeParam::Scratch scratch;
    for (Index slice = 0; slice < model.slices(); ++slice)
      model.accumulate(theta, population.chains.blocks, population.caches.blocks, weights, slice, Sums::kAdd,
                       scratch, total);
    return total;
  };
  EXPECT_TRUE(equal_fields(sums(0.0F), sums(NAN)));
}

TYPED_TEST(EveryModel, SweepLeavesTheTemperedLawInvariant) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.8, S::kNumbered ? 9 : 7);
  auto faulty = theta;
  bool planted = false;
  for_each_field(
      [&planted](std::string_view, auto& field) {
        if (!planted) field.data()[0] += S::kNumbered ? 0.5F : 0.4F;
        planted = true;
      },
      faulty);
  for (const float beta : {0.5F, 1.0F}) {
    if constexpr (S::kNumbered) {
      const auto run = [&](const auto& used, Uniforms draws) {
        return score_after_sweeps(model, theta, used, beta, draws);
      };
      EXPECT_LT(run(theta, Uniforms::kIndependent), kRejected);
      EXPECT_GT(run(faulty, Uniforms::kIndependent), kRejected) << "planted: one wrong parameter";
      EXPECT_GT(run(theta, Uniforms::kRepeated), kRejected) << "planted: the same uniforms every sweep";
    } else {
      const Moments exact = this->exact_moments(theta, static_cast<double>(beta));
      const auto run = [&](const auto& used, Uniforms draws) {
        return chain_deviation(model, used, beta, draws, exact);
      };
      EXPECT_LT(run(theta, Uniforms::kIndependent), kSurprise) << beta;
      if (beta < 1.0F) continue;
      EXPECT_GT(run(faulty, Uniforms::kIndependent), kSurprise) << "planted: one wrong parameter";
      // Chains of bits find each other's states with the same uniforms: their law stays right.
      if (!TypeParam::kDiscrete) {
        EXPECT_GT(run(theta, Uniforms::kRepeated), kSurprise) << "planted: the same uniforms every sweep";
      }
    }
  }
}

TYPED_TEST(EveryModel, ReferenceDrawsFollowTheLawAtBetaZero) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.8, 10);
  const Executor executor(1);
  constexpr std::uint64_t kChains = 96000;
  const auto chains =
      reference_chains(Engine{model, StreamFactory{12}, executor}, kChains, Purpose::kSampling);
  if constexpr (S::kNumbered) {
    const WeightedPoints points = S::points(0);
    std::vector<double> counts(points.size());
    for (const auto& x : chains.blocks) {
      for (unsigned c = 0; c < kLanes; ++c) counts[S::index_of(S::point(x, c))] += 1;
    }
    const auto test = [&](double beta) {
      std::vector<double> expected;
      const double log_z = brute_log_z<S>(theta, beta, points);
      for (const auto& [p, measure] : points)
        expected.push_back(kChains * std::exp(this->log_weight(theta, beta, p) - log_z));
      return chi_square_score(counts, expected);
    };
    EXPECT_LT(test(0.0), kRejected);
    EXPECT_GT(test(0.1), kRejected) << "planted: draws of another beta";
  } else {
    std::vector<Moments> draws;
    for (std::uint64_t c = 0; c < kChains; ++c)
      draws.push_back(moments_of(S::point(chains.blocks[c / kLanes], c % kLanes)));
    EXPECT_LT(worst_deviation(draws, this->exact_moments(theta, 0.0)), kSurprise);
    EXPECT_GT(worst_deviation(draws, this->exact_moments(theta, 0.2)), kSurprise)
        << "planted: draws of another beta";
  }
}

TYPED_TEST(EveryModel, AnnealingFindsTheExactLogZ) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(1.0, 8);
  const Executor executor(1);
  const StreamFactory streams{9};
  const auto weights = annealed_log_weights(
      Engine{model, streams, executor}, theta, published_betas(200),
      reference_chains(Engine{model, streams, executor}, 512, Purpose::kAnnealing), Purpose::kAnnealing);
  LogSumExp sum;
  MeanVariance spread;
  for (const double w : weights) {
    sum.add(w);
    spread.add(w);
  }
  const double estimate = model.reference_log_partition() + sum.value() - std::log(512.0);
  const double error = std::sqrt(spread.variance() / 512.0);
  EXPECT_NEAR(estimate, this->exact_log_z(model, theta, 1.0), 4.0 * error + 1e-4);
  EXPECT_LT(error, 0.1);
}

// --- what a model says of itself --------------------------------------------------------------------------

/// What a file of these parameters says of their shapes.
template <class M>
FieldShapes stored(const M& model, const typename M::Params& theta) {
  FieldShapes file;
  file.source = "file.h5";
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (field.size() == 0) return;
        ArrayShape shape = model.file_shape(name);
        if (shape.empty()) {
          shape.push_back(static_cast<std::uint64_t>(field.rows()));
          if constexpr (std::remove_cvref_t<decltype(field)>::ColsAtCompileTime != 1)
            shape.push_back(static_cast<std::uint64_t>(field.cols()));
        }
        std::uint64_t count = 1;
        for (const std::uint64_t n : shape) count *= n;
        EXPECT_EQ(count, static_cast<std::uint64_t>(field.size())) << name;
        file.fields[std::string(name)] = shape;
      },
      theta);
  for (const ShapeAttribute& attribute : model.shape_attributes()) {
    if (const auto* list = std::get_if<std::vector<std::int64_t>>(&attribute.value)) {
      file.lists[attribute.name] = *list;
    } else if (const auto* whole = std::get_if<std::int64_t>(&attribute.value)) {
      file.attributes[attribute.name] = static_cast<double>(*whole);
    } else {
      file.attributes[attribute.name] = std::get<double>(attribute.value);
    }
  }
  return file;
}

TYPED_TEST(EveryModel, ItsShapeIsFoundInAFile) {
  using S = Specimen<TypeParam>;
  for (const TypeParam& model : {S::model(), S::wide()}) {
    const FieldShapes file = stored(model, model.zero_params());
    EXPECT_TRUE(TypeParam::shape_from(file) == model.shape());
    // The weights decide; without them, or with an axis too many, there is no shape.
    const std::string weights = file.fields.contains("weights") ? "weights" : "weights_1";
    FieldShapes damaged = file;
    damaged.fields.erase(weights);
    EXPECT_THROW(TypeParam::shape_from(damaged), DataError);
    damaged = file;
    damaged.fields[weights].push_back(1);
    EXPECT_THROW(TypeParam::shape_from(damaged), DataError);
    damaged = file;
    damaged.fields[weights][0] = 0;
    EXPECT_THROW(TypeParam::shape_from(damaged), DataError);
    damaged = file;
    damaged.unusable[weights] = "file.h5: it is too large";
    EXPECT_THROW(TypeParam::shape_from(damaged), DataError);
  }
}

TYPED_TEST(EveryModel, OptionsAskForItsShape) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const MachineOptions options = S::options();
  EXPECT_TRUE(TypeParam::shape_from(options, model.n_visible()) == model.shape());
  EXPECT_TRUE(TypeParam::check(options, {}).empty());
  EXPECT_TRUE(check_machine(options, {}).empty());
  MachineOptions faulty = options;
  faulty.hidden.clear();
  EXPECT_FALSE(TypeParam::check(faulty, {}).empty());
  const Kind* const kind = find_kind(TypeParam::kKind, TypeParam::kHiddenUnits);
  ASSERT_NE(kind, nullptr);
  EXPECT_EQ(kind->discrete, TypeParam::kDiscrete);
  EXPECT_EQ(kind->memory(options, model.n_visible()).parameters,
            static_cast<double>(size_of(model.zero_params())));
}

TYPED_TEST(EveryModel, AMachineIsItsShapeAndItsReference) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  EXPECT_TRUE(model == TypeParam(model.shape(), model.reference()));
  EXPECT_FALSE(model == with_standard_reference<TypeParam>(model.shape()));
  const auto data = S::data(S::cases());
  const TypeParam fitted(model.shape(), TypeParam::fit_reference(data));
  EXPECT_TRUE(TypeParam::reference_fault(fitted.reference()).empty());
  EXPECT_TRUE(TypeParam::fault(fitted.initial_params(StreamFactory{1}, {})).empty());
  EXPECT_FALSE(fitted.impossible_value(data).has_value());
  // The reference is the machine of the first parameters that is left without latents.
  const auto first = fitted.initial_params(StreamFactory{1}, {});
  const auto reference = fitted.reference_params();
  for_each_field(
      [&](std::string_view name, const auto& of_reference) {
        for_each_field(
            [&](std::string_view other, const auto& field, const auto& initial) {
              if (other != name) return;
              EXPECT_EQ((of_reference.array() - field.reshaped().array()).abs().maxCoeff(), 0.0F) << name;
              EXPECT_EQ((of_reference.array() - initial.reshaped().array()).abs().maxCoeff(), 0.0F) << name;
            },
            reference, first);
      },
      fitted.reference());
}

TYPED_TEST(EveryModel, NamesAndSizesOfLayersCodesAndFiltersFit) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  EXPECT_EQ(model.layer_sizes().size(), model.layer_names().size());
  EXPECT_EQ(model.layer_sizes().front(), model.n_visible());
  EXPECT_EQ(model.layer_names().front(), "visible");
  const auto sizes = model.shape_names();
  EXPECT_EQ(sizes.front().first, HasLetters<TypeParam> ? "n_sites" : "n_visible");
  EXPECT_EQ(sizes.front().second * (HasLetters<TypeParam> ? sizes[1].second : 1), model.n_visible());
  const Index filters = TypeParam::filters(model.zero_params()).cols();
  EXPECT_EQ(TypeParam::filters(model.zero_params()).rows(), model.n_visible());
  EXPECT_EQ(filters % model.filter_grid().group, 0);
  const auto theta = S::params(1.0, 6);
  auto x = model.new_state();
  S::put(x, 0, S::cases()[1], 0);
  OneBlock<TypeParam> block(model, x, 1.0F);
  block.infer(model, theta);
  const std::vector<Code> codes = model.codes();
  ASSERT_GE(codes.size() + 1, model.layer_sizes().size());
  for (std::size_t k = 0; k < codes.size(); ++k) {
    LaneMatrix values;
    model.code_values(k, x, block.cache, values);
    EXPECT_EQ(values.rows(), codes[k].size) << codes[k].name;
    if (k + 1 >= model.layer_sizes().size()) continue;
    EXPECT_EQ(codes[k].name, model.layer_names()[k + 1]);
    LaneMatrix layer(codes[k].size, kLanes);
    model.layer_values(static_cast<Index>(k + 1), x, block.cache, layer);
    EXPECT_TRUE(values.col(0) == layer.col(0)) << codes[k].name;
  }
}

// --- obligations of layers of Bernoulli units
// ---------------------------------------------------------------

template <class M>
class EveryLayeredModel : public testing::Test {};
using LayeredModels = TypesAfterFirst<void TEMPERA_FOR_EACH_LAYERED_MODEL(TEMPERA_TYPE)>::Types;
TYPED_TEST_SUITE(EveryLayeredModel, LayeredModels, ModelNames);

TYPED_TEST(EveryLayeredModel, ScoresAreStatisticsAlongADirection) {
  using S = Specimen<TypeParam>;
  const TypeParam model = S::model();
  const auto theta = S::params(0.9, 21);
  auto direction = S::params(1.1, 22);
  std::vector<Point> points;
  for (const auto& [p, measure] : S::points(0)) points.push_back(p);
  for_every_block<TypeParam>(model, points, [&](std::size_t, typename TypeParam::State& x) {
    OneBlock<TypeParam> block(model, x, 1.0F);
    OneBlock<TypeParam> probe(model, x, 1.0F);
    for (unsigned c = 0; c < kLanes; ++c) S::set(x, c, S::visible(x, c), (5 * c + 3) % S::kStates);
    block.infer(model, theta);
    model.latent_input({0, model.latents()}, direction, probe.panel, probe.scratch);
    for (const bool drawn : {false, true}) {
      if (drawn) model.unpack_latents(x, block.cache);
      LaneDoubles scores;
      model.score(direction, x, probe.cache, block.cache, scores);
      for (unsigned c = 0; c < kLanes; c += 7) {
        std::vector<LaneFloats> weights(1);
        weights[0].fill(0.0F);
        weights[0][c] = 1.0F;
        auto statistics = model.zero_params();
        for (Index slice = 0; slice < model.slices(); ++slice)
          model.accumulate(theta, block.panel.states, block.panel.caches, weights, slice, Sums::kAdd,
                           block.scratch, statistics);
        double expected = 0;
        for_each_field(
            [&](std::string_view, const auto& d, const auto& s) {
              for (Index k = 0; k < d.size(); ++k) expected += static_cast<double>(d.data()[k] * s.data()[k]);
            },
            direction, statistics);
        EXPECT_NEAR(scores[c], expected, 1e-5) << c << drawn;
        if (drawn) {
          EXPECT_NEAR(expected, -S::energy(direction, 1.0, S::visible(x, c), S::latent(x, c)), 1e-5);
        }
      }
    }
  });
}

}  // namespace
}  // namespace tempera
