#include "tempera/io/image.hpp"

#include <png.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "tempera/core/errors.hpp"
#include "tempera/io/files.hpp"

namespace tempera {
namespace {

using Colour = std::array<std::uint8_t, 3>;

std::uint8_t level(float x) {
  return static_cast<std::uint8_t>(std::lround(255.0F * std::clamp(x, 0.0F, 1.0F)));
}

Colour colour_of(float x, float scale, ColourMap map) {
  if (map == ColourMap::kGrey) return {level(x), level(x), level(x)};
  if (map == ColourMap::kStretched) {
    const std::uint8_t grey = level(scale > 0 ? x / scale : 0.5F);
    return {grey, grey, grey};
  }
  const float t = scale > 0 ? std::clamp(x / scale, -1.0F, 1.0F) : 0.0F;
  // White at 0; towards (0.70, 0.02, 0.15) above and (0.02, 0.19, 0.58) below.
  const std::array<float, 3> end = t > 0 ? std::array{0.70F, 0.02F, 0.15F} : std::array{0.02F, 0.19F, 0.58F};
  const float m = std::abs(t);
  return {level(1 + m * (end[0] - 1)), level(1 + m * (end[1] - 1)), level(1 + m * (end[2] - 1))};
}

}  // namespace

Image tile_grid(const std::vector<std::vector<float>>& tiles, Index height, Index width, ColourMap map,
                Index columns) {
  const auto count = static_cast<Index>(tiles.size());
  const double aspect = static_cast<double>(height) / static_cast<double>(width);
  const Index across =
      columns > 0
          ? columns
          : std::max<Index>(1, static_cast<Index>(std::ceil(std::sqrt(static_cast<double>(count) * aspect))));
  const Index down = (count + across - 1) / across;
  const Index zoom = std::clamp<Index>(32 / std::max(height, width), 1, 8);
  const Index gap = 2;
  Image image;
  image.rows = down * (height * zoom + gap) + gap;
  image.columns = across * (width * zoom + gap) + gap;
  image.rgb.assign(static_cast<std::size_t>(image.rows * image.columns * 3), 96);
  for (Index n = 0; n < count; ++n) {
    const std::vector<float>& tile = tiles[static_cast<std::size_t>(n)];
    float scale = 0.0F;
    for (const float x : tile) scale = std::max(scale, std::abs(x));
    const auto [least, largest] = std::minmax_element(tile.begin(), tile.end());
    const float origin = map == ColourMap::kStretched ? *least : 0.0F;
    if (map == ColourMap::kStretched) scale = *largest - *least;
    const Index top = gap + n / across * (height * zoom + gap);
    const Index left = gap + n % across * (width * zoom + gap);
    for (Index r = 0; r < height * zoom; ++r) {
      for (Index c = 0; c < width * zoom; ++c) {
        const Colour colour =
            colour_of(tile[static_cast<std::size_t>(r / zoom * width + c / zoom)] - origin, scale, map);
        std::copy(colour.begin(), colour.end(),
                  image.rgb.begin() + ((top + r) * image.columns + left + c) * 3);
      }
    }
  }
  return image;
}

void write_png(const Image& image, const std::filesystem::path& path) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.columns);
  png.height = static_cast<png_uint_32>(image.rows);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&png, nullptr, &size, 0, image.rgb.data(), 0, nullptr) == 0) {
    throw WriteError(path.string() + ": " + png.message);
  }
  std::string bytes(size, '\0');
  if (png_image_write_to_memory(&png, bytes.data(), &size, 0, image.rgb.data(), 0, nullptr) == 0) {
    throw WriteError(path.string() + ": " + png.message);
  }
  bytes.resize(size);
  write_file(path, bytes);
}

}  // namespace tempera
