#include "tempera/models/bernoulli_rbm.hpp"

#include <array>
#include <boost/random/normal_distribution.hpp>
#include <limits>

#include "collapsed_layers.hpp"
#include "field_checks.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "units/bernoulli_units.hpp"
#include "units/independent_units.hpp"

namespace tempera {
namespace {

/// Packs one layer of every block of a panel.
void pack_layer(const Panel<BernoulliRbm>& panel, BitLayer BernoulliRbm::State::*layer, PackedPanel& packed) {
  std::array<BitBlock, kMaxPanel> blocks;
  for (std::size_t b = 0; b < panel.states.size(); ++b)
    blocks[b] = {panel.states[b].*layer, panel.caches[b].lanes};
  pack({blocks.data(), panel.states.size()}, packed);
}

/// Rows `first` ... of one matrix per block.
std::array<float*, kMaxPanel> hidden_inputs(const Panel<BernoulliRbm>& panel, Index first) {
  std::array<float*, kMaxPanel> rows;
  for (std::size_t b = 0; b < panel.caches.size(); ++b)
    rows[b] = panel.caches[b].hidden_input.row(first).data();
  return rows;
}

}  // namespace

bool BernoulliRbm::operator==(const BernoulliRbm& other) const {
  return shape_ == other.shape_ && equal_fields(reference_, other.reference_);
}

BernoulliRbm::Shape BernoulliRbm::shape_from(const FieldShapes& file) {
  const ArrayShape& shape = matrix_shape(file, "weights");
  require_bias(file, "visible_bias", shape[0], shape);
  require_bias(file, "hidden_bias", shape[1], shape);
  return {static_cast<Index>(shape[0]), static_cast<Index>(shape[1])};
}

std::vector<Violation> BernoulliRbm::check(const MachineOptions& options, const InitialValues&) {
  return check_one_layer(kKind, options);
}

MachineMemory BernoulliRbm::memory(const Shape& shape) {
  const auto n = static_cast<double>(shape.n_visible);
  const auto h = static_cast<double>(shape.n_hidden);
  return {n * h + n + h, n + h, 3.0 * (n + h)};
}

std::vector<ShapeAttribute> BernoulliRbm::shape_attributes() const {
  return {{"n_visible", std::int64_t{n_visible()}}, {"n_hidden", std::int64_t{n_hidden()}}};
}

std::uint32_t BernoulliRbm::hidden_site() const {
  return static_cast<std::uint32_t>(aligned_units(n_visible()));
}

std::uint32_t BernoulliRbm::redraw_site() const {
  return hidden_site() + static_cast<std::uint32_t>(aligned_units(n_hidden()));
}

BernoulliRbm::Params BernoulliRbm::zero_params() const {
  return {Matrix::Zero(n_visible(), n_hidden()), Vector::Zero(n_visible()), Vector::Zero(n_hidden())};
}

BernoulliRbm::State BernoulliRbm::new_state() const {
  return {BitLayer(static_cast<std::size_t>(n_visible())), BitLayer(static_cast<std::size_t>(n_hidden()))};
}

BernoulliRbm::BlockCache BernoulliRbm::new_cache(Index lanes) const {
  return {lanes, LaneMatrix::Zero(n_hidden(), kLanes), LaneMatrix::Zero(n_hidden(), kLanes)};
}

BernoulliRbm::Offsets BernoulliRbm::zero_offsets() const {
  return {Vector::Zero(n_visible()), Vector::Zero(n_hidden())};
}

void BernoulliRbm::load(const BinaryData& data, std::span<const Index> cases, State& x) const {
  load_cases(data, cases, x.visible);
}

void BernoulliRbm::resample(Index stage, UnitRange units, const Params& theta,
                            const Panel<BernoulliRbm>& panel, Scratch& scratch,
                            const LaneStream& stream) const {
  if (stage == 0) {
    pack_layer(panel, &State::hidden, scratch.packed);
    if (scratch.input.rows() < kProductUnits * panel.blocks())
      scratch.input.resize(kProductUnits * panel.blocks(), kLanes);
    std::array<float*, kMaxPanel> inputs;
    for (Index b = 0; b < panel.blocks(); ++b)
      inputs[static_cast<std::size_t>(b)] = scratch.input.row(b * kProductUnits).data();
    for_each_part(units, [&](UnitRange part) {
      input_from_columns(theta.weights, scratch.packed, part, theta.visible_bias, inputs, scratch.products);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        sample_units(inputs[b], part, panel.betas[b], view(reference_.visible_bias), panel.caches[b].lanes,
                     stream.block(static_cast<Index>(b)), 0, panel.states[b].visible);
      }
    });
  } else {
    pack_layer(panel, &State::visible, scratch.packed);
    for_each_part(units, [&](UnitRange part) {
      const auto inputs = hidden_inputs(panel, part.first);
      input_from_rows(theta.weights, scratch.packed, part, theta.hidden_bias, inputs, scratch.products);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        sample_units(inputs[b], part, panel.betas[b], {}, panel.caches[b].lanes,
                     stream.block(static_cast<Index>(b)), hidden_site(), panel.states[b].hidden);
      }
    });
  }
}

