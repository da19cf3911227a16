#include "drawing.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/estimate/path.hpp"
#include "tempera/mcmc/jump.hpp"
#include "tempera/mcmc/record.hpp"
#include "tempera/mcmc/trajectory.hpp"
#include "tempera/services/checkpoint.hpp"
#include "tempera/services/config_file.hpp"
#include "tempera/services/data_kind.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/services/run_directory.hpp"
#include "tempera/services/tempered_population.hpp"
#include "tempera/train/snapshots.hpp"

namespace tempera {
namespace {

/// Chains that are followed without a ladder, and draws that judge how they mix.
constexpr const char* kSampling = "sampling";
constexpr std::uint64_t kFollowed = 64;
constexpr std::uint64_t kTraceDraws = 1000;
/// Rounds that sampling at the measured distance may take.
constexpr std::uint64_t kMostRounds = 100000;
/// Rounds that are traced.
constexpr std::uint64_t kMostTraced = 20000;
/// Rounds of a trajectory that log Z is measured by.
constexpr std::uint64_t kMeasuredRounds = 10000;
/// Swaps that every pair of a trajectory must accept, and that neighbours of a rung must not.
constexpr double kLeastSwaps = 0.2;
constexpr double kMostSwaps = 0.4;
/// Machines on the way that a trajectory begins with.
constexpr std::size_t kMostMachines = 256;

/// What every drawing begins with. Refers to what the caller owns.
template <EnergyModel M>
struct Drawing {
  ModelFile<M>& file;
  const SamplingOptions& options;
  const Executor& executor;
  Listener& listener;
  std::optional<typename M::Data> data;  // train cases, where there are any
  DataClusters clusters;                 // of these
  std::vector<PackedState> modes;        // the heaviest; none where nothing asks for them
  double jump_rate = 0.0;
  JumpMemory jumps;  // of cases and modes; empty without jumps

