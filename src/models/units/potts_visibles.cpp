#include "tempera/models/units/potts_visibles.hpp"

#include <cmath>

#include "bernoulli_units.hpp"
#include "independent_units.hpp"
#include "lanes.hpp"
#include "letters.hpp"
#include "tempera/core/math.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

/// Calls f(first place, number of letters) for every site.
template <class F>
void for_each_site(const Letters& letters, F&& f) {
  const Index most = letters.most();
  for (Index s = 0; s < letters.sites(); ++s) f(s * most, letters.of(s));
}

/// exp(x - max) of the letters of a site for all lanes, and the maximum and the sum.
struct SiteWeights {
  LaneMatrix each;
  Lanes most;
  Lanes sum;

  SiteWeights(const LaneMatrix& input, Index first, Index n)
      : each(n, kLanes), most(input.row(first).array()) {
    for (Index a = 1; a < n; ++a) most = most.max(input.row(first + a).array());
    sum.setZero();
    for (Index a = 0; a < n; ++a) {
      each.row(a) = (input.row(first + a).array() - most).exp().matrix();
      sum += each.row(a).array();
    }
  }
};

}  // namespace

double log_sum_of_letters(const Eigen::ArrayXd& x, const Letters& letters) {
  double total = 0.0;
  for_each_site(letters, [&](Index first, Index n) {
    double most = x[first];
    for (Index a = 1; a < n; ++a) most = std::max(most, x[first + a]);
    double sum = 0.0;
    for (Index a = 0; a < n; ++a) sum += std::exp(x[first + a] - most);
    total += most + std::log(sum);
  });
  return total;
}

Eigen::VectorXd means_of_letters(const Eigen::VectorXd& x, const Letters& letters) {
  Eigen::VectorXd means = Eigen::VectorXd::Zero(x.size());
  for_each_site(letters, [&](Index first, Index n) {
    double most = x[first];
    for (Index a = 1; a < n; ++a) most = std::max(most, x[first + a]);
    double sum = 0.0;
    for (Index a = 0; a < n; ++a) sum += means[first + a] = std::exp(x[first + a] - most);
    for (Index a = 0; a < n; ++a) means[first + a] /= sum;
  });
  return means;
}

PottsVisibles::Reference PottsVisibles::fit_reference(const CategoricalData& data) {
  const Letters& letters = data.letters();
  const Eigen::VectorXd means = data.means();
  const double cases = data.weights().total(data.n_cases());
  Reference reference{Vector::Zero(means.size())};
  for_each_site(letters, [&](Index first, Index n) {
    Eigen::VectorXd logs(n);
    double mean = 0.0;
    for (Index a = 0; a < n; ++a) {
      logs[a] = std::log((means[first + a] * cases + 1.0 / static_cast<double>(n)) / (cases + 1.0));
      mean += logs[a] / static_cast<double>(n);
    }
    for (Index a = 0; a < n; ++a) reference.visible_bias[first + a] = static_cast<float>(logs[a] - mean);
  });
  return reference;
}

namespace {

/// Letters that a site may take.
std::vector<Index> letters_left(const LawChange& change, const Letters& letters, Index site) {
  const auto s = static_cast<std::size_t>(site);
  return s < change.letters.size() && !change.letters[s].empty() ? change.letters[s]
                                                                 : all_units(letters.of(site));
}

}  // namespace

Letters PottsVisibles::free_sites(const LawChange& change, const Letters& letters) {
  std::vector<std::int64_t> numbers;
  for (const Index s : change.held_of(0).others(letters.sites()))
    numbers.push_back(static_cast<std::int64_t>(letters_left(change, letters, s).size()));
  if (numbers.empty()) numbers.push_back(1);
  return Letters(std::move(numbers));
}

std::vector<Index> PottsVisibles::free_units(const LawChange& change, Index, const Letters& letters) {
  const Letters left = free_sites(change, letters);
  std::vector<Index> units(static_cast<std::size_t>(left.places()), -1);
  Index first = 0;
  for (const Index s : change.held_of(0).others(letters.sites())) {
    for (Index place = first; const Index a : letters_left(change, letters, s))
      units[static_cast<std::size_t>(place++)] = s * letters.most() + a;
    first += left.most();
  }
  return units;
}

std::vector<Index> PottsVisibles::held_units(const LawChange& change, const Letters& letters) {
  const HeldUnits& held = change.held_of(0);
  std::vector<Index> units;
  for (std::size_t k = 0; k < held.units.size(); ++k)
    units.push_back(held.units[k] * letters.most() + static_cast<Index>(held.values[k]));
  return units;
}

Index PottsVisibles::enumerated_bits(Index, const Letters& letters) {
  double bits = 0.0;
  for (Index s = 0; s < letters.sites(); ++s) bits += std::log2(static_cast<double>(letters.of(s)));
  return static_cast<Index>(std::ceil(bits - 1e-9));
}

void PottsVisibles::sample_sites(const float* input, UnitRange sites, const Letters& letters,
                                 const LaneFloats& betas, const Vector& reference, Index lanes,
                                 const LaneStream& stream, BitLayer& v) {
  sample_letters(input, sites, letters, betas, view(reference), lanes, stream, 0, v);
}

void PottsVisibles::add_log_sums(const LaneMatrix& input, const Letters& letters, Index lanes,
                                 LaneDoubles& out) {
  for_each_site(letters, [&](Index first, Index n) {
    const SiteWeights weights(input, first, n);
    const Lanes logs = weights.most + weights.sum.log();
    for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += static_cast<double>(logs[c]);
  });
}

