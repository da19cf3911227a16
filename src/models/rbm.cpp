#include "tempera/models/rbm.hpp"

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

/// One layer of every block of a panel.
template <class M>
std::array<BitBlock, kMaxPanel> blocks_of(const Panel<M>& panel, BitLayer M::State::*layer) {
  std::array<BitBlock, kMaxPanel> blocks;
  for (std::size_t b = 0; b < panel.states.size(); ++b)
    blocks[b] = {panel.states[b].*layer, panel.caches[b].lanes};
  return blocks;
}

/// Rows `first` ... of one matrix per block.
template <class M>
std::array<float*, kMaxPanel> hidden_inputs(const Panel<M>& panel, Index first) {
  std::array<float*, kMaxPanel> rows;
  for (std::size_t b = 0; b < panel.caches.size(); ++b)
    rows[b] = panel.caches[b].hidden_input.row(first).data();
  return rows;
}

}  // namespace

template <class V>
bool Rbm<V>::operator==(const Rbm& other) const {
  return shape_ == other.shape_ && equal_fields(reference_, other.reference_);
}

template <class V>
auto Rbm<V>::shape_from(const FieldShapes& file) -> Shape {
  Sites sites;
  const ArrayShape shape = V::weights_in(file, sites);
  require_bias(file, "hidden_bias", shape[1], file.shape("weights"));
  return {static_cast<Index>(shape[0]), static_cast<Index>(shape[1]), std::move(sites)};
}

template <class V>
std::vector<Violation> Rbm<V>::check(const MachineOptions& options, const InitialValues&) {
  return check_one_layer(kKind, options);
}

template <class V>
MachineMemory Rbm<V>::memory(const Shape& shape) {
  const auto n = static_cast<double>(shape.n_visible);
  const auto h = static_cast<double>(shape.n_hidden);
  return {n * h + n + h, n + h, 3.0 * (n + h)};
}

template <class V>
std::vector<ShapeAttribute> Rbm<V>::shape_attributes() const {
  std::vector<ShapeAttribute> all;
  for (auto& [name, size] : shape_names()) all.push_back({name, std::int64_t{size}});
  V::add_attributes(shape_.sites, all);
  return all;
}

template <class V>
std::vector<std::pair<std::string, Index>> Rbm<V>::shape_names() const {
  return V::shape_names(n_visible(), n_hidden(), shape_.sites);
}

template <class V>
std::uint32_t Rbm<V>::hidden_site() const {
  return static_cast<std::uint32_t>(aligned_units(V::bits_of_draws(n_visible(), shape_.sites)));
}

template <class V>
std::uint32_t Rbm<V>::redraw_site() const {
  return hidden_site() + static_cast<std::uint32_t>(aligned_units(n_hidden()));
}

template <class V>
auto Rbm<V>::zero_params() const -> Params {
  return {Matrix::Zero(n_visible(), n_hidden()), Vector::Zero(n_visible()), Vector::Zero(n_hidden())};
}

template <class V>
auto Rbm<V>::new_state() const -> State {
  return {BitLayer(static_cast<std::size_t>(n_visible())), BitLayer(static_cast<std::size_t>(n_hidden()))};
}

template <class V>
auto Rbm<V>::new_cache(Index lanes) const -> BlockCache {
  return {lanes, LaneMatrix::Zero(n_hidden(), kLanes), LaneMatrix::Zero(n_hidden(), kLanes)};
}

template <class V>
auto Rbm<V>::zero_offsets() const -> Offsets {
  return {Vector::Zero(n_visible()), Vector::Zero(n_hidden())};
}

template <class V>
void Rbm<V>::load(const Data& data, std::span<const Index> cases, State& x) const {
  load_cases(data, cases, x.visible);
}

