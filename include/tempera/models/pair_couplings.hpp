// Effective couplings of pairs of sites whose letters interact through hidden units of 0 or 1.
//
// Formulas: docs/mathematics/energies.md 1.10.
#pragma once

#include <vector>

#include "tempera/core/letters.hpp"

namespace tempera {

/// J_ik(a, b) for every two sites i < k, and the field of every letter. Letters of a site sum to 0.
class PairCouplings {
 public:
  explicit PairCouplings(const Letters& letters);

  [[nodiscard]] const Letters& letters() const { return letters_; }
  /// Letters of site i x letters of site k, i < k.
  [[nodiscard]] Eigen::MatrixXd& at(Index i, Index k) { return pairs_[number(i, k)]; }
  [[nodiscard]] const Eigen::MatrixXd& at(Index i, Index k) const { return pairs_[number(i, k)]; }
  /// Letters of the site.
  [[nodiscard]] Eigen::VectorXd& field(Index i) { return fields_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] const Eigen::VectorXd& field(Index i) const { return fields_[static_cast<std::size_t>(i)]; }
  /// Frobenius norms of the couplings without the letter `gap` (-1: with all), sites x sites; 0 for a site
  /// with itself.
  [[nodiscard]] Eigen::MatrixXd norms(int gap) const;

 private:
  [[nodiscard]] std::size_t number(Index i, Index k) const {
    return static_cast<std::size_t>(k * (k - 1) / 2 + i);
  }

  Letters letters_;
  std::vector<Eigen::MatrixXd> pairs_;
  std::vector<Eigen::VectorXd> fields_;
};

/// What one hidden unit adds to couplings and fields. Each site and those after it can be done by a task of
/// its own.
class UnitCouplings {
 public:
  /// Exact to second order: log(1 + exp(bias + the weight of the letter of every site)) averaged over letters
  /// of all other sites that are equally likely, by its characteristic functions. Error below 1e-9. Cost of a
  /// pair: letters^2 times some 50 nodes.
  static UnitCouplings exact(const Letters& letters, const Eigen::VectorXd& weights, double bias);
  /// Second order about data: variance w w'.
  static UnitCouplings about_data(const Letters& letters, const Eigen::VectorXd& weights, double variance);

  /// Adds the couplings of site i with the sites after it.
  void add_pairs(Index i, PairCouplings& couplings) const;
  /// Adds the field of site i; of the exact form alone.
  void add_field(Index i, PairCouplings& couplings) const;

 private:
  UnitCouplings(const Letters& letters, const Eigen::VectorXd& weights);

  Letters letters_;
  std::vector<Eigen::VectorXd> centred_;      // weights of every site, less their mean
  Eigen::ArrayXcd factors_;                   // of every node
  std::vector<Eigen::ArrayXXcd> deviations_;  // of every site, letters x nodes
  Eigen::ArrayXXcd means_;                    // nodes x sites
  Eigen::ArrayXXcd after_;                    // nodes x sites: products of the means of the sites after each
};

}  // namespace tempera
