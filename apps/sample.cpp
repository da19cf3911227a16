// tempera sample
#include <array>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "config_file.hpp"
#include "run.hpp"
#include "tempera/io/image.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/quality.hpp"
#include "tempera/mcmc/trace.hpp"
#include "tempera/mcmc/trajectory.hpp"
#include "tempered.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::int64_t count = 100;
  std::int64_t sweeps = 1000;
  std::string ladder = "none";
  std::int64_t rungs = 0;
  std::int64_t swap_every = 1;
  double jump = 0.0;
  bool diagnose = false;
  std::int64_t ensembles = 8;
  std::string start = "reference";
  std::string data;
  std::string binarize = "none";
  std::int64_t clusters = 8;
  std::string out;
  std::string png;
  std::string shape;
  std::int64_t seed = 1;
};

/// Chains that are followed without a ladder, and draws that judge how they mix.
constexpr std::uint64_t kFollowed = 64;
constexpr std::uint64_t kTraceDraws = 1000;
/// Rounds that sampling at the measured distance may take.
constexpr std::uint64_t kMostRounds = 100000;
/// Rounds that are traced.
constexpr std::uint64_t kMostTraced = 20000;
/// Rounds of a trajectory that log Z is measured by.
constexpr std::uint64_t kMeasuredRounds = 10000;
/// Drop of the covariances' correlation that shows training out of equilibrium (Decelle et al. 2021).
constexpr double kDecline = 0.005;
/// Swaps that every pair of a trajectory must accept, and that neighbours of a rung must not.
constexpr double kLeastSwaps = 0.2;
constexpr double kMostSwaps = 0.4;
/// Machines on the way that a trajectory begins with.
constexpr std::size_t kMostMachines = 256;

/// A layer of every chain as bytes: one row per chain. layer(x): the layer of a block.
template <class M, class Layer>
std::vector<std::uint8_t> bytes_of(const Chains<M>& chains, Layer&& layer) {
  const std::size_t units = layer(chains.blocks.front()).size();
  std::vector<std::uint8_t> rows(chains.n_chains * units);
  for (std::uint64_t n = 0; n < chains.n_chains; ++n) {
    const BitLayer& bits = layer(chains.blocks[n / kLanes]);
    for (std::size_t i = 0; i < units; ++i)
      rows[n * units + i] = static_cast<std::uint8_t>(bits[i] >> (n % kLanes) & 1);
  }
  return rows;
}

template <class M>
std::vector<std::uint8_t> visible_bytes(const Chains<M>& chains) {
  return bytes_of(chains, [](const typename M::State& x) -> const BitLayer& { return M::visibles_of(x); });
}

/// Real values of a layer of every chain, one row per chain.
template <class M, class Layer>
std::vector<float> floats_of(const Chains<M>& chains, Layer&& layer) {
  const Index units = layer(chains.blocks.front()).rows();
  std::vector<float> rows;
  for (std::uint64_t n = 0; n < chains.n_chains; ++n) {
    const LaneMatrix& values = layer(chains.blocks[n / kLanes]);
    for (Index i = 0; i < units; ++i) rows.push_back(values(i, static_cast<Index>(n % kLanes)));
  }
  return rows;
}

/// Every layer of the chains below /samples.
template <class M>
void write_layers(Hdf5Writer& file, const Chains<M>& chains) {
  for_each_field(
      [&](std::string_view name, const auto& first) {
        using Layer = std::remove_cvref_t<decltype(first)>;
        if (first.size() == 0) return;
        const auto same = [name](const typename M::State& x) -> const Layer& {
          const Layer* found = nullptr;
          for_each_field(
              [&](std::string_view other, const auto& layer) {
                if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer)>, Layer>) {
                  if (other == name) found = &layer;
                }
              },
              x);
          return *found;
        };
        const std::string path = "/samples/" + std::string(name);
        if constexpr (std::is_same_v<Layer, BitLayer>) {
          file.dataset(path, {chains.n_chains, first.size()}, bytes_of(chains, same).data());
        } else {
          file.dataset(path, {chains.n_chains, static_cast<std::uint64_t>(first.rows())},
                       floats_of(chains, same).data());
        }
      },
      chains.blocks.front());
}

