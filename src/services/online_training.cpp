#include "tempera/services/online_training.hpp"

#include <numeric>

#include "tempera/train/trainer.hpp"
#include "training_data.hpp"

namespace tempera {
namespace {

/// Cases of a batch as the machine sees them. Bits of grey values are drawn anew in every update.
template <EnergyModel M>
typename M::Data cases_of(RunData<M>& data, const TrainOptions& options, std::uint64_t update) {
  if (M::kFeatures.has(Feature::kBinarize))
    data.rule = binarization_for(data.file, options.data.binarize,
                                 static_cast<std::uint64_t>(options.run.seed) + update);
  return values_of<M>(data, "train");
}

template <EnergyModel M>
class Session : public OnlineTraining {
 public:
  Session(const TrainOptions& options, int threads, Listener& listener)
      : options_(options), executor_(threads), data_(first_batch(options_, listener)) {
    set_letters<M>(data_.file, options_.machine);
    const typename M::Data cases = cases_of(data_, options_, 0);
    options_ =
        resolve<M>(options_, cases.n_visible(), cases.n_cases(), variance_of(cases), false, cases.weights());
    plan_ = plan_of(options_, cases.n_cases());
    typename M::Shape shape = M::shape_from(options_.machine, cases.n_visible());
    if constexpr (HasUnits<M>) shape = M::in_units(std::move(shape), data_.units);
    model_.emplace(std::move(shape), M::fit_reference(cases));
    state_ = initial_state(engine(), plan_, cases);
    memory_ = memory_for(*model_);
    memory_.searches = search_budget(*model_, plan_);
  }

  void update(const DataSource& batch, Listener& listener) override {
    data_.file = read_data_file(batch, {options_.data.columns}, listener);
    if constexpr (HasUnits<M>) {
      if (data_.file.columns() != static_cast<Index>(width())) throw other_width();
    }
    const typename M::Data cases = cases_of(data_, options_, state_.update);
    if (cases.n_visible() != model_->n_visible()) throw other_width();
    require_possible_values(*model_, cases, data_.file.name);
    std::vector<Index> all(static_cast<std::size_t>(cases.n_cases()));
    std::iota(all.begin(), all.end(), Index{0});
    tempera::update(engine(), plan_, Batch<M>{cases, all, state_.update, nullptr}, state_, memory_);
  }

  [[nodiscard]] AnyModelFile model() const override {
    return ModelFile<M>{
        {},          *model_,     state_.result(),    true, data_.file.visible_shape, data_.rule,
        data_.steps, data_.units, data_.file.alphabet};
  }
  [[nodiscard]] std::uint64_t updates() const override { return state_.update; }

 private:
  static RunData<M> first_batch(const TrainOptions& options, Listener& listener) {
    RunData<M> data;
    data.file = read_data_file(options.data.data, {options.data.columns, options.data.shape}, listener);
    require_values_of<M>(data.file);
    const Table& table = data.file.split("train");
    if (const auto violations = check(options, table.columns, table.rows); !violations.empty())
      throw ConfigError(violations);
    if constexpr (HasUnits<M>) fit_coordinates(options.machine, data, listener);
    return data;
  }

  [[nodiscard]] Index width() const {
    return data_.steps.empty() ? model_->n_visible() : static_cast<Index>(data_.steps.n_inputs);
  }
  [[nodiscard]] DataError other_width() const {
    return DataError(data_.file.name + ": has " + std::to_string(data_.file.columns()) +
                     " columns, the first batch had " + std::to_string(width()));
  }
  [[nodiscard]] Engine<M> engine() const {
    return {*model_, StreamFactory{static_cast<std::uint64_t>(options_.run.seed)}, executor_};
  }

  TrainOptions options_;
  Executor executor_;
  RunData<M> data_;
  Plan plan_;
  std::optional<M> model_;
  TrainState<M> state_;
  Memory<M> memory_;
};

}  // namespace

std::unique_ptr<OnlineTraining> begin_online_training(TrainOptions options, int threads, Listener& listener) {
  options.rate.schedule = Schedule::kConstant;
  options.rate.epochs.reset();
  options.rate.updates = std::int64_t{1} << 31;
  options.tracking.track_log_z = Tracking::kNone;
  options.gradient.average = false;
  if (const auto violations = check(options); !violations.empty()) throw ConfigError(violations);
#define TEMPERA_TRY(M)                                                                     \
  if (options.machine.kind == M::kKind && options.machine.hidden_units == M::kHiddenUnits) \
    return std::make_unique<Session<M>>(options, threads, listener);
  TEMPERA_FOR_EACH_MODEL(TEMPERA_TRY)
#undef TEMPERA_TRY
  throw ConfigError({{"model", "'" + options.machine.kind + "'", "is no kind of model"}});
}

}  // namespace tempera
