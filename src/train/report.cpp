// What is to be seen of an update's phases, before its parameters move.
#include <algorithm>
#include <cmath>

#include "tempera/models/all_models.hpp"
#include "tempera/train/update.hpp"

namespace tempera {
namespace {

/// Looks at the followed chains between reports.
constexpr std::uint64_t kLooks = 32;
/// A unit whose expectation varies less over the cases, in standard deviations, tells nothing of them.
constexpr double kLeastVariation = 0.02;

template <EnergyModel M>
double mean_free_energy(const Engine<M>& engine, const typename M::Params& theta, const Phase<M>& phase,
                        bool of_cases) {
  const std::vector<typename M::State>& blocks = phase.population.chains.blocks;
  std::vector<double> sums(blocks.size());
  engine.executor.for_each_owned(static_cast<Index>(blocks.size()), [&](Index b) {
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
  engine.executor.share(sums);
  return sum_doubles(static_cast<Index>(sums.size()),
                     [&](Index b) { return sums[static_cast<std::size_t>(b)]; });
}

/// Hidden units of every layer that tell cases apart.
template <EnergyModel M>
std::vector<Index> live_units(const Engine<M>& engine, const Population<M>& cases) {
  const std::vector<Index> sizes = engine.model.layer_sizes();
  const auto n_blocks = static_cast<Index>(cases.chains.blocks.size());
  const int ranks = engine.executor.ranks().size();
  const auto n = static_cast<double>(cases.chains.n_chains);
  std::vector<Index> live;
  for (std::size_t k = 1; k < sizes.size(); ++k) {
    // Of every block, sums and sums of squares.
    std::vector<Eigen::ArrayX2d> sums(static_cast<std::size_t>(n_blocks), Eigen::ArrayX2d(sizes[k], 2));
    engine.executor.for_each_owned(n_blocks, [&](Index block) {
      const auto b = static_cast<std::size_t>(block);
      LaneMatrix values(sizes[k], kLanes);
      engine.model.layer_values(static_cast<Index>(k), cases.chains.blocks[b], cases.caches.blocks[b],
                                values);
      const Eigen::ArrayXXd x = values.leftCols(cases.caches.blocks[b].lanes).template cast<double>().array();
      sums[b].col(0) = x.rowwise().sum();
      sums[b].col(1) = x.square().rowwise().sum();
    });
    std::vector<Made> made;
    for (Index b = 0; b < n_blocks; ++b)
      made.push_back(
          {owner_of(b, n_blocks, ranks), {bytes_of(sums[static_cast<std::size_t>(b)].data(), 2 * sizes[k])}});
    share_things(engine.executor.ranks(), made);
    Eigen::ArrayX2d all = Eigen::ArrayX2d::Zero(sizes[k], 2);
    for (const Eigen::ArrayX2d& of : sums) all += of;
    live.push_back(
        ((all.col(1) / n - (all.col(0) / n).square()) > kLeastVariation * kLeastVariation).count());
  }
  return live;
}

/// The chains that are followed.
template <EnergyModel M>
std::vector<std::uint64_t> followed_chains(const TrainState<M>& s) {
  std::vector<std::uint64_t> which = gradient_chains(s);
  which.resize(std::min(kFollowedChains, which.size()));
  return which;
}

/// Adds the only draw of a trace.
void add_look(const Trace& trace, Looks& looks) {
  const auto n = static_cast<Index>(trace.free_energy.size());
  looks.conservativeResize(looks.rows() + 1, 3 * n);
  for (Index c = 0; c < n; ++c) {
    const auto chain = static_cast<std::size_t>(c);
    looks(looks.rows() - 1, c) = trace.free_energy[chain].front();
    looks(looks.rows() - 1, n + c) = trace.mean_visible[chain].front();
    looks(looks.rows() - 1, 2 * n + c) =
        trace.cluster.empty() ? -1.0 : static_cast<double>(trace.cluster[chain].front());
  }
}

Trace trace_of(const Looks& looks, Index n_clusters) {
  Trace trace;
  trace.n_clusters = n_clusters;
  const Index n = looks.cols() / 3;
  for (Index c = 0; c < n; ++c) {
    const auto values = [&](Index quantity) {
      const Eigen::VectorXd column = looks.col(quantity * n + c);
      return std::vector<double>(column.begin(), column.end());
    };
    trace.free_energy.push_back(values(0));
    trace.mean_visible.push_back(values(1));
    if (n_clusters == 0) continue;
    const std::vector<double> clusters = values(2);
    trace.cluster.emplace_back(clusters.begin(), clusters.end());
  }
  return trace;
}

/// Looks at the chains now and then; at a report, tells how they mixed since the last one.
template <EnergyModel M>
void follow_chains(const Engine<M>& engine, const Plan& plan, TrainState<M>& s, Memory<M>& memory,
                   UpdateReport& report) {
  const std::uint64_t stride = std::max<std::uint64_t>(1, plan.report.every / kLooks);
  if (s.update % stride == 0) {
    Trace now;
    record(engine, s.theta, s.population, followed_chains(s), memory.clusters, now);
    add_look(now, s.looks);
  }
  if (!is_reported(plan, s.update + 1)) return;
  const MixingReport mixing = assess_mixing(trace_of(s.looks, memory.clusters.size()), 0);
  if (!std::isnan(mixing.r_hat)) {
    report.r_hat = mixing.r_hat;
    report.autocorrelation_time = mixing.autocorrelation_time * static_cast<double>(stride);
    report.effective_sample_size = mixing.effective_sample_size;
    if (mixing.occupancy.size() > 0)
      report.cluster_variation = cluster_variation(memory.clusters, mixing.occupancy);
  }
  s.looks.resize(0, 0);
}

}  // namespace

template <EnergyModel M>
UpdateReport look(const Engine<M>& engine, const Plan& plan, const Phase<M>& data, const Phase<M>& fantasy,
                  TrainState<M>& s, Memory<M>& memory) {
  UpdateReport report;
  if (plan.sampling.persistent) follow_chains(engine, plan, s, memory, report);
  if (!is_reported(plan, s.update + 1)) return report;
  report.data_free_energy = mean_free_energy(engine, s.theta, data, true);
  report.chain_free_energy = mean_free_energy(engine, s.theta, fantasy, false);
  report.live_units = live_units(engine, data.population);
  return report;
}

template <EnergyModel M>
bool are_looks_of(const TrainState<M>& s, const DataClusters& clusters) {
  if (s.looks.size() == 0) return true;
  const auto n = static_cast<Index>(followed_chains(s).size());
  if (s.looks.cols() != 3 * n) return false;
  const auto known = static_cast<double>(clusters.size());
  const auto numbers = s.looks.rightCols(n).array();
  return known == 0.0 ? (numbers == -1.0).all()
                      : (numbers >= 0.0 && numbers < known && numbers == numbers.floor()).all();
}

#define TEMPERA_INSTANTIATE(M)                                                                \
  template UpdateReport look(const Engine<M>&, const Plan&, const Phase<M>&, const Phase<M>&, \
                             TrainState<M>&, Memory<M>&);                                     \
  template bool are_looks_of(const TrainState<M>&, const DataClusters&);

TEMPERA_FOR_EACH_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
