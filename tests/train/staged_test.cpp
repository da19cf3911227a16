#include "tempera/train/staged.hpp"

#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <Eigen/QR>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <numbers>

#include "tempera/core/permutation.hpp"

namespace tempera {
namespace {

TEST(StagedStart, FiltersGoBackToTheirPlaces) {
  // Two blocks of 3 x 4, shuffled; filters that share a row or a column go together.
  constexpr Index kG = 3;
  constexpr Index kH = 4;
  constexpr Index kPlaces = 2 * kG * kH;
  const auto related = [](Index a, Index b) {
    const Index pairs = kG * kH;
    return a != b && a / pairs == b / pairs && (a % pairs / kH == b % pairs / kH || a % kH == b % kH);
  };
  StreamEngine random = StreamFactory{3}.engine(Purpose::kShuffle, 0);
  const std::vector<Index> place_of = permutation(kPlaces, random);
  const auto together = [&](Index f, Index g) {
    return related(place_of[static_cast<std::size_t>(f)], place_of[static_cast<std::size_t>(g)]);
  };
  Eigen::MatrixXd correlation(kPlaces, kPlaces);
  for (Index a = 0; a < kPlaces; ++a) {
    for (Index b = 0; b <= a; ++b)
      correlation(a, b) = correlation(b, a) = (a == b           ? 1.0
                                               : together(a, b) ? 0.3
                                                                : -0.02) +
                                              0.05 * (uniform_53(random) - 0.5);
  }
  int heard = 0;
  const std::vector<Index> found = arrange_filters(correlation, {2, kG, kH}, StreamFactory{1}, [&](double) {
    ++heard;
    return Control::kContinue;
  });
  EXPECT_GT(heard, 10);
  int wrong = 0;
  for (Index a = 0; a < kPlaces; ++a) {
    for (Index b = 0; b < a; ++b)
      wrong +=
          related(a, b) != together(found[static_cast<std::size_t>(a)], found[static_cast<std::size_t>(b)])
              ? 1
              : 0;
  }
  EXPECT_EQ(wrong, 0);
}

/// Sources of a table of `g` x `h` factors: each is on where both of its factors are, with a random sign, in
/// noise. `gaussian`: instead values of the same variance, which have no axes.
Eigen::MatrixXd sources(Index n_cases, Index g, Index h, bool gaussian) {
  StreamEngine random = StreamFactory{5}.engine(Purpose::kShuffle, 1);
  boost::random::normal_distribution<double> normal;
  Eigen::MatrixXd values(n_cases, g * h);
  for (Index n = 0; n < n_cases; ++n) {
    const std::uint32_t bits = random();
    for (Index i = 0; i < g; ++i) {
      for (Index j = 0; j < h; ++j) {
        const bool on = (bits >> i & 1) != 0 && (bits >> (g + j) & 1) != 0;
        const double sign = (random() & 1) != 0 ? 1.0 : -1.0;
        values(n, i * h + j) = gaussian ? 0.5 * normal(random) : (on ? sign : 0.0) + 0.1 * normal(random);
      }
    }
  }
  return values;
}

Eigen::MatrixXd random_rotation(Index n) {
  StreamEngine random = StreamFactory{6}.engine(Purpose::kShuffle, 2);
  boost::random::normal_distribution<double> normal;
  const Eigen::MatrixXd values = Eigen::MatrixXd::NullaryExpr(n, n, [&] { return normal(random); });
  return Eigen::HouseholderQR<Eigen::MatrixXd>(values).householderQ();
}

/// Equal mixtures of neighbours, which share a factor.
Eigen::MatrixXd rotation_of_neighbours(Index n) {
  Eigen::MatrixXd mixing = Eigen::MatrixXd::Identity(n, n);
  for (Index a = 0; a + 1 < n; a += 2)
    mixing.block<2, 2>(a, a) = Eigen::Rotation2Dd(std::numbers::pi / 4).toRotationMatrix();
  return mixing;
}

/// Of every four sources each new one is an equal mixture of three: turning two of them at a time leads
/// nowhere.
Eigen::MatrixXd rotation_of_threes(Index n) {
  Eigen::Matrix4d threes;
  threes << 0, 1, 1, 1, -1, 0, 1, -1, -1, -1, 0, 1, -1, 1, -1, 0;
  Eigen::MatrixXd mixing = Eigen::MatrixXd::Identity(n, n);
  for (Index a = 0; a + 3 < n; a += 4) mixing.block<4, 4>(a, a) = threes / std::sqrt(3.0);
  return mixing;
}

/// Of sources that a rotation mixed, how many are columns of their own again.
Index sources_found(const Eigen::MatrixXd& values, const Eigen::MatrixXd& mixing) {
  const Eigen::MatrixXd rotation = sparsest_rotation(values * mixing, StreamFactory{1});
  EXPECT_TRUE((rotation.transpose() * rotation).isIdentity(1e-10));
  return ((mixing * rotation).cwiseAbs().rowwise().maxCoeff().array() > 0.99).count();
}

TEST(StagedStart, RotationFindsSourcesThatShareFactors) {
  const Eigen::MatrixXd values = sources(3000, 3, 4, false);
  EXPECT_EQ(sources_found(values, random_rotation(12)), 12);
  EXPECT_EQ(sources_found(values, rotation_of_neighbours(12)), 12);
  EXPECT_EQ(sources_found(values, rotation_of_threes(12)), 12);
  // What has no axes is not found: the check can fail.
  EXPECT_LT(sources_found(sources(3000, 3, 4, true), random_rotation(12)), 4);
}

}  // namespace
}  // namespace tempera
