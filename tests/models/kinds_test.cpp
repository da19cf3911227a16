// The list of kinds as data: names, features, and what is said of options that do not fit.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "tempera/models/kinds.hpp"

namespace tempera {
namespace {

/// The violations of some options, as "field: constraint".
std::vector<std::string> said(const MachineOptions& options, const InitialValues& initial = {}) {
  std::vector<std::string> all;
  for (const Violation& v : check_machine(options, initial)) all.push_back(v.field + ": " + v.constraint);
  return all;
}

MachineOptions options_of(const std::string& kind, std::vector<std::int64_t> hidden = {3}) {
  MachineOptions options;
  options.kind = kind;
  options.hidden = std::move(hidden);
  return options;
}

using Said = std::vector<std::string>;

TEST(Kinds, NamesAreOfOneKindEach) {
  std::set<std::string> names;
  for (const Kind& kind : all_kinds()) {
    EXPECT_TRUE(names.insert(kind.name()).second) << kind.name();
    EXPECT_EQ(find_kind(kind.kind, kind.hidden_units), &kind);
  }
  EXPECT_EQ(find_kind("ssrbm", "gauss"), nullptr);
  EXPECT_EQ(find_kind("", ""), nullptr);
}

TEST(Kinds, EveryFeatureHasANameAndAKind) {
  std::set<std::string_view> names;
  for (std::size_t k = 0; k < kFeatureNames.size(); ++k) {
    const auto feature = static_cast<Feature>(k);
    EXPECT_FALSE(name_of(feature).empty());
    EXPECT_TRUE(names.insert(name_of(feature)).second) << name_of(feature);
    EXPECT_FALSE(kinds_with(feature).empty()) << name_of(feature);
  }
  EXPECT_EQ(option_of(Feature::kTwoBlockGibbs), "gibbs");
  EXPECT_EQ(option_of(Feature::kBox), "box");
  EXPECT_EQ(kinds_with(Feature::kSlabs), "ssrbm, binary-ssrbm and sparse-ssrbm");
  EXPECT_EQ(kinds_with(Feature::kBox), "gaussian-rbm, ssrbm and bilinear-ssrbm");
}

TEST(Kinds, WhatDoesNotFitIsSaidAllAtOnce) {
  EXPECT_EQ(said(options_of("bernoulli-rbm")), Said());
  EXPECT_EQ(said(options_of("rbm")).size(), 1U);
  EXPECT_EQ(said(options_of("rbm"))[0].substr(0, 37), "model: must be one of bernoulli-rbm, ");
  MachineOptions options = options_of("ssrbm");
  options.hidden_units = "letters";
  EXPECT_EQ(said(options), Said({"hidden-units: must be one of bernoulli with ssrbm"}));
  options = options_of("bernoulli-rbm");
  options.hidden_units = "gaussian";
  EXPECT_EQ(said(options), Said());
  EXPECT_EQ(find_kind("bernoulli-rbm", "gaussian")->name(), "bernoulli-rbm (gaussian)");

  options = options_of("gaussian-rbm", {3, 4});
  options.slabs = 2;
  options.gate = true;
  options.gibbs = Gibbs::kTwoBlock;
  InitialValues initial;
  initial.slab_precision = 3.0;
  EXPECT_EQ(
      said(options, initial),
      Said({"slabs: is for ssrbm, binary-ssrbm and sparse-ssrbm",
            "gate: is for bilinear-ssrbm and binary-bilinear-ssrbm", "gibbs: is for ssrbm and bilinear-ssrbm",
            "init-slab-precision: is for ssrbm, binary-ssrbm, sparse-ssrbm, bilinear-ssrbm and "
            "binary-bilinear-ssrbm",
            "hidden: gaussian-rbm has one hidden layer"}));
}

TEST(Kinds, RulesOfTheirOwn) {
  EXPECT_EQ(said(options_of("dbm", {})), Said({"hidden: dbm has 1 to 8 hidden layers"}));
  EXPECT_EQ(said(options_of("dbm", {2, 2, 2, 2, 2, 2, 2, 2})), Said());
  EXPECT_EQ(said(options_of("bilinear-ssrbm")),
            Said({"hidden: bilinear-ssrbm has two factor groups: --hidden G,H"}));
  EXPECT_EQ(said(options_of("bilinear-ssrbm", {11, 12})),
            Said({"hidden: the smaller group of a block has at most 10 factors"}));
  EXPECT_EQ(said(options_of("bilinear-ssrbm", {10, 12})), Said());
  MachineOptions options = options_of("ssrbm");
  options.box = 1.0;
  EXPECT_EQ(said(options), Said());
  options.gibbs = Gibbs::kTwoBlock;
  EXPECT_EQ(said(options),
            Said({"box: means --gibbs three-block: visibles and slabs are not jointly Gaussian"}));
}

TEST(Kinds, AFieldKeepsTheLawUnlessABoxDoes) {
  const Kind& kind = *find_kind("ssrbm", "bernoulli");
  MachineOptions options = options_of("ssrbm");
  EXPECT_EQ(kind.law_field(options), "slab_precision");
  options.box = 1.0;
  EXPECT_EQ(kind.law_field(options), "");
  EXPECT_EQ(find_kind("binary-ssrbm", "bernoulli")->law_field(options_of("binary-ssrbm")), "");
}

TEST(Kinds, FirstWeightsTakeAPartOfTheSpikesPrecision) {
  InitialValues initial;
  EXPECT_DOUBLE_EQ(find_kind("ssrbm", "bernoulli")->default_weight_scale(initial, 24),
                   std::sqrt(0.8 * 10.0 * 0.3 / 24.0));
  initial.spike_precision = 0.0;
  EXPECT_EQ(find_kind("ssrbm", "bernoulli")->default_weight_scale(initial, 24), 0.01);
  EXPECT_EQ(find_kind("dbm", "bernoulli")->default_weight_scale({}, 24), 0.01);
  for (const char* const kind : {"bernoulli-rbm", "potts-rbm"}) {
    EXPECT_EQ(find_kind(kind, "bernoulli")->default_weight_scale({}, 1000), 0.05);
    EXPECT_DOUBLE_EQ(find_kind(kind, "bernoulli")->default_weight_scale({}, 4000), 0.025);
  }
}

}  // namespace
}  // namespace tempera
