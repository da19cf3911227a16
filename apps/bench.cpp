// tempera bench
#include <algorithm>
#include <chrono>
#include <memory>

#include "listener.hpp"
#include "metric_table.hpp"
#include "options.hpp"
#include "tempera/core/format.hpp"
#include "tempera/kernels/dispatch.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "tempera/train/trainer.hpp"
#include "yardstick.hpp"

namespace tempera::apps {
namespace {

struct Options {
  CommonOptions common;
  std::string metrics;
  std::string instructions;
  std::string only;
  double seconds = 0.3;
};

struct Shape {
  Index n_visible;
  Index n_hidden;
  std::uint64_t chains;
};

/// Shapes of the table: those of the literature, at several numbers of chains.
const std::vector<Shape> kShapes = {{784, 500, 64},   {784, 500, 100}, {784, 500, 128},   {784, 500, 1024},
                                    {784, 500, 4096}, {64, 100, 1024}, {784, 2000, 1024}, {3072, 4096, 1024}};

double seconds_of(const auto& cache) {
  const auto begin = std::chrono::steady_clock::now();
  cache();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Medians of work and yardstick, run alternately, and of their ratio.
struct Measured {
  double seconds = 0.0;
  double yardstick = 0.0;
  double ratio = 0.0;
};

/// Times of work and yardstick until a budget is spent.
class Samples {
 public:
  explicit Samples(double budget) : budget_(budget) {}
  /// Whether more are wanted.
  bool add(double ours, double theirs) {
    ours_.push_back(ours);
    theirs_.push_back(theirs);
    ratios_.push_back(ours / theirs);
    spent_ += ours + theirs;
    return ours_.size() < 5 || (spent_ < budget_ && ours_.size() < 1000);
  }
  [[nodiscard]] Measured result() const { return {median(ours_), median(theirs_), median(ratios_)}; }

 private:
  double budget_;
  double spent_ = 0.0;
  std::vector<double> ours_;
  std::vector<double> theirs_;
  std::vector<double> ratios_;
};

/// Times at a stretch that make a sample of some length, so that threads that slept meanwhile are awake for
/// most of it.
int stretch(double seconds) { return std::clamp(static_cast<int>(0.02 / seconds), 1, 200); }

Measured measure(double budget, const auto& work, const auto& yardstick) {
  Samples samples(budget);
  work();
  const int count = stretch(seconds_of(work));
  yardstick();
  const auto several = [&] {
    for (int k = 0; k < count; ++k) work();
  };
  while (samples.add(seconds_of(several) / count, seconds_of(yardstick))) {
  }
  return samples.result();
}

/// Binary cases in which every seventh value is 1 or so, as in pictures of digits.
BinaryData random_cases(Index n_cases, Index n_visible) {
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n_cases * n_visible));
  StreamEngine random = StreamFactory{1}.engine(Purpose::kDataSet, 0);
  for (auto& byte : bytes) byte = random() % 7 == 0 ? 1 : 0;
  return {n_cases, n_visible, bytes};
}

/// Where weights begin with this standard deviation.
class Bench {
 public:
  Bench(const Options& options, Listener& listener, int threads)
      : options_(options),
        listener_(listener),
        executor_(threads),
        yardstick_(yardstick_for(instruction_set())) {}

  void run(Json& rows) {
    for (const Shape& shape : kShapes) {
      run_shape(BernoulliRbm({shape.n_visible, shape.n_hidden}, {Vector::Constant(shape.n_visible, -1.5F)}),
                shape.chains, rows);
    }
    letters(rows);
    spike_slab(rows);
    exact(rows);
  }

