// Kinds of visible units of the spike-and-slab family: their own part of the energy, their law given what the
// latents give them, and their reference machine. Used by models/spike_slab.hpp, where the energies stand.
//
// The visible part of the energy is interpolated, E_beta = (1 - beta) E_reference + beta E_visible, so every
// coefficient is (1 - beta) times the reference's plus beta times the model's.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.4.
#pragma once

#include <algorithm>
#include <string_view>

#include "tempera/core/dataset.hpp"
#include "tempera/core/random.hpp"
#include "tempera/models/energy_model.hpp"

namespace tempera {

/// Bounds of precisions; those of the visibles times the reference's.
inline constexpr float kLeastPrecision = 1e-4F;
inline constexpr float kLargestPrecision = 1e4F;
inline float bounded_precision(float x, float scale) {
  return std::clamp(x, kLeastPrecision * scale, kLargestPrecision * scale);
}

/// Real values with a precision of their own: E(v) = v' diag(precision) v / 2 - bias' v.
struct GaussianVisibles {
  using Data = RealData;
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
  static constexpr std::string_view kBias = "visible_bias";

  static Layer new_layer(Index n) { return Layer::Zero(n, kLanes); }
  static Params zero_params(Index n) { return {Vector::Zero(n), Vector::Zero(n)}; }
  /// Mean 0 and precision 1.
  static Reference standard_reference(Index n) { return {Vector::Zero(n), Vector::Ones(n)}; }
  /// Independent normal laws of the data's means and variances.
  static Reference fit_reference(const Data& data);
};

/// Binary values: E(v) = -bias' v.
struct BinaryVisibles {
  using Data = BinaryData;
  using Layer = BitLayer;
  struct Params {
    Vector visible_bias;

    template <class F, class... S>
    static void visit(F&& f, S&&... s) {
      f("visible_bias", s.visible_bias...);
    }
  };
  using Reference = Params;
  static constexpr std::string_view kBias = "visible_bias";

  static Layer new_layer(Index n) { return Layer(static_cast<std::size_t>(n)); }
  static Params zero_params(Index n) { return {Vector::Zero(n)}; }
  static Reference standard_reference(Index n) { return {Vector::Zero(n)}; }
  static Reference fit_reference(const Data& data);
};

/// Real values that are often exactly 0: v_d = u_d t_d with a visible spike u_d and a visible slab t_d,
/// E(u, t) = -bias' u + sum_d (precision t^2 / 2 - precision mean t u + precision mean^2 u / 2). Where u_d =
/// 0 the slab is unseen noise, and is summed out.
struct SparseVisibles {
  using Data = RealData;
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
  static constexpr std::string_view kBias = "visible_spike_bias";

  static Layer new_layer(Index n) { return Layer::Zero(n, kLanes); }
  static Params zero_params(Index n) { return {Vector::Zero(n), Vector::Zero(n), Vector::Zero(n)}; }
  static Reference standard_reference(Index n) { return {Vector::Zero(n), Vector::Zero(n), Vector::Ones(n)}; }
  /// Frequency of values other than 0, and the mean and variance of those.
  static Reference fit_reference(const Data& data);
};

}  // namespace tempera