/// Train cases of --data, or of a run directory's own data set; nothing where there is neither.
template <class M>
std::optional<typename M::Data> starting_cases(Options& options, const ModelFile<M>& file) {
  if (options.data.empty() && std::filesystem::is_directory(options.model)) {
    TrainConfig config;
    read_config(std::filesystem::path(options.model) / "config.toml", config);
    options.data = config.data;
  }
  if (options.data.empty()) return std::nullopt;
  return data_for_model(file, load_data(options.data), "train", options.binarize, options.seed);
}

/// What jumps propose: the latents of cases of the data. Empty without jumps.
template <class M>
JumpMemory jump_memory(const Options& options, const ModelFile<M>& file,
                       const std::optional<typename M::Data>& data, const StreamFactory& streams,
                       const Workers& workers) {
  if (options.jump <= 0) return {};
  if constexpr (!HasLatentMarginal<M>) {
    throw UsageError("sample: --jump means nothing with " + std::string(M::kKind));
  } else {
    JumpMemory memory = empty_memory(file.model.latents());
    if (!data) throw UsageError("sample: --jump needs --data, whose cases it proposes");
    Chains<M> cases = warm_chains(
        file, *data, std::min<std::uint64_t>(kJumpCases, static_cast<std::uint64_t>(data->n_cases())),
        streams, workers);
    Workspace<M> workspace;
    workspace.fit(file.model, cases.n_chains, workers);
    infer(file.model, file.theta, cases.blocks, workspace, workers);
    remember(file.model, workspace, memory);
    return memory;
  }
}

/// What occupancy is reported of. Empty without data.
template <class Data>
DataClusters clusters_of(const Options& options, const std::optional<Data>& data,
                         const StreamFactory& streams) {
  if constexpr (std::is_same_v<Data, BinaryData>) {
    if (data && options.clusters > 0)
      return find_clusters(*data, options.clusters, streams.engine(Purpose::kClusters, 0));
  }
  return {};
}

/// Samples and how they were come by.
template <class M>
struct Drawn {
  Chains<M> samples;
  Trace trace;
  std::size_t n_warm = 0;
  DataClusters clusters;  // empty without data
  // Between samples of an ensemble, each of --swap-every sweeps; without a ladder, sweeps from the start.
  std::uint64_t rounds = 0;
  // Of a ladder, where there is one.
  std::uint64_t ensembles = 0;
  std::uint64_t rungs = 0;
  std::vector<double> rejections;
  std::uint64_t round_trips = 0;
  double round_trip_rate = 0.0;
  std::vector<double> betas;  // of a temperature ladder, and its flow
  std::vector<double> flow;
  LogPartition log_partition;  // along a trajectory

  /// The rungs in between are not judged by the samples: only replicas that have been everywhere bind them
  /// together. Asks for one round trip of every ensemble on average.
  [[nodiscard]] bool log_partition_trusted() const { return round_trips >= ensembles; }
};

/// n chains, the last states of which are the samples.
template <class M>
Drawn<M> draw_plain(Options& options, const ModelFile<M>& file, const StreamFactory& streams,
                    const Workers& workers) {
  const auto count = static_cast<std::uint64_t>(options.count);
  Drawn<M> drawn;
  drawn.rounds = static_cast<std::uint64_t>(options.sweeps);
  const bool needs_data = options.start == "data" || options.jump > 0 || !options.data.empty();
  const auto data = needs_data ? starting_cases(options, file) : std::nullopt;
  drawn.clusters = clusters_of(options, data, streams);
  const JumpMemory memory = jump_memory(options, file, data, streams, workers);
  if (options.start == "data") {
    if (!data) throw UsageError("sample: --start data needs --data");
    drawn.samples = warm_chains(file, *data, count, streams, workers);
  } else {
    drawn.samples = reference_chains(file.model, count, streams, Purpose::kSampling, workers);
  }
  Workspace<M> workspace;
  workspace.fit(file.model, count, workers);
  ProgressLine line(options.common, "sampling");
  const Progress progress = show_on(line);
  // The second half of some chains tells whether they mix.
  std::vector<std::uint64_t> followed(std::min<std::uint64_t>(count, kFollowed));
  std::iota(followed.begin(), followed.end(), std::uint64_t{0});
  const std::uint64_t stride = std::max<std::uint64_t>(1, drawn.rounds / (2 * kTraceDraws));
  for (std::uint64_t done = 1; done <= drawn.rounds; ++done) {
    if constexpr (HasLatentMarginal<M>) {
      if (is_jump(options.jump, streams, drawn.samples.sweeps))
        jump(file.model, file.theta, memory, streams, drawn.samples.sweeps, drawn.samples, workspace,
             workers);
    }
    advance(file.model, file.theta, 1, streams, Purpose::kSampling, drawn.samples, workspace, workers);
    if (2 * done > drawn.rounds && done % stride == 0)
      record(file.model, file.theta, drawn.samples, followed, drawn.clusters, workspace, workers,
             drawn.trace);
    progress(static_cast<double>(done) / static_cast<double>(drawn.rounds));
  }
  return drawn;
}

