// Specimens (specimens.hpp) of machines whose filters have amplitudes: what their binary latents weigh and
// gate by brute force, slabs integrated on a grid, visibles too. Nothing here calls the code under test, but
// for exact_log_weight and exact_log_z, which are tested against the rest.
#pragma once

#include <cmath>
#include <numbers>

#include "specimens.hpp"

namespace tempera {

inline constexpr double kPi = std::numbers::pi;

/// The slab of precision alpha and mean mu whose gate is on or off, integrated on a grid.
inline double integrated_slab(double alpha, double mu, double x, double beta, bool on) {
  const double centre = on ? beta * (mu + x / alpha) : 0.0;
  const double width = 9.0 / std::sqrt(alpha);
  constexpr int kSteps = 50;
  double sum = 0;
  for (int k = -kSteps; k <= kSteps; ++k) {
    const double s = centre + width * k / kSteps;
    double energy = 0.5 * alpha * s * s;
    if (on) energy += beta * (-s * (x + alpha * mu) + 0.5 * alpha * mu * mu);
    sum += std::exp(-energy);
  }
  return sum * width / kSteps;
}

inline double visible_energy(const GaussianVisibles::Params& r, const GaussianVisibles::Params& t,
                             double beta, const Point& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) {
    const auto of = [&](const GaussianVisibles::Params& p) {
      return 0.5 * p.visible_precision[d] * v[d] * v[d] - p.visible_bias[d] * v[d];
    };
    sum += (1 - beta) * of(r) + beta * of(t);
  }
  return sum;
}
inline double visible_energy(const BinaryVisibles::Params& r, const BinaryVisibles::Params& t, double beta,
                             const Point& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) sum -= ((1 - beta) * r.visible_bias[d] + beta * t.visible_bias[d]) * v[d];
  return sum;
}
inline double visible_energy(const SparseVisibles::Params& r, const SparseVisibles::Params& t, double beta,
                             const Point& v) {
  double sum = 0;
  for (Index d = 0; d < 2; ++d) {
    // The unseen slab is integrated on a grid.
    const double alpha = (1 - beta) * r.visible_slab_precision[d] + beta * t.visible_slab_precision[d];
    if (v[d] == 0.0) {
      sum -= std::log(integrated_slab(alpha, 0, 0, 0, false));
      continue;
    }
    const auto of = [&](const SparseVisibles::Params& p) {
      const double a = p.visible_slab_precision[d];
      const double mu = p.visible_slab_mean[d];
      return 0.5 * a * (v[d] - mu) * (v[d] - mu) - p.visible_spike_bias[d];
    };
    sum += (1 - beta) * of(r) + beta * of(t);
  }
  return sum;
}

/// Two visibles, small random parameters. S has kStates of the binary latents, and of one of them bias, the
/// term of the biases, and gate, whether it opens a filter.
template <class S, class M>
struct SlabSpecimen {
  using Params = typename M::Params;
  using State = typename M::State;
  using Latents = typename M::Latents;
  static constexpr Index kVisible = 2;
  static constexpr unsigned kData = 2;
  static constexpr bool kNumbered = false;
  static constexpr bool kSparse = std::is_same_v<typename M::Visibles, SparseVisibles>;
  static constexpr Tolerance kTolerance{kSparse ? 2e-6 : 1e-9, 3e-6, 1e-6, 4e-4, 1.0F / 128};

  static M model(typename M::Shape shape) {
    auto reference = M::standard_reference(shape);
    for_each_field(
        [](std::string_view name, auto& field) {
          field = M::is_precision(name) ? Vector(Vector::LinSpaced(field.size(), 0.8F, 1.3F))
                                        : Vector(Vector::LinSpaced(field.size(), -0.3F, 0.4F));
        },
        reference);
    return {shape, reference};
  }
  static Params random(const M& model, std::uint64_t seed) {
    auto theta = model.zero_params();
    StreamEngine random = StreamFactory{seed}.engine(Purpose::kParameters, 0);
    for_each_field(
        [&](std::string_view name, auto& field) {
          for (Index k = 0; k < field.size(); ++k) {
            const double u = uniform_53(random);
            field.data()[k] = static_cast<float>(name == "spike_precision"  ? 0.2 + 0.5 * u
                                                 : name == "slab_precision" ? 3.0 + 3.0 * u
                                                 : M::is_precision(name)    ? 1.0 + u
                                                                            : 1.6 * u - 0.8);
          }
        },
        theta);
    return theta;
  }
  static Params params(double, std::uint64_t seed) { return random(S::model(), seed); }
  static Params wide_params(const M& model) {
    InitialValues values;
    values.weights = 0.1;
    values.spike_bias = 0.0;
    values.spike_precision = 0.2;
    values.slab_precision = 8.0;
    auto theta = model.initial_params(StreamFactory{3}, values);
    Vector direction;
    model.project(theta, direction, false);
    return theta;
  }

