// How a machine's gradient is seen by centring and metrics: one interface, whatever the machine.
//
// Layers of Bernoulli units are seen centred on their means (docs/mathematics/metrics.md 4.2). Machines of
// real values or slabs are seen in statistics of their own, each in units in which it has no dimension
// (5.13).
#pragma once

#include <memory>

#include "tempera/train/fisher.hpp"
#include "tempera/train/optimizer.hpp"
#include "tempera/train/pruning.hpp"

namespace tempera {

/// Coordinates of layers of Bernoulli units.
template <HasLayers M>
struct CentredCoordinates {
  using Params = typename M::Params;
  using Offsets = typename M::Offsets;

  /// Which statistics there are.
  static LayerShape shape(const M& model, const Params& theta);
  /// Offsets of every layer, which must outlive the result.
  static LayerOffsets layer_offsets(const Offsets& offsets) { return M::layer_offsets(offsets); }
  /// Sums of statistics as these coordinates see them.
  static LayerParams<float> gradient(const M& model, const Params& theta, const Offsets& offsets,
                                     Params sums);
  /// Adds a step, which is consumed, to the parameters.
  static void move(const M& model, const Offsets& offsets, LayerParams<float>&& step, Params& theta);
  /// Means of the hidden units over the data, from sums of the data alone with weights that add to 1.
  static Offsets means(const M& model, const Params& data_sums, Offsets offsets);
  /// Weights that a mask has lost become 0, and their mean effect goes to the biases.
  static void hold(const Mask& mask, const Offsets& offsets, Params& theta);
  /// The Fisher matrix of draws. `probe` is memory; it and the arguments must outlive the result.
  static std::unique_ptr<Fisher<float>> fisher(const Engine<M>& engine, const Params& theta,
                                               Population<M>& population, FisherDraws draws,
                                               const Offsets& offsets, Caches<M>& probe);
  static StepNorms take_step(const FirstOrderStep& step, const Params& gradient, Moved<M> moved,
                             const Executor& executor) {
    return take_centred_step<M>(step, gradient, moved, executor);
  }
};

/// Coordinates of machines of real values or slabs: the members mean the same. Nothing is centred.
template <HasStatistics M>
struct StatisticsCoordinates {
  using Params = typename M::Params;
  using Offsets = typename M::Offsets;

  static LayerShape shape(const M& model, const Params& theta) { return model.statistics_shape(theta); }
  static LayerOffsets layer_offsets(const Offsets&) { return {}; }
  static LayerParams<float> gradient(const M& model, const Params& theta, const Offsets&,
                                     const Params& sums) {
    return model.to_statistics(theta, sums);
  }
  static void move(const M& model, const Offsets&, LayerParams<float>&& step, Params& theta) {
    model.move(step, theta);
  }
  static Offsets means(const M&, const Params&, Offsets offsets) { return offsets; }
  static void hold(const Mask&, const Offsets&, Params&) {}  // nothing of these machines is pruned
  static std::unique_ptr<Fisher<float>> fisher(const Engine<M>& engine, const Params& theta,
                                               Population<M>& population, const FisherDraws& draws,
                                               const Offsets&, Caches<M>&);
  static StepNorms take_step(const FirstOrderStep& step, const Params& gradient, Moved<M> moved,
                             const Executor&) {
    return take_plain_step<M>(step, gradient, moved);
  }
};

template <class M>
struct CoordinatesOf {
  using Type = StatisticsCoordinates<M>;
};
template <HasLayers M>
struct CoordinatesOf<M> {
  using Type = CentredCoordinates<M>;
};
template <EnergyModel M>
using Coordinates = typename CoordinatesOf<M>::Type;

}  // namespace tempera