/// Rounds of a ladder, each of which adds a draw of every ensemble's coldest replica to the trace; `coldest`
/// gives these replicas. They become samples each time their autocorrelation time has passed, or this many
/// rounds where not 0.
template <class M, class Round, class Coldest>
void draw_by_rounds(const Options& options, std::uint64_t rounds, const M& model, Round&& round,
                    Coldest&& coldest, Drawn<M>& drawn) {
  ProgressLine line(options.common, "sampling");
  const Progress progress = show_on(line);
  for (std::uint64_t t = 0; t < kTraceDraws; ++t) {
    round();
    progress(0.3 * static_cast<double>(t) / static_cast<double>(kTraceDraws));
  }
  const std::uint64_t count = as_count(options.count);
  const std::uint64_t each = (count + drawn.ensembles - 1) / drawn.ensembles;
  drawn.rounds = rounds;
  if (rounds == 0) {
    const double time = judge(drawn.trace, drawn.n_warm).autocorrelation_time;
    // The time is infinite where a free energy is no number.
    const auto most = static_cast<double>(std::max<std::uint64_t>(1, kMostRounds / each));
    drawn.rounds = static_cast<std::uint64_t>(std::min(std::ceil(time), most));
  }
  drawn.samples.n_chains = count;
  drawn.samples.blocks.assign(static_cast<std::size_t>(words_for(options.count)), model.new_state());
  for (std::uint64_t n = 0; n < each; ++n) {
    for (std::uint64_t t = 0; t < drawn.rounds; ++t) round();
    const Chains<M> now = coldest();
    for (std::uint64_t e = 0; e < drawn.ensembles && n * drawn.ensembles + e < count; ++e) {
      const std::uint64_t sample = n * drawn.ensembles + e;
      copy_chain(now.blocks[e / kLanes], static_cast<Index>(e % kLanes),
                 drawn.samples.blocks[sample / kLanes], static_cast<Index>(sample % kLanes));
    }
    progress(0.3 + 0.7 * static_cast<double>(n + 1) / static_cast<double>(each));
  }
}

/// Ensembles of a temperature ladder, half of which start at data where there are any; their coldest replicas
/// give a sample each time their autocorrelation time has passed.
template <class M>
Drawn<M> draw_tempered(Options& options, ModelFile<M>& file, bool sweeps_given, const StreamFactory& streams,
                       const Workers& workers) {
  const auto data = starting_cases(options, file);
  if (!data && options.start == "data") throw UsageError("sample: --start data needs --data");
  if (data && !file.has_reference) fit_reference(file, *data, options.common);
  Drawn<M> drawn;
  drawn.ensembles = as_count(options.ensembles);
  drawn.n_warm = !data ? 0 : options.start == "data" ? drawn.ensembles : drawn.ensembles / 2;
  drawn.clusters = clusters_of(options, data, streams);
  const JumpMemory memory = jump_memory(options, file, data, streams, workers);
  const LadderRequest request{as_count(options.rungs), drawn.ensembles, as_count(options.swap_every),
                              drawn.n_warm};
  TemperedPopulation<M> population =
      place_ladder(file, request, data.value_or(typename M::Data()), streams, options.common, workers);
  Chains<M>& chains = population.chains;
  const auto round = [&] {
    if constexpr (HasLatentMarginal<M>) {
      if (is_jump(options.jump, streams, chains.sweeps))
        jump(file.model, file.theta, memory, streams, chains.sweeps, chains, population.workspace, workers);
    }
    temper(file, request, streams, population, workers);
    if (drawn.trace.draws() < kMostTraced) {
      record(file.model, file.theta, chains, coldest_of(population.ladder), drawn.clusters,
             population.workspace, workers, drawn.trace);
    }
  };
  draw_by_rounds(
      options, sweeps_given ? (as_count(options.sweeps) + request.sweeps - 1) / request.sweeps : 0,
      file.model, round, [&] { return select_chains(file.model, chains, coldest_of(population.ladder)); },
      drawn);
  const TemperatureLadder& ladder = population.ladder;
  drawn.rungs = ladder.n_rungs;
  drawn.rejections = ladder.rejections;
  drawn.round_trips = ladder.round_trips;
  drawn.round_trip_rate = round_trip_rate(ladder);
  drawn.betas = ladder.betas;
  drawn.flow = flow(ladder);
  return drawn;
}

