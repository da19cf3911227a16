#include "tempera/mcmc/mode_annealing.hpp"

#include <algorithm>
#include <cmath>

#include "tempera/core/math.hpp"

namespace tempera {
namespace {

/// Modes that get a component, and the weight of the uniform one.
constexpr std::size_t kMostComponents = 32;
constexpr double kUniformWeight = 1.0 / 8.0;
/// Logits of a component at most: no unit is all but certain, so that weights stay bounded.
constexpr double kLargestLogit = 6.0;
/// Floating-point operations for each component when the density after a flip is asked for.
constexpr double kOfComponent = 10.0;
/// Chains between looks at the progress.
constexpr Index kChainsAtOnce = 8;

double log_sum(const Eigen::ArrayXd& terms) {
  LogSumExp sum;
  for (const double term : terms) sum.add(term);
  return sum.value();
}

/// One chain's log-weight.
double annealed(CollapsedMachine& machine, const ProductMixture& mixture, Index component, Index steps,
                StreamEngine& random) {
  machine.set(mixture.draw(component, random));
  ProductMixture::Walker density(mixture, machine.state());
  double weight = machine.log_weight();
  double log_weight = 0.0;
  for (Index t = 1; t <= steps; ++t) {
    log_weight += (weight - density.log_density()) / static_cast<double>(steps);
    if (t == steps) break;  // a last sweep would change no weight
    const double beta = static_cast<double>(t) / static_cast<double>(steps);
    for (Index i = 0; i < machine.units(); ++i) {
      const bool on = is_on(machine.state(), i);
      const double flipped = machine.flipped(i);
      const double gain =
          beta * (flipped - weight) + (1.0 - beta) * (density.flipped(i, on) - density.log_density());
      if (!(uniform_53(random) < sigmoid(gain))) continue;
      machine.flip(i);
      density.flip(i, on);
      weight = flipped;
    }
  }
  return log_weight;
}

}  // namespace

ProductMixture::ProductMixture(CollapsedMachine& machine, std::span<const Mode> modes) {
  const Index units = machine.units();
  struct Component {
    Eigen::ArrayXd logits;
    double log_mass;  // of the machine, were it a product law around the mode
  };
  std::vector<Component> found;
  for (const Mode& mode : modes) {
    machine.set(mode.state);
    Component component{Eigen::ArrayXd(units), mode.log_weight};
    for (Index i = 0; i < units; ++i) {
      const double gain =
          std::max(-kLargestLogit, std::min(kLargestLogit, machine.flipped(i) - mode.log_weight));
      component.logits[i] = is_on(mode.state, i) ? -gain : gain;
      component.log_mass += softplus(gain);
    }
    found.push_back(std::move(component));
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Component& a, const Component& b) { return a.log_mass > b.log_mass; });
  found.resize(std::min(found.size(), kMostComponents));
  const auto n = static_cast<Index>(found.size());
  logits_ = Eigen::ArrayXXd::Zero(n + 1, units);
  weights_ = Eigen::ArrayXd::Constant(n + 1, n > 0 ? kUniformWeight : 1.0);
  LogSumExp total;
  for (const Component& component : found) total.add(component.log_mass);
  for (Index k = 0; k < n; ++k) {
    const Component& component = found[static_cast<std::size_t>(k)];
    logits_.row(k) = component.logits;
    // Half of the weight by mass, half to all alike: the mass is a guess.
    const double by_mass = std::exp(component.log_mass - total.value());
    weights_[k] = (1.0 - kUniformWeight) * 0.5 * (by_mass + 1.0 / static_cast<double>(n));
  }
  log_off_ = weights_.log();
  for (Index k = 0; k <= n; ++k) {
    for (Index i = 0; i < units; ++i) log_off_[k] -= softplus(logits_(k, i));
  }
}

Index ProductMixture::component_of(double number) const {
  Index k = 0;
  for (double left = number - weights_[0]; left >= 0.0 && k + 1 < weights_.size(); left -= weights_[k]) ++k;
  return k;
}

PackedState ProductMixture::draw(Index component, StreamEngine& random) const {
  PackedState state(static_cast<std::size_t>(words_for(logits_.cols())), Word{0});
  for (Index i = 0; i < logits_.cols(); ++i) {
    if (uniform_53(random) < sigmoid(logits_(component, i))) flip_bit(state, i);
  }
  return state;
}

ProductMixture::Walker::Walker(const ProductMixture& mixture, std::span<const Word> state)
    : mixture_(mixture), terms_(mixture.log_off_) {
  for (Index i = 0; i < mixture.logits_.cols(); ++i) {
    if (is_on(state, i)) terms_ += mixture.logits_.col(i);
  }
  value_ = log_sum(terms_);
}

double ProductMixture::Walker::flipped(Index unit, bool on) const {
  LogSumExp sum;
  for (Index k = 0; k < terms_.size(); ++k) {
    const double logit = mixture_.logits_(k, unit);
    sum.add(terms_[k] + (on ? -logit : logit));
  }
  return sum.value();
}

void ProductMixture::Walker::flip(Index unit, bool on) {
  for (Index k = 0; k < terms_.size(); ++k) {
    const double logit = mixture_.logits_(k, unit);
    terms_[k] += on ? -logit : logit;
  }
  value_ = log_sum(terms_);
}

std::vector<double> mode_annealed_log_weights(const CollapsedFactory& machine, const StreamFactory& streams,
                                              const Executor& executor, std::span<const Mode> modes,
                                              const ModeAnnealingOptions& options, const Progress& progress) {
  std::vector<std::unique_ptr<CollapsedMachine>> machines;
  for (int t = 0; t < executor.threads(); ++t) machines.push_back(machine());
  const ProductMixture mixture(*machines.front(), modes);
  const auto chains = static_cast<Index>(options.chains);
  const double step = static_cast<double>(chains * machines.front()->units()) *
                      (machines.front()->cost() + kOfComponent * static_cast<double>(mixture.components()));
  const Index steps = std::clamp(static_cast<Index>(std::min(1e9, options.operations / std::max(1.0, step))),
                                 Index{1}, options.most_steps);
  StreamEngine shared = streams.engine(Purpose::kModeAnnealing, 0);
  const double shift = uniform_53(shared);
  std::vector<double> log_weights;
  std::vector<double> now;
  const Index at_once = kChainsAtOnce * executor.ranks().size();
  for (Index first = 0; first < chains; first += at_once) {
    now.resize(static_cast<std::size_t>(std::min(at_once, chains - first)));
    executor.for_each_owned(static_cast<Index>(now.size()), [&](Index k, std::size_t slot) {
      const Index chain = first + k;
      StreamEngine random = streams.engine(Purpose::kModeAnnealing, 1, static_cast<std::uint32_t>(chain));
      const double number = (static_cast<double>(chain) + shift) / static_cast<double>(chains);
      now[static_cast<std::size_t>(k)] =
          annealed(*machines[slot], mixture, mixture.component_of(number), steps, random);
    });
    executor.share(now);
    log_weights.insert(log_weights.end(), now.begin(), now.end());
    if (progress) progress(static_cast<double>(first) / static_cast<double>(chains));
  }
  return log_weights;
}

}  // namespace tempera
