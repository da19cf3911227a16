// Sweeps, latents given what a chain keeps, free energies, and the reference machine.
#include "tempera/models/dbm.hpp"

#include "tempera/core/math.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"
#include "units/bernoulli_units.hpp"

namespace tempera {

Dbm::Params Dbm::zero_params() const {
  Params theta;
  for (std::size_t k = 0; k + 1 < layers(); ++k) theta.weights[k] = Matrix::Zero(size(k), size(k + 1));
  for (std::size_t k = 0; k < layers(); ++k) theta.bias[k] = Vector::Zero(size(k));
  return theta;
}

Dbm::State Dbm::new_state() const {
  State x;
  for (std::size_t k = 0; k < layers(); ++k) x.layers[k] = BitLayer(static_cast<std::size_t>(size(k)));
  return x;
}

Dbm::BlockCache Dbm::new_cache(Index lanes) const {
  BlockCache cache;
  cache.lanes = lanes;
  for (std::size_t k = 1; k < layers(); ++k) {
    if (k % 2 == 1) cache.input[k] = LaneMatrix::Zero(size(k), kLanes);
    cache.mean[k] = LaneMatrix::Zero(size(k), kLanes);
  }
  return cache;
}

Dbm::Offsets Dbm::zero_offsets() const {
  Offsets offsets;
  for (std::size_t k = 0; k < layers(); ++k) offsets.layers[k] = Vector::Zero(size(k));
  return offsets;
}

void Dbm::load(const BinaryData& data, std::span<const Index> cases, State& x) const {
  load_cases(data, cases, x.layers[0]);
  for (std::size_t k = 2; k < layers(); k += 2) std::fill(x.layers[k].begin(), x.layers[k].end(), Word{0});
}

Index Dbm::first_unit(std::size_t layer) const {
  Index first = 0;
  for (std::size_t k = layer % 2; k < layer; k += 2) first += aligned_units(size(k));
  return first;
}

Index Dbm::stage_units(Index stage) const {
  const auto parity = static_cast<std::size_t>(stage);
  const std::size_t last = layers() - 1 - (layers() - 1 + parity) % 2;
  return first_unit(last) + size(last);
}

UnitRange Dbm::clamped_units() const {
  const Index all = stage_units(0);
  return {std::min(all, aligned_units(size(0))), all};
}

template <class F>
void Dbm::for_each_layer(Index stage, UnitRange units, F&& f) const {
  for (auto k = static_cast<std::size_t>(stage); k < layers(); k += 2) {
    const Index begin = first_unit(k);
    const UnitRange part{std::max<Index>(0, units.first - begin), std::min(size(k), units.last - begin)};
    if (part.size() > 0) f(k, part);
  }
}

void Dbm::pack_neighbours(Index stage, const Panel<Dbm>& panel, Scratch& scratch) const {
  std::array<BitBlock, kMaxPanel> blocks;
  for (auto k = static_cast<std::size_t>(1 - stage); k < layers(); k += 2) {
    for (std::size_t b = 0; b < panel.states.size(); ++b)
      blocks[b] = {panel.states[b].layers[k], panel.caches[b].lanes};
    pack({blocks.data(), panel.states.size()}, scratch.packed[k]);
  }
}

void Dbm::layer_input(std::size_t layer, UnitRange part, const Params& theta, std::size_t n_blocks,
                      std::span<float* const> out, Scratch& scratch) const {
  const bool below = layer > 0;
  const bool above = layer + 1 < layers();
  if (below)
    input_from_rows(theta.weights[layer - 1], scratch.packed[layer - 1], part, theta.bias[layer], out,
                    scratch.products);
  if (!above) return;
  if (!below) {
    input_from_columns(theta.weights[layer], scratch.packed[layer + 1], part, theta.bias[layer], out,
                       scratch.products);
    return;
  }
  if (scratch.no_bias.size() < size(layer)) scratch.no_bias = Vector::Zero(size(layer));
  const auto blocks = static_cast<Index>(n_blocks);
  if (scratch.other.rows() < part.size() * blocks) scratch.other.resize(part.size() * blocks, kLanes);
  std::array<float*, kMaxPanel> more;
  for (Index b = 0; b < blocks; ++b)
    more[static_cast<std::size_t>(b)] = scratch.other.row(b * part.size()).data();
  input_from_columns(theta.weights[layer], scratch.packed[layer + 1], part, scratch.no_bias, more,
                     scratch.products);
  for (std::size_t b = 0; b < n_blocks; ++b) {
    Eigen::Map<Eigen::ArrayXf, Eigen::Aligned64>(out[b], part.size() * kLanes) +=
        Eigen::Map<const Eigen::ArrayXf, Eigen::Aligned64>(more[b], part.size() * kLanes);
  }
}

void Dbm::resample(Index stage, UnitRange units, const Params& theta, const Panel<Dbm>& panel,
                   Scratch& scratch, const LaneStream& stream) const {
  pack_neighbours(stage, panel, scratch);
  const Index site = stage == 0 ? 0 : aligned_units(stage_units(0));
  if (scratch.input.rows() < kProductUnits * panel.blocks())
    scratch.input.resize(kProductUnits * panel.blocks(), kLanes);
  for_each_layer(stage, units, [&](std::size_t k, UnitRange range) {
    for_each_part(range, [&](UnitRange part) {
      // Inputs of the latents are the cache; those of the even layers are wanted once.
      std::array<float*, kMaxPanel> inputs;
      for (std::size_t b = 0; b < panel.states.size(); ++b)
        inputs[b] = stage == 0 ? scratch.input.row(static_cast<Index>(b) * kProductUnits).data()
                               : panel.caches[b].input[k].row(part.first).data();
      layer_input(k, part, theta, panel.states.size(), inputs, scratch);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        sample_units(inputs[b], part, panel.betas[b],
                     k == 0 ? view(reference_.bias_0) : std::span<const float>(), panel.caches[b].lanes,
                     stream.block(static_cast<Index>(b)), static_cast<std::uint32_t>(site + first_unit(k)),
                     panel.states[b].layers[k]);
      }
    });
  });
}

