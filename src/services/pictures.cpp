#include "tempera/services/pictures.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tempera/core/format.hpp"
#include "tempera/io/files.hpp"

namespace tempera {

template <EnergyModel M>
TilePicture picture_of_chains(const ModelFile<M>& file, const Chains<M>& chains, Index count) {
  TilePicture picture;
  picture.shape = picture_shape(file.drawn_shape(), file.n_raw());
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

Canvas drawing_of(const TilePicture& picture) {
  constexpr Index kLeast = 600;
  const Image image = tile_grid(picture.tiles, picture.shape, picture.colours, picture.columns);
  const Index longer = std::max(image.rows, image.columns);
  const double zoom = static_cast<double>((kLeast + longer - 1) / longer);
  const double width = zoom * static_cast<double>(image.columns);
  const double height = zoom * static_cast<double>(image.rows);
  const bool has_scale = picture.colours == ColourMap::kDiverging && picture.shape.channels == 1;
  constexpr double kScale = 90.0;   // beside the tiles
  constexpr double kShades = 64.0;  // of the scale
  Canvas canvas(width + (has_scale ? kScale : 0.0), std::max(height, has_scale ? 3.0 * kScale : 0.0));
  canvas.image(image, {0.0, 0.0, width, height});
  if (!has_scale) return canvas;
  std::vector<float> shades;
  for (int k = 0; k < static_cast<int>(kShades); ++k)
    shades.push_back(1.0F - 2.0F * static_cast<float>(k) / (static_cast<float>(kShades) - 1.0F));
  const Image bar = colours_of(shades, {static_cast<Index>(kShades), 1}, picture.colours);
  const Rectangle area{width + 14.0, 30.0, 18.0, 2.5 * kScale - 20.0};
  canvas.image(bar, area);
  const char* const marks[] = {"1", "0", "-1"};
  for (int k = 0; k < 3; ++k)
    canvas.text(area.x + 24.0, area.y + 0.5 * k * area.height + 4.0, marks[k], 12.0);
  canvas.text(area.x + 62.0, area.y + 0.5 * area.height, "of the filter's largest", 11.0, Align::kMiddle,
              90.0);
  return canvas;
}

void write_picture(const TilePicture& picture, const std::filesystem::path& path) {
  const std::string ending = path.extension().string();
  const bool is_vector = ending == ".svg" || ending == ".pdf";
  write_file(path, drawing_of(picture).bytes(is_vector ? path : std::filesystem::path("picture.png")));
}

namespace {

/// A part of a drawing with axes.
class Axes {
 public:
  Axes(Canvas& canvas, const Rectangle& area, std::pair<double, double> x, std::pair<double, double> y)
      : canvas_(canvas), area_(area), x_(widened(x)), y_(widened(y)) {}

  /// Ticks at round numbers, and what the axes show.
  void draw(const std::string& below, const std::string& beside) {
    const double bottom = area_.y + area_.height;
    for (const double tick : ticks(y_)) {
      const double y = at({0.0, tick}).second;
      canvas_.line({{area_.x, y}, {area_.x + area_.width, y}}, kPale, 1.0);
      canvas_.text(area_.x - 6.0, y + 4.0, format("%g", tick), 12.0, Align::kRight);
    }
    for (const double tick : ticks(x_))
      canvas_.text(at({tick, 0.0}).first, bottom + 16.0, format("%g", tick), 12.0, Align::kMiddle);
    canvas_.line({{area_.x, area_.y}, {area_.x, bottom}, {area_.x + area_.width, bottom}}, kInk, 1.0);
    canvas_.text(area_.x + 0.5 * area_.width, bottom + 34.0, below, 13.0, Align::kMiddle);
    canvas_.text(area_.x - 58.0, area_.y + 0.5 * area_.height, beside, 13.0, Align::kMiddle, 90.0);
  }

  /// How many of some points fall where, on a logarithmic scale of shades.
  void density(const std::vector<float>& x, const std::vector<float>& y) {
    constexpr Index kBins = 160;
    std::vector<float> counts(static_cast<std::size_t>(kBins * kBins));
    const auto bin = [&](double v, const std::pair<double, double>& range) {
      const double part = (v - range.first) / (range.second - range.first);
      return std::clamp<Index>(static_cast<Index>(part * static_cast<double>(kBins)), 0, kBins - 1);
    };
    float most = 1.0F;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const Index place =
          (kBins - 1 - bin(static_cast<double>(y[k]), y_)) * kBins + bin(static_cast<double>(x[k]), x_);
      most = std::max(most, ++counts[static_cast<std::size_t>(place)]);
    }
    Image image{kBins, kBins, {}};
    for (const float count : counts) {
      const double part = count == 0.0F ? 0.0
                                        : 0.25 + 0.75 * std::log(static_cast<double>(count)) /
                                                     std::log(static_cast<double>(most) + 1.0);
      for (const double shade : {kBlue.red, kBlue.green, kBlue.blue})
        image.rgb.push_back(static_cast<std::uint8_t>(std::lround(255.0 * (1.0 - part * (1.0 - shade)))));
    }
    canvas_.image(image, area_);
  }
  /// Discs.
  void points(const Canvas::Points& places, const Colour& colour) {
    for (const auto& place : places) canvas_.disc(at(place), 2.6, colour);
  }

  /// A line between two points of the data.
  void segment(std::pair<double, double> from, std::pair<double, double> to, const Colour& colour) {
    canvas_.line({at(from), at(to)}, colour, 1.2);
  }

  /// A line through what is known, with a band about it.
  void curve(const std::vector<double>& x, const std::vector<double>& y, const std::vector<double>& error,
             const Colour& colour) {
    Canvas::Points middle;
    Canvas::Points above;
    Canvas::Points below;
    for (std::size_t k = 0; k < x.size(); ++k) {
      if (!std::isfinite(x[k]) || !std::isfinite(y[k])) continue;
      const double e = std::isfinite(error[k]) ? error[k] : 0.0;
      middle.push_back(at({x[k], y[k]}));
      above.push_back(at({x[k], y[k] + e}));
      below.push_back(at({x[k], y[k] - e}));
    }
    above.insert(above.end(), below.rbegin(), below.rend());
    canvas_.fill(above, {colour.red, colour.green, colour.blue, 0.25});
    canvas_.line(middle, colour, 1.8);
  }

 private:
  static std::pair<double, double> widened(std::pair<double, double> range) {
    if (!(range.second > range.first)) return {range.first - 0.5, range.second + 0.5};
    return range;
  }

  /// Where a point of the data lies, on the border where it lies beyond.
  [[nodiscard]] std::pair<double, double> at(std::pair<double, double> point) const {
    const auto part = [](double v, const std::pair<double, double>& range) {
      return std::clamp((v - range.first) / (range.second - range.first), 0.0, 1.0);
    };
    return {area_.x + part(point.first, x_) * area_.width,
            area_.y + (1.0 - part(point.second, y_)) * area_.height};
  }

  /// Multiples of 1, 2 or 5 times a power of ten.
  static std::vector<double> ticks(const std::pair<double, double>& range) {
    const double rough = (range.second - range.first) / 5.0;
    const double power = std::pow(10.0, std::floor(std::log10(rough)));
    const double ratio = rough / power;
    const double step = power * (ratio > 5.0 ? 10.0 : ratio > 2.0 ? 5.0 : ratio > 1.0 ? 2.0 : 1.0);
    std::vector<double> all;
    for (double k = std::ceil(range.first / step); k * step <= range.second + 1e-9 * step; ++k)
      all.push_back(k * step == 0.0 ? 0.0 : k * step);
    return all;
  }

  Canvas& canvas_;
  Rectangle area_;
  std::pair<double, double> x_;
  std::pair<double, double> y_;
};

/// From where most of the values lie to a little above the largest: the first reports lie far below.
std::pair<double, double> range_of(std::vector<double> values) {
  values.erase(std::remove_if(values.begin(), values.end(), [](double v) { return !std::isfinite(v); }),
               values.end());
  if (values.empty()) return {0.0, 1.0};
  std::sort(values.begin(), values.end());
  const double low = values.size() > 8 ? values[values.size() / 10] : values.front();
  const double margin = 0.08 * (values.back() - low);
  return {low - margin, values.back() + margin};
}

}  // namespace

Canvas drawing_of_curves(const Metrics& metrics) {
  const std::vector<double> update = metrics.column("update");
  const std::vector<double> train = metrics.column("train_log_likelihood");
  const std::vector<double> validation = metrics.column("validation_log_likelihood");
  const std::vector<double> log_partition = metrics.column("log_partition");
  std::vector<double> both = train;
  both.insert(both.end(), validation.begin(), validation.end());
  const std::pair<double, double> updates{0.0, update.empty() ? 1.0 : update.back()};
  Canvas canvas(900.0, 640.0);
  Axes likelihoods(canvas, {80.0, 40.0, 790.0, 310.0}, updates, range_of(both));
  likelihoods.draw("", "log-likelihood (nats a case)");
  likelihoods.curve(update, train, metrics.column("train_standard_error"), kBlue);
  likelihoods.curve(update, validation, metrics.column("validation_standard_error"), kVermilion);
  double x = 90.0;
  for (const auto& [name, colour, values] :
       {std::tuple<const char*, Colour, const std::vector<double>&>{"training", kBlue, train},
        {"validation", kVermilion, validation}}) {
    if (std::all_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) continue;
    canvas.fill({x, 20.0, 22.0, 4.0}, colour);
    canvas.text(x + 28.0, 27.0, name, 13.0);
    x += 130.0;
  }
  Axes partition(canvas, {80.0, 400.0, 790.0, 180.0}, updates, range_of(log_partition));
  partition.draw("updates", "log Z (nats)");
  partition.curve(update, log_partition, metrics.column("log_partition_standard_error"), kGreen);
  return canvas;
}

Canvas drawing_of_agreement(const std::vector<float>& x, const std::vector<float>& y,
                            const AxisWords& words) {
  float low = 0.0F;
  float high = 0.0F;
  for (const std::vector<float>* const values : {&x, &y}) {
    for (const float v : *values) {
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  const double margin = 0.03 * static_cast<double>(high - low);
  const std::pair<double, double> range{static_cast<double>(low) - margin,
                                        static_cast<double>(high) + margin};
  Canvas canvas(640.0, 640.0);
  Axes axes(canvas, {90.0, 40.0, 530.0, 530.0}, range, range);
  axes.density(x, y);
  axes.draw(words.below, words.beside);
  axes.segment({range.first, range.first}, {range.second, range.second}, kVermilion);
  canvas.text(90.0, 26.0, words.above, 14.0);
  return canvas;
}

Canvas drawing_of_distances(const Canvas::Points& data, const Canvas::Points& cases, const AxisWords& words) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double most = 0.0;
  std::pair<double, double> range{kInfinity, -kInfinity};
  for (const Canvas::Points* const points : {&data, &cases}) {
    for (const auto& [x, y] : *points) {
      most = std::max(most, x);
      range = {std::min(range.first, y), std::max(range.second, y)};
    }
  }
  const double margin = 0.05 * (range.second - range.first);
  range = {range.first - margin, range.second + margin};
  Canvas canvas(760.0, 600.0);
  Axes axes(canvas, {90.0, 50.0, 640.0, 480.0}, {0.0, 1.05 * most}, range);
  axes.draw(words.below, words.beside);
  axes.points(data, {kBlue.red, kBlue.green, kBlue.blue, 0.35});
  axes.points(cases, {kVermilion.red, kVermilion.green, kVermilion.blue, 0.6});
  double x = 100.0;
  for (const auto& [name, colour, shown] :
       {std::tuple<const char*, Colour, bool>{"data, to the nearest other case", kBlue, !data.empty()},
        {"these cases", kVermilion, !cases.empty()}}) {
    if (!shown) continue;
    canvas.disc({x, 27.0}, 5.0, colour);
    canvas.text(x + 14.0, 32.0, name, 13.0);
    x += 250.0;
  }
  return canvas;
}

#define TEMPERA_INSTANTIATE(M) \
  template TilePicture picture_of_chains(const ModelFile<M>&, const Chains<M>&, Index);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
