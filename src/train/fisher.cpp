#include "tempera/train/fisher.hpp"

#include "tempera/models/all_models.hpp"

namespace tempera {

Eigen::MatrixXd centred_gram(Eigen::MatrixXd gram, const Eigen::VectorXd& weights) {
  const Eigen::VectorXd rows = gram * weights;
  const double mean = weights.dot(rows);
  gram.colwise() -= rows;
  gram.rowwise() -= rows.transpose();
  gram.array() += mean;
  const Eigen::VectorXd root = weights.cwiseSqrt();
  return root.asDiagonal() * gram * root.asDiagonal();
}

const Executor& one_thread() {
  static const Executor one(1);
  return one;
}

template <class Number>
Eigen::MatrixXd Fisher<Number>::gram() const {
  std::vector<Eigen::MatrixXd> products;
  for (const Layer& x : layers()) {
    // The lower triangle, some columns at a time, and then its mirror image. Ranks take turns, since the
    // first columns are longest.
    constexpr Index kColumns = 128;
    Layer product(x.cols(), x.cols());
    const Index panels = (x.cols() + kColumns - 1) / kColumns;
    const Communicator& ranks = executor_.ranks();
    const auto panel = [&](Index p) {
      const Index first = p * kColumns;
      return product.block(first, first, x.cols() - first, std::min(kColumns, x.cols() - first));
    };
    executor_.for_each(panels, [&](Index p) {
      if (p % ranks.size() != ranks.rank()) return;
      auto of_panel = panel(p);
      of_panel.noalias() =
          x.rightCols(of_panel.rows()).transpose() * x.middleCols(p * kColumns, of_panel.cols());
    });
    std::vector<Made> made;
    for (Index p = 0; p < panels; ++p) {
      Made& of = made.emplace_back(Made{static_cast<int>(p % ranks.size()), {}});
      auto of_panel = panel(p);
      for (Index j = 0; j < of_panel.cols(); ++j)
        of.pieces.push_back(bytes_of(of_panel.col(j).data(), of_panel.rows()));
    }
    share_things(ranks, made);
    products.push_back(Layer(product.template selfadjointView<Eigen::Lower>()).template cast<double>());
  }
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(draws(), draws());
  for (std::size_t k = 0; k < products.size(); ++k) {
    const double bias = shape_.biased[k] ? 1.0 : 0.0;
    if (k > 0 && shape_.coupled[k - 1]) {
      gram.array() += products[k].array() * (bias + products[k - 1].array());
    } else if (shape_.biased[k]) {
      gram += products[k];
    }
  }
  return centred_gram(std::move(gram), weights_);
}

template <class Number>
Eigen::VectorXd DenseFisher<Number>::scores(const LayerParams<Number>& d) const {
  Eigen::VectorXd u = Eigen::VectorXd::Zero(this->draws());
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    if (d.bias[k].size() > 0) u += (layers_[k].transpose() * d.bias[k]).template cast<double>();
  }
  for (std::size_t k = 0; k < d.weights.size(); ++k) {
    if (d.weights[k].size() == 0) continue;
    const Layer input = d.weights[k] * layers_[k + 1];
    u += layers_[k].cwiseProduct(input).colwise().sum().transpose().template cast<double>();
  }
  return this->centred(std::move(u));
}

template <class Number>
LayerParams<Number> DenseFisher<Number>::combine(const Eigen::VectorXd& z) const {
  const Flat<Number> centred = (z - this->weights() * z.sum()).template cast<Number>();
  LayerParams<Number> sums = zero_layers<Number>(this->shape());
  for (std::size_t k = 0; k < layers_.size(); ++k) {
    if (sums.bias[k].size() > 0) sums.bias[k] = layers_[k] * centred;
  }
  for (std::size_t k = 0; k + 1 < layers_.size(); ++k) {
    if (sums.weights[k].size() > 0)
      sums.weights[k] = layers_[k] * centred.asDiagonal() * layers_[k + 1].transpose();
  }
  return sums;
}

namespace {

Eigen::VectorXd equal_weights(std::size_t n) {
  return Eigen::VectorXd::Constant(static_cast<Index>(n), 1.0 / static_cast<double>(n));
}

/// Layers of the chains `which` of a population of so many blocks, units x draws: fill(layer, block, values)
/// gives those of a whole block, on the rank that has it.
template <class Fill>
std::vector<Fisher<float>::Layer> layers_of(const std::vector<Index>& sizes,
                                            const std::vector<std::uint64_t>& which, Index n_blocks,
                                            Fill&& fill, const Executor& executor) {
  // Draws that lie side by side are copied together.
  std::vector<std::pair<Index, Index>> runs;  // first draw, draws
  for (std::size_t m = 0; m < which.size(); ++m) {
    if (m > 0 && which[m] == which[m - 1] + 1 && which[m] % kLanes != 0) {
      ++runs.back().second;
    } else {
      runs.emplace_back(static_cast<Index>(m), 1);
    }
  }
  std::vector<Fisher<float>::Layer> layers;
  for (const Index n : sizes) layers.emplace_back(n, static_cast<Index>(which.size()));
  executor.for_each(static_cast<Index>(runs.size()), [&](Index run) {
    const auto [first, count] = runs[static_cast<std::size_t>(run)];
    const std::uint64_t chain = which[static_cast<std::size_t>(first)];
    if (!executor.owns(static_cast<Index>(block_of(chain)), n_blocks)) return;
    LaneMatrix values;
    for (std::size_t k = 0; k < sizes.size(); ++k) {
      values.resize(sizes[k], kLanes);
      fill(k, chain / kLanes, values);
      layers[k].middleCols(first, count) = values.middleCols(static_cast<Index>(chain % kLanes), count);
    }
  });
  std::vector<Made> columns;
  for (std::size_t m = 0; m < which.size(); ++m) {
    Made& column = columns.emplace_back(
        Made{owner_of(static_cast<Index>(block_of(which[m])), n_blocks, executor.ranks().size()), {}});
    for (Fisher<float>::Layer& layer : layers)
      column.pieces.push_back(bytes_of(layer.col(static_cast<Index>(m)).data(), layer.rows()));
  }
  share_things(executor.ranks(), columns);
  return layers;
}

}  // namespace

