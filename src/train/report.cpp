// What is to be seen of an update's phases, before its parameters move.
#include <algorithm>
#include <cmath>

#include "tempera/models/all_models.hpp"
#include "tempera/train/update.hpp"

namespace tempera {
namespace {

/// Chains that are followed between reports, and looks at them.
constexpr std::size_t kFollowed = 64;
constexpr std::uint64_t kLooks = 32;
/// A unit whose expectation varies less over the cases, in standard deviations, tells nothing of them.
constexpr double kLeastVariation = 0.02;

template <EnergyModel M>
double mean_free_energy(const Engine<M>& engine, const typename M::Params& theta, const Phase<M>& phase,
                        bool of_cases) {
  const std::vector<typename M::State>& blocks = phase.population.chains.blocks;
  std::vector<double> sums(blocks.size());
  engine.executor.for_each(static_cast<Index>(blocks.size()), [&](Index b) {
    const auto i = static_cast<std::size_t>(b);
    const typename M::BlockCache& cache = phase.population.caches.blocks[i];
    LaneDoubles values;
    if (of_cases) {
      case_free_energy(engine.model, theta, blocks[i], cache, values);
    } else {
      engine.model.free_energy(theta, constant_beta(1.0F), blocks[i], cache, values);
    }
    for (std::size_t c = 0; c < values.size(); ++c)
      sums[i] += static_cast<double>(phase.weights.blocks[i][c]) * values[c];
  });
  return sum_doubles(static_cast<Index>(sums.size()),
                     [&](Index b) { return sums[static_cast<std::size_t>(b)]; });
}

/// Hidden units of every layer that tell cases apart.
template <EnergyModel M>
std::vector<Index> live_units(const M& model, const Population<M>& cases) {
  const std::vector<Index> sizes = model.layer_sizes();
  std::vector<Index> live;
  LaneMatrix values;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    Eigen::ArrayXd sum = Eigen::ArrayXd::Zero(sizes[k]);
    Eigen::ArrayXd squares = sum;
    double n = 0.0;
    values.resize(sizes[k], kLanes);
    for (std::size_t b = 0; b < cases.chains.blocks.size(); ++b) {
      const Index lanes = cases.caches.blocks[b].lanes;
      model.layer_values(static_cast<Index>(k), cases.chains.blocks[b], cases.caches.blocks[b], values);
      const Eigen::ArrayXXd x = values.leftCols(lanes).template cast<double>().array();
      sum += x.rowwise().sum();
      squares += x.square().rowwise().sum();
      n += static_cast<double>(lanes);
    }
    live.push_back(((squares / n - (sum / n).square()) > kLeastVariation * kLeastVariation).count());
  }
  return live;
}

/// Looks at the chains now and then; at a report, tells how they mixed since the last one.
template <EnergyModel M>
void follow_chains(const Engine<M>& engine, const Plan& plan, const TrainState<M>& s, Memory<M>& memory,
                   UpdateReport& report) {
  const std::uint64_t stride = std::max<std::uint64_t>(1, plan.report.every / kLooks);
  if (s.update % stride == 0) {
    std::vector<std::uint64_t> which = gradient_chains(s);
    which.resize(std::min(kFollowed, which.size()));
    record(engine, s.theta, s.population, which, memory.clusters, memory.trace);
  }
  if (!is_reported(plan, s.update + 1)) return;
  const MixingReport mixing = assess_mixing(memory.trace, 0);
  if (!std::isnan(mixing.r_hat)) {
    report.r_hat = mixing.r_hat;
    report.autocorrelation_time = mixing.autocorrelation_time * static_cast<double>(stride);
    report.effective_sample_size = mixing.effective_sample_size;
    if (mixing.occupancy.size() > 0)
      report.cluster_variation = cluster_variation(memory.clusters, mixing.occupancy);
  }
  memory.trace = {};
}

}  // namespace

template <EnergyModel M>
UpdateReport look(const Engine<M>& engine, const Plan& plan, const Phase<M>& data, const Phase<M>& fantasy,
                  const TrainState<M>& s, Memory<M>& memory) {
  UpdateReport report;
  if (plan.sampling.persistent) follow_chains(engine, plan, s, memory, report);
  if (!is_reported(plan, s.update + 1)) return report;
  report.data_free_energy = mean_free_energy(engine, s.theta, data, true);
  report.chain_free_energy = mean_free_energy(engine, s.theta, fantasy, false);
  report.live_units = live_units(engine.model, data.population);
  return report;
}

#define TEMPERA_INSTANTIATE(M)                                                                \
  template UpdateReport look(const Engine<M>&, const Plan&, const Phase<M>&, const Phase<M>&, \
                             const TrainState<M>&, Memory<M>&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
