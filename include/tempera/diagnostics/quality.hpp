// How much samples look like data: for the quality of a machine as a sampler after some sweeps, not for its
// likelihood.
//
// Formulas: docs/mathematics/tempering.md 2.14.
#pragma once

#include <span>
#include <vector>

#include "tempera/core/dataset.hpp"

namespace tempera {

struct SampleQuality {
  /// Pearson correlation of the covariances <v_i v_j> - <v_i><v_j>, i < j, of samples and of data.
  double covariance_pearson = 0.0;
  /// Adversarial accuracy (Yale et al. 2020): fraction of data whose nearest neighbour is data, and of
  /// samples whose nearest neighbour is a sample; 1/2 each where the two cannot be told apart, 1 where
  /// samples lie apart from the data, 0 where they copy it.
  double data_near_data = 0.0;
  double samples_near_samples = 0.0;
};

/// Bits in which a case differs from the nearest of a set, case number `own` of the set left out; the largest
/// int where there is no other.
[[nodiscard]] int bits_to_nearest(std::span<const Word> row, const BinaryData& others, Index own);

/// Compares rows of packed cases of the same width, at least 2 each. Cost: n^2 distances of words, and two
/// covariance matrices.
SampleQuality sample_quality(const BinaryData& data, const BinaryData& samples);

/// Covariances of pairs of values in data and in samples, and how well they agree.
struct CovarianceAgreement {
  std::vector<float> of_data;
  std::vector<float> of_samples;
  double pearson = 0.0;  // 0 where one of them is constant
  double slope = 0.0;    // of samples over data, least squares
};

/// Of rows of values (cases x n_visible), the data's weighted. Values `site` at a time are one site's, and no
/// pair; pairs of a value that is constant in the data are left out. Cost: two covariance matrices.
CovarianceAgreement covariance_agreement(const Matrix& data, const CaseWeights& weights,
                                         const Matrix& samples, Index site);

/// The first of these alone.
double covariance_pearson(const BinaryData& data, const BinaryData& samples);

/// Whether a curve of qualities over growing numbers of sweeps falls from its best value by at least `drop`:
/// a machine trained out of equilibrium generates best after about as many sweeps as its training made, and
/// worse later (Decelle, Furtlehner, Seoane 2021). A curve that does not fall is no certificate.
bool declines(const std::vector<double>& quality, double drop);

}  // namespace tempera
