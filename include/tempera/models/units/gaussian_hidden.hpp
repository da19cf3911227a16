// Real hidden units of unit precision, each with a filter: the amplitude of a filter is its unit,
// E(h) = h'h / 2 - hidden_bias' h. With binary visibles the energy is
//
//   E(v, h) = -v' W h - a' v - c' h + h' h / 2,
//
// so h given v is N(c + W'v, 1), and the free energy is quadratic, F(v) = -a' v - sum_j (c_j + W_j'v)^2 / 2 -
// n log(2 pi) / 2 with n hidden units: the Hopfield network of the filters (Barra et al. 2012).
//
// On the tempering path h'h / 2 is not multiplied by beta: h given v is N(beta (c + W'v), 1), and N(0, 1) at
// beta = 0, whatever the parameters.
#pragma once

#include "tempera/models/spike_slab.hpp"

namespace tempera {

struct GaussianHidden {
  struct Shape {
    Index n_hidden = 0;
    bool operator==(const Shape&) const = default;
  };
  struct Params {
    Vector hidden_bias;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("hidden_bias", s.hidden_bias...);
    }
  };
  struct State {
    LaneMatrix hidden;  // n_hidden x 64

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("hidden", s.hidden...);
    }
  };

  static constexpr std::string_view kSuffix = "rbm";
  static constexpr std::string_view kHiddenUnits = "gaussian";
  static constexpr bool kSlabs = false;
  static constexpr bool kGivesPrecision = false;
  static constexpr bool kEnumerable = false;
  static constexpr bool kMeanField = false;
  static constexpr bool kPools = false;
  static constexpr bool kTakesInput = true;
  static constexpr bool kTable = false;
  static constexpr FeatureSet kFeatures = {};
  static constexpr std::string_view kAxes = "n_hidden";

  static Index groups(const Shape& s) { return s.n_hidden; }
  static Index filters(const Shape& s) { return s.n_hidden; }
  static LatentCounts counts(const Shape& s);
  static std::vector<Index> layers(const Shape& s) { return {s.n_hidden}; }
  static std::vector<std::string> layer_names(const Shape&) { return {"hidden"}; }
  static Shape shape_from(const MachineOptions& options) { return {options.hidden.front()}; }
  static Shape shape_from(const FieldShapes& file, const ArrayShape& weights);
  static std::vector<Violation> check(std::string_view kind, const MachineOptions& options);
  static std::vector<std::pair<std::string, Index>> shape_names(const Shape& s) {
    return {{"n_hidden", s.n_hidden}};
  }
  static ArrayShape file_shape(const Shape&, Index, std::string_view) { return {}; }
  static FilterGrid filter_grid(const Shape&) { return {}; }
  static Shape left(const Shape& s, std::size_t held, Index copies) {
    return {copies * std::max<Index>(1, s.n_hidden - static_cast<Index>(held))};
  }
  static void add_input(const Shape&, const Eigen::VectorXd& input, const Eigen::VectorXd&, Params& p) {
    p.hidden_bias += input.cast<float>();
  }

  static Params zero_params(const Shape& s, Index, bool) { return {Vector::Zero(s.n_hidden)}; }
  static State new_state(const Shape& s) { return {LaneMatrix::Zero(s.n_hidden, kLanes)}; }
  static void set_initial(const InitialValues&, Params&) {}
  static void set_reference(Params&) {}
  static Lanes amplitude(const Shape&, const Params&, const State& x, Index m) { return x.hidden.row(m); }
  static Lanes natural_amplitude(const Shape&, const State& x, Index m) { return x.hidden.row(m); }
  static void unstandardise(const Params&, State&) {}
  static void fill_units(const State& x, LaneMatrix& out) { out.topRows(x.hidden.rows()) = x.hidden; }

  static Index sites(const Shape& s);
  static void sample(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                     const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                     State& x);
  static void sample_reference(const Shape& s, Index lanes, const LaneStream& stream, Index first_site,
                               State& x);
  static double reference_log_partition(const Shape& s);
  static void add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                              const LaneFloats& betas, Index lanes, LaneDoubles& out);
  static double log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                           const Eigen::VectorXd& quadratic);
  static double log_constant(const Params&) { return 0.0; }
  static void mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                   const LaneFloats& betas, const LatentMeans& means);
  static void add_bias_sums(const Shape&, const Vector& units, Params& sums) { sums.hidden_bias += units; }
};

static_assert(LatentUnits<GaussianHidden>);

using BernoulliGaussianRbm = SpikeSlab<BinaryVisibles, GaussianHidden>;

}  // namespace tempera
