// tempera loglik
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "run.hpp"
#include "tempera/core/math.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/estimate/path.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/mcmc/trace.hpp"
#include "tempered.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string data;
  std::string split = "test";
  std::string binarize = "none";
  std::string method = "ais";
  std::int64_t chains = 128;
  std::int64_t betas = 10000;
  std::int64_t rungs = 0;
  std::int64_t ensembles = 64;
  std::int64_t rounds = 2000;
  double target_se = 0.0;
  std::int64_t seed = 1;
};

/// Effective fraction of every AIS step that --betas 0 asks for.
constexpr double kStepFraction = 0.999;
/// Test cases and chains for each of them that RAISE anneals.
constexpr Index kRaiseCases = 100;
constexpr Index kRaiseChains = 10;
/// Numbers that MBAR keeps.
constexpr double kMostEnergies = 2e7;
/// Differences of free energies, two for each, that a run to reach --target-se keeps.
constexpr double kMostDifferences = 1e8;
/// Times that an estimate is continued to reach --target-se.
constexpr std::uint64_t kMostBatches = 1000;
/// Estimates that differ by more standard errors than this disagree.
constexpr double kDisagreement = 3.0;

/// One method's log Z, and why it should not be trusted where it says so itself.
struct Estimate {
  std::string method;
  LogPartition log_partition;
  std::string doubt;
};

/// Everything that the methods share, made when it is first needed.
template <class M>
class Estimator {
 public:
  Estimator(const Options& options, const ModelFile<M>& file, const typename M::Data& train,
            const typename M::Data& cases, const Workers& workers)
      : options_(options),
        file_(file),
        train_(train),
        cases_(cases),
        workers_(workers),
        keeps_energies_(options.method == "mbar" || options.method == "all"),
        streams_{static_cast<std::uint64_t>(options.seed)} {}

  Estimate estimate(const std::string& method) {
    if (method == "exact") {
      ProgressLine line(options_.common, method);
      return {method, exact_log_partition(file_.model, file_.theta, workers_, show_on(line)), ""};
    }
    if (method == "ais") return ais();
    if (method == "reverse-ais") return reverse_ais();
    if (method == "raise") return raise();
    if (method == "tracked") return tracked();
    return along_ladder(method);
  }

 private:
  const M& model() const { return file_.model; }

  /// Draws of their own for every batch of --target-se.
  StreamFactory batch_streams(std::uint64_t batch) const {
    constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15U;
    return {streams_.seed + batch * kOdd};
  }

  bool reached(const LogPartition& z) const {
    return options_.target_se <= 0.0 || z.standard_error <= options_.target_se;  // false for no number
  }

  const std::vector<double>& betas() {
    if (!betas_.empty()) return betas_;
    if (options_.betas > 0) {
      betas_ = published_betas(options_.betas);
    } else {
      ProgressLine line(options_.common, "choosing betas");
      betas_ = effective_betas(model(), file_.theta, kStepFraction, kLanes, streams_, Purpose::kPilot,
                               workers_, show_on(line));
    }
    return betas_;
  }

  std::vector<double> downwards() {
    std::vector<double> betas = this->betas();
    std::reverse(betas.begin(), betas.end());
    return betas;
  }

  /// Anneals batch after batch of chains until the error bar is small enough.
  template <class Start, class Value>
  LogPartition annealed(const char* label, const std::vector<double>& betas, Purpose purpose, Start&& start,
                        Value&& value) {
    std::vector<double> weights;
    LogPartition z;
    for (std::uint64_t batch = 0; batch < kMostBatches; ++batch) {
      ProgressLine line(options_.common,
                        batch == 0 ? label : label + format(", error %.3f", z.standard_error));
      const std::vector<double> more = annealed_log_weights(
          model(), file_.theta, betas, start(batch), batch_streams(batch), purpose, workers_, show_on(line));
      weights.insert(weights.end(), more.begin(), more.end());
      z = value(weights);
      if (reached(z)) break;
    }
    return z;
  }

  static std::string doubt_of(const LogPartition& z, const char* consequence) {
    if (z.effective_fraction >= kLowEffectiveFraction) return "";
    return format(
        "only %.1f %% of the chains count (effective sample size): log Z is probably %s; use more --betas",
        100.0 * z.effective_fraction, consequence);
  }

  Estimate ais() {
    const LogPartition z = annealed(
        "ais", betas(), Purpose::kAnnealing,
        [&](std::uint64_t batch) {
          return reference_chains(model(), as_count(options_.chains), batch_streams(batch),
                                  Purpose::kAnnealing, workers_);
        },
        [&](const std::vector<double>& weights) {
          return log_partition_from_weights(model().reference_log_partition(), weights);
        });
    return {"ais", z, doubt_of(z, "too low and the likelihood too high")};
  }

