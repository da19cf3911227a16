// One update of the parameters, as the papers write it.
//
// CD and SML differ only in where the negative chains start: at the batch (Hinton 2002), or where the
// previous update left them (stochastic maximum likelihood, Younes 1999; persistent contrastive divergence,
// Tieleman 2008). SML-PT and SML-APT are SML with ensembles of a temperature ladder beside the chains at beta
// = 1 that give the gradient and that exchange places with the coldest replicas (Desjardins et al. 2010).
// SML-PTT is SML whose chains exchange places with draws of a trajectory ladder (train/snapshots.hpp).
#pragma once

#include "tempera/mcmc/record.hpp"
#include "tempera/train/coordinates.hpp"
#include "tempera/train/phases.hpp"
#include "tempera/train/report.hpp"
#include "tempera/train/searching.hpp"

namespace tempera {

/// Memory of the training loop that is no part of its state.
template <EnergyModel M>
struct Memory {
  PhaseMemory<M> phases;
  typename M::Params gradient;
  typename M::Params data_vectors;       // the vectors of the sums over the data alone
  Caches<M> probe;                       // of the Fisher matrix of the gradient's chains
  Caches<M> metric_probe;                // and of the metric's own
  DataClusters clusters;                 // whose occupancy by the chains is followed
  std::optional<SearchBudget> searches;  // nothing where modes are not searched
};

/// Memory for updates of a machine.
template <EnergyModel M>
Memory<M> memory_for(const M& model) {
  Memory<M> memory;
  memory.data_vectors = without_matrices(model.zero_params());
  memory.gradient = model.zero_params();
  return memory;
}

/// Data mean minus model mean of the statistics, and where the offsets go.
template <EnergyModel M>
struct Gradient {
  typename M::Params& sums;
  typename M::Offsets means;  // of the hidden units over the data
};

/// What a step did.
struct Step {
  double learning_rate = 0.0;
  StepNorms norms;
  StepReport natural{kNotKnown, kNotKnown, kNotKnown};
  SolveReport solve;
};

/// One update: both phases, the step, and whatever follows the machine. Throws NumericalError, naming update
/// and field, where a gradient or a new parameter is not finite. Cost: two phases of products.
template <EnergyModel M>
UpdateReport update(const Engine<M>& engine, const Plan& plan, const Batch<M>& batch, TrainState<M>& s,
                    Memory<M>& memory);

/// Norms of the filters as the plan wants them, then a machine that is proper; nothing for kinds that always
/// are. Averages of proper machines are proper, since these are a convex set.
template <EnergyModel M>
void project(const M& model, const ProjectionPlan& plan, TrainState<M>& s);

/// One step of the plan's rule along the gradient. `fantasy`: the chains whose draws make a metric;
/// `reported`: whether the report of a metric is worth a product.
template <EnergyModel M>
Step apply(const Engine<M>& engine, const Plan& plan, const Gradient<M>& gradient, const Phase<M>& fantasy,
           TrainState<M>& s, Memory<M>& memory);

/// Fills in what is to be reported of the two phases, before the parameters move; at a report, also how the
/// chains mixed since the last one.
template <EnergyModel M>
UpdateReport look(const Engine<M>& engine, const Plan& plan, const Phase<M>& data, const Phase<M>& fantasy,
                  TrainState<M>& s, Memory<M>& memory);

/// Whether looks that came from elsewhere are of as many chains as training follows and of clusters that
/// there are.
template <EnergyModel M>
bool are_looks_of(const TrainState<M>& s, const DataClusters& clusters);

}  // namespace tempera
