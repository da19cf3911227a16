// Pictures: grids of small images, and PNG files.
#pragma once

#include <filesystem>
#include <vector>

#include "tempera/core/types.hpp"

namespace tempera {

/// 8-bit RGB, rows x columns x 3.
struct Image {
  Index rows = 0;
  Index columns = 0;
  std::vector<std::uint8_t> rgb;
};

enum class ColourMap {
  kGrey,       // 0 black, 1 white
  kStretched,  // grey; the least value of a tile black, its largest white
  kDiverging,  // blue below 0, white at 0, red above 0; each tile normalised by its largest magnitude
};

/// Tiles of height x width values each, row-major, in a grid of so many columns (0: about as wide as high),
/// enlarged by whole pixels.
Image tile_grid(const std::vector<std::vector<float>>& tiles, Index height, Index width, ColourMap map,
                Index columns = 0);

/// Throws WriteError. Written as one piece.
void write_png(const Image& image, const std::filesystem::path& path);

}  // namespace tempera