  /// From draws of the model at beta = 1, as far apart as the tempering run says.
  Estimate reverse_ais() {
    Run& run = tempered(2);
    const auto spacing = static_cast<std::uint64_t>(
        std::min(std::ceil(judge(run.trace, run.population.n_warm).autocorrelation_time),
                 static_cast<double>(options_.rounds)));
    const LogPartition z = annealed(
        "reverse-ais", downwards(), Purpose::kReverseAnnealing,
        [&](std::uint64_t) { return draws(run, spacing); },
        [&](const std::vector<double>& weights) {
          LogPartition down = log_partition_from_weights(0.0, weights);
          down.value = model().reference_log_partition() - down.value;
          return down;
        });
    std::string doubt = doubt_of(z, "too high and the likelihood too low");
    return {"reverse-ais", z, doubt.empty() ? run.doubt() : doubt};
  }

  /// log Z that RAISE's conservative log-likelihood of some cases implies.
  Estimate raise() {
    if (is_bound(model()))
      throw UsageError("loglik: --method raise needs latents that are independent given the visibles");
    if (cases_.n_cases() == 0)
      throw UsageError("loglik: --method raise needs --data, whose cases it anneals");
    const Index n = std::min(kRaiseCases, cases_.n_cases());
    std::vector<Index> which(static_cast<std::size_t>(n * kRaiseChains));
    for (std::size_t c = 0; c < which.size(); ++c)
      which[c] = static_cast<Index>(c) % n * cases_.n_cases() / n;
    Chains<M> chains =
        data_chains(model(), file_.theta, which.size(), cases_, which, streams_, Purpose::kRaise, workers_);
    Workspace<M> workspace;
    workspace.fit(model(), chains.n_chains, workers_);
    advance(model(), file_.theta, 1, StreamFactory{~streams_.seed}, Purpose::kRaise, chains, workspace,
            workers_);
    ProgressLine line(options_.common, "raise");
    const std::vector<double> weights = annealed_log_weights(
        model(), file_.theta, downwards(), chains, streams_, Purpose::kRaise, workers_, show_on(line));
    // log Z0 - log mean exp(w) of each case, over the cases.
    MeanVariance over_cases;
    for (Index k = 0; k < n; ++k) {
      std::vector<double> own;
      for (Index c = 0; c < kRaiseChains; ++c) own.push_back(weights[static_cast<std::size_t>(c * n + k)]);
      over_cases.add(-log_partition_from_weights(0.0, own).value);
    }
    return {"raise",
            {model().reference_log_partition() + over_cases.mean(), over_cases.standard_error(), 1.0},
            ""};
  }

  /// What training knew, refreshed by --rounds rounds of the tracker's own chains.
  Estimate tracked() {
    std::optional<Tracker<M>> tracker = read_tracker<M>(file_);
    if (!tracker)
      throw UsageError(
          "loglik: " + file_.path.string() +
          ": holds no tracker of log Z; train with --track-log-z lattice or smc, or use another --method");
    TrackerWorkspace<M> workspace;
    if (!equal_fields(tracker->theta, file_.theta))
      track(model(), file_.theta, streams_, *tracker, workspace, workers_);
    LogPartition z;
    for (std::uint64_t batch = 0; batch < kMostBatches; ++batch) {
      if (tracker->ladder.n_rungs > 0) {
        ProgressLine line(options_.common, "tracked");
        refresh(model(), as_count(options_.rounds), streams_, *tracker, workspace, workers_, show_on(line));
      }
      z = tracked_log_partition(model(), file_.theta, *tracker, workspace, workers_);
      if (reached(z) || tracker->ladder.n_rungs == 0) break;
    }
    return {"tracked", z, ""};
  }

  struct Run {
    LadderRequest request;
    TemperedPopulation<M> population;
    std::vector<EnergyDifferences> differences;
    std::vector<Eigen::MatrixXd> energies;
    Trace trace;
    std::uint64_t rounds = 0;

    [[nodiscard]] std::string doubt() const {
      const MixingReport report = judge(trace, population.n_warm);
      return report.mixed ? "" : report.verdict;
    }
  };

  /// The tempering run, of at least --rounds rounds and `least` of them.
  Run& tempered(std::uint64_t least) {
    if (!run_) {
      run_.emplace();
      run_->request.rungs = as_count(options_.rungs);
      run_->request.ensembles = as_count(options_.ensembles);
      run_->request.n_warm = train_.n_cases() > 0 ? run_->request.ensembles / 2 : 0;
      run_->population = place_ladder(file_, run_->request, train_, streams_, options_.common, workers_);
      run_->differences.resize(run_->population.ladder.rejections.size());
    }
    continue_run(std::max(as_count(options_.rounds), least));
    return *run_;
  }

