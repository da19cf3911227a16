#include "tempera/services/pruning.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tempera/core/format.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/services/cases.hpp"
#include "tempera/services/limits.hpp"
#include "tempera/train/trainer.hpp"

namespace tempera {
namespace {

/// Sweeps of the chains whose statistics make one set of moments.
constexpr std::uint64_t kMomentSweeps = 50;
/// AIS of the likelihoods on the way, where the machine cannot be enumerated.
constexpr Index kBetas = 2000;
/// Steps of conjugate gradients that make up for what is deleted.
constexpr Index kCompensations = 200;
/// Sets of draws that units are judged by, and sweeps between them.
constexpr std::uint64_t kInputSets = 8;
constexpr std::uint64_t kInputSweeps = 10;

/// Prunes a machine of layers round after round.
template <HasLayers M>
class Pruner {
 public:
  Pruner(const PruneOptions& options, ModelFile<M> file, const Executor& executor, Listener& listener)
      : options_(options),
        file_(std::move(file)),
        executor_(executor),
        listener_(listener),
        offsets_(file_.model.zero_offsets()) {}

  PruneResult prune(const std::filesystem::path& out) {
    read_data();
    reset_mask();
    start_chains();
    PruneResult result{out, options_.criterion, {report(density_of(mask_))}};
    const Progress progress = stage(listener_, "pruning");
    const Index all = file_.model.layer_sizes().back();
    for (std::int64_t r = 1; r <= options_.rounds; ++r) {
      if (options_.units) {
        keep_best_units(r, all);
      } else {
        delete_least_weights(r);
      }
      refit();
      result.rounds.push_back(report(options_.units ? units_left(all) : density_of(mask_)));
      progress(static_cast<double>(r) / static_cast<double>(options_.rounds));
    }
    write_model(out, file_, "tempera prune of " + file_.path.string());
    return result;
  }

 private:
  [[nodiscard]] Engine<M> engine() const {
    return {file_.model, StreamFactory{static_cast<std::uint64_t>(options_.seed)}, executor_};
  }
  [[nodiscard]] LayerParams<float> layers() const { return M::to_layers(typename M::Params(file_.theta)); }

  /// The same factor in every round.
  [[nodiscard]] double density_at(std::int64_t round) const {
    return std::pow(options_.density, static_cast<double>(round) / static_cast<double>(options_.rounds));
  }
  [[nodiscard]] double units_left(Index all) const {
    return static_cast<double>(file_.model.layer_sizes().back()) / static_cast<double>(all);
  }

  void read_data() {
    if (options_.data.empty()) return;
    const DataFile data = read_data_file(options_.data, {columns_for(file_, options_.columns)}, listener_);
    const auto seed = static_cast<std::uint64_t>(options_.seed);
    train_ = data_for_model(file_, data, {"train", options_.binarize, seed}, listener_);
    cases_ = data_for_model(file_, data, {options_.split, options_.binarize, seed}, listener_);
    if (!file_.has_reference) fit_reference(file_, train_, listener_);
  }

  void reset_mask() {
    mask_.clear();
    for (const auto& w : layers().weights)
      mask_.push_back(LayerParams<float>::Weights::Ones(w.rows(), w.cols()));
  }

  void start_chains() {
    const auto n = static_cast<std::uint64_t>(options_.chains);
    if (train_.n_cases() > 0) {
      population_.chains = data_chains(engine(), file_.theta, n, train_,
                                       epoch_order(train_.n_cases(), engine().streams, 0), Purpose::kChains);
    } else {
      population_.chains = reference_chains(engine(), n, Purpose::kChains);
    }
    population_.fit(engine());
    const Progress progress = stage(listener_, "drawing");
    for (std::int64_t k = 0; k < options_.sweeps; ++k) {
      advance(engine(), file_.theta, 1, Purpose::kChains, population_);
      progress(static_cast<double>(k + 1) / static_cast<double>(options_.sweeps));
    }
  }

  void delete_least_weights(std::int64_t round) {
    measure();
    LayerParams<float> theta = layers();
    prune_mask(saliencies(options_.criterion, theta, moments_, kfac_, mask_), density_at(round), mask_);
    if (options_.criterion == PruningCriterion::kObs) compensate(mask_, kfac_.moments, kCompensations, theta);
    delete_weights(mask_, M::layer_offsets(offsets_), theta);
    file_.theta = M::from_layers(std::move(theta));
  }

