// The Fisher matrix of a machine as its draws give it: F = sum_m w_m (s_m - mean s)(s_m - mean s)' for the
// centred statistics s of draws m with weights w that add to 1. It is never formed: it is a product of two
// factors, each of which costs about a gradient.
//
// With statistics of drawn latents this is the Fisher matrix of the joint law, the Hessian of log Z
// (Desjardins et al. 2013); with their expected values given what a chain keeps, that of the marginal law
// (Amari), which is smaller (docs/mathematics/metrics.md 4.1).
#pragma once

#include "tempera/mcmc/population.hpp"
#include "tempera/train/layer_params.hpp"

namespace tempera {

/// Work by the thread that asks for it, on every rank.
const Executor& one_thread();

template <class Number>
class Fisher {
 public:
  using Layer = Eigen::Matrix<Number, Eigen::Dynamic, Eigen::Dynamic>;  // units x draws

  virtual ~Fisher() = default;
  /// Weights of the draws; their sum is 1.
  [[nodiscard]] const Eigen::VectorXd& weights() const { return weights_; }
  [[nodiscard]] Index draws() const { return weights_.size(); }
  /// Layers, and which of them have biases and couplings.
  [[nodiscard]] const LayerShape& shape() const { return shape_; }
  /// Values of every layer with the offsets taken off.
  [[nodiscard]] virtual const std::vector<Layer>& layers() const = 0;
  /// Conditional variances of the units, draw by draw, where values are expected ones but the law is the
  /// joint one; empty matrices elsewhere. The two together are Rao-Blackwellised moments.
  [[nodiscard]] virtual const std::vector<Layer>& variances() const = 0;
  /// u_m = (s_m - mean s)'d for a direction in centred coordinates.
  [[nodiscard]] virtual Eigen::VectorXd scores(const LayerParams<Number>& d) const = 0;
  /// sum_m z_m (s_m - mean s).
  [[nodiscard]] virtual LayerParams<Number> combine(const Eigen::VectorXd& z) const = 0;

  /// F x.
  [[nodiscard]] LayerParams<Number> product(const LayerParams<Number>& x) const {
    return combine(weights_.cwiseProduct(scores(x)));
  }
  /// x'F x.
  [[nodiscard]] double quadratic(const LayerParams<Number>& x) const {
    return weights_.dot(scores(x).cwiseAbs2());
  }
  /// Gram matrix of the draws: K_mn = sqrt(w_m w_n) (s_m - mean s)'(s_n - mean s), from products of layers
  /// alone (docs/mathematics/metrics.md 4.3). Cost: draws^2 x units, shared by threads and ranks.
  [[nodiscard]] Eigen::MatrixXd gram() const;

 protected:
  Fisher(LayerShape shape, Eigen::VectorXd weights, const Executor& executor)
      : shape_(std::move(shape)), weights_(std::move(weights)), executor_(executor) {}
  /// u with its weighted mean taken off.
  [[nodiscard]] Eigen::VectorXd centred(Eigen::VectorXd u) const {
    u.array() -= weights_.dot(u);
    return u;
  }

 private:
  LayerShape shape_;
  Eigen::VectorXd weights_;
  const Executor& executor_;
};

/// A Gram matrix of draws with their weighted mean taken off on both sides, scaled by the square roots of the
/// weights.
Eigen::MatrixXd centred_gram(Eigen::MatrixXd gram, const Eigen::VectorXd& weights);

/// From values of the layers as matrices: for machines of real-valued statistics, tests and tiny machines.
template <class Number>
class DenseFisher final : public Fisher<Number> {
 public:
  using typename Fisher<Number>::Layer;
  /// layers: units x draws, the offsets taken off.
  DenseFisher(LayerShape shape, std::vector<Layer> layers, Eigen::VectorXd weights,
              const Executor& executor = one_thread())
      : Fisher<Number>(std::move(shape), std::move(weights), executor),
        layers_(std::move(layers)),
        variances_(layers_.size()) {}
  /// The layers of a chain, with conditional variances of their units or none.
  DenseFisher(std::vector<Layer> layers, Eigen::VectorXd weights, std::vector<Layer> variances = {})
      : Fisher<Number>(sizes_of(layers), std::move(weights), one_thread()),
        layers_(std::move(layers)),
        variances_(std::move(variances)) {
    variances_.resize(layers_.size());
  }

  [[nodiscard]] const std::vector<Layer>& layers() const override { return layers_; }
  [[nodiscard]] const std::vector<Layer>& variances() const override { return variances_; }
  [[nodiscard]] Eigen::VectorXd scores(const LayerParams<Number>& d) const override;
  [[nodiscard]] LayerParams<Number> combine(const Eigen::VectorXd& z) const override;

 private:
  static std::vector<Index> sizes_of(const std::vector<Layer>& layers) {
    std::vector<Index> sizes;
    for (const Layer& x : layers) sizes.push_back(x.rows());
    return sizes;
  }

  std::vector<Layer> layers_;
  std::vector<Layer> variances_;
};

/// What the latents of a Fisher matrix's draws are.
enum class Latents {
  kDrawn,     // as sampled: the joint law
  kExpected,  // given what a chain keeps: the marginal law
  kMoments,   // expected, and their variances beside them: moments of the joint law
};

/// The draws of a Fisher matrix: some chains of a population, whose caches hold their expected latents.
struct FisherDraws {
  std::vector<std::uint64_t> chains;
  Latents latents = Latents::kExpected;
};

/// The Fisher matrix of draws of a machine of real-valued statistics. Of the joint law where the latents are
/// not expected ones.
template <HasStatistics M>
DenseFisher<float> statistics_fisher(const Engine<M>& engine, const typename M::Params& theta,
                                     const Population<M>& population, const FisherDraws& draws);

/// From draws, through the kernels: products with bits. The expected latents of the population's caches are
/// replaced by those drawn where these are asked for. `probe` is memory. All arguments must outlive it.
template <HasLayers M>
class KernelFisher final : public Fisher<float> {
 public:
  KernelFisher(const Engine<M>& engine, const typename M::Params& theta, Population<M>& population,
               FisherDraws draws, const typename M::Offsets& offsets, Caches<M>& probe);

  [[nodiscard]] const std::vector<Layer>& layers() const override;
  [[nodiscard]] const std::vector<Layer>& variances() const override;
  [[nodiscard]] Eigen::VectorXd scores(const LayerParams<float>& d) const override;
  [[nodiscard]] LayerParams<float> combine(const Eigen::VectorXd& z) const override;

 private:
  Engine<M> engine_;
  const typename M::Params& theta_;
  Population<M>& population_;
  FisherDraws draws_;
  LayerOffsets offsets_;
  Caches<M>& probe_;
  mutable std::vector<Layer> layers_;
  mutable std::vector<Layer> variances_;
};

}  // namespace tempera
