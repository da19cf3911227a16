// Spikes h_i, each with K slabs s_ik: the amplitude of a slab's filter is h_i s_ik (Courville, Bergstra,
// Bengio 2011). A spike may have a precision Phi of its own that it gives to the visibles.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.5.
#pragma once

#include "tempera/models/units.hpp"

namespace tempera {

struct PooledSpikes {
  struct Shape {
    Index n_spikes = 0;
    Index n_slabs = 1;  // of a spike
    bool operator==(const Shape&) const = default;
  };
  struct Params {
    Vector spike_bias;       // n_spikes
    Matrix slab_mean;        // n_spikes x n_slabs
    Matrix slab_precision;   // n_spikes x n_slabs
    Matrix spike_precision;  // n_visible x n_spikes, where the visibles take one; else empty

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("spike_bias", s.spike_bias...);
      f("slab_mean", s.slab_mean...);
      f("slab_precision", s.slab_precision...);
      f("spike_precision", s.spike_precision...);
    }
  };
  struct State {
    BitLayer spikes;
    LaneMatrix slabs;  // n_spikes n_slabs x 64, in standard deviations of their prior: sqrt(precision) s

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("spikes", s.spikes...);
      f("slabs", s.slabs...);
    }
  };

  static constexpr std::string_view kSuffix = "ssrbm";
  static constexpr std::string_view kHiddenUnits = kUsualHiddenUnits;
  static constexpr bool kSlabs = true;
  static constexpr bool kGivesPrecision = true;
  static constexpr bool kEnumerable = true;
  static constexpr bool kMeanField = false;
  static constexpr bool kPools = true;
  static constexpr bool kTakesInput = true;
  static constexpr bool kTable = false;
  static constexpr FeatureSet kFeatures = {Feature::kInitialSpikeBias, Feature::kSlabs};
  static constexpr std::string_view kAxes = "n_spikes, n_slabs";

  static Index groups(const Shape& s) { return s.n_spikes; }
  static Index filters(const Shape& s) { return s.n_spikes * s.n_slabs; }
  static LatentCounts counts(const Shape& s);
  static std::vector<Index> layers(const Shape& s) { return {s.n_spikes}; }
  static std::vector<std::string> layer_names(const Shape&) { return {"spikes"}; }
  static Shape shape_from(const MachineOptions& options) { return {options.hidden.front(), options.slabs}; }
  static Shape shape_from(const FieldShapes& file, const ArrayShape& weights);
  static std::vector<Violation> check(std::string_view kind, const MachineOptions& options);
  static std::vector<std::pair<std::string, Index>> shape_names(const Shape& s) {
    return {{"n_spikes", s.n_spikes}, {"n_slabs", s.n_slabs}};
  }
  static ArrayShape file_shape(const Shape& s, Index n_visible, std::string_view field);
  /// Filters of one spike side by side.
  static FilterGrid filter_grid(const Shape& s);
  static Shape left(const Shape& s, std::size_t, Index copies) { return {copies * s.n_spikes, s.n_slabs}; }
  static void add_input(const Shape& s, const Eigen::VectorXd& input, const Eigen::VectorXd& quadratic,
                        Params& p);

  static Params zero_params(const Shape& s, Index n_visible, bool precision);
  static State new_state(const Shape& s);
  static void set_initial(const InitialValues& values, Params& p);
  static void set_reference(Params& p);
  static Word gate_bits(const Shape& s, const State& x, Index m) {
    return x.spikes[static_cast<std::size_t>(m / s.n_slabs)];
  }
  static Lanes amplitude(const Shape& s, const Params& p, const State& x, Index m);
  /// The units of a state, which are independent bits given the visibles.
  static BitLayer& bits(State& x) { return x.spikes; }
  static const BitLayer& bits(const State& x) { return x.spikes; }
  static Lanes natural_amplitude(const Shape& s, const State& x, Index m);
  static void unstandardise(const Params& p, State& x);
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
  static double log_constant(const Params& p);
  static void mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                   const LaneFloats& betas, const LatentMeans& means);
  static void add_bias_sums(const Shape&, const Vector& units, Params& sums) { sums.spike_bias += units; }
  static Configuration configuration(const Shape& s, const Params& p, double beta,
                                     std::span<const Word> state, Index first);
};

static_assert(LatentUnits<PooledSpikes>);

}  // namespace tempera
