// One method after another, on what they share.
#pragma once

#include "tempera/diagnostics/trace.hpp"
#include "tempera/services/likelihood.hpp"
#include "tempera/services/tempered_population.hpp"

namespace tempera {

/// Estimates log Z of one machine. What methods share (betas, a tempering run) is made when it is first
/// needed. `keeps_energies`: whether MBAR, which wants the free energies of every replica at every rung, is
/// among the methods to come. Refers to what the caller owns.
template <EnergyModel M>
class Estimator {
 public:
  Estimator(const ModelFile<M>& file, const LikelihoodCases<M>& cases, const EstimateOptions& options,
            bool keeps_energies, const Executor& executor, Listener& listener)
      : file_(file),
        cases_(cases),
        options_(options),
        keeps_energies_(keeps_energies),
        shift_(file.log_partition_shift()),
        executor_(executor),
        listener_(listener) {}

  /// By one method.
  LogPartitionEstimate estimate(LikelihoodMethod method);
  /// An estimate in the data's units, held against what the modes and the annealing runs so far prove. False
  /// where the listener stopped the search of modes: the estimate is then not to be trusted, and says so.
  bool hold(LogPartitionEstimate& estimate);

 private:
  /// A run on a temperature ladder, with what it has measured so far.
  struct TemperingRun {
    TemperedPopulation<M> replicas;
    std::vector<EnergyDifferences> differences;  // of every pair of neighbours
    std::vector<Eigen::MatrixXd> energies;       // of some rounds
    Trace trace;
    std::uint64_t rounds = 0;

    [[nodiscard]] MixingReport mixing() const { return assess_mixing(trace, replicas.n_warm); }
    /// Why what it measures is not to be trusted, or empty.
    [[nodiscard]] std::string doubt() const;
    /// What was measured so far; replicas and rounds stay.
    void forget() {
      for (EnergyDifferences& pair : differences) pair = {};
      energies.clear();
      trace = {};
    }
  };

  [[nodiscard]] std::uint64_t seed() const { return static_cast<std::uint64_t>(options_.seed); }
  [[nodiscard]] std::uint64_t ensembles() const { return static_cast<std::uint64_t>(options_.ensembles); }
  [[nodiscard]] Engine<M> engine() const { return {file_.model, {seed()}, executor_}; }
  [[nodiscard]] Engine<M> batch_engine(std::uint64_t batch) const;
  [[nodiscard]] bool reached(const LogPartition& z) const;
  const std::vector<double>& betas();
  std::vector<double> falling_betas();

  template <class Start, class Value>
  LogPartition annealed(const char* label, const std::vector<double>& betas, Purpose purpose, Start&& start,
                        Value&& value);

  [[nodiscard]] bool enumeration_is_cheap() const;
  LogPartitionEstimate automatic();
  const std::optional<ModeSearch>& modes();
  const std::optional<LogPartitionBound>& lower_bound();
  void note_annealing(const LogPartition& z);
  LogPartitionEstimate exact();
  LogPartitionEstimate ais();
  LogPartitionEstimate mode_ais();
  LogPartitionEstimate reverse_ais();
  LogPartitionEstimate raise();
  LogPartitionEstimate tracked();
  LogPartitionEstimate along_ladder(LikelihoodMethod method);
  LogPartitionEstimate after_tempering(LikelihoodMethod method, const LogPartition& z);

  TemperingRun& tempering();
  [[nodiscard]] bool can_continue() const;
  void continue_run(std::uint64_t rounds, const char* label);
  void round(TemperingRun& run);
  Chains<M> draws(TemperingRun& run, std::uint64_t spacing);

  const ModelFile<M>& file_;
  const LikelihoodCases<M>& cases_;
  const EstimateOptions& options_;
  const bool keeps_energies_;
  const double shift_;  // of log Z in the data's units
  const Executor& executor_;
  Listener& listener_;
  std::vector<double> betas_;
  std::optional<TemperingRun> run_;
  std::optional<ModeSearch> modes_;
  std::optional<LogPartitionEstimate> second_opinion_;
  std::optional<LogPartitionBound> bound_;
  std::optional<double> probable_bound_;
  bool searched_ = false;
  bool bounded_ = false;
};

}  // namespace tempera
