// Alignments of sequences: how much each counts, which are left out, and splits that keep neighbours
// together.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tempera/core/names.hpp"
#include "tempera/core/observer.hpp"
#include "tempera/io/data_files.hpp"
#include "tempera/parallel/tasks.hpp"

namespace tempera {

/// When two sequences are neighbours, at a level T. A sequence weighs 1 over its neighbours, itself included.
enum class ReweightRule { kNone, kIdentity, kIdentityAbove, kHamming, kTheta };
template <>
struct Names<ReweightRule> {
  static constexpr std::array<NamedValue<ReweightRule>, 5> table = {
      {{ReweightRule::kNone, "none", "every sequence counts once"},
       {ReweightRule::kIdentity, "identity", "identity:T, at least a part T of the sites is the same (rbms)"},
       {ReweightRule::kIdentityAbove, "identity-above",
        "identity-above:T, more than a part T of the sites is the same (adabmDCA)"},
       {ReweightRule::kHamming, "hamming", "hamming:T, less than a part T of the sites differs (PGM)"},
       {ReweightRule::kTheta, "theta",
        "theta:T, more than a part 1 - T of the sites that are no gap in the one is the same in the other "
        "(ProteinGym)"}}};
};

/// Weights of the rows of a table of codes. `gap`: the code of a gap, or -1. `progress` is told the part that
/// is done; it stops the work by throwing. Cost: n^2 / 2 comparisons of sequences.
[[nodiscard]] std::vector<double> sequence_weights(const Table& codes, const Leveled<ReweightRule>& rule,
                                                   int gap, const Executor& executor,
                                                   const Progress& progress);

/// Clusters of rows, 0 ..., of which any two sequences of different clusters are the same at less than a part
/// `identity` of the sites (single linkage). Cost: as that of weights.
[[nodiscard]] std::vector<Index> identity_clusters(const Table& codes, double identity,
                                                   const Executor& executor, const Progress& progress);

/// Rows without those that came before.
[[nodiscard]] std::vector<Index> distinct_rows(const Table& codes);

/// What an alignment is like.
struct AlignmentSummary {
  std::string letters;               // the alphabet; empty where sites have words
  double effective = 0.0;            // sequences that count, by weights or else at identity 0.8
  double gaps = 0.0;                 // part of all places that are gaps
  std::vector<double> gaps_of_site;  // part of the sequences that have a gap there
  std::vector<double> conservation;  // of every site: log2 of the letters less the entropy, bits
  Matrix frequencies;                // sites x letters
};
/// Of the train split, weighted where it has weights.
[[nodiscard]] AlignmentSummary summary_of_alignment(const DataFile& data, const Executor& executor,
                                                    const Progress& progress);

/// The code of the gap, '-', or -1 where there is none.
[[nodiscard]] int gap_of(const Alphabet& alphabet);

}  // namespace tempera
