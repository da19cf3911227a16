#include "tempera/models/units/bilinear_blocks.hpp"

#include <limits>

#include "independent_units.hpp"
#include "slabs.hpp"
#include "tempera/core/math.hpp"
#include "tempera/models/layers.hpp"

namespace tempera {
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

/// Places of the units of a block in a list of all: g of every block, then h, then gates.
struct Places {
  explicit Places(const BilinearBlocks::Shape& s)
      : shape(s), first_h(s.n_blocks * s.n_g), first_gate(first_h + s.n_blocks * s.n_h) {}
  [[nodiscard]] Index g(Index block, Index i) const { return block * shape.n_g + i; }
  [[nodiscard]] Index h(Index block, Index j) const { return first_h + block * shape.n_h + j; }
  [[nodiscard]] Index gate(Index block) const { return first_gate + block; }

  const BilinearBlocks::Shape& shape;
  Index first_h;
  Index first_gate;
};

/// Bit sites of a block: a word for the state of outer units and gate, then one for each inner unit.
Index sites_before(const BilinearBlocks::Shape& s, Index block) {
  return block * (kUnitAlignment + aligned_units(std::max(s.n_g, s.n_h)));
}

/// Numbers of the states of outer units and gate: a draw of 32 bits against the cumulative probabilities.
Eigen::Array<Index, 1, kLanes> sample_states(const BlockLaw& law, const LaneStream& stream,
                                             std::uint32_t site) {
  QuadDraws draws;
  draw_quad(stream, site / static_cast<std::uint32_t>(kUnitAlignment), draws);
  using DoubleLanes = Eigen::Array<double, 1, kLanes>;
  DoubleLanes total = DoubleLanes::Zero();
  for (const Lanes& p : law.probability) total += p.cast<double>();
  DoubleLanes u;
  for (Index c = 0; c < kLanes; ++c)
    u[c] = total[c] * (static_cast<double>(draws[0][static_cast<std::size_t>(c)]) + 0.5) * 0x1p-32;
  DoubleLanes cumulative = DoubleLanes::Zero();
  Eigen::Array<Index, 1, kLanes> state = Eigen::Array<Index, 1, kLanes>::Zero();
  for (Index s = 0; s + 1 < law.block.states(); ++s) {
    cumulative += law.probability[static_cast<std::size_t>(s)].cast<double>();
    state += (u >= cumulative).cast<Index>();
  }
  return state;
}

}  // namespace

LatentCounts BilinearBlocks::counts(const Shape& s) {
  const auto blocks = static_cast<double>(s.n_blocks);
  const auto g = static_cast<double>(s.n_g);
  const auto h = static_cast<double>(s.n_h);
  const double slabs = blocks * g * h;
  const double units = blocks * (g + h + (s.gated ? 1.0 : 0.0));
  return {slabs, units, units + 2.0 * slabs};
}

std::vector<Index> BilinearBlocks::layers(const Shape& s) {
  std::vector<Index> sizes = {s.n_blocks * s.n_g, s.n_blocks * s.n_h};
  if (s.gated) sizes.push_back(s.n_blocks);
  return sizes;
}

std::vector<std::string> BilinearBlocks::layer_names(const Shape& s) {
  if (s.gated) return {"g", "h", "gate"};
  return {"g", "h"};
}

BilinearBlocks::Shape BilinearBlocks::shape_from(const FieldShapes& file, const ArrayShape& weights) {
  if (std::min(weights[2], weights[3]) > kMaxGroup)
    file.fail("weights",
              "the smaller group of a block has at most " + std::to_string(kMaxGroup) + " factors");
  return {static_cast<Index>(weights[1]), static_cast<Index>(weights[2]), static_cast<Index>(weights[3]),
          file.has("gate_bias")};
}

std::vector<Violation> BilinearBlocks::check(std::string_view kind, const MachineOptions& options) {
  const std::string layers = std::to_string(options.hidden.size()) + " layers";
  std::vector<Violation> found;
  if (options.hidden.size() != 2)
    found.push_back({"hidden", layers, std::string(kind) + " has two factor groups: --hidden G,H"});
  if (!options.hidden.empty() && *std::min_element(options.hidden.begin(), options.hidden.end()) > kMaxGroup)
    found.push_back({"hidden", layers,
                     "the smaller group of a block has at most " + std::to_string(kMaxGroup) + " factors"});
  return found;
}

ArrayShape BilinearBlocks::file_shape(const Shape& s, Index n_visible, std::string_view field) {
  if (field == "weights") return array_shape({n_visible, s.n_blocks, s.n_g, s.n_h});
  if (field.starts_with("slab_")) return array_shape({s.n_blocks, s.n_g, s.n_h});
  return {};
}

BilinearBlocks::Params BilinearBlocks::zero_params(const Shape& s, Index, bool) {
  return {Matrix::Zero(s.n_blocks, s.n_g), Matrix::Zero(s.n_blocks, s.n_h),
          Vector::Zero(s.gated ? s.n_blocks : 0), Matrix::Zero(s.n_blocks, s.n_g * s.n_h),
          Matrix::Zero(s.n_blocks, s.n_g * s.n_h)};
}