void BernoulliRbm::latent_input(UnitRange units, const Params& theta, const Panel<BernoulliRbm>& panel,
                                Scratch& scratch) const {
  pack_layer(panel, &State::visible, scratch.packed);
  input_from_rows(theta.weights, scratch.packed, units, theta.hidden_bias, hidden_inputs(panel, units.first),
                  scratch.products);
}

void BernoulliRbm::mean_latents(UnitRange units, const Params&, const Panel<BernoulliRbm>& panel) const {
  for (std::size_t b = 0; b < panel.caches.size(); ++b) {
    BlockCache& cache = panel.caches[b];
    mean_units(cache.hidden_input, units, panel.betas[b], cache.lanes, cache.hidden_mean);
  }
}

void BernoulliRbm::sample_latents(const Params&, const LaneFloats& beta, State& x, const BlockCache& cache,
                                  const LaneStream& stream) const {
  sample_units(cache.hidden_input.data(), {0, n_hidden()}, beta, {}, cache.lanes, stream, redraw_site(),
               x.hidden);
}

void BernoulliRbm::free_energy(const Params& theta, const LaneFloats& beta, const State& x,
                               const BlockCache& cache, LaneDoubles& out) const {
  LaneDoubles bias_dot{};
  LaneDoubles reference_dot{};
  add_dots({x.visible, cache.lanes}, theta.visible_bias, bias_dot);
  add_dots({x.visible, cache.lanes}, reference_.visible_bias, reference_dot);
  out.fill(0.0);
  add_softplus(cache.hidden_input, beta, cache.lanes, out);
  for (std::size_t c = 0; c < out.size(); ++c) {
    const double b = beta[c];
    out[c] = static_cast<Index>(c) < cache.lanes ? -(out[c] + b * bias_dot[c] + (1.0 - b) * reference_dot[c])
                                                 : 0.0;
  }
}

void BernoulliRbm::visible_input(const Params& theta, const BitBlock& hidden, Scratch& scratch) const {
  pack({&hidden, 1}, scratch.packed);
  scratch.visible_input.resize(n_visible(), kLanes);
  float* const input = scratch.visible_input.data();
  input_from_columns(theta.weights, scratch.packed, {0, n_visible()}, theta.visible_bias, {&input, 1},
                     scratch.products);
}

void BernoulliRbm::latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x,
                                      Index lanes, Scratch& scratch, LaneDoubles& out) const {
  visible_input(theta, {x.hidden, lanes}, scratch);
  const Eigen::Map<const Eigen::Array<float, 1, kLanes>> cold(beta.data());
  for (Index i = 0; i < n_visible(); ++i) {
    auto input = scratch.visible_input.row(i).array();
    input = input * cold + (1.0F - cold) * reference_.visible_bias[i];
  }
  LaneDoubles bias_dot{};
  add_dots({x.hidden, lanes}, theta.hidden_bias, bias_dot);
  LaneFloats one;
  one.fill(1.0F);
  out.fill(0.0);
  add_softplus(scratch.visible_input, one, lanes, out);
  for (std::size_t c = 0; c < out.size(); ++c)
    out[c] = static_cast<Index>(c) < lanes ? -(out[c] + static_cast<double>(beta[c]) * bias_dot[c]) : 0.0;
}

