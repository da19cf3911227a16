// tempera prune
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "run.hpp"
#include "tempera/estimate/likelihood.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/train/pruning.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string model;
  std::string out;
  double density = 0.1;
  std::string criterion = "kl";
  bool units = false;
  std::int64_t rounds = 14;
  std::int64_t refit = 0;
  double lr = 0.05;
  std::string data;
  std::string split = "test";
  std::string binarize = "none";
  std::int64_t chains = 500;
  std::int64_t sweeps = 1000;
  std::int64_t seed = 1;
};

/// Sweeps of the chains whose statistics make one set of moments.
constexpr std::uint64_t kMomentSweeps = 50;
/// AIS of the likelihoods on the way, where the machine cannot be enumerated.
constexpr Index kBetas = 2000;
constexpr Index kCompensations = 200;

template <class M>
class Pruner {
 public:
  Pruner(const Options& options, ModelFile<M> file, BinaryData train, BinaryData cases)
      : options_(options),
        file_(std::move(file)),
        train_(std::move(train)),
        cases_(std::move(cases)),
        workers_(options.common.threads),
        streams_{static_cast<std::uint64_t>(options.seed)},
        offsets_(file_.model.zero_offsets()) {
    for (const auto& w : layers().weights)
      mask_.push_back(LayerParams<float>::Weights::Ones(w.rows(), w.cols()));
    start_chains();
  }

  Json weights() {
    Json rounds = Json::array({report()});
    ProgressLine line(options_.common, "pruning");
    const Progress progress = show_on(line);
    for (std::int64_t r = 1; r <= options_.rounds; ++r) {
      measure();
      LayerParams<float> theta = layers();
      prune_mask(saliencies(options_.criterion, theta, moments_, kfac_, mask_), density_at(r), mask_);
      if (options_.criterion == "obs") compensate(mask_, kfac_, kCompensations, theta);
      delete_weights(mask_, M::layer_offsets(offsets_), theta);
      file_.theta = M::from_layers(std::move(theta));
      refit();
      rounds.push_back(report());
      if (progress(static_cast<double>(r) / static_cast<double>(options_.rounds)) == Control::kStop) break;
    }
    return rounds;
  }

  /// Hidden units of a restricted machine.
  Json units() requires std::same_as<M, BernoulliRbm> {
    const Index all = file_.model.n_hidden();
    Json rounds = Json::array({report()});
    ProgressLine line(options_.common, "pruning");
    const Progress progress = show_on(line);
    for (std::int64_t r = 1; r <= options_.rounds; ++r) {
      const auto wanted = std::max<Index>(1, std::llround(density_at(r) * static_cast<double>(all)));
      std::vector<std::pair<double, Index>> order;
      const Eigen::MatrixXd inputs = hidden_inputs();
      for (Index j = 0; j < file_.model.n_hidden(); ++j)
        order.emplace_back(unit_deletion_kl(inputs.row(j).transpose()), j);
      std::sort(order.rbegin(), order.rend());
      std::vector<Index> kept;
      for (Index n = 0; n < std::min<Index>(wanted, file_.model.n_hidden()); ++n)
        kept.push_back(order[static_cast<std::size_t>(n)].second);
      std::sort(kept.begin(), kept.end());
      keep_units(kept);
      refit();
      rounds.push_back(report());
      rounds.back()["density"] = static_cast<double>(file_.model.n_hidden()) / static_cast<double>(all);
      if (progress(static_cast<double>(r) / static_cast<double>(options_.rounds)) == Control::kStop) break;
    }
    return rounds;
  }

  void write() const { write_model(options_.out, file_, "tempera prune of " + file_.path.string()); }

 private:
  [[nodiscard]] LayerParams<float> layers() const { return M::to_layers(typename M::Params(file_.theta)); }

  /// The same factor in every round.
  [[nodiscard]] double density_at(std::int64_t round) const {
    return std::pow(options_.density, static_cast<double>(round) / static_cast<double>(options_.rounds));
  }

