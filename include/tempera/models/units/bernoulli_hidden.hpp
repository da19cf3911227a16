// Binary hidden units, each with a filter: the amplitude of a filter is its unit. E(h) = -hidden_bias' h.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.5.
#pragma once

#include "tempera/models/units.hpp"

namespace tempera {

struct BernoulliHidden {
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
    BitLayer hidden;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("hidden", s.hidden...);
    }
  };

  static constexpr std::string_view kSuffix = "rbm";
  static constexpr std::string_view kHiddenUnits = kUsualHiddenUnits;
  static constexpr bool kSlabs = false;
  static constexpr bool kGivesPrecision = false;
  static constexpr bool kEnumerable = true;
  static constexpr bool kMeanField = false;
  static constexpr bool kPools = false;
  static constexpr bool kTakesInput = true;
  static constexpr bool kTable = false;
  static constexpr FeatureSet kFeatures = {Feature::kInitialSpikeBias};
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
  static State new_state(const Shape& s) { return {BitLayer(static_cast<std::size_t>(s.n_hidden))}; }
  static void set_initial(const InitialValues& values, Params& p) {
    p.hidden_bias.setConstant(static_cast<float>(values.spike_bias));
  }
  static void set_reference(Params&) {}
  /// The units of a state, which are independent bits given the visibles.
  static BitLayer& bits(State& x) { return x.hidden; }
  static const BitLayer& bits(const State& x) { return x.hidden; }
  static Lanes amplitude(const Shape& s, const Params&, const State& x, Index m) {
    return natural_amplitude(s, x, m);
  }
  static Lanes natural_amplitude(const Shape&, const State& x, Index m);
  static void unstandardise(const Params&, State&) {}
  static void fill_units(const State& x, LaneMatrix& out);

  static Index sites(const Shape& s);
  static void sample(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                     const LaneFloats& betas, Index lanes, const LaneStream& stream, Index first_site,
                     State& x);
  static void sample_reference(const Shape& s, Index lanes, const LaneStream& stream, Index first_site,
                               State& x);
  static double reference_log_partition(const Shape& s);
  static void add_log_weights(const Shape& s, const Params& p, const LatentInput& input,
                              const LaneFloats& betas, Index lanes, LaneDoubles& out);
  /// Logits of all units at beta = 1.
  static void fill_logits(const Shape& s, const Params& p, const LatentInput& input, LaneMatrix& out);
  static double log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                           const Eigen::VectorXd& quadratic);
  static double log_constant(const Params&) { return 0.0; }
  static void mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                   const LaneFloats& betas, const LatentMeans& means);
  static void add_bias_sums(const Shape&, const Vector& units, Params& sums) { sums.hidden_bias += units; }
  static Configuration configuration(const Shape& s, const Params& p, double beta,
                                     std::span<const Word> state, Index first);
};

static_assert(LatentUnits<BernoulliHidden>);

}  // namespace tempera