template <class V>
void Rbm<V>::resample(Index stage, UnitRange units, const Params& theta, const Panel<Rbm>& panel,
                      Scratch& scratch, const LaneStream& stream) const {
  if (stage == 0) {
    pack({blocks_of(panel, &State::hidden).data(), panel.states.size()}, scratch.packed);
    const Index sites = V::sites_of_part(shape_.sites);
    const Index most = V::units_of({0, sites}, shape_.sites).size();
    if (scratch.input.rows() < most * panel.blocks()) scratch.input.resize(most * panel.blocks(), kLanes);
    std::array<float*, kMaxPanel> inputs;
    for (Index b = 0; b < panel.blocks(); ++b)
      inputs[static_cast<std::size_t>(b)] = scratch.input.row(b * most).data();
    for (Index first = units.first; first < units.last; first += sites) {
      const UnitRange part{first, std::min(units.last, first + sites)};
      input_from_columns(theta.weights, scratch.packed, V::units_of(part, shape_.sites), theta.visible_bias,
                         inputs, scratch.products);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        V::sample_sites(inputs[b], part, shape_.sites, panel.betas[b], reference_.visible_bias,
                        panel.caches[b].lanes, stream.block(static_cast<Index>(b)), panel.states[b].visible);
      }
    }
  } else {
    pack_visibles(panel, scratch);
    for (Index first = units.first; first < units.last; first += V::kHiddenPart) {
      const UnitRange part{first, std::min(units.last, first + V::kHiddenPart)};
      const auto inputs = hidden_inputs(panel, part.first);
      V::hidden_input(theta.weights, scratch.packed_visibles, part, theta.hidden_bias, inputs,
                      scratch.products);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        sample_units(inputs[b], part, panel.betas[b], {}, panel.caches[b].lanes,
                     stream.block(static_cast<Index>(b)), hidden_site(), panel.states[b].hidden);
      }
    }
  }
}

template <class V>
void Rbm<V>::latent_input(UnitRange units, const Params& theta, const Panel<Rbm>& panel,
                          Scratch& scratch) const {
  pack_visibles(panel, scratch);
  V::hidden_input(theta.weights, scratch.packed_visibles, units, theta.hidden_bias,
                  hidden_inputs(panel, units.first), scratch.products);
}

template <class V>
void Rbm<V>::pack_visibles(const Panel<Rbm>& panel, Scratch& scratch) const {
  V::pack({blocks_of(panel, &State::visible).data(), panel.states.size()}, shape_.sites,
          scratch.packed_visibles);
}

template <class V>
void Rbm<V>::mean_latents(UnitRange units, const Params&, const Panel<Rbm>& panel) const {
  for (std::size_t b = 0; b < panel.caches.size(); ++b) {
    BlockCache& cache = panel.caches[b];
    mean_units(cache.hidden_input, units, panel.betas[b], cache.lanes, cache.hidden_mean);
  }
}

template <class V>
void Rbm<V>::sample_latents(const Params&, const LaneFloats& beta, State& x, const BlockCache& cache,
                            const LaneStream& stream) const {
  sample_units(cache.hidden_input.data(), {0, n_hidden()}, beta, {}, cache.lanes, stream, redraw_site(),
               x.hidden);
}

template <class V>
void Rbm<V>::free_energy(const Params& theta, const LaneFloats& beta, const State& x, const BlockCache& cache,
                         LaneDoubles& out) const {
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

template <class V>
void Rbm<V>::visible_input(const Params& theta, const BitBlock& hidden, Scratch& scratch) const {
  pack({&hidden, 1}, scratch.packed);
  scratch.visible_input.resize(n_visible(), kLanes);
  float* const input = scratch.visible_input.data();
  input_from_columns(theta.weights, scratch.packed, {0, n_visible()}, theta.visible_bias, {&input, 1},
                     scratch.products);
}

template <class V>
void Rbm<V>::latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x, Index lanes,
                                Scratch& scratch, LaneDoubles& out) const {
  visible_input(theta, {x.hidden, lanes}, scratch);
  const Eigen::Map<const Eigen::Array<float, 1, kLanes>> cold(beta.data());
  for (Index i = 0; i < n_visible(); ++i) {
    auto input = scratch.visible_input.row(i).array();
    input = input * cold + (1.0F - cold) * reference_.visible_bias[i];
  }
  LaneDoubles bias_dot{};
  add_dots({x.hidden, lanes}, theta.hidden_bias, bias_dot);
  out.fill(0.0);
  V::add_log_sums(scratch.visible_input, shape_.sites, lanes, out);
  for (std::size_t c = 0; c < out.size(); ++c)
    out[c] = static_cast<Index>(c) < lanes ? -(out[c] + static_cast<double>(beta[c]) * bias_dot[c]) : 0.0;
}