/// Machines on the way to a model, earliest first: the snapshots of an sml-ptt run, else the checkpoints that
/// a run has kept.
template <class M>
std::vector<typename M::Params> machines_on_the_way(const Options& options, const ModelFile<M>& file) {
  std::vector<typename M::Params> machines = read_snapshots<M>(file);
  if (machines.empty() && std::filesystem::is_directory(options.model)) {
    for (const std::filesystem::path& path : kept_checkpoints(options.model)) {
      const ModelFile<M> kept = read_model_as<M>(path);
      if (kept.model.shape_names() != file.model.shape_names())
        throw DataError(path.string() + ": is not of the shape of this model");
      machines.push_back(kept.theta);
    }
  }
  // More than this many are neighbours that accept each other anyway.
  while (machines.size() > kMostMachines) {
    std::vector<typename M::Params> every_second;
    for (std::size_t k = (machines.size() + 1) % 2; k < machines.size(); k += 2)
      every_second.push_back(std::move(machines[k]));
    machines = std::move(every_second);
  }
  if (machines.empty()) {
    throw UsageError(
        "sample: --ladder trajectory needs a run directory that keeps checkpoints, or a checkpoint of an "
        "sml-ptt run");
  }
  return machines;
}

/// Ensembles of a trajectory ladder, else as draw_tempered. Log Z is measured along it.
template <class M>
Drawn<M> draw_along_trajectory(Options& options, ModelFile<M>& file, bool sweeps_given,
                               const StreamFactory& streams, const Workers& workers) {
  const std::vector<typename M::Params> machines = machines_on_the_way(options, file);
  const auto data = starting_cases(options, file);
  if (!data && options.start == "data") throw UsageError("sample: --start data needs --data");
  if (data && !file.has_reference) fit_reference(file, *data, options.common);
  const JumpMemory memory = jump_memory(options, file, data, streams, workers);
  const TrajectoryDraws draws{streams, Purpose::kSampling, Purpose::kSamplingSwaps};

  Trajectory<M> trajectory =
      reference_trajectory(file.model, as_count(options.ensembles), streams, Purpose::kSampling, workers);
  const std::uint64_t ensembles = trajectory.n_ensembles;
  Drawn<M> drawn;
  drawn.ensembles = ensembles;
  drawn.clusters = clusters_of(options, data, streams);
  drawn.n_warm = !data ? 0 : options.start == "data" ? ensembles : ensembles / 2;
  // Cold replicas of every rung start at the reference machine, warm ones at data.
  const std::uint64_t n_rungs = machines.size() + 2;
  const Chains<M> cold =
      reference_chains(file.model, ensembles * n_rungs, streams, Purpose::kSampling, workers);
  Chains<M> warm;
  if (data) warm = warm_chains(file, *data, drawn.n_warm * n_rungs, streams, workers);
  for (std::uint64_t k = 1; k < n_rungs; ++k) {
    const auto first = cold.blocks.begin() + static_cast<std::ptrdiff_t>(k * trajectory.blocks());
    std::vector<typename M::State> replicas(first, first + static_cast<std::ptrdiff_t>(trajectory.blocks()));
    for (std::uint64_t e = 0; e < drawn.n_warm; ++e) {
      const std::uint64_t c = k * drawn.n_warm + e;
      copy_chain(warm.blocks[c / kLanes], static_cast<Index>(c % kLanes), replicas[e / kLanes],
                 static_cast<Index>(e % kLanes));
    }
    insert_rung(k, k + 1 < n_rungs ? machines[k - 1] : file.theta, replicas, trajectory);
  }
  TrajectoryWorkspace<M> workspace;
  {
    ProgressLine line(options.common, "placing rungs");
    tune(file.model, draws, options.jump, memory, {kLeastSwaps, kMostSwaps}, trajectory, workspace, workers,
         show_on(line));
  }
  std::vector<EnergyDifferences> differences(trajectory.n_rungs() - 1);
  std::vector<std::uint64_t> all(ensembles);
  std::iota(all.begin(), all.end(), std::uint64_t{0});
  Chains<M> top;
  const auto round = [&] {
    const bool measures = drawn.trace.draws() < kMeasuredRounds;
    temper(file.model, draws, options.jump, memory, trajectory, workspace, workers,
           measures ? &differences : nullptr);
    top = replicas_of(trajectory, trajectory.n_rungs() - 1);
    if (drawn.trace.draws() >= kMostTraced) return;
    infer(file.model, file.theta, top.blocks, workspace.own, workers);
    record(file.model, file.theta, top, all, drawn.clusters, workspace.own, workers, drawn.trace);
  };
  draw_by_rounds(
      options, sweeps_given ? as_count(options.sweeps) : 0, file.model, round, [&] { return top; }, drawn);
  drawn.log_partition =
      bennett_log_partition(file.model.reference_log_partition(), log_weight_path(differences),
                            static_cast<std::size_t>(ensembles));
  drawn.rungs = trajectory.n_rungs();
  drawn.rejections = trajectory.rejections;
  drawn.round_trips = trajectory.round_trips;
  drawn.round_trip_rate = round_trip_rate(trajectory);
  return drawn;
}

