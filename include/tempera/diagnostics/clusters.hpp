// Clusters of the data, and how much of its time a population of chains spends in each: a mode that chains
// have lost is seen here although every swap is accepted and every chain agrees with the others.
//
// Formulas: docs/mathematics/tempering.md 2.14.
#pragma once

#include "tempera/core/dataset.hpp"
#include "tempera/core/random.hpp"
#include "tempera/kernels/products.hpp"

namespace tempera {

/// Clusters of cases along their leading principal components. Empty without data.
struct DataClusters {
  Matrix axes;                // n_visible x components
  Vector origin;              // components: minus the projection of the mean case
  Eigen::MatrixXf centres;    // clusters x components
  Eigen::VectorXd occupancy;  // clusters: fraction of the cases, largest first

  [[nodiscard]] Index size() const { return centres.rows(); }
};

/// k-means (k-means++, Arthur & Vassilvitskii 2007; the best of several starts) of up to 4000 cases on at
/// most four leading principal components, found by subspace iteration. Fewer clusters than `k` where cases
/// have fewer places there or noise alone would be cut. Cost: about 300 products of them with a vector.
DataClusters find_clusters(const BinaryData& data, Index k, StreamEngine random);

/// Variance of up to 4000 cases along their leading principal component. Cost: about 300 products of these
/// cases with a vector.
double largest_variance(const BinaryData& data, StreamEngine random);

/// Cluster whose centre is nearest, for each chain of a block. Cost: a product with the components.
std::array<Index, kLanes> nearest_clusters(const DataClusters& clusters, const BitBlock& visible,
                                           ProductScratch& scratch);

/// Total variation between an occupancy and that of the data.
double cluster_variation(const DataClusters& clusters, const Eigen::VectorXd& occupancy);

}  // namespace tempera
