// Samples of a finished machine, and whether the chains that gave them mix.
//
// Formulas: docs/mathematics/tempering.md 2.1 to 2.14.
#pragma once

#include <array>
#include <filesystem>

#include "tempera/core/option.hpp"
#include "tempera/core/reading.hpp"
#include "tempera/diagnostics/quality.hpp"
#include "tempera/diagnostics/trace.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/services/bound.hpp"
#include "tempera/services/facts.hpp"
#include "tempera/services/model_io.hpp"
#include "tempera/services/pictures.hpp"

namespace tempera {

enum class SampleLadder { kAuto, kNone, kTemperature, kTrajectory };
template <>
struct Names<SampleLadder> {
  static constexpr std::array<NamedValue<SampleLadder>, 4> table = {
      {{SampleLadder::kAuto, "auto",
        "none where --sweeps is given, trajectory for an sml-ptt run, else temperature"},
       {SampleLadder::kNone, "none", "plain Gibbs"},
       {SampleLadder::kTemperature, "temperature",
        "replicas at several inverse temperatures that change places"},
       {SampleLadder::kTrajectory, "trajectory",
        "replicas of the snapshots of an sml-ptt run, or of the checkpoints that a run has kept"}}};
};

enum class SampleStart { kReference, kData };
template <>
struct Names<SampleStart> {
  static constexpr std::array<NamedValue<SampleStart>, 2> table = {
      {{SampleStart::kReference, "reference", "independent units"}, {SampleStart::kData, "data", "cases"}}};
};

/// A rule in the place of a number of sweeps.
enum class SweepRule { kAuto };
template <>
struct Names<SweepRule> {
  static constexpr std::array<NamedValue<SweepRule>, 1> table = {
      {{SweepRule::kAuto, "auto", "1000 without a ladder, the measured autocorrelation time with one"}}};
};
inline constexpr std::int64_t kPlainSweeps = 1000;
inline constexpr double kUsualJump = 0.2;

struct SamplingOptions {
  std::int64_t count = 100;
  std::variant<SweepRule, std::int64_t> sweeps = SweepRule::kAuto;
  SampleLadder ladder = SampleLadder::kAuto;
  std::optional<std::int64_t> rungs;  // nothing: as the barrier asks
  std::variant<JumpRule, double> jump = JumpRule::kAuto;
  std::int64_t swap_every = 1;
  std::int64_t ensembles = 8;
  SampleStart start = SampleStart::kReference;
  DataSource data;
  BinarizeChoice binarize;
  ColumnOptions columns;
  std::int64_t clusters = 8;
  std::vector<std::string> clamp;
  double beta = 1.0;
  std::int64_t beta_marginal = 1;
  std::string shape;  // HEIGHTxWIDTH; empty: the file's
  std::int64_t seed = 1;
  std::filesystem::path run;  // directory of the run that the model is of; empty where it is a file alone
  bool compares = false;      // whether covariances are held against those of the data

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f(OptionText{"count", "samples; one chain each without a ladder", true}, s.count...);
    f(OptionText{"sweeps", "Gibbs sweeps of each chain; with a ladder, sweeps between samples", true},
      s.sweeps...);
    f(OptionText{"ladder", "replicas that help chains to mix", true}, s.ladder...);
    f(OptionText{"rungs", "rungs of the temperature ladder; auto takes 2 Lambda + 1 for a barrier of Lambda"},
      s.rungs...);
    f(
        OptionText{
            "jump",
            "probability that a sweep begins with a jump of every chain towards the latents of a case, or a "
            "mode that a search finds; auto is 0.2 with a ladder"},
        s.jump...);
    f(OptionText{"swap-every", "sweeps in a round of the ladder, before its swaps"}, s.swap_every...);
    f(OptionText{"ensembles", "ladders side by side, at least 2; a trajectory takes the next multiple of 64"},
      s.ensembles...);
    f(OptionText{"start",
                 "where chains start. With a ladder half of the ensembles start at data where there are any"},
      s.start...);
    f(OptionText{"data", "data set of --start data; a run directory knows its own"}, s.data...);
    f(OptionText{"binarize", "how grey data becomes binary; none uses the rule of the model's run"},
      s.binarize...);
    ColumnOptions::visit(f, s.columns...);
    f(
        OptionText{
            "clusters",
            "clusters of the data at most whose occupancy by samples is reported where data are at hand: "
            "pieces of one cluster count as one; 0 for none"},
        s.clusters...);
    f(
        OptionText{
            "clamp",
            "units that have a value: UNITS=VALUE, UNITS a column by name or number from 0, a site from 1, "
            "or a range a-b, and of another layer hidden:UNITS; letters also as 5=A|V (one of) or 5!=C; "
            "observed: the values that cases of --data have, so that the missing ones are drawn"},
        s.clamp...);
    f(OptionText{"beta", "samples of exp(-beta E), E the energy of all units"}, s.beta...);
    f(OptionText{"beta-marginal", "samples of p(v)^N: that many copies of all hidden units"},
      s.beta_marginal...);
    f(OptionText{"shape",
                 "HEIGHTxWIDTH of the visibles in the picture; the file's where not given, else one row"},
      s.shape...);
    f(OptionText{"seed", "seed", true}, s.seed...);
  }
};
std::vector<Violation> check(const SamplingOptions& options);

