// Metrics: what turns the gradient g of the log-likelihood into a direction d = P^-1 g. With P the Fisher
// matrix this is the natural gradient (Amari 1998); the metrics here stand between it and P = I.
//
// Everything is in centred coordinates (layer_params.hpp) where layers are of Bernoulli units: the exact
// natural gradient does not care, every damped or approximate one does, and only there it is the same for
// inverted pixels (docs/mathematics/metrics.md 4.2). Machines of real values or slabs have coordinates of
// their own (models/spike_slab.hpp).
//
//   diagonal  variances of the statistics; an update costs a gradient
//   mfng      F + lambda I by MINRES or CG, matrix-free; two gradients an iteration
//             (Desjardins, Pascanu, Courville, Bengio 2013)
//   sample    F + lambda I exactly, in the space of draws; two gradients + draws^2 units + draws^3 / 3
//             (TONGA's Gram matrix; Woodbury)
//   kfac      Cov(x_{k-1}) (x) Cov(x_k) for weights, the full covariance for biases (Martens & Grosse 2015)
//   ekfac     the same basis with the right variances in it (George, Laurent et al. 2018)
//   fang      a Gaussian graphical model: every v_i h_j regressed on v_i and h_j; Bernoulli units alone
//             (Grosse & Salakhutdinov 2015)
//   tonga     low rank with forgetting + lambda I (Le Roux, Manzagol, Bengio 2007)
//   hybrid    alpha kfac + (1 - alpha) F
//   exact     F + lambda I as a dense matrix, for tests and tiny machines
#pragma once

#include <bit>
#include <functional>
#include <string>
#include <variant>

#include "tempera/train/fisher.hpp"

namespace tempera {

/// What a metric remembers of earlier updates: stored in checkpoints, arrays that it does not use are empty.
template <class Number>
struct MetricState {
  Eigen::VectorXd mean;  // of all units, layer after layer: running mean of first moments, offsets taken off
  Eigen::MatrixXd second;  // of second moments
  double weight = 0.0;     // of what has been seen: 1 - rho^t
  std::uint64_t observed = 0;
  Flat<Number> factors;  // inverses or bases, refreshed now and then; of tonga what it is whitened by
  // Running second and first moments of the statistics; of ekfac and fang the first are variances alone, and
  // the others of fang the slopes of its regressions, on rows, then on columns.
  Flat<Number> variances;
  Flat<Number> first_moments;
  typename LayerParams<Number>::Weights rows;  // tonga: orthogonal directions, one per row
  Eigen::VectorXd eigenvalues;                 // of these
  Flat<Number> previous;                       // direction of the last update

  template <class F, class... S>
  static void visit(F&& f, S&&... s) {
    f("mean", s.mean...);
    f("second", s.second...);
    f("weight", s.weight...);
    f("observed", s.observed...);
    f("factors", s.factors...);
    f("variances", s.variances...);
    f("first_moments", s.first_moments...);
    f("rows", s.rows...);
    f("eigenvalues", s.eigenvalues...);
    f("previous", s.previous...);
  }
};

/// Numbers that a metric is set by; those that it does not use mean nothing.
struct MetricOptions {
  std::string kind = "euclid";
  double damping = 0.1;                 // lambda; of factored metrics, added to every covariance
  double memory = 100.0;                // updates that running means look back
  std::uint64_t refresh = 20;           // updates between inversions of factors
  std::uint64_t insert_every = 10;      // updates between insertions of tonga
  Index rank = 50;                      // directions that tonga keeps
  double forgetting = 0.9;              // what tonga keeps of its matrix at an insertion
  double mixing = 0.6;                  // alpha of hybrid
  std::string solver = "minres";        // of mfng: minres or cg
  std::string preconditioner = "none";  // of mfng: none or kfac
  double factor_damping = 0.05;         // of the factors of hybrid and of the preconditioner
  Index iterations = 100;               // of mfng at most
  double tolerance = 1e-6;              // of its residual, relative
  bool warm_start = false;              // from the direction of the last update
};

struct SolveReport {
  Index iterations = 0;
  double residual = 0.0;  // |P d - g| / |g|, of iterative solutions
};

/// A metric: observes the draws of an update, then solves P d = g. `solve` is linear in g, symmetric positive
/// definite, and a function of draws and state alone, whatever the threads.
template <class T, class Number>
concept Metric = requires(T metric, const T& fixed, const Fisher<Number>& fisher, MetricState<Number>& state,
                          const LayerParams<Number>& g) {
  // Sizes the arrays of a new state.
  fixed.prepare(LayerShape(), state);
  fixed.observe(fisher, state);
  { fixed.solve(fisher, state, g, std::declval<SolveReport&>()) } -> std::same_as<LayerParams<Number>>;
  { fixed.apply(fisher, state, g) } -> std::same_as<LayerParams<Number>>;  // P x
};

template <class Number>
struct DiagonalMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
};

