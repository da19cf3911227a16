// Pictures of samples: what chains expect to see.
#pragma once

#include <filesystem>

#include "tempera/io/canvas.hpp"
#include "tempera/mcmc/population.hpp"
#include "tempera/services/metrics.hpp"
#include "tempera/services/model_io.hpp"

namespace tempera {

/// Pictures side by side.
struct TilePicture {
  std::vector<std::vector<float>> tiles;
  PictureShape shape;
  ColourMap colours = ColourMap::kGrey;
  Index columns = 0;  // of tiles; 0: about as many as rows
};

/// Chains that a picture of samples shows.
inline constexpr Index kPicturedChains = 100;

/// Expected visibles of the first chains given their latents (probabilities of binary ones), as tiles; with a
/// preprocessing, in the values of raw cases. `count` tiles at most. Cost: one product.
template <EnergyModel M>
TilePicture picture_of_chains(const ModelFile<M>& file, const Chains<M>& chains,
                              Index count = kPicturedChains);

/// The picture, enlarged by whole pixels to at least 600 of its longer side; beside filters the scale of
/// their colours.
Canvas drawing_of(const TilePicture& picture);

/// Writes SVG or PDF where the name ends so, else PNG. Throws WriteError.
void write_picture(const TilePicture& picture, const std::filesystem::path& path);

/// Likelihoods of training and validation cases with bands of one standard error, and log Z, as metrics.csv
/// tells them.
Canvas drawing_of_curves(const Metrics& metrics);

/// What the axes of a drawing show, and what stands above it.
struct AxisWords {
  std::string below;
  std::string beside;
  std::string above;
};

/// One number over another, darker where more fall, with the line of equal numbers.
Canvas drawing_of_agreement(const std::vector<float>& x, const std::vector<float>& y, const AxisWords& words);

/// Cases by their distance and their log p: those of data, and others on top of them, which a legend tells
/// apart.
Canvas drawing_of_distances(const Canvas::Points& data, const Canvas::Points& cases, const AxisWords& words);

}  // namespace tempera
