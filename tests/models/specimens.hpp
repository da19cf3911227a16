// Small machines for the obligations of every model. A specimen knows its model by brute force alone: nothing
// here calls the code under test.
//
// A point is what a chain keeps and a free energy is a function of, as numbers: the visibles, and of deep
// machines the other even layers, the first kData numbers being the model's visibles. Binary latents are
// numbered by the bits of an unsigned integer, one layer after another, kStates in all; real ones by the
// places of a grid. A specimen has
//
//   model(), params(scale, seed)     the machine, and random parameters of every field
//   options()                        the options that ask for its shape
//   wide(), wide_params(model)       a machine of many units of the same kind
//   points(step)                     every point with its measure: a grid where they are real
//   cases(), data(points)            some points that hold cases, and the data set of these
//   points_of(point)                 every point that holds the same case
//   log_weight(theta, beta, p, s)    log of the weight of a point with one state of the binary latents
//   exact_log_weight(theta, p)       the same over all states at beta = 1, to many digits (for differences)
//   exact_log_z(theta)               log Z at beta = 1, to many digits
//   latent_units(), latent_value(s, unit)   how many latents there are, and the value of one in a state
//   put(x, lane, p, s), point(x, lane), latent(x, lane)   a lane of a block
//   latent_layers()                  layers of the model that hold the latents, in the order of their bits
//   poison(cache, first, value)      overwrites what is cached of the lanes from `first` on
//   kNumbered                        whether points are finitely many and a state is all that there is beside
//   kTolerance                       how far the model may be from the specimen
#pragma once

#include <array>
#include <bit>

#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {

template <class M>
struct Specimen;

using Point = Eigen::VectorXd;
using WeightedPoints = std::vector<std::pair<Point, double>>;

/// How far a model may be from its specimen: exact log Z, and that of beta = 0 where it is a sum of its own;
/// free energies of blocks, and of one case; gradients, against differences of this step.
struct Tolerance {
  double log_z;
  double free_energy;
  double one_case;
  double gradient;
  float step;
};

inline void put_bit(Word& word, unsigned c, unsigned bit) {
  word = (word & ~(Word{1} << c)) | Word{bit} << c;
}

/// The lowest n bits of a number as numbers, and back.
inline Point point_of(unsigned bits, Index n) {
  Point p(n);
  for (Index i = 0; i < n; ++i) p[i] = bits >> i & 1;
  return p;
}
inline unsigned bits_of(const Point& p) {
  unsigned bits = 0;
  for (Index i = 0; i < p.size(); ++i) bits |= p[i] != 0.0 ? 1U << i : 0U;
  return bits;
}

/// Cases of bits: the first values of points.
inline BinaryData binary_data(const std::vector<Point>& points, Index n_visible) {
  std::vector<std::uint8_t> bytes;
  for (const Point& p : points) {
    for (Index i = 0; i < n_visible; ++i) bytes.push_back(p[i] != 0.0 ? 1 : 0);
  }
  return {static_cast<Index>(points.size()), n_visible, bytes};
}

/// log of the sum of S's weights over the states of the latents.
template <class S, class Params>
double log_weight_of(const Params& theta, double beta, const Point& p) {
  LogSumExp sum;
  for (unsigned s = 0; s < S::kStates; ++s) sum.add(S::log_weight(theta, beta, p, s));
  return sum.value();
}

/// log Z by brute force.
template <class S, class Params>
double brute_log_z(const Params& theta, double beta, const WeightedPoints& points) {
  LogSumExp sum;
  for (const auto& [p, measure] : points) sum.add(log_weight_of<S>(theta, beta, p) + std::log(measure));
  return sum.value();
}

/// Specimens of bits alone: S has kVisible bits of a point, kData of which are visibles, kLatent bits of a
/// state, energy(theta, beta, v, h), and reads and writes lanes as numbers: set, visible, latent.
template <class S, class M>
struct NumberedSpecimen {
  using Params = typename M::Params;
  using State = typename M::State;
  static constexpr bool kNumbered = true;
  static constexpr Tolerance kTolerance{1e-10, 1e-5, 1e-12, 2e-4, 1.0F / 64};