  [[nodiscard]] Engine<M> engine() const {
    return {file.model, {static_cast<std::uint64_t>(options.seed)}, executor};
  }
  [[nodiscard]] const typename M::Params& theta() const { return file.theta; }
  /// Ensembles, of this many, that start at data.
  [[nodiscard]] std::size_t warm_of(std::uint64_t ensembles) const {
    if (!data) return 0;
    return options.start == SampleStart::kData ? ensembles : ensembles / 2;
  }
};

/// Of options that leave nothing open.
double jump_rate_of(const SamplingOptions& options) {
  const double* const rate = std::get_if<double>(&options.jump);
  return rate != nullptr ? *rate : 0.0;
}

/// Throws UsageError where covariances can't be compared with those of data.
template <EnergyModel M>
void require_comparable(const Drawing<M>& d) {
  if (!d.data) throw UsageError("sample: --statistics needs --data");
  constexpr Index kMostVisibles = 5000;
  const Index n = d.file.model.n_visible();
  if (n > kMostVisibles)
    throw UsageError("sample: --statistics: there are too many pairs of " + std::to_string(n) + " values");
}

template <EnergyModel M>
CovarianceAgreement agreement_of(const Drawing<M>& d, const Chains<M>& samples) {
  const Index n = d.file.model.n_visible();
  Matrix drawn(static_cast<Index>(samples.n_chains), n);
  LaneMatrix values(n, kLanes);
  const auto cache = d.file.model.new_cache(kLanes);
  for (std::size_t b = 0; b < samples.blocks.size(); ++b) {
    const Index first = static_cast<Index>(b) * kLanes;
    const Index lanes = std::min(kLanes, drawn.rows() - first);
    d.file.model.layer_values(0, samples.blocks[b], cache, values);
    drawn.middleRows(first, lanes) = values.leftCols(lanes).transpose();
  }
  Index site = 1;
  if constexpr (HasLetters<M>) site = d.file.model.letters().most();
  return covariance_agreement(rows_of(*d.data), d.data->weights(), drawn, site);
}

/// Whether jumps mean something with a machine.
template <EnergyModel M>
bool can_jump(const M& model) {
  return M::kFeatures.has(Feature::kJump) && model.why_not_collapsible().empty();
}

/// What jumps propose: the latents of cases of the data, and modes. Empty without jumps.
template <EnergyModel M>
JumpMemory jump_memory(const Drawing<M>& d) {
  if (d.jump_rate <= 0.0) return {};
  if (!can_jump(d.file.model)) throw UsageError("sample: --jump means nothing with " + std::string(M::kKind));
  JumpMemory memory = empty_memory(d.file.model.latents());
  set_modes(d.engine(), d.theta(), d.modes, memory);
  if (!d.data) return memory;
  const auto n = std::min<std::uint64_t>(kJumpCases, static_cast<std::uint64_t>(d.data->n_cases()));
  const Engine<M> engine = alone(d.engine());
  Population<M> cases(warm_chains(engine, d.theta(), *d.data, n));
  cases.fit(engine);
  latent_input(engine, d.theta(), cases.chains.blocks, cases.caches);
  for (const auto& cache : cases.caches.blocks) add_cases(d.file.model, d.theta(), cache, memory);
  return memory;
}

/// The heaviest modes, where jumps may lead to them or a ladder may start at them.
template <EnergyModel M>
std::vector<PackedState> modes_for(const Drawing<M>& d) {
  const bool wanted = d.options.ladder == SampleLadder::kTemperature || d.jump_rate > 0.0;
  if (!wanted || !can_jump(d.file.model)) return {};
  const typename M::Data none;
  const auto search = modes_of(d.engine(), d.theta(), d.data ? *d.data : none, read_modes(d.file),
                               stage(d.listener, "searching modes"));
  std::vector<PackedState> states;
  if (!search) return states;
  for (std::size_t k = 0; k < std::min(kRememberedModes, search->modes.size()); ++k)
    states.push_back(search->modes[k].state);
  return states;
}

/// Clusters whose occupancy is reported; none where the data are not bits.
template <EnergyModel M>
DataClusters clusters_of(const Drawing<M>& d) {
  const BinaryData* const bits = d.data ? as_bits(*d.data) : nullptr;
  if (bits == nullptr || d.options.clusters == 0) return {};
  return find_clusters(*bits, d.options.clusters, d.engine().streams.engine(Purpose::kClusters, 0));
}

/// Without a ladder data are read only where something asks for them.
bool needs_data(const SamplingOptions& options) {
  return options.ladder != SampleLadder::kNone || options.start == SampleStart::kData || options.compares ||
         jump_rate_of(options) > 0.0 || !options.data.empty();
}

template <EnergyModel M>
Drawing<M> prepare(ModelFile<M>& file, const SamplingOptions& options, const Executor& executor,
                   Listener& listener) {
  Drawing<M> d{file, options, executor, listener, {}, {}, {}, jump_rate_of(options), {}};
  if (needs_data(options)) d.data = starting_cases(file, options, listener);
  if (!d.data && options.start == SampleStart::kData) throw UsageError("sample: --start data needs --data");
  if (d.data && options.ladder != SampleLadder::kNone && !file.has_reference)
    fit_reference(file, *d.data, listener);
  d.clusters = clusters_of(d);
  d.modes = modes_for(d);
  d.jumps = jump_memory(d);
  return d;
}

// --- chains and replicas, each with a round of its own ---------------------------------------------------

/// Chains without a ladder, as many as there are to be samples.
template <EnergyModel M>
class FreeChains {
 public:
  explicit FreeChains(const Drawing<M>& d) {
    const std::uint64_t n = as_count(d.options.count);
    population_.chains = d.options.start == SampleStart::kData
                             ? warm_chains(d.engine(), d.theta(), *d.data, n)
                             : reference_chains(d.engine(), n, Purpose::kSampling);
    population_.fit(d.engine());
  }

  /// One sweep.
  void round(const Drawing<M>& d) {
    jump_now_and_then(d.engine(), d.theta(), d.jump_rate, d.jumps, population_);
    advance(d.engine(), d.theta(), 1, Purpose::kSampling, population_);
  }

  Population<M>& population() { return population_; }

 private:
  Population<M> population_;
};

/// Ensembles of a temperature ladder, half of which start at data where there are any.
template <EnergyModel M>
class TemperedReplicas {
 public:
  explicit TemperedReplicas(const Drawing<M>& d) {
    const SamplingOptions& o = d.options;
    const std::uint64_t ensembles = as_count(o.ensembles);
    const std::size_t n_warm = d.warm_of(ensembles);
    // Of those that do not start at data, half start at modes.
    const std::size_t n_modes = d.modes.empty() ? 0 : (static_cast<std::size_t>(ensembles) - n_warm) / 2;
    const LadderRequest request{o.rungs, ensembles, as_count(o.swap_every), n_warm, n_modes, d.modes};
    replicas_ = place_ladder(d.engine(), d.theta(), request, d.data.value_or(typename M::Data()), d.listener);
  }

