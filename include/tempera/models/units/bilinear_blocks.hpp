// Blocks of two factor groups g and h and, where gated, a unit f: the amplitude of the filter of slab s_ij is
// g_i h_j f s_ij (Desjardins, Courville, Bengio 2012). The states of the smaller group of a block are
// enumerated; the units of the other are independent given them.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.5.
#pragma once

#include "tempera/models/units/pooled_spikes.hpp"

namespace tempera {

struct BilinearBlocks {
  /// The smaller group of a block is enumerated: 2^kMaxGroup states at most.
  static constexpr Index kMaxGroup = 10;
  struct Shape {
    Index n_blocks = 0;
    Index n_g = 0;
    Index n_h = 0;
    bool gated = false;
    bool operator==(const Shape&) const = default;
  };
  struct Params {
    Matrix g_bias;          // n_blocks x n_g
    Matrix h_bias;          // n_blocks x n_h
    Vector gate_bias;       // n_blocks where gated, else empty
    Matrix slab_mean;       // n_blocks x n_g n_h
    Matrix slab_precision;  // n_blocks x n_g n_h

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("g_bias", s.g_bias...);
      f("h_bias", s.h_bias...);
      f("gate_bias", s.gate_bias...);
      f("slab_mean", s.slab_mean...);
      f("slab_precision", s.slab_precision...);
    }
  };
  struct State {
    BitLayer g;     // n_blocks n_g
    BitLayer h;     // n_blocks n_h
    BitLayer gate;  // n_blocks where gated, else empty
    LaneMatrix slabs;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("g", s.g...);
      f("h", s.h...);
      f("gate", s.gate...);
      f("slabs", s.slabs...);
    }
  };
  /// One spike for each place of a table finds its filters.
  using Simpler = PooledSpikes;

  static constexpr std::string_view kSuffix = "bilinear-ssrbm";
  static constexpr std::string_view kHiddenUnits = kUsualHiddenUnits;
  static constexpr bool kSlabs = true;
  static constexpr bool kGivesPrecision = false;
  static constexpr bool kEnumerable = true;
  static constexpr bool kMeanField = true;
  static constexpr bool kPools = false;
  static constexpr bool kTakesInput = false;
  static constexpr bool kTable = true;
  static constexpr FeatureSet kFeatures = {Feature::kInitialSpikeBias, Feature::kBlocks, Feature::kGate,
                                           Feature::kStagedStart, Feature::kMeanField};
  static constexpr std::string_view kAxes = "n_blocks, n_g, n_h";

  static Index groups(const Shape& s) { return s.n_blocks; }
  static Index filters(const Shape& s) { return s.n_blocks * s.n_g * s.n_h; }
  static LatentCounts counts(const Shape& s);
  static std::vector<Index> layers(const Shape& s);
  static std::vector<std::string> layer_names(const Shape& s);
  static Shape shape_from(const MachineOptions& options) {
    return {options.blocks, options.hidden[0], options.hidden[1], options.gate};
  }
  static Shape shape_from(const FieldShapes& file, const ArrayShape& weights);
  static std::vector<Violation> check(std::string_view kind, const MachineOptions& options);
  static std::vector<std::pair<std::string, Index>> shape_names(const Shape& s) {
    return {{"n_blocks", s.n_blocks}, {"n_g", s.n_g}, {"n_h", s.n_h}, {"gated", s.gated ? 1 : 0}};
  }
  static ArrayShape file_shape(const Shape& s, Index n_visible, std::string_view field);
  static FilterGrid filter_grid(const Shape& s) { return {s.n_g * s.n_h, s.n_h, true}; }
  static Shape left(const Shape& s, std::size_t, Index copies) {
    return {copies * s.n_blocks, s.n_g, s.n_h, s.gated};
  }
  static FilterTable table(const Shape& s) { return {s.n_blocks, s.n_g, s.n_h}; }

  static Params zero_params(const Shape& s, Index n_visible, bool precision);
  static State new_state(const Shape& s);
  static void set_initial(const InitialValues& values, Params& p);
  static void set_reference(Params& p);
  static Word gate_bits(const Shape& s, const State& x, Index m) {
    const Index pairs = s.n_g * s.n_h;
    const Index block = m / pairs;
    const Index i = m % pairs / s.n_h;
    const Index j = m % s.n_h;
    Word bits =
        x.g[static_cast<std::size_t>(block * s.n_g + i)] & x.h[static_cast<std::size_t>(block * s.n_h + j)];
    if (s.gated) bits &= x.gate[static_cast<std::size_t>(block)];
    return bits;
  }
  static Lanes amplitude(const Shape& s, const Params& p, const State& x, Index m);
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
  static double log_weight(const Shape& s, const Params& p, double beta, const Eigen::VectorXd& x,
                           const Eigen::VectorXd& quadratic);
  static double log_constant(const Params& p);
  static void mean(const Shape& s, const Params& p, UnitRange groups, const LatentInput& input,
                   const LaneFloats& betas, const LatentMeans& means);
  /// The mean field of independent g, h and gates (Desjardins, Courville, Bengio 2012), at beta = 1: sweeps
  /// of g given h and h given g, or where `h_first` the other way round, from the biases.
  static void mean_field(const Shape& s, const Params& p, Index sweeps, bool h_first,
                         const LatentInput& input, const LatentMeans& means);
  /// What independent units of these means add to a lower bound of add_log_weights at beta = 1.
  static void add_bound(const Params& p, const LatentInput& input, const LaneMatrix& gate,
                        const LaneMatrix& units, Index lanes, Eigen::Array<double, 1, kLanes>& bound);
  static void add_bias_sums(const Shape& s, const Vector& units, Params& sums);
  static Configuration configuration(const Shape& s, const Params& p, double beta,
                                     std::span<const Word> state, Index first);
};

static_assert(LatentUnits<BilinearBlocks>);

}  // namespace tempera
