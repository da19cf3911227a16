#include "tempera/models/units/bernoulli_hidden.hpp"

#include "independent_units.hpp"
#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Logits of unit j given the visibles, at beta.
auto logits_of(const BernoulliHidden::Params& p, const LatentInput& input, const LaneFloats& betas) {
  return [&p, &input, beta = lanes_of(betas)](Index j) -> Lanes {
    return beta * (p.hidden_bias[j] + input.filters.row(j).array());
  };
}

}  // namespace

LatentCounts BernoulliHidden::counts(const Shape& s) {
  const auto n = static_cast<double>(s.n_hidden);
  return {n, n, n};
}

BernoulliHidden::Shape BernoulliHidden::shape_from(const FieldShapes&, const ArrayShape& weights) {
  return {static_cast<Index>(weights[1])};
}

std::vector<Violation> BernoulliHidden::check(std::string_view kind, const MachineOptions& options) {
  return check_one_layer(kind, options);
}

Lanes BernoulliHidden::natural_amplitude(const Shape&, const State& x, Index m) {
  return bits_to_lanes(x.hidden[static_cast<std::size_t>(m)]);
}

void BernoulliHidden::fill_units(const State& x, LaneMatrix& out) { fill_bits(x.hidden, 0, out); }

Index BernoulliHidden::sites(const Shape& s) { return aligned_units(s.n_hidden); }

void BernoulliHidden::sample(const Shape&, const Params& p, UnitRange groups, const LatentInput& input,
                             const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                             State& x) {
  sample_with_logits(groups, logits_of(p, input, betas), lanes, stream, first_site, x.hidden);
}

void BernoulliHidden::sample_reference(const Shape&, Index lanes, const LaneStream& stream, Index first_site,
                                       State& x) {
  sample_fair(lanes, stream, first_site, x.hidden);
}

double BernoulliHidden::reference_log_partition(const Shape& s) { return fair_log_partition(s.n_hidden); }

void BernoulliHidden::add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                                      const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  add_unit_log_weights(s.n_hidden, logits_of(p, input, betas), lanes, out);
}

void BernoulliHidden::fill_logits(const Shape& s, const Params& p, const LatentInput& input,
                                  LaneMatrix& out) {
  fill_unit_logits(s.n_hidden, logits_of(p, input, ones()), out);
}

double BernoulliHidden::log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                                   const Eigen::VectorXd&) {
  double sum = 0.0;
  for (Index j = 0; j < s.n_hidden; ++j)
    sum += softplus(beta * (static_cast<double>(p.hidden_bias[j]) + x[j]));
  return sum;
}

void BernoulliHidden::mean(const Shape&, const Params& p, UnitRange groups, const LatentInput& input,
                           const LaneFloats& betas, const LatentMeans& means) {
  fill_unit_means(groups, 1, logits_of(p, input, betas), means);
  for (Index m = groups.first; m < groups.last; ++m) means.amplitude.row(m) = means.gate.row(m);
}

Configuration BernoulliHidden::configuration(const Shape& s, const Params& p, double beta,
                                             std::span<const Word> state, Index first) {
  Configuration found;
  for (Index j = 0; j < s.n_hidden; ++j) {
    if (!is_on(state, first + j)) continue;
    found.log_weight += beta * static_cast<double>(p.hidden_bias[j]);
    found.active.push_back(j);
  }
  return found;
}

}  // namespace tempera
