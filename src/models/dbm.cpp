#include "tempera/models/dbm.hpp"

#include <boost/random/normal_distribution.hpp>

#include "bernoulli_units.hpp"
#include "tempera/core/math.hpp"
#include "tempera/core/sum_tree.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/kernels/sampling.hpp"

namespace tempera {
namespace {

LaneFloats all_ones() {
  LaneFloats one;
  one.fill(1.0F);
  return one;
}

/// H of independent units with these means, summed over the units: out[c] += sum_i -m log m - (1-m) log(1-m).
void add_entropies(const LaneMatrix& mean, Index lanes, LaneDoubles& out) {
  const auto term = [](double p) { return p > 0.0 ? -p * std::log(p) : 0.0; };
  for (Index i = 0; i < mean.rows(); ++i) {
    for (Index c = 0; c < lanes; ++c) {
      const auto p = static_cast<double>(mean(i, c));
      out[static_cast<std::size_t>(c)] += term(p) + term(1.0 - p);
    }
  }
}

/// out[c] += bias' values of chain c.
void add_real_dots(const LaneMatrix& values, const Vector& bias, Index lanes, LaneDoubles& out) {
  const Eigen::Matrix<double, 1, kLanes> dots = bias.cast<double>().transpose() * values.cast<double>();
  for (Index c = 0; c < lanes; ++c) out[static_cast<std::size_t>(c)] += dots[c];
}

}  // namespace

Dbm::Dbm(std::vector<Index> sizes, Vector reference_bias)
    : sizes_(std::move(sizes)), reference_bias_(std::move(reference_bias)) {}

bool Dbm::operator==(const Dbm& other) const {
  return sizes_ == other.sizes_ && reference_bias_ == other.reference_bias_;
}

Dbm::Params Dbm::zero_params() const {
  Params theta;
  for (std::size_t k = 0; k + 1 < layers(); ++k) theta.weights[k] = Matrix::Zero(size(k), size(k + 1));
  for (std::size_t k = 0; k < layers(); ++k) theta.bias[k] = Vector::Zero(size(k));
  return theta;
}

Dbm::State Dbm::new_state() const {
  State x;
  for (std::size_t k = 0; k < layers(); ++k) x.layers[k] = BitLayer(static_cast<std::size_t>(size(k)));
  return x;
}

Dbm::Work Dbm::new_work(Index lanes) const {
  Work work;
  work.lanes = lanes;
  for (std::size_t k = 1; k < layers(); ++k) {
    if (k % 2 == 1) work.input[k] = LaneMatrix::Zero(size(k), kLanes);
    work.mean[k] = LaneMatrix::Zero(size(k), kLanes);
  }
  return work;
}

Dbm::Offsets Dbm::zero_offsets() const {
  Offsets offsets;
  for (std::size_t k = 0; k < layers(); ++k) offsets.layers[k] = Vector::Zero(size(k));
  return offsets;
}

void Dbm::load(const BinaryData& data, std::span<const Index> cases, State& x) const {
  load_cases(data, cases, x.layers[0]);
  for (std::size_t k = 2; k < layers(); k += 2) std::fill(x.layers[k].begin(), x.layers[k].end(), Word{0});
}

Index Dbm::first_unit(std::size_t layer) const {
  Index first = 0;
  for (std::size_t k = layer % 2; k < layer; k += 2) first += aligned_units(size(k));
  return first;
}

Index Dbm::stage_units(Index stage) const {
  const auto parity = static_cast<std::size_t>(stage);
  const std::size_t last = layers() - 1 - (layers() - 1 + parity) % 2;
  return first_unit(last) + size(last);
}

UnitRange Dbm::clamped_units() const {
  const Index all = stage_units(0);
  return {std::min(all, aligned_units(size(0))), all};
}

template <class F>
void Dbm::for_each_layer(Index stage, UnitRange units, F&& f) const {
  for (auto k = static_cast<std::size_t>(stage); k < layers(); k += 2) {
    const Index begin = first_unit(k);
    const UnitRange part{std::max<Index>(0, units.first - begin), std::min(size(k), units.last - begin)};
    if (part.size() > 0) f(k, part);
  }
}

void Dbm::pack_neighbours(Index stage, const Panel<Dbm>& panel, Scratch& scratch) const {
  std::array<BitBlock, kMaxPanel> blocks;
  for (auto k = static_cast<std::size_t>(1 - stage); k < layers(); k += 2) {
    for (std::size_t b = 0; b < panel.states.size(); ++b)
      blocks[b] = {panel.states[b].layers[k], panel.works[b].lanes};
    pack({blocks.data(), panel.states.size()}, scratch.packed[k]);
  }
}

void Dbm::layer_input(std::size_t layer, UnitRange part, const Params& theta, std::size_t n_blocks,
                      std::span<float* const> out, Scratch& scratch) const {
  const bool below = layer > 0;
  const bool above = layer + 1 < layers();
  if (below)
    input_from_rows(theta.weights[layer - 1], scratch.packed[layer - 1], part, theta.bias[layer], out,
                    scratch.products);
  if (!above) return;
  if (!below) {
    input_from_columns(theta.weights[layer], scratch.packed[layer + 1], part, theta.bias[layer], out,
                       scratch.products);
    return;
  }
  if (scratch.no_bias.size() < size(layer)) scratch.no_bias = Vector::Zero(size(layer));
  const auto blocks = static_cast<Index>(n_blocks);
  if (scratch.other.rows() < part.size() * blocks) scratch.other.resize(part.size() * blocks, kLanes);
  std::array<float*, kMaxPanel> more;
  for (Index b = 0; b < blocks; ++b)
    more[static_cast<std::size_t>(b)] = scratch.other.row(b * part.size()).data();
  input_from_columns(theta.weights[layer], scratch.packed[layer + 1], part, scratch.no_bias, more,
                     scratch.products);
  for (std::size_t b = 0; b < n_blocks; ++b) {
    Eigen::Map<Eigen::ArrayXf, Eigen::Aligned64>(out[b], part.size() * kLanes) +=
        Eigen::Map<const Eigen::ArrayXf, Eigen::Aligned64>(more[b], part.size() * kLanes);
  }
}

void Dbm::resample(Index stage, UnitRange units, const Params& theta, const Panel<Dbm>& panel,
                   Scratch& scratch, const LaneStream& stream) const {
  pack_neighbours(stage, panel, scratch);
  const Index site = stage == 0 ? 0 : aligned_units(stage_units(0));
  if (scratch.input.rows() < kProductUnits * panel.blocks())
    scratch.input.resize(kProductUnits * panel.blocks(), kLanes);
  for_each_layer(stage, units, [&](std::size_t k, UnitRange range) {
    for_each_part(range, [&](UnitRange part) {
      // Inputs of the latents are the cache; those of the even layers are wanted once.
      std::array<float*, kMaxPanel> inputs;
      for (std::size_t b = 0; b < panel.states.size(); ++b)
        inputs[b] = stage == 0 ? scratch.input.row(static_cast<Index>(b) * kProductUnits).data()
                               : panel.works[b].input[k].row(part.first).data();
      layer_input(k, part, theta, panel.states.size(), inputs, scratch);
      for (std::size_t b = 0; b < panel.states.size(); ++b) {
        sample_units(inputs[b], part, panel.betas[b],
                     k == 0 ? view(reference_bias_) : std::span<const float>(), panel.works[b].lanes,
                     stream.block(static_cast<Index>(b)), static_cast<std::uint32_t>(site + first_unit(k)),
                     panel.states[b].layers[k]);
      }
    });
  });
}

void Dbm::infer(UnitRange units, const Params& theta, const Panel<Dbm>& panel, Scratch& scratch) const {
  pack_neighbours(1, panel, scratch);
  for_each_layer(1, units, [&](std::size_t k, UnitRange range) {
    for_each_part(range, [&](UnitRange part) {
      std::array<float*, kMaxPanel> inputs;
      for (std::size_t b = 0; b < panel.states.size(); ++b)
        inputs[b] = panel.works[b].input[k].row(part.first).data();
      layer_input(k, part, theta, panel.states.size(), inputs, scratch);
    });
  });
}

void Dbm::mean_latents(UnitRange units, const Params&, const Panel<Dbm>& panel) const {
  for (std::size_t b = 0; b < panel.works.size(); ++b) {
    Work& work = panel.works[b];
    work.mean_field = false;
    for_each_layer(1, units, [&](std::size_t k, UnitRange part) {
      mean_units(work.input[k], part, panel.betas[b], work.lanes, work.mean[k]);
    });
  }
}

void Dbm::sample_latents(const Params&, const LaneFloats& beta, State& x, const Work& work,
                         const LaneStream& stream) const {
  const Index site = aligned_units(stage_units(0)) + aligned_units(stage_units(1));
  for (std::size_t k = 1; k < layers(); k += 2)
    sample_units(work.input[k].data(), {0, size(k)}, beta, {}, work.lanes, stream,
                 static_cast<std::uint32_t>(site + first_unit(k)), x.layers[k]);
}

void Dbm::unpack_latents(const State& x, Work& work) const {
  work.mean_field = false;
  for (std::size_t k = 1; k < layers(); k += 2) unpack_lanes(x.layers[k], work.mean[k]);
}

void Dbm::free_energy(const Params& theta, const LaneFloats& beta, const State& x, const Work& work,
                      LaneDoubles& out) const {
  LaneDoubles bias_dot{};
  LaneDoubles reference_dot{};
  for (std::size_t k = 0; k < layers(); k += 2) add_dots({x.layers[k], work.lanes}, theta.bias[k], bias_dot);
  add_dots({x.layers[0], work.lanes}, reference_bias_, reference_dot);
  out.fill(0.0);
  for (std::size_t k = 1; k < layers(); k += 2) add_softplus(work.input[k], beta, work.lanes, out);
  for (std::size_t c = 0; c < out.size(); ++c) {
    const double b = beta[c];
    out[c] =
        static_cast<Index>(c) < work.lanes ? -(out[c] + b * bias_dot[c] + (1.0 - b) * reference_dot[c]) : 0.0;
  }
}

Index Dbm::slices() const {
  Index count = 0;
  for (std::size_t k = 1; k < layers(); k += 2) count += (size(k) + kProductColumns - 1) / kProductColumns;
  return count;
}

std::pair<std::size_t, UnitRange> Dbm::slice_part(Index slice) const {
  for (std::size_t k = 1;; k += 2) {
    const Index of_layer = (size(k) + kProductColumns - 1) / kProductColumns;
    if (slice < of_layer)
      return {k, {slice * kProductColumns, std::min(size(k), (slice + 1) * kProductColumns)}};
    slice -= of_layer;
  }
}

void Dbm::accumulate(const Params&, std::span<const State> states, std::span<const Work> works,
                     std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                     Params& sums) const {
  const auto [odd, units] = slice_part(slice);
  const auto n_blocks = static_cast<Index>(states.size());
  const bool mean_field = !works.empty() && works.front().mean_field;
  const auto add = [](auto& into, const auto& from) { into += from; };
  const auto put = [mode](auto&& sum, const auto& value) {
    if (mode == Sums::kSet) {
      sum = value;
    } else {
      sum += value;
    }
  };
  const auto weight_of = [&](std::size_t b) {
    return Eigen::Map<const Vector>(weights[b].data(), works[b].lanes);
  };

  // With the layer below, then with the one above: its bits are the rows of the product.
  for (const bool above : {false, true}) {
    if (above && odd + 1 == layers()) continue;
    const std::size_t even = above ? odd + 1 : odd - 1;
    if (mean_field && even > 0) {
      const Matrix product = sum_tree(
          n_blocks,
          [&](Index block) {
            const auto b = static_cast<std::size_t>(block);
            const Index lanes = works[b].lanes;
            return Matrix(works[b].mean[odd].block(units.first, 0, units.size(), lanes) *
                          weight_of(b).asDiagonal() * works[b].mean[even].leftCols(lanes).transpose());
          },
          add);
      if (above) {
        put(sums.weights[odd].middleRows(units.first, units.size()), product);
      } else {
        put(sums.weights[even].middleCols(units.first, units.size()), product.transpose().eval());
      }
      continue;
    }
    scratch.blocks.clear();
    for (std::size_t b = 0; b < states.size(); ++b) {
      scratch.blocks.push_back({states[b].layers[even].data(), works[b].mean[odd].data(), weights[b].data(),
                                static_cast<std::size_t>(works[b].lanes)});
    }
    if (!above) {
      add_products(scratch.blocks, units, mode, sums.weights[even], scratch.products);
    } else {
      scratch.transposed.resize(size(even), size(odd));
      add_products(scratch.blocks, units, Sums::kSet, scratch.transposed, scratch.products);
      put(sums.weights[odd].middleRows(units.first, units.size()),
          scratch.transposed.middleCols(units.first, units.size()).transpose().eval());
    }
  }

  const auto mean_sum = [&](std::size_t k, UnitRange part) {
    return sum_tree(
        n_blocks,
        [&](Index block) {
          const auto b = static_cast<std::size_t>(block);
          return Vector(works[b].mean[k].block(part.first, 0, part.size(), works[b].lanes) * weight_of(b));
        },
        add);
  };
  put(sums.bias[odd].segment(units.first, units.size()), mean_sum(odd, units));
  if (slice > 0) return;
  for (std::size_t k = 0; k < layers(); k += 2) {
    if (mean_field && k > 0) {
      put(sums.bias[k], mean_sum(k, {0, size(k)}));
      continue;
    }
    put(sums.bias[k], sum_tree(
                          n_blocks,
                          [&](Index block) {
                            const auto b = static_cast<std::size_t>(block);
                            Vector part = Vector::Zero(size(k));
                            add_bits(states[b].layers[k], weights[b], part);
                            return part;
                          },
                          add));
  }
}

void Dbm::note_means(Index slice, const Params& sums, Offsets& means) const {
  const auto [odd, units] = slice_part(slice);
  means.layers[odd].segment(units.first, units.size()) = sums.bias[odd].segment(units.first, units.size());
  if (slice > 0) return;
  for (std::size_t k = 2; k < layers(); k += 2) means.layers[k] = sums.bias[k];
}

void Dbm::score(const Params& direction, const State& x, const Work& probe, const Work& work,
                LaneDoubles& out) const {
  out.fill(0.0);
  for (std::size_t k = 0; k < layers(); k += 2) add_dots({x.layers[k], work.lanes}, direction.bias[k], out);
  for (std::size_t k = 1; k < layers(); k += 2)
    add_column_dots(probe.input[k], work.mean[k], work.lanes, out);
}

void Dbm::layer_values(Index layer, const State& x, const Work& work, LaneMatrix& out) const {
  const auto k = static_cast<std::size_t>(layer);
  if (k == 0 || (k % 2 == 0 && !work.mean_field)) {
    unpack_lanes(x.layers[k], out);
  } else {
    out = work.mean[k];
  }
}

void Dbm::mean_field(Index sweeps, const Params& theta, Work& work, Scratch& scratch) const {
  const LaneFloats one = all_ones();
  work.mean_field = true;
  // What the data give to the odd layers stays; the cache holds it.
  std::array<LaneMatrix, kMaxHidden + 1> from_data;
  for (std::size_t k = 1; k < layers(); k += 2) from_data[k] = work.input[k];
  for (std::size_t k = 2; k < layers(); k += 2) work.mean[k].setConstant(0.5F);
  const auto update_odd = [&] {
    for (std::size_t k = 1; k < layers(); k += 2) {
      work.input[k] = from_data[k];
      if (k > 1) work.input[k].noalias() += theta.weights[k - 1].transpose() * work.mean[k - 1];
      if (k + 1 < layers()) work.input[k].noalias() += theta.weights[k] * work.mean[k + 1];
      mean_units(work.input[k], {0, size(k)}, one, work.lanes, work.mean[k]);
    }
  };
  update_odd();
  for (Index sweep = 0; sweep < sweeps && layers() > 2; ++sweep) {
    for (std::size_t k = 2; k < layers(); k += 2) {
      LaneMatrix& input = scratch.input;
      input = theta.bias[k].replicate(1, kLanes);
      input.noalias() += theta.weights[k - 1].transpose() * work.mean[k - 1];
      if (k + 1 < layers()) input.noalias() += theta.weights[k] * work.mean[k + 1];
      mean_units(input, {0, size(k)}, one, work.lanes, work.mean[k]);
    }
    update_odd();
  }
}

void Dbm::variational_free_energy(const Params& theta, const State& x, const Work& work,
                                  LaneDoubles& out) const {
  // The odd layers are at their optimum given the even ones, so they are summed out.
  LaneDoubles sum{};
  add_dots({x.layers[0], work.lanes}, theta.bias[0], sum);
  for (std::size_t k = 1; k < layers(); k += 2) add_softplus(work.input[k], all_ones(), work.lanes, sum);
  for (std::size_t k = 2; k < layers(); k += 2) {
    add_real_dots(work.mean[k], theta.bias[k], work.lanes, sum);
    add_entropies(work.mean[k], work.lanes, sum);
  }
  for (std::size_t c = 0; c < out.size(); ++c) out[c] = static_cast<Index>(c) < work.lanes ? -sum[c] : 0.0;
}

void Dbm::sample_reference(Index lanes, State& x, const LaneStream& stream) const {
  const LaneFloats zero{};
  const LaneMatrix input = LaneMatrix::Zero(*std::max_element(sizes_.begin(), sizes_.end()), kLanes);
  for (std::size_t k = 0; k < layers(); ++k) {
    const Index site = k % 2 == 0 ? 0 : aligned_units(stage_units(0));
    sample_units(input.data(), {0, size(k)}, zero, k == 0 ? view(reference_bias_) : std::span<const float>(),
                 lanes, stream, static_cast<std::uint32_t>(site + first_unit(k)), x.layers[k]);
  }
}

double Dbm::reference_log_partition() const {
  double sum = 0.0;
  for (std::size_t k = 1; k < layers(); ++k) sum += static_cast<double>(size(k)) * std::log(2.0);
  for (const float r : reference_bias_) sum += softplus(r);
  return sum;
}

Dbm::Params Dbm::reference_params() const {
  Params theta = zero_params();
  theta.bias[0] = reference_bias_;
  return theta;
}

Index Dbm::enumerated_units() const {
  Index odd = 0;
  Index even = 0;
  for (std::size_t k = 0; k < layers(); ++k) (k % 2 == 0 ? even : odd) += size(k);
  return std::min(even, odd);
}

Index Dbm::exact_chunks() const { return enumeration_chunks(enumerated_units()); }

template <class V>
Eigen::VectorXd Dbm::concatenated(std::size_t parity, const V& vectors) const {
  Index total = 0;
  for (std::size_t k = parity; k < layers(); k += 2) total += size(k);
  Eigen::VectorXd all(total);
  Index first = 0;
  for (std::size_t k = parity; k < layers(); first += size(k), k += 2)
    all.segment(first, size(k)) = vectors[k].template cast<double>();
  return all;
}

Eigen::MatrixXd Dbm::even_odd_weights(const Params& theta) const {
  std::vector<Index> first(layers());
  Index even = 0;
  Index odd = 0;
  for (std::size_t k = 0; k < layers(); ++k) {
    Index& end = k % 2 == 0 ? even : odd;
    first[k] = end;
    end += size(k);
  }
  Eigen::MatrixXd weights = Eigen::MatrixXd::Zero(even, odd);
  for (std::size_t k = 0; k + 1 < layers(); ++k) {
    if (k % 2 == 0) {
      weights.block(first[k], first[k + 1], size(k), size(k + 1)) = theta.weights[k].cast<double>();
    } else {
      weights.block(first[k + 1], first[k], size(k + 1), size(k)) =
          theta.weights[k].transpose().cast<double>();
    }
  }
  return weights;
}

double Dbm::log_partition_chunk(const Params& theta, double beta, Index chunk) const {
  using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Eigen::VectorXd even = beta * concatenated(0, theta.bias);
  even.head(n_visible()) += (1.0 - beta) * reference_bias_.cast<double>();
  const Eigen::VectorXd odd = beta * concatenated(1, theta.bias);
  const Eigen::MatrixXd weights = beta * even_odd_weights(theta);
  return odd.size() <= even.size() ? log_sum_of_chunk(Doubles(weights.transpose()), odd, even, chunk)
                                   : log_sum_of_chunk(Doubles(weights), even, odd, chunk);
}

Index Dbm::case_units() const {
  Index units = 0;
  for (std::size_t k = 2; k < layers(); k += 2) units += size(k);
  return units;
}

double Dbm::free_energy(const Params& theta, std::span<const Word> row) const {
  using Doubles = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Doubles weights = even_odd_weights(theta);
  const Eigen::VectorXd even = concatenated(0, theta.bias);
  Eigen::VectorXd odd = concatenated(1, theta.bias);
  double bias = 0.0;
  for (Index i = 0; i < n_visible(); ++i) {
    if ((row[static_cast<std::size_t>(i / 64)] >> (i % 64) & 1) == 0) continue;
    bias += even[i];
    odd += weights.row(i).transpose();
  }
  const Doubles above = weights.bottomRows(case_units());
  LogSumExp total;
  for (Index chunk = 0; chunk < enumeration_chunks(case_units()); ++chunk)
    total.add(log_sum_of_chunk(above, even.tail(case_units()), odd, chunk));
  return -bias - total.value();
}

void Dbm::mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const {
  const BitBlock hidden{x.layers[1], kLanes};
  pack({&hidden, 1}, scratch.packed[1]);
  LaneMatrix input(n_visible(), kLanes);
  float* const rows = input.data();
  input_from_columns(theta.weights[0], scratch.packed[1], {0, n_visible()}, theta.bias[0], {&rows, 1},
                     scratch.products);
  mean.resize(n_visible(), kLanes);
  mean_units(input, {0, n_visible()}, all_ones(), kLanes, mean);
}

LayerParams<float> Dbm::to_layers(Params&& params) {
  LayerParams<float> layers;
  for (std::size_t k = 0; k < kMaxHidden && params.weights[k].size() > 0; ++k)
    layers.weights.push_back(std::move(params.weights[k]));
  for (std::size_t k = 0; k <= layers.weights.size(); ++k) layers.bias.push_back(std::move(params.bias[k]));
  return layers;
}

Dbm::Params Dbm::from_layers(LayerParams<float>&& layers) {
  Params params;
  for (std::size_t k = 0; k < layers.weights.size(); ++k) params.weights[k] = std::move(layers.weights[k]);
  for (std::size_t k = 0; k < layers.bias.size(); ++k) params.bias[k] = std::move(layers.bias[k]);
  return params;
}

std::vector<const Vector*> Dbm::layer_offsets(const Offsets& offsets) {
  std::vector<const Vector*> all;
  for (const Vector& layer : offsets.layers) {
    if (layer.size() > 0) all.push_back(&layer);
  }
  return all;
}

Dbm::Params Dbm::initial_params(const StreamFactory& streams, double weight_scale) const {
  Params theta = zero_params();
  StreamEngine engine = streams.engine(Purpose::kParameters, 0);
  boost::random::normal_distribution<float> normal(0.0F, static_cast<float>(weight_scale));
  for (Matrix& weights : theta.weights) {
    for (Index k = 0; k < weights.size(); ++k) weights.data()[k] = normal(engine);
  }
  theta.bias[0] = reference_bias_;
  return theta;
}

Dbm::Offsets Dbm::initial_offsets(const Eigen::VectorXd& visible_means) const {
  Offsets offsets;
  offsets.layers[0] = visible_means.cast<float>();
  for (std::size_t k = 1; k < layers(); ++k) offsets.layers[k] = Vector::Constant(size(k), 0.5F);
  return offsets;
}

std::vector<std::pair<std::string, Index>> Dbm::shape_names() const {
  std::vector<std::pair<std::string, Index>> names = {{"n_visible", n_visible()}};
  for (std::size_t k = 1; k < layers(); ++k) names.emplace_back("n_hidden_" + std::to_string(k), size(k));
  return names;
}

}  // namespace tempera
