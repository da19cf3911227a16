// A start for bilinear machines. From random filters their training finds the right filters but not their
// places in the g x h table: moving a filter to another place is a jump that no gradient makes. So: a plain
// spike-and-slab machine finds the space of the filters; of real values, rotation to the sparsest responses
// finds the filters in it, and the plain machine learns spikes and slabs for them; those whose spikes vary
// most are placed in the table so that spikes of a row, and of a column, are on together (derived here; no
// labels are used).
//
// Formulas: docs/mathematics/spike-and-slab.md 5.14.
#pragma once

#include "tempera/train/trainer.hpp"

namespace tempera {

/// Places 0 ... n-1 of a table of n_blocks x n_g x n_h for n filters, given the correlations of their spikes:
/// result[place] is a filter. The sum of the correlations of filters in one row or one column of a block is
/// made as large as swaps of two filters can make it, the best of some random starts. Cost: starts x passes x
/// n^3. `progress` is told the part of the starts that is done.
std::vector<Index> arrange_filters(const Eigen::MatrixXd& correlation, const FilterTable& table,
                                   const StreamFactory& streams, const Progress& progress = {});

/// A rotation R of n filters W at right angles (the new ones are W R) such that responses to cases (rows:
/// cases, columns: filters) have the smallest sum of absolute values that turning two filters at a time can
/// find: the maximum likelihood of independent sources with a Laplace density, by Jacobi sweeps (Comon 1994)
/// that try angles of the whole quarter turn (Learned-Miller and Fisher 2003), since spikes that are on
/// together make a valley of equal mixtures. (Kurtosis would prefer mixtures of two sources that share a
/// factor.) The best of five: from the filters as they are, and from random rotations, since of four
/// sources each may be left a mixture of three, which turning two at a time does not undo. Cost: 5 x sweeps x
/// n^2 x 16 x cases. `progress` is told the part of the sweeps, at most, that is done.
Eigen::MatrixXd sparsest_rotation(const Eigen::MatrixXd& responses, const StreamFactory& streams,
                                  const Progress& progress = {});

/// Parameters that training begins at: as the machine has them, or of a staged start where the (resolved)
/// options ask for one. Cost of a staged start: two trainings (of binary cases, or of more filters than
/// visibles, one) of a plain machine with 1.6 spikes for each place of the table, as long as training itself.
/// Throws NumericalError. `progress` is told the fraction done; it stops the work by throwing, since a start
/// that is half made is none.
template <EnergyModel M>
typename M::Params starting_params(const Engine<M>& engine, const TrainOptions& options,
                                   const typename M::Data& data, const Progress& progress);

}  // namespace tempera
