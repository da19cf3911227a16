#include "latent_units.hpp"

#include <cmath>
#include <limits>

#include "tempera/core/math.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/layers.hpp"

namespace tempera {

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

namespace {

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

}  // namespace

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

namespace {

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

}  // namespace

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
    using DoubleLanes = Eigen::Array<double, 1, kLanes>;
    DoubleLanes total = DoubleLanes::Zero();
    for (const Lanes& p : law.probability) total += p.cast<double>();
    DoubleLanes u;
    for (Index c = 0; c < kLanes; ++c)
      u[c] = total[c] * (static_cast<double>(draws[0][static_cast<std::size_t>(c)]) + 0.5) * 0x1p-32;
    DoubleLanes cumulative = DoubleLanes::Zero();
    Eigen::Array<Index, 1, kLanes> state = Eigen::Array<Index, 1, kLanes>::Zero();
    for (Index s2 = 0; s2 + 1 < block.states(); ++s2) {
      cumulative += law.probability[static_cast<std::size_t>(s2)].cast<double>();
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

static std::vector<std::uint64_t> sizes(std::initializer_list<Index> list) {
  return {list.begin(), list.end()};
}

std::vector<std::uint64_t> file_dims(const HiddenUnits::Shape&, Index, std::string_view) { return {}; }
std::vector<std::uint64_t> file_dims(const PooledSpikes::Shape& s, Index n_visible, std::string_view field) {
  if (field == "weights") return sizes({n_visible, s.n_spikes, s.n_slabs});
  return {};
}
std::vector<std::uint64_t> file_dims(const BilinearBlocks::Shape& s, Index n_visible,
                                     std::string_view field) {
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

void mean_field_units(const BilinearBlocks::Shape& s, const BilinearBlocks::Params& p, Index sweeps,
                      bool h_first, const LaneMatrix& input, LaneMatrix& gates, LaneMatrix& units) {
  const Index first_h = s.n_blocks * s.n_g;
  const Index first_gate = first_h + s.n_blocks * s.n_h;
  const Lanes one = Lanes::Ones();
  const auto unit = [&](Index i) { return units.row(i).array(); };
  for (Index k = 0; k < s.n_blocks; ++k) {
    const Index first = k * s.n_g * s.n_h;
    std::vector<Lanes> coupling;
    for (Index m = first; m < first + s.n_g * s.n_h; ++m)
      coupling.push_back(strength(p, m, input.row(m).array(), one));
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
        gates.row(m) = (gate * unit(k * s.n_g + i) * unit(first_h + k * s.n_h + j)).matrix();
      }
    }
  }
}

template void add_log_weights(const HiddenUnits::Shape&, const HiddenUnits::Params&, const LaneMatrix&,
                              const LaneMatrix&, const LaneFloats&, Index, LaneDoubles&);
template void add_log_weights(const PooledSpikes::Shape&, const PooledSpikes::Params&, const LaneMatrix&,
                              const LaneMatrix&, const LaneFloats&, Index, LaneDoubles&);
template void expect_units(const HiddenUnits::Shape&, const HiddenUnits::Params&, UnitRange,
                           const LaneMatrix&, const LaneMatrix&, const LaneFloats&, LaneMatrix&, LaneMatrix&);
template void expect_units(const PooledSpikes::Shape&, const PooledSpikes::Params&, UnitRange,
                           const LaneMatrix&, const LaneMatrix&, const LaneFloats&, LaneMatrix&, LaneMatrix&);

}  // namespace tempera
