// A run from its start to its samples, by the library alone. Usage: consumer DIRECTORY
#include <cstdio>
#include <string>
#include <tempera/services/likelihood.hpp>
#include <tempera/services/sampling.hpp>
#include <tempera/services/training_run.hpp>

using namespace tempera;

/// Says warnings; everything else a Listener keeps to itself.
struct Printer : Listener {
  void warn(const std::string& words) override { std::printf("warning: %s\n", words.c_str()); }
};

int main(int, char** argv) {
  const std::string directory = argv[1];
  const Executor executor(2);  // threads
  Printer printer;
  try {
    // Train a small machine on the digits that come with the library, and go on for a while.
    TrainOptions options;
    options.data.data = "digits";
    options.data.binarize = {BinarizeMethod::kThreshold};
    options.machine.hidden = {16};
    options.rate.updates = 500;
    run_training(directory, options, Start::kAnew, executor, printer);
    const TrainOptions longer = resumed_options(directory, 800);
    const TrainingResult run = run_training(directory, longer, Start::kCheckpoint, executor, printer);
    std::printf("%llu updates%s\n", static_cast<unsigned long long>(run.updates), run.score.c_str());

    // How likely is the test set?
    LikelihoodOptions question;
    question.data = "digits";
    question.method = LikelihoodMethod::kExact;
    const LikelihoodResult answer =
        estimate_likelihood(read_model(directory, printer), question, executor, printer);
    std::printf("log Z %.4f, log-likelihood %.3f +- %.3f nats\n", answer.first().log_partition.value,
                answer.data->likelihood.log_likelihood, answer.data->likelihood.standard_error);

    // Samples from a temperature ladder, and whether its chains mix.
    SamplingOptions wish;
    wish.count = 200;
    wish.ladder = SampleLadder::kTemperature;
    wish.data = "digits";
    const SampleResult samples = draw_samples(read_model(directory, printer), wish, executor, printer);
    std::printf("%lld samples: %s\n", static_cast<long long>(samples.count), samples.mixing.verdict.c_str());
    write_samples(samples, directory + "/samples.h5");

    // The model itself, of whatever kind it is.
    std::visit(
        [](const auto& file) {
          std::printf("%lld visible units, %lld parameters\n", static_cast<long long>(file.model.n_visible()),
                      static_cast<long long>(size_of(file.theta)));
        },
        read_model(directory, printer));
  } catch (const Error& error) {
    std::printf("%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
