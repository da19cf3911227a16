#include "logos.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/format.hpp"

namespace tempera {
namespace {

constexpr Colour kAcid = kVermilion;
constexpr Colour kPurple{0.8, 0.475, 0.655};
constexpr Colour kOrange{0.902, 0.624, 0.0};
constexpr Colour kGrey{0.6, 0.6, 0.6};

/// Proteins by the chemistry of the side chain, nucleotides each with its own.
Colour colour_of(char letter, bool nucleic) {
  const auto in = [letter](std::string_view group) { return group.find(letter) != std::string_view::npos; };
  if (nucleic) return in("A") ? kGreen : in("C") ? kBlue : in("G") ? kOrange : in("TU") ? kVermilion : kGrey;
  if (in("DE")) return kAcid;
  if (in("KRH")) return kBlue;
  if (in("GSTYC")) return kGreen;
  if (in("NQ")) return kPurple;
  return in("-.*X") ? kGrey : kInk;
}

/// A round number of sites between two that are named.
Index stride_of(Index sites) { return sites <= 20 ? 1 : sites <= 60 ? 5 : 10; }

constexpr double kSiteWidth = 15.0;
constexpr double kLogoHeight = 90.0;
constexpr double kMargin = 12.0;

}  // namespace

double logo_width(Index sites) { return std::max(240.0, kSiteWidth * static_cast<double>(sites)); }

Logo::Logo(const Matrix& heights, std::string letters, double unit)
    : heights_(heights), letters_(std::move(letters)) {
  for (Index s = 0; s < heights_.rows(); ++s) {
    above_ = std::max(above_, static_cast<double>(heights_.row(s).cwiseMax(0.0F).sum()));
    below_ = std::max(below_, -static_cast<double>(heights_.row(s).cwiseMin(0.0F).sum()));
  }
  if (unit > 0.0) above_ = unit;
  if (above_ + below_ == 0.0) above_ = 1.0;
}

void Logo::draw(Canvas& canvas, const Rectangle& area, bool numbered) const {
  const Index sites = heights_.rows();
  const double width = area.width / static_cast<double>(sites);
  const double scale = area.height / (above_ + below_);
  const double axis = area.y + above_ * scale;
  const bool nucleic = letters_.find_first_not_of("ACGTU-") == std::string::npos;
  std::vector<Index> order(static_cast<std::size_t>(heights_.cols()));
  for (Index s = 0; s < sites; ++s) {
    std::iota(order.begin(), order.end(), Index{0});
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return std::abs(heights_(s, a)) < std::abs(heights_(s, b)); });
    const double x = area.x + static_cast<double>(s) * width;
    double up = axis;
    double down = axis;
    for (const Index a : order) {
      const double height = scale * static_cast<double>(std::abs(heights_(s, a)));
      const char letter = letters_[static_cast<std::size_t>(a)];
      const bool positive = heights_(s, a) > 0.0F;
      if (positive) up -= height;
      canvas.letter(letter, {x + 0.04 * width, positive ? up : down, 0.92 * width, height},
                    colour_of(letter, nucleic));
      if (!positive) down += height;
    }
    const Index stride = stride_of(sites);
    if (numbered && ((s + 1) % stride == 0 || s == 0))
      canvas.text(x + 0.5 * width, area.y + area.height + 13.0, std::to_string(s + 1), 10.0, Align::kMiddle);
  }
  canvas.line({{area.x, axis}, {area.x + area.width, axis}}, kInk, 0.8);
}

