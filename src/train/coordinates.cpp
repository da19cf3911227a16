#include "tempera/train/coordinates.hpp"

#include "tempera/models/all_models.hpp"

namespace tempera {

template <HasLayers M>
LayerShape CentredCoordinates<M>::shape(const M& model, const Params&) {
  return LayerShape(model.layer_sizes());
}

template <HasLayers M>
LayerParams<float> CentredCoordinates<M>::gradient(const M&, const Params&, const Offsets& offsets,
                                                   Params sums) {
  LayerParams<float> g = M::to_layers(std::move(sums));
  centre_gradient(M::layer_offsets(offsets), g);
  return g;
}

template <HasLayers M>
void CentredCoordinates<M>::move(const M&, const Offsets& offsets, LayerParams<float>&& step, Params& theta) {
  uncentred_direction(M::layer_offsets(offsets), step);
  add_scaled(theta, 1.0F, M::from_layers(std::move(step)));
}

template <HasLayers M>
typename M::Offsets CentredCoordinates<M>::means(const M& model, const Params& data_sums, Offsets offsets) {
  for (Index slice = 0; slice < model.slices(); ++slice) model.note_means(slice, data_sums, offsets);
  return offsets;
}

template <HasLayers M>
void CentredCoordinates<M>::hold(const Mask& mask, const Offsets& offsets, Params& theta) {
  LayerParams<float> layers = M::to_layers(std::move(theta));
  delete_weights(mask, M::layer_offsets(offsets), layers);
  theta = M::from_layers(std::move(layers));
}

template <HasLayers M>
std::unique_ptr<Fisher<float>> CentredCoordinates<M>::fisher(const Engine<M>& engine, const Params& theta,
                                                             Population<M>& population, FisherDraws draws,
                                                             const Offsets& offsets, Caches<M>& probe) {
  return std::make_unique<KernelFisher<M>>(engine, theta, population, std::move(draws), offsets, probe);
}

template <HasStatistics M>
std::unique_ptr<Fisher<float>> StatisticsCoordinates<M>::fisher(const Engine<M>& engine, const Params& theta,
                                                                Population<M>& population,
                                                                const FisherDraws& draws, const Offsets&,
                                                                Caches<M>&) {
  return std::make_unique<DenseFisher<float>>(statistics_fisher(engine, theta, population, draws));
}

#define TEMPERA_INSTANTIATE(M) template struct CentredCoordinates<M>;
TEMPERA_FOR_EACH_LAYERED_MODEL(TEMPERA_INSTANTIATE)
#undef TEMPERA_INSTANTIATE
#define TEMPERA_INSTANTIATE(M) template struct StatisticsCoordinates<M>;
TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
