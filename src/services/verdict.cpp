#include "tempera/services/verdict.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "tempera/core/format.hpp"

namespace tempera {
namespace {

/// Differences of likelihoods count from so many standard errors of log Z on, and so many nats.
constexpr double kErrors = 3.0;
constexpr double kNats = 0.1;
/// Below this many nats models are no different; above this many their number is told by its size.
constexpr double kNoDifference = 0.01;
constexpr double kMany = 1e5;
/// R-hat of chains that mix, and of those that stay where they are. It is that of a hundred updates or so, in
/// which chains of a sound machine may not have been everywhere.
constexpr double kMixed = 1.05;
constexpr double kStanding = 1.5;
/// Variation of the masses of clusters that counts, beyond what so many effective draws of ten clusters may
/// have.
constexpr double kLargestVariation = 0.06;
constexpr double kNoise = 1.3;

void add(std::string& text, const std::string& more) { text += (text.empty() ? "" : ", ") + more; }

/// "0.31 nats above independent units", or below them, or no different.
std::string compared(double likelihood, double baseline, double error, const char* with) {
  const double gain = likelihood - baseline;
  if (std::abs(gain) <= std::max(kNoDifference, kErrors * error)) return format("no different from %s", with);
  return format(std::abs(gain) < kMany ? "%.2f nats %s %s" : "%.3g nats %s %s", std::abs(gain),
                gain > 0 ? "above" : "BELOW", with);
}

}  // namespace

std::string TrainingVerdict::words() const {
  std::string text;
  if (!std::isnan(likelihood) && !std::isnan(independent)) {
    add(text, compared(likelihood, independent, likelihood_error, "independent units"));
    if (gaussian) add(text, compared(likelihood, *gaussian, likelihood_error, "a full Gaussian"));
    text += of_validation ? " (validation)" : " (training)";
  }
  if (trusted) add(text, *trusted ? "log Z trusted" : "log Z NOT TRUSTED");
  if (r_hat >= kStanding) {
    add(text, format("chains NOT MIXED (R-hat %.2f)", r_hat));
  } else if (!std::isnan(r_hat)) {
    add(text, r_hat < kMixed ? "chains mixed" : format("chains mix slowly (R-hat %.2f)", r_hat));
  }
  if (cluster_variation > kLargestVariation + kNoise / std::sqrt(std::max(1.0, effective_draws)))
    add(text, format("clusters' masses NOT the data's (variation %.2f)", cluster_variation));
  if (overfitting) {
    add(text, format("OVERFITTING (validation fell by %.2f nats since update %llu)", *overfitting,
                     static_cast<unsigned long long>(best_update)));
  } else if (rising) {
    add(text, format("still rising (%.2f nats in the last quarter of the updates)", *rising));
  }
  if (offered_update) {
    add(text, format("the model of update %llu, the best validated, is offered",
                     static_cast<unsigned long long>(*offered_update)));
  }
  if (!watched) add(text, "nothing watches for overfitting (--holdout 0.1 would)");
  return text;
}

void read_curves(const std::vector<CurvePoint>& curve, TrainingVerdict& verdict) {
  if (curve.empty()) return;
  const CurvePoint& last = curve.back();
  const auto matters = [](double gain, const CurvePoint& a, const CurvePoint& b) {
    return gain > kNats && gain > kErrors * std::hypot(a.log_partition_error, b.log_partition_error);
  };
  const CurvePoint* best = nullptr;
  const CurvePoint* before = nullptr;  // the last quarter
  for (const CurvePoint& point : curve) {
    if (!std::isnan(point.validation) && (best == nullptr || point.validation > best->validation))
      best = &point;
    if (!std::isnan(point.train) && 4 * point.update <= 3 * last.update) before = &point;
  }
  if (best != nullptr && matters(best->validation - last.validation, *best, last)) {
    verdict.overfitting = best->validation - last.validation;
    verdict.best_update = best->update;
  }
  if (before == nullptr) return;
  const bool validates = !std::isnan(before->validation) && !std::isnan(last.validation);
  const double gain = validates ? last.validation - before->validation : last.train - before->train;
  if (matters(gain, *before, last)) verdict.rising = gain;
}

}  // namespace tempera
