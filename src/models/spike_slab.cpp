#include "tempera/models/spike_slab.hpp"

#include <Eigen/Cholesky>
#include <Eigen/Eigenvalues>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "bernoulli_units.hpp"
#include "lanes.hpp"
#include "latent_units.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "visible_units.hpp"

namespace tempera {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
/// Columns of the weights in a slice of the statistics.
constexpr Index kSliceColumns = 64;
/// Standard deviation of the logarithm of the spikes' first precisions.
constexpr double kSpikeJitter = 0.5;
/// How near to singular the precision of the visibles given the latents may come.
constexpr double kProper = 0.99;
/// Rounding that does not count.
constexpr double kSlack = 1.0001;
/// Rounds of a projection that raise slabs one by one, and steps of the power iteration in each.
constexpr int kRounds = 8;
constexpr int kPowerSteps = 8;

}  // namespace

template <class V, class L>
SpikeSlab<V, L>::SpikeSlab(Shape shape, Reference reference)
    : shape_(std::move(shape)), reference_(std::move(reference)), no_bias_(Vector::Zero(filters())) {}

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
  // Of draws given the visibles, and of fair coins.
  Index fair = 0;
  for (const Index n : binary_layers(shape_.latents)) fair += aligned_units(n);
  return std::max(fair, aligned_units(sites_before(shape_.latents, latents())));
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
void SpikeSlab<V, L>::draw_visibles(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                                    Scratch& scratch, const LaneStream& stream) const {
  const bool spike_precision = has_spike_precision(theta);
  scratch.drive.resize(filters(), kLanes);
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    State& x = panel.states[b];
    for (Index m = 0; m < filters(); ++m) {
      Lanes gate = bits_to_lanes(gate_bits(shape_.latents, x.latent, m));
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
      draw_part(reference_, theta.visible,
                {part, drive.data(), spike_precision ? precision.data() : nullptr, box()}, panel.betas[b],
                panel.works[b].lanes, stream.block(static_cast<Index>(b)), scratch.spikes, x.visible);
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
      if (factor.info() != Eigen::Success) throw NumericalError(kImproper);
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
      for_each_part(range, [&](UnitRange part) {
        float* const row = input.row(part.first).data();
        input_from_rows(theta.weights, scratch.packed, part, no_bias_, {&row, 1}, scratch.products);
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
    set_responses(range, theta, work);
  }
}

template <class V, class L>
void SpikeSlab<V, L>::set_responses(UnitRange range, const Params& theta, Work& work) const {
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
void SpikeSlab<V, L>::mean_field(Index sweeps, bool h_first, const Params& theta,
                                 Work& work) const requires std::is_same_v<L, BilinearBlocks> {
  mean_field_units(shape_.latents, theta.latent, sweeps, h_first, work.input, work.gate, work.units);
  set_responses({0, filters()}, theta, work);
}

template <class V, class L>
void SpikeSlab<V, L>::variational_free_energy(
    const Params& theta, const State& x, const Work& work,
    LaneDoubles& out) const requires std::is_same_v<L, BilinearBlocks> {
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
    draw_part(reference_, theta.visible, {part, nothing.data(), nullptr, box()}, zero, lanes, stream, spikes,
              x.visible);
  });
  draw_fair(shape_.latents, lanes, stream, aligned_units(n_visible()), x.latent);
  const Work work = new_work(lanes);
  draw_slabs({0, filters()}, theta, zero, work, stream, aligned_units(n_visible()), x);
}

template <class V, class L>
double SpikeSlab<V, L>::reference_log_partition() const {
  return reference_log_z(reference_, shape_.box) +
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
Index SpikeSlab<V, L>::enumerated_units() const {
  if constexpr (kBinary) return n_visible();
  // Gaussians that a box cuts off have no closed form.
  if (shape_.box > 0) return kNotEnumerable;
  return total(binary_layers(shape_.latents)) + (std::is_same_v<V, SparseVisibles> ? n_visible() : 0);
}

template <class V, class L>
Index SpikeSlab<V, L>::exact_chunks() const {
  return enumeration_chunks(enumerated_units());
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
      term = log_latent_weight(theta, beta, v) - energy_of(reference_, theta.visible, beta, v);
    } else {
      const Index visible_bits = std::is_same_v<V, SparseVisibles> ? n_visible() : 0;
      term = log_component(theta, beta, state,
                           configuration_of(shape_.latents, theta.latent, beta, state >> visible_bits));
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
double SpikeSlab<V, L>::free_energy(const Params& theta, std::span<const Row> row) const {
  const Eigen::VectorXd v = case_values(row, n_visible());
  return energy_of(reference_, theta.visible, 1.0, v) - log_latent_weight(theta, 1.0, v);
}

template <class V, class L>
void SpikeSlab<V, L>::mean_visible(const Params& theta, const State& x, Scratch& scratch,
                                   LaneMatrix& mean) const {
  scratch.drive.resize(filters(), kLanes);
  for (Index m = 0; m < filters(); ++m) {
    Lanes gate = bits_to_lanes(gate_bits(shape_.latents, x.latent, m));
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
    const VisibleInput input{{d, d + 1}, mean.row(d).data(), precision.row(d).data(), box()};
    mean.row(d) = mean_row(theta.visible, d, input).matrix();
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
void SpikeSlab<V, L>::clamp_precisions(Params& theta) const {
  for_each_field(
      [&](std::string_view name, auto& field) {
        if (!is_precision(name)) return;
        for (float* x = field.data(); x != field.data() + field.size(); ++x) {
          if (*x != 0.0F) *x = bounded_precision(*x, 1.0F);
        }
      },
      theta.latent);
  if constexpr (!kBinary) {
    for (Index d = 0; d < n_visible(); ++d)
      precision_of(theta.visible)[d] =
          bounded_precision(precision_of(theta.visible)[d], precision_of(reference_)[d]);
  }
}

template <class V, class L>
auto SpikeSlab<V, L>::excess(const Params& theta) const -> Excess {
  Excess found;
  if constexpr (kSlabs && !kBinary) {
    const Index each = filters() / latents();
    const Vector root = precision_of(theta.visible).cwiseSqrt().cwiseInverse();
    found.filters = root.asDiagonal() * theta.weights;
    for (Index i = 0; i < latents(); ++i) {
      for (Index m = i * each; m < (i + 1) * each; ++m)
        found.filters.col(m) /= std::sqrt(theta.latent.slab_precision.data()[m]);
      if constexpr (kSpikePrecision) {
        const auto phi = theta.latent.spike_precision.col(i);
        if ((phi.array() <= 0.0F).any()) continue;
        // What the spike's own precision can hold of its slabs.
        const Eigen::MatrixXf own =
            phi.cwiseSqrt().cwiseInverse().asDiagonal() *
            (root.cwiseInverse().asDiagonal() * found.filters.middleCols(i * each, each));
        const float rho = each == 1 ? own.squaredNorm()
                                    : Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf>(own.transpose() * own,
                                                                                     Eigen::EigenvaluesOnly)
                                          .eigenvalues()
                                          .maxCoeff();
        const float rest = 1.0F - static_cast<float>(kProper) / rho;
        found.filters.middleCols(i * each, each) *= rest > 0.0F ? std::sqrt(rest) : 0.0F;
      }
    }
    // Of the same eigenvalues above 0, the smaller one.
    found.of_visibles = n_visible() <= filters();
    found.matrix = found.of_visibles ? Eigen::MatrixXf(found.filters * found.filters.transpose())
                                     : Eigen::MatrixXf(found.filters.transpose() * found.filters);
    const Index n = found.matrix.rows();
    const Eigen::MatrixXf room =
        static_cast<float>(kProper * kSlack) * Eigen::MatrixXf::Identity(n, n) - found.matrix;
    found.proper = Eigen::LLT<Eigen::MatrixXf>(room).info() == Eigen::Success;
  }
  return found;
}

template <class V, class L>
bool SpikeSlab<V, L>::is_proper(const Params& theta) const {
  return shape_.box > 0 || excess(theta).proper;
}

template <class V, class L>
bool SpikeSlab<V, L>::is_seen(const Params& theta) const {
  return !has_spike_precision(theta) || latents() <= kMaxSeenSpikes || is_proper(theta);
}

template <class V, class L>
bool SpikeSlab<V, L>::is_improper(const Params& theta) const {
  if constexpr (!kSlabs || kBinary) {
    return false;
  } else {
    if (is_proper(theta)) return false;
    // The precision Q - W diag(1 / alpha) W' of the visibles is positive where diag(alpha) - W'Q^-1 W is.
    const Index each = filters() / latents();
    const auto lacks_law = [&](const std::vector<Index>& spikes) {
      const auto slabs = static_cast<Index>(spikes.size()) * each;
      Eigen::VectorXd precision = precision_of(theta.visible).template cast<double>();
      Eigen::MatrixXd w(n_visible(), slabs);
      Eigen::VectorXd alpha(slabs);
      for (std::size_t k = 0; k < spikes.size(); ++k) {
        const Index from = spikes[k] * each;
        const Index to = static_cast<Index>(k) * each;
        w.middleCols(to, each) = theta.weights.middleCols(from, each).template cast<double>();
        alpha.segment(to, each) =
            Eigen::Map<const Vector>(theta.latent.slab_precision.data() + from, each).cast<double>();
        if constexpr (kSpikePrecision)
          precision += theta.latent.spike_precision.col(spikes[k]).template cast<double>();
      }
      // On the smaller side.
      const Eigen::MatrixXd left =
          slabs <= n_visible() ? Eigen::MatrixXd(Eigen::MatrixXd(alpha.asDiagonal()) -
                                                 w.transpose() * precision.cwiseInverse().asDiagonal() * w)
                               : Eigen::MatrixXd(Eigen::MatrixXd(precision.asDiagonal()) -
                                                 w * alpha.cwiseInverse().asDiagonal() * w.transpose());
      return Eigen::LLT<Eigen::MatrixXd>(left).info() != Eigen::Success;
    };
    std::vector<Index> spikes(static_cast<std::size_t>(latents()));
    std::iota(spikes.begin(), spikes.end(), Index{0});
    if (lacks_law(spikes)) return true;
    if (!has_spike_precision(theta)) return false;
    if (latents() > kMaxSeenSpikes)
      return std::any_of(spikes.begin(), spikes.end(), [&](Index i) { return lacks_law({i}); });
    for (Word state = 1; state >> latents() == 0; ++state) {
      spikes.clear();
      for (Index i = 0; i < latents(); ++i) {
        if ((state >> i & 1) != 0) spikes.push_back(i);
      }
      if (lacks_law(spikes)) return true;
    }
    return false;
  }
}

template <class V, class L>
bool SpikeSlab<V, L>::project(Params& theta, Vector& direction, bool filters_shrink) const {
  clamp_precisions(theta);
  if constexpr (kSlabs && !kBinary) {
    if (shape_.box > 0) return false;
    Matrix& alpha = theta.latent.slab_precision;
    const Matrix before = alpha;
    if (!raise_slabs(theta, direction)) return false;
    if (filters_shrink) {
      for (Index m = 0; m < filters(); ++m)
        theta.weights.col(m) /= std::sqrt(alpha.data()[m] / before.data()[m]);
      alpha = before;
    }
    return true;
  }
  return false;
}

template <class V, class L>
bool SpikeSlab<V, L>::raise_slabs(Params& theta, Vector& direction) const requires kSlabs {
  const Index each = filters() / latents();
  Matrix& alpha = theta.latent.slab_precision;
  for (int round = 0;; ++round) {
    const Excess found = excess(theta);
    if (found.proper) return round > 0;
    if (round >= kRounds) {
      // All slabs alike, by the largest eigenvalue.
      const float rho = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXf>(found.matrix, Eigen::EigenvaluesOnly)
                            .eigenvalues()
                            .maxCoeff();
      alpha *= std::max(rho / static_cast<float>(kProper), 1.0F + 1e-4F);
      continue;
    }
    // Slabs are raised by what they give to the worst direction.
    if (direction.size() != n_visible() || direction.isZero())
      direction = Vector::LinSpaced(n_visible(), 1.0F, 2.0F);
    Vector inner;
    float rho = 0.0F;
    for (int step = 0; step < kPowerSteps; ++step) {
      direction.normalize();
      inner = found.filters.transpose() * direction;
      direction = found.filters * inner;
      rho = inner.squaredNorm();
    }
    if (direction.norm() == 0.0F) direction.setOnes();
    if (rho <= static_cast<float>(kProper)) continue;
    Vector part(latents());
    for (Index i = 0; i < latents(); ++i) part[i] = inner.segment(i * each, each).squaredNorm();
    const float gain = (rho / static_cast<float>(kProper) - 1.0F) * rho / part.squaredNorm();
    Eigen::Map<Matrix> slabs(alpha.data(), latents(), each);
    for (Index i = 0; i < latents(); ++i) slabs.row(i) *= 1.0F + gain * part[i];
  }
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
  return file_dims(shape_.latents, n_visible(), field);
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
