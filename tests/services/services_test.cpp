#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "tempera/services/features.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/sampling.hpp"
#include "tempera/services/score.hpp"
#include "tempera/services/training_run.hpp"

namespace tempera {
namespace {

/// A folder that goes with the test.
class Services : public testing::Test {
 protected:
  Services() {
    std::string name = (std::filesystem::temp_directory_path() / "tempera-services-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Services() override { std::filesystem::remove_all(folder_); }

  /// A machine of three visible and two hidden units, as anyone may write it.
  [[nodiscard]] AnyModelFile model() const {
    const std::filesystem::path path = folder_ / "model.h5";
    Hdf5Writer file("model");
    file.attribute("/model", "kind", std::string("bernoulli-rbm"));
    const std::vector<float> weights = {1.5F, -1.0F, 0.5F, 2.0F, -0.5F, 1.0F};
    const std::vector<float> visible = {0.2F, -0.3F, 0.1F};
    const std::vector<float> hidden = {-0.4F, 0.6F};
    file.dataset("/model/params/weights", {3, 2}, weights.data());
    file.dataset("/model/params/visible_bias", {3}, visible.data());
    file.dataset("/model/params/hidden_bias", {2}, hidden.data());
    file.write(path);
    Listener silent;
    return read_model(path, silent);
  }

  /// All eight cases, with names.
  [[nodiscard]] std::string cases() const {
    DataFile data;
    Table& table = data.splits["test"];
    table.rows = 8;
    table.columns = 3;
    for (int n = 0; n < 8; ++n) {
      for (int i = 0; i < 3; ++i) table.bytes.own().push_back(static_cast<std::uint8_t>(n >> i & 1));
      data.names["test"].push_back("case " + std::to_string(n));
    }
    data.splits["train"] = table;
    const std::string path = (folder_ / "data.h5").string();
    write_data(data, path);
    return path;
  }

  std::filesystem::path folder_;
  Executor executor_{1};
  Listener silent_;
};

/// Stops at the first progress, and remembers what it heard.
class Impatient : public Listener {
 public:
  void warn(const std::string& words) override { warnings.push_back(words); }
  Control progress(const std::string& stage, double, const std::string&) override {
    stages.push_back(stage);
    return Control::kStop;
  }
  std::vector<std::string> warnings;
  std::vector<std::string> stages;
};

TEST_F(Services, ProbabilitiesOfAllCasesAddToOne) {
  ScoreOptions options;
  options.data = cases();
  options.method = ScoreMethod::kExact;
  const ScoreResult result = score_cases(model(), options, executor_, silent_);
  double total = 0.0;
  for (std::size_t n = 0; n < 8; ++n) total += std::exp(result.log_likelihood(n));
  EXPECT_NEAR(total, 1.0, 1e-6);
  EXPECT_EQ(result.names[5], "case 5");
  // The mean is the likelihood of the other service, to the bit.
  LikelihoodOptions other;
  other.data = options.data;
  other.method = LikelihoodMethod::kExact;
  const LikelihoodResult likelihood = estimate_likelihood(model(), other, executor_, silent_);
  EXPECT_EQ(likelihood.data->likelihood.log_likelihood,
            mean_log_likelihood(result.free_energies, result.log_partition->value).log_likelihood);
  EXPECT_FALSE(likelihood.data->variational);
}

TEST_F(Services, PlantedWrongLogZDoesNotAddToOne) {
  ScoreOptions options;
  options.data = cases();
  options.method = ScoreMethod::kExact;
  ScoreResult result = score_cases(model(), options, executor_, silent_);
  result.log_partition->value.value += 0.1;
  double total = 0.0;
  for (std::size_t n = 0; n < 8; ++n) total += std::exp(result.log_likelihood(n));
  EXPECT_GT(std::abs(total - 1.0), 0.05);
}

TEST_F(Services, AListenerStopsTheWork) {
  LikelihoodOptions options;
  options.method = LikelihoodMethod::kAis;
  Impatient listener;
  EXPECT_THROW(estimate_likelihood(model(), options, executor_, listener), Interrupted);
  EXPECT_EQ(listener.stages.front(), "ais");
}

TEST(Resumed, OptionsThatMayChangeAreOptions) {
  std::set<std::string> found;
  TrainOptions::visit(
      [&found](const OptionText& text, const auto&) {
        if (may_change(text.name)) found.insert(text.name);
      },
      TrainOptions());
  EXPECT_EQ(found,
            (std::set<std::string>{"check", "checkpoint-every", "clip", "data", "decay-updates", "early-rate",
                                   "keep", "l1", "l1b", "l2", "l2-fields", "lr", "patience", "report-every",
                                   "schedule", "updates", "validate-every", "warmup"}));
  EXPECT_FALSE(may_change("hidden"));
}

TEST_F(Services, EveryViolationIsReported) {
  SamplingOptions options;
  options.count = 0;
  options.jump = 2.0;
  options.sweeps = -1;
  options.ensembles = 1;
  EXPECT_EQ(check(options).size(), 4U);
  EXPECT_THROW(draw_samples(model(), options, executor_, silent_), ConfigError);
  EstimateOptions estimate;
  estimate.chains = 1;
  estimate.betas = 1;
  estimate.rungs = 1000;
  estimate.target_se = std::nan("");
  EXPECT_EQ(check(estimate).size(), 4U);
  EXPECT_TRUE(check(EstimateOptions()).empty());
  EXPECT_TRUE(check(SamplingOptions()).empty());
}

TEST_F(Services, MethodsAgreeOrAreToldNotTo) {
  LikelihoodOptions options;
  options.data = cases();
  options.method = LikelihoodMethod::kAll;
  options.estimate.rounds = 200;
  options.estimate.betas = 500;
  const LikelihoodResult result = estimate_likelihood(model(), options, executor_, silent_);
  EXPECT_EQ(result.estimates.size(), 8U);  // no tracker
  EXPECT_TRUE(result.disagreements.empty());
  ASSERT_TRUE(result.data->upper && result.data->lower);
  EXPECT_NE(words(result).find("all agree within 3 standard errors"), std::string::npos);
}

TEST_F(Services, SamplesAreRowsOfTheLayers) {
  SamplingOptions options;
  options.count = 70;
  options.sweeps = 3;
  const SampleResult result = draw_samples(model(), options, executor_, silent_);
  ASSERT_EQ(result.layers.size(), 2U);
  EXPECT_EQ(result.layers[0].name, "visible");
  EXPECT_EQ(result.layers[0].units, 3U);
  EXPECT_EQ(std::get<std::vector<std::uint8_t>>(result.layers[1].values).size(), 140U);
  EXPECT_EQ(result.picture.tiles.size(), 70U);
  EXPECT_EQ(result.sweeps, 3U);
  EXPECT_FALSE(result.report.has_value());
  const Facts all = facts(result);
  EXPECT_EQ(all.front().first, "ladder");
  EXPECT_EQ(all.back().first, "verdict");
}

TEST_F(Services, ATrajectoryNeedsMachinesOnTheWay) {
  SamplingOptions options;
  options.ladder = SampleLadder::kTrajectory;
  EXPECT_THROW(draw_samples(model(), options, executor_, silent_), UsageError);
}

TEST_F(Services, FiltersAreInOrderOfTheirNorms) {
  const FeatureResult features = find_features(model(), {}, silent_);
  ASSERT_EQ(features.filters.rows(), 2);
  const TilePicture picture = picture_of_filters(features);
  EXPECT_GT(features.importance[1], features.importance[0]);
  EXPECT_EQ(picture.tiles[0][1], features.filters(1, 1));
  FeatureOptions usage;
  usage.sort = FilterOrder::kUsage;
  EXPECT_THROW(find_features(model(), usage, silent_), UsageError);
}

TEST(Score, TablesAreReadBack) {
  ScoreResult result;
  result.names = {"plain", "with, comma", "with \"quotes\""};
  result.free_energies = {0.1, -1e300, 1.0 / 3.0};
  EXPECT_EQ(csv_of(result),
            "name,free_energy\nplain,0.1\n\"with, comma\",-1e+300\n\"with \"\"quotes\"\"\","
            "0.3333333333333333\n");
  result.names.clear();
  result.free_energies = {1.0};
  result.log_partition = {"exact", {2.0, 0.0, 1.0}, ""};
  EXPECT_EQ(csv_of(result), "number,free_energy,log_likelihood\n0,1,-3\n");
}

TEST(Score, EveryMethodButNoneAndStoredIsOneOfLikelihood) {
  std::vector<std::string> own;
  for (const auto& entry : Names<ScoreMethod>::table) {
    if (!named<LikelihoodMethod>(entry.name)) own.emplace_back(entry.name);
  }
  EXPECT_EQ(own, (std::vector<std::string>{"none", "stored"}));
}

}  // namespace
}  // namespace tempera
