#include "tempera/models/spike_slab.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <array>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <limits>
#include <numbers>

#include "bernoulli_units.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/bernoulli_rbm.hpp"
#include "tempera/models/layers.hpp"

namespace tempera {
namespace {

using Lanes = Eigen::Array<float, 1, kLanes>;
using LanesMap = Eigen::Map<Lanes, Eigen::Aligned64>;
using ConstLanesMap = Eigen::Map<const Lanes, Eigen::Aligned64>;
/// A part of a layer, on the stack.
struct alignas(64) Part : Eigen::Array<float, kProductUnits, kLanes, Eigen::RowMajor> {
  using Eigen::Array<float, kProductUnits, kLanes, Eigen::RowMajor>::Array;
};

constexpr double kTwoPi = 2.0 * std::numbers::pi;
/// Columns of the weights in a slice of the statistics.
constexpr Index kSliceColumns = 64;
/// Standard deviation of the logarithm of the spikes' first precisions.
constexpr double kSpikeJitter = 0.5;
/// How near to singular the precision of the visibles given the latents may come.
constexpr double kProper = 0.99;
/// Rounding that does not count.
constexpr double kSlack = 1.0001;
/// Steps of the power iteration, from nothing and from the last direction.
constexpr int kColdSteps = 200;
constexpr int kWarmSteps = 6;

Lanes lanes_of(const LaneFloats& values) { return Eigen::Map<const Lanes>(values.data()); }

/// 1 for the lanes that hold a chain.
Lanes lane_mask(Index lanes) {
  Lanes mask = Lanes::Zero();
  mask.head(lanes).setOnes();
  return mask;
}

LaneFloats ones() {
  LaneFloats one;
  one.fill(1.0F);
  return one;
}

/// log(1 + e^x).
Lanes softplus_lanes(const Lanes& x) { return x.max(0.0F) + (1.0F + (-x.abs()).exp()).log(); }
Lanes sigmoid_lanes(const Lanes& x) { return (1.0F + (-x).min(80.0F).exp()).inverse(); }

/// (1 - beta) reference + beta own.
Lanes mixed(float reference, float own, const Lanes& beta) { return reference + beta * (own - reference); }
double mixed(float reference, float own, double beta) {
  return (1.0 - beta) * static_cast<double>(reference) + beta * static_cast<double>(own);
}

void add_to(LaneDoubles& out, const Eigen::Array<double, 1, kLanes>& values, Index lanes) {
  for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += values[c];
}

// --- visibles: energies, draws, statistics -------------------------------------------------------------

/// Coefficients of a sparse visible's slab: t has precision P, linear term B, and a present one costs K.
template <class Number>
struct SlabTerms {
  Number precision;
  Number linear;
  Number cost;
};

template <class Beta>
auto sparse_terms(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, Index d,
                  const Beta& beta) {
  const float r = reference.visible_slab_precision[d];
  const float p = own.visible_slab_precision[d];
  const float mr = reference.visible_slab_mean[d];
  const float mp = own.visible_slab_mean[d];
  using Number = decltype(mixed(r, p, beta));
  return SlabTerms<Number>{mixed(r, p, beta), mixed(r * mr, p * mp, beta),
                           mixed(0.5F * r * mr * mr - reference.visible_spike_bias[d],
                                 0.5F * p * mp * mp - own.visible_spike_bias[d], beta)};
}

void add_energies(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  using Doubles = Eigen::Array<double, 1, kLanes>;
  Doubles at_reference = Doubles::Zero();
  Doubles at_own = Doubles::Zero();
  for (Index d = 0; d < v.rows(); ++d) {
    const Doubles x = v.row(d).array().cast<double>();
    const auto energy = [&](const GaussianVisibles::Params& p) {
      return x *
             (0.5 * static_cast<double>(p.visible_precision[d]) * x - static_cast<double>(p.visible_bias[d]));
    };
    at_reference += energy(reference);
    at_own += energy(own);
  }
  const Doubles beta = lanes_of(betas).cast<double>();
  add_to(out, at_reference + beta * (at_own - at_reference), lanes);
}

void add_energies(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
                  const LaneFloats& betas, const BitLayer& v, Index lanes, LaneDoubles& out) {
  LaneDoubles at_reference{};
  LaneDoubles at_own{};
  add_dots({v, lanes}, reference.visible_bias, at_reference);
  add_dots({v, lanes}, own.visible_bias, at_own);
  for (std::size_t c = 0; c < static_cast<std::size_t>(lanes); ++c)
    out[c] -= at_reference[c] + static_cast<double>(betas[c]) * (at_own[c] - at_reference[c]);
}

double sparse_energy(const SlabTerms<double>& terms, double v) {
  return v == 0.0 ? -0.5 * std::log(kTwoPi / terms.precision)
                  : 0.5 * terms.precision * v * v - terms.linear * v + terms.cost;
}

void add_energies(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out) {
  for (Index d = 0; d < v.rows(); ++d) {
    for (Index c = 0; c < lanes; ++c) {
      const auto k = static_cast<std::size_t>(c);
      out[k] += sparse_energy(sparse_terms(reference, own, d, static_cast<double>(betas[k])),
                              static_cast<double>(v(d, c)));
    }
  }
}

double energy_of(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum += v[d] * (0.5 * mixed(reference.visible_precision[d], own.visible_precision[d], beta) * v[d] -
                   mixed(reference.visible_bias[d], own.visible_bias[d], beta));
  return sum;
}

double energy_of(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum -= v[d] * mixed(reference.visible_bias[d], own.visible_bias[d], beta);
  return sum;
}

double energy_of(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d) sum += sparse_energy(sparse_terms(reference, own, d, beta), v[d]);
  return sum;
}

/// Draws a part of the visibles of a block; noise: memory for the part.
void draw_part(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer&, LaneMatrix& v) {
  Part noise;
  sample_normals(input.part, stream, 0, noise.data());
  const Lanes beta = lanes_of(betas);
  const Lanes mask = lane_mask(lanes);
  for (Index k = 0; k < input.part.size(); ++k) {
    const Index d = input.part.first + k;
    Lanes precision = mixed(reference.visible_precision[d], own.visible_precision[d], beta);
    if (input.precision != nullptr) precision += beta * ConstLanesMap(input.precision + k * kLanes);
    const Lanes drive = mixed(reference.visible_bias[d], own.visible_bias[d], beta) +
                        beta * ConstLanesMap(input.drive + k * kLanes);
    v.row(d) = (mask * (drive / precision + noise.row(k) * precision.rsqrt())).matrix();
  }
}

void draw_part(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer&, BitLayer& v) {
  Part logits;
  for (Index k = 0; k < input.part.size(); ++k)
    logits.row(k) = own.visible_bias[input.part.first + k] + ConstLanesMap(input.drive + k * kLanes);
  sample_units(logits.data(), input.part, betas, view(reference.visible_bias), lanes, stream, 0, v);
}

void draw_part(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer& spikes, LaneMatrix& v) {
  Part noise;
  Part logits;
  sample_normals(input.part, stream, 0, noise.data());
  const Lanes beta = lanes_of(betas);
  for (Index k = 0; k < input.part.size(); ++k) {
    const Index d = input.part.first + k;
    const auto terms = sparse_terms(reference, own, d, beta);
    const Lanes linear = terms.linear + beta * ConstLanesMap(input.drive + k * kLanes);
    logits.row(k) = 0.5F * linear.square() / terms.precision - terms.cost;
    v.row(d) = (linear / terms.precision + noise.row(k) * terms.precision.rsqrt()).matrix();
  }
  if (spikes.size() < static_cast<std::size_t>(v.rows())) spikes.resize(static_cast<std::size_t>(v.rows()));
  sample_units(logits.data(), input.part, ones(), {}, lanes, stream, 0, spikes);
  for (Index d = input.part.first; d < input.part.last; ++d) {
    const Word on = spikes[static_cast<std::size_t>(d)];
    for (Index c = 0; c < kLanes; ++c) v(d, c) = (on >> c & 1) != 0 ? v(d, c) : 0.0F;
  }
}

/// Expected visibles of a part at beta = 1.
Lanes mean_row(const GaussianVisibles::Params& own, Index d, const Lanes& drive, const Lanes& precision) {
  return (own.visible_bias[d] + drive) / (own.visible_precision[d] + precision);
}
Lanes mean_row(const BinaryVisibles::Params& own, Index d, const Lanes& drive, const Lanes&) {
  return sigmoid_lanes(own.visible_bias[d] + drive);
}
Lanes mean_row(const SparseVisibles::Params& own, Index d, const Lanes& drive, const Lanes&) {
  const float p = own.visible_slab_precision[d];
  const float mu = own.visible_slab_mean[d];
  const Lanes linear = p * mu + drive;
  return sigmoid_lanes(own.visible_spike_bias[d] - 0.5F * p * mu * mu + 0.5F * linear.square() / p) * linear /
         p;
}

/// In order: Eigen's own sum depends on where the memory begins.
double total_weight(const Eigen::Ref<const Vector>& weight) {
  double sum = 0.0;
  for (const float w : weight) sum += static_cast<double>(w);
  return sum;
}

/// Sums of -dE/d(parameters of the visibles) over the chains of one block.
GaussianVisibles::Params visible_sums(const GaussianVisibles::Params&, const LaneMatrix& v,
                                      const Eigen::Ref<const Vector>& weight) {
  const auto x = v.leftCols(weight.size());
  return {x * weight, -0.5F * (x.array().square().matrix() * weight)};
}

BinaryVisibles::Params visible_sums(const BinaryVisibles::Params&, const BitLayer& v,
                                    const Eigen::Ref<const Vector>& weight) {
  LaneFloats weights{};
  std::copy_n(weight.data(), weight.size(), weights.begin());
  Vector sum = Vector::Zero(static_cast<Index>(v.size()));
  add_bits(v, weights, sum);
  return {sum};
}

SparseVisibles::Params visible_sums(const SparseVisibles::Params& own, const LaneMatrix& v,
                                    const Eigen::Ref<const Vector>& weight) {
  const Eigen::ArrayXXf x = v.leftCols(weight.size()).array();
  const Vector on = (x != 0.0F).cast<float>().matrix() * weight;
  const Vector linear = x.matrix() * weight;
  const Vector squares = x.square().matrix() * weight;
  const auto p = own.visible_slab_precision.array();
  const auto mu = own.visible_slab_mean.array();
  SparseVisibles::Params sums;
  sums.visible_spike_bias = on;
  sums.visible_slab_mean = (p * (linear.array() - mu * on.array())).matrix();
  // A slab that is not seen has the variance 1 / precision.
  sums.visible_slab_precision =
      (-0.5F * squares.array() + mu * linear.array() - 0.5F * mu.square() * on.array() -
       0.5F * (static_cast<float>(total_weight(weight)) - on.array()) / p)
          .matrix();
  return sums;
}

double reference_log_z(const GaussianVisibles::Params& r) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_bias.size(); ++d) {
    const double p = r.visible_precision[d];
    const double a = r.visible_bias[d];
    sum += 0.5 * std::log(kTwoPi / p) + 0.5 * a * a / p;
  }
  return sum;
}
double reference_log_z(const BinaryVisibles::Params& r) {
  double sum = 0.0;
  for (const float a : r.visible_bias) sum += softplus(a);
  return sum;
}
double reference_log_z(const SparseVisibles::Params& r) {
  double sum = 0.0;
  for (Index d = 0; d < r.visible_spike_bias.size(); ++d)
    sum += softplus(r.visible_spike_bias[d]) +
           0.5 * std::log(kTwoPi / static_cast<double>(r.visible_slab_precision[d]));
  return sum;
}