  void start_chains() {
    const auto n = as_count(options_.chains);
    if (train_.n_cases() > 0) {
      chains_ = data_chains(file_.model, file_.theta, n, train_, epoch_order(train_.n_cases(), streams_, 0),
                            streams_, Purpose::kChains, workers_);
    } else {
      chains_ = reference_chains(file_.model, n, streams_, Purpose::kChains, workers_);
    }
    workspace_.fit(file_.model, n, workers_);
    ProgressLine line(options_.common, "drawing");
    const Progress progress = show_on(line);
    for (std::int64_t k = 0; k < options_.sweeps; ++k) {
      advance(file_.model, file_.theta, 1, streams_, Purpose::kChains, chains_, workspace_, workers_);
      progress(static_cast<double>(k + 1) / static_cast<double>(options_.sweeps));
    }
  }

  /// Moments of pairs and of units under the model, from some sweeps of the chains.
  void measure() {
    const KfacMetric<float> kfac{kfac_options()};
    kfac.prepare(file_.model.layer_sizes(), kfac_);
    kfac_.weight = 0.0;
    kfac_.observed = 0;
    workspace_.fit(file_.model, chains_.n_chains, workers_);
    std::vector<std::uint64_t> which(chains_.n_chains);
    std::iota(which.begin(), which.end(), std::uint64_t{0});
    std::vector<LaneFloats> weights;
    for (Index b = 0; b < static_cast<Index>(chains_.blocks.size()); ++b)
      weights.push_back(lane_weights(chains_.n_chains, b, 1.0F / static_cast<float>(chains_.n_chains)));
    for (std::uint64_t k = 0; k < kMomentSweeps; ++k) {
      advance(file_.model, file_.theta, 1, streams_, Purpose::kChains, chains_, workspace_, workers_);
      mean_latents(file_.model, file_.theta, chains_.blocks, workspace_, workers_);
      typename M::Params sums = file_.model.zero_params();
      workers_.for_each(file_.model.slices(), [&](Index slice, std::size_t slot) {
        file_.model.accumulate(file_.theta, chains_.blocks, workspace_.works, weights, slice, Sums::kSet,
                               workspace_.scratch[slot], sums);
      });
      const PairMoments now = cast<double>(M::to_layers(std::move(sums)));
      if (k == 0) moments_ = zeros_like(now);
      add_scaled(moments_, 1.0 / static_cast<double>(kMomentSweeps), now);
      if (options_.criterion == "obs") {
        const KernelFisher<M> fisher(file_.model, file_.theta, chains_.blocks, workspace_, which,
                                     Latents::kMoments, offsets_, memory_, workers_);
        kfac.observe(fisher, kfac_);
      }
    }
    if (options_.criterion == "obs") kfac.invert(file_.model.layer_sizes(), kfac_);
    std::size_t layer = 0;
    for_each_field(
        [&](std::string_view, Vector& offset) {
          if (offset.size() > 0) offset = moments_.bias[layer++].template cast<float>();
        },
        offsets_);
  }

  static MetricOptions kfac_options() {
    MetricOptions options;
    options.kind = "kfac";
    options.damping = 1e-3;
    options.memory = static_cast<double>(kMomentSweeps);
    return options;
  }

  /// Inputs of the hidden units at draws of the model: hidden units x draws.
  Eigen::MatrixXd hidden_inputs() requires std::same_as<M, BernoulliRbm> {
    constexpr std::uint64_t kSets = 8;
    const auto n = static_cast<Index>(chains_.n_chains);
    Eigen::MatrixXd inputs(file_.model.n_hidden(), n * static_cast<Index>(kSets));
    workspace_ = {};
    workspace_.fit(file_.model, chains_.n_chains, workers_);
    for (std::uint64_t set = 0; set < kSets; ++set) {
      advance(file_.model, file_.theta, 10, streams_, Purpose::kChains, chains_, workspace_, workers_);
      infer(file_.model, file_.theta, chains_.blocks, workspace_, workers_);
      for (Index c = 0; c < n; ++c)
        inputs.col(static_cast<Index>(set) * n + c) =
            file_.model.latent_logits(workspace_.works[static_cast<std::size_t>(c / kLanes)], c % kLanes)
                .template cast<double>();
    }
    return inputs;
  }