  /// log of the weight of a point with one state of the binary latents; the reference is that of `model`.
  static double log_weight(const M& model, const Params& t, double beta, const Point& v, unsigned state) {
    double sum = beta * S::bias(t, state) - visible_energy(model.reference(), t.visible, beta, v);
    for (Index m = 0; m < model.filters(); ++m) {
      const double x = t.weights.col(m).template cast<double>().dot(v);
      if constexpr (Latents::kSlabs) {
        const double alpha = t.latent.slab_precision.data()[m];
        sum += std::log(integrated_slab(alpha, t.latent.slab_mean.data()[m], x, beta, S::gate(state, m)));
        sum -= (1 - beta) * 0.5 * std::log(2 * kPi / alpha);
      } else if (S::gate(state, m)) {
        sum += beta * x;
      }
    }
    if constexpr (M::kSpikePrecision) {
      for (Index i = 0; i < 2; ++i) {
        if ((state >> i & 1) == 0) continue;
        for (Index d = 0; d < 2; ++d) sum -= beta * 0.5 * t.latent.spike_precision(d, i) * v[d] * v[d];
      }
    }
    return sum;
  }
  static double log_weight(const Params& t, double beta, const Point& v, unsigned state) {
    return log_weight(S::model(), t, beta, v, state);
  }
  static unsigned latent_units() { return static_cast<unsigned>(std::countr_zero(S::kStates)); }
  static double latent_value(unsigned state, unsigned unit) { return state >> unit & 1; }
  static double exact_log_weight(const Params& t, const Point& v) {
    const auto one = data({v});
    return -S::model().free_energy(t, one.row(0));
  }
  static double exact_log_z(const Params& t) {
    const M model = S::model();
    LogSumExp sum;
    for (Index k = 0; k < model.exact_chunks(); ++k) sum.add(model.log_partition_chunk(t, 1.0, k));
    return sum.value();
  }

  /// A grid, whole numbers, or both.
  static WeightedPoints points(double step) {
    std::vector<std::pair<double, double>> line;
    if constexpr (M::kDiscrete) {
      line = {{0.0, 1.0}, {1.0, 1.0}};
    } else {
      if (kSparse) line.emplace_back(0.0, 1.0);
      for (double x = -8.0 - 0.3 * step; x < 8.0; x += step) line.emplace_back(x, step);
    }
    WeightedPoints all;
    for (const auto& [x, dx] : line) {
      for (const auto& [y, dy] : line) all.emplace_back(Eigen::Vector2d(x, y), dx * dy);
    }
    return all;
  }
  static std::vector<Point> cases() {
    const auto of = [](const std::vector<Eigen::Vector2d>& list) {
      return std::vector<Point>(list.begin(), list.end());
    };
    if constexpr (M::kDiscrete) return of({{0, 1}, {1, 1}, {1, 0}, {0, 0}, {1, 1}});
    std::vector<Eigen::Vector2d> v = {{0.3, -1.2}, {1.4, 0.7}, {-0.6, 0.2}, {2.0, -0.4}};
    if (kSparse) v.insert(v.end(), {{0.0, 0.9}, {-0.7, 0.0}, {0.0, 0.0}});
    return of(v);
  }
  static typename M::Data data(const std::vector<Point>& points) {
    if constexpr (M::kDiscrete) {
      return binary_data(points, 2);
    } else {
      Matrix rows(points.size(), 2);
      for (std::size_t n = 0; n < points.size(); ++n)
        rows.row(static_cast<Index>(n)) = points[n].cast<float>().transpose();
      return typename M::Data(rows);
    }
  }
  static std::vector<Point> points_of(const Point& p) { return {p}; }