/// The visibles of training's first machine.
GaussianVisibles::Params initial_visibles(const GaussianVisibles::Params& reference,
                                          const InitialValues& values) {
  GaussianVisibles::Params own = reference;
  if (values.visible_precision > 0) {
    own.visible_precision.setConstant(static_cast<float>(values.visible_precision));
    own.visible_bias =
        reference.visible_bias.cwiseQuotient(reference.visible_precision).cwiseProduct(own.visible_precision);
  }
  return own;
}
BinaryVisibles::Params initial_visibles(const BinaryVisibles::Params& reference, const InitialValues&) {
  return reference;
}
SparseVisibles::Params initial_visibles(const SparseVisibles::Params& reference, const InitialValues&) {
  return reference;
}

const Vector& precision_of(const GaussianVisibles::Params& p) { return p.visible_precision; }
const Vector& precision_of(const SparseVisibles::Params& p) { return p.visible_slab_precision; }

/// A real layer as it is, a binary one in floats.
const LaneMatrix& as_real(const LaneMatrix& v, LaneMatrix&) { return v; }
const LaneMatrix& as_real(const BitLayer& v, LaneMatrix& memory) {
  memory.resize(static_cast<Index>(v.size()), kLanes);
  unpack_lanes(v, memory);
  return memory;
}

void load_layer(const RealData& data, std::span<const Index> cases, LaneMatrix& v) {
  v.setZero();
  for (std::size_t c = 0; c < cases.size(); ++c) {
    const auto row = data.row(cases[c]);
    v.col(static_cast<Index>(c)) = Eigen::Map<const Vector>(row.data(), v.rows());
  }
}
void load_layer(const BinaryData& data, std::span<const Index> cases, BitLayer& v) {
  load_cases(data, cases, v);
}

Eigen::VectorXd case_values(std::span<const float> row, Index n) {
  return Eigen::Map<const Vector>(row.data(), n).cast<double>();
}
Eigen::VectorXd case_values(std::span<const Word> row, Index n) {
  Eigen::VectorXd v(n);
  for (Index d = 0; d < n; ++d)
    v[d] = static_cast<double>(row[static_cast<std::size_t>(d / 64)] >> (d % 64) & 1);
  return v;
}

// --- latents: shapes ---------------------------------------------------------------------------------------

Index filter_count(const HiddenUnits::Shape& s) { return s.n_hidden; }
Index filter_count(const PooledSpikes::Shape& s) { return s.n_spikes * s.n_slabs; }
Index filter_count(const BilinearBlocks::Shape& s) { return s.n_blocks * s.n_g * s.n_h; }

Index unit_count(const HiddenUnits::Shape& s) { return s.n_hidden; }
Index unit_count(const PooledSpikes::Shape& s) { return s.n_spikes; }
Index unit_count(const BilinearBlocks::Shape& s) { return s.n_blocks; }

/// Binary units of every kind, one kind after another.
std::vector<Index> binary_layers(const HiddenUnits::Shape& s) { return {s.n_hidden}; }
std::vector<Index> binary_layers(const PooledSpikes::Shape& s) { return {s.n_spikes}; }
std::vector<Index> binary_layers(const BilinearBlocks::Shape& s) {
  std::vector<Index> sizes = {s.n_blocks * s.n_g, s.n_blocks * s.n_h};
  if (s.gated) sizes.push_back(s.n_blocks);
  return sizes;
}

Index total(const std::vector<Index>& sizes) {
  Index sum = 0;
  for (const Index n : sizes) sum += n;
  return sum;
}

HiddenUnits::Params zero_latents(const HiddenUnits::Shape& s, Index, bool) {
  return {Vector::Zero(s.n_hidden)};
}
PooledSpikes::Params zero_latents(const PooledSpikes::Shape& s, Index n_visible, bool spike_precision) {
  return {Vector::Zero(s.n_spikes), Matrix::Zero(s.n_spikes, s.n_slabs), Matrix::Zero(s.n_spikes, s.n_slabs),
          spike_precision ? Matrix(Matrix::Zero(n_visible, s.n_spikes)) : Matrix()};
}
BilinearBlocks::Params zero_latents(const BilinearBlocks::Shape& s, Index, bool) {
  return {Matrix::Zero(s.n_blocks, s.n_g), Matrix::Zero(s.n_blocks, s.n_h),
          Vector::Zero(s.gated ? s.n_blocks : 0), Matrix::Zero(s.n_blocks, s.n_g * s.n_h),
          Matrix::Zero(s.n_blocks, s.n_g * s.n_h)};
}

void set_biases(HiddenUnits::Params& p, float value) { p.hidden_bias.setConstant(value); }
void set_biases(PooledSpikes::Params& p, float value) { p.spike_bias.setConstant(value); }
void set_biases(BilinearBlocks::Params& p, float value) {
  p.g_bias.setConstant(value);
  p.h_bias.setConstant(value);
  p.gate_bias.setConstant(value);
}

HiddenUnits::State new_latents(const HiddenUnits::Shape& s) {
  return {BitLayer(static_cast<std::size_t>(s.n_hidden))};
}
PooledSpikes::State new_latents(const PooledSpikes::Shape& s) {
  return {BitLayer(static_cast<std::size_t>(s.n_spikes)), LaneMatrix::Zero(filter_count(s), kLanes)};
}
BilinearBlocks::State new_latents(const BilinearBlocks::Shape& s) {
  const auto bits = [](Index n) { return BitLayer(static_cast<std::size_t>(n)); };
  return {bits(s.n_blocks * s.n_g), bits(s.n_blocks * s.n_h), bits(s.gated ? s.n_blocks : 0),
          LaneMatrix::Zero(filter_count(s), kLanes)};
}

/// Bits of a filter's gate.
Word gate_bits(const HiddenUnits::Shape&, const HiddenUnits::State& x, Index m) {
  return x.hidden[static_cast<std::size_t>(m)];
}
Word gate_bits(const PooledSpikes::Shape& s, const PooledSpikes::State& x, Index m) {
  return x.spikes[static_cast<std::size_t>(m / s.n_slabs)];
}
Word gate_bits(const BilinearBlocks::Shape& s, const BilinearBlocks::State& x, Index m) {
  const Index pairs = s.n_g * s.n_h;
  const Index block = m / pairs;
  const Index i = m % pairs / s.n_h;
  const Index j = m % s.n_h;
  Word bits =
      x.g[static_cast<std::size_t>(block * s.n_g + i)] & x.h[static_cast<std::size_t>(block * s.n_h + j)];
  if (s.gated) bits &= x.gate[static_cast<std::size_t>(block)];
  return bits;
}

Lanes bits_to_lanes(Word bits) {
  Lanes out;
  for (Index c = 0; c < kLanes; ++c) out[c] = static_cast<float>(bits >> c & 1);
  return out;
}

/// What a filter whose gate is on adds to the log-weight of its units: beta^2 (x + alpha mu)^2 / (2 alpha) -
/// beta alpha mu^2 / 2, or beta x without slabs.
template <class Latent, class X, class Beta>
auto strength(const Latent& p, Index m, const X& x, const Beta& beta) {
  using Result = std::conditional_t<std::is_arithmetic_v<Beta>, double, Lanes>;
  using Number = std::conditional_t<std::is_arithmetic_v<Beta>, double, float>;
  if constexpr (std::is_same_v<Latent, HiddenUnits::Params>) {
    return Result(beta * x);
  } else {
    const auto alpha = static_cast<Number>(p.slab_precision.data()[m]);
    const auto mu = static_cast<Number>(p.slab_mean.data()[m]);
    const Result driven = beta * (x + alpha * mu);
    return Result(driven * driven * (Number{0.5} / alpha) - beta * (Number{0.5} * alpha * mu * mu));
  }
}

// --- blocks of two factor groups ---------------------------------------------------------------------------