  static M wide() { return S::model(); }
  static Params wide_params(const M&) { return S::params(0.9, 15); }
  static WeightedPoints points(double) {
    WeightedPoints all;
    for (unsigned v = 0; v < 1U << S::kVisible; ++v) all.emplace_back(point_of(v, S::kVisible), 1.0);
    return all;
  }
  static std::vector<Point> cases() {
    std::vector<Point> some;
    for (const unsigned v : {3U, 17U, 30U, 8U}) some.push_back(point_of(v, S::kVisible));
    return some;
  }
  static BinaryData data(const std::vector<Point>& points) { return binary_data(points, S::kData); }
  static std::vector<Point> points_of(const Point& p) {
    std::vector<Point> all;
    const unsigned v = bits_of(p) & ((1U << S::kData) - 1);
    for (unsigned rest = 0; rest < 1U << (S::kVisible - S::kData); ++rest)
      all.push_back(point_of(v | rest << S::kData, S::kVisible));
    return all;
  }
  static double log_weight(const Params& theta, double beta, const Point& p, unsigned state) {
    return -S::energy(theta, beta, bits_of(p), state);
  }
  static unsigned latent_units() { return S::kLatent; }
  static double latent_value(unsigned state, unsigned unit) { return state >> unit & 1; }
  static double exact_log_weight(const Params& theta, const Point& p) {
    return log_weight_of<S>(theta, 1.0, p);
  }
  static double exact_log_z(const Params& theta) { return brute_log_z<S>(theta, 1.0, S::points(0)); }
  static void put(State& x, unsigned c, const Point& p, unsigned state) { S::set(x, c, bits_of(p), state); }
  static Point point(const State& x, unsigned c) { return point_of(S::visible(x, c), S::kVisible); }
  /// The place of a point among points(0).
  static unsigned index_of(const Point& p) { return bits_of(p); }
};

/// Restricted machines: what their specimens have in common. S has kVisible and kLatent.
template <class S, class M>
struct RestrictedSpecimen : NumberedSpecimen<S, M> {
  using Params = typename M::Params;

  /// Every field random: initial_params leaves hidden biases at 0.
  static Params params(double scale, std::uint64_t seed) {
    auto theta = S::model().initial_params(StreamFactory{seed}, random_weights(scale));
    const auto other = S::model().initial_params(StreamFactory{seed + 1000}, random_weights(scale));
    theta.visible_bias = other.weights.col(0);
    theta.hidden_bias = other.weights.row(1).transpose();
    return theta;
  }

  static double energy(const Params& theta, double beta, unsigned v, unsigned h) {
    const Vector reference = S::model().reference().visible_bias;
    double sum = 0;
    for (unsigned i = 0; i < S::kVisible; ++i) {
      if ((v >> i & 1) == 0) continue;
      sum += beta * theta.visible_bias[i] + (1 - beta) * reference[i];
      for (unsigned j = 0; j < S::kLatent; ++j) sum += (h >> j & 1) != 0 ? beta * theta.weights(i, j) : 0.0;
    }
    for (unsigned j = 0; j < S::kLatent; ++j) sum += (h >> j & 1) != 0 ? beta * theta.hidden_bias[j] : 0.0;
    return -sum;
  }

  static void set(typename M::State& x, unsigned c, unsigned v, unsigned h) {
    for (unsigned i = 0; i < S::kVisible; ++i) put_bit(x.visible[i], c, v >> i & 1);
    for (unsigned j = 0; j < S::kLatent; ++j) put_bit(x.hidden[j], c, h >> j & 1);
  }
  static unsigned visible(const typename M::State& x, unsigned c) { return number(x.visible, c); }
  static unsigned latent(const typename M::State& x, unsigned c) { return number(x.hidden, c); }
  static std::vector<Index> latent_layers() { return {1}; }
  static void poison(typename M::BlockCache& cache, Index first, float value) {
    cache.hidden_mean.rightCols(kLanes - first).setConstant(value);
  }