  /// Until there have been this many rounds.
  void continue_run(std::uint64_t rounds) {
    Run& run = *run_;
    const auto rungs = static_cast<double>(run.population.ladder.n_rungs);
    const auto stored = static_cast<std::uint64_t>(
        std::max(1.0, kMostEnergies / (rungs * rungs * static_cast<double>(options_.ensembles))));
    const std::uint64_t stride = (as_count(options_.rounds) + stored - 1) / stored;
    ProgressLine line(options_.common, "tempering");
    const Progress progress = show_on(line);
    const std::uint64_t begin = run.rounds;
    for (; run.rounds < rounds; ++run.rounds) {
      round(run);
      if (keeps_energies_ && run.rounds % stride == 0 && run.energies.size() < stored) {
        run.energies.push_back(rung_energies(model(), file_.theta, run.population.ladder,
                                             run.population.chains, run.population.workspace, workers_));
      }
      progress(static_cast<double>(run.rounds - begin) / static_cast<double>(rounds - begin));
    }
  }

  void round(Run& run) {
    temper(file_, run.request, streams_, run.population, workers_, &run.differences);
    record(model(), file_.theta, run.population.chains, coldest_of(run.population.ladder), {},
           run.population.workspace, workers_, run.trace);
  }

  /// --chains draws at beta = 1, `spacing` rounds apart.
  Chains<M> draws(Run& run, std::uint64_t spacing) {
    Chains<M> all;
    all.n_chains = as_count(options_.chains);
    all.blocks.assign(static_cast<std::size_t>(words_for(options_.chains)), model().new_state());
    ProgressLine line(options_.common, "drawing");
    const Progress progress = show_on(line);
    for (std::uint64_t n = 0; n < all.n_chains; ++n) {
      const std::uint64_t e = n % run.request.ensembles;
      if (e == 0) {
        for (std::uint64_t t = 0; t < spacing; ++t, ++run.rounds) round(run);
        progress(static_cast<double>(n) / static_cast<double>(all.n_chains));
      }
      const std::uint64_t from = run.population.ladder.coldest(e);
      copy_chain(run.population.chains.blocks[from / kLanes], static_cast<Index>(from % kLanes),
                 all.blocks[n / kLanes], static_cast<Index>(n % kLanes));
    }
    all.sweeps = 1;
    return all;
  }

  Estimate along_ladder(const std::string& method) {
    Run* run = &tempered(2);
    const auto now = [&] {
      const double reference = model().reference_log_partition();
      const auto ensembles = static_cast<std::size_t>(run->request.ensembles);
      const std::vector<LogWeightPair> path = log_weight_path(run->differences);
      if (method == "bar") return bennett_log_partition(reference, path, ensembles);
      if (method == "stepping-stone") return stepping_stone_log_partition(reference, path, ensembles);
      Index rows = 0;
      for (const Eigen::MatrixXd& part : run->energies) rows += part.rows();
      Eigen::MatrixXd energies(rows, run->energies.front().cols());
      rows = 0;
      for (const Eigen::MatrixXd& part : run->energies) {
        energies.middleRows(rows, part.rows()) = part;
        rows += part.rows();
      }
      return mbar_log_partition(energies, bennett_path(reference, path), ensembles);
    };
    LogPartition z = now();
    const double per_round =
        static_cast<double>(run->differences.size()) * static_cast<double>(options_.ensembles);
    for (std::uint64_t batch = 2;
         !reached(z) && std::isfinite(z.standard_error) && batch <= kMostBatches && method != "mbar" &&
         per_round * static_cast<double>(run->rounds) < kMostDifferences;
         ++batch) {
      continue_run(2 * run->rounds);  // estimates begin anew each time
      z = now();
    }
    if (!std::isfinite(z.standard_error))
      return {method, z, "draws of some neighbours do not overlap: use more --rungs"};
    return {method, z, run->doubt()};
  }

  const Options& options_;
  const ModelFile<M>& file_;
  const typename M::Data& train_;
  const typename M::Data& cases_;
  const Workers& workers_;
  const bool keeps_energies_;
  StreamFactory streams_;
  std::vector<double> betas_;
  std::optional<Run> run_;
};

bool is_upper_bound(const std::string& method) { return method == "reverse-ais" || method == "raise"; }

