// Ranks: the same bytes for any number of them, of every kind of machine.
#include <gtest/gtest.h>

#include <mutex>
#include <optional>

#include "../machines.hpp"
#include "../thread_ranks.hpp"
#include "tempera/core/errors.hpp"
#include "tempera/mcmc/annealing.hpp"
#include "training.hpp"

namespace tempera {
namespace {

constexpr Index kVisible = 12;
constexpr Index kCases = 400;

/// States that ranks have come to: each as a rank sees it, with the chains of all.
template <class T>
struct Seen {
  std::mutex mutex;
  std::vector<T> all;

  void add(T value) {
    const std::lock_guard lock(mutex);
    all.push_back(std::move(value));
  }
};

template <EnergyModel M>
M machine_for(const typename M::Data& data) {
  MachineOptions options = small_options<M>();
  if constexpr (HasLetters<M>) options.letters = small_letters(kVisible);
  return M(M::shape_from(options, kVisible), M::fit_reference(data));
}

/// The state after a run, as every rank sees it.
template <EnergyModel M>
std::vector<TrainState<M>> trained_on_ranks(int ranks, int threads, const TrainOptions& options) {
  const auto data = random_cases<typename M::Data>(kCases, kVisible);
  const M model = machine_for<M>(data);
  Seen<TrainState<M>> seen;
  on_ranks(ranks, [&](const Communicator& communicator) {
    const Executor executor(threads, communicator);
    const Training training(model, data, options, executor);
    TrainState<M> state = training.start();
    training.finish(state);
    gather(executor, state);
    seen.add(std::move(state));
  });
  return std::move(seen.all);
}

template <EnergyModel M>
void expect_the_same_on_ranks(const TrainOptions& options, const std::string& what,
                              std::initializer_list<std::pair<int, int>> grid = {{2, 1}, {3, 2}}) {
  SCOPED_TRACE(std::string(M::kKind) + " " + std::string(M::kHiddenUnits) + ", " + what);
  const TrainState<M> alone = trained_on_ranks<M>(1, 1, options).front();
  for (const auto& [ranks, threads] : grid) {
    for (const TrainState<M>& state : trained_on_ranks<M>(ranks, threads, options))
      ASSERT_EQ(first_difference(state, alone), "") << ranks << " ranks, " << threads << " threads";
  }
}

template <EnergyModel M>
TrainOptions run_of(Trainer trainer) {
  TrainOptions options;
  options.machine = small_options<M>();
  options.chains.trainer = trainer;
  options.chains.batch = 150;   // three blocks, the last not full
  options.chains.chains = 200;  // four
  options.rate.updates = 12;
  options.rate.lr = 0.05;
  options.run.report_every = 4;
  return options;
}

TEST(Ranks, TrainingIsTheSameForEveryKindAndTrainer) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    for (const Trainer trainer : {Trainer::kCd, Trainer::kSml})
      expect_the_same_on_ranks<M>(run_of<M>(trainer), std::string(name_of(trainer)));
    // A ladder that changes its rungs, and a tracker.
    TrainOptions options = run_of<M>(Trainer::kSmlApt);
    options.ladder.ensembles = 20;
    options.ladder.rungs = 5;
    options.tracking.track_log_z = Tracking::kLattice;
    options.tracking.ensembles = 12;
    options.rate.updates = 110;
    options.rate.lr = 0.2;
    expect_the_same_on_ranks<M>(options, "sml-apt", {{3, 1}});
    expect_the_same_on_ranks<M>(run_of<M>(Trainer::kSmlPtt), "sml-ptt", {{2, 1}});
  });
}

TEST(Ranks, MoreRanksThanBlocksAreTheSame) {
  TrainOptions options = run_of<BernoulliRbm>(Trainer::kSmlApt);
  options.chains.batch = 60;
  options.chains.chains = 10;
  options.ladder.ensembles = 3;
  options.ladder.rungs = 4;
  expect_the_same_on_ranks<BernoulliRbm>(options, "few chains", {{4, 1}, {7, 2}});
}

TEST(Ranks, JumpsAndMetricsAreTheSame) {
  TrainOptions options = run_of<BernoulliRbm>(Trainer::kSmlApt);
  options.chains.jump = 0.5;
  options.ladder.ensembles = 20;
  expect_the_same_on_ranks<BernoulliRbm>(options, "jumps");
  options.ladder.placement = Placement::kDesjardins2010;
  options.rate.updates = 70;
  options.rate.lr = 0.3;
  expect_the_same_on_ranks<BernoulliRbm>(options, "feedback", {{2, 1}});
  for (const auto& metric : Names<MetricKind>::table) {
    TrainOptions natural = run_of<BernoulliRbm>(Trainer::kSml);
    natural.natural.metric = metric.value;
    expect_the_same_on_ranks<BernoulliRbm>(natural, std::string(metric.name), {{3, 2}});
  }
}

TEST(Ranks, AnnealingIsTheSame) {
  for_each_kind([]<class M>(std::type_identity<M>) {
    const auto data = random_cases<typename M::Data>(kCases, kVisible);
    const M model = machine_for<M>(data);
    const typename M::Params theta = model.initial_params(StreamFactory{3}, random_weights(0.3));
    const auto weights_on = [&](int ranks, int threads) {
      Seen<std::vector<double>> seen;
      on_ranks(ranks, [&](const Communicator& communicator) {
        const Executor executor(threads, communicator);
        const Engine<M> engine{model, StreamFactory{5}, executor};
        seen.add(annealed_log_weights(engine, theta, published_betas(30),
                                      reference_chains(engine, 210, Purpose::kAnnealing), Purpose::kAnnealing,
                                      {}));
      });
      return std::move(seen.all);
    };
    const std::vector<double> alone = weights_on(1, 1).front();
    for (const auto& [ranks, threads] : {std::pair{2, 1}, {3, 2}, {6, 1}}) {
      for (const std::vector<double>& weights : weights_on(ranks, threads))
        EXPECT_EQ(weights, alone) << M::kKind << " " << ranks << " " << threads;
    }
  });
}