 private:
  /// `flips`: units, or letters of sites, that are drawn for each chain; 0 where none are.
  void add(Json& rows, const std::string& what, const Shape& shape, const Measured& m,
           const std::string& yardstick, Index flips = 0) {
    rows.push_back({{"row", what},
                    {"n_visible", shape.n_visible},
                    {"n_hidden", shape.n_hidden},
                    {"chains", shape.chains},
                    {"threads", executor_.threads()},
                    {"milliseconds", 1e3 * m.seconds},
                    {"yardstick", yardstick},
                    {"yardstick_milliseconds", 1e3 * m.yardstick},
                    {"ratio", m.ratio}});
    if (flips > 0) {
      const auto chains = static_cast<double>(shape.chains);
      const auto edges = 2.0 * static_cast<double>(shape.n_visible) * static_cast<double>(shape.n_hidden);
      rows.back()["edges_per_second"] = edges * chains / m.seconds;
      rows.back()["flips_per_second"] = static_cast<double>(flips) * chains / m.seconds;
    }
    listener_.note(format("%-14s %4lld x %4lld  %5llu chains  %d threads  %10.3f ms   %.3f of %s",
                          what.c_str(), static_cast<long long>(shape.n_visible),
                          static_cast<long long>(shape.n_hidden),
                          static_cast<unsigned long long>(shape.chains), executor_.threads(), 1e3 * m.seconds,
                          m.ratio, yardstick.c_str()));
  }

  [[nodiscard]] bool wanted(const std::string& what) const {
    return options_.only.empty() || options_.only == what;
  }

  /// A sweep of a spike-and-slab machine without Phi, against the two products that it cannot avoid.
  void spike_slab(Json& rows) {
    if (!wanted("ssrbm")) return;
    const Shape shape{256, 512, 1024};
    MachineOptions machine;
    machine.hidden = {shape.n_hidden};
    const auto model =
        with_standard_reference<SpikeSlabRbm>(SpikeSlabRbm::shape_from(machine, shape.n_visible));
    InitialValues values;
    values.weights = 0.02;
    values.spike_bias = 0.0;
    values.spike_precision = 0.0;
    values.slab_precision = 10.0;
    SpikeSlabRbm::Params theta = model.initial_params(StreamFactory{1}, values);
    Vector direction;
    model.project(theta, direction, true);
    const Engine engine{model, StreamFactory{1}, executor_};
    Population<SpikeSlabRbm> population(reference_chains(engine, shape.chains, Purpose::kSampling));
    population.fit(engine);
    const auto n = static_cast<long>(shape.chains);
    const auto up = yardstick_.product(shape.n_hidden, shape.n_visible, n, true);
    const auto down = yardstick_.product(shape.n_visible, shape.n_hidden, n, false);
    add(rows, "ssrbm", shape,
        measure(
            options_.seconds, [&] { advance(engine, theta, 1, Purpose::kSampling, population); },
            [&] {
              up->run();
              down->run();
            }),
        "2 sgemm", shape.n_visible + 2 * shape.n_hidden);
  }

  /// An alignment of 112 sites with 21 letters.
  void letters(Json& rows) {
    run_shape(with_standard_reference<PottsRbm>({112 * 21, 1000, alike_letters(112, 21)}), 1024, rows);
  }

  template <class M>
  void run_shape(const M& model, std::uint64_t chains, Json& rows) {
    const Shape shape{model.n_visible(), model.n_hidden(), chains};
    const typename M::Params theta = model.initial_params(StreamFactory{1}, random_weights(0.05));
    const auto n = static_cast<long>(shape.chains);
    const auto up = yardstick_.product(shape.n_hidden, shape.n_visible, n, true);
    const auto down = yardstick_.product(shape.n_visible, shape.n_hidden, n, false);
    const auto outer = yardstick_.product(shape.n_visible, n, shape.n_hidden, false);
    const auto two_products = [&] {
      up->run();
      down->run();
    };

    const Engine engine{model, StreamFactory{1}, executor_};
    Population<M> population(reference_chains(engine, shape.chains, Purpose::kSampling));
    population.fit(engine);
    if (wanted("sweep")) {
      add(rows, "sweep", shape,
          measure(
              options_.seconds, [&] { advance(engine, theta, 1, Purpose::kSampling, population); },
              two_products),
          "2 sgemm", model.stage_units(0) + model.stage_units(1));
    }
    if (wanted("gradient")) {
      advance(engine, theta, 1, Purpose::kSampling, population);
      mean_latents(engine, theta, population.chains.blocks, population.caches);
      typename M::Params sums = model.zero_params();
      const PerChain<float> weights = mean_weights(shape.chains);
      add(rows, "gradient", shape,
          measure(
              options_.seconds, [&] { accumulate(engine, theta, population, weights, sums); },
              [&] { outer->run(); }),
          "1 sgemm");
    }
    if constexpr (std::same_as<M, BernoulliRbm>) {
      if (wanted("update"))
        update(shape, model, rows, [&] {
          two_products();
          up->run();
          outer->run();
          outer->run();
        });
    }
    if (wanted("ais")) {
      constexpr Index kSteps = 5;
      const auto betas = published_betas(kSteps + 1);
      Measured m = measure(
          options_.seconds,
          [&] {
            (void)annealed_log_weights(engine, theta, betas,
                                       reference_chains(engine, shape.chains, Purpose::kAnnealing),
                                       Purpose::kAnnealing);
          },
          [&] {
            for (Index k = 0; k < kSteps; ++k) two_products();
          });
      m.seconds /= kSteps;
      m.yardstick /= kSteps;
      add(rows, "ais", shape, m, "2 sgemm");
    }
  }

