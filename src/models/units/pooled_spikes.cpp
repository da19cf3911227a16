#include "tempera/models/units/pooled_spikes.hpp"

#include "independent_units.hpp"
#include "slabs.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Logits of spike i given the visibles, its slabs summed out, at beta.
auto logits_of(const PooledSpikes::Shape& s, const PooledSpikes::Params& p, const LatentInput& input,
               const LaneFloats& betas) {
  return [&s, &p, &input, beta = lanes_of(betas)](Index i) -> Lanes {
    Lanes logits = beta * (p.spike_bias[i] - input.quadratic.row(i).array());
    for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m)
      logits += strength(p, m, input.filters.row(m).array(), beta);
    return logits;
  };
}

}  // namespace

LatentCounts PooledSpikes::counts(const Shape& s) {
  const auto spikes = static_cast<double>(s.n_spikes);
  const double slabs = spikes * static_cast<double>(s.n_slabs);
  return {slabs, spikes, spikes + 2.0 * slabs};
}

PooledSpikes::Shape PooledSpikes::shape_from(const FieldShapes&, const ArrayShape& weights) {
  return {static_cast<Index>(weights[1]), static_cast<Index>(weights[2])};
}

std::vector<Violation> PooledSpikes::check(std::string_view kind, const MachineOptions& options) {
  return check_one_layer(kind, options);
}

ArrayShape PooledSpikes::file_shape(const Shape& s, Index n_visible, std::string_view field) {
  if (field == "weights") return array_shape({n_visible, s.n_spikes, s.n_slabs});
  return {};
}

void PooledSpikes::add_input(const Shape& s, const Eigen::VectorXd& input, const Eigen::VectorXd& quadratic,
                             Params& p) {
  for (Index i = 0; i < s.n_spikes; ++i) {
    double bias = -quadratic[i];
    for (Index k = 0; k < s.n_slabs; ++k) {
      const double x = input[i * s.n_slabs + k];
      const auto mean = static_cast<double>(p.slab_mean(i, k));
      const auto precision = static_cast<double>(p.slab_precision(i, k));
      bias += x * (mean + 0.5 * x / precision);
      p.slab_mean(i, k) = static_cast<float>(mean + x / precision);
    }
    p.spike_bias[i] += static_cast<float>(bias);
  }
}

FilterGrid PooledSpikes::filter_grid(const Shape& s) {
  if (s.n_slabs == 1) return {};
  const double rows = std::ceil(std::sqrt(static_cast<double>(s.n_spikes) / static_cast<double>(s.n_slabs)));
  return {s.n_slabs, s.n_slabs * std::max<Index>(1, static_cast<Index>(rows)), false};
}

PooledSpikes::Params PooledSpikes::zero_params(const Shape& s, Index n_visible, bool precision) {
  return {Vector::Zero(s.n_spikes), Matrix::Zero(s.n_spikes, s.n_slabs), Matrix::Zero(s.n_spikes, s.n_slabs),
          precision ? Matrix(Matrix::Zero(n_visible, s.n_spikes)) : Matrix()};
}

PooledSpikes::State PooledSpikes::new_state(const Shape& s) {
  return {BitLayer(static_cast<std::size_t>(s.n_spikes)), LaneMatrix::Zero(filters(s), kLanes)};
}

void PooledSpikes::set_initial(const InitialValues& values, Params& p) {
  p.spike_bias.setConstant(static_cast<float>(values.spike_bias));
  set_initial_slabs(values, p);
}

void PooledSpikes::set_reference(Params& p) { set_reference_slabs(p); }

Lanes PooledSpikes::amplitude(const Shape& s, const Params& p, const State& x, Index m) {
  return slab_amplitude<PooledSpikes>(s, p, x, m);
}

Lanes PooledSpikes::natural_amplitude(const Shape& s, const State& x, Index m) {
  return natural_slab_amplitude<PooledSpikes>(s, x, m);
}

void PooledSpikes::unstandardise(const Params& p, State& x) { unstandardise_slabs(p, x.slabs); }

void PooledSpikes::fill_units(const State& x, LaneMatrix& out) { fill_bits(x.spikes, 0, out); }

Index PooledSpikes::sites(const Shape& s) { return aligned_units(s.n_spikes); }

void PooledSpikes::sample(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                          const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                          State& x) {
  sample_with_logits(groups, logits_of(s, p, input, betas), lanes, stream, first_site, x.spikes);
}

void PooledSpikes::sample_reference(const Shape&, Index lanes, const LaneStream& stream, Index first_site,
                                    State& x) {
  sample_fair(lanes, stream, first_site, x.spikes);
}

double PooledSpikes::reference_log_partition(const Shape& s) { return fair_log_partition(s.n_spikes); }

void PooledSpikes::add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                                   const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  add_unit_log_weights(s.n_spikes, logits_of(s, p, input, betas), lanes, out);
}

void PooledSpikes::fill_logits(const Shape& s, const Params& p, const LatentInput& input, LaneMatrix& out) {
  fill_unit_logits(s.n_spikes, logits_of(s, p, input, ones()), out);
}

double PooledSpikes::log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                                const Eigen::VectorXd& quadratic) {
  double sum = 0.0;
  for (Index i = 0; i < s.n_spikes; ++i) {
    double logit = beta * (static_cast<double>(p.spike_bias[i]) - quadratic[i]);
    for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m) logit += strength(p, m, x[m], beta);
    sum += softplus(logit);
  }
  return sum;
}

double PooledSpikes::log_constant(const Params& p) { return log_slab_constant(p); }

void PooledSpikes::mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                        const LaneFloats& betas, const LatentMeans& means) {
  fill_unit_means(groups, s.n_slabs, logits_of(s, p, input, betas), means);
  fill_slab_amplitudes(p, {groups.first * s.n_slabs, groups.last * s.n_slabs}, input, means);
}

Configuration PooledSpikes::configuration(const Shape& s, const Params& p, double beta,
                                          std::span<const Word> state, Index first) {
  Configuration found;
  for (Index i = 0; i < s.n_spikes; ++i) {
    if (!is_on(state, first + i)) continue;
    found.log_weight += beta * static_cast<double>(p.spike_bias[i]);
    found.spikes.push_back(i);
    for (Index m = i * s.n_slabs; m < (i + 1) * s.n_slabs; ++m) found.active.push_back(m);
  }
  return found;
}

}  // namespace tempera