void BernoulliRbm::accumulate(const Params&, std::span<const State> states,
                              std::span<const BlockCache> caches, std::span<const LaneFloats> weights,
                              Index slice, Sums mode, Scratch& scratch, Params& sums) const {
  const UnitRange hidden = slice_units(slice);
  scratch.blocks.clear();
  for (std::size_t b = 0; b < states.size(); ++b) {
    scratch.blocks.push_back({states[b].visible.data(), caches[b].hidden_mean.data(), weights[b].data(),
                              static_cast<std::size_t>(caches[b].lanes)});
  }
  add_products(scratch.blocks, hidden, mode, sums.weights, scratch.products);
  const auto n_blocks = static_cast<Index>(states.size());
  const auto add = [](Vector& into, const Vector& from) { into += from; };
  const auto put = [mode](auto&& sum, const Vector& value) {
    if (mode == Sums::kSet) sum.setZero();
    sum += value;
  };
  put(sums.hidden_bias.segment(hidden.first, hidden.size()),
      sum_tree(
          n_blocks,
          [&](Index block) {
            const auto b = static_cast<std::size_t>(block);
            const Eigen::Map<const Vector> weight(weights[b].data(), caches[b].lanes);
            return Vector(caches[b].hidden_mean.block(hidden.first, 0, hidden.size(), caches[b].lanes) *
                          weight);
          },
          add));
  if (slice > 0) return;
  put(sums.visible_bias, sum_tree(
                             n_blocks,
                             [&](Index block) {
                               const auto b = static_cast<std::size_t>(block);
                               Vector part = Vector::Zero(n_visible());
                               add_bits(states[b].visible, weights[b], part);
                               return part;
                             },
                             add));
}

void BernoulliRbm::note_means(Index slice, const Params& sums, Offsets& means) const {
  const UnitRange hidden = slice_units(slice);
  means.hidden.segment(hidden.first, hidden.size()) = sums.hidden_bias.segment(hidden.first, hidden.size());
}

void BernoulliRbm::unpack_latents(const State& x, BlockCache& cache) const {
  unpack_lanes(x.hidden, cache.hidden_mean);
}

void BernoulliRbm::score(const Params& direction, const State& x, const BlockCache& probe,
                         const BlockCache& cache, LaneDoubles& out) const {
  out.fill(0.0);
  add_dots({x.visible, cache.lanes}, direction.visible_bias, out);
  add_column_dots(probe.hidden_input, cache.hidden_mean, cache.lanes, out);
}

void BernoulliRbm::layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  if (layer == 0) {
    unpack_lanes(x.visible, out);
  } else {
    out = cache.hidden_mean;
  }
}

LayerParams<float> BernoulliRbm::to_layers(Params&& params) {
  LayerParams<float> layers;
  layers.weights.push_back(std::move(params.weights));
  layers.bias.push_back(std::move(params.visible_bias));
  layers.bias.push_back(std::move(params.hidden_bias));
  return layers;
}

BernoulliRbm::Params BernoulliRbm::from_layers(LayerParams<float>&& layers) {
  return {std::move(layers.weights[0]), std::move(layers.bias[0]), std::move(layers.bias[1])};
}

void BernoulliRbm::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const LaneMatrix input = LaneMatrix::Zero(std::max(n_visible(), n_hidden()), kLanes);
  sample_units(input.data(), {0, n_visible()}, zero, view(reference_.visible_bias), lanes, stream, 0,
               x.visible);
  sample_units(input.data(), {0, n_hidden()}, zero, {}, lanes, stream, hidden_site(), x.hidden);
}

