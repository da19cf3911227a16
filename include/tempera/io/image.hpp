// Pictures: grids of small images.
#pragma once

#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// 8-bit RGB, rows x columns x 3.
struct Image {
  Index rows = 0;
  Index columns = 0;
  std::vector<std::uint8_t> rgb;
};

/// Of a picture whose values stand in row-major order, the channels of a pixel (1, or 3: red, green, blue)
/// side by side, or one channel after another.
struct PictureShape {
  Index height = 1;
  Index width = 0;
  Index channels = 1;
  bool planes = false;

  [[nodiscard]] std::size_t index(Index row, Index column, Index channel) const {
    return static_cast<std::size_t>(planes ? (channel * height + row) * width + column
                                           : (row * width + column) * channels + channel);
  }
};

enum class ColourMap {
  kGrey,       // 0 black, 1 white
  kStretched,  // grey; the least value of all tiles black, the largest white
  kDiverging,  // blue below 0, white at 0, red above 0; each tile normalised by its largest magnitude. Of
               // three channels those, about a middle grey
};

/// Tiles in a grid of so many columns (0: about as wide as high), enlarged by whole pixels; a row alone is
/// drawn as a bar.
Image tile_grid(const std::vector<std::vector<float>>& tiles, const PictureShape& shape, ColourMap map,
                Index columns = 0);

/// One tile by itself: a pixel for each of its values.
Image colours_of(const std::vector<float>& tile, const PictureShape& shape, ColourMap map);

}  // namespace tempera
