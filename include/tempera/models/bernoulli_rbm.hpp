// The restricted Boltzmann machine with Bernoulli visible and hidden units (Smolensky 1986; Hinton 2002).
//
//   E(v, h) = -v' W h - a' v - c' h,    v in {0,1}^n_visible, h in {0,1}^n_hidden.
//
// Tempering path, with reference biases r fitted to the data:
//
//   E_beta(v, h) = beta E(v, h) - (1 - beta) r' v,
//
// so beta = 0 is n_visible independent units with logits r and n_hidden fair coins, of known log Z.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "tempera/kernels/products.hpp"
#include "tempera/models/energy_model.hpp"

namespace tempera {

class BernoulliRbm {
 public:
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

  struct Work {
    LaneMatrix hidden_input;   // c + W'v of the current visibles
    LaneMatrix hidden_mean;    // set by mean_latents
    LaneMatrix visible_input;  // a + W h of the last sweep
    LaneDoubles bias_dot;      // a'v and r'v of the current visibles, made when first needed
    LaneDoubles reference_dot;
    bool dots_current = false;
    ProductScratch scratch;
  };

  /// reference_bias: logits of the visibles at beta = 0, n_visible values.
  BernoulliRbm(Index n_visible, Index n_hidden, Vector reference_bias);
  BernoulliRbm(Index n_visible, Index n_hidden)
      : BernoulliRbm(n_visible, n_hidden, Vector::Zero(n_visible)) {}

  [[nodiscard]] Index n_visible() const { return n_visible_; }
  [[nodiscard]] Index n_hidden() const { return n_hidden_; }
  [[nodiscard]] const Vector& reference_bias() const { return reference_bias_; }
  bool operator==(const BernoulliRbm& other) const;

  /// Parameters and states of this shape, all zero.
  [[nodiscard]] Params zero_params() const;
  [[nodiscard]] State zero_state() const;
  [[nodiscard]] Offsets zero_offsets() const;

  // --- EnergyModel -------------------------------------------------------------------------------
  // theta: parameters; beta: one inverse temperature per chain; x: a block; stream: the draws of this step,
  // for the chains of this block. Every draw has a site of its own, so sweep and sample_latents may share a
  // step.

  /// Visibles of up to 64 cases; the other lanes are 0.
  void load(const BinaryData& data, std::span<const Index> cases, State& x) const;
  /// work.hidden_input from the visibles. Cost: 64 n_visible n_hidden additions.
  void infer(const Params& theta, const State& x, Work& work) const;
  /// h ~ p_beta(h | v).
  void sample_latents(const Params& theta, const LaneFloats& beta, State& x, const Work& work,
                      const LaneStream& stream) const;
  /// v ~ p_beta(v | h), then h ~ p_beta(h | v). Cost: two products, 128 n_visible n_hidden additions.
  void sweep(const Params& theta, const LaneFloats& beta, State& x, Work& work,
             const LaneStream& stream) const;
  /// F_beta(v) = -(beta a + (1 - beta) r)'v - sum_j softplus(beta (c_j + W_j'v)); float inputs, double sums.
  void free_energy(const Params& theta, const LaneFloats& beta, const State& x, Work& work,
                   LaneDoubles& out) const;
  /// work.hidden_mean = sigmoid(beta (c + W'v)).
  void mean_latents(const Params& theta, const LaneFloats& beta, Work& work) const;
  /// Adds sum_c weight[c] (v_c hbar_c', v_c, hbar_c), hbar = work.hidden_mean, restricted to one slice: a
  /// range of visibles; slice 0 also holds the hidden biases.
  void accumulate(const State& x, const Work& work, const LaneFloats& weight, Index slice,
                  Params& sums) const;

  [[nodiscard]] Index slices() const { return words_for(n_visible_); }
  [[nodiscard]] Params zero_slice(Index slice) const;
  void insert_slice(Index slice, const Params& part, Params& whole) const;

  /// Gradient of (W, a, c) -> gradient in the coordinates of the centred energy
  /// -(v - mu)'W(h - nu) - a'(v - mu) - c'(h - nu): G_W - g_a nu' - mu g_c' (Melchior et al. 2016).
  void center(const Offsets& offsets, Params& gradient) const;
  /// Direction in centred coordinates -> direction of (W, a, c): d_a - D_W nu, d_c - D_W' mu. Offsets may
  /// therefore move at any time without changing the law of the machine.
  void uncenter(const Offsets& offsets, Params& direction) const;

  // --- HasReference ------------------------------------------------------------------------------
  /// Independent draws at beta = 0; the cache is made current.
  void sample_reference(const Params& theta, State& x, Work& work, const LaneStream& stream) const;
  /// n_hidden log 2 + sum_i softplus(r_i).
  [[nodiscard]] double reference_log_partition() const;

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
  /// F(v) of one case at beta = 1, all in double. Cost: (ones in v) x n_hidden.
  [[nodiscard]] double free_energy(const Params& theta, std::span<const Word> row) const;
  /// mean(i, c) = P(v_i = 1 | h of chain c), for pictures.
  void mean_visible(const Params& theta, const State& x, Work& work, LaneMatrix& mean) const;

  // --- what trainers and files ask ---------------------------------------------------------------
  /// Fields that weight decay acts on.
  static constexpr bool is_weight(std::string_view field) { return field == "weights"; }
  /// Expected value of each latent, summed with weights, as `accumulate` leaves it.
  static const Vector& latent_sums(const Params& sums) { return sums.hidden_bias; }
  /// W ~ N(0, weight_scale^2), hidden biases 0, visible biases = reference_bias (the best independent model).
  [[nodiscard]] Params initial_params(const StreamFactory& streams, double weight_scale) const;
  /// Offsets at the start: the mean of the data, and 1/2 for the hidden units.
  [[nodiscard]] Offsets initial_offsets(const Eigen::VectorXd& visible_means) const;
  /// Names and sizes that a file states beside the parameters.
  [[nodiscard]] std::vector<std::pair<std::string, Index>> shape() const {
    return {{"n_visible", n_visible_}, {"n_hidden", n_hidden_}};
  }

 private:
  [[nodiscard]] std::uint32_t hidden_site() const {
    return static_cast<std::uint32_t>((n_visible_ + 3) / 4 * 4);
  }
  [[nodiscard]] std::uint32_t redraw_site() const {
    return hidden_site() + static_cast<std::uint32_t>((n_hidden_ + 3) / 4 * 4);
  }

  Index n_visible_;
  Index n_hidden_;
  Vector reference_bias_;
};

static_assert(HasReference<BernoulliRbm> && HasExactLogZ<BernoulliRbm>);

/// Logits of the mean of binary data, the best independent model: means are smoothed by one imaginary case of
/// each value, so that constant columns stay finite.
[[nodiscard]] Vector smoothed_logits(const Eigen::VectorXd& means, Index n_cases);

}  // namespace tempera