/// A layer of samples, one row for each: bits as bytes, or real numbers.
struct SampledLayer {
  std::string name;  // of the layer in files
  std::uint64_t units = 0;
  std::variant<std::vector<std::uint8_t>, std::vector<float>> values;  // samples x units
};

/// How a ladder did.
struct LadderReport {
  std::uint64_t ensembles = 0;
  std::uint64_t rungs = 0;
  std::vector<double> rejections;  // of every pair of neighbours
  std::uint64_t round_trips = 0;
  double round_trip_rate = 0.0;                                 // mean of an ensemble in a round
  std::vector<double> betas;                                    // of a temperature ladder
  std::vector<double> flow;                                     // of a temperature ladder
  std::optional<LogPartition> log_partition;                    // measured along a trajectory
  std::optional<LogPartitionBound> lower_bound = std::nullopt;  // that it was held against

  /// The rungs in between are not judged by the samples: only replicas that have been everywhere bind them
  /// together. Asks for one round trip of every ensemble on average, and that no bound refutes log Z.
  [[nodiscard]] bool log_partition_trusted() const { return log_partition_doubt().empty(); }
  /// Why it is not to be trusted, or empty.
  [[nodiscard]] std::string log_partition_doubt() const;
};

/// Parts of the data's clusters, and of samples in them.
struct ClusterReport {
  std::vector<double> of_data;
  std::vector<double> of_samples;
  double variation = 0.0;  // total variation between the two
};

struct SampleResult {
  std::int64_t count = 0;
  SampleLadder ladder = SampleLadder::kNone;
  SampleStart start = SampleStart::kReference;
  std::uint64_t sweeps = 0;          // of each chain; with a ladder, between samples of an ensemble
  std::vector<SampledLayer> layers;  // the visibles first
  TilePicture picture;               // of the first chains
  MixingReport mixing;               // the verdict
  Trace trace;                       // that it rests on, the chains that started at data first
  double independent = 0.0;          // samples' worth of independent ones; with a ladder alone
  std::optional<LadderReport> report;
  std::optional<ClusterReport> clusters;
  std::optional<CovarianceAgreement> agreement;  // of letters at different sites
  Alphabet alphabet;                             // of codes; empty where visibles are no letters
  Facts law;                                     // what is held, and powers; empty of the machine's own
  std::vector<std::int64_t> cases;  // whose missing values each sample has; empty where none were asked for
  std::vector<std::int64_t> visible_shape;
  Preprocessing preprocessing;
  std::int64_t seed = 0;
  bool stopped_by_listener = false;  // the samples are those that were finished
};

/// Draws samples. Without a ladder these are the last states of as many chains; with one, states of the
/// coldest replicas as far apart as they are measured to forget each other, or as the options say.
///
/// Throws ConfigError where an option is out of range or needs more memory than there is; UsageError where an
/// option means nothing with this model or lacks data, or where there is no trajectory; DataError,
/// NoInputError; NumericalError where the machine has no law; Interrupted where no sample is finished. Cost:
/// without a ladder count x sweeps sweeps; a temperature ladder takes 1500 to 5000 rounds of every replica
/// before its first sample.
SampleResult draw_samples(AnyModelFile model, const SamplingOptions& options, const Executor& executor,
                          Listener& listener);

/// Covariances of the samples over those of the data, as many as fall where darker. Throws WriteError,
/// UsageError.
void write_agreement(const CovarianceAgreement& agreement, const std::filesystem::path& path);

/// Everything that is to be said of the samples but how many there are.
Facts facts(const SampleResult& result);
std::string words(const SampleResult& result);

/// /samples/<layer> (count, units) uint8 or float32, and the facts as attributes of /diagnostics. Throws
/// WriteError.
void write_samples(const SampleResult& result, const std::filesystem::path& path);

/// Quality of samples after so many sweeps from independent units.
struct QualityPoint {
  std::int64_t sweeps = 0;
  SampleQuality quality;
};

struct DiagnosisResult {
  std::uint64_t count = 0;
  std::vector<QualityPoint> curve;  // 1, 2, 5, 10, ... sweeps
  double standard_error = 0.0;      // of a covariances' correlation
  bool declines = false;
  std::string verdict;
};

/// Whether samples become worse with more sweeps: then the model was trained out of equilibrium
/// (docs/mathematics/tempering.md 2.14). No samples are kept. Needs bits, data to compare with, and at least
/// 4 cases and samples. Errors as those of draw_samples. Cost: count x sweeps sweeps, and for every point of
/// the curve count^2 distances.
DiagnosisResult diagnose_sampling(AnyModelFile model, const SamplingOptions& options,
                                  const Executor& executor, Listener& listener);
std::string words(const DiagnosisResult& result);

}  // namespace tempera