  /// A whole update of SML with as many cases as chains, default settings.
  void update(const Shape& shape, const BernoulliRbm& model, Json& rows, const auto& yardstick) {
    const BinaryData data = random_cases(static_cast<Index>(4 * shape.chains), shape.n_visible);
    TrainOptions options;
    options.chains.trainer = Trainer::kSml;
    options.chains.batch = static_cast<std::int64_t>(shape.chains);
    options.run.report_every = 1 << 30;
    options.rate.updates = 1 << 30;
    const Engine engine{model, StreamFactory{1}, executor_};
    const Plan plan =
        plan_of(resolve<BernoulliRbm>(options, shape.n_visible, data.n_cases()), data.n_cases());
    TrainState<BernoulliRbm> state = initial_state(engine, plan, data);
    // Between two calls of the observer lies one update.
    Samples samples(options_.seconds);
    auto begin = std::chrono::steady_clock::now();
    int count = 0;
    int wanted_count = 1;
    train<BernoulliRbm>(engine, plan, data, state,
                        [&](const UpdateReport& report, const TrainState<BernoulliRbm>&) {
                          const double spent =
                              std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
                          bool go_on = true;
                          if (report.update <= 2) {
                            wanted_count = stretch(spent);
                          } else if (++count < wanted_count) {
                            return Control::kContinue;
                          } else {
                            go_on = samples.add(spent / count, seconds_of(yardstick));
                          }
                          count = 0;
                          begin = std::chrono::steady_clock::now();
                          return go_on ? Control::kContinue : Control::kStop;
                        });
    const Measured m = samples.result();
    add(rows, "update", shape, m, "5 sgemm");
  }

  /// Enumeration of 2^20 states of the hidden layer, 196 visibles.
  void exact(Json& rows) {
    if (!wanted("exact")) return;
    const Shape shape{196, 20, 1U << 20};
    const auto model = with_standard_reference<BernoulliRbm>({shape.n_visible, shape.n_hidden});
    const BernoulliRbm::Params theta = model.initial_params(StreamFactory{1}, random_weights(0.3));
    // The least work that the sum over states needs in a straightforward way: one product of all states with
    // the weights.
    const auto product = yardstick_.product(1 << 14, shape.n_hidden, shape.n_visible, false);
    Measured m = measure(
        options_.seconds,
        [&] {
          executor_.for_each(model.exact_chunks(),
                             [&](Index chunk) { (void)model.log_partition_chunk(theta, 1.0, chunk); });
        },
        [&] {
          for (int k = 0; k < 64; ++k) product->run();
        });
    add(rows, "exact", shape, m, "1 sgemm");
  }