void Dbm::latent_input(UnitRange units, const Params& theta, const Panel<Dbm>& panel,
                       Scratch& scratch) const {
  pack_neighbours(1, panel, scratch);
  for_each_layer(1, units, [&](std::size_t k, UnitRange range) {
    for_each_part(range, [&](UnitRange part) {
      std::array<float*, kMaxPanel> inputs;
      for (std::size_t b = 0; b < panel.states.size(); ++b)
        inputs[b] = panel.caches[b].input[k].row(part.first).data();
      layer_input(k, part, theta, panel.states.size(), inputs, scratch);
    });
  });
}

void Dbm::mean_latents(UnitRange units, const Params&, const Panel<Dbm>& panel) const {
  for (std::size_t b = 0; b < panel.caches.size(); ++b) {
    BlockCache& cache = panel.caches[b];
    cache.mean_field = false;
    for_each_layer(1, units, [&](std::size_t k, UnitRange part) {
      mean_units(cache.input[k], part, panel.betas[b], cache.lanes, cache.mean[k]);
    });
  }
}

void Dbm::sample_latents(const Params&, const LaneFloats& beta, State& x, const BlockCache& cache,
                         const LaneStream& stream) const {
  const Index site = aligned_units(stage_units(0)) + aligned_units(stage_units(1));
  for (std::size_t k = 1; k < layers(); k += 2)
    sample_units(cache.input[k].data(), {0, size(k)}, beta, {}, cache.lanes, stream,
                 static_cast<std::uint32_t>(site + first_unit(k)), x.layers[k]);
}

void Dbm::free_energy(const Params& theta, const LaneFloats& beta, const State& x, const BlockCache& cache,
                      LaneDoubles& out) const {
  LaneDoubles bias_dot{};
  LaneDoubles reference_dot{};
  for (std::size_t k = 0; k < layers(); k += 2) add_dots({x.layers[k], cache.lanes}, theta.bias[k], bias_dot);
  add_dots({x.layers[0], cache.lanes}, reference_.bias_0, reference_dot);
  out.fill(0.0);
  for (std::size_t k = 1; k < layers(); k += 2) add_softplus(cache.input[k], beta, cache.lanes, out);
  for (std::size_t c = 0; c < out.size(); ++c) {
    const double b = beta[c];
    out[c] = static_cast<Index>(c) < cache.lanes ? -(out[c] + b * bias_dot[c] + (1.0 - b) * reference_dot[c])
                                                 : 0.0;
  }
}

void Dbm::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const LaneMatrix input =
      LaneMatrix::Zero(*std::max_element(shape_.sizes.begin(), shape_.sizes.end()), kLanes);
  for (std::size_t k = 0; k < layers(); ++k) {
    const Index site = k % 2 == 0 ? 0 : aligned_units(stage_units(0));
    sample_units(input.data(), {0, size(k)}, zero,
                 k == 0 ? view(reference_.bias_0) : std::span<const float>(), lanes, stream,
                 static_cast<std::uint32_t>(site + first_unit(k)), x.layers[k]);
  }
}

double Dbm::reference_log_partition() const {
  double sum = 0.0;
  for (std::size_t k = 1; k < layers(); ++k) sum += static_cast<double>(size(k)) * std::log(2.0);
  for (const float r : reference_.bias_0) sum += softplus(r);
  return sum;
}

Dbm::Params Dbm::reference_params() const {
  Params theta = zero_params();
  theta.bias[0] = reference_.bias_0;
  return theta;
}

}  // namespace tempera
