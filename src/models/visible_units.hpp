// What the kinds of visible units (models/visibles.hpp) do for models/spike_slab.hpp: energies, draws, sums,
// reference machines. `reference` and `own` are the coefficients at beta = 0 and 1. `box`: bound of the
// absolute value of every visible, 0 for none; Gaussian visibles only.
#pragma once

#include "lanes.hpp"
#include "tempera/kernels/bits.hpp"
#include "tempera/models/visibles.hpp"

namespace tempera {

/// What a part of the visibles of one block is drawn from: what the latents give to it, before it is
/// multiplied by beta: their drive W (gates x slabs) and what they add to the precision (null where nothing).
/// Rows of 64 lanes, from the first unit of the part.
struct VisibleInput {
  UnitRange part;
  const float* drive = nullptr;
  const float* precision = nullptr;
  float box = 0.0F;
};

/// Draws a part of the visibles of a block; spikes: memory of sparse visibles.
void draw_part(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer& spikes, LaneMatrix& v);
void draw_part(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer& spikes, BitLayer& v);
void draw_part(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
               const VisibleInput& input, const LaneFloats& betas, Index lanes, const LaneStream& stream,
               BitLayer& spikes, LaneMatrix& v);

/// out[c] += energy of the visibles alone.
void add_energies(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out);
void add_energies(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own,
                  const LaneFloats& betas, const BitLayer& v, Index lanes, LaneDoubles& out);
void add_energies(const SparseVisibles::Params& reference, const SparseVisibles::Params& own,
                  const LaneFloats& betas, const LaneMatrix& v, Index lanes, LaneDoubles& out);

/// The same of one case.
double energy_of(const GaussianVisibles::Params& reference, const GaussianVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v);
double energy_of(const BinaryVisibles::Params& reference, const BinaryVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v);
double energy_of(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, double beta,
                 const Eigen::VectorXd& v);

/// Expected visibles of unit d at beta = 1.
Lanes mean_row(const GaussianVisibles::Params& own, Index d, const VisibleInput& input);
Lanes mean_row(const BinaryVisibles::Params& own, Index d, const VisibleInput& input);
Lanes mean_row(const SparseVisibles::Params& own, Index d, const VisibleInput& input);

/// Sum of weights in order: Eigen's own sum depends on where the memory begins.
double total_weight(const Eigen::Ref<const Vector>& weight);

/// Sums of -dE/d(parameters of the visibles) over the chains of one block.
GaussianVisibles::Params visible_sums(const GaussianVisibles::Params& own, const LaneMatrix& v,
                                      const Eigen::Ref<const Vector>& weight);
BinaryVisibles::Params visible_sums(const BinaryVisibles::Params& own, const BitLayer& v,
                                    const Eigen::Ref<const Vector>& weight);
SparseVisibles::Params visible_sums(const SparseVisibles::Params& own, const LaneMatrix& v,
                                    const Eigen::Ref<const Vector>& weight);

double reference_log_z(const GaussianVisibles::Params& reference, double box);
double reference_log_z(const BinaryVisibles::Params& reference, double box);
double reference_log_z(const SparseVisibles::Params& reference, double box);

/// The visibles of training's first machine.
GaussianVisibles::Params initial_visibles(const GaussianVisibles::Params& reference,
                                          const InitialValues& values);
BinaryVisibles::Params initial_visibles(const BinaryVisibles::Params& reference, const InitialValues& values);
SparseVisibles::Params initial_visibles(const SparseVisibles::Params& reference, const InitialValues& values);

/// Coefficients of a sparse visible's slab: t has precision P, linear term B, and a present one costs K.
template <class Number>
struct SlabTerms {
  Number precision;
  Number linear;
  Number cost;
};

template <class Beta>
auto sparse_terms(const SparseVisibles::Params& reference, const SparseVisibles::Params& own, Index d,
                  const Beta& beta) {
  const float r = reference.visible_slab_precision[d];
  const float p = own.visible_slab_precision[d];
  const float mr = reference.visible_slab_mean[d];
  const float mp = own.visible_slab_mean[d];
  using Number = decltype(mixed(r, p, beta));
  return SlabTerms<Number>{mixed(r, p, beta), mixed(r * mr, p * mp, beta),
                           mixed(0.5F * r * mr * mr - reference.visible_spike_bias[d],
                                 0.5F * p * mp * mp - own.visible_spike_bias[d], beta)};
}

inline const Vector& precision_of(const GaussianVisibles::Params& p) { return p.visible_precision; }
inline const Vector& precision_of(const SparseVisibles::Params& p) { return p.visible_slab_precision; }
inline Vector& precision_of(GaussianVisibles::Params& p) { return p.visible_precision; }
inline Vector& precision_of(SparseVisibles::Params& p) { return p.visible_slab_precision; }

/// A real layer as it is, a binary one in floats.
inline const LaneMatrix& as_real(const LaneMatrix& v, LaneMatrix&) { return v; }
inline const LaneMatrix& as_real(const BitLayer& v, LaneMatrix& memory) {
  memory.resize(static_cast<Index>(v.size()), kLanes);
  unpack_lanes(v, memory);
  return memory;
}

void load_layer(const RealData& data, std::span<const Index> cases, LaneMatrix& v);
void load_layer(const BinaryData& data, std::span<const Index> cases, BitLayer& v);

Eigen::VectorXd case_values(std::span<const float> row, Index n);
Eigen::VectorXd case_values(std::span<const Word> row, Index n);

}  // namespace tempera
