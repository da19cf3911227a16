#include "tempera/core/option.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tempera {

enum class Pace { kSlow, kFast };
template <>
struct Names<Pace> {
  static constexpr std::array<NamedValue<Pace>, 2> table = {
      {{Pace::kSlow, "slow", "on foot"}, {Pace::kFast, "fast", "by train"}}};
};

/// One of whose values is itself called none.
enum class Load { kNone, kHeavy };
template <>
struct Names<Load> {
  static constexpr std::array<NamedValue<Load>, 2> table = {
      {{Load::kNone, "none", ""}, {Load::kHeavy, "heavy", ""}}};
};

namespace {

using PaceOrNumber = std::variant<Pace, double>;
using PaceOrCount = std::variant<Pace, std::int64_t>;

template <class T>
void expect_back(const T& value, const char* none = "auto") {
  const std::string text = text_of(value, none);
  T read{};
  EXPECT_TRUE(assign(read, text, none)) << text;
  EXPECT_EQ(read, value) << text;
}

/// A text that is none of the type is refused, and the field stays as it was.
template <class T>
void expect_refused(const T& before, std::initializer_list<const char*> texts, const char* none = "auto") {
  for (const char* text : texts) {
    T field = before;
    EXPECT_FALSE(assign(field, text, none)) << "'" << text << "'";
    EXPECT_EQ(field, before) << "'" << text << "'";
  }
}

template <class T>
T read_as(const char* text, T before, const char* none = "auto") {
  EXPECT_TRUE(assign(before, text, none)) << text;
  return before;
}

TEST(Option, EveryTypeGoesToTextAndBack) {
  for (const bool value : {false, true}) expect_back(value);
  for (const std::int64_t value :
       {std::int64_t{0}, std::int64_t{-7}, std::numeric_limits<std::int64_t>::min(),
        std::numeric_limits<std::int64_t>::max()})
    expect_back(value);
  for (const double value : {0.0, 5.0, 0.1, 1.0 / 3.0, -2.5e-300, 1e300, std::nextafter(0.3, 1.0)})
    expect_back(value);
  expect_back(std::string("a file with spaces, and commas"));
  expect_back(std::string());
  for (const Pace value : {Pace::kSlow, Pace::kFast}) expect_back(value);
  expect_back(std::vector<std::int64_t>{500});
  expect_back(std::vector<std::int64_t>{500, 100, 20});
  expect_back(std::vector<std::int64_t>{});
  expect_back(std::vector<std::string>{"weights", "visible_bias"});
  expect_back(std::vector<std::string>{});
  for (const PaceOrNumber& value : {PaceOrNumber(Pace::kSlow), PaceOrNumber(Pace::kFast), PaceOrNumber(0.01)})
    expect_back(value);
  for (const PaceOrCount& value : {PaceOrCount(Pace::kFast), PaceOrCount(std::int64_t{4})})
    expect_back(value);
}

TEST(Option, WhatMayBeNothingGoesToTextAndBack) {
  for (const char* none : {"auto", "none", "euclid"}) {
    expect_back(std::optional<std::int64_t>(), none);
    expect_back(std::optional<std::int64_t>(-3), none);
    expect_back(std::optional<double>(), none);
    expect_back(std::optional<double>(0.003), none);
    expect_back(std::optional<Pace>(), none);
    expect_back(std::optional<Pace>(Pace::kSlow), none);
    EXPECT_EQ(text_of(std::optional<double>(), none), none);
  }
}

TEST(Option, NumbersHaveTheShortestTextThatIsReadBack) {
  EXPECT_EQ(text_of(0.3), "0.3");
  EXPECT_EQ(text_of(0.1 + 0.2), "0.30000000000000004");
  EXPECT_EQ(text_of(5.0), "5");
  EXPECT_EQ(text_of(std::int64_t{-12}), "-12");
  EXPECT_EQ(text_of(true), "true");
  EXPECT_EQ(text_of(std::vector<std::int64_t>{500, 100}), "500,100");
  EXPECT_EQ(text_of(Pace::kFast), "fast");
}

TEST(Option, WholeNumbers) {
  EXPECT_EQ(read_as<std::int64_t>("+3", 0), 3);
  EXPECT_EQ(read_as<std::int64_t>("-3", 0), -3);
  expect_refused<std::int64_t>(
      9, {"", "+", "-", "x", "1.5", "1e3", "0x10", "12x", " 3", "3 ", "auto", "9223372036854775808"});
  expect_refused<std::vector<std::int64_t>>({9}, {",", "5,", ",5", "5,,6", "5,x", "5;6", "5, 6"});
  expect_refused<std::vector<std::string>>({"a"}, {",", "b,", ",b", "b,,c"});
}

TEST(Option, RealNumbers) {
  EXPECT_EQ(read_as<double>("+0.5", 0), 0.5);
  EXPECT_EQ(read_as<double>("1e-3", 0), 1e-3);
  EXPECT_EQ(read_as<double>("5", 0), 5.0);
  expect_refused(9.0, {"", "+", "x", "1,5", "0.3f", "--1", "+-1", "++1", " 1", "1 ", "auto"});
}

TEST(Option, TruthsAndNames) {
  expect_refused(true, {"", "yes", "1", "0", "False", "no"});
  expect_refused(Pace::kFast, {"", "Slow", "slow ", "slo", "walk", "auto", "0"});
}

TEST(Option, ZeroIsTheOldWordForARuleThatIsNone) {
  using LoadOrCount = std::variant<Load, std::int64_t>;
  EXPECT_EQ(read_as<LoadOrCount>("0", LoadOrCount(std::int64_t{7})), LoadOrCount(Load::kNone));
  EXPECT_EQ(read_as<LoadOrCount>("3", LoadOrCount(Load::kNone)), LoadOrCount(std::int64_t{3}));
  EXPECT_EQ(read_as<PaceOrNumber>("0", PaceOrNumber(Pace::kFast)), PaceOrNumber(0.0)) << "no rule for none";
  EXPECT_EQ(read_as<PaceOrNumber>("auto", PaceOrNumber(7.0)), PaceOrNumber(Names<Pace>::table.front().value));
  EXPECT_EQ(read_as<LoadOrCount>("auto", LoadOrCount(std::int64_t{7})),
            LoadOrCount(Names<Load>::table.front().value));
}

TEST(Option, ARuleMayHaveANumberOfItsOwn) {
  using Leveling = Leveled<Pace>;
  for (const Leveling& value :
       {Leveling{Pace::kSlow}, Leveling{Pace::kFast, 0.25}, Leveling{Pace::kFast, -3.0}})
    expect_back(value);
  EXPECT_EQ(read_as<Leveling>("slow:1e-3", {}), (Leveling{Pace::kSlow, 1e-3}));
  expect_refused(Leveling{Pace::kFast, 2.0},
                 {"", ":", "slow:", "slow:x", "walk", "walk:1", "slow:1:2", ":1"});
}

TEST(Option, NothingHasItsOwnWordAndTheOldOnes) {
  using Count = std::optional<std::int64_t>;
  // `auto`, `none` and, of numbers, 0 meant nothing before there was a word for each option.
  for (const char* none : {"auto", "none", "never"}) {
    for (const char* text : {none, "auto", "none", "0", "+0"})
      EXPECT_EQ(read_as<Count>(text, 7, none), Count()) << text;
    for (const char* text : {"0", "0.0", "-0", "0e5"})
      EXPECT_EQ(read_as<std::optional<double>>(text, 7.0, none), std::nullopt) << text;
    EXPECT_EQ(read_as<Count>("12", std::nullopt, none), Count(12));
  }
  EXPECT_EQ(read_as<std::optional<Pace>>("euclid", Pace::kSlow, "euclid"), std::nullopt);
  EXPECT_EQ(read_as<std::optional<Pace>>("auto", Pace::kSlow, "euclid"), std::nullopt);
  // The word of another option is no word, and 0 is no name.
  expect_refused<Count>(7, {"", "never", "x", "1.5"});
  expect_refused<std::optional<double>>(0.5, {"", "never", "x"});
  expect_refused<std::optional<Pace>>(Pace::kSlow, {"", "walk", "0"}, "euclid");
}

TEST(Option, AValueThatIsCalledNoneIsAValue) {
  EXPECT_EQ(read_as<std::optional<Load>>("none", std::nullopt), Load::kNone);
  EXPECT_EQ(read_as<std::optional<Load>>("auto", Load::kHeavy), std::nullopt);
}

TEST(Option, ARuleStandsInThePlaceOfANumber) {
  EXPECT_EQ(read_as<PaceOrNumber>("fast", 0.5), PaceOrNumber(Pace::kFast));
  EXPECT_EQ(read_as<PaceOrNumber>("0.25", Pace::kSlow), PaceOrNumber(0.25));
  EXPECT_EQ(read_as<PaceOrNumber>("0", Pace::kSlow), PaceOrNumber(0.0)) << "0 is a number like others here";
  EXPECT_EQ(read_as<PaceOrNumber>("auto", 0.5), PaceOrNumber(Pace::kSlow)) << "the first rule";
  expect_refused(PaceOrNumber(0.5), {"", "walk", "0.5x"});
  expect_refused(PaceOrCount(std::int64_t{4}), {"", "walk", "0.5"});
}

TEST(Option, MessagesSayWhatAFieldMayBe) {
  EXPECT_EQ(OptionKind<bool>::words(), "true or false");
  EXPECT_EQ(OptionKind<std::int64_t>::words(), "a whole number");
  EXPECT_EQ(OptionKind<double>::words(), "a number");
  EXPECT_EQ(OptionKind<Pace>::words(), "one of slow, fast");
  EXPECT_EQ(OptionKind<PaceOrNumber>::words(), "a number or one of slow, fast");
  EXPECT_EQ(OptionKind<std::optional<std::int64_t>>::words(), "a whole number, or auto");
  EXPECT_EQ(OptionKind<std::vector<std::int64_t>>::words(), "whole numbers with commas between");
  static_assert(kIsChoice<Pace> && kIsChoice<std::optional<Pace>> && kIsChoice<PaceOrNumber>);
  static_assert(!kIsChoice<double> && !kIsChoice<std::optional<double>> && !kIsChoice<std::string>);
}

}  // namespace
}  // namespace tempera
