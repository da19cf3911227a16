#include "tempera/io/image.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace tempera {
namespace {

using Rgb = std::array<std::uint8_t, 3>;

std::uint8_t level(float x) {
  return static_cast<std::uint8_t>(std::lround(255.0F * std::clamp(x, 0.0F, 1.0F)));
}

/// Values from `black` to `white`, those of the scale of a diverging map about their middle.
struct Scale {
  float black = 0.0F;
  float white = 1.0F;

  [[nodiscard]] float part(float x) const { return white > black ? (x - black) / (white - black) : 0.5F; }
};

Scale scale_of(const std::vector<float>& tile, ColourMap map) {
  if (map == ColourMap::kGrey || tile.empty()) return {};
  const auto [least, largest] = std::minmax_element(tile.begin(), tile.end());
  if (map == ColourMap::kStretched) return {*least, *largest};
  const float most = std::max(std::abs(*least), std::abs(*largest));
  return {-most, most};
}

/// White in the middle; towards (0.70, 0.02, 0.15) above and (0.02, 0.19, 0.58) below.
Rgb diverging(float part) {
  const float t = std::clamp(2.0F * part - 1.0F, -1.0F, 1.0F);
  const std::array<float, 3> end = t > 0 ? std::array{0.70F, 0.02F, 0.15F} : std::array{0.02F, 0.19F, 0.58F};
  const float m = std::abs(t);
  return {level(1 + m * (end[0] - 1)), level(1 + m * (end[1] - 1)), level(1 + m * (end[2] - 1))};
}

Rgb colour_of(const std::vector<float>& tile, const PictureShape& shape, Index row, Index column,
              const Scale& scale, ColourMap map) {
  const auto part = [&](Index channel) { return scale.part(tile[shape.index(row, column, channel)]); };
  if (shape.channels == 3) return {level(part(0)), level(part(1)), level(part(2))};
  if (map == ColourMap::kDiverging) return diverging(part(0));
  const std::uint8_t grey = level(part(0));
  return {grey, grey, grey};
}

constexpr Index kGap = 2;
constexpr Index kSide = 32;  // pixels of the longer side of a tile, about
constexpr Index kRow = 256;  // and of a tile that is one row
constexpr Index kBar = 8;    // rows of pixels of such a tile

}  // namespace

Image tile_grid(const std::vector<std::vector<float>>& tiles, const PictureShape& shape, ColourMap map,
                Index columns) {
  const auto count = static_cast<Index>(tiles.size());
  const Index side = shape.height == 1 ? kRow : kSide;
  const Index zoom = std::clamp<Index>(side / std::max(shape.height, shape.width), 1, 8);
  const Index high = shape.height == 1 ? std::max(zoom, kBar) : shape.height * zoom;
  const Index wide = shape.width * zoom;
  const double aspect = static_cast<double>(high) / static_cast<double>(wide);
  const Index across =
      columns > 0
          ? columns
          : std::max<Index>(1, static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count) * aspect))));
  const Index down = (count + across - 1) / across;
  Image image;
  image.rows = down * (high + kGap) + kGap;
  image.columns = across * (wide + kGap) + kGap;
  image.rgb.assign(static_cast<std::size_t>(image.rows * image.columns * 3), 96);
  std::vector<Scale> scales;
  for (const std::vector<float>& tile : tiles) scales.push_back(scale_of(tile, map));
  if (map == ColourMap::kStretched) {
    Scale all;
    for (std::size_t n = 0; n < scales.size(); ++n)
      all = n == 0 ? scales[0]
                   : Scale{std::min(all.black, scales[n].black), std::max(all.white, scales[n].white)};
    scales.assign(scales.size(), all);
  }
  for (Index n = 0; n < count; ++n) {
    const auto k = static_cast<std::size_t>(n);
    const Index top = kGap + n / across * (high + kGap);
    const Index left = kGap + n % across * (wide + kGap);
    for (Index r = 0; r < high; ++r) {
      for (Index c = 0; c < wide; ++c) {
        const Rgb colour = colour_of(tiles[k], shape, r * shape.height / high, c / zoom, scales[k], map);
        std::copy(colour.begin(), colour.end(),
                  image.rgb.begin() + ((top + r) * image.columns + left + c) * 3);
      }
    }
  }
  return image;
}

Image colours_of(const std::vector<float>& tile, const PictureShape& shape, ColourMap map) {
  Image image;
  image.rows = shape.height;
  image.columns = shape.width;
  const Scale scale = scale_of(tile, map);
  for (Index r = 0; r < shape.height; ++r) {
    for (Index c = 0; c < shape.width; ++c) {
      const Rgb colour = colour_of(tile, shape, r, c, scale, map);
      image.rgb.insert(image.rgb.end(), colour.begin(), colour.end());
    }
  }
  return image;
}

}  // namespace tempera
