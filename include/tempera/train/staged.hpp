// A start for bilinear machines. From random filters their training finds the right filters but not their
// places in the g x h table: moving a filter to another place is a jump that no gradient makes. So: a plain
// spike-and-slab machine finds filters; those whose spikes vary most are placed in the table so that spikes
// of a row, and of a column, are on together; the bilinear machine is trained from there, which finds missing
// filters, and placed anew, twice (derived here; no labels are used).
#pragma once

#include "tempera/train/trainer.hpp"

namespace tempera {

/// Places 0 ... n-1 of a table of n_blocks x n_g x n_h for n filters, given the correlations of their spikes:
/// result[place] is a filter. The sum of the correlations of filters in one row or one column of a block is
/// made as large as swaps of two filters can make it, the best of some random starts. Cost: starts x passes x
/// n^3. `progress` is told the part of the starts that is done.
std::vector<Index> arrange_filters(const Eigen::MatrixXd& correlation, Index n_blocks, Index n_g, Index n_h,
                                   const StreamFactory& streams, const Progress& progress = {});

/// Parameters that training begins at. Cost: three trainings of config.updates updates. Throws
/// NumericalError. `progress` is told the fraction done; it stops the work by throwing, since a start that is
/// half made is none.
template <class M>
typename M::Params staged_params(const M& model, const typename M::Data& data, const TrainConfig& config,
                                 const Progress& progress, const Workers& workers);

}  // namespace tempera