/// One block: the smaller group is enumerated ("outer"), the units of the other one ("inner") are independent
/// given it. Number is a row of lanes or a double.
template <class Number>
struct Block {
  Index n_outer = 0;
  Index n_inner = 0;
  bool outer_is_g = true;
  bool gated = false;
  std::vector<Number> coupling;    // [outer * n_inner + inner]
  std::vector<Number> outer_bias;  // times beta, as all of these
  std::vector<Number> inner_bias;
  Number gate_bias{};

  /// Filter of a pair of units, numbered within the block.
  [[nodiscard]] Index filter(Index outer, Index inner) const {
    return outer_is_g ? outer * n_inner + inner : inner * n_outer + outer;
  }
  /// States of the outer group, times two where there is a gate: state s has the gate on where s >= 2^n_outer
  /// or there is none.
  [[nodiscard]] Index states() const { return (gated ? 2 : 1) * (Index{1} << n_outer); }
  [[nodiscard]] bool gate_on(Index state) const { return !gated || state >= (Index{1} << n_outer); }
  [[nodiscard]] bool outer_on(Index state, Index unit) const { return (state >> unit & 1) != 0; }

  /// Logits of the inner units in a state, and the log of what outer units and gate weigh by themselves.
  Number inner_logits(Index state, std::vector<Number>& logits) const {
    Number own = zero();
    logits = inner_bias;
    if (gated && gate_on(state)) own += gate_bias;
    for (Index o = 0; o < n_outer; ++o) {
      if (!outer_on(state, o)) continue;
      own += outer_bias[static_cast<std::size_t>(o)];
      if (!gate_on(state)) continue;
      for (Index i = 0; i < n_inner; ++i)
        logits[static_cast<std::size_t>(i)] += coupling[static_cast<std::size_t>(o * n_inner + i)];
    }
    return own;
  }

  static Number zero() {
    if constexpr (std::is_same_v<Number, double>) {
      return 0.0;
    } else {
      return Number::Zero();
    }
  }
};

template <class Number, class X, class Beta>
Block<Number> block_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, Index k, const X& x,
                       const Beta& beta) {
  Block<Number> block;
  block.outer_is_g = s.n_g <= s.n_h;
  block.n_outer = std::min(s.n_g, s.n_h);
  block.n_inner = std::max(s.n_g, s.n_h);
  block.gated = s.gated;
  const auto scaled = [&](float bias) { return Number(beta * bias); };
  const Matrix& outer = block.outer_is_g ? p.g_bias : p.h_bias;
  const Matrix& inner = block.outer_is_g ? p.h_bias : p.g_bias;
  for (Index o = 0; o < block.n_outer; ++o) block.outer_bias.push_back(scaled(outer(k, o)));
  for (Index i = 0; i < block.n_inner; ++i) block.inner_bias.push_back(scaled(inner(k, i)));
  if (s.gated) block.gate_bias = scaled(p.gate_bias[k]);
  for (Index o = 0; o < block.n_outer; ++o) {
    for (Index i = 0; i < block.n_inner; ++i) {
      const Index m = k * s.n_g * s.n_h + block.filter(o, i);
      block.coupling.push_back(Number(strength(p, m, x(m), beta)));
    }
  }
  return block;
}

/// The law of a block's states in every lane.
struct BlockLaw {
  Block<Lanes> block;
  std::vector<Lanes> probability;  // of every state of outer units and gate
  Lanes log_weight;                // log of the sum of all weights
  std::vector<Lanes> logits;       // memory

  explicit BlockLaw(Block<Lanes> of) : block(std::move(of)) {
    Lanes largest = Lanes::Constant(-std::numeric_limits<float>::infinity());
    for (Index s = 0; s < block.states(); ++s) {
      Lanes sum = block.inner_logits(s, logits);
      for (const Lanes& logit : logits) sum += softplus_lanes(logit);
      largest = largest.max(sum);
      probability.push_back(sum);
    }
    Lanes sum = Lanes::Zero();
    for (Lanes& p : probability) {
      p = (p - largest).exp();
      sum += p;
    }
    log_weight = largest + sum.log();
    for (Lanes& p : probability) p /= sum;
  }
};

BlockLaw law_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, Index k,
                const LaneMatrix& input, const LaneFloats& betas) {
  const Lanes beta = lanes_of(betas);
  return BlockLaw(block_of<Lanes>(
      s, p, k, [&](Index m) { return input.row(m).array(); }, beta));
}

// --- latents: weights, expectations, draws -----------------------------------------------------------------

/// Logits of a spike or hidden unit.
void unit_logits(const HiddenUnits::Shape&, const HiddenUnits::Params& p, Index j, const LaneMatrix& input,
                 const LaneMatrix&, const Lanes& beta, Lanes& out) {
  out = beta * (p.hidden_bias[j] + input.row(j).array());
}
void unit_logits(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, Index i,
                 const LaneMatrix& input, const LaneMatrix& quadratic, const Lanes& beta, Lanes& out) {
  out = beta * (p.spike_bias[i] - quadratic.row(i).array());
  for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m)
    out += strength(p, m, input.row(m).array(), beta);
}

template <class S, class P>
void add_log_weights(const S& s, const P& p, const LaneMatrix& input, const LaneMatrix& quadratic,
                     const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  const Lanes beta = lanes_of(betas);
  const LaneFloats one = ones();
  LaneMatrix logits(kProductUnits, kLanes);
  for (Index first = 0; first < unit_count(s); first += kProductUnits) {
    const Index n = std::min(kProductUnits, unit_count(s) - first);
    if (logits.rows() != n) logits.resize(n, kLanes);
    Lanes row;
    for (Index k = 0; k < n; ++k) {
      unit_logits(s, p, first + k, input, quadratic, beta, row);
      logits.row(k) = row.matrix();
    }
    add_softplus(logits, one, lanes, out);
  }
}
void add_log_weights(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, const LaneMatrix& input,
                     const LaneMatrix&, const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  for (Index k = 0; k < s.n_blocks; ++k)
    add_to(out, law_of(s, p, k, input, betas).log_weight.cast<double>(), lanes);
}

double log_weight_of(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd&) {
  double sum = 0.0;
  for (Index j = 0; j < s.n_hidden; ++j)
    sum += softplus(beta * (static_cast<double>(p.hidden_bias[j]) + x[j]));
  return sum;
}
double log_weight_of(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd& quadratic) {
  double sum = 0.0;
  for (Index i = 0; i < s.n_spikes; ++i) {
    double logit = beta * (static_cast<double>(p.spike_bias[i]) - quadratic[i]);
    for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m) logit += strength(p, m, x[m], beta);
    sum += softplus(logit);
  }
  return sum;
}
double log_weight_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, double beta,
                     const Eigen::VectorXd& x, const Eigen::VectorXd&) {
  double all = 0.0;
  std::vector<double> logits;
  for (Index k = 0; k < s.n_blocks; ++k) {
    const Block<double> block = block_of<double>(
        s, p, k, [&](Index m) { return x[m]; }, beta);
    LogSumExp sum;
    for (Index state = 0; state < block.states(); ++state) {
      double weight = block.inner_logits(state, logits);
      for (const double logit : logits) weight += softplus(logit);
      sum.add(weight);
    }
    all += sum.value();
  }
  return all;
}

template <class S, class P>
void expect_units(const S& s, const P& p, UnitRange range, const LaneMatrix& input,
                  const LaneMatrix& quadratic, const LaneFloats& betas, LaneMatrix& gate, LaneMatrix& units) {
  const Lanes beta = lanes_of(betas);
  const Index each = filter_count(s) / unit_count(s);
  Lanes row;
  for (Index i = range.first; i < range.last; ++i) {
    unit_logits(s, p, i, input, quadratic, beta, row);
    row = sigmoid_lanes(row);
    units.row(i) = row.matrix();
    for (Index m = i * each; m < (i + 1) * each; ++m) gate.row(m) = row.matrix();
  }
}
void expect_units(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix&, const LaneFloats& betas, LaneMatrix& gate,
                  LaneMatrix& units) {
  const Index first_h = s.n_blocks * s.n_g;
  const Index first_gate = first_h + s.n_blocks * s.n_h;
  for (Index k = range.first; k < range.last; ++k) {
    BlockLaw law = law_of(s, p, k, input, betas);
    const Block<Lanes>& block = law.block;
    const Index g = k * s.n_g;
    const Index h = first_h + k * s.n_h;
    const Index outer = block.outer_is_g ? g : h;
    const Index inner = block.outer_is_g ? h : g;
    units.middleRows(g, s.n_g).setZero();
    units.middleRows(h, s.n_h).setZero();
    if (s.gated) units.row(first_gate + k).setZero();
    const Index first = k * s.n_g * s.n_h;
    gate.middleRows(first, s.n_g * s.n_h).setZero();
    for (Index state = 0; state < block.states(); ++state) {
      const Lanes& weight = law.probability[static_cast<std::size_t>(state)];
      block.inner_logits(state, law.logits);
      if (s.gated && block.gate_on(state)) units.row(first_gate + k).array() += weight;
      for (Index o = 0; o < block.n_outer; ++o) {
        if (block.outer_on(state, o)) units.row(outer + o).array() += weight;
      }
      for (Index i = 0; i < block.n_inner; ++i) {
        const Lanes on = weight * sigmoid_lanes(law.logits[static_cast<std::size_t>(i)]);
        units.row(inner + i).array() += on;
        if (!block.gate_on(state)) continue;
        for (Index o = 0; o < block.n_outer; ++o) {
          if (block.outer_on(state, o)) gate.row(first + block.filter(o, i)).array() += on;
        }
      }
    }
  }
}