  static typename M::Offsets offsets() {
    return {Vector::LinSpaced(S::kVisible, 0.1F, 0.9F), Vector::LinSpaced(S::kLatent, 0.8F, 0.3F)};
  }

 private:
  static unsigned number(const BitLayer& layer, unsigned c) {
    unsigned value = 0;
    for (std::size_t i = 0; i < layer.size(); ++i) value |= static_cast<unsigned>(layer[i] >> c & 1) << i;
    return value;
  }
};

template <>
struct Specimen<BernoulliRbm> : RestrictedSpecimen<Specimen<BernoulliRbm>, BernoulliRbm> {
  static constexpr unsigned kVisible = 5;
  static constexpr unsigned kData = kVisible;
  static constexpr unsigned kLatent = 4;
  static constexpr unsigned kStates = 1U << kLatent;

  static BernoulliRbm model() {
    Vector reference(Index{kVisible});
    reference << 0.3F, -0.2F, 0.0F, 1.0F, -1.0F;
    return {{kVisible, kLatent}, {reference}};
  }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = "bernoulli-rbm";
    options.hidden = {kLatent};
    return options;
  }
};

/// Three sites of 3, 2 and 4 letters, in four places each, and more hidden units than their states have bits.
template <>
struct Specimen<PottsRbm> : RestrictedSpecimen<Specimen<PottsRbm>, PottsRbm> {
  static constexpr std::array<unsigned, 3> kLetters = {3, 2, 4};
  static constexpr unsigned kMost = 4;
  static constexpr unsigned kVisible = 12;
  static constexpr unsigned kData = kVisible;
  static constexpr unsigned kLatent = 6;
  static constexpr unsigned kStates = 1U << kLatent;

  static Letters letters() { return Letters({kLetters.begin(), kLetters.end()}); }
  static PottsRbm model() {
    Vector reference(Index{kVisible});
    reference << 0.3F, -0.2F, 0.1F, 0.0F, 1.0F, -1.0F, 0.0F, 0.0F, 0.5F, 0.0F, -0.7F, 0.2F;
    return {{kVisible, kLatent, letters()}, {reference}};
  }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = "potts-rbm";
    options.hidden = {kLatent};
    options.letters = letters();
    return options;
  }
  static WeightedPoints points(double) {
    WeightedPoints all;
    for (unsigned a = 0; a < kLetters[0]; ++a) {
      for (unsigned b = 0; b < kLetters[1]; ++b) {
        for (unsigned c = 0; c < kLetters[2]; ++c) all.emplace_back(sequence(a, b, c), 1.0);
      }
    }
    return all;
  }
  static std::vector<Point> cases() {
    return {sequence(0, 0, 0), sequence(2, 1, 3), sequence(1, 0, 2), sequence(2, 0, 1)};
  }
  static CategoricalData data(const std::vector<Point>& points) {
    std::vector<std::uint8_t> codes;
    for (const Point& p : points) {
      for (unsigned s = 0; s < kLetters.size(); ++s) {
        std::uint8_t letter = 0;
        while (p[s * kMost + letter] == 0.0) ++letter;
        codes.push_back(letter);
      }
    }
    return {static_cast<Index>(points.size()), letters(), codes};
  }
  static std::vector<Point> points_of(const Point& p) { return {p}; }
  static unsigned index_of(const Point& p) {
    const WeightedPoints all = points(0);
    unsigned k = 0;
    while (k + 1 < all.size() && all[k].first != p) ++k;
    return k;
  }

 private:
  static Point sequence(unsigned a, unsigned b, unsigned c) {
    return point_of(1U << a | 1U << (kMost + b) | 1U << (2 * kMost + c), kVisible);
  }
};