/// Pairs of methods that contradict each other. An upper bound contradicts only what lies above it.
std::vector<std::string> disagreements(const std::vector<Estimate>& estimates) {
  std::vector<std::string> found;
  for (std::size_t a = 0; a < estimates.size(); ++a) {
    for (std::size_t b = a + 1; b < estimates.size(); ++b) {
      const LogPartition& x = estimates[a].log_partition;
      const LogPartition& y = estimates[b].log_partition;
      const double error = std::hypot(x.standard_error, y.standard_error);
      double difference = x.value - y.value;
      if (estimates[a].method == "raise") difference = std::min(0.0, difference);
      if (estimates[b].method == "raise") difference = std::max(0.0, difference);
      if (std::abs(difference) > kDisagreement * error + 1e-6) {
        found.push_back(estimates[a].method + " and " + estimates[b].method +
                        format(" differ by %.3f nats, %.1f standard errors", std::abs(difference),
                               std::abs(difference) / error));
      }
    }
  }
  return found;
}

template <class M>
int run_for(const Options& options, ModelFile<M> file) {
  double units = 0.0;
  for (const Index n : file.model.layer_sizes()) units += static_cast<double>(n);
  require_memory("chains", options.chains, 8.0 * static_cast<double>(options.chains) * units);
  require_memory("ensembles", options.ensembles,
                 12.0 * static_cast<double>(std::max<std::int64_t>(options.rungs, kFirstRungs)) *
                     static_cast<double>(options.ensembles) * units);
  const auto rungs = static_cast<double>(std::max<std::int64_t>(options.rungs, kFirstRungs));
  const auto ensembles = static_cast<double>(options.ensembles);
  require_memory("rounds", options.rounds,
                 8.0 * (rungs + 2.0) * ensembles * static_cast<double>(options.rounds));
  require_memory("rungs", options.rungs, 24.0 * rungs * rungs * ensembles);
  require_memory("betas", options.betas, 24.0 * static_cast<double>(options.betas));
  require_law(file);
  const Workers workers(options.common.threads);
  typename M::Data cases;
  typename M::Data train;
  if (!options.data.empty()) {
    const DataFile data = load_data(options.data);
    cases = data_for_model(file, data, options.split, options.binarize, options.seed);
    if (data.splits.count("train") > 0) {
      train = data_for_model(file, data, "train", options.binarize, options.seed);
      if (!file.has_reference) fit_reference(file, train, options.common);
    }
  }

  catch_signals();
  Estimator<M> estimator(options, file, train, cases, workers);
  std::vector<Estimate> estimates;
  if (options.method == "all") {
    if (file.model.enumerated_units() <= M::kMaxEnumeratedUnits)
      estimates.push_back(estimator.estimate("exact"));
    for (const char* method : {"mbar", "bar", "stepping-stone", "ais", "reverse-ais"})
      estimates.push_back(estimator.estimate(method));
    if (!options.data.empty() && !is_bound(file.model)) estimates.push_back(estimator.estimate("raise"));
    if (read_tracker(file)) estimates.push_back(estimator.estimate("tracked"));
  } else {
    estimates.push_back(estimator.estimate(options.method));
  }
  for (const Estimate& estimate : estimates) {
    if (!estimate.doubt.empty()) warn(estimate.method + ": " + estimate.doubt);
    if (options.target_se > 0 && !(estimate.log_partition.standard_error <= options.target_se)) {
      warn(estimate.method + format(": standard error %.4f, --target-se %g is not reached",
                                    estimate.log_partition.standard_error, options.target_se));
    }
  }

  const Estimate& first = estimates.front();
  const LogPartition& log_partition = first.log_partition;
  Json json = {{"method", options.method},
               {"log_partition", log_partition.value},
               {"log_partition_se", log_partition.standard_error}};
  std::string text = format("log Z            %.5f +- %.5f nats (%s)", log_partition.value,
                            log_partition.standard_error, first.method.c_str());
  if (estimates.size() > 1) {
    Json table = Json::array();
    for (const Estimate& estimate : estimates) {
      table.push_back({{"method", estimate.method},
                       {"log_partition", estimate.log_partition.value},
                       {"log_partition_se", estimate.log_partition.standard_error},
                       {"trusted", estimate.doubt.empty()}});
      text += format("\n%-16s %.5f +- %.5f%s%s", estimate.method.c_str(), estimate.log_partition.value,
                     estimate.log_partition.standard_error,
                     is_upper_bound(estimate.method) ? " (from above)" : "",
                     estimate.doubt.empty() ? "" : "  not to be trusted");
    }
    const std::vector<std::string> contradictions = disagreements(estimates);
    json["estimates"] = table;
    json["disagreements"] = contradictions;
    text += contradictions.empty() ? "\nall agree within 3 standard errors" : "";
    for (const std::string& contradiction : contradictions) text += "\n" + contradiction;
  } else if (first.method == "ais" || first.method == "reverse-ais") {
    json["effective_fraction"] = log_partition.effective_fraction;
    // --target-se may have added chains.
    text += options.target_se > 0
                ? format("\neffective chains %.1f %%", 100.0 * log_partition.effective_fraction)
                : format("\neffective chains %.1f of %lld",
                         log_partition.effective_fraction * static_cast<double>(options.chains),
                         static_cast<long long>(options.chains));
  }
  json["trusted"] = first.doubt.empty();
  if (!options.data.empty()) {
    const std::vector<double> energies = free_energies(file.model, file.theta, cases, workers);
    // Densities may be above 1.
    if constexpr (std::is_same_v<typename M::Data, BinaryData>) {
      std::vector<double> distinct;
      for (const Index n : cases.distinct_cases()) distinct.push_back(energies[static_cast<std::size_t>(n)]);
      require_possible(distinct, log_partition);
    }
    const Likelihood likelihood = mean_log_likelihood(energies, log_partition);
    json["log_likelihood"] = likelihood.log_likelihood;
    json["log_likelihood_se"] = likelihood.standard_error;
    json["n"] = likelihood.n_cases;
    json["split"] = options.split;
    // A bound of log Z from above is one of the likelihood from below, and the other way round.
    for (const Estimate& estimate : estimates) {
      const double bound = likelihood.log_likelihood + log_partition.value - estimate.log_partition.value;
      if (estimate.method == "ais") json["upper"] = bound;
      if (estimate.method == "reverse-ais" || (estimate.method == "raise" && !json.contains("lower")))
        json["lower"] = bound;
    }
    json["variational"] = is_bound(file.model);
    text += format("\n%s   %.5f +- %.5f nats per case (%llu cases, split %s)",
                   is_bound(file.model) ? "variational bound" : "log-likelihood", likelihood.log_likelihood,
                   likelihood.standard_error, static_cast<unsigned long long>(likelihood.n_cases),
                   options.split.c_str());
  }
  print_result(options.common, json, text);
  return 0;
}