/// Bit sites that the units of a range take, before it and in all.
Index sites_before(const HiddenUnits::Shape&, Index unit) { return unit; }
Index sites_before(const PooledSpikes::Shape&, Index unit) { return unit; }
Index sites_before(const BilinearBlocks::Shape& s, Index unit) {
  return unit * (kUnitAlignment + aligned_units(std::max(s.n_g, s.n_h)));
}

template <class S, class P>
void draw_bits(const S& s, const P& p, UnitRange range, const LaneMatrix& input, const LaneMatrix& quadratic,
               const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
               BitLayer& out) {
  const Lanes beta = lanes_of(betas);
  const LaneFloats one = ones();
  for_each_part(range, [&](UnitRange part) {
    Part logits;
    Lanes row;
    for (Index i = part.first; i < part.last; ++i) {
      unit_logits(s, p, i, input, quadratic, beta, row);
      logits.row(i - part.first) = row;
    }
    sample_units(logits.data(), part, one, {}, lanes, stream, static_cast<std::uint32_t>(first_site), out);
  });
}
void draw_latents(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, HiddenUnits::State& x) {
  draw_bits(s, p, range, input, quadratic, betas, lanes, stream, first_site, x.hidden);
}
void draw_latents(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix& quadratic, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, PooledSpikes::State& x) {
  draw_bits(s, p, range, input, quadratic, betas, lanes, stream, first_site, x.spikes);
}
void draw_latents(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, UnitRange range,
                  const LaneMatrix& input, const LaneMatrix&, const LaneFloats& betas, Index lanes,
                  const LaneStream& stream, Index first_site, BilinearBlocks::State& x) {
  const LaneFloats one = ones();
  const Word valid = first_lanes(lanes);
  QuadDraws draws;
  for (Index k = range.first; k < range.last; ++k) {
    const auto site = static_cast<std::uint32_t>(first_site + sites_before(s, k));
    BlockLaw law = law_of(s, p, k, input, betas);
    const Block<Lanes>& block = law.block;
    // The state of outer units and gate: a draw of 32 bits against the cumulative probabilities.
    draw_quad(stream, site / static_cast<std::uint32_t>(kUnitAlignment), draws);
    Lanes u;
    for (Index c = 0; c < kLanes; ++c)
      u[c] = (static_cast<float>(draws[0][static_cast<std::size_t>(c)] >> 1) + 0.5F) * 0x1p-31F;
    Lanes cumulative = Lanes::Zero();
    Eigen::Array<Index, 1, kLanes> state = Eigen::Array<Index, 1, kLanes>::Zero();
    for (Index s2 = 0; s2 + 1 < block.states(); ++s2) {
      cumulative += law.probability[static_cast<std::size_t>(s2)];
      state += (u >= cumulative).cast<Index>();
    }
    // The inner units given it.
    std::vector<Lanes> logits = block.inner_bias;
    Lanes gate = Lanes::Ones();
    Word gate_word = 0;
    for (Index c = 0; c < kLanes; ++c) {
      if (block.gate_on(state[c])) {
        gate_word |= Word{1} << c;
      } else {
        gate[c] = 0.0F;
      }
    }
    BitLayer& outer_bits = block.outer_is_g ? x.g : x.h;
    BitLayer& inner_bits = block.outer_is_g ? x.h : x.g;
    for (Index o = 0; o < block.n_outer; ++o) {
      Word bits = 0;
      Lanes on = Lanes::Zero();
      for (Index c = 0; c < kLanes; ++c) {
        if (!block.outer_on(state[c], o)) continue;
        bits |= Word{1} << c;
        on[c] = gate[c];
      }
      outer_bits[static_cast<std::size_t>(k * block.n_outer + o)] = bits & valid;
      for (Index i = 0; i < block.n_inner; ++i)
        logits[static_cast<std::size_t>(i)] +=
            on * block.coupling[static_cast<std::size_t>(o * block.n_inner + i)];
    }
    if (s.gated) x.gate[static_cast<std::size_t>(k)] = gate_word & valid;
    LaneMatrix rows(block.n_inner, kLanes);
    for (Index i = 0; i < block.n_inner; ++i) rows.row(i) = logits[static_cast<std::size_t>(i)].matrix();
    BitLayer drawn(static_cast<std::size_t>(block.n_inner));
    sample_units(rows.data(), {0, block.n_inner}, one, {}, lanes, stream,
                 site + static_cast<std::uint32_t>(kUnitAlignment), drawn);
    std::copy(drawn.begin(), drawn.end(), inner_bits.begin() + k * block.n_inner);
  }
}

void draw_fair(const HiddenUnits::Shape& s, Index lanes, const LaneStream& stream, Index first_site,
               HiddenUnits::State& x) {
  const LaneMatrix input = LaneMatrix::Zero(s.n_hidden, kLanes);
  sample_units(input.data(), {0, s.n_hidden}, ones(), {}, lanes, stream,
               static_cast<std::uint32_t>(first_site), x.hidden);
}
void draw_fair(const PooledSpikes::Shape& s, Index lanes, const LaneStream& stream, Index first_site,
               PooledSpikes::State& x) {
  const LaneMatrix input = LaneMatrix::Zero(s.n_spikes, kLanes);
  sample_units(input.data(), {0, s.n_spikes}, ones(), {}, lanes, stream,
               static_cast<std::uint32_t>(first_site), x.spikes);
}
void draw_fair(const BilinearBlocks::Shape&, Index lanes, const LaneStream& stream, Index first_site,
               BilinearBlocks::State& x) {
  Index site = first_site;
  for (BitLayer* layer : {&x.g, &x.h, &x.gate}) {
    const auto n = static_cast<Index>(layer->size());
    const LaneMatrix input = LaneMatrix::Zero(n, kLanes);
    if (n > 0)
      sample_units(input.data(), {0, n}, ones(), {}, lanes, stream, static_cast<std::uint32_t>(site), *layer);
    site += aligned_units(n);
  }
}

/// Sums of expected binary units, into the biases: units one kind after another.
void put_bias_sums(const HiddenUnits::Shape&, const Vector& units, HiddenUnits::Params& sums) {
  sums.hidden_bias += units;
}
void put_bias_sums(const PooledSpikes::Shape&, const Vector& units, PooledSpikes::Params& sums) {
  sums.spike_bias += units;
}
void put_bias_sums(const BilinearBlocks::Shape& s, const Vector& units, BilinearBlocks::Params& sums) {
  const Index n_g = s.n_blocks * s.n_g;
  const Index n_h = s.n_blocks * s.n_h;
  Eigen::Map<Vector>(sums.g_bias.data(), n_g) += units.head(n_g);
  Eigen::Map<Vector>(sums.h_bias.data(), n_h) += units.segment(n_g, n_h);
  if (s.gated) sums.gate_bias += units.tail(s.n_blocks);
}

/// Own log-weight of a state of the binary units, and the filters whose gate is on.
template <class Configuration>
Configuration configuration_of(const HiddenUnits::Shape& s, const HiddenUnits::Params& p, double beta,
                               Word state) {
  Configuration found;
  for (Index j = 0; j < s.n_hidden; ++j) {
    if ((state >> j & 1) == 0) continue;
    found.log_weight += beta * static_cast<double>(p.hidden_bias[j]);
    found.active.push_back(j);
  }
  return found;
}
template <class Configuration>
Configuration configuration_of(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, double beta,
                               Word state) {
  Configuration found;
  for (Index i = 0; i < s.n_spikes; ++i) {
    if ((state >> i & 1) == 0) continue;
    found.log_weight += beta * static_cast<double>(p.spike_bias[i]);
    found.spikes.push_back(i);
    for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m) found.active.push_back(m);
  }
  return found;
}
template <class Configuration>
Configuration configuration_of(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, double beta,
                               Word state) {
  Configuration found;
  const Index first_h = s.n_blocks * s.n_g;
  const Index first_gate = first_h + s.n_blocks * s.n_h;
  const auto on = [&](Index bit) { return (state >> bit & 1) != 0; };
  for (Index k = 0; k < s.n_blocks; ++k) {
    const bool open = !s.gated || on(first_gate + k);
    if (s.gated && open) found.log_weight += beta * static_cast<double>(p.gate_bias[k]);
    for (Index j = 0; j < s.n_h; ++j) {
      if (on(first_h + k * s.n_h + j)) found.log_weight += beta * static_cast<double>(p.h_bias(k, j));
    }
    for (Index i = 0; i < s.n_g; ++i) {
      if (!on(k * s.n_g + i)) continue;
      found.log_weight += beta * static_cast<double>(p.g_bias(k, i));
      for (Index j = 0; j < s.n_h; ++j) {
        if (open && on(first_h + k * s.n_h + j)) found.active.push_back((k * s.n_g + i) * s.n_h + j);
      }
    }
  }
  return found;
}

std::vector<std::uint64_t> sizes(std::initializer_list<Index> list) { return {list.begin(), list.end()}; }

std::vector<std::uint64_t> dims(const HiddenUnits::Shape&, Index, std::string_view) { return {}; }
std::vector<std::uint64_t> dims(const PooledSpikes::Shape& s, Index n_visible, std::string_view field) {
  if (field == "weights") return sizes({n_visible, s.n_spikes, s.n_slabs});
  return {};
}
std::vector<std::uint64_t> dims(const BilinearBlocks::Shape& s, Index n_visible, std::string_view field) {
  if (field == "weights") return sizes({n_visible, s.n_blocks, s.n_g, s.n_h});
  if (field.starts_with("slab_")) return sizes({s.n_blocks, s.n_g, s.n_h});
  return {};
}