template <HasStatistics M>
DenseFisher<float> statistics_fisher(const Engine<M>& engine, const typename M::Params& theta,
                                     const Population<M>& population, const FisherDraws& draws) {
  const LayerShape shape = engine.model.statistics_shape(theta);
  const bool drawn = draws.latents != Latents::kExpected;
  return {shape,
          layers_of(
              shape.sizes, draws.chains, static_cast<Index>(population.chains.blocks.size()),
              [&](std::size_t k, std::size_t b, LaneMatrix& values) {
                engine.model.statistics_layer(k, drawn, theta, population.chains.blocks[b],
                                              population.caches.blocks[b], values);
              },
              engine.executor),
          equal_weights(draws.chains.size()), engine.executor};
}

template <HasLayers M>
KernelFisher<M>::KernelFisher(const Engine<M>& engine, const typename M::Params& theta,
                              Population<M>& population, FisherDraws draws,
                              const typename M::Offsets& offsets, Caches<M>& probe)
    : Fisher<float>(engine.model.layer_sizes(), equal_weights(draws.chains.size()), engine.executor),
      engine_(engine),
      theta_(theta),
      population_(population),
      draws_(std::move(draws)),
      offsets_(M::layer_offsets(offsets)),
      probe_(probe) {
  probe_.fit(engine_.model, population_.chains.n_chains, engine_.executor);
  if (draws_.latents != Latents::kDrawn) return;
  engine_.executor.for_each_owned(static_cast<Index>(population_.chains.blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    engine_.model.unpack_latents(population_.chains.blocks[b], population_.caches.blocks[b]);
  });
}

template <HasLayers M>
const std::vector<typename KernelFisher<M>::Layer>& KernelFisher<M>::layers() const {
  if (layers_.empty())
    layers_ = layers_of(
        engine_.model.layer_sizes(), draws_.chains, static_cast<Index>(population_.chains.blocks.size()),
        [this](std::size_t k, std::size_t b, LaneMatrix& values) {
          engine_.model.layer_values(static_cast<Index>(k), population_.chains.blocks[b],
                                     population_.caches.blocks[b], values);
          values.colwise() -= *offsets_[k];
        },
        engine_.executor);
  return layers_;
}

template <HasLayers M>
const std::vector<typename KernelFisher<M>::Layer>& KernelFisher<M>::variances() const {
  if (!variances_.empty()) return variances_;
  const std::vector<Layer>& values = layers();
  variances_.resize(values.size());
  if (draws_.latents != Latents::kMoments) return variances_;
  for (std::size_t k = 1; k < values.size(); k += 2) {
    const Eigen::ArrayXXf mean = (values[k].colwise() + *offsets_[k]).array();
    variances_[k] = (mean * (1.0F - mean)).matrix();
  }
  return variances_;
}

template <HasLayers M>
Eigen::VectorXd KernelFisher<M>::scores(const LayerParams<float>& d) const {
  LayerParams<float> uncentred = d;
  uncentred_direction(offsets_, uncentred);
  const typename M::Params direction = M::from_layers(std::move(uncentred));
  std::vector<typename M::State>& blocks = population_.chains.blocks;
  latent_input(engine_, direction, blocks, probe_);
  PerChain<double> scores(blocks.size());
  engine_.executor.for_each_owned(static_cast<Index>(blocks.size()), [&](Index block) {
    const auto b = static_cast<std::size_t>(block);
    engine_.model.score(direction, blocks[b], probe_.blocks[b], population_.caches.blocks[b],
                        scores.blocks[b]);
  });
  engine_.executor.share(scores.blocks);
  Eigen::VectorXd u(draws());
  for (std::size_t m = 0; m < draws_.chains.size(); ++m) u[static_cast<Index>(m)] = scores[draws_.chains[m]];
  return centred(std::move(u));
}

template <HasLayers M>
LayerParams<float> KernelFisher<M>::combine(const Eigen::VectorXd& z) const {
  const Eigen::VectorXd centred = z - weights() * z.sum();
  PerChain<float> chain_weights(population_.chains.blocks.size());
  for (std::size_t m = 0; m < draws_.chains.size(); ++m)
    chain_weights[draws_.chains[m]] = static_cast<float>(centred[static_cast<Index>(m)]);
  typename M::Params sums = engine_.model.zero_params();
  accumulate(engine_, theta_, population_, chain_weights, sums);
  LayerParams<float> result = M::to_layers(std::move(sums));
  centre_gradient(offsets_, result);
  return result;
}

template class Fisher<float>;
template class Fisher<double>;
template class DenseFisher<float>;
template class DenseFisher<double>;

#define TEMPERA_INSTANTIATE(M) template class KernelFisher<M>;

TEMPERA_FOR_EACH_LAYERED_MODEL(TEMPERA_INSTANTIATE)

#undef TEMPERA_INSTANTIATE
#define TEMPERA_INSTANTIATE(M)                                                                            \
  template DenseFisher<float> statistics_fisher(const Engine<M>&, const M::Params&, const Population<M>&, \
                                                const FisherDraws&);

TEMPERA_FOR_EACH_SPIKE_SLAB_MODEL(TEMPERA_INSTANTIATE)

}  // namespace tempera
