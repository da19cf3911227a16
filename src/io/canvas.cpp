#include "tempera/io/canvas.hpp"

#include <cairo/cairo-pdf.h>
#include <cairo/cairo-svg.h>
#include <cairo/cairo.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tempera/core/errors.hpp"
#include "tempera/io/files.hpp"

namespace tempera {
namespace {

constexpr const char* kEndings[] = {".png", ".svg", ".pdf"};

struct DestroySurface {
  void operator()(cairo_surface_t* surface) const { cairo_surface_destroy(surface); }
};
struct DestroyContext {
  void operator()(cairo_t* context) const { cairo_destroy(context); }
};
using Surface = std::unique_ptr<cairo_surface_t, DestroySurface>;
using Context = std::unique_ptr<cairo_t, DestroyContext>;

cairo_status_t append(void* bytes, const unsigned char* data, unsigned length) {
  static_cast<std::string*>(bytes)->append(reinterpret_cast<const char*>(data), length);
  return CAIRO_STATUS_SUCCESS;
}

void set_colour(cairo_t* context, const Colour& colour) {
  cairo_set_source_rgba(context, colour.red, colour.green, colour.blue, colour.alpha);
}

void trace(cairo_t* context, const Canvas::Points& points) {
  cairo_new_path(context);
  for (const auto& [x, y] : points) cairo_line_to(context, x, y);
}

}  // namespace

void require_picture(const std::filesystem::path& path) {
  if (std::find(std::begin(kEndings), std::end(kEndings), path.extension()) == std::end(kEndings))
    throw UsageError(path.string() + ": a picture ends in .png, .svg or .pdf");
}

struct Canvas::Drawing {
  double width;
  double height;
  Surface record;
  Context context;
};

Canvas::Canvas(double width, double height) : drawing_(new Drawing{width, height, nullptr, nullptr}) {
  const cairo_rectangle_t extents{0.0, 0.0, width, height};
  drawing_->record.reset(cairo_recording_surface_create(CAIRO_CONTENT_COLOR_ALPHA, &extents));
  drawing_->context.reset(cairo_create(drawing_->record.get()));
  cairo_set_line_join(drawing_->context.get(), CAIRO_LINE_JOIN_ROUND);
  fill({0.0, 0.0, width, height}, {1.0, 1.0, 1.0});
}

Canvas::Canvas(Canvas&&) noexcept = default;
Canvas::~Canvas() = default;

void Canvas::fill(const Rectangle& area, const Colour& colour) {
  cairo_t* const context = drawing_->context.get();
  set_colour(context, colour);
  cairo_rectangle(context, area.x, area.y, area.width, area.height);
  cairo_fill(context);
}

void Canvas::fill(const Points& polygon, const Colour& colour) {
  cairo_t* const context = drawing_->context.get();
  set_colour(context, colour);
  trace(context, polygon);
  cairo_fill(context);
}

void Canvas::disc(std::pair<double, double> middle, double radius, const Colour& colour) {
  cairo_t* const context = drawing_->context.get();
  set_colour(context, colour);
  cairo_new_path(context);
  cairo_arc(context, middle.first, middle.second, radius, 0.0, 2.0 * std::numbers::pi);
  cairo_fill(context);
}

void Canvas::line(const Points& points, const Colour& colour, double width) {
  cairo_t* const context = drawing_->context.get();
  set_colour(context, colour);
  cairo_set_line_width(context, width);
  trace(context, points);
  cairo_stroke(context);
}

void Canvas::text(double x, double y, const std::string& words, double size, Align align, double degrees) {
  cairo_t* const context = drawing_->context.get();
  cairo_save(context);
  set_colour(context, kInk);
  cairo_select_font_face(context, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(context, size);
  cairo_text_extents_t extents;
  cairo_text_extents(context, words.c_str(), &extents);
  cairo_translate(context, x, y);
  cairo_rotate(context, -degrees * std::acos(-1.0) / 180.0);
  cairo_move_to(
      context, align == Align::kLeft ? 0.0 : -extents.x_advance * (align == Align::kMiddle ? 0.5 : 1.0), 0.0);
  cairo_show_text(context, words.c_str());
  cairo_restore(context);
}

void Canvas::letter(char letter, const Rectangle& area, const Colour& colour) {
  // What nobody could see would only make a vector drawing larger.
  if (area.height < 0.3 || area.width < 0.3) return;
  cairo_t* const context = drawing_->context.get();
  cairo_save(context);
  cairo_select_font_face(context, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_BOLD);
  cairo_set_font_size(context, 100.0);
  const char text[] = {letter, '\0'};
  double left = 0.0;
  double top = 0.0;
  double right = 0.0;
  double bottom = 0.0;
  cairo_new_path(context);
  cairo_move_to(context, 0.0, 0.0);
  cairo_text_path(context, text);
  cairo_path_extents(context, &left, &top, &right, &bottom);
  cairo_new_path(context);
  if (right > left && bottom > top) {
    cairo_translate(context, area.x, area.y);
    cairo_scale(context, area.width / (right - left), area.height / (bottom - top));
    cairo_move_to(context, -left, -top);
    cairo_text_path(context, text);
    set_colour(context, colour);
    cairo_fill(context);
  }
  cairo_restore(context);
}

void Canvas::image(const Image& image, const Rectangle& area) {
  const Surface pixels(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(image.columns),
                                                  static_cast<int>(image.rows)));
  if (cairo_surface_status(pixels.get()) != CAIRO_STATUS_SUCCESS)
    throw UsageError("a picture of " + std::to_string(image.rows) + " x " + std::to_string(image.columns) +
                     " pixels is too large");
  cairo_surface_flush(pixels.get());
  unsigned char* const data = cairo_image_surface_get_data(pixels.get());
  const int stride = cairo_image_surface_get_stride(pixels.get());
  for (Index r = 0; r < image.rows; ++r) {
    auto* const out = reinterpret_cast<std::uint32_t*>(data + r * stride);
    const std::uint8_t* const in = image.rgb.data() + r * image.columns * 3;
    for (Index c = 0; c < image.columns; ++c)
      out[c] = std::uint32_t{in[3 * c]} << 16 | std::uint32_t{in[3 * c + 1]} << 8 | in[3 * c + 2];
  }
  cairo_surface_mark_dirty(pixels.get());
  cairo_t* const context = drawing_->context.get();
  cairo_save(context);
  cairo_translate(context, area.x, area.y);
  cairo_scale(context, area.width / static_cast<double>(image.columns),
              area.height / static_cast<double>(image.rows));
  cairo_set_source_surface(context, pixels.get(), 0, 0);
  cairo_pattern_set_filter(cairo_get_source(context), CAIRO_FILTER_NEAREST);
  cairo_paint(context);
  cairo_restore(context);
}

std::string Canvas::bytes(const std::filesystem::path& path) const {
  require_picture(path);
  const std::string ending = path.extension().string();
  constexpr double kPoints = 0.75;  // of a pixel
  const double width = drawing_->width;
  const double height = drawing_->height;
  std::string bytes;
  Surface surface;
  double scale = 1.0;
  if (ending == ".png") {
    surface.reset(cairo_image_surface_create(CAIRO_FORMAT_RGB24, static_cast<int>(std::ceil(width)),
                                             static_cast<int>(std::ceil(height))));
  } else if (ending == ".svg") {
    surface.reset(cairo_svg_surface_create_for_stream(append, &bytes, width, height));
    cairo_svg_surface_set_document_unit(surface.get(), CAIRO_SVG_UNIT_PX);
  } else {
    scale = kPoints;
    surface.reset(cairo_pdf_surface_create_for_stream(append, &bytes, scale * width, scale * height));
    cairo_pdf_surface_set_metadata(surface.get(), CAIRO_PDF_METADATA_CREATE_DATE, "2000-01-01T00:00:00Z");
  }
  {
    const Context context(cairo_create(surface.get()));
    cairo_scale(context.get(), scale, scale);
    cairo_set_source_surface(context.get(), drawing_->record.get(), 0, 0);
    cairo_paint(context.get());
  }
  if (ending == ".png") cairo_surface_write_to_png_stream(surface.get(), append, &bytes);
  cairo_surface_finish(surface.get());
  if (const cairo_status_t status = cairo_surface_status(surface.get());
      status != CAIRO_STATUS_SUCCESS && ending != ".png")
    throw WriteError(path.string() + ": " + cairo_status_to_string(status));
  return bytes;
}

void Canvas::write(const std::filesystem::path& path) const { write_file(path, bytes(path)); }

}  // namespace tempera
