// Sums in parts: the additions are those of the whole, however the leaves were dealt out.
#include "tempera/core/sum_tree.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tempera/core/random.hpp"

namespace tempera {
namespace {

constexpr Index kMost = 70;

/// Numbers of different sizes, whose sum depends on the order of the additions.
std::vector<float> uneven_numbers() {
  StreamEngine random = StreamFactory{11}.engine(Purpose::kDataSet, 0);
  std::vector<float> numbers;
  for (Index i = 0; i < kMost; ++i) {
    const double size = std::ldexp(1.0, static_cast<int>(random() % 8));
    numbers.push_back(static_cast<float>(size * (uniform_53(random) - 0.5)));
  }
  return numbers;
}

constexpr auto kAdd = [](auto& into, const auto& from) { into = into + from; };
constexpr auto kWrite = [](std::string& into, const std::string& from) {
  into = "(" + into + "+" + from + ")";
};

/// The complete nodes of a range, each with the sum of its leaves.
template <class Leaf, class Add>
auto nodes_of(Index first, Index last, Leaf&& leaf, Add&& add) {
  using Value = std::invoke_result_t<Leaf&, Index>;
  std::vector<std::pair<TreeNode, Value>> nodes;
  for (const TreeNode& node : complete_nodes(first, last)) {
    const auto own = [&](Index i) { return leaf(node.first + i); };
    nodes.emplace_back(node, sum_tree(node.leaves(), own, add));
  }
  return nodes;
}

/// The sum of leaves 0 ... ends.back() - 1 from ranges that end there, each range by itself; the last one
/// with its right edge joined, or not.
template <class Leaf, class Add>
auto in_ranges(const std::vector<Index>& ends, Leaf&& leaf, Add&& add, bool joined = false) {
  std::vector<std::pair<TreeNode, std::invoke_result_t<Leaf&, Index>>> nodes;
  Index first = 0;
  for (const Index last : ends) {
    auto own = nodes_of(first, last, leaf, add);
    if (joined && last == ends.back()) join_right_edge(last, own, add);
    for (auto& node : own) nodes.push_back(std::move(node));
    first = last;
  }
  return combine_nodes(std::move(nodes), add);
}

TEST(SumTree, CompleteNodesAreTheFewestThatCoverTheirRange) {
  EXPECT_TRUE(complete_nodes(5, 5).empty());
  EXPECT_EQ(complete_nodes(0, 8), (std::vector<TreeNode>{{0, 3}}));
  EXPECT_EQ(complete_nodes(0, 7), (std::vector<TreeNode>{{0, 2}, {4, 1}, {6, 0}}));
  EXPECT_EQ(complete_nodes(3, 13), (std::vector<TreeNode>{{3, 0}, {4, 2}, {8, 2}, {12, 0}}));
  for (Index first = 0; first <= kMost; ++first) {
    for (Index last = first; last <= kMost; ++last) {
      Index at = first;
      TreeNode before;
      for (const TreeNode& node : complete_nodes(first, last)) {
        ASSERT_EQ(node.first, at);
        ASSERT_EQ(node.first % node.leaves(), 0);
        ASSERT_FALSE(at > first && before.level == node.level && before.first % (2 * before.leaves()) == 0)
            << "two that are one";
        before = node;
        at += node.leaves();
      }
      ASSERT_EQ(at, last);
    }
  }
}

TEST(SumTree, EveryCutMakesTheSameAdditions) {
  const auto name = [](Index i) { return std::to_string(i); };
  for (Index n = 1; n <= 12; ++n) {
    const std::string whole = sum_tree(n, name, kWrite);
    for (unsigned cut = 0; cut < (1U << (n - 1)); ++cut) {
      std::vector<Index> ends;
      for (Index i = 1; i < n; ++i) {
        if ((cut >> (i - 1) & 1) != 0) ends.push_back(i);
      }
      ends.push_back(n);
      ASSERT_EQ(in_ranges(ends, name, kWrite), whole) << cut;
      ASSERT_EQ(in_ranges(ends, name, kWrite, true), whole) << cut << ", joined";
    }
  }
}

TEST(SumTree, TheRightEdgeOfARangeBecomesOneNode) {
  const auto count = [](Index first, Index n) {
    std::vector<std::pair<TreeNode, int>> nodes;
    for (const TreeNode& node : complete_nodes(first, n)) nodes.emplace_back(node, 1);
    join_right_edge(n, nodes, [](int& into, int from) { into += from; });
    return nodes.size();
  };
  EXPECT_EQ(count(0, 63), 1U);
  EXPECT_EQ(count(32, 63), 1U);
  EXPECT_EQ(count(48, 63), 1U);
  EXPECT_EQ(count(31, 63), 2U);  // the first leaf is another rank's sibling
  EXPECT_EQ(count(5, 8), 2U);
}

TEST(SumTree, CutsOfManyLeavesGiveTheSameBits) {
  const std::vector<float> numbers = uneven_numbers();
  const auto leaf = [&](Index i) { return numbers[static_cast<std::size_t>(i)]; };
  StreamEngine random = StreamFactory{12}.engine(Purpose::kDataSet, 1);
  for (Index n = 1; n <= kMost; ++n) {
    const float whole = sum_tree(n, leaf, kAdd);
    // Three ranges, some of which may be empty; and ranges of any number.
    for (Index a = 0; a <= n; ++a) {
      for (Index b = a; b <= n; ++b) ASSERT_EQ(in_ranges({a, b, n}, leaf, kAdd), whole) << n;
    }
    for (int cut = 0; cut < 200; ++cut) {
      std::vector<Index> ends;
      for (Index i = 1; i < n; ++i) {
        if (random() % 4 == 0) ends.push_back(i);
      }
      ends.push_back(n);
      ASSERT_EQ(in_ranges(ends, leaf, kAdd), whole) << n;
    }
  }
}

TEST(SumTree, AnotherOrderOfTheAdditionsIsSeen) {
  // Planted: the sums of two ranges are added as they come, not along the tree.
  const std::vector<float> numbers = uneven_numbers();
  const auto leaf = [&](Index i) { return numbers[static_cast<std::size_t>(i)]; };
  int wrong = 0;
  for (Index a = 1; a < kMost; ++a) {
    float sum = 0.0F;
    for (const auto& [first, last] : {std::pair(Index{0}, a), std::pair(a, kMost)}) {
      for (const auto& [node, value] : nodes_of(first, last, leaf, kAdd)) sum += value;
    }
    wrong += sum != sum_tree(kMost, leaf, kAdd) ? 1 : 0;
  }
  EXPECT_GT(wrong, 30);
  // Planted: the ranges are given in another order.
  const auto name = [](Index i) { return std::to_string(i); };
  auto turned = nodes_of(5, 12, name, kWrite);
  for (const auto& node : nodes_of(0, 5, name, kWrite)) turned.push_back(node);
  EXPECT_NE(combine_nodes(std::move(turned), kWrite), sum_tree(12, name, kWrite));
}

}  // namespace
}  // namespace tempera