int run(const Options& options) {
  std::vector<Violation> violations;
  require_between(violations, "chains", options.chains, 2, kMaxChains);
  if (options.betas != 0) require_between(violations, "betas", options.betas, 2, std::int64_t{1} << 31);
  if (options.rungs != 0)
    require_between(violations, "rungs", options.rungs, 2, static_cast<std::int64_t>(kMostRungs));
  require_between(violations, "ensembles", options.ensembles, 4, 1 << 16);
  require_between(violations, "rounds", options.rounds, 16, std::int64_t{1} << 31);
  if (!(options.target_se >= 0))
    violations.push_back({"target-se", format("%g", options.target_se), "must be at least 0"});
  if (!violations.empty()) throw ConfigError(violations);

  return std::visit([&](auto&& file) { return run_for(options, std::move(file)); },
                    read_model(options.model));
}

}  // namespace

void setup_loglik(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app =
      *program.add_subcommand("loglik", "log Z of a model and mean log-likelihood of data, in nats");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--data", options->data, "data set; without it log Z alone is estimated");
  app.add_option("--split", options->split, "train, valid or test")->capture_default_str();
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option(
         "--method", options->method,
         "exact (enumeration, smaller layer up to 25 units; latents of real-valued models up to 20); ais, "
         "reverse-ais (from below, from above); "
         "raise "
         "(a conservative likelihood of some cases); bar, mbar, stepping-stone (a tempering run); tracked "
         "(what "
         "training knew, refreshed); all")
      ->check(CLI::IsMember(
          {"exact", "ais", "reverse-ais", "raise", "stepping-stone", "bar", "mbar", "tracked", "all"}))
      ->capture_default_str();
  app.add_option("--chains", options->chains, "chains of ais and reverse-ais")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--betas", options->betas,
                 "inverse temperatures of ais, reverse-ais and raise, dense near 1; 0 takes as many as keep "
                 "99.9 % of "
                 "the chains effective in every step")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--rungs", options->rungs, "rungs of the tempering run; 0 takes 2 Lambda + 1")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--ensembles", options->ensembles, "ensembles of the tempering run, at least 4")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--rounds", options->rounds, "rounds of the tempering run")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--target-se", options->target_se,
                 "continue until the standard error of log Z is at most this; 0 does not")
      ->capture_default_str();
  app.add_option("--seed", options->seed, "seed")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
