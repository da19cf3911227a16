// Small machines for the obligations of every model. A specimen knows its model by brute force alone: nothing
// here calls the code under test.
#pragma once

#include <array>

#include "tempera/core/math.hpp"
#include "tempera/models/all_models.hpp"

namespace tempera {

template <class M>
struct Specimen;

inline void put_bit(Word& word, unsigned c, unsigned bit) {
  word = (word & ~(Word{1} << c)) | Word{bit} << c;
}

/// Visibles and latents of every specimen are numbered by the bits of an unsigned integer. To a specimen
/// "visible" is what a chain keeps; the first kData of its bits are the model's visibles.
template <>
struct Specimen<BernoulliRbm> {
  static constexpr unsigned kVisible = 5;
  static constexpr unsigned kData = kVisible;
  static constexpr unsigned kLatent = 4;

  static BernoulliRbm model() {
    Vector reference(Index{kVisible});
    reference << 0.3F, -0.2F, 0.0F, 1.0F, -1.0F;
    return {kVisible, kLatent, reference};
  }

  /// Every field random: initial_params leaves hidden biases at 0.
  static BernoulliRbm::Params params(double scale, std::uint64_t seed) {
    auto theta = model().initial_params(StreamFactory{seed}, scale);
    const auto other = model().initial_params(StreamFactory{seed + 1000}, scale);
    theta.visible_bias = other.weights.col(0);
    theta.hidden_bias = other.weights.row(1).transpose();
    return theta;
  }

  static double energy(const BernoulliRbm::Params& theta, double beta, unsigned v, unsigned h) {
    const BernoulliRbm machine = model();
    double sum = 0;
    for (unsigned i = 0; i < kVisible; ++i) {
      if ((v >> i & 1) == 0) continue;
      sum += beta * theta.visible_bias[i] + (1 - beta) * machine.reference_bias()[i];
      for (unsigned j = 0; j < kLatent; ++j) sum += (h >> j & 1) != 0 ? beta * theta.weights(i, j) : 0.0;
    }
    for (unsigned j = 0; j < kLatent; ++j) sum += (h >> j & 1) != 0 ? beta * theta.hidden_bias[j] : 0.0;
    return -sum;
  }

  static void set(BernoulliRbm::State& x, unsigned c, unsigned v, unsigned h) {
    for (unsigned i = 0; i < kVisible; ++i) put_bit(x.visible[i], c, v >> i & 1);
    for (unsigned j = 0; j < kLatent; ++j) put_bit(x.hidden[j], c, h >> j & 1);
  }
  static unsigned visible(const BernoulliRbm::State& x, unsigned c) { return number(x.visible, c); }
  static unsigned latent(const BernoulliRbm::State& x, unsigned c) { return number(x.hidden, c); }

  /// Overwrites what is cached of the lanes from `first` on.
  static void poison(BernoulliRbm::Work& work, Index first, float value) {
    work.hidden_mean.rightCols(kLanes - first).setConstant(value);
  }

  static BernoulliRbm::Offsets offsets() {
    return {Vector::LinSpaced(kVisible, 0.1F, 0.9F), Vector::LinSpaced(kLatent, 0.8F, 0.3F)};
  }

 private:
  static unsigned number(const BitLayer& layer, unsigned c) {
    unsigned value = 0;
    for (std::size_t i = 0; i < layer.size(); ++i) value |= static_cast<unsigned>(layer[i] >> c & 1) << i;
    return value;
  }
};

/// Layers of 4, 3, 2 and 2 units: what a chain keeps is layers 0 and 2, the latents are layers 1 and 3.
template <>
struct Specimen<Dbm> {
  static constexpr std::array<unsigned, 4> kSizes = {4, 3, 2, 2};
  static constexpr unsigned kVisible = 6;
  static constexpr unsigned kData = 4;
  static constexpr unsigned kLatent = 5;

  static Dbm model() {
    Vector reference(4);
    reference << 0.3F, -0.2F, 1.0F, -1.0F;
    return {{4, 3, 2, 2}, reference};
  }

  static Dbm::Params params(double scale, std::uint64_t seed) {
    auto theta = model().initial_params(StreamFactory{seed}, scale);
    const auto other = model().initial_params(StreamFactory{seed + 1000}, scale);
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
    const Dbm machine = model();
    double sum = 0;
    for (unsigned k = 0; k < kSizes.size(); ++k) {
      for (unsigned i = 0; i < kSizes[k]; ++i) {
        if (!unit(k, i, v, h)) continue;
        sum += beta * theta.bias[k][i];
        if (k == 0) sum += (1 - beta) * machine.reference_bias()[i];
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

  static void poison(Dbm::Work& work, Index first, float value) {
    for (const std::size_t k : {1U, 3U}) work.mean[k].rightCols(kLanes - first).setConstant(value);
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