/// Quality of samples against sweeps from random starts: 1, 2, 5, 10, ... sweeps, up to --sweeps.
template <class M>
int diagnose(Options&, const ModelFile<M>&, const StreamFactory&, const Workers&) {
  throw UsageError("sample: --diagnose means nothing with " + std::string(M::kKind));
}

template <class M>
requires std::is_same_v<typename M::Data, BinaryData>
int diagnose(Options& options, const ModelFile<M>& file, const StreamFactory& streams,
             const Workers& workers) {
  const auto cases = starting_cases(options, file);
  if (!cases) throw UsageError("sample: --diagnose needs --data to compare with");
  if (options.sweeps < 1)
    throw ConfigError({{"sweeps", std::to_string(options.sweeps), "must be at least 1"}});
  const auto n = static_cast<std::uint64_t>(std::min<Index>(options.count, cases->n_cases()));
  if (n < 4)
    throw ConfigError({{"count", std::to_string(n), "--diagnose needs at least 4 samples and 4 cases"}});
  const Index n_visible = file.model.n_visible();
  const BinaryData data(static_cast<Index>(n), n_visible,
                        visible_bytes(warm_chains(file, *cases, n, streams, workers)));
  Chains<M> chains = reference_chains(file.model, n, streams, Purpose::kSampling, workers);
  Workspace<M> workspace;
  workspace.fit(file.model, n, workers);
  Json rows = Json::array();
  std::vector<double> pearson;
  double between_halves = 0.0;
  std::string text =
      format("%10s %20s %16s %22s", "sweeps", "covariance_pearson", "data_near_data", "samples_near_samples");
  {
    ProgressLine line(options.common, "diagnosing");
    const Progress progress = show_on(line);
    std::int64_t done = 0;
    constexpr std::array<std::int64_t, 3> kSteps = {1, 2, 5};
    for (std::size_t k = 0; done < options.sweeps; ++k) {
      std::int64_t next = kSteps[k % 3];
      for (std::size_t power = 0; power < k / 3; ++power) next *= 10;
      next = std::min(next, options.sweeps);
      for (; done < next; ++done) {
        advance(file.model, file.theta, 1, streams, Purpose::kSampling, chains, workspace, workers);
        progress(static_cast<double>(done) / static_cast<double>(options.sweeps));
      }
      const std::vector<std::uint8_t> bytes = visible_bytes(chains);
      const SampleQuality quality = sample_quality(data, BinaryData(static_cast<Index>(n), n_visible, bytes));
      const auto half = static_cast<Index>(n / 2);
      const std::span<const std::uint8_t> all(bytes);
      const auto width = static_cast<std::size_t>(half * n_visible);
      between_halves +=
          std::abs(covariance_pearson(data, BinaryData(half, n_visible, all.first(width))) -
                   covariance_pearson(data, BinaryData(half, n_visible, all.subspan(width, width))));
      pearson.push_back(quality.covariance_pearson);
      rows.push_back({{"sweeps", done},
                      {"covariance_pearson", quality.covariance_pearson},
                      {"data_near_data", quality.data_near_data},
                      {"samples_near_samples", quality.samples_near_samples}});
      text += format("\n%10lld %20.4f %16.3f %22.3f", static_cast<long long>(done),
                     quality.covariance_pearson, quality.data_near_data, quality.samples_near_samples);
    }
  }
  // Two halves of the chains tell the noise: E|a - b| is 1.6 times the standard error of the whole.
  const double error = between_halves / static_cast<double>(pearson.size()) / 1.6;
  const bool declining = declines(pearson, std::max(kDecline, 4.0 * error));
  const std::string verdict =
      declining ? "out of equilibrium: samples become worse with more sweeps"
                : "no decline seen: not shown to be out of equilibrium, which is no proof of the contrary";
  print_result(options.common,
               {{"count", n},
                {"quality", rows},
                {"covariance_pearson_se", error},
                {"declines", declining},
                {"verdict", verdict}},
               text + "\n" + verdict);
  return 0;
}

