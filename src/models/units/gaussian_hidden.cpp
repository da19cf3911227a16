#include "tempera/models/units/gaussian_hidden.hpp"

#include "independent_units.hpp"

namespace tempera {
namespace {

/// log of the integral of exp(-h^2 / 2).
const double kLogNormal = 0.5 * std::log(kTwoPi);

/// Mean of unit j given the visibles, at beta.
Lanes mean_of(const GaussianHidden::Params& p, Index j, const LatentInput& input, const Lanes& beta) {
  return beta * (p.hidden_bias[j] + input.filters.row(j).array());
}

}  // namespace

LatentCounts GaussianHidden::counts(const Shape& s) {
  const auto n = static_cast<double>(s.n_hidden);
  return {n, n, n};
}

GaussianHidden::Shape GaussianHidden::shape_from(const FieldShapes&, const ArrayShape& weights) {
  return {static_cast<Index>(weights[1])};
}

std::vector<Violation> GaussianHidden::check(std::string_view kind, const MachineOptions& options) {
  return check_one_layer(kind, options);
}

Index GaussianHidden::sites(const Shape& s) { return aligned_units(s.n_hidden); }

void GaussianHidden::sample(const Shape&, const Params& p, UnitRange groups, const LatentInput& input,
                            const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                            State& x) {
  const Lanes beta = lanes_of(betas);
  const Lanes mask = lane_mask(lanes);
  for_each_part(groups, [&](UnitRange part) {
    Part noise;
    sample_normals(part, stream, static_cast<std::uint32_t>(first_site), noise.data());
    for (Index j = part.first; j < part.last; ++j)
      x.hidden.row(j) = (mask * (noise.row(j - part.first) + mean_of(p, j, input, beta))).matrix();
  });
}

void GaussianHidden::sample_reference(const Shape& s, Index lanes, const LaneStream& stream, Index first_site,
                                      State& x) {
  const Lanes mask = lane_mask(lanes);
  for_each_part({0, s.n_hidden}, [&](UnitRange part) {
    Part noise;
    sample_normals(part, stream, static_cast<std::uint32_t>(first_site), noise.data());
    for (Index j = part.first; j < part.last; ++j)
      x.hidden.row(j) = (mask * noise.row(j - part.first)).matrix();
  });
}

double GaussianHidden::reference_log_partition(const Shape& s) {
  return static_cast<double>(s.n_hidden) * kLogNormal;
}

void GaussianHidden::add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                                     const LaneFloats& betas, Index lanes, LaneDoubles& out) {
  using Doubles = Eigen::Array<double, 1, kLanes>;
  const Lanes beta = lanes_of(betas);
  Doubles sum = Doubles::Constant(reference_log_partition(s));
  for (Index j = 0; j < s.n_hidden; ++j) sum += 0.5 * mean_of(p, j, input, beta).cast<double>().square();
  add_to(out, sum, lanes);
}

double GaussianHidden::log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                                  const Eigen::VectorXd&) {
  const Eigen::VectorXd mean = beta * (p.hidden_bias.cast<double>() + x);
  return reference_log_partition(s) + 0.5 * mean.squaredNorm();
}

void GaussianHidden::mean(const Shape&, const Params& p, UnitRange groups, const LatentInput& input,
                          const LaneFloats& betas, const LatentMeans& means) {
  const Lanes beta = lanes_of(betas);
  for (Index j = groups.first; j < groups.last; ++j) {
    means.units.row(j) = mean_of(p, j, input, beta).matrix();
    means.amplitude.row(j) = means.units.row(j);
    means.gate.row(j).setOnes();
  }
}

}  // namespace tempera
