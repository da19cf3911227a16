#include "tempera/services/pictures.hpp"

namespace tempera {

template <EnergyModel M>
TilePicture picture_of_chains(const ModelFile<M>& file, const Chains<M>& chains, Index count) {
  TilePicture picture;
  picture.shape = picture_shape(file.visible_shape, file.n_raw());
  picture.colours = M::kDiscrete ? ColourMap::kGrey : ColourMap::kStretched;
  typename M::Scratch scratch;
  LaneMatrix mean;
  count = std::min<Index>(count, static_cast<Index>(chains.n_chains));
  for (Index n = 0; n < count; ++n) {
    if (n % kLanes == 0)
      file.model.mean_visible(file.theta, chains.blocks[static_cast<std::size_t>(n / kLanes)], scratch, mean);
    Matrix tile = mean.col(n % kLanes).transpose();
    tile = file.units.raw(std::move(tile));
    if (!file.preprocessing.empty()) tile = file.preprocessing.invert(tile, true);
    picture.tiles.emplace_back(tile.data(), tile.data() + tile.size());
  }
  return picture;
}

void write_picture(const TilePicture& picture, const std::filesystem::path& png) {
  write_png(tile_grid(picture.tiles, picture.shape, picture.colours, picture.columns), png);
}

#define TEMPERA_INSTANTIATE(M) \
  template TilePicture picture_of_chains(const ModelFile<M>&, const Chains<M>&, Index);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
