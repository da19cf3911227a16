#include "collapsed_layers.hpp"

#include <cmath>

#include "tempera/core/math.hpp"
#include "units/bernoulli_units.hpp"
#include "units/letters.hpp"

namespace tempera {
namespace {

/// A round of the mean field that gains less than this, in nats, is the last.
constexpr double kSettled = 1e-6;

Eigen::VectorXd sigmoids(const Eigen::VectorXd& x) {
  return x.unaryExpr([](double value) { return sigmoid(value); });
}

/// -sum p log p + (1 - p) log(1 - p) of units with these logits: softplus(x) - x p.
double entropy(const Eigen::VectorXd& logits, const Eigen::VectorXd& means) {
  return softplus_sum(logits.array()) - logits.dot(means);
}

}  // namespace

CollapsedLayers::CollapsedLayers(Weights weights, Eigen::VectorXd bias, Eigen::VectorXd summed_bias,
                                 Letters letters)
    : CollapsedMachine(bias.size()),
      weights_(std::move(weights)),
      bias_(std::move(bias)),
      summed_bias_(std::move(summed_bias)),
      letters_(std::move(letters)),
      input_(summed_bias_.array()) {}

double CollapsedLayers::summed(const Eigen::ArrayXd& input) const {
  return letters_.empty() ? softplus_sum(input) : log_sum_of_letters(input, letters_);
}

Eigen::VectorXd CollapsedLayers::summed_means(const Eigen::VectorXd& input) const {
  return letters_.empty() ? sigmoids(input) : means_of_letters(input, letters_);
}

double CollapsedLayers::log_weight() const { return energy_ + summed(input_); }

double CollapsedLayers::flipped(Index unit) const {
  const double by = sign(unit);
  return energy_ + by * bias_[unit] + summed(input_ + by * weights_.row(unit).transpose().array());
}

void CollapsedLayers::flip(Index unit) {
  const double by = sign(unit);
  energy_ += by * bias_[unit];
  input_ += by * weights_.row(unit).transpose().array();
  note_flip(unit);
}

void CollapsedLayers::set(std::span<const Word> state) {
  note_state(state);
  energy_ = 0.0;
  input_ = summed_bias_.array();
  for (Index i = 0; i < units(); ++i) {
    if (!is_on(state, i)) continue;
    energy_ += bias_[i];
    input_ += weights_.row(i).transpose().array();
  }
}

double CollapsedLayers::cost() const {
  constexpr double kOfSoftplus = 20.0;
  return kOfSoftplus * static_cast<double>(summed_bias_.size());
}

std::optional<double> CollapsedLayers::mean_field_bound(double operations) const {
  const double round = 4.0 * static_cast<double>(weights_.size());
  double best = log_weight();
  Eigen::VectorXd others = summed_means(input_.matrix());
  for (double spent = round; spent <= operations; spent += round) {
    const Eigen::VectorXd logits = bias_ + weights_ * others;
    const Eigen::VectorXd means = sigmoids(logits);
    const Eigen::VectorXd input = summed_bias_ + weights_.transpose() * means;
    const double bound = bias_.dot(means) + summed(input.array()) + entropy(logits, means);
    // The first round may lose what the state itself had.
    const bool settled = spent > round && bound - best < kSettled;
    best = std::max(best, bound);
    if (settled) break;
    others = summed_means(input);
  }
  return best;
}

double log_sum_of_chunk(CollapsedLayers& machine, Index chunk) {
  const Word states = Word{1} << std::min(machine.units(), kChunkBits);
  const Word first = static_cast<Word>(chunk) * states;
  const Word gray = first ^ (first >> 1);
  machine.set({&gray, static_cast<std::size_t>(words_for(machine.units()))});
  LogSumExp total;
  for (Word n = first;;) {
    total.add(machine.log_weight());
    if (++n == first + states) return total.value();
    machine.flip(std::countr_zero(n));
  }
}

}  // namespace tempera
