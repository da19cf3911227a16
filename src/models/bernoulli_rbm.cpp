#include "tempera/models/bernoulli_rbm.hpp"

#include <bit>
#include <boost/random/normal_distribution.hpp>
#include <limits>

#include "tempera/core/math.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

/// States per chunk of an enumeration: 2^12.
constexpr Index kChunkBits = 12;

std::span<const float> view(const Vector& v) { return {v.data(), static_cast<std::size_t>(v.size())}; }

/// out[c] = sum_i coefficient_i bit c of layer[i].
void dot_bits(std::span<const Word> layer, const Vector& coefficient, LaneDoubles& out) {
  out.fill(0.0);
  for (std::size_t i = 0; i < layer.size(); ++i) {
    const double value = coefficient[static_cast<Index>(i)];
    for (std::size_t c = 0; c < out.size(); ++c) out[c] += ((layer[i] >> c) & 1) != 0 ? value : 0.0;
  }
}

}  // namespace

BernoulliRbm::BernoulliRbm(Index n_visible, Index n_hidden, Vector reference_bias)
    : n_visible_(n_visible), n_hidden_(n_hidden), reference_bias_(std::move(reference_bias)) {}

bool BernoulliRbm::operator==(const BernoulliRbm& other) const {
  return n_visible_ == other.n_visible_ && n_hidden_ == other.n_hidden_ &&
         reference_bias_ == other.reference_bias_;
}

BernoulliRbm::Params BernoulliRbm::zero_params() const {
  return {Matrix::Zero(n_visible_, n_hidden_), Vector::Zero(n_visible_), Vector::Zero(n_hidden_)};
}

BernoulliRbm::State BernoulliRbm::zero_state() const {
  return {BitLayer(static_cast<std::size_t>(n_visible_)), BitLayer(static_cast<std::size_t>(n_hidden_))};
}

BernoulliRbm::Offsets BernoulliRbm::zero_offsets() const {
  return {Vector::Zero(n_visible_), Vector::Zero(n_hidden_)};
}

void BernoulliRbm::load(const BinaryData& data, std::span<const Index> cases, State& x) const {
  load_cases(data, cases, x.visible);
}

void BernoulliRbm::infer(const Params& theta, const State& x, Work& work) const {
  input_from_rows(theta.weights, x.visible, theta.hidden_bias, work.hidden_input, work.scratch);
  work.dots_current = false;
}

void BernoulliRbm::sample_latents(const Params& /*theta*/, const LaneFloats& beta, State& x, const Work& work,
                                  const LaneStream& stream) const {
  sample_units(work.hidden_input, beta, {}, stream, redraw_site(), x.hidden);
}

void BernoulliRbm::sweep(const Params& theta, const LaneFloats& beta, State& x, Work& work,
                         const LaneStream& stream) const {
  input_from_columns(theta.weights, x.hidden, theta.visible_bias, work.visible_input, work.scratch);
  sample_units(work.visible_input, beta, view(reference_bias_), stream, 0, x.visible);
  infer(theta, x, work);
  sample_units(work.hidden_input, beta, {}, stream, hidden_site(), x.hidden);
}

void BernoulliRbm::free_energy(const Params& theta, const LaneFloats& beta, const State& x, Work& work,
                               LaneDoubles& out) const {
  if (!work.dots_current) {
    dot_bits(x.visible, theta.visible_bias, work.bias_dot);
    dot_bits(x.visible, reference_bias_, work.reference_dot);
    work.dots_current = true;
  }
  out.fill(0.0);
  add_softplus(work.hidden_input, beta, out);
  for (std::size_t c = 0; c < out.size(); ++c) {
    const double b = beta[c];
    out[c] = -(out[c] + b * work.bias_dot[c] + (1.0 - b) * work.reference_dot[c]);
  }
}

void BernoulliRbm::mean_latents(const Params& /*theta*/, const LaneFloats& beta, Work& work) const {
  mean_units(work.hidden_input, beta, work.hidden_mean);
}

void BernoulliRbm::accumulate(const State& x, const Work& work, const LaneFloats& weight, Index slice,
                              Params& sums) const {
  const auto first = static_cast<std::size_t>(slice * kLanes);
  const std::span<const Word> rows(x.visible.data() + first,
                                   static_cast<std::size_t>(sums.visible_bias.size()));
  ProductScratch scratch;
  add_products(rows, work.hidden_mean, weight, sums.weights, scratch);
  add_bits(rows, weight, sums.visible_bias);
  if (slice == 0) {
    const Eigen::Map<const Eigen::Matrix<float, kLanes, 1>> lane_weight(weight.data());
    sums.hidden_bias.noalias() += work.hidden_mean * lane_weight;
  }
}

BernoulliRbm::Params BernoulliRbm::zero_slice(Index slice) const {
  const Index rows = std::min(kLanes, n_visible_ - slice * kLanes);
  return {Matrix::Zero(rows, n_hidden_), Vector::Zero(rows), Vector::Zero(slice == 0 ? n_hidden_ : 0)};
}

void BernoulliRbm::insert_slice(Index slice, const Params& part, Params& whole) const {
  const Index first = slice * kLanes;
  whole.weights.middleRows(first, part.weights.rows()) = part.weights;
  whole.visible_bias.segment(first, part.visible_bias.size()) = part.visible_bias;
  if (slice == 0) whole.hidden_bias = part.hidden_bias;
}

