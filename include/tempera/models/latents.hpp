// Kinds of latent units of the spike-and-slab family: which binary units gate which filters. Used by
// models/spike_slab.hpp, where the energies stand.
//
// A filter m is a column of the weights; its gate is a product of binary units. Units are grouped so that,
// given the visibles, groups are independent ("units" of samplers and of UnitRange): a spike with its slabs,
// or a block of two factor groups.
//
// Formulas: docs/mathematics/spike-and-slab.md 5.5.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "tempera/models/energy_model.hpp"

namespace tempera {

/// Hidden units of a Gaussian restricted machine: a filter each, and no slabs.
struct HiddenUnits {
  static constexpr bool kSlabs = false;
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
};

/// Spikes, each with K slabs: the gate of a slab is its spike.
struct PooledSpikes {
  static constexpr bool kSlabs = true;
  struct Shape {
    Index n_spikes = 0;
    Index n_slabs = 1;  // of a spike
    bool operator==(const Shape&) const = default;
  };
  struct Params {
    Vector spike_bias;       // n_spikes
    Matrix slab_mean;        // n_spikes x n_slabs
    Matrix slab_precision;   // n_spikes x n_slabs
    Matrix spike_precision;  // n_visible x n_spikes, with Gaussian visibles; else empty

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
};

/// Blocks of two factor groups g and h and, where gated, a unit f: the gate of slab (i, j) is g_i h_j f.
struct BilinearBlocks {
  static constexpr bool kSlabs = true;
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
};

}  // namespace tempera