  /// Sweeps and swaps; the coldest replicas add a draw each to the trace.
  void round(const Drawing<M>& d, Trace& trace) {
    jump_now_and_then(d.engine(), d.theta(), d.jump_rate, d.jumps, replicas_.population);
    temper(d.engine(), d.theta(), replicas_);
    if (trace.draws() < kMostTraced)
      record(d.engine(), d.theta(), replicas_.population, coldest_of(replicas_.ladder), d.clusters, trace);
  }

  /// The replicas at beta = 1, one of each ensemble.
  [[nodiscard]] Chains<M> coldest(const Drawing<M>& d) {
    gather(d.engine().executor, replicas_.population.chains);
    return select_chains(d.file.model, replicas_.population.chains, coldest_of(replicas_.ladder));
  }

  [[nodiscard]] std::uint64_t ensembles() const { return replicas_.ladder.n_ensembles; }
  [[nodiscard]] std::size_t n_warm() const { return replicas_.n_warm; }
  [[nodiscard]] std::uint64_t sweeps_in_round() const { return replicas_.round.sweeps; }

  [[nodiscard]] LadderReport report(const Drawing<M>&, bool /*finished*/) const {
    const TemperatureLadder& ladder = replicas_.ladder;
    LadderReport report{ladder.n_ensembles,      ladder.n_rungs, ladder.rejections, ladder.round_trips,
                        round_trip_rate(ladder), ladder.betas,   flow(ladder),      {}};
    return report;
  }

