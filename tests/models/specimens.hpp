// Small machines for the obligations of every model. A specimen knows its model by brute force alone: nothing
// here calls the code under test.
#pragma once

#include "tempera/core/math.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {

template <class M>
struct Specimen;

/// Visibles and latents of every specimen are numbered by the bits of an unsigned integer.
template <>
struct Specimen<BernoulliRbm> {
  static constexpr unsigned kVisible = 5;
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
    for (unsigned i = 0; i < kVisible; ++i) put(x.visible[i], c, v >> i & 1);
    for (unsigned j = 0; j < kLatent; ++j) put(x.hidden[j], c, h >> j & 1);
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
  static void put(Word& word, unsigned c, unsigned bit) { word = (word & ~(Word{1} << c)) | Word{bit} << c; }
  static unsigned number(const BitLayer& layer, unsigned c) {
    unsigned value = 0;
    for (std::size_t i = 0; i < layer.size(); ++i) value |= static_cast<unsigned>(layer[i] >> c & 1) << i;
    return value;
  }
};

}  // namespace tempera