  /// Moments of pairs and of units under the model, from some sweeps of the chains.
  void measure() {
    const bool needs_factors = options_.criterion == PruningCriterion::kObs;
    const KfacMetric<float> kfac{{1e-3, static_cast<double>(kMomentSweeps), kRefresh}};
    kfac.prepare(file_.model.layer_sizes(), kfac_);
    population_.fit(engine());
    const std::uint64_t n = population_.chains.n_chains;
    FisherDraws draws{std::vector<std::uint64_t>(static_cast<std::size_t>(n)), Latents::kMoments};
    std::iota(draws.chains.begin(), draws.chains.end(), std::uint64_t{0});
    PerChain<float> weights;
    for (Index b = 0; b < static_cast<Index>(population_.chains.blocks.size()); ++b)
      weights.blocks.push_back(lane_weights(n, b, 1.0F / static_cast<float>(n)));
    for (std::uint64_t k = 0; k < kMomentSweeps; ++k) {
      advance(engine(), file_.theta, 1, Purpose::kChains, population_);
      mean_latents(engine(), file_.theta, population_.chains.blocks, population_.caches);
      typename M::Params sums = file_.model.zero_params();
      accumulate(engine(), file_.theta, population_, weights, sums);
      const PairMoments now = cast<double>(M::to_layers(std::move(sums)));
      if (k == 0) moments_ = zeros_like(now);
      add_scaled(moments_, 1.0 / static_cast<double>(kMomentSweeps), now);
      if (needs_factors)
        kfac.observe(KernelFisher<M>(engine(), file_.theta, population_, draws, offsets_, probe_), kfac_);
    }
    if (needs_factors) kfac.invert(file_.model.layer_sizes(), kfac_);
    std::size_t layer = 0;
    for_each_field(
        [&](std::string_view, Vector& offset) {
          if (offset.size() > 0) offset = moments_.bias[layer++].template cast<float>();
        },
        offsets_);
  }

  /// Hidden units of a restricted machine: those stay whose deletion would cost most.
  void keep_best_units(std::int64_t round, Index all) {
    if constexpr (HasRemovableLatents<M>) {
      const auto wanted = std::max<Index>(1, std::llround(density_at(round) * static_cast<double>(all)));
      std::vector<std::pair<double, Index>> order;
      const Eigen::MatrixXd inputs = latent_inputs();
      for (Index j = 0; j < inputs.rows(); ++j)
        order.emplace_back(unit_deletion_kl(inputs.row(j).transpose()), j);
      std::sort(order.rbegin(), order.rend());
      std::vector<Index> kept;
      for (Index n = 0; n < std::min(wanted, inputs.rows()); ++n)
        kept.push_back(order[static_cast<std::size_t>(n)].second);
      std::sort(kept.begin(), kept.end());
      for (auto& x : population_.chains.blocks) x = M::with_latents(kept, x);
      file_.theta = M::with_latents(kept, file_.theta);
      file_.model = file_.model.with_latents(kept);
      offsets_ = file_.model.zero_offsets();
      reset_mask();
      population_.caches = {};
    }
  }

  /// Inputs of the latents at draws of the model: latents x draws.
  Eigen::MatrixXd latent_inputs() requires HasRemovableLatents<M> {
    const auto n = static_cast<Index>(population_.chains.n_chains);
    Eigen::MatrixXd inputs(file_.model.latents(), n * static_cast<Index>(kInputSets));
    LaneMatrix logits;
    population_.caches = {};
    population_.fit(engine());
    for (std::uint64_t set = 0; set < kInputSets; ++set) {
      advance(engine(), file_.theta, kInputSweeps, Purpose::kChains, population_);
      latent_input(engine(), file_.theta, population_.chains.blocks, population_.caches);
      for (Index c = 0; c < n; ++c) {
        if (c % kLanes == 0)
          file_.model.latent_logits(file_.theta,
                                    population_.caches.blocks[static_cast<std::size_t>(c / kLanes)], logits);
        inputs.col(static_cast<Index>(set) * n + c) = logits.col(c % kLanes).template cast<double>();
      }
    }
    return inputs;
  }

