#include "tempera/core/names.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tempera/core/permutation.hpp"

namespace tempera {

enum class Fruit { kApple, kPear, kPlum, kUnnamed };

template <>
struct Names<Fruit> {
  static constexpr std::array<NamedValue<Fruit>, 3> table{{{Fruit::kApple, "apple", "round"},
                                                           {Fruit::kPear, "pear", "longer than wide"},
                                                           {Fruit::kPlum, "plum", "with a stone"}}};
};

namespace {

static_assert(Named<Fruit> && !Named<int>);
static_assert(name_of(Fruit::kPear) == "pear");
static_assert(named<Fruit>("plum") == Fruit::kPlum);

TEST(Names, EveryRowGoesBothWays) {
  for (const NamedValue<Fruit>& row : Names<Fruit>::table) {
    EXPECT_EQ(name_of(row.value), row.name);
    EXPECT_EQ(named<Fruit>(row.name), row.value);
  }
  EXPECT_EQ(all_names<Fruit>(), "apple, pear, plum");
}

TEST(Names, WhatIsSpelledOtherwiseIsNoName) {
  for (const char* wrong : {"", "Apple", "apple ", "appl", "apples", "cherry"})
    EXPECT_EQ(named<Fruit>(wrong), std::nullopt) << wrong;
}

TEST(Names, AValueThatTheTableLeavesOutIsAFaultOfTheProgram) {
  EXPECT_THROW(name_of(Fruit::kUnnamed), std::logic_error);
}

TEST(Permutation, IsAnOrderOfAllAndAFunctionOfItsStream) {
  const StreamFactory streams{7};
  std::vector<Index> order = permutation(100, streams.engine(Purpose::kShuffle, 1));
  EXPECT_EQ(order, permutation(100, streams.engine(Purpose::kShuffle, 1)));
  EXPECT_NE(order, permutation(100, streams.engine(Purpose::kShuffle, 2)));
  std::sort(order.begin(), order.end());
  for (Index i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(permutation(0, streams.engine(Purpose::kShuffle, 1)).empty());
}

}  // namespace
}  // namespace tempera
