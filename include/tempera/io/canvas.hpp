// Drawings: lines, areas, words and pictures, as PNG, SVG or PDF.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tempera/io/image.hpp"

namespace tempera {

struct Colour {
  double red = 0.0;
  double green = 0.0;
  double blue = 0.0;
  double alpha = 1.0;
};

/// Colours that colour-blind people tell apart (Okabe and Ito).
inline constexpr Colour kBlue{0.0, 0.447, 0.698};
inline constexpr Colour kVermilion{0.835, 0.369, 0.0};
inline constexpr Colour kGreen{0.0, 0.620, 0.451};
inline constexpr Colour kInk{0.13, 0.13, 0.13};
inline constexpr Colour kPale{0.85, 0.85, 0.85};

enum class Align { kLeft, kMiddle, kRight };

/// Where a drawing goes. The unit is a pixel of a PNG, 0.75 pt of a PDF; the origin is the upper left corner.
struct Rectangle {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
};

/// Throws UsageError unless a name ends as a picture does: .png, .svg or .pdf.
void require_picture(const std::filesystem::path& path);

/// A drawing of some size, on white. What is drawn later lies above.
class Canvas {
 public:
  Canvas(double width, double height);
  ~Canvas();
  Canvas(Canvas&&) noexcept;
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  using Points = std::vector<std::pair<double, double>>;

  void fill(const Rectangle& area, const Colour& colour);
  void fill(const Points& polygon, const Colour& colour);
  void disc(std::pair<double, double> middle, double radius, const Colour& colour);
  void line(const Points& points, const Colour& colour, double width = 1.5);
  /// Words whose base line begins, or has its middle or end, at a point; turned to the left by degrees.
  void text(double x, double y, const std::string& words, double size = 12.0, Align align = Align::kLeft,
            double degrees = 0.0);
  /// A letter that fills an area.
  void letter(char letter, const Rectangle& area, const Colour& colour);
  /// An image over an area; its pixels stay sharp.
  void image(const Image& image, const Rectangle& area);

  /// The bytes of a file whose name ends in .png, .svg or .pdf: the same for the same drawings of a program.
  /// Throws UsageError for another ending.
  [[nodiscard]] std::string bytes(const std::filesystem::path& path) const;
  /// Throws WriteError, UsageError.
  void write(const std::filesystem::path& path) const;

 private:
  struct Drawing;
  std::unique_ptr<Drawing> drawing_;
};

}  // namespace tempera