template <class V>
void Rbm<V>::accumulate(const Params&, std::span<const State> states, std::span<const BlockCache> caches,
                        std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                        Params& sums) const {
  const UnitRange hidden = slice_units(slice);
  scratch.blocks.clear();
  for (std::size_t b = 0; b < states.size(); ++b) {
    scratch.blocks.push_back({states[b].visible.data(), caches[b].hidden_mean.data(), weights[b].data(),
                              static_cast<std::size_t>(caches[b].lanes)});
  }
  V::add_products(scratch.blocks, hidden, mode, sums.weights, scratch.products);
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

template <class V>
void Rbm<V>::note_means(Index slice, const Params& sums, Offsets& means) const {
  const UnitRange hidden = slice_units(slice);
  means.hidden.segment(hidden.first, hidden.size()) = sums.hidden_bias.segment(hidden.first, hidden.size());
}

template <class V>
void Rbm<V>::unpack_latents(const State& x, BlockCache& cache) const {
  unpack_lanes(x.hidden, cache.hidden_mean);
}

template <class V>
void Rbm<V>::score(const Params& direction, const State& x, const BlockCache& probe, const BlockCache& cache,
                   LaneDoubles& out) const {
  out.fill(0.0);
  add_dots({x.visible, cache.lanes}, direction.visible_bias, out);
  add_column_dots(probe.hidden_input, cache.hidden_mean, cache.lanes, out);
}

template <class V>
void Rbm<V>::layer_values(Index layer, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  if (layer == 0) {
    unpack_lanes(x.visible, out);
  } else {
    out = cache.hidden_mean;
  }
}

template <class V>
LayerParams<float> Rbm<V>::to_layers(Params&& params) {
  LayerParams<float> layers;
  layers.weights.push_back(std::move(params.weights));
  layers.bias.push_back(std::move(params.visible_bias));
  layers.bias.push_back(std::move(params.hidden_bias));
  return layers;
}

template <class V>
auto Rbm<V>::from_layers(LayerParams<float>&& layers) -> Params {
  return {std::move(layers.weights[0]), std::move(layers.bias[0]), std::move(layers.bias[1])};
}

template <class V>
void Rbm<V>::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const LaneMatrix input = LaneMatrix::Zero(std::max(n_visible(), n_hidden()), kLanes);
  V::sample_sites(input.data(), {0, V::sites(n_visible(), shape_.sites)}, shape_.sites, zero,
                  reference_.visible_bias, lanes, stream, x.visible);
  sample_units(input.data(), {0, n_hidden()}, zero, {}, lanes, stream, hidden_site(), x.hidden);
}

template <class V>
double Rbm<V>::reference_log_partition() const {
  return static_cast<double>(n_hidden()) * std::log(2.0) +
         V::log_sum(reference_.visible_bias.template cast<double>().array(), shape_.sites);
}

template <class V>
auto Rbm<V>::reference_params() const -> Params {
  Params theta = zero_params();
  theta.visible_bias = reference_.visible_bias;
  return theta;
}

template <class V>
Index Rbm<V>::exact_chunks() const {
  return enumeration_chunks(enumerated_units());
}

template <class V>
std::unique_ptr<CollapsedLayers> Rbm<V>::smaller_side(const Params& theta, double beta) const {
  const Eigen::VectorXd visible_bias = visible_bias_at(theta, beta);
  const Eigen::VectorXd hidden_bias = beta * theta.hidden_bias.template cast<double>();
  if (is_hidden_smaller())
    return std::make_unique<CollapsedLayers>(beta * theta.weights.transpose().template cast<double>(),
                                             hidden_bias, visible_bias, V::letters_of(shape_.sites));
  return std::make_unique<CollapsedLayers>(beta * theta.weights.template cast<double>(), visible_bias,
                                           hidden_bias);
}

template <class V>
double Rbm<V>::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  if constexpr (!V::kBinary) {
    if (bits_of_visibles() < n_hidden())
      return V::log_sum_of_chunk(beta * theta.weights.template cast<double>(), visible_bias_at(theta, beta),
                                 beta * theta.hidden_bias.template cast<double>(), shape_.sites, chunk);
  }
  return log_sum_of_chunk(*smaller_side(theta, beta), chunk);
}

template <class V>
std::unique_ptr<CollapsedMachine> Rbm<V>::collapsed(const Params& theta) const {
  return smaller_side(theta, 1.0);
}

template <class V>
double Rbm<V>::free_energy(const Params& theta, std::span<const Word> row) const {
  double bias = 0.0;
  Eigen::ArrayXd input = theta.hidden_bias.template cast<double>();
  for (std::size_t word = 0; word < row.size(); ++word) {
    for (Word bits = row[word]; bits != 0; bits &= bits - 1) {
      const auto i = static_cast<Index>(word) * 64 + std::countr_zero(bits);
      bias += theta.visible_bias[i];
      input += theta.weights.row(i).transpose().array().template cast<double>();
    }
  }
  return -bias - softplus_sum(input);
}

template <class V>
void Rbm<V>::mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const {
  visible_input(theta, {x.hidden, kLanes}, scratch);
  mean.resize(n_visible(), kLanes);
  V::mean_units(scratch.visible_input, shape_.sites, mean);
}

