#include "tempera/models/units/binary_visibles.hpp"

#include "bernoulli_units.hpp"
#include "field_checks.hpp"
#include "lanes.hpp"
#include "tempera/core/math.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {

BinaryVisibles::Reference BinaryVisibles::fit_reference(const BinaryData& data) {
  return {smoothed_logits(data.means(), data.weights().total(data.n_cases()))};
}

void BinaryVisibles::load(const BinaryData& data, std::span<const Index> cases, BitLayer& v) {
  load_cases(data, cases, v);
}

Eigen::VectorXd BinaryVisibles::case_values(std::span<const Word> row, Index n) {
  Eigen::VectorXd v(n);
  for (Index d = 0; d < n; ++d) v[d] = is_on(row, d) ? 1.0 : 0.0;
  return v;
}

const LaneMatrix& BinaryVisibles::as_real(const BitLayer& v, LaneMatrix& memory) {
  memory.resize(static_cast<Index>(v.size()), kLanes);
  unpack_lanes(v, memory);
  return memory;
}

void BinaryVisibles::filter_input(const Matrix& weights, const BitLayer& v, Index lanes, UnitRange filters,
                                  UnitScratch& scratch, LaneMatrix& input) {
  if (scratch.no_bias.size() != weights.cols()) scratch.no_bias = Vector::Zero(weights.cols());
  const BitBlock bits{v, lanes};
  tempera::pack({&bits, 1}, scratch.packed);
  for_each_part(filters, [&](UnitRange part) {
    float* const row = input.row(part.first).data();
    input_from_rows(weights, scratch.packed, part, scratch.no_bias, {&row, 1}, scratch.products);
  });
}

void BinaryVisibles::sample(const Reference& reference, const Params& own, const VisibleInput& input,
                            const LaneFloats& betas, Index lanes, const LaneStream& stream, UnitScratch&,
                            BitLayer& v) {
  Part logits;
  for (Index k = 0; k < input.part.size(); ++k)
    logits.row(k) = own.visible_bias[input.part.first + k] + ConstLanesMap(input.drive + k * kLanes);
  sample_units(logits.data(), input.part, betas, view(reference.visible_bias), lanes, stream, 0, v);
}

Lanes BinaryVisibles::mean(const Params& own, Index d, const VisibleInput& input) {
  return sigmoid_lanes(own.visible_bias[d] + ConstLanesMap(input.drive));
}

void BinaryVisibles::add_energies(const Reference& reference, const Params& own, const LaneFloats& betas,
                                  const BitLayer& v, Index lanes, LaneDoubles& out) {
  LaneDoubles at_reference{};
  LaneDoubles at_own{};
  add_dots({v, lanes}, reference.visible_bias, at_reference);
  add_dots({v, lanes}, own.visible_bias, at_own);
  for (std::size_t c = 0; c < static_cast<std::size_t>(lanes); ++c)
    out[c] -= at_reference[c] + static_cast<double>(betas[c]) * (at_own[c] - at_reference[c]);
}

double BinaryVisibles::energy(const Reference& reference, const Params& own, double beta,
                              const Eigen::VectorXd& v) {
  double sum = 0.0;
  for (Index d = 0; d < v.size(); ++d)
    sum -= v[d] * mixed(reference.visible_bias[d], own.visible_bias[d], beta);
  return sum;
}

double BinaryVisibles::log_partition(const Reference& r, const float*) {
  double sum = 0.0;
  for (const float a : r.visible_bias) sum += softplus(a);
  return sum;
}

void BinaryVisibles::sample_sites(const float* input, UnitRange sites, const Sites&, const LaneFloats& betas,
                                  const Vector& reference, Index lanes, const LaneStream& stream,
                                  BitLayer& v) {
  sample_units(input, sites, betas, view(reference), lanes, stream, 0, v);
}

void BinaryVisibles::add_log_sums(const LaneMatrix& input, const Sites&, Index lanes, LaneDoubles& out) {
  add_softplus(input, ones(), lanes, out);
}

ArrayShape BinaryVisibles::weights_in(const FieldShapes& file, Sites&) {
  const ArrayShape& shape = matrix_shape(file, "weights");
  require_bias(file, "visible_bias", shape[0], shape);
  return shape;
}

double BinaryVisibles::log_sum(const Eigen::ArrayXd& input, const Sites&) { return softplus_sum(input); }

void BinaryVisibles::mean_units(const LaneMatrix& input, const Sites&, LaneMatrix& mean) {
  tempera::mean_units(input, {0, input.rows()}, ones(), kLanes, mean);
}

BinaryVisibles::Params BinaryVisibles::sums(const Params&, const BitLayer& v,
                                            const Eigen::Ref<const Vector>& weight) {
  LaneFloats weights{};
  std::copy_n(weight.data(), weight.size(), weights.begin());
  Vector sum = Vector::Zero(static_cast<Index>(v.size()));
  add_bits(v, weights, sum);
  return {sum};
}

Vector smoothed_logits(const Eigen::VectorXd& means, double n_cases) {
  Vector logits(means.size());
  for (Index i = 0; i < means.size(); ++i)
    logits[i] = static_cast<float>(logit((means[i] * n_cases + 1.0) / (n_cases + 2.0)));
  return logits;
}

std::vector<Index> BinaryVisibles::free_units(const LawChange& change, Index n, const Sites&) {
  return change.held_of(0).left(n);
}

std::vector<Index> BinaryVisibles::held_units(const LawChange& change, const Sites&) {
  return change.held_of(0).ones();
}

}  // namespace tempera
