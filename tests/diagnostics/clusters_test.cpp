#include "tempera/diagnostics/clusters.hpp"

#include <gtest/gtest.h>

#include <boost/random/bernoulli_distribution.hpp>

#include "tempera/diagnostics/trace.hpp"

namespace tempera {
namespace {

StreamEngine engine(std::uint64_t step) { return StreamFactory{4}.engine(Purpose::kDataSet, step); }

/// Cases around `centres.size()` random points, these numbers of each, 2 % of the values flipped.
BinaryData cases_around(const std::vector<Index>& counts, Index n_visible) {
  StreamEngine points = engine(1);
  StreamEngine noise = engine(2);
  boost::random::bernoulli_distribution<double> fair(0.5);
  boost::random::bernoulli_distribution<double> flip(0.02);
  std::vector<std::uint8_t> bytes;
  Index n = 0;
  for (const Index count : counts) {
    std::vector<bool> centre;
    for (Index i = 0; i < n_visible; ++i) centre.push_back(fair(points));
    for (Index k = 0; k < count; ++k, ++n) {
      for (Index i = 0; i < n_visible; ++i)
        bytes.push_back(centre[static_cast<std::size_t>(i)] != flip(noise) ? 1 : 0);
    }
  }
  return {n, n_visible, bytes};
}

/// Cluster of each case.
std::vector<Index> clusters_of(const DataClusters& clusters, const BinaryData& data) {
  std::vector<Index> found;
  ProductScratch scratch;
  for (Index first = 0; first < data.n_cases(); first += kLanes) {
    const Index lanes = std::min(kLanes, data.n_cases() - first);
    BitLayer layer(static_cast<std::size_t>(data.n_visible()));
    for (Index c = 0; c < lanes; ++c) {
      for (Index i = 0; i < data.n_visible(); ++i)
        layer[static_cast<std::size_t>(i)] |= Word{data.value(first + c, i)} << c;
    }
    const auto block = nearest_clusters(clusters, {layer, lanes}, scratch);
    found.insert(found.end(), block.begin(), block.begin() + lanes);
  }
  return found;
}

class AtMost : public ::testing::TestWithParam<Index> {};
INSTANTIATE_TEST_SUITE_P(Clusters, AtMost, ::testing::Values(3, 8));

TEST_P(AtMost, SeparatedOnesAreFoundWithTheirMasses) {
  const BinaryData data = cases_around({300, 150, 50}, 90);
  const DataClusters clusters = find_clusters(data, GetParam(), engine(3));
  ASSERT_EQ(clusters.size(), 3);
  EXPECT_NEAR(clusters.occupancy[0], 0.6, 1e-12);
  EXPECT_NEAR(clusters.occupancy[1], 0.3, 1e-12);
  EXPECT_NEAR(clusters.occupancy[2], 0.1, 1e-12);
  const std::vector<Index> found = clusters_of(clusters, data);
  for (std::size_t n = 0; n < found.size(); ++n) EXPECT_EQ(found[n], n < 300 ? 0 : n < 450 ? 1 : 2);
  // Samples without the smallest cluster are as far away as it is large.
  Eigen::VectorXd lost(3);
  lost << 2.0 / 3, 1.0 / 3, 0.0;
  EXPECT_NEAR(cluster_variation(clusters, lost), 0.1, 1e-12);
  EXPECT_EQ(cluster_variation(clusters, clusters.occupancy), 0.0);
}

TEST(Clusters, NoiseIsNotCutInPieces) {
  EXPECT_EQ(find_clusters(cases_around({500}, 40), 8, engine(4)).size(), 1);
}

TEST(Clusters, ColumnsThatNeverVaryChangeNothing) {
  const BinaryData data = cases_around({60, 40}, 30);
  ASSERT_EQ(find_clusters(data, 8, engine(3)).size(), 2);
  std::vector<std::uint8_t> bytes;
  for (Index n = 0; n < 100; ++n) {
    for (Index i = 0; i < 3000; ++i) bytes.push_back(i < 30 && data.value(n, i) ? 1 : 0);
  }
  const DataClusters wide = find_clusters({100, 3000, bytes}, 8, engine(3));
  ASSERT_EQ(wide.size(), 2);
  EXPECT_NEAR(wide.occupancy[0], 0.6, 1e-12);
}

TEST(Clusters, WhatColumnsDoTogetherIsKeptApart) {
  // Halves of 20 columns are on or off, each half for itself: four places, equally likely.
  StreamEngine draws = engine(5);
  boost::random::bernoulli_distribution<double> fair(0.5);
  boost::random::bernoulli_distribution<double> flip(0.05);
  std::vector<std::uint8_t> bytes;
  for (Index n = 0; n < 1000; ++n) {
    const std::array<bool, 2> half{fair(draws), fair(draws)};
    for (std::size_t i = 0; i < 20; ++i) bytes.push_back(half[i / 10] != flip(draws) ? 1 : 0);
  }
  EXPECT_EQ(find_clusters({1000, 20, bytes}, 8, engine(6)).size(), 4);
}

TEST(Clusters, WeightedCasesAreAsRepeatedOnes) {
  // Every other case of cases drawn about three centres counts three times.
  StreamEngine random = StreamFactory{21}.engine(Purpose::kDataSet, 0);
  constexpr Index kWidth = 40;
  constexpr Index kCases = 300;
  std::vector<std::uint8_t> once;
  std::vector<std::uint8_t> repeated;
  std::vector<double> weights;
  for (Index n = 0; n < kCases; ++n) {
    const Index centre = n % 5 < 2 ? 0 : n % 5 < 4 ? 1 : 2;
    std::vector<std::uint8_t> row;
    for (Index i = 0; i < kWidth; ++i)
      row.push_back((i % 3 == centre) != (uniform_53(random) < 0.05) ? 1 : 0);
    weights.push_back(n % 2 == 0 ? 3.0 : 1.0);
    once.insert(once.end(), row.begin(), row.end());
    for (double copies = 0; copies < weights.back(); ++copies)
      repeated.insert(repeated.end(), row.begin(), row.end());
  }
  const StreamEngine draws = StreamFactory{22}.engine(Purpose::kClusters, 0);
  const BinaryData plain(kCases, kWidth, once);
  const BinaryData weighted(kCases, kWidth, once, CaseWeights(weights));
  const BinaryData copies(static_cast<Index>(repeated.size()) / kWidth, kWidth, repeated);
  EXPECT_NEAR(largest_variance(weighted, draws), largest_variance(copies, draws), 1e-4);
  EXPECT_GT(std::abs(largest_variance(weighted, draws) - largest_variance(plain, draws)), 1e-3);
  const DataClusters a = find_clusters(weighted, 3, draws);
  const DataClusters b = find_clusters(copies, 3, draws);
  ASSERT_EQ(a.occupancy.size(), b.occupancy.size());
  EXPECT_LT((a.occupancy - b.occupancy).cwiseAbs().maxCoeff(), 1e-6);
}

TEST(Clusters, DegenerateDataHaveAsManyAsTheyHavePlaces) {
  EXPECT_EQ(find_clusters({}, 8, engine(4)).size(), 0);
  const DataClusters one = find_clusters({5, 3, std::vector<std::uint8_t>(15, 1)}, 8, engine(5));
  ASSERT_EQ(one.size(), 1);
  EXPECT_EQ(one.occupancy[0], 1.0);
  std::vector<std::uint8_t> two(20, 0);
  std::fill(two.begin(), two.begin() + 4, std::uint8_t{1});
  const DataClusters places = find_clusters({10, 2, two}, 8, engine(6));
  ASSERT_EQ(places.size(), 2);
  EXPECT_NEAR(places.occupancy[1], 0.2, 1e-12);
  EXPECT_EQ(find_clusters({1, 2, std::vector<std::uint8_t>{1, 0}}, 8, engine(7)).size(), 1);
}

TEST(Clusters, ChainsThatKeepToTheirClustersAreNotMixedThoughTheirEnergiesAgree) {
  StreamEngine draws = engine(8);
  Trace trace;
  trace.n_clusters = 2;
  for (std::size_t c = 0; c < 8; ++c) {
    auto& energy = trace.free_energy.emplace_back();
    auto& ones = trace.mean_visible.emplace_back();
    auto& cluster = trace.cluster.emplace_back();
    for (int t = 0; t < 500; ++t) {
      energy.push_back(uniform_53(draws));
      ones.push_back(uniform_53(draws));
      cluster.push_back(static_cast<Index>(c % 2));
    }
  }
  const MixingReport stuck = assess_mixing(trace, 4);
  EXPECT_FALSE(stuck.mixed) << stuck.verdict;
  EXPECT_GT(stuck.r_hat, 1.5);
  EXPECT_NEAR(stuck.occupancy[0], 0.5, 1e-12);
  for (auto& chain : trace.cluster) {
    for (Index& c : chain) c = uniform_53(draws) < 0.5 ? 0 : 1;
  }
  EXPECT_TRUE(assess_mixing(trace, 4).mixed);
  // Warm chains in one cluster alone, cold ones in both.
  for (std::size_t c = 0; c < 4; ++c) {
    for (Index& k : trace.cluster[c]) k = uniform_53(draws) < 0.4 ? 0 : 1;
  }
  EXPECT_GT(assess_mixing(trace, 4).starts_disagree, 5.0);
  trace.cluster.clear();
  trace.n_clusters = 0;
  EXPECT_TRUE(assess_mixing(trace, 4).mixed);
}

}  // namespace
}  // namespace tempera
