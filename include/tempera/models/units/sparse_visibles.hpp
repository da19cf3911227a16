// Real values that are often exactly 0: v_d = u_d t_d with a visible spike u_d and a visible slab t_d,
//
//   E(u, t) = -bias' u + sum_d (precision t^2 / 2 - precision mean t u + precision mean^2 u / 2).
//
// Where u_d = 0 the slab is unseen noise, and is summed out.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.4.
#pragma once

#include <cmath>

#include "tempera/models/units.hpp"

namespace tempera {

struct SparseVisibles {
  using Data = RealData;
  using Value = float;
  using Layer = LaneMatrix;
  struct Params {
    Vector visible_spike_bias;
    Vector visible_slab_mean;
    Vector visible_slab_precision;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible_spike_bias", s.visible_spike_bias...);
      f("visible_slab_mean", s.visible_slab_mean...);
      f("visible_slab_precision", s.visible_slab_precision...);
    }
  };
  using Reference = Params;

  static constexpr std::string_view kRbmPrefix = "sparse-";
  static constexpr std::string_view kSlabPrefix = "sparse-";
  static constexpr bool kDiscrete = false;
  static constexpr bool kEnumerable = false;
  static constexpr bool kAlwaysProper = false;
  static constexpr bool kTakesPrecision = false;
  static constexpr bool kBox = false;
  static constexpr bool kGaussian = false;
  static constexpr bool kBiased = false;
  static constexpr FeatureSet kFeatures = {};
  /// The visible spikes.
  static constexpr Index enumerated_bits(Index n) { return n; }
  static constexpr Index square_statistics(Index) { return 0; }
  static constexpr Index own_statistics(Index n) { return 3 * n; }

  static Layer new_layer(Index n) { return Layer::Zero(n, kLanes); }
  static Params zero_params(Index n) { return {Vector::Zero(n), Vector::Zero(n), Vector::Zero(n)}; }
  static Reference standard_reference(Index n) { return {Vector::Zero(n), Vector::Zero(n), Vector::Ones(n)}; }
  /// Frequency of values other than 0, and the mean and variance of those.
  static Reference fit_reference(const RealData& data);
  static Params initial(const Reference& reference, const InitialValues&) { return reference; }
  static void load(const RealData& data, std::span<const Index> cases, LaneMatrix& v);
  static Eigen::VectorXd case_values(std::span<const float> row, Index n);
  static const LaneMatrix& as_real(const LaneMatrix& v, LaneMatrix&) { return v; }
  static const Vector& precision(const Params& p) { return p.visible_slab_precision; }
  static Vector& precision(Params& p) { return p.visible_slab_precision; }

  static void filter_input(const Matrix& weights, const LaneMatrix& v, Index lanes, UnitRange filters,
                           UnitScratch& scratch, LaneMatrix& input);
  static void sample(const Reference& reference, const Params& own, const VisibleInput& input,
                     const LaneFloats& betas, Index lanes, const LaneStream& stream, UnitScratch& scratch,
                     LaneMatrix& v);
  static Lanes mean(const Params& own, Index d, const VisibleInput& input);
  static void add_energies(const Reference& reference, const Params& own, const LaneFloats& betas,
                           const LaneMatrix& v, Index lanes, LaneDoubles& out);
  static double energy(const Reference& reference, const Params& own, double beta, const Eigen::VectorXd& v);
  static double log_partition(const Reference& reference, const float* box);
  static void mixture_terms(const Reference& reference, const Params& own, double beta,
                            std::span<const Word> state, Eigen::VectorXd& precision, Eigen::VectorXd& linear,
                            Eigen::VectorXd& seen, double& log_weight);

  /// Values of 0 are exact: they have no other origin.
  static double move_origin(const Eigen::VectorXd&, DoubleFields&) { return 0.0; }
  /// Of the fields of the machine of v those of the machine of v / scale.
  static void change_scale(const Eigen::VectorXd& scale, DoubleFields& fields);

  static Params sums(const Params& own, const LaneMatrix& v, const Eigen::Ref<const Vector>& weight);
  static float scale(const Reference& reference, Index d) {
    return std::sqrt(reference.visible_slab_precision[d]);
  }
  static void fill_squares(const Reference&, const LaneMatrix&, LaneMatrix&) {}
  /// Visible spikes, then the derivatives by the means and by the precisions of their slabs.
  static void fill_own_statistics(const Reference& reference, const Params& own, const LaneMatrix& v,
                                  LaneMatrix& out);
  template <class F, class Own, class S>
  static void visit_statistics(F&& f, const Reference& reference, Own& own, S& statistics) {
    const Index n = reference.visible_spike_bias.size();
    auto& bias = statistics.bias[kOwnStatistics];
    for (Index d = 0; d < n; ++d) {
      const float unit = scale(reference, d);
      f(bias[d], own.visible_spike_bias[d], 1.0F, false);
      f(bias[n + d], own.visible_slab_mean[d], 1.0F / unit, false);
      f(bias[2 * n + d], own.visible_slab_precision[d], unit * unit, true);
    }
  }
};

static_assert(VisibleUnits<SparseVisibles>);

}  // namespace tempera