 private:
  TemperedPopulation<M> replicas_;
};

/// Machines on the way to a model, earliest first: the snapshots of its training, else the checkpoints that
/// its run has kept.
template <EnergyModel M>
std::vector<typename M::Params> machines_on_the_way(const Drawing<M>& d) {
  std::vector<typename M::Params> machines = read_snapshots<M>(d.file);
  if (machines.empty() && !d.options.run.empty()) {
    for (const std::filesystem::path& path : kept_checkpoints(d.options.run)) {
      const ModelFile<M> kept = read_model_as<M>(path);
      if (kept.model.shape_names() != d.file.model.shape_names())
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

/// Ensembles of a trajectory, half of which start at data where there are any. Log Z is measured along it.
template <EnergyModel M>
class TrajectoryReplicas {
 public:
  explicit TrajectoryReplicas(const Drawing<M>& d)
      : round_{{Purpose::kSampling, Purpose::kSamplingSwaps}, d.jump_rate} {
    trajectory_ = reference_trajectory(d.engine(), as_count(d.options.ensembles), Purpose::kSampling);
    n_warm_ = d.warm_of(ensembles());
    insert_rungs(d);
    tune(d.engine(), round_, d.jumps, {kLeastSwaps, kMostSwaps}, trajectory_, caches_,
         stage(d.listener, "placing rungs"));
    differences_.resize(static_cast<std::size_t>(trajectory_.n_rungs() - 1));
    all_.resize(static_cast<std::size_t>(ensembles()));
    std::iota(all_.begin(), all_.end(), std::uint64_t{0});
  }

  /// Sweeps and swaps; the replicas of the last machine add a draw each to the trace.
  void round(const Drawing<M>& d, Trace& trace) {
    const bool measures = trace.draws() < kMeasuredRounds;
    temper(d.engine(), round_, d.jumps, trajectory_, caches_, measures ? &differences_ : nullptr);
    top_.chains = replicas_of(trajectory_, trajectory_.n_rungs() - 1);
    if (trace.draws() >= kMostTraced) return;
    top_.fit(d.engine());
    latent_input(d.engine(), d.theta(), top_.chains.blocks, top_.caches);
    record(d.engine(), d.theta(), top_, all_, d.clusters, trace);
  }

  [[nodiscard]] const Chains<M>& coldest(const Drawing<M>& d) {
    gather(d.engine().executor, top_.chains);
    return top_.chains;
  }
  [[nodiscard]] std::uint64_t ensembles() const { return trajectory_.n_ensembles; }
  [[nodiscard]] std::size_t n_warm() const { return n_warm_; }
  [[nodiscard]] std::uint64_t sweeps_in_round() const { return 1; }

  [[nodiscard]] LadderReport report(const Drawing<M>& d, bool finished) const {
    LadderReport report{ensembles(),
                        trajectory_.n_rungs(),
                        trajectory_.rejections,
                        trajectory_.round_trips,
                        round_trip_rate(trajectory_),
                        {},
                        {},
                        {}};
    if (!finished) return report;  // no time to hold log Z against a bound
    report.log_partition =
        bennett_log_partition(d.file.model.reference_log_partition(), log_weight_path(differences_),
                              static_cast<std::size_t>(ensembles()));
    const typename M::Data none;
    if (const auto search = modes_of(d.engine(), d.theta(), d.data ? *d.data : none, read_modes(d.file),
                                     stage(d.listener, "searching modes")))
      report.lower_bound = bound_of(d.engine(), d.theta(), search->modes);
    return report;
  }

 private:
  /// The machines on the way, then the model. Cold replicas of every rung start at the reference machine,
  /// warm ones at data.
  void insert_rungs(const Drawing<M>& d) {
    const std::vector<typename M::Params> machines = machines_on_the_way(d);
    const std::uint64_t n_rungs = machines.size() + 2;
    const Chains<M> cold = reference_chains(d.engine(), ensembles() * n_rungs, Purpose::kSampling);
    Chains<M> warm;
    if (d.data) warm = warm_chains(d.engine(), d.theta(), *d.data, n_warm_ * n_rungs);
    Chains<M> replicas = empty_chains(d.file.model, ensembles());
    for (std::uint64_t k = 1; k < n_rungs; ++k) {
      const auto first = cold.blocks.begin() + static_cast<std::ptrdiff_t>(k * trajectory_.blocks());
      std::copy_n(first, trajectory_.blocks(), replicas.blocks.begin());
      for (std::uint64_t e = 0; e < n_warm_; ++e) copy_chain(warm, k * n_warm_ + e, replicas, e);
      insert_rung(k, k + 1 < n_rungs ? machines[static_cast<std::size_t>(k - 1)] : d.theta(), replicas.blocks,
                  trajectory_);
    }
  }

  TrajectoryRound round_;
  Trajectory<M> trajectory_;
  TrajectoryCaches<M> caches_;
  std::size_t n_warm_ = 0;
  std::vector<EnergyDifferences> differences_;  // of every pair of neighbours
  std::vector<std::uint64_t> all_;              // numbers of the ensembles
  Population<M> top_;                           // of the model itself
};

template <EnergyModel M>
using Sampler = std::variant<FreeChains<M>, TemperedReplicas<M>, TrajectoryReplicas<M>>;

template <EnergyModel M>
Sampler<M> sampler_of(const Drawing<M>& d) {
  switch (d.options.ladder) {
    case SampleLadder::kTemperature:
      return TemperedReplicas<M>(d);
    case SampleLadder::kTrajectory:
      return TrajectoryReplicas<M>(d);
    case SampleLadder::kAuto:
    case SampleLadder::kNone:
      break;
  }
  return FreeChains<M>(d);
}

// --- samples of either -----------------------------------------------------------------------------------

/// The last states of the chains. The second half of some chains tells whether they mix.
template <EnergyModel M>
void take_samples(FreeChains<M>& chains, const Drawing<M>& d, Drawn<M>& drawn) {
  drawn.rounds = sweeps_of(d.options).value_or(as_count(kPlainSweeps));
  std::vector<std::uint64_t> followed(std::min<std::uint64_t>(as_count(d.options.count), kFollowed));
  std::iota(followed.begin(), followed.end(), std::uint64_t{0});
  const std::uint64_t stride = std::max<std::uint64_t>(1, drawn.rounds / (2 * kTraceDraws));
  const Progress progress = stage(d.listener, kSampling);
  for (std::uint64_t done = 1; done <= drawn.rounds; ++done) {
    chains.round(d);
    if (2 * done > drawn.rounds && done % stride == 0)
      record(d.engine(), d.theta(), chains.population(), followed, d.clusters, drawn.trace);
    progress(static_cast<double>(done) / static_cast<double>(drawn.rounds));
  }
  drawn.samples = std::move(chains.population().chains);
  gather(d.engine().executor, drawn.samples);
}

/// Rounds between samples of an ensemble: as many as are asked for, else as many as its coldest replica takes
/// to forget where it was. `each`: samples of an ensemble.
std::uint64_t rounds_between(const SamplingOptions& options, std::uint64_t sweeps_in_round,
                             const Trace& trace, std::size_t n_warm, std::uint64_t each) {
  const std::uint64_t asked = (sweeps_of(options).value_or(0) + sweeps_in_round - 1) / sweeps_in_round;
  if (asked > 0) return asked;
  const double time = assess_mixing(trace, n_warm).autocorrelation_time;
  // The time is infinite where a free energy is no number.
  const auto most = static_cast<double>(std::max<std::uint64_t>(1, kMostRounds / each));
  return static_cast<std::uint64_t>(std::min(std::ceil(time), most));
}

/// States of the coldest replicas, round after round.
template <EnergyModel M, class Replicas>
void take_samples(Replicas& replicas, const Drawing<M>& d, Drawn<M>& drawn) {
  const Progress progress = stage(d.listener, kSampling);
  drawn.n_warm = replicas.n_warm();
  for (std::uint64_t t = 0; t < kTraceDraws; ++t) {
    replicas.round(d, drawn.trace);
    progress(0.3 * static_cast<double>(t) / static_cast<double>(kTraceDraws));
  }
  const std::uint64_t count = as_count(d.options.count);
  const std::uint64_t ensembles = replicas.ensembles();
  const std::uint64_t each = (count + ensembles - 1) / ensembles;
  drawn.rounds = rounds_between(d.options, replicas.sweeps_in_round(), drawn.trace, drawn.n_warm, each);
  drawn.samples = empty_chains(d.file.model, count);
  for (std::uint64_t n = 0; n < each; ++n) {
    for (std::uint64_t t = 0; t < drawn.rounds; ++t) replicas.round(d, drawn.trace);
    const Chains<M> now = replicas.coldest(d);
    for (std::uint64_t e = 0; e < ensembles && n * ensembles + e < count; ++e)
      copy_chain(now, e, drawn.samples, n * ensembles + e);
    const double part = static_cast<double>(n + 1) / static_cast<double>(each);
    if (d.listener.progress(kSampling, 0.3 + 0.7 * part, "") == Control::kStop && n + 1 < each) {
      std::vector<std::uint64_t> finished((n + 1) * ensembles);
      std::iota(finished.begin(), finished.end(), std::uint64_t{0});
      drawn.samples = select_chains(d.file.model, drawn.samples, finished);
      drawn.stopped_by_listener = true;
      break;
    }
  }
  drawn.report = replicas.report(d, !drawn.stopped_by_listener);
}

}  // namespace

std::optional<std::uint64_t> sweeps_of(const SamplingOptions& options) {
  const std::int64_t* const sweeps = std::get_if<std::int64_t>(&options.sweeps);
  if (sweeps == nullptr) return std::nullopt;
  return as_count(*sweeps);
}

template <EnergyModel M>
SamplingOptions with_ladder(const ModelFile<M>& file, SamplingOptions options, Listener& listener) {
  if (options.ladder == SampleLadder::kAuto) {
    if (sweeps_of(options)) {
      options.ladder = SampleLadder::kNone;
    } else if (!options.rungs && !read_snapshots<M>(file).empty()) {
      options.ladder = SampleLadder::kTrajectory;
      listener.note("sampling along the trajectory of the model's training");
    } else {
      options.ladder = SampleLadder::kTemperature;
      listener.note("sampling with a temperature ladder; --ladder none is plain Gibbs sampling");
    }
  }
  if (std::holds_alternative<JumpRule>(options.jump))
    options.jump = options.ladder != SampleLadder::kNone && can_jump(file.model) ? kUsualJump : 0.0;
  return options;
}

template <EnergyModel M>
std::optional<typename M::Data> starting_cases(const ModelFile<M>& file, const SamplingOptions& options,
                                               Listener& listener) {
  const DataOptions known = data_or_of_run(options.data, options.columns, options.run);
  if (known.data.empty()) return std::nullopt;
  return data_for_model(file, read_data_file(known.data, {columns_for(file, known.columns)}, listener),
                        {"train", options.binarize, as_count(options.seed)}, listener);
}

template <EnergyModel M>
Drawn<M> draw(ModelFile<M>& file, const SamplingOptions& options, const Executor& executor,
              Listener& listener) {
  Drawing<M> d = prepare(file, options, executor, listener);
  if (options.compares) require_comparable(d);
  Sampler<M> sampler = sampler_of(d);
  Drawn<M> drawn;
  std::visit([&](auto& chains) { take_samples(chains, d, drawn); }, sampler);
  if (options.compares) drawn.agreement = agreement_of(d, drawn.samples);
  drawn.clusters = std::move(d.clusters);
  return drawn;
}

#define TEMPERA_INSTANTIATE(M)                                                                            \
  template SamplingOptions with_ladder(const ModelFile<M>&, SamplingOptions, Listener&);                  \
  template std::optional<M::Data> starting_cases(const ModelFile<M>&, const SamplingOptions&, Listener&); \
  template Drawn<M> draw(ModelFile<M>&, const SamplingOptions&, const Executor&, Listener&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
