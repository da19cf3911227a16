// Latents of which every group is one binary unit: what hidden units and spikes share. Both say their logits
// given the visibles as L::logits(shape, params, unit, input, beta).
#pragma once

#include "bernoulli_units.hpp"
#include "lanes.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {

/// out[c] += sum_i softplus(logit_i). Logits: (unit, out row).
template <class Logits>
void add_unit_log_weights(Index units, Logits&& logits_of, Index lanes, LaneDoubles& out) {
  const LaneFloats one = ones();
  LaneMatrix logits(kProductUnits, kLanes);
  for (Index first = 0; first < units; first += kProductUnits) {
    const Index n = std::min(kProductUnits, units - first);
    if (logits.rows() != n) logits.resize(n, kLanes);
    for (Index k = 0; k < n; ++k) logits.row(k) = logits_of(first + k).matrix();
    add_softplus(logits, one, lanes, out);
  }
}

/// Logits of all units.
template <class Logits>
void fill_unit_logits(Index units, Logits&& logits_of, LaneMatrix& out) {
  out.resize(units, kLanes);
  for (Index i = 0; i < units; ++i) out.row(i) = logits_of(i).matrix();
}

/// Expected units of some groups, and gates of their filters, `each` of every group.
template <class Logits>
void fill_unit_means(UnitRange groups, Index each, Logits&& logits_of, const LatentMeans& means) {
  for (Index i = groups.first; i < groups.last; ++i) {
    const Lanes mean = sigmoid_lanes(logits_of(i));
    means.units.row(i) = mean.matrix();
    for (Index m = i * each; m < (i + 1) * each; ++m) means.gate.row(m) = mean.matrix();
  }
}

/// Draws units with these logits.
template <class Logits>
void sample_with_logits(UnitRange groups, Logits&& logits_of, Index lanes, const LaneStream& stream,
                        Index first_site, BitLayer& out) {
  const LaneFloats one = ones();
  for_each_part(groups, [&](UnitRange part) {
    Part logits;
    for (Index i = part.first; i < part.last; ++i) logits.row(i - part.first) = logits_of(i);
    sample_units(logits.data(), part, one, {}, lanes, stream, static_cast<std::uint32_t>(first_site), out);
  });
}

/// Fair coins.
inline void sample_fair(Index lanes, const LaneStream& stream, Index first_site, BitLayer& out) {
  const auto n = static_cast<Index>(out.size());
  if (n == 0) return;
  const LaneMatrix input = LaneMatrix::Zero(n, kLanes);
  sample_units(input.data(), {0, n}, ones(), {}, lanes, stream, static_cast<std::uint32_t>(first_site), out);
}

/// n log 2.
inline double fair_log_partition(Index units) { return static_cast<double>(units) * std::log(2.0); }

/// What a machine of one hidden layer says of another number of layers.
inline std::vector<Violation> check_one_layer(std::string_view kind, const MachineOptions& options) {
  if (options.hidden.size() == 1) return {};
  return {{"hidden", std::to_string(options.hidden.size()) + " layers",
           std::string(kind) + " has one hidden layer"}};
}

inline ArrayShape array_shape(std::initializer_list<Index> sizes) { return {sizes.begin(), sizes.end()}; }

}  // namespace tempera