  void keep_units(const std::vector<Index>& kept) requires std::same_as<M, BernoulliRbm> {
    file_.model = M(file_.model.n_visible(), static_cast<Index>(kept.size()), file_.model.reference_bias());
    typename M::Params theta;
    theta.weights = file_.theta.weights(Eigen::all, kept);
    theta.hidden_bias = file_.theta.hidden_bias(kept);
    theta.visible_bias = file_.theta.visible_bias;
    file_.theta = std::move(theta);
    offsets_ = file_.model.zero_offsets();
    mask_ = {LayerParams<float>::Weights::Ones(file_.model.n_visible(), file_.model.n_hidden())};
    Chains<M> chains = chains_;
    for (auto& x : chains.blocks) {
      BitLayer hidden;
      for (const Index j : kept) hidden.push_back(x.hidden[static_cast<std::size_t>(j)]);
      x.hidden = std::move(hidden);
    }
    chains_ = std::move(chains);
    workspace_ = {};
  }

  /// Training goes on with the weights that are gone held at 0.
  void refit() {
    if (options_.refit == 0) return;
    TrainConfig config;
    config.data = options_.data;
    config.model = std::string(M::kKind);
    config.trainer = "sml";
    config.chains = options_.chains;
    config.updates = options_.refit;
    config.lr = options_.lr;
    config.schedule = "linear";
    config.seed = options_.seed;
    TrainState<M> state = initial_state(file_.model, train_, config, workers_);
    begin_at(file_.model, config, file_.theta, state);
    state.chains = chains_;
    const auto hold = [&](typename M::Params& theta) {
      LayerParams<float> all = M::to_layers(std::move(theta));
      delete_weights(mask_, M::layer_offsets(state.offsets), all);
      theta = M::from_layers(std::move(all));
    };
    train<M>(
        file_.model, train_, config, state,
        [&](const UpdateReport&, TrainState<M>& now) {
          hold(now.theta);
          hold(now.average);
          return interrupted() ? Control::kStop : Control::kContinue;
        },
        workers_);
    file_.theta = state.result();
    chains_ = state.chains;
  }

  Json report() {
    Json row = {{"density", density_of(mask_)}};
    if (cases_.n_cases() == 0) return row;
    LogPartition z;
    if (file_.model.enumerated_units() <= M::kMaxEnumeratedUnits) {
      z = exact_log_partition(file_.model, file_.theta, workers_, {});
    } else {
      z = log_partition_from_weights(file_.model.reference_log_partition(),
                                     annealed_log_weights(file_.model, file_.theta, published_betas(kBetas),
                                                          reference_chains(file_.model, kLanes, streams_,
                                                                           Purpose::kValidation, workers_),
                                                          streams_, Purpose::kValidation, workers_));
    }
    const Likelihood found =
        mean_log_likelihood(free_energies(file_.model, file_.theta, cases_, workers_), z);
    row["log_likelihood"] = found.log_likelihood;
    row["log_likelihood_se"] = found.standard_error;
    row["log_partition_se"] = z.standard_error;
    return row;
  }

  const Options& options_;
  ModelFile<M> file_;
  BinaryData train_;
  BinaryData cases_;
  Workers workers_;
  StreamFactory streams_;
  typename M::Offsets offsets_;
  Mask mask_;
  Chains<M> chains_;
  Workspace<M> workspace_;
  FisherWorkspace<M> memory_;
  PairMoments moments_;
  MetricState<float> kfac_;
};

template <class M>
int run_for(const Options&, ModelFile<M>) {
  throw UsageError("prune: needs a model of kind bernoulli-rbm or dbm, not " + std::string(M::kKind));
}