std::vector<std::pair<std::string, Index>> names_of(const HiddenUnits::Shape& s) {
  return {{"n_hidden", s.n_hidden}};
}
std::vector<std::pair<std::string, Index>> names_of(const PooledSpikes::Shape& s) {
  return {{"n_spikes", s.n_spikes}, {"n_slabs", s.n_slabs}};
}
std::vector<std::pair<std::string, Index>> names_of(const BilinearBlocks::Shape& s) {
  return {{"n_blocks", s.n_blocks}, {"n_g", s.n_g}, {"n_h", s.n_h}, {"gated", s.gated ? 1 : 0}};
}

}  // namespace

// --- reference machines of data --------------------------------------------------------------------------

GaussianVisibles::Reference GaussianVisibles::fit_reference(const RealData& data) {
  const Eigen::VectorXd variance = data.variances().cwiseMax(1e-4);
  Reference reference;
  reference.visible_precision = variance.cwiseInverse().cast<float>();
  reference.visible_bias = data.means().cwiseQuotient(variance).cast<float>();
  return reference;
}

BinaryVisibles::Reference BinaryVisibles::fit_reference(const BinaryData& data) {
  return {smoothed_logits(data.means(), data.n_cases())};
}

SparseVisibles::Reference SparseVisibles::fit_reference(const RealData& data) {
  Reference reference = standard_reference(data.n_visible());
  Eigen::VectorXd frequency(data.n_visible());
  for (Index d = 0; d < data.n_visible(); ++d) {
    MeanVariance seen;
    for (Index n = 0; n < data.n_cases(); ++n) {
      if (data.value(n, d) != 0.0F) seen.add(static_cast<double>(data.value(n, d)));
    }
    frequency[d] = seen.count() / static_cast<double>(data.n_cases());
    if (seen.count() == 0) continue;
    reference.visible_slab_mean[d] = static_cast<float>(seen.mean());
    reference.visible_slab_precision[d] =
        static_cast<float>(seen.count() > 1 ? 1.0 / std::max(1e-4, seen.variance()) : 1.0);
  }
  reference.visible_spike_bias = smoothed_logits(frequency, data.n_cases());
  return reference;
}

// --- the machine -------------------------------------------------------------------------------------------

template <class V, class L>
SpikeSlab<V, L>::SpikeSlab(Shape shape, Reference reference)
    : shape_(std::move(shape)), reference_(std::move(reference)) {}

template <class V, class L>
Index SpikeSlab<V, L>::filters() const {
  return filter_count(shape_.latents);
}

template <class V, class L>
bool SpikeSlab<V, L>::operator==(const SpikeSlab& other) const {
  return shape_ == other.shape_ && equal_fields(reference_, other.reference_);
}

template <class V, class L>
auto SpikeSlab<V, L>::zero_params() const -> Params {
  return {Matrix::Zero(n_visible(), filters()), V::zero_params(n_visible()),
          zero_latents(shape_.latents, n_visible(), kSpikePrecision)};
}

template <class V, class L>
auto SpikeSlab<V, L>::new_state() const -> State {
  return {V::new_layer(n_visible()), new_latents(shape_.latents)};
}

template <class V, class L>
auto SpikeSlab<V, L>::new_work(Index lanes) const -> Work {
  Work work;
  work.lanes = lanes;
  work.input = LaneMatrix::Zero(filters(), kLanes);
  work.quadratic = LaneMatrix::Zero(latents(), kLanes);
  work.gate = LaneMatrix::Zero(filters(), kLanes);
  work.response = LaneMatrix::Zero(filters(), kLanes);
  work.units = LaneMatrix::Zero(total(binary_layers(shape_.latents)), kLanes);
  return work;
}

template <class V, class L>
void SpikeSlab<V, L>::load(const Data& data, std::span<const Index> cases, State& x) const {
  load_layer(data, cases, x.visible);
}

template <class V, class L>
Index SpikeSlab<V, L>::latents() const {
  return unit_count(shape_.latents);
}

template <class V, class L>
UnitRange SpikeSlab<V, L>::filters_of(UnitRange units) const {
  const Index each = filters() / latents();
  return {units.first * each, units.last * each};
}

template <class V, class L>
bool SpikeSlab<V, L>::has_spike_precision(const Params& theta) {
  if constexpr (kSpikePrecision) {
    return (theta.latent.spike_precision.array() != 0.0F).any();
  } else {
    return false;
  }
}

template <class V, class L>
Index SpikeSlab<V, L>::stage_units(Index stage) const {
  if (stage < first_stage()) return 1;  // one task: all lanes
  return stage == first_stage() ? n_visible() : latents();
}

template <class V, class L>
Index SpikeSlab<V, L>::latent_sites() const {
  return aligned_units(sites_before(shape_.latents, latents()));
}

template <class V, class L>
void SpikeSlab<V, L>::resample(Index stage, UnitRange units, const Params& theta,
                               const Panel<SpikeSlab>& panel, Scratch& scratch,
                               const LaneStream& stream) const {
  const auto block = [&](std::size_t b) { return stream.block(static_cast<Index>(b)); };
  if (stage < first_stage()) {
    for (std::size_t b = 0; b < panel.states.size(); ++b)
      draw_slabs_jointly(theta, panel.betas[b], panel.states[b], panel.works[b].lanes, scratch, block(b));
    return;
  }
  if (stage == first_stage()) {
    draw_visibles(units, theta, panel, scratch, stream);
    return;
  }
  infer(units, theta, panel, scratch);
  const Index site = aligned_units(n_visible());
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    draw_units(units, theta, panel.betas[b], panel.works[b], block(b), site, panel.states[b]);
    draw_slabs(filters_of(units), theta, panel.betas[b], panel.works[b], block(b), site, panel.states[b]);
  }
}

template <class V, class L>
void SpikeSlab<V, L>::draw_units(UnitRange units, const Params& theta, const LaneFloats& beta,
                                 const Work& work, const LaneStream& stream, Index first_site,
                                 State& x) const {
  draw_latents(shape_.latents, theta.latent, units, work.input, work.quadratic, beta, work.lanes, stream,
               first_site, x.latent);
}

template <class V, class L>
void SpikeSlab<V, L>::draw_slabs(UnitRange range, const Params& theta, const LaneFloats& betas,
                                 const Work& work, const LaneStream& stream, Index first_site,
                                 State& x) const {
  if constexpr (kSlabs) {
    const Lanes beta = lanes_of(betas);
    const Lanes mask = lane_mask(work.lanes);
    for_each_part(range, [&](UnitRange part) {
      Part noise;
      sample_normals(part, stream, static_cast<std::uint32_t>(first_site), noise.data());
      for (Index m = part.first; m < part.last; ++m) {
        const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
        const float mean = root * theta.latent.slab_mean.data()[m];
        const Lanes gate = bits_to_lanes(gate_bits(shape_.latents, x.latent, m));
        x.latent.slabs.row(m) = (mask * (noise.row(m - part.first) +
                                         gate * beta * (mean + work.input.row(m).array() * (1.0F / root))))
                                    .matrix();
      }
    });
  }
}

template <class V, class L>
void SpikeSlab<V, L>::gate_lanes(const State& x, Index filter, Lanes& out) const {
  out = bits_to_lanes(gate_bits(shape_.latents, x.latent, filter));
}

template <class V, class L>
void SpikeSlab<V, L>::draw_visibles(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                                    Scratch& scratch, const LaneStream& stream) const {
  const bool spike_precision = has_spike_precision(theta);
  scratch.drive.resize(filters(), kLanes);
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    State& x = panel.states[b];
    for (Index m = 0; m < filters(); ++m) {
      Lanes gate;
      gate_lanes(x, m, gate);
      if constexpr (kSlabs) {
        const float scale = 1.0F / std::sqrt(theta.latent.slab_precision.data()[m]);
        gate *= scale * x.latent.slabs.row(m).array();
      }
      scratch.drive.row(m) = gate.matrix();
    }
    if constexpr (kSpikePrecision) {
      if (spike_precision) {
        scratch.gates.resize(latents(), kLanes);
        unpack_lanes(x.latent.spikes, scratch.gates);
      }
    }
    for_each_part(units, [&](UnitRange part) {
      Part drive;
      Part precision;
      real_input_from_columns(theta.weights, scratch.drive, part, nullptr, drive.data());
      if constexpr (kSpikePrecision) {
        if (spike_precision)
          real_input_from_columns(theta.latent.spike_precision, scratch.gates, part, nullptr,
                                  precision.data());
      }
      draw_part(reference_, theta.visible, {part, drive.data(), spike_precision ? precision.data() : nullptr},
                panel.betas[b], panel.works[b].lanes, stream.block(static_cast<Index>(b)), scratch.spikes,
                x.visible);
    });
  }
}

