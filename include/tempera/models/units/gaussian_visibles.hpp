// Real values with a precision of their own, E(v) = v' diag(precision) v / 2 - bias' v, perhaps restricted to
// a box.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.4.
#pragma once

#include <cmath>

#include "tempera/models/units.hpp"

namespace tempera {

struct GaussianVisibles {
  using Data = RealData;
  using Value = float;
  using Layer = LaneMatrix;
  struct Params {
    Vector visible_bias;
    Vector visible_precision;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible_bias", s.visible_bias...);
      f("visible_precision", s.visible_precision...);
    }
  };
  using Reference = Params;

  static constexpr std::string_view kRbmPrefix = "gaussian-";
  static constexpr std::string_view kSlabPrefix = "";
  static constexpr bool kDiscrete = false;
  static constexpr bool kEnumerable = false;
  static constexpr bool kAlwaysProper = false;
  static constexpr bool kTakesPrecision = true;
  static constexpr bool kBox = true;
  static constexpr bool kGaussian = true;
  static constexpr bool kBiased = true;
  static constexpr FeatureSet kFeatures = {Feature::kBox, Feature::kDataNoise,
                                           Feature::kInitialVisiblePrecision};
  static constexpr Index enumerated_bits(Index) { return 0; }
  static constexpr Index square_statistics(Index n) { return n; }
  static constexpr Index own_statistics(Index) { return 0; }

  static Layer new_layer(Index n) { return Layer::Zero(n, kLanes); }
  static Params zero_params(Index n) { return {Vector::Zero(n), Vector::Zero(n)}; }
  /// Mean 0 and precision 1.
  static Reference standard_reference(Index n) { return {Vector::Zero(n), Vector::Ones(n)}; }
  /// Independent normal laws of the data's means and variances.
  static Reference fit_reference(const RealData& data);
  static Params initial(const Reference& reference, const InitialValues& values);
  static void load(const RealData& data, std::span<const Index> cases, LaneMatrix& v);
  static Eigen::VectorXd case_values(std::span<const float> row, Index n);
  static const LaneMatrix& as_real(const LaneMatrix& v, LaneMatrix&) { return v; }
  static const Vector& precision(const Params& p) { return p.visible_precision; }
  static Vector& precision(Params& p) { return p.visible_precision; }
  /// Adds noise of this standard deviation to the first lanes, at sites 0 ... n - 1 of the stream.
  static void add_noise(double standard_deviation, const LaneStream& stream, Index lanes, LaneMatrix& v);

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

  /// Of the fields of the machine of v those of the machine of v - centre, and what its energy is less by.
  static double move_origin(const Eigen::VectorXd& centre, DoubleFields& fields);
  /// The same of v / scale.
  static void change_scale(const Eigen::VectorXd& scale, DoubleFields& fields);

  static Params sums(const Params& own, const LaneMatrix& v, const Eigen::Ref<const Vector>& weight);
  static float scale(const Reference& reference, Index d) {
    return std::sqrt(reference.visible_precision[d]);
  }
  static void fill_squares(const Reference& reference, const LaneMatrix& v, LaneMatrix& out);
  static void fill_own_statistics(const Reference&, const Params&, const LaneMatrix&, LaneMatrix&) {}
  template <class F, class Own, class S>
  static void visit_statistics(F&& f, const Reference& reference, Own& own, S& statistics) {
    for (Index d = 0; d < reference.visible_precision.size(); ++d) {
      const float unit = scale(reference, d);
      f(statistics.bias[kVisibleStatistics][d], own.visible_bias[d], unit, false);
      f(statistics.bias[kSquareStatistics][d], own.visible_precision[d], unit * unit, true);
    }
  }
};

static_assert(VisibleUnits<GaussianVisibles>);

}  // namespace tempera