template <HasLayers M>
int run_for(const Options& options, ModelFile<M> file) {
  BinaryData train;
  BinaryData cases;
  if (!options.data.empty()) {
    const DataFile data = load_data(options.data);
    train = data_for_model(file, data, "train", options.binarize, options.seed);
    cases = data_for_model(file, data, options.split, options.binarize, options.seed);
    if (!file.has_reference) fit_reference(file, train, options.common);
  }
  catch_signals();
  Pruner<M> pruner(options, std::move(file), std::move(train), std::move(cases));
  Json rounds;
  if (options.units) {
    if constexpr (std::same_as<M, BernoulliRbm>) {
      rounds = pruner.units();
    } else {
      throw UsageError("prune: --units needs a model of kind bernoulli-rbm");
    }
  } else {
    rounds = pruner.weights();
  }
  pruner.write();
  std::string text = format("%10s %18s", "density", "log-likelihood");
  for (const Json& row : rounds) {
    text += format("\n%10.4f", static_cast<double>(row["density"]));
    if (row.contains("log_likelihood"))
      text += format(" %18.4f +- %.4f nats", static_cast<double>(row["log_likelihood"]),
                     static_cast<double>(row["log_likelihood_se"]));
  }
  print_result(options.common, {{"out", options.out}, {"criterion", options.criterion}, {"rounds", rounds}},
               text + "\n" + options.out);
  return interrupted() ? static_cast<int>(ExitCode::kInterrupted) : 0;
}

int run(const Options& options) {
  std::vector<Violation> violations;
  if (!(options.density > 0 && options.density <= 1))
    violations.push_back({"density", format("%g", options.density), "must be in (0, 1]"});
  if (!(options.lr > 0)) violations.push_back({"lr", format("%g", options.lr), "must be above 0"});
  require_between(violations, "rounds", options.rounds, 1, 10000);
  require_between(violations, "refit", options.refit, 0, std::int64_t{1} << 31);
  require_between(violations, "chains", options.chains, 2, kMaxChains);
  require_between(violations, "sweeps", options.sweeps, 0, std::int64_t{1} << 31);
  if (!violations.empty()) throw ConfigError(violations);
  if (options.refit > 0 && options.data.empty()) throw UsageError("prune: --refit needs --data");
  return std::visit([&](auto&& file) { return run_for(options, std::move(file)); },
                    read_model(options.model));
}

}  // namespace

void setup_prune(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "prune", "take out the connections, or hidden units, that a model can best do without");
  app.add_option("MODEL", options->model, "model file, checkpoint or run directory")->required();
  app.add_option("--out", options->out, "model file of the pruned machine")->required();
  app.add_option("--density", options->density, "fraction of the weights (or units) that stay")->required();
  app.add_option(
         "--criterion", options->criterion,
         "what goes first: the least magnitude; obd (variance of the statistic x weight^2); kl (the exact "
         "divergence that deleting it costs); obs (the divergence after all others have made up for it, by "
         "kfac's metric)")
      ->check(CLI::IsMember({"magnitude", "obd", "kl", "obs"}))
      ->capture_default_str();
  app.add_flag("--units", options->units,
               "hidden units in place of weights, by the exact divergence that deleting each costs");
  app.add_option("--rounds", options->rounds, "rounds of pruning, each by the same factor")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--refit", options->refit, "updates of training after each round; needs --data")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--lr", options->lr, "learning rate of refitting, decaying to 0 in each round")
      ->capture_default_str();
  app.add_option("--data", options->data, "data for refitting, and for the likelihood after each round");
  app.add_option("--split", options->split, "split whose likelihood is reported")->capture_default_str();
  app.add_option("--binarize", options->binarize,
                 "none, threshold or sample; none uses the rule of the model's run")
      ->check(CLI::IsMember({"none", "threshold", "sample"}))
      ->capture_default_str();
  app.add_option("--chains", options->chains, "chains whose statistics judge the weights")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--sweeps", options->sweeps, "sweeps of these before the first round")
      ->check(whole_number())
      ->capture_default_str();
  app.add_option("--seed", options->seed, "seed")
      ->check(whole_number())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
