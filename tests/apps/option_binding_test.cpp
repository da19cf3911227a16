#include "option_binding.hpp"

#include <gtest/gtest.h>

#include <array>

namespace tempera {

enum class Colour { kRed, kBlue };
template <>
struct Names<Colour> {
  static constexpr std::array<NamedValue<Colour>, 2> table = {
      {{Colour::kRed, "red", "warm"}, {Colour::kBlue, "blue", "cold"}}};
};

namespace apps {
namespace {

struct Options {
  std::int64_t count = 3;
  double rate = 0.5;
  std::string name = "x";
  bool fast = true;
  Colour colour = Colour::kRed;
  std::optional<std::int64_t> limit = 7;
  std::optional<Colour> other;
  std::variant<Colour, double> either = Colour::kBlue;
  std::vector<std::int64_t> sizes = {1};

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"count", "how many"}, s.count...);
    f(OptionText{"rate", "how fast"}, s.rate...);
    f(OptionText{"name", "what it is called"}, s.name...);
    f(OptionText{"fast", "in a hurry"}, s.fast...);
    f(OptionText{"colour", "what it looks like", false, "auto", "color"}, s.colour...);
    f(OptionText{"limit", "at most", false, "none"}, s.limit...);
    f(OptionText{"other", "beside it"}, s.other...);
    f(OptionText{"either", "one or the other"}, s.either...);
    f(OptionText{"sizes", "of every layer"}, s.sizes...);
  }
};

/// A command line that is parsed into options.
class OptionBinding : public testing::Test {
 protected:
  void parse(const std::string& line, bool collects = false) {
    CLI::App app;
    bind_options(app, options_, collects ? &bad_ : nullptr);
    app.parse(line);
    help_ = app.help();
  }

  Options options_;
  std::vector<Violation> bad_;
  std::string help_;
};

TEST_F(OptionBinding, EveryKindOfField) {
  parse(
      "--count 5 --rate 1e-3 --name y --no-fast --colour blue --limit none --other red --either 2.5 --sizes "
      "4,5");
  EXPECT_EQ(options_.count, 5);
  EXPECT_EQ(options_.rate, 1e-3);
  EXPECT_EQ(options_.name, "y");
  EXPECT_FALSE(options_.fast);
  EXPECT_EQ(options_.colour, Colour::kBlue);
  EXPECT_FALSE(options_.limit);
  EXPECT_EQ(options_.other, Colour::kRed);
  EXPECT_EQ(std::get<double>(options_.either), 2.5);
  EXPECT_EQ(options_.sizes, (std::vector<std::int64_t>{4, 5}));
}

TEST_F(OptionBinding, WhatIsNotGivenStays) {
  parse("--color blue");  // its former name
  EXPECT_EQ(options_.colour, Colour::kBlue);
  EXPECT_EQ(options_.limit, 7);
  EXPECT_EQ(options_.count, 3);
  EXPECT_EQ(std::get<Colour>(options_.either), Colour::kBlue);
}

TEST_F(OptionBinding, HelpHasChoicesAndDefaults) {
  parse("");
  for (const char* const words : {"red (warm), blue (cold)", "=red", "=7", "=auto", "=blue", "--no-fast"})
    EXPECT_NE(help_.find(words), std::string::npos) << words << "\n" << help_;
}

TEST_F(OptionBinding, BadChoicesAreUsageErrorsOrViolations) {
  EXPECT_THROW(parse("--colour green"), CLI::ValidationError);
  EXPECT_NO_THROW(parse("--colour green --other pink --either heavy", true));
  ASSERT_EQ(bad_.size(), 3U);
  EXPECT_EQ(bad_[0].field, "colour");
  EXPECT_EQ(bad_[0].value, "'green'");
  EXPECT_EQ(bad_[0].constraint, "must be one of red, blue");
  EXPECT_EQ(options_.colour, Colour::kRed);
}

TEST_F(OptionBinding, WordsForNumbersAreUsageErrors) {
  for (const char* const line : {"--count many", "--count 1e11", "--count 99999999999999999999",
                                 "--rate fast", "--limit many", "--sizes 4,x", "--unknown 1"})
    EXPECT_THROW(parse(line, true), CLI::ParseError) << line;
}

}  // namespace
}  // namespace apps
}  // namespace tempera