template <class V, class L>
void SpikeSlab<V, L>::draw_slabs_jointly(const Params& theta, const LaneFloats& betas, State& x, Index lanes,
                                         Scratch& scratch, const LaneStream& stream) const {
  if constexpr (kSlabs && std::is_same_v<V, GaussianVisibles>) {
    const Index n = filters();
    scratch.noise.resize(n, kLanes);
    sample_normals({0, n}, stream,
                   static_cast<std::uint32_t>(aligned_units(n_visible()) + 2 * aligned_units(n)),
                   scratch.noise.data());
    std::vector<Index> active;
    Vector precision(n_visible());
    for (Index c = 0; c < lanes; ++c) {
      const float beta = betas[static_cast<std::size_t>(c)];
      active.clear();
      for (Index m = 0; m < n; ++m) {
        if ((gate_bits(shape_.latents, x.latent, m) >> c & 1) != 0) {
          active.push_back(m);
        } else {
          x.latent.slabs(m, c) = scratch.noise(m, c);
        }
      }
      const auto r = static_cast<Index>(active.size());
      if (r == 0) continue;
      // Of standardised slabs: precision I - beta^2 U' Q^-1 U, U = W alpha^-1/2, and linear term
      // beta (alpha^1/2 mu + U' Q^-1 a).
      precision = reference_.visible_precision +
                  beta * (theta.visible.visible_precision - reference_.visible_precision);
      if constexpr (kSpikePrecision) {
        for (Index i = 0; i < latents(); ++i) {
          if ((x.latent.spikes[static_cast<std::size_t>(i)] >> c & 1) != 0)
            precision += beta * theta.latent.spike_precision.col(i);
        }
      }
      const Vector bias =
          reference_.visible_bias + beta * (theta.visible.visible_bias - reference_.visible_bias);
      Eigen::MatrixXf scaled(n_visible(), r);
      Vector linear(r);
      for (Index k = 0; k < r; ++k) {
        const Index m = active[static_cast<std::size_t>(k)];
        const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
        scaled.col(k) = theta.weights.col(m) / root;
        linear[k] = beta * (root * theta.latent.slab_mean.data()[m] +
                            scaled.col(k).dot(bias.cwiseQuotient(precision)));
      }
      const Eigen::MatrixXd joint =
          Eigen::MatrixXd::Identity(r, r) -
          static_cast<double>(beta * beta) *
              (scaled.transpose() * precision.cwiseInverse().asDiagonal() * scaled).template cast<double>();
      const Eigen::LLT<Eigen::MatrixXd> factor(joint);
      Eigen::VectorXd noise(r);
      for (Index k = 0; k < r; ++k)
        noise[k] = static_cast<double>(scratch.noise(active[static_cast<std::size_t>(k)], c));
      const Eigen::VectorXd draw = factor.solve(linear.cast<double>()) + factor.matrixU().solve(noise);
      for (Index k = 0; k < r; ++k)
        x.latent.slabs(active[static_cast<std::size_t>(k)], c) = static_cast<float>(draw[k]);
    }
  }
}

template <class V, class L>
void SpikeSlab<V, L>::infer(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                            Scratch& scratch) const {
  const UnitRange range = filters_of(units);
  const bool spike_precision = has_spike_precision(theta);
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    const auto& v = panel.states[b].visible;
    LaneMatrix& input = panel.works[b].input;
    if constexpr (kBinary) {
      const BitBlock bits{v, panel.works[b].lanes};
      pack({&bits, 1}, scratch.packed);
      const Vector no_bias = Vector::Zero(filters());
      for_each_part(range, [&](UnitRange part) {
        float* const row = input.row(part.first).data();
        input_from_rows(theta.weights, scratch.packed, part, no_bias, {&row, 1}, scratch.products);
      });
    } else {
      real_input_from_rows(theta.weights, v, range, nullptr, input.row(range.first).data());
    }
    if constexpr (kSpikePrecision) {
      LaneMatrix& quadratic = panel.works[b].quadratic;
      if (spike_precision) {
        scratch.squares = (0.5F * v.array().square()).matrix();
        real_input_from_rows(theta.latent.spike_precision, scratch.squares, units, nullptr,
                             quadratic.row(units.first).data());
      } else {
        quadratic.middleRows(units.first, units.size()).setZero();
      }
    }
  }
}

template <class V, class L>
void SpikeSlab<V, L>::mean_latents(UnitRange units, const Params& theta,
                                   const Panel<SpikeSlab>& panel) const {
  const UnitRange range = filters_of(units);
  for (std::size_t b = 0; b < panel.works.size(); ++b) {
    Work& work = panel.works[b];
    expect_units(shape_.latents, theta.latent, units, work.input, work.quadratic, panel.betas[b], work.gate,
                 work.units);
    for (Index m = range.first; m < range.last; ++m) {
      if constexpr (kSlabs) {
        work.response.row(m) = (work.gate.row(m).array() *
                                (theta.latent.slab_mean.data()[m] +
                                 work.input.row(m).array() * (1.0F / theta.latent.slab_precision.data()[m])))
                                   .matrix();
      } else {
        work.response.row(m) = work.gate.row(m);
      }
    }
  }
}

template <class V, class L>
void SpikeSlab<V, L>::sample_latents(const Params& theta, const LaneFloats& beta, State& x, const Work& work,
                                     const LaneStream& stream) const {
  const Index first = aligned_units(n_visible());
  draw_units({0, latents()}, theta, beta, work, stream, first + latent_sites(), x);
  draw_slabs({0, filters()}, theta, beta, work, stream, first + aligned_units(filters()), x);
}

template <class V, class L>
double SpikeSlab<V, L>::log_slab_constant(const Params& theta) const {
  double sum = 0.0;
  if constexpr (kSlabs) {
    for (Index m = 0; m < filters(); ++m)
      sum += 0.5 * std::log(kTwoPi / static_cast<double>(theta.latent.slab_precision.data()[m]));
  }
  return sum;
}

template <class V, class L>
void SpikeSlab<V, L>::free_energy(const Params& theta, const LaneFloats& beta, const State& x,
                                  const Work& work, LaneDoubles& out) const {
  LaneDoubles weights{};
  add_log_weights(shape_.latents, theta.latent, work.input, work.quadratic, beta, work.lanes, weights);
  out.fill(0.0);
  add_energies(reference_, theta.visible, beta, x.visible, work.lanes, out);
  const double constant = log_slab_constant(theta);
  for (std::size_t c = 0; c < static_cast<std::size_t>(work.lanes); ++c)
    out[c] -= weights[c] + static_cast<double>(beta[c]) * constant;
}

template <class V, class L>
Index SpikeSlab<V, L>::slices() const {
  const auto parts = [](Index n) { return (n + kSliceColumns - 1) / kSliceColumns; };
  return parts(filters()) + (kSpikePrecision ? parts(latents()) : 0);
}

template <class V, class L>
void SpikeSlab<V, L>::accumulate(const Params& theta, std::span<const State> states,
                                 std::span<const Work> works, std::span<const LaneFloats> weights,
                                 Index slice, Sums mode, Scratch&, Params& sums) const {
  const auto n_blocks = static_cast<Index>(states.size());
  const auto weight_of = [&](std::size_t b) {
    return Eigen::Map<const Vector>(weights[b].data(), works[b].lanes);
  };
  const auto add = [](auto& into, const auto& from) { into += from; };
  const auto put = [mode](auto&& sum, const auto& value) {
    if (mode == Sums::kSet) {
      sum = value;
    } else {
      sum += value;
    }
  };
  /// Sum over the chains of f(visibles) times rows of a cached matrix.
  const auto outer = [&](auto&& left, auto&& right) {
    return sum_tree(
        n_blocks,
        [&](Index block) {
          const auto b = static_cast<std::size_t>(block);
          LaneMatrix memory;
          const auto v = as_real(states[b].visible, memory).leftCols(works[b].lanes);
          return Matrix(left(v) * weight_of(b).asDiagonal() * right(works[b]).transpose());
        },
        add);
  };
  const Index weight_slices = (filters() + kSliceColumns - 1) / kSliceColumns;
  if (slice < weight_slices) {
    const Index first = slice * kSliceColumns;
    const Index n = std::min(kSliceColumns, filters() - first);
    put(sums.weights.middleCols(first, n),
        outer([](const auto& v) { return v; },
              [&](const Work& work) { return work.response.block(first, 0, n, work.lanes); }));
  } else if constexpr (kSpikePrecision) {
    const Index first = (slice - weight_slices) * kSliceColumns;
    const Index n = std::min(kSliceColumns, latents() - first);
    auto into = sums.latent.spike_precision.middleCols(first, n);
    if (!has_spike_precision(theta)) {
      if (mode == Sums::kSet) into.setZero();
    } else {
      put(into, outer([](const auto& v) { return (-0.5F * v.array().square()).matrix().eval(); },
                      [&](const Work& work) { return work.units.block(first, 0, n, work.lanes); }));
    }
  }
  if (slice > 0) return;

  struct Part {
    typename V::Params visible;
    Vector units;
    Vector gated;    // sum of r (mu + x / alpha), times alpha less mu
    Vector squares;  // sum of r x^2
    double weight;
  };
  const Part all = sum_tree(
      n_blocks,
      [&](Index block) {
        const auto b = static_cast<std::size_t>(block);
        const Work& work = works[b];
        const auto weight = weight_of(b);
        const auto gate = work.gate.leftCols(work.lanes).array();
        const auto x = work.input.leftCols(work.lanes).array();
        return Part{visible_sums(theta.visible, states[b].visible, weight),
                    work.units.leftCols(work.lanes) * weight, (gate * x).matrix() * weight,
                    (gate * x.square()).matrix() * weight, total_weight(weight)};
      },
      [&](Part& into, const Part& from) {
        add_scaled(into.visible, 1.0F, from.visible);
        into.units += from.units;
        into.gated += from.gated;
        into.squares += from.squares;
        into.weight += from.weight;
      });
  if (mode == Sums::kSet) {
    set_zero(sums.visible);
    for_each_field(
        [](std::string_view name, auto& field) {
          if (name != "spike_precision") field.setZero();
        },
        sums.latent);
  }
  add_scaled(sums.visible, 1.0F, all.visible);
  put_bias_sums(shape_.latents, all.units, sums.latent);
  if constexpr (kSlabs) {
    const Eigen::Map<const Eigen::ArrayXf> alpha(theta.latent.slab_precision.data(), filters());
    Eigen::Map<Eigen::ArrayXf>(sums.latent.slab_mean.data(), filters()) += all.gated.array();
    Eigen::Map<Eigen::ArrayXf>(sums.latent.slab_precision.data(), filters()) -=
        all.squares.array() / (2.0F * alpha.square()) + 0.5F * static_cast<float>(all.weight) / alpha;
  }
}

template <class V, class L>
std::vector<Index> SpikeSlab<V, L>::layer_sizes() const {
  std::vector<Index> all = {n_visible()};
  for (const Index n : binary_layers(shape_.latents)) all.push_back(n);
  return all;
}

