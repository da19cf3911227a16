// Sweeps, latents given the visibles, free energies, and the reference machine.
#include <cmath>

#include "tempera/core/decompositions.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "tempera/models/all_models.hpp"
#include "units/bernoulli_units.hpp"
#include "units/lanes.hpp"

namespace tempera {

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::zero_params() const -> Params {
  return {Matrix::Zero(n_visible(), filters()), V::zero_params(n_visible()),
          L::zero_params(shape_.latents, n_visible(), kSpikePrecision)};
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::new_state() const -> State {
  return {V::new_layer(n_visible()), L::new_state(shape_.latents)};
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::new_cache(Index lanes) const -> BlockCache {
  Index units = 0;
  for (const Index n : L::layers(shape_.latents)) units += n;
  BlockCache cache;
  cache.lanes = lanes;
  cache.input = LaneMatrix::Zero(filters(), kLanes);
  cache.quadratic = LaneMatrix::Zero(latents(), kLanes);
  cache.gate = LaneMatrix::Zero(filters(), kLanes);
  cache.amplitude = LaneMatrix::Zero(filters(), kLanes);
  cache.units = LaneMatrix::Zero(units, kLanes);
  return cache;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::load(const Data& data, std::span<const Index> cases, State& x) const {
  V::load(data, cases, x.visible);
}

template <VisibleUnits V, LatentUnits L>
Index SpikeSlab<V, L>::stage_units(Index stage) const {
  if (stage < first_stage()) return 1;  // one task: all lanes
  return stage == first_stage() ? n_visible() : latents();
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::resample(Index stage, UnitRange units, const Params& theta,
                               const Panel<SpikeSlab>& panel, Scratch& scratch,
                               const LaneStream& stream) const {
  const auto block = [&](std::size_t b) { return stream.block(static_cast<Index>(b)); };
  if (stage < first_stage()) {
    for (std::size_t b = 0; b < panel.states.size(); ++b)
      draw_slabs_jointly(theta, panel.betas[b], panel.states[b], panel.caches[b].lanes, scratch, block(b));
    return;
  }
  if (stage == first_stage()) {
    draw_visibles(units, theta, panel, scratch, stream);
    return;
  }
  latent_input(units, theta, panel, scratch);
  const Index site = aligned_units(n_visible());
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    const BlockCache& cache = panel.caches[b];
    L::sample(shape_.latents, theta.latent, units, input_of(cache), panel.betas[b], cache.lanes, block(b),
              site, panel.states[b].latent);
    draw_slabs(filters_of(units), theta, panel.betas[b], cache, block(b), site, panel.states[b]);
  }
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::draw_slabs(UnitRange range, const Params& theta, const LaneFloats& betas,
                                 const BlockCache& cache, const LaneStream& stream, Index first_site,
                                 State& x) const {
  if constexpr (L::kSlabs) {
    const Lanes beta = lanes_of(betas);
    const Lanes mask = lane_mask(cache.lanes);
    for_each_part(range, [&](UnitRange part) {
      Part noise;
      sample_normals(part, stream, static_cast<std::uint32_t>(first_site), noise.data());
      for (Index m = part.first; m < part.last; ++m) {
        const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
        const float mean = root * theta.latent.slab_mean.data()[m];
        const Lanes gate = bits_to_lanes(L::gate_bits(shape_.latents, x.latent, m));
        x.latent.slabs.row(m) = (mask * (noise.row(m - part.first) +
                                         gate * beta * (mean + cache.input.row(m).array() * (1.0F / root))))
                                    .matrix();
      }
    });
  }
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::draw_visibles(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                                    Scratch& scratch, const LaneStream& stream) const {
  const bool spike_precision = has_spike_precision(theta);
  scratch.drive.resize(filters(), kLanes);
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    State& x = panel.states[b];
    for (Index m = 0; m < filters(); ++m)
      scratch.drive.row(m) = L::amplitude(shape_.latents, theta.latent, x.latent, m).matrix();
    if (spike_precision) {
      scratch.gates.resize(latents(), kLanes);
      L::fill_units(x.latent, scratch.gates);
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
      V::sample(reference_, theta.visible,
                {part, drive.data(), spike_precision ? precision.data() : nullptr, box()}, panel.betas[b],
                panel.caches[b].lanes, stream.block(static_cast<Index>(b)), scratch.units, x.visible);
    });
  }
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::draw_slabs_jointly(const Params& theta, const LaneFloats& betas, State& x, Index lanes,
                                         Scratch& scratch, const LaneStream& stream) const {
  if constexpr (kJointSlabs) {
    const Index n = filters();
    scratch.noise.resize(n, kLanes);
    sample_normals({0, n}, stream,
                   static_cast<std::uint32_t>(aligned_units(n_visible()) + 2 * aligned_units(n)),
                   scratch.noise.data());
    std::vector<Index> active;
    for (Index c = 0; c < lanes; ++c) {
      active.clear();
      for (Index m = 0; m < n; ++m) {
        if ((L::gate_bits(shape_.latents, x.latent, m) >> c & 1) != 0) {
          active.push_back(m);
        } else {
          x.latent.slabs(m, c) = scratch.noise(m, c);
        }
      }
      if (!active.empty())
        draw_active_slabs(theta, betas[static_cast<std::size_t>(c)], active, c, scratch.noise, x);
    }
  }
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::draw_active_slabs(const Params& theta, float beta, const std::vector<Index>& active,
                                        Index c, const LaneMatrix& noise_of,
                                        State& x) const requires kJointSlabs {
  // Of standardised slabs: precision I - beta^2 U' Q^-1 U, U = W alpha^-1/2, and linear term
  // beta (alpha^1/2 mu + U' Q^-1 a).
  const auto r = static_cast<Index>(active.size());
  Vector precision =
      reference_.visible_precision + beta * (theta.visible.visible_precision - reference_.visible_precision);
  if constexpr (kSpikePrecision) {
    for (Index i = 0; i < latents(); ++i) {
      if ((L::gate_bits(shape_.latents, x.latent, i * filters_each()) >> c & 1) != 0)
        precision += beta * theta.latent.spike_precision.col(i);
    }
  }
  const Vector bias = reference_.visible_bias + beta * (theta.visible.visible_bias - reference_.visible_bias);
  Eigen::MatrixXf scaled(n_visible(), r);
  Vector linear(r);
  for (Index k = 0; k < r; ++k) {
    const Index m = active[static_cast<std::size_t>(k)];
    const float root = std::sqrt(theta.latent.slab_precision.data()[m]);
    scaled.col(k) = theta.weights.col(m) / root;
    linear[k] =
        beta * (root * theta.latent.slab_mean.data()[m] + scaled.col(k).dot(bias.cwiseQuotient(precision)));
  }
  const Eigen::MatrixXd joint =
      Eigen::MatrixXd::Identity(r, r) -
      static_cast<double>(beta * beta) *
          (scaled.transpose() * precision.cwiseInverse().asDiagonal() * scaled).template cast<double>();
  const Cholesky<double> factor(joint);
  if (!factor.succeeded()) throw NumericalError(kImproper);
  Eigen::VectorXd noise(r);
  for (Index k = 0; k < r; ++k)
    noise[k] = static_cast<double>(noise_of(active[static_cast<std::size_t>(k)], c));
  const Eigen::VectorXd draw =
      factor.solve(Eigen::VectorXd(linear.template cast<double>())) + factor.solve_upper(noise);
  for (Index k = 0; k < r; ++k)
    x.latent.slabs(active[static_cast<std::size_t>(k)], c) = static_cast<float>(draw[k]);
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::latent_input(UnitRange units, const Params& theta, const Panel<SpikeSlab>& panel,
                                   Scratch& scratch) const {
  const UnitRange range = filters_of(units);
  const bool spike_precision = has_spike_precision(theta);
  for (std::size_t b = 0; b < panel.states.size(); ++b) {
    const auto& v = panel.states[b].visible;
    V::filter_input(theta.weights, v, panel.caches[b].lanes, range, scratch.units, panel.caches[b].input);
    if constexpr (kSpikePrecision) {
      LaneMatrix& quadratic = panel.caches[b].quadratic;
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

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::mean_latents(UnitRange units, const Params& theta,
                                   const Panel<SpikeSlab>& panel) const {
  for (std::size_t b = 0; b < panel.caches.size(); ++b) {
    BlockCache& cache = panel.caches[b];
    L::mean(shape_.latents, theta.latent, units, input_of(cache), panel.betas[b], means_of(cache));
  }
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::sample_latents(const Params& theta, const LaneFloats& beta, State& x,
                                     const BlockCache& cache, const LaneStream& stream) const {
  const Index first = aligned_units(n_visible());
  L::sample(shape_.latents, theta.latent, {0, latents()}, input_of(cache), beta, cache.lanes, stream,
            first + L::sites(shape_.latents), x.latent);
  draw_slabs({0, filters()}, theta, beta, cache, stream, first + aligned_units(filters()), x);
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::free_energy(const Params& theta, const LaneFloats& beta, const State& x,
                                  const BlockCache& cache, LaneDoubles& out) const {
  LaneDoubles weights{};
  L::add_log_weights(shape_.latents, theta.latent, input_of(cache), beta, cache.lanes, weights);
  out.fill(0.0);
  V::add_energies(reference_, theta.visible, beta, x.visible, cache.lanes, out);
  const double constant = L::log_constant(theta.latent);
  for (std::size_t c = 0; c < static_cast<std::size_t>(cache.lanes); ++c)
    out[c] -= weights[c] + static_cast<double>(beta[c]) * constant;
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::mean_field(Index sweeps, bool odd_update, const Params& theta, BlockCache& cache,
                                 Scratch&) const requires L::kMeanField {
  L::mean_field(shape_.latents, theta.latent, sweeps, odd_update, input_of(cache), means_of(cache));
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::variational_free_energy(const Params& theta, const State& x, const BlockCache& cache,
                                              LaneDoubles& out) const requires L::kMeanField {
  out.fill(0.0);
  V::add_energies(reference_, theta.visible, ones(), x.visible, cache.lanes, out);
  Eigen::Array<double, 1, kLanes> bound =
      Eigen::Array<double, 1, kLanes>::Constant(L::log_constant(theta.latent));
  L::add_bound(theta.latent, input_of(cache), cache.gate, cache.units, cache.lanes, bound);
  for (Index c = 0; c < cache.lanes; ++c) out[static_cast<std::size_t>(c)] -= bound[c];
}

template <VisibleUnits V, LatentUnits L>
void SpikeSlab<V, L>::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const Params theta = reference_params();
  const Index site = aligned_units(n_visible());
  UnitScratch scratch;
  Part nothing;
  nothing.setZero();
  for_each_part({0, n_visible()}, [&](UnitRange part) {
    V::sample(reference_, theta.visible, {part, nothing.data(), nullptr, box()}, zero, lanes, stream, scratch,
              x.visible);
  });
  L::sample_reference(shape_.latents, lanes, stream, site, x.latent);
  const BlockCache cache = new_cache(lanes);
  draw_slabs({0, filters()}, theta, zero, cache, stream, site, x);
}

template <VisibleUnits V, LatentUnits L>
double SpikeSlab<V, L>::reference_log_partition() const {
  return V::log_partition(reference_, box()) + L::reference_log_partition(shape_.latents);
}

template <VisibleUnits V, LatentUnits L>
auto SpikeSlab<V, L>::reference_params() const -> Params {
  Params theta = zero_params();
  theta.visible = reference_;
  L::set_reference(theta.latent);
  return theta;
}

// What is defined in this file, for every kind.
#define TEMPERA_INSTANTIATE(M) template class SpikeSlab<M::Visibles, M::Latents>;

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