/// An update that is repeated by one thread alone gives the same numbers; one that is not is found.
TEST(Ranks, UpdatesAreCheckedAgainstOneThread) {
  TrainOptions options = run_of<BernoulliRbm>(Trainer::kSmlApt);
  options.ladder.ensembles = 20;
  options.tracking.track_log_z = Tracking::kLattice;
  options.chains.jump = 0.5;
  options.rate.updates = 30;
  const auto unchecked = trained_on_ranks<BernoulliRbm>(1, 1, options).front();
  options.run.check = 1;
  for (const auto& [ranks, threads] : {std::pair{1, 2}, {3, 1}}) {
    for (const auto& state : trained_on_ranks<BernoulliRbm>(ranks, threads, options))
      EXPECT_EQ(first_difference(state, unchecked), "") << ranks;
  }
  // Planted: the second rank has a weight of its own.
  const auto data = random_cases<BinaryData>(kCases, kVisible);
  const BernoulliRbm model = machine_for<BernoulliRbm>(data);
  Seen<std::string> told;
  on_ranks(2, [&](const Communicator& communicator) {
    const Executor executor(1, communicator);
    const Training training(model, data, options, executor);
    TrainState<BernoulliRbm> state = training.start();
    state.theta.weights(2, 3) += communicator.rank() == 1 ? 0.5F : 0.0F;
    try {
      training.finish(state);
    } catch (const NumericalError& error) {
      told.add(error.what());
    }
  });
  ASSERT_EQ(told.all.size(), 2U);
  for (const std::string& words : told.all) EXPECT_NE(words.find("update 1: '"), std::string::npos) << words;
}

/// What a rank has of another is not current until it is gathered: the comparisons above look at that.
TEST(Ranks, PlantedStatesThatAreNotGatheredDiffer) {
  const auto data = random_cases<BinaryData>(kCases, kVisible);
  const BernoulliRbm model = machine_for<BernoulliRbm>(data);
  const TrainOptions options = run_of<BernoulliRbm>(Trainer::kSml);
  const TrainState<BernoulliRbm> alone = trained_on_ranks<BernoulliRbm>(1, 1, options).front();
  Seen<TrainState<BernoulliRbm>> seen;
  on_ranks(2, [&](const Communicator& communicator) {
    const Executor executor(1, communicator);
    const Training training(model, data, options, executor);
    TrainState<BernoulliRbm> state = training.start();
    training.finish(state);
    seen.add(std::move(state));
  });
  for (const auto& state : seen.all) EXPECT_EQ(first_difference(state, alone), "chains");
}

TEST(Communicator, EveryThingHasOneOwner) {
  for (const int ranks : {1, 2, 3, 7, 64, 100}) {
    for (const Index count : {1, 2, 5, 63, 64, 65, 1000, 1023, 100'000}) {
      Index next = 0;
      for (int r = 0; r < ranks; ++r) {
        const UnitRange part = part_of(count, r, ranks);
        EXPECT_EQ(part.first, next);
        const double fair = static_cast<double>(count) / ranks;
        EXPECT_NEAR(static_cast<double>(part.size()), fair, std::max(1.0, fair / 16.0)) << count << ranks;
        next = part.last;
        for (Index i = part.first; i < part.last; ++i) EXPECT_EQ(owner_of(i, count, ranks), r);
      }
      EXPECT_EQ(next, count);
    }
  }
  // Where few nodes of a tree end.
  EXPECT_EQ(part_of(63, 0, 2).last, 32);
  EXPECT_EQ(part_of(1000, 1, 4).first, 256);
}

TEST(Communicator, WhatOneSaysAllHear) {
  on_ranks(3, [](const Communicator& ranks) {
    EXPECT_FALSE(ranks.any(false));
    EXPECT_TRUE(ranks.any(ranks.rank() == 2));
    const std::vector<int> each = ranks.each(10 * ranks.rank());
    EXPECT_EQ(each, (std::vector<int>{0, 10, 20}));
    // Pieces of unequal sizes, in order: two for every other rank.
    std::vector<std::vector<std::byte>> out;
    std::vector<std::vector<std::byte>> in;
    for (int r = 0; r < 3; ++r) {
      for (int k = 0; k < 2; ++k) {
        out.emplace_back(static_cast<std::size_t>(1 + r + k),
                         static_cast<std::byte>(16 * ranks.rank() + 4 * r + k));
        in.emplace_back(static_cast<std::size_t>(1 + ranks.rank() + k));
      }
    }
    std::vector<SentPiece> sent;
    std::vector<ReceivedPiece> received;
    for (int r = 0; r < 3; ++r) {
      for (int k = 0; k < 2 && r != ranks.rank(); ++k) {
        sent.push_back({r, out[static_cast<std::size_t>(2 * r + k)]});
        received.push_back({r, in[static_cast<std::size_t>(2 * r + k)]});
      }
    }
    ranks.exchange(sent, received);
    for (int r = 0; r < 3; ++r) {
      for (int k = 0; k < 2 && r != ranks.rank(); ++k) {
        for (const std::byte x : in[static_cast<std::size_t>(2 * r + k)])
          EXPECT_EQ(x, static_cast<std::byte>(16 * r + 4 * ranks.rank() + k));
      }
    }
    EXPECT_GT(ranks.traffic().bytes, 0U);
  });
  EXPECT_EQ(Communicator::alone().traffic().calls, 0U);
}

}  // namespace
}  // namespace tempera