  static void put(State& x, unsigned c, const Point& p, unsigned state) {
    for (Index d = 0; d < 2; ++d) {
      if constexpr (M::kDiscrete) {
        put_bit(x.visible[static_cast<std::size_t>(d)], c, p[d] != 0.0 ? 1 : 0);
      } else {
        x.visible(d, c) = static_cast<float>(p[d]);
      }
    }
    unsigned bit = 0;
    for_each_field(
        [&](std::string_view, auto& layer) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer)>, BitLayer>) {
            for (Word& unit : layer) put_bit(unit, c, state >> bit++ & 1);
          }
        },
        x.latent);
  }
  static Point point(const State& x, unsigned c) {
    Point p(2);
    for (Index d = 0; d < 2; ++d) {
      if constexpr (M::kDiscrete) {
        p[d] = static_cast<double>(x.visible[static_cast<std::size_t>(d)] >> c & 1);
      } else {
        p[d] = x.visible(d, c);
      }
    }
    return p;
  }
  static unsigned latent(const State& x, unsigned c) {
    unsigned state = 0;
    unsigned bit = 0;
    for_each_field(
        [&](std::string_view, const auto& layer) {
          if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer)>, BitLayer>) {
            for (const Word unit : layer) state |= static_cast<unsigned>(unit >> c & 1) << bit++;
          }
        },
        x.latent);
    return state;
  }
  static std::vector<Index> latent_layers() {
    std::vector<Index> all;
    for (std::size_t k = 1; k < S::model().layer_sizes().size(); ++k) all.push_back(static_cast<Index>(k));
    return all;
  }
  static void poison(typename M::BlockCache& cache, Index first, float value) {
    for (LaneMatrix* cached : {&cache.input, &cache.gate, &cache.amplitude, &cache.units})
      cached->rightCols(kLanes - first).setConstant(value);
  }
};

template <>
struct Specimen<GaussianRbm> : SlabSpecimen<Specimen<GaussianRbm>, GaussianRbm> {
  static constexpr unsigned kStates = 8;
  using SlabSpecimen::model;
  static GaussianRbm model() { return model({kVisible, {3}}); }
  static GaussianRbm wide() { return with_standard_reference<GaussianRbm>({70, {51}}); }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = "gaussian-rbm";
    options.hidden = {3};
    return options;
  }
  static double bias(const GaussianRbm::Params& t, unsigned h) {
    double sum = 0;
    for (unsigned j = 0; j < 3; ++j) sum += (h >> j & 1) != 0 ? t.latent.hidden_bias[j] : 0.0F;
    return sum;
  }
  static bool gate(unsigned h, Index m) { return (h >> m & 1) != 0; }
};

template <class M>
struct PooledSpecimen : SlabSpecimen<Specimen<M>, M> {
  static constexpr unsigned kStates = 4;
  static constexpr Index kSlabs = 2;
  using SlabSpecimen<Specimen<M>, M>::model;
  static M model() { return model({2, {2, kSlabs}}); }
  static M wide() { return with_standard_reference<M>({70, {37, kSlabs}}); }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = std::string(M::kKind);
    options.hidden = {2};
    options.slabs = kSlabs;
    return options;
  }
  static double bias(const typename M::Params& t, unsigned h) {
    double sum = 0;
    for (unsigned i = 0; i < 2; ++i) sum += (h >> i & 1) != 0 ? t.latent.spike_bias[i] : 0.0F;
    return sum;
  }
  static bool gate(unsigned h, Index m) { return (h >> (m / kSlabs) & 1) != 0; }
};
template <>
struct Specimen<SpikeSlabRbm> : PooledSpecimen<SpikeSlabRbm> {};
template <>
struct Specimen<BinarySpikeSlabRbm> : PooledSpecimen<BinarySpikeSlabRbm> {};
template <>
struct Specimen<SparseSpikeSlabRbm> : PooledSpecimen<SparseSpikeSlabRbm> {};