/// Layers of 4, 3, 2 and 2 units: what a chain keeps is layers 0 and 2, the latents are layers 1 and 3.
template <>
struct Specimen<Dbm> : NumberedSpecimen<Specimen<Dbm>, Dbm> {
  static constexpr std::array<unsigned, 4> kSizes = {4, 3, 2, 2};
  static constexpr unsigned kVisible = 6;
  static constexpr unsigned kData = 4;
  static constexpr unsigned kLatent = 5;
  static constexpr unsigned kStates = 1U << kLatent;

  static Dbm model() {
    Vector reference(4);
    reference << 0.3F, -0.2F, 1.0F, -1.0F;
    return {{{4, 3, 2, 2}}, {reference}};
  }
  static MachineOptions options() {
    MachineOptions options;
    options.kind = "dbm";
    options.hidden = {3, 2, 2};
    return options;
  }

  static Dbm::Params params(double scale, std::uint64_t seed) {
    auto theta = model().initial_params(StreamFactory{seed}, random_weights(scale));
    const auto other = model().initial_params(StreamFactory{seed + 1000}, random_weights(scale));
    for (std::size_t k = 0; k < kSizes.size(); ++k)
      theta.bias[k] = Eigen::Map<const Vector>(other.weights[0].data() + 2 * k, kSizes[k]);
    return theta;
  }

  /// Unit i of a layer in a state: layers 0, 2 are in v, layers 1, 3 in h, one after another.
  static bool unit(unsigned layer, unsigned i, unsigned v, unsigned h) {
    const unsigned state = layer % 2 == 0 ? v : h;
    const unsigned first = layer < 2 ? 0 : kSizes[layer - 2];
    return (state >> (first + i) & 1) != 0;
  }

  static double energy(const Dbm::Params& theta, double beta, unsigned v, unsigned h) {
    const Vector reference = model().reference().bias_0;
    double sum = 0;
    for (unsigned k = 0; k < kSizes.size(); ++k) {
      for (unsigned i = 0; i < kSizes[k]; ++i) {
        if (!unit(k, i, v, h)) continue;
        sum += beta * theta.bias[k][i];
        if (k == 0) sum += (1 - beta) * reference[i];
        if (k + 1 == kSizes.size()) continue;
        for (unsigned j = 0; j < kSizes[k + 1]; ++j)
          sum += unit(k + 1, j, v, h) ? beta * theta.weights[k](i, j) : 0.0;
      }
    }
    return -sum;
  }

  static void set(Dbm::State& x, unsigned c, unsigned v, unsigned h) {
    for (unsigned k = 0; k < kSizes.size(); ++k) {
      for (unsigned i = 0; i < kSizes[k]; ++i) put_bit(x.layers[k][i], c, unit(k, i, v, h) ? 1 : 0);
    }
  }
  static unsigned visible(const Dbm::State& x, unsigned c) { return number(x, 0, c); }
  static unsigned latent(const Dbm::State& x, unsigned c) { return number(x, 1, c); }
  static std::vector<Index> latent_layers() { return {1, 3}; }
  static void poison(Dbm::BlockCache& cache, Index first, float value) {
    for (const std::size_t k : {1U, 3U}) cache.mean[k].rightCols(kLanes - first).setConstant(value);
  }

  static Dbm::Offsets offsets() {
    auto offsets = model().zero_offsets();
    for (std::size_t k = 0; k < kSizes.size(); ++k)
      offsets.layers[k] = Vector::LinSpaced(kSizes[k], 0.2F, 0.7F);
    return offsets;
  }

 private:
  static unsigned number(const Dbm::State& x, unsigned parity, unsigned c) {
    unsigned value = 0;
    unsigned bit = 0;
    for (unsigned k = parity; k < kSizes.size(); k += 2) {
      for (unsigned i = 0; i < kSizes[k]; ++i, ++bit)
        value |= static_cast<unsigned>(x.layers[k][i] >> c & 1) << bit;
    }
    return value;
  }
};

}  // namespace tempera
