// The restricted Boltzmann machine with Bernoulli visible and hidden units (Smolensky 1986; Hinton 2002).
//
//   E(v, h) = -v' W h - a' v - c' h,    v in {0,1}^n_visible, h in {0,1}^n_hidden.
//
// Tempering path, with reference biases r fitted to the data:
//
//   E_beta(v, h) = beta E(v, h) - (1 - beta) r' v,
//
// so beta = 0 is n_visible independent units with logits r and n_hidden fair coins, of known log Z.
//
// Formulas: docs/mathematics/energies.md 1.2, 1.6 and 1.7.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "tempera/kernels/products.hpp"
#include "tempera/models/energy_model.hpp"

namespace tempera {

class BernoulliRbm {
 public:
  using Data = BinaryData;
  static constexpr std::string_view kKind = "bernoulli-rbm";
  /// More units than this in the smaller layer are not enumerated (2^25 states).
  static constexpr Index kMaxEnumeratedUnits = 25;

  struct Params {
    Matrix weights;       // n_visible x n_hidden
    Vector visible_bias;  // n_visible
    Vector hidden_bias;   // n_hidden

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("weights", s.weights...);
      f("visible_bias", s.visible_bias...);
      f("hidden_bias", s.hidden_bias...);
    }
  };

  struct State {
    BitLayer visible;  // n_visible words
    BitLayer hidden;   // n_hidden words

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      f("hidden", s.hidden...);
    }
  };

  struct Offsets {
    Vector visible;  // n_visible
    Vector hidden;   // n_hidden

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible", s.visible...);
      f("hidden", s.hidden...);
    }
  };

  /// Cache of one block.
  struct Work {
    Index lanes = kLanes;     // chains in the block
    LaneMatrix hidden_input;  // c + W'v of the current visibles
    LaneMatrix hidden_mean;   // set by mean_latents
  };

  /// Memory of one task; grows on first use.
  struct Scratch {
    PackedPanel packed;
    ProductScratch products;
    LaneMatrix input;
    LaneMatrix visible_input;
    std::vector<WeightedBlock> blocks;
  };

  /// reference_bias: logits of the visibles at beta = 0, n_visible values.
  BernoulliRbm(Index n_visible, Index n_hidden, Vector reference_bias);
  BernoulliRbm(Index n_visible, Index n_hidden)
      : BernoulliRbm(n_visible, n_hidden, Vector::Zero(n_visible)) {}

  /// The model with these layers.
  static BernoulliRbm with_layers(const std::vector<Index>& sizes, Vector reference_bias) {
    return {sizes[0], sizes[1], std::move(reference_bias)};
  }

  [[nodiscard]] Index n_visible() const { return n_visible_; }
  [[nodiscard]] Index n_hidden() const { return n_hidden_; }
  [[nodiscard]] const Vector& reference_bias() const { return reference_bias_; }
  bool operator==(const BernoulliRbm& other) const;

  /// Parameters, states and offsets of this shape, all zero.
  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State new_state() const;
  [[nodiscard]] Work new_work(Index lanes) const;
  [[nodiscard]] Offsets zero_offsets() const;

  // --- EnergyModel -------------------------------------------------------------------------------
  // theta: parameters; panel: blocks; units: a part of a layer, from a multiple of kUnitAlignment; stream:
  // the draws of this step, for the chains of the first block. Every draw has a site of its own, so resample
  // and sample_latents may share a step.

  /// Visibles of up to 64 cases; the other lanes are 0.
  void load(const BinaryData& data, std::span<const Index> cases, State& x) const;
  static const BitLayer& visibles_of(const State& x) { return x.visible; }

  /// A sweep is v ~ p_beta(v | h), then h ~ p_beta(h | v): the visibles are stage 0, the hiddens stage 1.
  [[nodiscard]] Index stages() const { return 2; }
  [[nodiscard]] Index stage_units(Index stage) const { return stage == 0 ? n_visible_ : n_hidden_; }
  /// One stage for a part of its units. Cost: one product, and a random draw and an exponential for each unit
  /// and chain. Allocates nothing once the scratch has grown.
  void resample(Index stage, UnitRange units, const Params& theta, const Panel<BernoulliRbm>& panel,
                Scratch& scratch, const LaneStream& stream) const;

  [[nodiscard]] Index latents() const { return n_hidden_; }
  /// work.hidden_input from the visibles. Cost: one product.
  void infer(UnitRange units, const Params& theta, const Panel<BernoulliRbm>& panel, Scratch& scratch) const;
  /// work.hidden_mean = sigmoid(beta (c + W'v)).
  void mean_latents(UnitRange units, const Params& theta, const Panel<BernoulliRbm>& panel) const;
  /// h ~ p_beta(h | v).
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const Work& work,
                      const LaneStream& stream) const;
  /// F_beta(v) = -(beta a + (1 - beta) r)'v - sum_j softplus(beta (c_j + W_j'v)); float inputs, double sums.
  /// Lanes without a chain are 0.
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, const Work& work,
                   LaneDoubles& out) const;

  /// Adds (or puts in place) sum_c weight[c] (v_c hbar_c', v_c, hbar_c), hbar = work.hidden_mean, over the
  /// chains of all blocks, along the fixed tree over blocks. A slice is kProductColumns hidden units; slice 0
  /// also holds the visible biases.
  void accumulate(const Params& theta, std::span<const State> states, std::span<const Work> works,
                  std::span<const LaneFloats> weights, Index slice, Sums mode, Scratch& scratch,
                  Params& sums) const;
  [[nodiscard]] Index slices() const { return (n_hidden_ + kProductColumns - 1) / kProductColumns; }
  /// means.hidden = sums.hidden_bias for the hidden units of a slice.
  void note_means(Index slice, const Params& sums, Offsets& means) const;
  /// work.hidden_mean = the hidden units of x.
  void unpack_latents(const State& x, Work& work) const;
  /// out[c] = d_a'v + hbar'(d_c + D'v), with probe.hidden_input = d_c + D'v: with the mean over chains taken
  /// off, one factor of a Fisher product, of which `accumulate` is the other.
  void score(const Params& direction, const State& x, const Work& probe, const Work& work,
             LaneDoubles& out) const;
  /// Layer 0 is the visibles, layer 1 work.hidden_mean.
  void layer_values(Index layer, const State& x, const Work& work, LaneMatrix& out) const;

  /// f(offsets of the rows, offsets of the columns, coupling of each struct...): what centring acts on. The
  /// centred energy is -(v - mu)'W(h - nu) - a'(v - mu) - c'(h - nu) (Melchior et al. 2016).
  template <class F, class... S>
  static void visit_couplings(F&& f, const Offsets& offsets, S&&... s) {
    f(offsets.visible, offsets.hidden, Coupling{s.weights, s.visible_bias, s.hidden_bias}...);
  }

  // --- HasReference ------------------------------------------------------------------------------
  /// Independent draws at beta = 0.
  void sample_reference(Index lanes, State& x, const LaneStream& stream) const;
  /// n_hidden log 2 + sum_i softplus(r_i).
  [[nodiscard]] double reference_log_partition() const;
  /// W = 0, c = 0, a = r.
  [[nodiscard]] Params reference_params() const;

  // --- HasLatentMarginal -------------------------------------------------------------------------
  /// c + W'v of one chain.
  [[nodiscard]] Vector latent_logits(const Work& work, Index lane) const {
    return work.hidden_input.col(lane);
  }
  static BitLayer& latents_of(State& x) { return x.hidden; }
  static const BitLayer& latents_of(const State& x) { return x.hidden; }
  /// F_beta(h) = -beta c'h - sum_i softplus(beta (a_i + W_i h) + (1 - beta) r_i); float inputs, double sums.
  void latent_free_energy(const Params& theta, const LaneFloats& beta, const State& x, Index lanes,
                          Scratch& scratch, LaneDoubles& out) const;

  // --- HasExactLogZ ------------------------------------------------------------------------------
  /// Units of the smaller layer: 2^enumerated_units() states.
  [[nodiscard]] Index enumerated_units() const { return std::min(n_visible_, n_hidden_); }
  /// The states are enumerated in this many chunks of equal size.
  [[nodiscard]] Index exact_chunks() const;
  /// log of the sum of exp(-E_beta) over the states of one chunk, the other layer summed out. Gray code
  /// order, double. Cost: 2^enumerated_units() / exact_chunks() x units of the larger layer softplus
  /// evaluations.
  [[nodiscard]] double log_partition_chunk(const Params& theta, double beta, Index chunk) const;

  // --- one case, exactly -------------------------------------------------------------------------
  /// Units that free_energy of one case enumerates: none.
  static constexpr Index case_units() { return 0; }
  /// F(v) of one case at beta = 1, all in double. Cost: (ones in v) x n_hidden.
  [[nodiscard]] double free_energy(const Params& theta, std::span<const Word> row) const;
  /// mean(i, c) = P(v_i = 1 | h of chain c), for pictures.
  void mean_visible(const Params& theta, const State& x, Scratch& scratch, LaneMatrix& mean) const;

  // --- what trainers and files ask ---------------------------------------------------------------
  /// Fields that weight decay acts on.
  static constexpr bool is_weight(std::string_view field) { return field == "weights"; }
  [[nodiscard]] std::vector<Index> layer_sizes() const { return {n_visible_, n_hidden_}; }
  static LayerParams<float> to_layers(Params&& params);
  static Params from_layers(LayerParams<float>&& layers);
  static std::vector<const Vector*> layer_offsets(const Offsets& offsets) {
    return {&offsets.visible, &offsets.hidden};
  }
  /// Weights of the first hidden layer: one filter per column.
  static const Matrix& filters(const Params& theta) { return theta.weights; }
  /// The first hidden layer among the fields of states and offsets.
  static constexpr std::string_view kFirstHidden = "hidden";
  /// The field of the visible biases, and so of the reference machine in files.
  static constexpr std::string_view kVisibleBias = "visible_bias";
  /// W ~ N(0, weight_scale^2), hidden biases 0, visible biases = reference_bias (the best independent model).
  [[nodiscard]] Params initial_params(const StreamFactory& streams, double weight_scale) const;
  /// Offsets at the start: the mean of the data, and 1/2 for the hidden units.
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd& visible_means) const;
  /// Names and sizes that a file states beside the parameters.
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape_names() const {
    return {{"n_visible", n_visible_}, {"n_hidden", n_hidden_}};
  }

 private:
  [[nodiscard]] UnitRange slice_units(Index slice) const {
    return {slice * kProductColumns, std::min(n_hidden_, (slice + 1) * kProductColumns)};
  }
  /// scratch.visible_input = a + W h.
  void visible_input(const Params& theta, const BitBlock& hidden, Scratch& scratch) const;
  [[nodiscard]] std::uint32_t hidden_site() const;
  [[nodiscard]] std::uint32_t redraw_site() const;

  Index n_visible_;
  Index n_hidden_;
  Vector reference_bias_;
};

static_assert(HasReference<BernoulliRbm> && HasExactLogZ<BernoulliRbm> && HasLatentMarginal<BernoulliRbm>);

/// Logits of the mean of binary data, the best independent model: means are smoothed by one imaginary case of
/// each value, so that constant columns stay finite.
[[nodiscard]] Vector smoothed_logits(const Eigen::VectorXd& means, Index n_cases);

}  // namespace tempera