template <class V, class L>
void SpikeSlab<V, L>::layer_values(Index layer, const State& x, const Work& work, LaneMatrix& out) const {
  if (layer == 0) {
    LaneMatrix memory;
    out = as_real(x.visible, memory);
    return;
  }
  const std::vector<Index> layers = binary_layers(shape_.latents);
  Index first = 0;
  for (Index k = 1; k < layer; ++k) first += layers[static_cast<std::size_t>(k - 1)];
  out = work.units.middleRows(first, layers[static_cast<std::size_t>(layer - 1)]);
}

template <class V, class L>
void SpikeSlab<V, L>::mean_field(Index sweeps, bool h_first, const Params& theta, Work& work) const {
  if constexpr (std::is_same_v<L, BilinearBlocks>) {
    const auto& s = shape_.latents;
    const auto& p = theta.latent;
    const Index first_h = s.n_blocks * s.n_g;
    const Index first_gate = first_h + s.n_blocks * s.n_h;
    const Lanes one = Lanes::Ones();
    const auto unit = [&](Index i) { return work.units.row(i).array(); };
    for (Index k = 0; k < s.n_blocks; ++k) {
      const Index first = k * s.n_g * s.n_h;
      std::vector<Lanes> coupling;
      for (Index m = first; m < first + s.n_g * s.n_h; ++m)
        coupling.push_back(strength(p, m, work.input.row(m).array(), one));
      const auto a = [&](Index i, Index j) -> const Lanes& {
        return coupling[static_cast<std::size_t>(i * s.n_h + j)];
      };
      for (Index i = 0; i < s.n_g; ++i) unit(k * s.n_g + i) = sigmoid_lanes(Lanes::Constant(p.g_bias(k, i)));
      for (Index j = 0; j < s.n_h; ++j)
        unit(first_h + k * s.n_h + j) = sigmoid_lanes(Lanes::Constant(p.h_bias(k, j)));
      Lanes gate = one;
      if (s.gated) gate = sigmoid_lanes(Lanes::Constant(p.gate_bias[k]));
      const auto update_g = [&] {
        for (Index i = 0; i < s.n_g; ++i) {
          Lanes logit = Lanes::Constant(p.g_bias(k, i));
          for (Index j = 0; j < s.n_h; ++j) logit += gate * a(i, j) * unit(first_h + k * s.n_h + j);
          unit(k * s.n_g + i) = sigmoid_lanes(logit);
        }
      };
      const auto update_h = [&] {
        for (Index j = 0; j < s.n_h; ++j) {
          Lanes logit = Lanes::Constant(p.h_bias(k, j));
          for (Index i = 0; i < s.n_g; ++i) logit += gate * a(i, j) * unit(k * s.n_g + i);
          unit(first_h + k * s.n_h + j) = sigmoid_lanes(logit);
        }
      };
      for (Index sweep = 0; sweep < sweeps; ++sweep) {
        if (h_first) update_h();
        update_g();
        if (!h_first) update_h();
        if (!s.gated) continue;
        Lanes logit = Lanes::Constant(p.gate_bias[k]);
        for (Index i = 0; i < s.n_g; ++i) {
          for (Index j = 0; j < s.n_h; ++j)
            logit += a(i, j) * unit(k * s.n_g + i) * unit(first_h + k * s.n_h + j);
        }
        gate = sigmoid_lanes(logit);
      }
      if (s.gated) unit(first_gate + k) = gate;
      for (Index i = 0; i < s.n_g; ++i) {
        for (Index j = 0; j < s.n_h; ++j) {
          const Index m = first + i * s.n_h + j;
          work.gate.row(m) = (gate * unit(k * s.n_g + i) * unit(first_h + k * s.n_h + j)).matrix();
          work.response.row(m) =
              (work.gate.row(m).array() *
               (p.slab_mean.data()[m] + work.input.row(m).array() / p.slab_precision.data()[m]))
                  .matrix();
        }
      }
    }
  }
}

template <class V, class L>
void SpikeSlab<V, L>::variational_free_energy(const Params& theta, const State& x, const Work& work,
                                              LaneDoubles& out) const {
  out.fill(0.0);
  add_energies(reference_, theta.visible, ones(), x.visible, work.lanes, out);
  Eigen::Array<double, 1, kLanes> bound = Eigen::Array<double, 1, kLanes>::Constant(log_slab_constant(theta));
  const Lanes one = Lanes::Ones();
  for (Index m = 0; m < filters(); ++m)
    bound += (work.gate.row(m).array() * strength(theta.latent, m, work.input.row(m).array(), one))
                 .template cast<double>();
  Vector biases(work.units.rows());
  Index first = 0;
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (name.ends_with("_bias") && first < biases.size()) {
          biases.segment(first, field.size()) = Eigen::Map<const Vector>(field.data(), field.size());
          first += field.size();
        }
      },
      theta.latent);
  for (Index i = 0; i < work.units.rows(); ++i) {
    for (Index c = 0; c < work.lanes; ++c) {
      const auto q = static_cast<double>(work.units(i, c));
      const auto entropy = [](double p) { return p > 0.0 ? -p * std::log(p) : 0.0; };
      bound[c] += q * static_cast<double>(biases[i]) + entropy(q) + entropy(1.0 - q);
    }
  }
  for (Index c = 0; c < work.lanes; ++c) out[static_cast<std::size_t>(c)] -= bound[c];
}

template <class V, class L>
void SpikeSlab<V, L>::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const Params theta = reference_params();
  BitLayer spikes;
  Part nothing;
  nothing.setZero();
  for_each_part({0, n_visible()}, [&](UnitRange part) {
    draw_part(reference_, theta.visible, {part, nothing.data(), nullptr}, zero, lanes, stream, spikes,
              x.visible);
  });
  draw_fair(shape_.latents, lanes, stream, aligned_units(n_visible()), x.latent);
  const Work work = new_work(lanes);
  draw_slabs({0, filters()}, theta, zero, work, stream, aligned_units(n_visible()), x);
}

template <class V, class L>
double SpikeSlab<V, L>::reference_log_partition() const {
  return reference_log_z(reference_) +
         static_cast<double>(total(binary_layers(shape_.latents))) * std::log(2.0);
}

template <class V, class L>
auto SpikeSlab<V, L>::reference_params() const -> Params {
  Params theta = zero_params();
  theta.visible = reference_;
  // A slab of this precision adds nothing to log Z.
  if constexpr (kSlabs) theta.latent.slab_precision.setConstant(static_cast<float>(kTwoPi));
  return theta;
}

template <class V, class L>
Index SpikeSlab<V, L>::latent_bits() const {
  return total(binary_layers(shape_.latents));
}

template <class V, class L>
Index SpikeSlab<V, L>::enumerated_units() const {
  if constexpr (kBinary) return n_visible();
  return latent_bits() + (std::is_same_v<V, SparseVisibles> ? n_visible() : 0);
}

template <class V, class L>
Index SpikeSlab<V, L>::exact_chunks() const {
  return enumeration_chunks(enumerated_units());
}

template <class V, class L>
auto SpikeSlab<V, L>::configuration(const Params& theta, double beta, Word state) const -> Configuration {
  return configuration_of<Configuration>(shape_.latents, theta.latent, beta, state);
}

template <class V, class L>
double SpikeSlab<V, L>::log_component(const Params& theta, double beta, Word visible_spikes,
                                      const Configuration& latent) const {
  if constexpr (kBinary) {
    return 0.0;
  } else {
    double sum = latent.log_weight + beta * log_slab_constant(theta);
    Eigen::VectorXd precision(n_visible());
    Eigen::VectorXd linear(n_visible());
    Eigen::VectorXd seen = Eigen::VectorXd::Ones(n_visible());
    for (Index d = 0; d < n_visible(); ++d) {
      if constexpr (std::is_same_v<V, SparseVisibles>) {
        const auto terms = sparse_terms(reference_, theta.visible, d, beta);
        precision[d] = terms.precision;
        linear[d] = terms.linear;
        seen[d] = static_cast<double>(visible_spikes >> d & 1);
        sum -= seen[d] * terms.cost;
        linear[d] *= seen[d];
      } else {
        precision[d] = mixed(reference_.visible_precision[d], theta.visible.visible_precision[d], beta);
        linear[d] = mixed(reference_.visible_bias[d], theta.visible.visible_bias[d], beta);
      }
    }
    if constexpr (kSpikePrecision) {
      for (const Index i : latent.spikes)
        precision += beta * theta.latent.spike_precision.col(i).template cast<double>();
    }
    const auto r = static_cast<Index>(latent.active.size());
    Eigen::MatrixXd filters(n_visible(), r);
    for (Index k = 0; k < r; ++k)
      filters.col(k) = theta.weights.col(latent.active[static_cast<std::size_t>(k)])
                           .template cast<double>()
                           .cwiseProduct(seen);
    if constexpr (!kSlabs) linear += beta * filters.rowwise().sum();
    // The visibles, given the slabs, then the active slabs.
    sum += 0.5 * (kTwoPi / precision.array()).log().sum() +
           0.5 * (linear.array().square() / precision.array()).sum();
    if constexpr (kSlabs) {
      if (r == 0) return sum;
      Eigen::VectorXd alpha(r);
      Eigen::VectorXd mean(r);
      for (Index k = 0; k < r; ++k) {
        alpha[k] = theta.latent.slab_precision.data()[latent.active[static_cast<std::size_t>(k)]];
        mean[k] = theta.latent.slab_mean.data()[latent.active[static_cast<std::size_t>(k)]];
      }
      const Eigen::MatrixXd scaled = precision.cwiseInverse().asDiagonal() * filters;
      const Eigen::VectorXd drive = beta * (alpha.cwiseProduct(mean) + scaled.transpose() * linear);
      const Eigen::MatrixXd joint =
          Eigen::MatrixXd(alpha.asDiagonal()) - beta * beta * filters.transpose() * scaled;
      const Eigen::LLT<Eigen::MatrixXd> factor(joint);
      if (factor.info() != Eigen::Success) return std::numeric_limits<double>::infinity();
      sum +=
          0.5 * alpha.array().log().sum() - Eigen::MatrixXd(factor.matrixL()).diagonal().array().log().sum() +
          0.5 * drive.dot(factor.solve(drive)) - 0.5 * beta * (alpha.array() * mean.array().square()).sum();
    }
    return sum;
  }
}