  /// Training goes on with the weights that are gone held at 0.
  void refit() {
    if (options_.refit == 0) return;
    TrainOptions training;
    training.chains.trainer = Trainer::kSml;
    training.chains.chains = options_.chains;
    training.rate.updates = options_.refit;
    training.rate.lr = options_.lr;
    training.rate.schedule = Schedule::kLinear;
    training.gradient.l2 = 0.0;
    training.run.seed = options_.seed;
    Plan plan = plan_of(resolve<M>(training, train_.n_visible(), train_.n_cases()), train_.n_cases());
    plan.mask = mask_;
    TrainState<M> state = initial_state(engine(), plan, train_);
    begin_at(file_.model, plan, file_.theta, state);
    state.population = population_;
    train<M>(engine(), plan, train_, state, [&](const UpdateReport& made, const TrainState<M>&) {
      return listener_.progress("refitting",
                                static_cast<double>(made.update) / static_cast<double>(made.total), "");
    });
    file_.theta = state.result();
    population_ = state.population;
  }

  PruneRound report(double density) {
    PruneRound row{density, std::nullopt, 0.0};
    if (cases_.n_cases() == 0) return row;
    const LogPartition z = log_partition();
    row.likelihood = mean_log_likelihood(free_energies(engine(), file_.theta, cases_), z, cases_.weights());
    row.log_partition_error = z.standard_error;
    return row;
  }

  LogPartition log_partition() const {
    if (file_.model.why_not_enumerable().empty()) return exact_log_partition(engine(), file_.theta, {});
    return log_partition_from_weights(
        file_.model.reference_log_partition(),
        annealed_log_weights(
            engine(), file_.theta, published_betas(kBetas),
            reference_chains(engine(), static_cast<std::uint64_t>(kLanes), Purpose::kValidation),
            Purpose::kValidation));
  }

  const PruneOptions& options_;
  ModelFile<M> file_;
  const Executor& executor_;
  Listener& listener_;
  typename M::Data train_;
  typename M::Data cases_;
  typename M::Offsets offsets_;
  Mask mask_;
  Population<M> population_;
  Caches<M> probe_;
  PairMoments moments_;
  KfacState<float> kfac_;
};

template <EnergyModel M>
PruneResult prune_of(ModelFile<M> file, const PruneOptions& options, const std::filesystem::path& out,
                     const Executor& executor, Listener& listener) {
  if constexpr (HasLayers<M>) {
    if (options.units && !HasRemovableLatents<M>)
      throw UsageError("prune: --units needs a model with one layer of hidden units, not " +
                       std::string(M::kKind));
    return Pruner<M>(options, std::move(file), executor, listener).prune(out);
  } else {
    throw UsageError("prune: needs a model of layers of binary units, not " + std::string(M::kKind));
  }
}

}  // namespace

std::vector<Violation> check(const PruneOptions& options) {
  std::vector<Violation> violations;
  if (!(options.density > 0 && options.density <= 1))
    violations.push_back({"density", text_of(options.density), "must be in (0, 1]"});
  if (!(options.lr > 0)) violations.push_back({"lr", text_of(options.lr), "must be above 0"});
  require_between(violations, "rounds", options.rounds, 1, 10000);
  require_between(violations, "refit", options.refit, 0, std::int64_t{1} << 31);
  require_between(violations, "chains", options.chains, 2, kMaxChains);
  require_between(violations, "sweeps", options.sweeps, 0, std::int64_t{1} << 31);
  return violations;
}

std::string PruneResult::words() const {
  std::string text = format("%10s %18s", "density", "log-likelihood");
  for (const PruneRound& row : rounds) {
    text += format("\n%10.4f", row.density);
    if (row.likelihood)
      text += format(" %18.4f +- %.4f nats", row.likelihood->log_likelihood, row.likelihood->standard_error);
  }
  return text + "\n" + path.string();
}

PruneResult prune_model(AnyModelFile file, const PruneOptions& options, const std::filesystem::path& out,
                        const Executor& executor, Listener& listener) {
  if (const auto violations = check(options); !violations.empty()) throw ConfigError(violations);
  if (options.refit > 0 && options.data.empty()) throw UsageError("prune: --refit needs --data");
  return std::visit(
      [&](auto&& model) { return prune_of(std::move(model), options, out, executor, listener); },
      std::move(file));
}

}  // namespace tempera