BilinearBlocks::State BilinearBlocks::new_state(const Shape& s) {
  const auto bits = [](Index n) { return BitLayer(static_cast<std::size_t>(n)); };
  return {bits(s.n_blocks * s.n_g), bits(s.n_blocks * s.n_h), bits(s.gated ? s.n_blocks : 0),
          LaneMatrix::Zero(filters(s), kLanes)};
}

void BilinearBlocks::set_initial(const InitialValues& values, Params& p) {
  const auto bias = static_cast<float>(values.spike_bias);
  p.g_bias.setConstant(bias);
  p.h_bias.setConstant(bias);
  p.gate_bias.setConstant(bias);
  set_initial_slabs(values, p);
}

void BilinearBlocks::set_reference(Params& p) { set_reference_slabs(p); }

Lanes BilinearBlocks::amplitude(const Shape& s, const Params& p, const State& x, Index m) {
  return slab_amplitude<BilinearBlocks>(s, p, x, m);
}

Lanes BilinearBlocks::natural_amplitude(const Shape& s, const State& x, Index m) {
  return natural_slab_amplitude<BilinearBlocks>(s, x, m);
}

void BilinearBlocks::unstandardise(const Params& p, State& x) { unstandardise_slabs(p, x.slabs); }

void BilinearBlocks::fill_units(const State& x, LaneMatrix& out) {
  fill_bits(x.gate, fill_bits(x.h, fill_bits(x.g, 0, out), out), out);
}

Index BilinearBlocks::sites(const Shape& s) {
  // Of draws given the visibles, and of fair coins.
  Index fair = 0;
  for (const Index n : layers(s)) fair += aligned_units(n);
  return std::max(fair, aligned_units(sites_before(s, s.n_blocks)));
}

