// What the tests of models have in common: blocks of points, statistics of draws, laws of chains.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "slab_specimens.hpp"
#include "tempera/mcmc/population.hpp"
#include "tempera/models/kinds.hpp"

namespace tempera {

/// Every model, for typed tests, and how each is called.
template <class, class... Ms>
struct TypesAfterFirst {
  using Types = testing::Types<Ms...>;
};
#define TEMPERA_TYPE(M) , M
using Models = TypesAfterFirst<void TEMPERA_FOR_EACH_MODEL(TEMPERA_TYPE)>::Types;

class ModelNames {
 public:
  template <class M>
  static std::string GetName(int) {
    return find_kind(M::kKind, M::kHiddenUnits)->name();
  }
};

/// A block as a panel, all its chains at the same beta.
template <class M>
struct OneBlock {
  OneBlock(const M& model, typename M::State& x, float beta)
      : cache(model.new_cache(kLanes)), betas{constant_beta(beta)}, panel{{&x, 1}, {&cache, 1}, betas} {}

  /// Makes the cache current, and its expected latents.
  void infer(const M& model, const typename M::Params& theta) {
    model.latent_input({0, model.latents()}, theta, panel, scratch);
    model.mean_latents({0, model.latents()}, theta, panel);
  }

  typename M::BlockCache cache;
  typename M::Scratch scratch;
  std::vector<LaneFloats> betas;
  Panel<M> panel;
};

/// Calls visit(first, x) with a block whose lane c holds points[first + c], until all were there; lanes that
/// are left over hold the last one.
template <class M>
void for_every_block(const M& model, const std::vector<Point>& points,
                     const std::function<void(std::size_t, typename M::State&)>& visit) {
  for (std::size_t first = 0; first < points.size(); first += kLanes) {
    auto x = model.new_state();
    for (unsigned c = 0; c < kLanes; ++c)
      Specimen<M>::put(x, c, points[std::min(points.size() - 1, first + c)], 0);
    visit(first, x);
  }
}

/// Weighted sums of -dE/dtheta over points, over all slices.
template <class M>
typename M::Params statistics_of(const M& model, const typename M::Params& theta,
                                 const std::vector<Point>& points, const std::vector<double>& weight_of) {
  auto total = model.zero_params();
  for_every_block<M>(model, points, [&](std::size_t first, typename M::State& x) {
    OneBlock<M> block(model, x, 1.0F);
    block.infer(model, theta);
    std::vector<LaneFloats> weights(1, LaneFloats{});
    for (std::size_t c = 0; c < kLanes && first + c < points.size(); ++c)
      weights[0][c] = static_cast<float>(weight_of[first + c]);
    for (Index slice = 0; slice < model.slices(); ++slice)
      model.accumulate(theta, block.panel.states, block.panel.caches, weights, slice, Sums::kAdd,
                       block.scratch, total);
  });
  return total;
}

/// Wilson-Hilferty normal score of a chi-square statistic over counts of expected sizes, those below 5 as one
/// class; above kRejected has p < 1e-4.
inline double chi_square_score(const std::vector<double>& counts, const std::vector<double>& expected) {
  double statistic = 0;
  double degrees = -1;
  double rare = 0;
  double rare_expected = 0;
  for (std::size_t k = 0; k < counts.size(); ++k) {
    if (expected[k] < 5) {
      rare += counts[k];
      rare_expected += expected[k];
      continue;
    }
    statistic += (counts[k] - expected[k]) * (counts[k] - expected[k]) / expected[k];
    degrees += 1;
  }
  if (rare_expected > 0) {
    statistic += (rare - rare_expected) * (rare - rare_expected) / rare_expected;
    degrees += 1;
  }
  return (std::cbrt(statistic / degrees) - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
}
inline constexpr double kRejected = 3.72;

/// Which uniforms a chain meets.
enum class Uniforms { kIndependent, kRepeated };

/// Score of the states (point, latents) of independent chains that start from the exact law of `theta` at
/// beta and make three sweeps with the parameters `used`.
template <class M>
double score_after_sweeps(const M& model, const typename M::Params& theta, const typename M::Params& used,
                          float beta, Uniforms draws) {
  using S = Specimen<M>;
  constexpr unsigned kBlocks = 1500;
  const WeightedPoints points = S::points(0);
  const double log_z = brute_log_z<S>(theta, beta, points);
  std::vector<double> probability;
  for (const auto& [p, measure] : points) {
    for (unsigned h = 0; h < S::kStates; ++h)
      probability.push_back(std::exp(S::log_weight(theta, beta, p, h) - log_z));
  }
  const StreamFactory streams{11};
  std::vector<double> counts(probability.size());
  auto x = model.new_state();
  OneBlock<M> block(model, x, beta);
  for (unsigned b = 0; b < kBlocks; ++b) {
    for (unsigned c = 0; c < kLanes; ++c) {
      double u = streams.engine(Purpose::kDataSet, 1, b * 64 + c)() * 0x1p-32;
      unsigned state = 0;
      while (state + 1 < probability.size() && u >= probability[state]) u -= probability[state++];
      S::put(x, c, points[state / S::kStates].first, state % S::kStates);
    }
    for (std::uint64_t k = 1; k <= 3; ++k) {
      const std::uint64_t step = draws == Uniforms::kRepeated ? 1 : k;
      for (Index stage = 0; stage < model.stages(); ++stage) {
        model.resample(stage, {0, model.stage_units(stage)}, used, block.panel, block.scratch,
                       streams.lanes(Purpose::kSampling, step, b * 64));
      }
    }
    for (unsigned c = 0; c < kLanes; ++c)
      counts[S::index_of(S::point(x, c)) * S::kStates + S::latent(x, c)] += 1;
  }
  std::vector<double> expected;
  for (const double p : probability) expected.push_back(p * kBlocks * kLanes);
  return chi_square_score(counts, expected);
}

/// Moments of a point of two numbers and of their products.
using Moments = Eigen::Matrix<double, 6, 1>;
inline Moments moments_of(const Point& v) {
  Moments m;
  m << v[0], v[1], v[0] * v[0], v[0] * v[1], v[1] * v[1], (v[0] != 0.0 ? 1.0 : 0.0);
  return m;
}

/// Of 6 moments at two betas: 4.5 standard errors have p < 1e-4.
inline constexpr double kSurprise = 4.5;

/// Largest deviation of means over chains from moments, in standard errors.
inline double worst_deviation(const std::vector<Moments>& sums, const Moments& exact) {
  double worst = 0;
  for (Index k = 0; k < 6; ++k) {
    MeanVariance mean;
    for (const Moments& m : sums) mean.add(m[k]);
    if (mean.standard_error() > 0)
      worst = std::max(worst, std::abs(mean.mean() - exact[k]) / mean.standard_error());
  }
  return worst;
}

/// Moments of points with these weights.
inline Moments weighted_moments(const WeightedPoints& points,
                                const std::function<double(const Point&)>& weight) {
  Moments exact = Moments::Zero();
  for (const auto& [v, measure] : points) exact += measure * weight(v) * moments_of(v);
  return exact;
}

/// Moments of long chains with the parameters `used`, from the reference machine, against exact ones, in
/// standard errors.
template <class M>
double chain_deviation(const M& model, const typename M::Params& used, float beta, Uniforms draws,
                       const Moments& exact) {
  constexpr std::uint64_t kChains = 2048;
  const StreamFactory streams{21};
  const Executor executor(1);
  const Engine engine{model, streams, executor};
  Population<M> population(reference_chains(engine, kChains, Purpose::kSampling));
  population.fit(engine);
  population.caches.betas.fill(beta);
  std::vector<Moments> sums(kChains, Moments::Zero());
  constexpr int kBurn = 60;
  constexpr int kDraws = 90;
  for (int k = 0; k < kBurn + kDraws; ++k) {
    if (draws == Uniforms::kRepeated && k >= kBurn) population.chains.sweeps = 7;
    advance(engine, used, 1, Purpose::kSampling, population);
    if (k < kBurn) continue;
    for (std::uint64_t c = 0; c < kChains; ++c)
      sums[c] += moments_of(Specimen<M>::point(population.chains.blocks[c / kLanes], c % kLanes)) / kDraws;
  }
  return worst_deviation(sums, exact);
}

}  // namespace tempera