/// One block or more: bits g, then h, then gates.
template <class M, bool kGated, unsigned kG, unsigned kH, unsigned kBlocks>
struct BilinearSpecimen : SlabSpecimen<Specimen<M>, M> {
  static constexpr unsigned kStates = 1U << (kBlocks * (kG + kH + (kGated ? 1 : 0)));
  using SlabSpecimen<Specimen<M>, M>::model;
  static M model() { return model({2, {kBlocks, kG, kH, kGated}}); }
  static M wide() { return with_standard_reference<M>({70, {20, kG, kH, kGated}}); }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = std::string(M::kKind);
    options.hidden = {kG, kH};
    options.blocks = kBlocks;
    options.gate = kGated;
    return options;
  }
  static double bias(const typename M::Params& t, unsigned s) {
    double sum = 0;
    for (unsigned k = 0; k < kBlocks; ++k) {
      for (unsigned i = 0; i < kG; ++i) sum += (s >> (k * kG + i) & 1) != 0 ? t.latent.g_bias(k, i) : 0.0F;
      for (unsigned j = 0; j < kH; ++j)
        sum += (s >> (kBlocks * kG + k * kH + j) & 1) != 0 ? t.latent.h_bias(k, j) : 0.0F;
      if (kGated && (s >> (kBlocks * (kG + kH) + k) & 1) != 0) sum += t.latent.gate_bias[k];
    }
    return sum;
  }
  static bool gate(unsigned s, Index m) {
    const auto f = static_cast<unsigned>(m);
    const unsigned k = f / (kG * kH);
    const unsigned i = f % (kG * kH) / kH;
    const unsigned j = f % kH;
    return (s >> (k * kG + i) & s >> (kBlocks * kG + k * kH + j) &
            (kGated ? s >> (kBlocks * (kG + kH) + k) : 1) & 1) != 0;
  }
};
template <>
struct Specimen<BilinearSpikeSlabRbm> : BilinearSpecimen<BilinearSpikeSlabRbm, true, 2, 3, 1> {};
template <>
struct Specimen<BinaryBilinearSpikeSlabRbm> : BilinearSpecimen<BinaryBilinearSpikeSlabRbm, false, 3, 2, 1> {};

/// Two real hidden units on grids: a state is a place on each.
template <>
struct Specimen<BernoulliGaussianRbm> : SlabSpecimen<Specimen<BernoulliGaussianRbm>, BernoulliGaussianRbm> {
  static constexpr unsigned kHidden = 2;
  static constexpr unsigned kPlaces = 77;
  static constexpr double kGridStep = 0.25;
  static constexpr unsigned kStates = kPlaces * kPlaces;
  using SlabSpecimen::log_weight;
  using SlabSpecimen::model;
  static BernoulliGaussianRbm model() { return model({kVisible, {kHidden}}); }
  static BernoulliGaussianRbm wide() { return with_standard_reference<BernoulliGaussianRbm>({70, {51}}); }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = "bernoulli-rbm";
    options.hidden_units = "gaussian";
    options.hidden = {kHidden};
    return options;
  }
  static unsigned latent_units() { return kHidden; }
  static double latent_value(unsigned state, unsigned unit) {
    const unsigned place = unit == 0 ? state % kPlaces : state / kPlaces;
    return kGridStep * (static_cast<double>(place) - 0.5 * (kPlaces - 1));
  }
  static double log_weight(const BernoulliGaussianRbm::Params& t, double beta, const Point& v,
                           unsigned state) {
    double sum = -visible_energy(model().reference(), t.visible, beta, v);
    for (unsigned j = 0; j < kHidden; ++j) {
      const double h = latent_value(state, j);
      const double input =
          t.weights.col(j).cast<double>().dot(v) + static_cast<double>(t.latent.hidden_bias[j]);
      sum += beta * h * input - 0.5 * h * h + std::log(kGridStep);
    }
    return sum;
  }
  static void put(State& x, unsigned c, const Point& p, unsigned state) {
    SlabSpecimen::put(x, c, p, state);
    for (unsigned j = 0; j < kHidden; ++j) x.latent.hidden(j, c) = static_cast<float>(latent_value(state, j));
  }
  static unsigned latent(const State& x, unsigned c) {
    unsigned state = 0;
    for (unsigned j = kHidden; j-- > 0;) {
      const double place = static_cast<double>(x.latent.hidden(j, c)) / kGridStep + 0.5 * (kPlaces - 1);
      state = state * kPlaces + static_cast<unsigned>(std::lround(place));
    }
    return state;
  }
};

}  // namespace tempera