void BilinearBlocks::sample(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                            const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                            State& x) {
  const LaneFloats one = ones();
  const Word valid = first_lanes(lanes);
  for (Index k = groups.first; k < groups.last; ++k) {
    const auto site = static_cast<std::uint32_t>(first_site + sites_before(s, k));
    const BlockLaw law = law_of(s, p, k, input.filters, betas);
    const Block<Lanes>& block = law.block;
    const Eigen::Array<Index, 1, kLanes> state = sample_states(law, stream, site);
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

void BilinearBlocks::sample_reference(const Shape&, Index lanes, const LaneStream& stream, Index first_site,
                                      State& x) {
  Index site = first_site;
  for (BitLayer* layer : {&x.g, &x.h, &x.gate}) {
    sample_fair(lanes, stream, site, *layer);
    site += aligned_units(static_cast<Index>(layer->size()));
  }
}

double BilinearBlocks::reference_log_partition(const Shape& s) {
  Index units = 0;
  for (const Index n : layers(s)) units += n;
  return fair_log_partition(units);
}

void BilinearBlocks::add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                                     const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  for (Index k = 0; k < s.n_blocks; ++k)
    add_to(out, law_of(s, p, k, input.filters, betas).log_weight.cast<double>(), lanes);
}

double BilinearBlocks::log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                                  const Eigen::VectorXd&) {
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

double BilinearBlocks::log_constant(const Params& p) { return log_slab_constant(p); }

void BilinearBlocks::mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                          const LaneFloats& betas, const LatentMeans& means) {
  const Places at(s);
  LaneMatrix& units = means.units;
  LaneMatrix& gate = means.gate;
  const Index filters = s.n_g * s.n_h;
  for (Index k = groups.first; k < groups.last; ++k) {
    BlockLaw law = law_of(s, p, k, input.filters, betas);
    const Block<Lanes>& block = law.block;
    const Index outer = block.outer_is_g ? at.g(k, 0) : at.h(k, 0);
    const Index inner = block.outer_is_g ? at.h(k, 0) : at.g(k, 0);
    units.middleRows(at.g(k, 0), s.n_g).setZero();
    units.middleRows(at.h(k, 0), s.n_h).setZero();
    if (s.gated) units.row(at.gate(k)).setZero();
    const Index first = k * filters;
    gate.middleRows(first, filters).setZero();
    for (Index state = 0; state < block.states(); ++state) {
      const Lanes& weight = law.probability[static_cast<std::size_t>(state)];
      block.inner_logits(state, law.logits);
      if (s.gated && block.gate_on(state)) units.row(at.gate(k)).array() += weight;
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
  fill_slab_amplitudes(p, {groups.first * filters, groups.last * filters}, input, means);
}

void BilinearBlocks::mean_field(const Shape& s, const Params& p, Index sweeps, bool h_first,
                                const LatentInput& input, const LatentMeans& means) {
  const Places at(s);
  const Lanes one = Lanes::Ones();
  const auto unit = [&](Index i) { return means.units.row(i).array(); };
  for (Index k = 0; k < s.n_blocks; ++k) {
    const Index first = k * s.n_g * s.n_h;
    std::vector<Lanes> coupling;
    for (Index m = first; m < first + s.n_g * s.n_h; ++m)
      coupling.push_back(strength(p, m, input.filters.row(m).array(), one));
    const auto a = [&](Index i, Index j) -> const Lanes& {
      return coupling[static_cast<std::size_t>(i * s.n_h + j)];
    };
    for (Index i = 0; i < s.n_g; ++i) unit(at.g(k, i)) = sigmoid_lanes(Lanes::Constant(p.g_bias(k, i)));
    for (Index j = 0; j < s.n_h; ++j) unit(at.h(k, j)) = sigmoid_lanes(Lanes::Constant(p.h_bias(k, j)));
    Lanes gate = one;
    if (s.gated) gate = sigmoid_lanes(Lanes::Constant(p.gate_bias[k]));
    const auto update_g = [&] {
      for (Index i = 0; i < s.n_g; ++i) {
        Lanes logit = Lanes::Constant(p.g_bias(k, i));
        for (Index j = 0; j < s.n_h; ++j) logit += gate * a(i, j) * unit(at.h(k, j));
        unit(at.g(k, i)) = sigmoid_lanes(logit);
      }
    };
    const auto update_h = [&] {
      for (Index j = 0; j < s.n_h; ++j) {
        Lanes logit = Lanes::Constant(p.h_bias(k, j));
        for (Index i = 0; i < s.n_g; ++i) logit += gate * a(i, j) * unit(at.g(k, i));
        unit(at.h(k, j)) = sigmoid_lanes(logit);
      }
    };
    for (Index sweep = 0; sweep < sweeps; ++sweep) {
      if (h_first) update_h();
      update_g();
      if (!h_first) update_h();
      if (!s.gated) continue;
      Lanes logit = Lanes::Constant(p.gate_bias[k]);
      for (Index i = 0; i < s.n_g; ++i) {
        for (Index j = 0; j < s.n_h; ++j) logit += a(i, j) * unit(at.g(k, i)) * unit(at.h(k, j));
      }
      gate = sigmoid_lanes(logit);
    }
    if (s.gated) unit(at.gate(k)) = gate;
    for (Index i = 0; i < s.n_g; ++i) {
      for (Index j = 0; j < s.n_h; ++j)
        means.gate.row(first + i * s.n_h + j) = (gate * unit(at.g(k, i)) * unit(at.h(k, j))).matrix();
    }
  }
  fill_slab_amplitudes(p, {0, filters(s)}, input, means);
}

void BilinearBlocks::add_bound(const Params& p, const LatentInput& input, const LaneMatrix& gate,
                               const LaneMatrix& units, Index lanes, Eigen::Array<double, 1, kLanes>& bound) {
  const Lanes one = Lanes::Ones();
  for (Index m = 0; m < gate.rows(); ++m)
    bound += (gate.row(m).array() * strength(p, m, input.filters.row(m).array(), one)).cast<double>();
  const auto entropy = [](double x) { return x > 0.0 ? -x * std::log(x) : 0.0; };
  Index unit = 0;
  const auto add_units = [&](const auto& biases) {
    for (const float* bias = biases.data(); bias != biases.data() + biases.size(); ++bias, ++unit) {
      for (Index c = 0; c < lanes; ++c) {
        const auto q = static_cast<double>(units(unit, c));
        bound[c] += q * static_cast<double>(*bias) + entropy(q) + entropy(1.0 - q);
      }
    }
  };
  add_units(p.g_bias);
  add_units(p.h_bias);
  add_units(p.gate_bias);
}

void BilinearBlocks::add_bias_sums(const Shape& s, const Vector& units, Params& sums) {
  const Index n_g = s.n_blocks * s.n_g;
  const Index n_h = s.n_blocks * s.n_h;
  Eigen::Map<Vector>(sums.g_bias.data(), n_g) += units.head(n_g);
  Eigen::Map<Vector>(sums.h_bias.data(), n_h) += units.segment(n_g, n_h);
  if (s.gated) sums.gate_bias += units.tail(s.n_blocks);
}

Configuration BilinearBlocks::configuration(const Shape& s, const Params& p, double beta,
                                            std::span<const Word> state, Index first) {
  Configuration found;
  const Places at(s);
  const auto on = [&](Index bit) { return is_on(state, first + bit); };
  for (Index k = 0; k < s.n_blocks; ++k) {
    const bool open = !s.gated || on(at.gate(k));
    if (s.gated && open) found.log_weight += beta * static_cast<double>(p.gate_bias[k]);
    for (Index j = 0; j < s.n_h; ++j) {
      if (on(at.h(k, j))) found.log_weight += beta * static_cast<double>(p.h_bias(k, j));
    }
    for (Index i = 0; i < s.n_g; ++i) {
      if (!on(at.g(k, i))) continue;
      found.log_weight += beta * static_cast<double>(p.g_bias(k, i));
      for (Index j = 0; j < s.n_h; ++j) {
        if (open && on(at.h(k, j))) found.active.push_back((k * s.n_g + i) * s.n_h + j);
      }
    }
  }
  return found;
}

}  // namespace tempera