template <class Number>
struct KfacMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
  /// Inverts the factors of what has been seen. `observe` does so by itself every `refresh` updates.
  void invert(const LayerShape& shape, MetricState<Number>& state) const;
};

template <class Number>
struct EkfacMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
  /// Bases of what has been seen, with the variances of kfac in them.
  void turn(const LayerShape& shape, MetricState<Number>& state) const;
};

template <class Number>
struct FangMetric {
  MetricOptions options;
  LayerOffsets offsets;  // of the layers, which must outlive it
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
  /// Regressions and precision of what has been seen.
  void regress(const LayerShape& shape, MetricState<Number>& state) const;
};

template <class Number>
struct SampleMetric {
  MetricOptions options;
  void prepare(const LayerShape&, MetricState<Number>&) const {}
  void observe(const Fisher<Number>&, MetricState<Number>&) const {}
  LayerParams<Number> solve(const Fisher<Number>& fisher, const MetricState<Number>&,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                            const LayerParams<Number>& x) const;
};

template <class Number>
struct MfngMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport& report) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                            const LayerParams<Number>& x) const;
};

template <class Number>
struct TongaMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>&, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
};

template <class Number>
struct HybridMetric {
  MetricOptions options;
  void prepare(const LayerShape& shape, MetricState<Number>& state) const;
  void observe(const Fisher<Number>& fisher, MetricState<Number>& state) const;
  LayerParams<Number> solve(const Fisher<Number>& fisher, const MetricState<Number>& state,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const MetricState<Number>& state,
                            const LayerParams<Number>& x) const;
};

template <class Number>
struct ExactMetric {
  MetricOptions options;
  void prepare(const LayerShape&, MetricState<Number>&) const {}
  void observe(const Fisher<Number>&, MetricState<Number>&) const {}
  LayerParams<Number> solve(const Fisher<Number>& fisher, const MetricState<Number>&,
                            const LayerParams<Number>& g, SolveReport&) const;
  LayerParams<Number> apply(const Fisher<Number>& fisher, const MetricState<Number>&,
                            const LayerParams<Number>& x) const;
  /// Parameters at most.
  static constexpr Index kMostParameters = 5000;
};

template <class Number>
using AnyMetric = std::variant<DiagonalMetric<Number>, KfacMetric<Number>, EkfacMetric<Number>,
                               FangMetric<Number>, SampleMetric<Number>, MfngMetric<Number>,
                               TongaMetric<Number>, HybridMetric<Number>, ExactMetric<Number>>;

/// The metric of a name other than euclid. `offsets` must outlive it.
template <class Number>
AnyMetric<Number> make_metric(const MetricOptions& options, const LayerOffsets& offsets);

/// Whether a metric looks at moments of layers, for which expected latents with their variances serve even
/// where the law is the joint one.
bool uses_moments(const std::string& kind);

}  // namespace tempera