double BernoulliRbm::reference_log_partition() const {
  double sum = static_cast<double>(n_hidden()) * std::log(2.0);
  for (const float r : reference_.visible_bias) sum += softplus(r);
  return sum;
}

BernoulliRbm::Params BernoulliRbm::reference_params() const {
  Params theta = zero_params();
  theta.visible_bias = reference_.visible_bias;
  return theta;
}

Index BernoulliRbm::exact_chunks() const { return enumeration_chunks(enumerated_units()); }

std::unique_ptr<CollapsedLayers> BernoulliRbm::smaller_side(const Params& theta, double beta) const {
  const Eigen::VectorXd visible_bias =
      beta * theta.visible_bias.cast<double>() + (1.0 - beta) * reference_.visible_bias.cast<double>();
  const Eigen::VectorXd hidden_bias = beta * theta.hidden_bias.cast<double>();
  if (n_hidden() <= n_visible())
    return std::make_unique<CollapsedLayers>(beta * theta.weights.transpose().cast<double>(), hidden_bias,
                                             visible_bias);
  return std::make_unique<CollapsedLayers>(beta * theta.weights.cast<double>(), visible_bias, hidden_bias);
}

double BernoulliRbm::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  return log_sum_of_chunk(*smaller_side(theta, beta), chunk);
}

std::unique_ptr<CollapsedMachine> BernoulliRbm::collapsed(const Params& theta) const {
  return smaller_side(theta, 1.0);
}

double BernoulliRbm::free_energy(const Params& theta, std::span<const Word> row) const {
  double bias = 0.0;
  Eigen::ArrayXd input = theta.hidden_bias.cast<double>();
  for (std::size_t word = 0; word < row.size(); ++word) {
    for (Word bits = row[word]; bits != 0; bits &= bits - 1) {
      const auto i = static_cast<Index>(word) * 64 + std::countr_zero(bits);
      bias += theta.visible_bias[i];
      input += theta.weights.row(i).transpose().array().cast<double>();
    }
  }
  return -bias - softplus_sum(input);
}

void BernoulliRbm::mean_visible(const Params& theta, const State& x, Scratch& scratch,
                                LaneMatrix& mean) const {
  visible_input(theta, {x.hidden, kLanes}, scratch);
  LaneFloats one;
  one.fill(1.0F);
  mean.resize(n_visible(), kLanes);
  mean_units(scratch.visible_input, {0, n_visible()}, one, kLanes, mean);
}

BernoulliRbm::Params BernoulliRbm::initial_params(const StreamFactory& streams,
                                                  const InitialValues& values) const {
  Params theta = zero_params();
  const double scale = values.weights ? *values.weights : default_weight_scale(values, n_visible());
  StreamEngine random = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
  for (Index k = 0; k < theta.weights.size(); ++k) theta.weights.data()[k] = normal(random);
  theta.visible_bias = reference_.visible_bias;
  return theta;
}

BernoulliRbm::Offsets BernoulliRbm::initial_offsets(const Eigen::VectorXd& visible_means) const {
  return {visible_means.cast<float>(), Vector::Constant(n_hidden(), 0.5F)};
}

void BernoulliRbm::code_values(std::size_t, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  layer_values(1, x, cache, out);
}

BernoulliRbm BernoulliRbm::with_latents(const std::vector<Index>& kept) const {
  return {{n_visible(), static_cast<Index>(kept.size())}, reference_};
}

BernoulliRbm::Params BernoulliRbm::with_latents(const std::vector<Index>& kept, const Params& theta) {
  return {theta.weights(Eigen::all, kept), theta.visible_bias, theta.hidden_bias(kept)};
}

BernoulliRbm::State BernoulliRbm::with_latents(const std::vector<Index>& kept, const State& x) {
  BitLayer hidden;
  for (const Index j : kept) hidden.push_back(x.hidden[static_cast<std::size_t>(j)]);
  return {x.visible, hidden};
}

}  // namespace tempera