double PottsVisibles::log_sum(const Eigen::ArrayXd& input, const Letters& letters) {
  return log_sum_of_letters(input, letters);
}

void PottsVisibles::mean_units(const LaneMatrix& input, const Letters& letters, LaneMatrix& mean) {
  mean.setZero();
  for_each_site(letters, [&](Index first, Index n) {
    const SiteWeights weights(input, first, n);
    for (Index a = 0; a < n; ++a) mean.row(first + a) = (weights.each.row(a).array() / weights.sum).matrix();
  });
}

bool PottsVisibles::is_settled(const Letters& letters, const Matrix& weights, const Vector& visible_bias) {
  const Index most = letters.most();
  bool zero = true;
  for_each_site(letters, [&](Index first, Index n) {
    zero = zero && weights.middleRows(first + n, most - n).isZero(0.0F) &&
           visible_bias.segment(first + n, most - n).isZero(0.0F);
  });
  return zero;
}

void PottsVisibles::settle(const Letters& letters, Matrix& weights) {
  const Index most = letters.most();
  for_each_site(letters, [&](Index first, Index n) { weights.middleRows(first + n, most - n).setZero(); });
}

void PottsVisibles::fix_gauge(const Letters& letters, Matrix& weights, Vector& visible_bias,
                              Vector& hidden_bias) {
  Eigen::RowVectorXf mean(weights.cols());
  for_each_site(letters, [&](Index first, Index n) {
    const float part = 1.0F / static_cast<float>(n);
    float bias = 0.0F;
    mean.setZero();
    for (Index a = 0; a < n; ++a) {
      mean += part * weights.row(first + a);
      bias += part * visible_bias[first + a];
    }
    for (Index a = 0; a < n; ++a) {
      weights.row(first + a) -= mean;
      visible_bias[first + a] -= bias;
    }
    hidden_bias += mean.transpose();
  });
}

double PottsVisibles::log_sum_of_chunk(const Eigen::MatrixXd& weights, const Eigen::VectorXd& visible_bias,
                                       const Eigen::VectorXd& hidden_bias, const Letters& letters,
                                       Index chunk) {
  double states = 1.0;
  for (Index s = 0; s < letters.sites(); ++s) states *= static_cast<double>(letters.of(s));
  const Index first = chunk << kChunkBits;
  const Index last = std::min(static_cast<Index>(states), (chunk + 1) << kChunkBits);
  LogSumExp total;
  if (first >= last) return -std::numeric_limits<double>::infinity();
  // Letters of a state are the digits of its number, the first site the fastest.
  std::vector<Index> state(static_cast<std::size_t>(letters.sites()));
  double bias = 0.0;
  Eigen::ArrayXd input = hidden_bias.array();
  const auto put = [&](Index s, Index letter, double sign) {
    const Index row = s * letters.most() + letter;
    bias += sign * visible_bias[row];
    input += sign * weights.row(row).transpose().array();
  };
  Index rest = first;
  for (Index s = 0; s < letters.sites(); ++s) {
    put(s, state[static_cast<std::size_t>(s)] = rest % letters.of(s), 1.0);
    rest /= letters.of(s);
  }
  for (Index n = first;;) {
    total.add(bias + softplus_sum(input));
    if (++n == last) return total.value();
    for (Index s = 0;; ++s) {
      Index& letter = state[static_cast<std::size_t>(s)];
      put(s, letter, -1.0);
      letter = (letter + 1) % letters.of(s);
      put(s, letter, 1.0);
      if (letter != 0) break;
    }
  }
}

ArrayShape PottsVisibles::weights_in(const FieldShapes& file, Letters& letters) {
  const ArrayShape& shape = file.shape("weights");
  if (shape.size() != 3 || shape[0] == 0 || shape[1] == 0 || shape[2] == 0)
    file.fail("weights", "expected shape (n_sites, n_letters, n_hidden), found " + to_string(shape));
  const ArrayShape bias{shape[0], shape[1]};
  if (file.shape("visible_bias") != bias)
    file.fail("visible_bias", "expected shape " + to_string(bias) + " as weights has shape " +
                                  to_string(shape) + ", found " + to_string(file.shape("visible_bias")));
  if (shape[1] > kMostLetters)
    file.fail("weights", "expected at most " + std::to_string(kMostLetters) +
                             " letters of a site, found shape " + to_string(shape));
  letters = alike_letters(static_cast<Index>(shape[0]), static_cast<Index>(shape[1]));
  if (const auto found = file.lists.find("letters"); found != file.lists.end()) {
    letters = Letters(found->second);
    bool good = letters.numbers().size() == shape[0] && letters.most() == static_cast<Index>(shape[1]);
    for (const std::int64_t n : letters.numbers()) good = good && n > 0;
    if (!good)
      file.fail_attribute("letters", "expected the letters of each of " + std::to_string(shape[0]) +
                                         " sites, at most " + std::to_string(shape[1]));
  }
  return {shape[0] * shape[1], shape[2]};
}

ArrayShape PottsVisibles::file_shape(std::string_view field, Index n_hidden, const Letters& letters) {
  if (field == "weights") return array_shape({letters.sites(), letters.most(), n_hidden});
  if (field == "visible_bias") return array_shape({letters.sites(), letters.most()});
  return {};
}

void PottsVisibles::add_attributes(const Letters& letters, std::vector<ShapeAttribute>& all) {
  if (!letters.all_alike()) all.push_back({"letters", letters.numbers()});
}

}  // namespace tempera