/// Refuses options that belong to another ladder.
void require_used(const CLI::App& app, const Options& options) {
  const auto refuse = [&](const char* name, bool used) {
    if (!used && app.get_option(name)->count() > 0)
      throw UsageError("sample: " + std::string(name) + " means nothing with --ladder " + options.ladder);
  };
  refuse("--rungs", options.ladder == "temperature");
  refuse("--swap-every", options.ladder == "temperature");
  refuse("--ensembles", options.ladder != "none");
}

void write_diagnostics(Hdf5Writer& out, const Json& diagnostics) {
  for (const auto& [name, value] : diagnostics.items()) {
    if (value.is_string()) {
      out.attribute("/diagnostics", name, value.get<std::string>());
    } else if (value.is_number_float()) {
      out.attribute("/diagnostics", name, value.get<double>());
    } else if (value.is_number() || value.is_boolean()) {
      out.attribute("/diagnostics", name,
                    value.is_boolean() ? std::int64_t{value.get<bool>()} : value.get<std::int64_t>());
    } else {
      const auto values = value.get<std::vector<double>>();
      out.dataset("/diagnostics/" + name, {values.size()}, values.data());
    }
  }
}

template <class M>
int run_for(Options& options, bool sweeps_given, ModelFile<M> file) {
  require_law(file);
  if (!options.shape.empty()) file.visible_shape = parse_shape(options.shape, file.n_raw());
  double units = 0.0;
  for (const Index n : file.model.layer_sizes()) units += static_cast<double>(n);
  // Slabs, and what is cached of every filter.
  if constexpr (!HasLayers<M>) units += 5.0 / 3.0 * static_cast<double>(file.model.filters());
  require_memory("count", options.count, 12.0 * static_cast<double>(options.count) * units);
  if (options.ladder == "temperature") {
    const auto rungs = static_cast<double>(std::max<std::int64_t>(options.rungs, kFirstRungs));
    require_memory("ensembles", options.ensembles,
                   12.0 * rungs * static_cast<double>(options.ensembles) * units);
  }
  const Workers workers(options.common.threads);
  const StreamFactory streams{static_cast<std::uint64_t>(options.seed)};
  catch_signals();
  if (options.diagnose) return diagnose(options, file, streams, workers);
  const bool tempered = options.ladder != "none";
  Drawn<M> drawn = options.ladder == "temperature"
                       ? draw_tempered(options, file, sweeps_given, streams, workers)
                   : tempered ? draw_along_trajectory(options, file, sweeps_given, streams, workers)
                              : draw_plain(options, file, streams, workers);
  const MixingReport report = judge(drawn.trace, drawn.n_warm);

  const std::uint64_t sweeps =
      drawn.rounds * (options.ladder == "temperature" ? as_count(options.swap_every) : std::uint64_t{1});
  Json diagnostics = {{"ladder", options.ladder},
                      {"sweeps", sweeps},
                      {"start", report.starts_compared ? std::string("both") : options.start},
                      {"autocorrelation_time", report.autocorrelation_time},
                      {"effective_sample_size", report.effective_sample_size},
                      {"r_hat", report.r_hat}};
  if (tempered) {
    diagnostics["independent"] = std::min(
        static_cast<double>(options.count),
        static_cast<double>(options.count) * static_cast<double>(drawn.rounds) / report.autocorrelation_time);
    if (report.starts_compared) diagnostics["starts_disagree"] = report.starts_disagree;
    diagnostics["rungs"] = drawn.rungs;
    diagnostics["barrier"] = cumulative_barrier(drawn.rejections).back();
    diagnostics["rejection"] = mean_rejection(drawn.rejections);
    diagnostics["round_trips"] = drawn.round_trips;
    diagnostics["round_trip_rate"] = drawn.round_trip_rate;
    diagnostics["round_trip_optimum"] = optimal_round_trip_rate(drawn.rejections);
    if (options.ladder == "temperature") {
      diagnostics["betas"] = drawn.betas;
      diagnostics["flow"] = drawn.flow;
    } else {
      diagnostics["log_partition"] = drawn.log_partition.value;
      diagnostics["log_partition_se"] = drawn.log_partition.standard_error;
      diagnostics["log_partition_trusted"] = drawn.log_partition_trusted();
    }
  }
  if (report.occupancy.size() > 0) {
    const Eigen::VectorXd& of_data = drawn.clusters.occupancy;
    diagnostics["cluster_occupancy"] = std::vector<double>(report.occupancy.begin(), report.occupancy.end());
    diagnostics["cluster_occupancy_of_data"] = std::vector<double>(of_data.begin(), of_data.end());
    diagnostics["cluster_variation"] = cluster_variation(drawn.clusters, report.occupancy);
  }
  diagnostics["mixed"] = report.mixed;
  diagnostics["verdict"] = report.verdict;

  if (!options.png.empty()) {
    const auto [height, width] = picture_shape(file.visible_shape, file.n_raw());
    write_png(
        tile_grid(mean_visible_tiles(file.model, file.theta, file.preprocessing, drawn.samples, 100), height,
                  width,
                  std::is_same_v<typename M::Data, BinaryData> ? ColourMap::kGrey : ColourMap::kStretched),
        options.png);
  }
  if (!options.out.empty()) {
    Hdf5Writer out("samples");
    if constexpr (!HasLayers<M>) file.model.unstandardise(file.theta, drawn.samples.blocks);
    write_layers(out, drawn.samples);
    write_diagnostics(out, diagnostics);
    if (!file.visible_shape.empty()) out.attribute("/", "visible_shape", file.visible_shape);
    write_preprocessing(out, "/preprocessing", file.preprocessing);
    write_provenance(out, command_line(), options.seed);
    out.write(options.out);
  }
  Json json = {{"count", options.count}, {"out", options.out}, {"png", options.png}};
  json.update(diagnostics);
  std::string text =
      tempered
          ? format(
                "%lld samples from %llu ensembles, %llu sweeps apart; %llu rungs, barrier %.2f, rejection "
                "%.2f, %.4f round trips a round and ensemble (optimum %.4f)\n",
                static_cast<long long>(options.count), static_cast<unsigned long long>(drawn.ensembles),
                static_cast<unsigned long long>(sweeps), static_cast<unsigned long long>(drawn.rungs),
                cumulative_barrier(drawn.rejections).back(), mean_rejection(drawn.rejections),
                drawn.round_trip_rate, optimal_round_trip_rate(drawn.rejections))
          : format("%lld samples, %lld sweeps each from the %s\n", static_cast<long long>(options.count),
                   static_cast<long long>(options.sweeps), options.start.c_str());
  if (report.occupancy.size() > 0) {
    text += "clusters, data / samples:";
    for (Index k = 0; k < drawn.clusters.size(); ++k)
      text += format(" %.3f/%.3f", drawn.clusters.occupancy[k], report.occupancy[k]);
    text += format("; total variation %.3f\n", cluster_variation(drawn.clusters, report.occupancy));
  }
  if (options.ladder == "trajectory") {
    text += format(
        "log Z %.4f +- %.4f nats (Bennett's ratio along the trajectory)%s\n", drawn.log_partition.value,
        drawn.log_partition.standard_error,
        drawn.log_partition_trusted() ? "" : ": not to be trusted, replicas do not travel the whole way");
  }
  text += format("autocorrelation time %.1f draws, %.0f effective of %zu, R-hat %.3f: ",
                 report.autocorrelation_time, report.effective_sample_size,
                 drawn.trace.draws() * drawn.trace.free_energy.size(), report.r_hat) +
          report.verdict;
  print_result(options.common, json, text);
  return 0;
}

