#include "tempera/diagnostics/trace.hpp"

#include <cmath>
#include <cstdio>
#include <numeric>

#include "tempera/core/math.hpp"

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

/// Whether each chain is in a cluster: 1 or 0, draw after draw.
std::vector<std::vector<double>> membership(const Trace& trace, Index cluster) {
  std::vector<std::vector<double>> series;
  for (const auto& chain : trace.cluster) {
    auto& member = series.emplace_back();
    for (const Index c : chain) member.push_back(c == cluster ? 1.0 : 0.0);
  }
  return series;
}

}  // namespace

MixingReport assess_mixing(const Trace& trace, std::size_t n_warm) {
  MixingReport report;
  if (trace.draws() < 8) {
    report.verdict = "not mixed: fewer than 8 draws to judge by";
    return report;
  }
  report.starts_compared = n_warm > 0 && n_warm < trace.free_energy.size();
  const auto assess = [&](const std::vector<std::vector<double>>& series) {
    const Convergence found = convergence(series);
    const double r_hat = std::isnan(found.r_hat) ? 1.0 : found.r_hat;  // constant: nothing to disagree about
    const bool first = std::isnan(report.r_hat);
    report.r_hat = first ? r_hat : std::max(report.r_hat, r_hat);
    report.autocorrelation_time = std::max(report.autocorrelation_time, found.autocorrelation_time);
    report.effective_sample_size = first
                                       ? found.effective_sample_size
                                       : std::min(report.effective_sample_size, found.effective_sample_size);
    if (report.starts_compared)
      report.starts_disagree = std::max(report.starts_disagree, disagreement(series, n_warm));
    return found;
  };
  report.free_energy = assess(trace.free_energy);
  report.mean_visible = assess(trace.mean_visible);
  report.occupancy = Eigen::VectorXd::Zero(trace.n_clusters);
  for (Index k = 0; k < trace.n_clusters; ++k) {
    const std::vector<std::vector<double>> series = membership(trace, k);
    for (const auto& chain : series) report.occupancy[k] += std::accumulate(chain.begin(), chain.end(), 0.0);
    report.occupancy[k] /= static_cast<double>(trace.draws() * series.size());
    if (report.occupancy[k] > 0) assess(series);
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

}  // namespace tempera