template <class V, class L>
double SpikeSlab<V, L>::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  const Word states = Word{1} << std::min(enumerated_units(), kChunkBits);
  LogSumExp sum;
  for (Word state = static_cast<Word>(chunk) * states; state < static_cast<Word>(chunk + 1) * states;
       ++state) {
    double term = 0.0;
    if constexpr (kBinary) {
      const Eigen::VectorXd v = case_values(std::span<const Word>(&state, 1), n_visible());
      term = log_latent_weight(theta, beta, v) - visible_energy(theta, beta, v);
    } else {
      const Index visible_bits = std::is_same_v<V, SparseVisibles> ? n_visible() : 0;
      term = log_component(theta, beta, state, configuration(theta, beta, state >> visible_bits));
    }
    if (term == std::numeric_limits<double>::infinity()) return term;
    sum.add(term);
  }
  return sum.value();
}

template <class V, class L>
double SpikeSlab<V, L>::log_latent_weight(const Params& theta, double beta, const Eigen::VectorXd& v) const {
  const Eigen::VectorXd input = theta.weights.template cast<double>().transpose() * v;
  Eigen::VectorXd quadratic = Eigen::VectorXd::Zero(latents());
  if constexpr (kSpikePrecision)
    quadratic = 0.5 * theta.latent.spike_precision.template cast<double>().transpose() * v.cwiseAbs2();
  return log_weight_of(shape_.latents, theta.latent, beta, input, quadratic) +
         beta * log_slab_constant(theta);
}

template <class V, class L>
double SpikeSlab<V, L>::visible_energy(const Params& theta, double beta, const Eigen::VectorXd& v) const {
  return energy_of(reference_, theta.visible, beta, v);
}

template <class V, class L>
double SpikeSlab<V, L>::free_energy(const Params& theta, std::span<const Row> row) const {
  const Eigen::VectorXd v = case_values(row, n_visible());
  return visible_energy(theta, 1.0, v) - log_latent_weight(theta, 1.0, v);
}

template <class V, class L>
void SpikeSlab<V, L>::mean_visible(const Params& theta, const State& x, Scratch& scratch,
                                   LaneMatrix& mean) const {
  scratch.drive.resize(filters(), kLanes);
  for (Index m = 0; m < filters(); ++m) {
    Lanes gate;
    gate_lanes(x, m, gate);
    if constexpr (kSlabs)
      gate *= x.latent.slabs.row(m).array() / std::sqrt(theta.latent.slab_precision.data()[m]);
    scratch.drive.row(m) = gate.matrix();
  }
  LaneMatrix precision = LaneMatrix::Zero(n_visible(), kLanes);
  if constexpr (kSpikePrecision) {
    scratch.gates.resize(latents(), kLanes);
    unpack_lanes(x.latent.spikes, scratch.gates);
    real_input_from_columns(theta.latent.spike_precision, scratch.gates, {0, n_visible()}, nullptr,
                            precision.data());
  }
  mean.resize(n_visible(), kLanes);
  real_input_from_columns(theta.weights, scratch.drive, {0, n_visible()}, nullptr, mean.data());
  for (Index d = 0; d < n_visible(); ++d) {
    const Lanes drive = mean.row(d).array();
    const Lanes more = precision.row(d).array();
    mean.row(d) = mean_row(theta.visible, d, drive, more).matrix();
  }
}

template <class V, class L>
auto SpikeSlab<V, L>::initial_params(const StreamFactory& streams, const InitialValues& values) const
    -> Params {
  Params theta = zero_params();
  StreamEngine engine = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(values.weights));
  if (values.weights > 0) {
    for (Index k = 0; k < theta.weights.size(); ++k) theta.weights.data()[k] = normal(engine);
  }
  theta.visible = initial_visibles(reference_, values);
  set_biases(theta.latent, static_cast<float>(values.spike_bias));
  if constexpr (kSlabs) {
    theta.latent.slab_mean.setConstant(static_cast<float>(values.slab_mean));
    theta.latent.slab_precision.setConstant(static_cast<float>(values.slab_precision));
  }
  if constexpr (kSpikePrecision) {
    // Spikes that all begin alike would stay alike where there are no filters to tell them apart.
    boost::random::normal_distribution<double> jitter(0.0, kSpikeJitter);
    for (Index i = 0; i < latents(); ++i)
      theta.latent.spike_precision.col(i).setConstant(
          static_cast<float>(values.spike_precision * std::exp(jitter(engine))));
  }
  return theta;
}

template <class V, class L>
bool SpikeSlab<V, L>::project(Params& theta, Vector& direction) const {
  for_each_field(
      [](std::string_view name, auto& field) {
        if (!is_precision(name)) return;
        for (float* x = field.data(); x != field.data() + field.size(); ++x) {
          if (*x != 0.0F)
            *x = std::clamp(*x, static_cast<float>(kLeastPrecision), static_cast<float>(kLargestPrecision));
        }
      },
      theta);
  bool acted = false;
  if constexpr (kSlabs && !kBinary) {
    const Vector& precision = precision_of(theta.visible);
    Matrix& alpha = theta.latent.slab_precision;
    if (has_spike_precision(theta)) {
      if constexpr (kSpikePrecision) {
        // Sufficient: each spike takes no more than its own precision and its share of the common one.
        const Index k = shape_.latents.n_slabs;
        for (Index i = 0; i < latents(); ++i) {
          const Vector own =
              (theta.latent.spike_precision.col(i) + precision / static_cast<float>(latents()));
          const Eigen::MatrixXf filters = theta.weights.middleCols(i * k, k);
          const Vector root = alpha.row(i).transpose().cwiseSqrt().cwiseInverse();
          const Eigen::MatrixXf ratio = root.asDiagonal() *
                                        (filters.transpose() * own.cwiseInverse().asDiagonal() * filters) *
                                        root.asDiagonal();
          const float rho =
              k == 1 ? ratio(0, 0)
                     : Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf>(ratio, Eigen::EigenvaluesOnly)
                           .eigenvalues()
                           .maxCoeff();
          if (rho <= static_cast<float>(kProper * kSlack)) continue;
          alpha.row(i) *= rho / static_cast<float>(kProper);
          acted = true;
        }
      }
    } else {
      // The worst state has every gate on: the largest eigenvalue of Lambda^-1/2 W alpha^-1 W' Lambda^-1/2.
      const bool cold = direction.size() == 0 || direction.isZero();
      if (cold) direction = Vector::LinSpaced(n_visible(), 1.0F, 2.0F);
      const Vector root = precision.cwiseSqrt().cwiseInverse();
      const Eigen::Map<const Vector> slabs(alpha.data(), filters());
      double rho = 0.0;
      for (int step = 0; step < (cold ? kColdSteps : kWarmSteps); ++step) {
        const Vector inner = theta.weights.transpose() * root.cwiseProduct(direction);
        Vector next = root.cwiseProduct(theta.weights * inner.cwiseQuotient(slabs));
        const double norm = static_cast<double>(next.norm());
        rho = norm / static_cast<double>(direction.norm());
        if (norm == 0.0) break;
        direction = next / static_cast<float>(norm);
      }
      if (rho > kProper * kSlack) {
        alpha *= static_cast<float>(rho / kProper);
        acted = true;
      }
      if (direction.norm() == 0.0F) direction.setOnes();
    }
  }
  return acted;
}

template <class V, class L>
void SpikeSlab<V, L>::unstandardise(const Params& theta, std::vector<State>& blocks) const {
  if constexpr (kSlabs) {
    for (State& x : blocks) {
      for (Index m = 0; m < filters(); ++m)
        x.latent.slabs.row(m) /= std::sqrt(theta.latent.slab_precision.data()[m]);
    }
  }
}

template <class V, class L>
std::string_view SpikeSlab<V, L>::fault(const Params& theta) const {
  std::string_view found;
  for_each_field(
      [&](std::string_view name, const auto& field) {
        if (!found.empty() || !is_precision(name) || field.size() == 0) return;
        const bool zero_allowed = name == "spike_precision";
        if ((field.array() < 0.0F).any() || (!zero_allowed && (field.array() == 0.0F).any())) found = name;
      },
      theta);
  return found;
}

template <class V, class L>
std::vector<std::uint64_t> SpikeSlab<V, L>::file_shape(std::string_view field) const {
  return dims(shape_.latents, n_visible(), field);
}

template <class V, class L>
std::vector<std::pair<std::string, Index>> SpikeSlab<V, L>::shape_names() const {
  std::vector<std::pair<std::string, Index>> names = {{"n_visible", n_visible()}};
  for (auto& name : names_of(shape_.latents)) names.push_back(name);
  return names;
}

template class SpikeSlab<GaussianVisibles, HiddenUnits>;
template class SpikeSlab<GaussianVisibles, PooledSpikes>;
template class SpikeSlab<BinaryVisibles, PooledSpikes>;
template class SpikeSlab<SparseVisibles, PooledSpikes>;
template class SpikeSlab<GaussianVisibles, BilinearBlocks>;
template class SpikeSlab<BinaryVisibles, BilinearBlocks>;

}  // namespace tempera