int run(Options& options, bool sweeps_given) {
  std::vector<Violation> violations;
  require_between(violations, "count", options.count, 1, kMaxChains);
  require_between(violations, "sweeps", options.sweeps, 0, std::int64_t{1} << 53);
  if (options.rungs != 0)
    require_between(violations, "rungs", options.rungs, 2, static_cast<std::int64_t>(kMostRungs));
  if (!(options.jump >= 0 && options.jump <= 1))
    violations.push_back({"jump", format("%g", options.jump), "must be in [0, 1]"});
  require_between(violations, "clusters", options.clusters, 0, 1024);
  require_between(violations, "swap-every", options.swap_every, 1, 1 << 20);
  require_between(violations, "ensembles", options.ensembles, 2, 1024);
  if (!violations.empty()) throw ConfigError(violations);
  if (options.diagnose && !(options.out.empty() && options.png.empty()))
    throw UsageError("sample: --diagnose draws no samples, so it takes neither --out nor --png");
  if (!options.diagnose && options.out.empty() && options.png.empty())
    throw UsageError("sample: --out or --png is required");
  return std::visit([&](auto&& file) { return run_for(options, sweeps_given, std::move(file)); },
                    read_model(options.model));
}

}  // namespace

void setup_sample(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "sample", "draw samples by Gibbs sampling, to HDF5 and PNG, and tell whether they mix");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--count", options->count, "samples; one chain each without a ladder")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--sweeps", options->sweeps,
                 "Gibbs sweeps of each chain; with a ladder, sweeps between samples, by default the measured "
                 "autocorrelation time")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option(
         "--ladder", options->ladder,
         "none: plain Gibbs; temperature: replicas at several inverse temperatures that change places; "
         "trajectory: replicas of the snapshots of an sml-ptt run, or of the checkpoints that a run has kept")
      ->check(CLI::IsMember({"none", "temperature", "trajectory"}))
      ->capture_default_str();
  app.add_option("--rungs", options->rungs,
                 "rungs of the temperature ladder; 0 takes 2 Lambda + 1 for a barrier of Lambda")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--jump", options->jump,
                 "probability that a sweep begins with a jump of every chain towards the latents of a case")
      ->capture_default_str();
  app.add_option("--swap-every", options->swap_every, "sweeps in a round of the ladder, before its swaps")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--ensembles", options->ensembles,
                 "ladders side by side, at least 2; a trajectory takes the next multiple of 64")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--start", options->start,
                 "where chains start: reference (independent units) or data. With a ladder half of the "
                 "ensembles start at "
                 "data where there are any")
      ->check(CLI::IsMember({"reference", "data"}))
      ->capture_default_str();
  app.add_option("--data", options->data, "data set of --start data; a run directory knows its own");
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option(
         "--clusters", options->clusters,
         "clusters of the data whose occupancy by samples is reported where data are at hand; 0 for none")
      ->check(whole_number())
      ->capture_default_str();
  app.add_flag(
      "--diagnose", options->diagnose,
      "no samples, but their quality against sweeps from random starts: whether the model was trained in "
      "equilibrium");
  app.add_option("--out", options->out, "HDF5 file of the samples");
  app.add_option("--png", options->png, "picture of P(v = 1 | h) of the first 100 chains");
  app.add_option("--shape", options->shape,
                 "HEIGHTxWIDTH of the visibles in the picture; the file's where not given, else one row");
  app.add_option("--seed", options->seed, "seed")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &app, &exit_code] {
    require_used(app, *options);
    exit_code = run(*options, app.get_option("--sweeps")->count() > 0);
  });
}

}  // namespace tempera::apps
