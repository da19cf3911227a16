#include "tempera/mcmc/trace.hpp"

#include <cmath>
#include <cstdio>

#include "tempera/core/math.hpp"
#include "tempera/models/bernoulli_rbm.hpp"

namespace tempera {
namespace {

constexpr double kLargestRHat = 1.05;
constexpr double kLeastEffective = 50.0;
constexpr double kLargestDisagreement = 5.0;

std::string number(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

/// Mean of some chains and its squared standard error, from their own autocorrelation time: that of all
/// chains together would hide a gap between them.
struct MeanOfChains {
  double mean = 0.0;
  double squared_error = 0.0;

  explicit MeanOfChains(const std::vector<std::vector<double>>& series) {
    MeanVariance all;
    for (const auto& chain : series) {
      for (const double x : chain) all.add(x);
    }
    mean = all.mean();
    squared_error = all.variance() / convergence(series).effective_sample_size;
  }
};

/// |mean of the warm chains - mean of the cold ones| in standard errors.
double disagreement(const std::vector<std::vector<double>>& series, std::size_t n_warm) {
  const auto middle = series.begin() + static_cast<std::ptrdiff_t>(n_warm);
  const MeanOfChains warm({series.begin(), middle});
  const MeanOfChains cold({middle, series.end()});
  const double difference = std::abs(warm.mean - cold.mean);
  return difference == 0.0 ? 0.0 : difference / std::sqrt(warm.squared_error + cold.squared_error);
}

}  // namespace

template <EnergyModel M>
void record(const M& model, const typename M::Params& theta, const Chains<M>& chains,
            std::span<const std::uint64_t> which, const Workspace<M>& workspace, const Workers& workers,
            Trace& trace) {
  std::vector<LaneDoubles> energies(chains.blocks.size());
  std::vector<char> concerned(chains.blocks.size(), 0);
  for (const std::uint64_t chain : which) concerned[chain / kLanes] = 1;
  workers.for_each(static_cast<Index>(energies.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    if (concerned[b] != 0)
      model.free_energy(theta, constant_beta(1.0F), chains.blocks[b], workspace.works[b], energies[b]);
  });
  trace.free_energy.resize(which.size());
  trace.mean_visible.resize(which.size());
  for (std::size_t c = 0; c < which.size(); ++c) {
    const std::uint64_t block = which[c] / kLanes;
    const std::uint64_t lane = which[c] % kLanes;
    std::uint64_t ones = 0;
    for (const Word unit : chains.blocks[block].visible) ones += unit >> lane & 1;
    trace.free_energy[c].push_back(energies[block][lane]);
    trace.mean_visible[c].push_back(static_cast<double>(ones) /
                                    static_cast<double>(chains.blocks[block].visible.size()));
  }
}

MixingReport judge(const Trace& trace, std::size_t n_warm) {
  MixingReport report;
  if (trace.draws() < 8) {
    report.verdict = "not mixed: fewer than 8 draws to judge by";
    return report;
  }
  report.free_energy = convergence(trace.free_energy);
  report.mean_visible = convergence(trace.mean_visible);
  const auto agree = [](double r_hat) { return std::isnan(r_hat) ? 1.0 : r_hat; };
  report.r_hat = std::max(agree(report.free_energy.r_hat), agree(report.mean_visible.r_hat));
  report.autocorrelation_time =
      std::max(report.free_energy.autocorrelation_time, report.mean_visible.autocorrelation_time);
  report.effective_sample_size =
      std::min(report.free_energy.effective_sample_size, report.mean_visible.effective_sample_size);
  report.starts_compared = n_warm > 0 && n_warm < trace.free_energy.size();
  if (report.starts_compared) {
    report.starts_disagree =
        std::max(disagreement(trace.free_energy, n_warm), disagreement(trace.mean_visible, n_warm));
  }
  std::string why;
  const auto because = [&why](const std::string& reason) { why += (why.empty() ? "" : "; ") + reason; };
  if (report.r_hat >= kLargestRHat) because("chains disagree, R-hat " + number("%.3f", report.r_hat));
  if (report.effective_sample_size < kLeastEffective)
    because("only " + number("%.0f", report.effective_sample_size) + " effective draws");
  if (report.starts_disagree > kLargestDisagreement) {
    because("chains from data and from the reference machine differ by " +
            number("%.1f", report.starts_disagree) + " standard errors");
  }
  report.mixed = why.empty();
  report.verdict = report.mixed ? "mixed" : "not mixed: " + why;
  if (report.mixed && !report.starts_compared)
    report.verdict += ", as far as chains from one kind of start can tell";
  return report;
}

template void record(const BernoulliRbm&, const BernoulliRbm::Params&, const Chains<BernoulliRbm>&,
                     std::span<const std::uint64_t>, const Workspace<BernoulliRbm>&, const Workers&, Trace&);

}  // namespace tempera
