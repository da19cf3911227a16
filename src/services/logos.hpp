// Letters of sites as pictures.
#pragma once

#include <string>
#include <vector>

#include "tempera/io/canvas.hpp"

namespace tempera {

/// Draws a letter of every site of a table (sites x letters) as high as its value says: positive ones stacked
/// above an axis, the largest on top, negative ones below it. `letters`: one character each.
class Logo {
 public:
  /// `unit`: values that the height of a logo shows; 0: the largest that there is.
  Logo(const Matrix& heights, std::string letters, double unit = 0.0);

  /// Over an area, with the numbers of sites under it where `numbered`.
  void draw(Canvas& canvas, const Rectangle& area, bool numbered) const;
  /// The largest sum above the axis and below it.
  [[nodiscard]] double above() const { return above_; }
  [[nodiscard]] double below() const { return below_; }

 private:
  Matrix heights_;
  std::string letters_;
  double above_ = 0.0;
  double below_ = 0.0;
};

/// Widths that suit a logo of so many sites.
double logo_width(Index sites);

/// Information of an alignment: letters by their frequencies (sites x letters), each site as high as its
/// log2(letters) less its entropy in bits, without the letter `gap` (-1: with all) and by the part of the
/// sequences that have no gap (Schneider & Stephens 1990).
Canvas drawing_of_alignment(const Matrix& frequencies, const std::string& letters, int gap);

/// A hidden unit of letters: what a page shows of it.
struct UnitOfLetters {
  Index number = 0;
  Matrix weights;  // sites x letters
  double importance = 0.0;
  std::vector<float> inputs;  // of the cases; empty where there are none
  double activity = 0.0;      // mean over the cases
};

/// A page of hidden units: weights as a logo, and where there are inputs their histogram and the mean
/// activity. `counts`: how often each case counts.
Canvas drawing_of_units(const std::vector<UnitOfLetters>& units, const std::vector<double>& counts,
                        const std::string& letters);

}  // namespace tempera