  const Options& options_;
  Listener& listener_;
  Executor executor_;
  const Yardstick& yardstick_;
};

/// The table of metrics for one machine, in place of times.
int run_metrics(const Options& options) {
  Listener silent;
  const AnyModelFile file = read_model(options.metrics, silent);
  const auto* rbm = std::get_if<ModelFile<BernoulliRbm>>(&file);
  if (rbm == nullptr) throw UsageError("bench: --metrics needs a model of kind bernoulli-rbm");
  const Executor executor(options.common.threads);
  ConsoleListener listener(options.common.quiet);
  const Json json = metric_table(*rbm, executor, listener);
  std::string text = format("%-20s %10s %10s %10s %12s %12s", "metric", "numbers", "KL", "condition",
                            "eff. noise", "eff. signal");
  for (const Json& row : json["rows"]) {
    text += format("\n%-20s %10lld %10.1f %10.1f %12.3f %12.3f", row["metric"].get<std::string>().c_str(),
                   static_cast<long long>(row["numbers"]), static_cast<double>(row["kl"]),
                   static_cast<double>(row["condition"]), static_cast<double>(row["efficiency_noise"]),
                   static_cast<double>(row["efficiency_signal"]));
  }
  print_result(options.common, json, text);
  return 0;
}

int run(const Options& options) {
  if (!options.metrics.empty()) return run_metrics(options);
  if (!options.instructions.empty()) use_instruction_set(options.instructions);
  const Yardstick& yardstick = yardstick_for(instruction_set());
  const double peak = yardstick.multiply_add_rate();
  const double copy = copy_rate();
  Json json = {{"instruction_set", instruction_set()},
               {"multiply_add_gflops", 1e-9 * peak},
               {"copy_gigabytes_per_second", 1e-9 * copy},
               {"rows", Json::array()}};
  ConsoleListener listener(options.common.quiet);
  listener.note(
      format("%s, one core: %.0f GFLOP/s of multiply-adds from registers, %.1f GB/s of memory copied",
             instruction_set().c_str(), 1e-9 * peak, 1e-9 * copy));
  std::vector<int> threads = {1};
  if (const int all = Executor(options.common.threads).threads(); all > 1) threads.push_back(all);
  if (options.common.threads == 1) threads = {1};
  for (const int count : threads) Bench(options, listener, count).run(json["rows"]);

  std::string text = format(
      "%s, one core: %.0f GFLOP/s of multiply-adds, %.1f GB/s of memory copied. Medians; ratio = time / time "
      "of Eigen's "
      "products on one core, alternating.\n%-9s %9s %8s %8s %8s %12s   %s",
      instruction_set().c_str(), 1e-9 * peak, 1e-9 * copy, "row", "n_visible", "n_hidden", "chains",
      "threads", "ms", "ratio");
  for (const Json& row : json["rows"]) {
    text += format("\n%-9s %9lld %8lld %8lld %8d %12.3f   %.3f of %s", row["row"].get<std::string>().c_str(),
                   static_cast<long long>(row["n_visible"]), static_cast<long long>(row["n_hidden"]),
                   static_cast<long long>(row["chains"]), static_cast<int>(row["threads"]),
                   static_cast<double>(row["milliseconds"]), static_cast<double>(row["ratio"]),
                   row["yardstick"].get<std::string>().c_str());
    if (row.contains("flips_per_second"))
      text += format(", %.1f G edges/s, %.3f G flips/s", 1e-9 * static_cast<double>(row["edges_per_second"]),
                     1e-9 * static_cast<double>(row["flips_per_second"]));
  }
  print_result(options.common, json, text);
  return 0;
}

}  // namespace

void setup_bench(CLI::App& program, int& exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App& app = *program.add_subcommand(
      "bench", "the speed of this machine, as ratios to Eigen's matrix products measured in the same run");
  app.add_option("--instructions", options->instructions,
                 "instruction set of the kernels, e.g. AVX2; the best of this CPU where not given");
  app.add_option("--only", options->only, "one kind of row")
      ->check(CLI::IsMember({"sweep", "gradient", "update", "ais", "exact", "ssrbm"}));
  app.add_option(
      "--metrics", options->metrics,
      "no times, but how near every metric is to the exact Fisher matrix of this model, of at most 22 "
      "hidden units");
  app.add_option("--seconds", options->seconds, "time for each row")
      ->check(CLI::Range(0.0, 600.0))
      ->capture_default_str();
  add_common_options(app, options->common);
  app.callback([options, &exit_code] { exit_code = run(*options); });
}

}  // namespace tempera::apps