template <class V>
auto Rbm<V>::initial_params(const StreamFactory& streams, const InitialValues& values) const -> Params {
  Params theta = zero_params();
  const double scale = values.weights ? *values.weights : default_weight_scale(values, n_visible());
  StreamEngine random = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(scale));
  for (Index k = 0; k < theta.weights.size(); ++k) theta.weights.data()[k] = normal(random);
  theta.visible_bias = reference_.visible_bias;
  V::settle(shape_.sites, theta.weights);
  if constexpr (V::kHasGauge) fix_gauge(theta);
  return theta;
}

template <class V>
auto Rbm<V>::initial_offsets(const Eigen::VectorXd& visible_means) const -> Offsets {
  return {visible_means.cast<float>(), Vector::Constant(n_hidden(), 0.5F)};
}

template <class V>
void Rbm<V>::code_values(std::size_t, const State& x, const BlockCache& cache, LaneMatrix& out) const {
  layer_values(1, x, cache, out);
}

template <class V>
Rbm<V> Rbm<V>::with_latents(const std::vector<Index>& kept) const {
  return {{n_visible(), static_cast<Index>(kept.size()), shape_.sites}, reference_};
}

template <class V>
auto Rbm<V>::with_latents(const std::vector<Index>& kept, const Params& theta) -> Params {
  return {theta.weights(Eigen::all, kept), theta.visible_bias, theta.hidden_bias(kept)};
}

template <class V>
auto Rbm<V>::with_latents(const std::vector<Index>& kept, const State& x) -> State {
  BitLayer hidden;
  for (const Index j : kept) hidden.push_back(x.hidden[static_cast<std::size_t>(j)]);
  return {x.visible, hidden};
}

template <class V>
auto Rbm<V>::changed_units(const LawChange& change) const -> ChangedUnits {
  return {V::free_units(change, n_visible(), shape_.sites),
          repeated(change.held_of(1).left(n_hidden()), change.copies), V::held_units(change, shape_.sites),
          change.held_of(1).ones(), V::free_sites(change, shape_.sites)};
}

template <class V>
Rbm<V> Rbm<V>::changed(const LawChange& change) const {
  ChangedUnits units = changed_units(change);
  return {{static_cast<Index>(units.visible.size()), static_cast<Index>(units.hidden.size()),
           std::move(units.sites)},
          {selected(reference_.visible_bias, units.visible)}};
}

template <class V>
auto Rbm<V>::changed(const LawChange& change, const Params& theta) const -> Params {
  const ChangedUnits units = changed_units(change);
  const auto copies = static_cast<float>(change.copies);
  Vector visible = copies * theta.visible_bias;
  for (const Index j : units.held_hidden) visible += theta.weights.col(j);
  Vector hidden = theta.hidden_bias;
  for (const Index i : units.held_visible) hidden += theta.weights.row(i).transpose();
  const auto beta = static_cast<float>(change.beta);
  return {beta * selected(theta.weights, units.visible, units.hidden),
          beta * selected(visible, units.visible), beta * selected(hidden, units.hidden)};
}

template <class V>
auto Rbm<V>::restored(const LawChange& change, const State& x) const -> State {
  const ChangedUnits units = changed_units(change);
  return {tempera::restored(x.visible, units.visible, units.held_visible, n_visible()),
          tempera::restored(x.hidden, change.held_of(1).left(n_hidden()), units.held_hidden, n_hidden())};
}

template <class V>
PairCouplings Rbm<V>::couplings(const Params& theta) const requires V::kHasGauge {
  PairCouplings all(shape_.sites);
  for (Index s = 0; s < shape_.sites.sites(); ++s) {
    const auto bias =
        theta.visible_bias.segment(s * shape_.sites.most(), shape_.sites.of(s)).template cast<double>();
    all.field(s) = bias.array() - bias.mean();
  }
  return all;
}

template <class V>
UnitCouplings Rbm<V>::unit_couplings(const Params& theta, Index unit,
                                     std::optional<double> variance) const requires V::kHasGauge {
  const Eigen::VectorXd weights = theta.weights.col(unit).template cast<double>();
  return variance ? UnitCouplings::about_data(shape_.sites, weights, *variance)
                  : UnitCouplings::exact(shape_.sites, weights, static_cast<double>(theta.hidden_bias[unit]));
}

template <class V>
Eigen::VectorXd Rbm<V>::visible_bias_at(const Params& theta, double beta) const {
  return beta * theta.visible_bias.template cast<double>() +
         (1.0 - beta) * reference_.visible_bias.template cast<double>();
}

template class Rbm<BinaryVisibles>;
template class Rbm<PottsVisibles>;

}  // namespace tempera