Canvas drawing_of_alignment(const Matrix& frequencies, const std::string& letters, int gap) {
  Matrix heights = Matrix::Zero(frequencies.rows(), frequencies.cols());
  const auto n = static_cast<double>(frequencies.cols() - (gap >= 0 ? 1 : 0));
  for (Index s = 0; s < frequencies.rows(); ++s) {
    const double gaps = gap >= 0 ? static_cast<double>(frequencies(s, gap)) : 0.0;
    if (gaps >= 1.0) continue;
    double bits = std::log2(n);
    for (Index a = 0; a < frequencies.cols(); ++a) {
      const double p = a == gap ? 0.0 : static_cast<double>(frequencies(s, a)) / (1.0 - gaps);
      if (p > 0.0) bits += p * std::log2(p);
    }
    for (Index a = 0; a < frequencies.cols(); ++a)
      heights(s, a) = a == gap ? 0.0F : frequencies(s, a) * static_cast<float>(std::max(bits, 0.0));
  }
  const double most = std::log2(n);
  const double width = logo_width(frequencies.rows());
  constexpr double kAxis = 46.0;
  constexpr double kHeight = 160.0;
  Canvas canvas(kAxis + width + kMargin, kHeight + 46.0);
  const Rectangle area{kAxis, kMargin, width, kHeight};
  for (double bit = 0.0; bit <= most; bit += 1.0) {
    const double y = area.y + area.height * (1.0 - bit / most);
    canvas.line({{area.x - 4.0, y}, {area.x, y}}, kInk, 1.0);
    canvas.text(area.x - 7.0, y + 4.0, format("%g", bit), 11.0, Align::kRight);
  }
  canvas.line({{area.x, area.y}, {area.x, area.y + area.height}}, kInk, 1.0);
  canvas.text(16.0, area.y + 0.5 * area.height, "bits", 12.0, Align::kMiddle, 90.0);
  canvas.text(area.x + 0.5 * width, area.y + area.height + 30.0, "site", 12.0, Align::kMiddle);
  Logo(heights, letters, most).draw(canvas, area, true);
  return canvas;
}

namespace {

/// How often inputs lie in each of some bins of a range.
void draw_histogram(Canvas& canvas, const Rectangle& area, const UnitOfLetters& unit,
                    const std::vector<double>& counts) {
  const auto [least, most] = std::minmax_element(unit.inputs.begin(), unit.inputs.end());
  const double low = std::min(0.0, static_cast<double>(*least));
  const double high = std::max({0.0, static_cast<double>(*most), low + 1e-6});
  constexpr std::size_t kBins = 40;
  std::vector<double> bins(kBins);
  for (std::size_t n = 0; n < unit.inputs.size(); ++n) {
    const double part = (static_cast<double>(unit.inputs[n]) - low) / (high - low);
    bins[std::min(kBins - 1, static_cast<std::size_t>(part * kBins))] += counts[n];
  }
  const double tallest = *std::max_element(bins.begin(), bins.end());
  const double width = area.width / kBins;
  for (std::size_t k = 0; k < kBins; ++k) {
    const double height = area.height * bins[k] / tallest;
    canvas.fill({area.x + static_cast<double>(k) * width, area.y + area.height - height, width, height},
                kBlue);
  }
  const double bottom = area.y + area.height;
  canvas.line({{area.x, bottom}, {area.x + area.width, bottom}}, kInk, 0.8);
  const double zero = area.x - low / (high - low) * area.width;
  canvas.line({{zero, area.y}, {zero, bottom}}, kVermilion, 1.0);
  canvas.text(area.x, bottom + 13.0, format("%.1f", low), 10.0);
  canvas.text(area.x + area.width, bottom + 13.0, format("%.1f", high), 10.0, Align::kRight);
}

}  // namespace

Canvas drawing_of_units(const std::vector<UnitOfLetters>& units, const std::vector<double>& counts,
                        const std::string& letters) {
  const Index sites = units.front().weights.rows();
  const double logo = logo_width(sites);
  const bool with_inputs = !units.front().inputs.empty();
  const double histogram = with_inputs ? 150.0 : 0.0;
  const double tile = logo + (with_inputs ? histogram + 2.0 * kMargin : kMargin);
  // Narrow logos stand side by side.
  const auto columns = static_cast<std::size_t>(std::clamp(1400.0 / tile, 1.0, 3.0));
  const std::size_t rows = (units.size() + columns - 1) / columns;
  const double height = kLogoHeight + 48.0;
  Canvas canvas(kMargin + static_cast<double>(columns) * (tile + kMargin),
                kMargin + static_cast<double>(rows) * height);
  for (std::size_t k = 0; k < units.size(); ++k) {
    const UnitOfLetters& unit = units[k];
    const double x = kMargin + static_cast<double>(k % columns) * (tile + kMargin);
    const double y = kMargin + static_cast<double>(k / columns) * height;
    std::string title =
        format("unit %lld, importance %.2f", static_cast<long long>(unit.number), unit.importance);
    if (with_inputs) title += format(", mean activity %.3f", unit.activity);
    canvas.text(x, y + 11.0, title, 12.0);
    Logo(unit.weights, letters).draw(canvas, {x, y + 18.0, logo, kLogoHeight}, true);
    if (with_inputs)
      draw_histogram(canvas, {x + logo + 2.0 * kMargin, y + 18.0, histogram, kLogoHeight}, unit, counts);
  }
  return canvas;
}

}  // namespace tempera