void BernoulliRbm::center(const Offsets& offsets, Params& gradient) const {
  gradient.weights.noalias() -= gradient.visible_bias * offsets.hidden.transpose();
  gradient.weights.noalias() -= offsets.visible * gradient.hidden_bias.transpose();
}

void BernoulliRbm::uncenter(const Offsets& offsets, Params& direction) const {
  direction.visible_bias.noalias() -= direction.weights * offsets.hidden;
  direction.hidden_bias.noalias() -= direction.weights.transpose() * offsets.visible;
}

void BernoulliRbm::sample_reference(const Params& theta, State& x, Work& work,
                                    const LaneStream& stream) const {
  LaneFloats zero{};
  work.visible_input.setZero(n_visible_, kLanes);
  sample_units(work.visible_input, zero, view(reference_bias_), stream, 0, x.visible);
  infer(theta, x, work);
  sample_units(work.hidden_input, zero, {}, stream, hidden_site(), x.hidden);
}

double BernoulliRbm::reference_log_partition() const {
  double sum = static_cast<double>(n_hidden_) * std::log(2.0);
  for (const float r : reference_bias_) sum += softplus(r);
  return sum;
}

Index BernoulliRbm::exact_chunks() const {
  return Index{1} << std::max<Index>(0, enumerated_units() - kChunkBits);
}

double BernoulliRbm::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  // Enumerate the layer with fewer units ("outer"), sum the other one ("inner") out in closed form.
  using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::VectorXd visible_bias =
      beta * theta.visible_bias.cast<double>() + (1.0 - beta) * reference_bias_.cast<double>();
  const Eigen::VectorXd hidden_bias = beta * theta.hidden_bias.cast<double>();
  const bool outer_is_hidden = n_hidden_ <= n_visible_;
  const Doubles weights = outer_is_hidden ? Doubles(beta * theta.weights.transpose().cast<double>())
                                          : Doubles(beta * theta.weights.cast<double>());
  const Eigen::VectorXd& outer_bias = outer_is_hidden ? hidden_bias : visible_bias;
  const Eigen::VectorXd& inner_bias = outer_is_hidden ? visible_bias : hidden_bias;

  const Word states = Word{1} << std::min(enumerated_units(), kChunkBits);
  const Word first = static_cast<Word>(chunk) * states;
  Word gray = first ^ (first >> 1);
  double outer_energy = 0.0;
  Eigen::ArrayXd input = inner_bias;
  for (Index k = 0; k < enumerated_units(); ++k) {
    if ((gray >> k & 1) == 0) continue;
    outer_energy += outer_bias[k];
    input += weights.row(k).transpose().array();
  }
  LogSumExp total;
  for (Word n = first;;) {
    total.add(outer_energy + (input.max(0.0) + (-input.abs()).exp().log1p()).sum());
    if (++n == first + states) return total.value();
    const int flipped = std::countr_zero(n);
    const double sign = (gray >> flipped & 1) != 0 ? -1.0 : 1.0;
    gray ^= Word{1} << flipped;
    outer_energy += sign * outer_bias[flipped];
    input += sign * weights.row(flipped).transpose().array();
  }
}

double BernoulliRbm::free_energy(const Params& theta, std::span<const Word> row) const {
  double bias = 0.0;
  Eigen::ArrayXd input = theta.hidden_bias.cast<double>();
  for (std::size_t word = 0; word < row.size(); ++word) {
    for (Word bits = row[word]; bits != 0; bits &= bits - 1) {
      const auto i = static_cast<Index>(word) * 64 + std::countr_zero(bits);
      bias += theta.visible_bias[i];
      input += theta.weights.row(i).transpose().array().cast<double>();
    }
  }
  return -bias - (input.max(0.0) + (-input.abs()).exp().log1p()).sum();
}

void BernoulliRbm::mean_visible(const Params& theta, const State& x, Work& work, LaneMatrix& mean) const {
  LaneFloats one;
  one.fill(1.0F);
  input_from_columns(theta.weights, x.hidden, theta.visible_bias, work.visible_input, work.scratch);
  mean_units(work.visible_input, one, mean);
}

BernoulliRbm::Params BernoulliRbm::initial_params(const StreamFactory& streams, double weight_scale) const {
  Params theta = zero_params();
  StreamEngine engine = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(weight_scale));
  for (Index k = 0; k < theta.weights.size(); ++k) theta.weights.data()[k] = normal(engine);
  theta.visible_bias = reference_bias_;
  return theta;
}

BernoulliRbm::Offsets BernoulliRbm::initial_offsets(const Eigen::VectorXd& visible_means) const {
  return {visible_means.cast<float>(), Vector::Constant(n_hidden_, 0.5F)};
}

Vector smoothed_logits(const Eigen::VectorXd& means, Index n_cases) {
  const auto n = static_cast<double>(n_cases);
  Vector logits(means.size());
  for (Index i = 0; i < means.size(); ++i)
    logits[i] = static_cast<float>(logit((means[i] * n + 1.0) / (n + 2.0)));
  return logits;
}

}  // namespace tempera
